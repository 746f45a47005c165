"""DICOM and NIfTI files put together by hand, for several tests."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    CTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    generate_uid,
)

RAMP = np.arange(64, dtype=np.uint16).reshape(8, 8) * 16
"""Stored values 0, 16, ... 1008 of 8 x 8 pixels."""


def item(**elements: Any) -> Dataset:
    """A sequence's item."""
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def dicom(
    path: Path, pixels: np.ndarray = RAMP, *, syntax: str = ExplicitVRLittleEndian, **elements: Any
) -> Path:
    """Write pixels ``[H, W]``, ``[F, H, W]``, or ``[H, W, 3]`` of uint8, as a DICOM file.

    ``elements`` replace what follows from the pixels, add to it, or, where None, take it away.
    """
    colour = pixels.ndim == 3 and pixels.shape[2] == 3
    frames = pixels.shape[0] if pixels.ndim == 3 and not colour else None
    bits = pixels.dtype.itemsize * 8
    made: dict[str, Any] = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": generate_uid(),
        "SeriesInstanceUID": "1.2.3",
        "StudyInstanceUID": "1.2",
        "PatientID": "4711",
        "PatientName": "Doe^Jane",
        "Modality": "CT",
        "Rows": pixels.shape[0 if frames is None else 1],
        "Columns": pixels.shape[1 if frames is None else 2],
        "SamplesPerPixel": 3 if colour else 1,
        "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
    }
    if colour:
        made["PlanarConfiguration"] = 0
    if frames is not None:
        made["NumberOfFrames"] = frames
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = made["SOPClassUID"]
    meta.MediaStorageSOPInstanceUID = made["SOPInstanceUID"]
    written = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    for keyword, value in (made | elements).items():
        if value is not None:
            setattr(written, keyword, value)
    written.add_new(0x7FE00010, "OW" if bits == 16 else "OB", pixels.tobytes())
    path.parent.mkdir(parents=True, exist_ok=True)
    written.save_as(path, enforce_file_format=True)
    return path


def lut(first: int, entries: Sequence[int], bits: int = 16, count: int | None = None) -> Dataset:
    """An item of a LUT sequence; ``count`` is what its descriptor claims."""
    made = Dataset()
    signed = first < 0
    claimed = len(entries) if count is None else count
    made.add_new(0x00283002, "SS" if signed else "US", [claimed, first, bits])
    made.add_new(0x00283006, "US", list(entries))
    return made


def placed(position: float, row: Sequence[float] = (1, 0, 0), column: Sequence[float] = (0, 1, 0)):
    """Elements of a plane at ``position`` along z."""
    return {
        "ImagePositionPatient": [-10.0, -20.0, position],
        "ImageOrientationPatient": [*row, *column],
    }


def enhanced(path: Path, pixels: np.ndarray, per_frame: Sequence[Dataset], shared: Dataset) -> Path:
    """An enhanced multi-frame object ``[F, H, W]`` with functional groups."""
    return dicom(
        path,
        pixels,
        SOPClassUID=EnhancedMRImageStorage,
        PerFrameFunctionalGroupsSequence=Items(per_frame),
        SharedFunctionalGroupsSequence=Items([shared]),
    )


def nifti(path: Path, voxels: np.ndarray, affine: np.ndarray | None = None, **header: Any) -> Path:
    """Write voxels; the affine is RAS+ of 1 mm where None."""
    import nibabel

    image = nibabel.Nifti1Image(voxels, np.eye(4) if affine is None else affine)
    for key, value in header.items():
        image.header[key] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)
    return path
