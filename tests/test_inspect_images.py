"""``medxgan inspect`` of DICOM and NIfTI files."""

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.sequence import Sequence

from clinical import RAMP, dicom, lut, nifti, placed


def facts_of(outcome):
    """The table that was printed: its first line aside, fact -> words."""
    assert outcome.code == 0, outcome.err
    lines = [line for line in outcome.out.splitlines() if "  " in line]
    pairs = (line.split("  ", 1) for line in lines)
    return {name.strip(): words.strip() for name, words in pairs}


def test_a_ct(medxgan, tmp_path):
    path = dicom(
        tmp_path / "ct.dcm",
        RAMP.astype(np.int16),
        BitsStored=12,
        HighBit=11,
        RescaleSlope=1,
        RescaleIntercept=-1024,
        WindowCenter=[40, -600],
        WindowWidth=[400, 1500],
        PixelSpacing=[0.5, 0.5],
        PixelPaddingValue=-2000,
        BurnedInAnnotation="NO",
        **placed(10),
    )
    outcome = medxgan("inspect", path)
    assert outcome.out.startswith(f"{path} is a DICOM image.")
    assert outcome.out.endswith(f"Use it with: medxgan explain BUNDLE {path} --out FOLDER\n")
    assert facts_of(outcome) == {
        "kind": "CT Image Storage",
        "size": "8 x 8 pixels",
        "frames": "1",
        "depth": "12 of 16 bits, signed",
        "pixels": "grey, 0 is black",
        "compression": "Explicit VR Little Endian",
        "values": "-1024 to -16; stored times 1 plus -1024",
        "windows": "centre 40, width 400; centre -600, width 1500",
        "padding": "stored -2000 to -2000",
        "spacing": "0.5 x 0.5 mm, from row to row and column to column",
        "plane": "axial",
        "burnt-in text": "no",
        "patient": "hidden; --show-identifiers tells",
        "note": "shown in the first of 2 windows of its file",
    }


def test_a_patient_is_named_only_to_who_asks(medxgan, tmp_path):
    path = dicom(tmp_path / "ct.dcm", PatientBirthDate="19700101")
    hidden = medxgan("inspect", path)
    for identifier in ("Doe", "4711", "1970"):
        assert identifier not in hidden.out + hidden.err
    shown = facts_of(medxgan("inspect", path, "--show-identifiers"))
    assert shown["patient name"] == "Doe^Jane"
    assert shown["patient ID"] == "4711"
    assert shown["patient birth date"] == "19700101"


def test_frames_tables_overlays_and_colour(medxgan, tmp_path):
    path = dicom(
        tmp_path / "run.dcm",
        np.stack([RAMP, RAMP // 2]),
        PhotometricInterpretation="MONOCHROME1",
        VOILUTSequence=Sequence([lut(0, range(1009))]),
        ModalityLUTSequence=Sequence([lut(0, range(1009))]),
    )
    header = dcmread(path)
    header.add_new(0x60003000, "OW", b"\0" * 8)
    header.save_as(path)
    outcome = medxgan("inspect", path)
    assert "is a DICOM file of 2 frames." in outcome.out
    found = facts_of(outcome)
    assert found["pixels"] == "grey, 0 is white"
    assert found["windows"] == "a lookup table (VOI LUT), which is used"
    assert found["values"] == "0 to 1008; by a lookup table (modality LUT)"
    assert found["overlays"] == "1, not shown"
    assert found["spacing"] == "not said"
    colour = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    found = facts_of(medxgan("inspect", dicom(tmp_path / "sc.dcm", colour)))
    assert found["pixels"] == "colour (RGB)"
    assert "windows" not in found


def test_a_broken_table(medxgan, tmp_path):
    """What is wrong, beside all else that the file says; `explain` can be told a window."""
    path = dicom(tmp_path / "cr.dcm", VOILUTSequence=Sequence([lut(0, [1, 2], count=256)]))
    outcome = medxgan("inspect", path)
    found = facts_of(outcome)
    assert found["size"] == "8 x 8 pixels"
    assert found["values"] == "0 to 1008"
    assert found["windows"] == "a lookup table (VOI LUT), which is broken"
    assert found["note"].startswith(
        "its VOI LUT is broken: it must hold 256 entries, got 2; it can"
    )
    assert f"explain BUNDLE {path} --window CENTRE,WIDTH --out FOLDER" in outcome.out
    broken = Sequence([lut(0, [1, 2], count=256)])
    outcome = medxgan("inspect", dicom(path, ModalityLUTSequence=broken, VOILUTSequence=broken))
    assert outcome.code == 2
    assert outcome.err.strip().endswith(
        "its modality LUT is broken: it must hold 256 entries, got 2"
    )


def test_a_volume(medxgan, tmp_path):
    voxels = np.arange(10 * 12 * 14, dtype=np.int16).reshape(10, 12, 14)
    path = nifti(tmp_path / "brain.nii.gz", voxels, np.diag([-1.0, 2.0, 3.0, 1.0]))
    outcome = medxgan("inspect", path)
    assert outcome.out.startswith(f"{path} is a NIfTI volume.")
    assert facts_of(outcome) == {
        "size": "10 x 12 x 14 voxels, to the right, front and head",
        "volumes": "1",
        "slices": "10 sagittal, 12 coronal, 14 axial",
        "spacing": "1 x 2 x 3 mm",
        "orientation": "stored as LAS",
        "type": "int16",
        "values": "0 to 1679; 0.5th to 99.5th percentile 8.395 to 1670.61",
    }


def test_several_volumes(medxgan, tmp_path):
    voxels = np.random.default_rng(0).integers(0, 99, (8, 8, 8, 3)).astype(np.int16)
    turned = np.eye(4)
    turned[:2, :2] = [[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]]
    outcome = medxgan("inspect", nifti(tmp_path / "v.nii", voxels, turned))
    assert "is a NIfTI file of 3 volumes." in outcome.out
    found = facts_of(outcome)
    assert found["tilt"] == "11.5 degrees at most"
    assert found["note"].endswith("--volume chooses another")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.dcm", b"no", "is not a DICOM file that can be read"),
        ("a.nii", b"no", "cannot be read as a NIfTI volume"),
        (
            "a.hdr",
            b"no",
            "of type '.hdr', which this program cannot use; it takes PNG, JPEG, TIFF,",
        ),
    ],
)
def test_what_cannot_be_used(medxgan, tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    outcome = medxgan("inspect", tmp_path / name)
    assert outcome.code == 2
    assert outcome.out == ""
    assert sentence in outcome.err
    assert "Traceback" not in outcome.err
