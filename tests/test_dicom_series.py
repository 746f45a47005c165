"""Folders, series and tables of DICOM files: order, groups, slices, masks."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydicom import dcmread
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    MRSpectroscopyStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
)

from clinical import RAMP, dicom, enhanced, item, placed
from medxgan.data import Presentation, Window, open_dataset, read_image, read_inputs
from medxgan.errors import ConfigError, DataError

WINDOW = {"WindowCenter": 504.5, "WindowWidth": 1009}
HALF = {"WindowCenter": 1009, "WindowWidth": 2018}


def level(number):
    """The ramp, darker the higher ``number``."""
    return (RAMP * (1 - number / 20)).astype(np.uint16)


def names_of(folder, **options):
    return read_inputs([folder], size=8, channels=1, **options).names


def test_a_series_comes_along_its_normal(tmp_path):
    """Neither by file name nor by instance number."""
    for name, instance, z in (("a", 3, 7.5), ("b", 1, -2.5), ("c", 2, 2.5)):
        dicom(tmp_path / f"{name}.dcm", InstanceNumber=instance, **placed(z), **WINDOW)
    assert names_of(tmp_path) == ["b.dcm", "c.dcm", "a.dcm"]


def test_the_normal_is_that_of_the_planes(tmp_path):
    """Coronal planes: rows run to the left, columns to the feet; (1,0,0) x (0,0,-1) = (0,1,0)."""
    for name, y in (("a", 5.0), ("b", -5.0)):
        dicom(
            tmp_path / f"{name}.dcm",
            ImagePositionPatient=[0, y, 0],
            ImageOrientationPatient=[1, 0, 0, 0, 0, -1],
            **WINDOW,
        )
    assert names_of(tmp_path) == ["b.dcm", "a.dcm"]


def test_without_places_or_not_parallel_by_instance_number(tmp_path):
    for name, instance in (("a", 10), ("b", 9)):
        dicom(tmp_path / "bare" / f"{name}.dcm", InstanceNumber=instance, **WINDOW)
        turned = placed(instance, row=(1, 0, 0) if name == "a" else (0, 1, 0), column=(0, 0, 1))
        dicom(tmp_path / "turned" / f"{name}.dcm", InstanceNumber=instance, **turned, **WINDOW)
    assert names_of(tmp_path / "bare") == ["b.dcm", "a.dcm"]
    assert names_of(tmp_path / "turned") == ["b.dcm", "a.dcm"]


def test_series_of_a_folder_come_one_after_another(tmp_path):
    for name, series, z in (("a", 2, 0), ("b", 1, 9), ("c", 2, -9), ("d", 1, -9)):
        dicom(
            tmp_path / f"{name}.dcm",
            SeriesNumber=series,
            SeriesInstanceUID=f"1.2.{series}",
            **placed(z),
            **WINDOW,
        )
    assert names_of(tmp_path) == ["d.dcm", "b.dcm", "c.dcm", "a.dcm"]


def test_a_clinical_folder(tmp_path):
    """Names without a suffix, a table of contents and a report beside the images."""
    for name, z in (("IM2", 1.0), ("IM1", 2.0)):
        dicom(tmp_path / "PT1" / "SE1" / name, **placed(z), **WINDOW)
    report = dicom(tmp_path / "PT1" / "SR1", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11")
    header = dcmread(report)
    del header.PixelData, header.Rows, header.Columns
    header.save_as(report)
    shutil.copy(report, tmp_path / "DICOMDIR")
    (tmp_path / "README").write_text("read me")
    inputs = read_inputs([tmp_path], size=8, channels=1)
    assert inputs.names == ["PT1/SE1/IM2", "PT1/SE1/IM1"]
    assert "1 DICOM file without pixels passed over" in inputs.notes
    assert "2 other files passed over (DICOMDIR, README)" in inputs.notes
    (tmp_path / "alone").mkdir()
    header.save_as(tmp_path / "alone" / "SR1")
    with pytest.raises(DataError, match=r"SR1 and 0 other DICOM file\(s\) come without pixels"):
        open_dataset(tmp_path / "alone")


@pytest.mark.parametrize("keep", [("Rows", "Columns"), ()])
def test_files_whose_pixels_are_gone_or_no_pixels_are_passed_over(tmp_path, keep):
    """MR spectroscopy has rows and columns, but no pixels; viewers strip them, too."""
    dicom(tmp_path / "a.dcm", **WINDOW)
    for name, syntax in (
        ("b.dcm", ExplicitVRLittleEndian),
        ("c.dcm", DeflatedExplicitVRLittleEndian),
    ):
        header = dcmread(dicom(tmp_path / name, SOPClassUID=MRSpectroscopyStorage))
        del header.PixelData
        for keyword in {"Rows", "Columns"} - {*keep}:
            del header[keyword]
        header.add_new(0x56000020, "OF", np.zeros(64, np.float32).tobytes())
        header.file_meta.TransferSyntaxUID = syntax
        header.save_as(tmp_path / name)
    header = dcmread(dicom(tmp_path / "d.dcm"))
    header.PixelData = b""
    header.save_as(tmp_path / "d.dcm")
    inputs = read_inputs([tmp_path], size=8, channels=1)
    assert inputs.names == ["a.dcm"]
    assert "3 DICOM files without pixels passed over" in inputs.notes


@pytest.mark.parametrize("kind", [ParametricMapStorage, SecondaryCaptureImageStorage])
def test_maps_that_came_back_from_a_pacs_are_no_scans(tmp_path, kind):
    dicom(tmp_path / "a.dcm", **WINDOW)
    path = dicom(tmp_path / "map.dcm", SOPClassUID=kind, Manufacturer="medxgan", **WINDOW)
    dicom(tmp_path / "b.dcm", SOPClassUID=kind, Manufacturer="ACME", **WINDOW)
    inputs = read_inputs([tmp_path], size=8, channels=1)
    assert inputs.names == ["a.dcm", "b.dcm"]
    assert "1 DICOM file with maps by medxgan passed over" in inputs.notes
    assert read_inputs([path], size=8, channels=1).names == ["map"], "where it is named itself"
    for name in "ab":
        (tmp_path / f"{name}.dcm").unlink()
    with pytest.raises(DataError, match=r"map.dcm and 0 other .* come with maps by medxgan; give"):
        open_dataset(tmp_path)


def test_one_slice_of_a_series(tmp_path):
    """The second along the normal; a series of one image stays whole."""
    for name, z in (("a", 3.0), ("b", 1.0), ("c", 2.0)):
        dicom(tmp_path / f"{name}.dcm", **placed(z), **WINDOW)
    dicom(tmp_path / "scout.dcm", SeriesInstanceUID="1.9", SeriesNumber=9, **WINDOW)
    second = Presentation(slice=2)
    assert names_of(tmp_path, presentation=second) == ["c.dcm", "scout.dcm"]
    with pytest.raises(DataError, match="it has 3 images, counted from 1, got number 4"):
        read_inputs([tmp_path], size=8, channels=1, presentation=Presentation(slice=4))


def test_the_best_slice_of_a_series(tmp_path):
    for number in range(4):
        bright = abs(number - 2)
        dicom(tmp_path / f"{number}.dcm", level(bright), **placed(number), **WINDOW)
    mean = Presentation(slice="best", score=lambda images: images.mean((1, 2, 3)))
    inputs = read_inputs([tmp_path], size=8, channels=1, presentation=mean)
    assert inputs.names == ["2.dcm"]
    assert "2.dcm is the best slice: most evidence" in "".join(inputs.notes)


def test_one_window_for_a_folder(tmp_path):
    for name, own in (("a", WINDOW), ("b", HALF)):
        dicom(tmp_path / f"{name}.dcm", **own)
    own = read_inputs([tmp_path], size=8, channels=1)
    assert not torch.equal(own.images[0], own.images[1])
    alike = read_inputs(
        [tmp_path], size=8, channels=1, presentation=Presentation(window=Window(504.5, 1009))
    )
    assert torch.equal(alike.images[0], alike.images[1])
    assert "2 of 2 images windowed to centre 504.5, width 1009" in alike.notes


@pytest.fixture
def patients(tmp_path) -> Path:
    """Twelve patients of two images each, whose files lie in both classes of a data set."""
    for patient in range(12):
        for row, label in enumerate(("healthy", "tumour")):
            dicom(
                tmp_path / "data" / label / f"{patient:02d}.dcm",
                level(patient),
                PatientID=f"P{patient}",
                StudyInstanceUID=f"1.{patient}",
                SeriesInstanceUID=f"1.{patient}.{row}",
                **WINDOW,
            )
    return tmp_path / "data"


def test_a_split_never_parts_a_patient(patients):
    data = open_dataset(patients)
    assert len(data) == 24
    assert data.class_names == ("healthy", "tumour")
    assert data.class_counts() == {"healthy": 12, "tumour": 12}
    split_of: dict[str, set[int]] = {}
    for group, split in zip(data.groups.tolist(), data.split.tolist(), strict=True):
        split_of.setdefault(group, set()).add(split)
    assert len(split_of) == 12
    assert all(len(splits) == 1 for splits in split_of.values())
    assert set(data.split.tolist()) == {0, 1, 2}


def test_a_groups_name_is_a_number_and_tells_no_identifier(patients):
    """A hash of an identifier is undone by trying all identifiers."""
    data = open_dataset(patients)
    assert list(dict.fromkeys(data.groups.tolist())) == [
        f"patient-{number:03d}" for number in range(1, 13)
    ]
    again = open_dataset(patients)
    assert again.groups.tolist() == data.groups.tolist()
    assert again.split.tolist() == data.split.tolist()


def groups_by_folder(data) -> dict[str, set[str]]:
    """``class/patient/file``: the groups of each patient's folder."""
    found: dict[str, set[str]] = {}
    for name, group in zip(data.names.tolist(), data.groups.tolist(), strict=True):
        found.setdefault(name.split("/")[1], set()).add(group)
    return found


@pytest.mark.parametrize("identifier", ["", "ANON{row}"])
def test_a_patients_folder_is_one_group_whatever_its_files_say(tmp_path, identifier):
    """No identifier, or a new one for each file; and a study for each visit."""
    for row in range(24):
        patient = row // 3
        dicom(
            tmp_path / "d" / ("a" if patient % 2 else "b") / f"p{patient}" / f"{row}.dcm",
            level(row / 3),
            PatientID=identifier.format(row=row),
            StudyInstanceUID=f"1.{row}",
            **WINDOW,
        )
    data = open_dataset(tmp_path / "d")
    groups = groups_by_folder(data)
    assert all(len(names) == 1 for names in groups.values())
    assert len(set().union(*groups.values())) == 8
    told = any("8 groups hold several patient identifiers each" in note for note in data.notes)
    assert told == bool(identifier)


def test_a_study_is_one_group_where_some_of_its_files_name_no_patient(tmp_path):
    for row in range(16):
        dicom(
            tmp_path / "d" / ("a" if row % 2 else "b") / f"{row}.dcm",
            level(row),
            PatientID=f"P{row // 2}" if row % 2 else "",
            StudyInstanceUID=f"1.{row // 2}",
            **WINDOW,
        )
    data = open_dataset(tmp_path / "d")
    group_of = dict(zip(data.names.tolist(), data.groups.tolist(), strict=True))
    assert len(set(group_of.values())) == 8
    for patient in range(8):
        assert group_of[f"b/{2 * patient}.dcm"] == group_of[f"a/{2 * patient + 1}.dcm"]


def test_without_an_identifier_the_study_is_the_group(tmp_path):
    for row in range(8):
        dicom(
            tmp_path / "d" / ("a" if row % 2 else "b") / f"{row}.dcm",
            level(row),
            PatientID="",
            StudyInstanceUID=f"1.{row // 2}",
            **WINDOW,
        )
    data = open_dataset(tmp_path / "d")
    assert set(data.groups.tolist()) == {f"patient-00{number}" for number in range(1, 5)}
    assert any("8 DICOM files have no patient identifier" in note for note in data.notes)


def test_one_patient_alone_is_told(tmp_path):
    for row in range(4):
        dicom(tmp_path / "d" / ("a" if row % 2 else "b") / f"{row}.dcm", level(row), **WINDOW)
    data = open_dataset(tmp_path / "d")
    assert "all DICOM files are of one patient, whom no split can part" in data.notes


def test_a_file_of_frames_in_a_data_set(tmp_path):
    """Label, group, value and mask hold for all its frames; names tell them apart."""

    def of(patient):
        return {"PatientID": patient, "StudyInstanceUID": f"1.{len(patient)}"}

    for label in ("healthy", "tumour"):
        pixels = np.stack([level(0), level(5), np.zeros_like(RAMP)])
        path = dicom(tmp_path / "d" / label / "run.dcm", pixels, **of(label), **WINDOW)
    mask = np.zeros((3, 8, 8), np.uint8)
    mask[1, 2:4, 5:7] = 1
    dicom(tmp_path / "d" / "masks" / "tumour" / "run.dcm", mask)
    (tmp_path / "d" / "values.csv").write_text("path,value\ntumour/run.dcm,3\n")
    data = open_dataset(tmp_path / "d")
    assert data.names.tolist() == [
        *("healthy/run-frame-01", "healthy/run-frame-02"),
        *("tumour/run-frame-01", "tumour/run-frame-02"),
    ]
    assert data.labels.tolist() == [0, 0, 1, 1]
    assert len(set(data.groups.tolist())) == 2
    assert data.values is not None
    assert data.values[2:].tolist() == [3, 3]
    masks, known = data.mask_images()
    assert known.tolist() == [False, False, True, True]
    assert not masks[2].any()
    assert torch.nonzero(masks[3])[[0, -1]].tolist() == [[2, 5], [3, 6]]
    assert "2 frames or slices passed over, one grey all over" in data.notes
    torch.testing.assert_close(data.images([1])[0], read_image(path, frame=2).image)


def test_a_mask_lies_where_the_resampled_image_does(tmp_path):
    """Rows of 1 mm, columns of 1/2 mm: the mask is stretched as its image is."""
    pixels = np.zeros((8, 8), np.uint16)
    pixels[2:4, 3:6] = 1000
    dicom(tmp_path / "d" / "a.dcm", pixels, PixelSpacing=[1.0, 0.5], **WINDOW)
    (tmp_path / "d" / "masks").mkdir()
    Image.fromarray((pixels > 0).astype(np.uint8) * 255).save(tmp_path / "d" / "masks" / "a.png")
    inputs = read_inputs([tmp_path / "d"], size=16, channels=1)
    (mask,) = inputs.masks
    assert mask is not None
    np.testing.assert_array_equal(mask, inputs.images[0, 0] > 0)
    assert torch.nonzero(mask)[[0, -1]].tolist() == [[4, 7], [7, 9]]
    assert inputs.spacings == [(0.5, 0.5)]


def test_a_mask_of_another_shape_is_refused(tmp_path):
    pixels = np.stack([level(0), level(5)])
    dicom(tmp_path / "d" / "a.dcm", pixels, **WINDOW)
    place = tmp_path / "d" / "masks" / "a.dcm"
    dicom(place, np.ones((8, 8), np.uint8))
    with pytest.raises(DataError, match=r"has 1 slice\(s\), its image has 2; give a mask"):
        open_dataset(tmp_path / "d")
    dicom(place, np.ones((5, 8, 8), np.uint8))
    with pytest.raises(DataError, match=r"has 5 slice\(s\), its image has 2; give a mask"):
        open_dataset(tmp_path / "d")
    dicom(place, np.ones((2, 4, 4), np.uint8))
    with pytest.raises(DataError, match="must be as large as its image, 8 x 8 pixels, got 4 x 4"):
        open_dataset(tmp_path / "d")


def at(*positions):
    """Functional groups of frames at these places along z, and what they share."""
    planes = [item(ImagePositionPatient=[0.0, 0.0, position]) for position in positions]
    frames = [item(PlanePositionSequence=Sequence([plane])) for plane in planes]
    directions = item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    shared = item(
        PlaneOrientationSequence=Sequence([directions]),
        FrameVOILUTSequence=Sequence([item(**WINDOW)]),
    )
    return frames, shared


@pytest.mark.parametrize(
    ("drawn_at", "lesion_on"),
    [((0, 2.5, 5), [0]), ((5, 2.5, 0), [2]), ((2.5, 0.05, 5), [1])],
)
def test_a_mask_goes_by_the_places_of_its_frames(tmp_path, drawn_at, lesion_on):
    """The lesion is on the mask's first frame, wherever that lies."""
    enhanced(tmp_path / "d" / "a.dcm", np.stack([level(n) for n in range(3)]), *at(0, 2.5, 5))
    mask = np.zeros((3, 8, 8), np.uint8)
    mask[0, 2, 3] = 1
    enhanced(tmp_path / "d" / "masks" / "a.dcm", mask, *at(*drawn_at))
    data = open_dataset(tmp_path / "d")
    assert data.names.tolist() == ["a-frame-01", "a-frame-02", "a-frame-03"]
    assert data.mask_images()[0].flatten(1).any(1).nonzero().flatten().tolist() == lesion_on


@pytest.mark.parametrize("drawn_at", [(0, 2.5, 7.5), (0, 0, 2.5)])
def test_a_mask_of_other_planes_is_refused(tmp_path, drawn_at):
    enhanced(tmp_path / "d" / "a.dcm", np.stack([level(n) for n in range(3)]), *at(0, 2.5, 5))
    enhanced(tmp_path / "d" / "masks" / "a.dcm", np.ones((3, 8, 8), np.uint8), *at(*drawn_at))
    with pytest.raises(DataError, match=r"none of its 3 frame\(s\) lies .* where frame \d of its"):
        open_dataset(tmp_path / "d")


def test_masks_of_frames_at_one_place_go_by_number(tmp_path):
    """As of a heart that beats: the second frame at a place is that of the second mask there."""
    enhanced(tmp_path / "d" / "a.dcm", np.stack([level(n) for n in range(4)]), *at(0, 5, 0, 5))
    mask = np.zeros((4, 8, 8), np.uint8)
    mask[1, 2, 3] = 1
    enhanced(tmp_path / "d" / "masks" / "a.dcm", mask, *at(0, 0, 5, 5))
    data = open_dataset(tmp_path / "d")
    (found,) = data.mask_images()[0].flatten(1).any(1).nonzero().flatten().tolist()
    assert data.names[found] == "a-frame-03"


def test_a_table_with_frames(tmp_path):
    """Each frame may have its own label; a group that is given goes before the patient."""
    pixels = np.stack([level(number) for number in range(4)])
    for number, (name, shown) in enumerate({"run": pixels, "one": RAMP, "all": pixels}.items()):
        own = {"PatientID": f"P{number}", "StudyInstanceUID": f"1.{number}"}
        dicom(tmp_path / f"{name}.dcm", shown, **own, **WINDOW)
    (tmp_path / "set.csv").write_text(
        "path,label,frame,group\nrun.dcm,0,2,\nrun.dcm,1,4,\none.dcm,1,,ann\nall.dcm,0,,bob\n"
    )
    data = open_dataset(tmp_path / "set.csv")
    assert data.names.tolist() == [
        *("run-frame-02", "run-frame-04", "one.dcm"),
        *(f"all-frame-0{number}" for number in range(1, 5)),
    ]
    assert data.labels.tolist() == [0, 1, 1, 0, 0, 0, 0]
    assert data.groups.tolist() == [*["patient-001"] * 2, "ann", *["bob"] * 4]
    (tmp_path / "set.csv").write_text("path,label,group\nrun.dcm,0,\none.dcm,1,patient-001\n")
    groups = open_dataset(tmp_path / "set.csv").groups.tolist()
    assert groups == [*["patient-002"] * 4, "patient-001"], "a name that is taken is passed over"
    (tmp_path / "set.csv").write_text("path,label,frame\nrun.dcm,0,first\n")
    with pytest.raises(DataError, match=r"column 'frame' must hold numbers from 1, .* got 'first'"):
        open_dataset(tmp_path / "set.csv")
    (tmp_path / "set.csv").write_text("path,label,frame\nrun.dcm,0,9\n")
    with pytest.raises(DataError, match="it has 4 frames, counted from 1, got number 9"):
        open_dataset(tmp_path / "set.csv")


def test_pictures_and_dicom_do_not_mix(tmp_path):
    dicom(tmp_path / "d" / "a.dcm", **WINDOW)
    Image.fromarray(RAMP.astype(np.uint8)).save(tmp_path / "d" / "b.png")
    with pytest.raises(DataError, match=r"b\.png is 8-bit, .*a\.dcm is floating-point"):
        open_dataset(tmp_path / "d")


def test_nothing_is_left(tmp_path):
    for name in "ab":
        dicom(tmp_path / "d" / f"{name}.dcm", np.full((8, 8), 7, np.uint16), **WINDOW)
    with pytest.raises(DataError, match=r"a\.dcm and 1 other file\(s\) show nothing"):
        open_dataset(tmp_path / "d")


def test_choices_that_no_file_leaves_are_refused(tmp_path, phantom_archive):
    dicom(tmp_path / "d" / "a.dcm", **WINDOW)
    Image.fromarray(RAMP.astype(np.uint8)).save(tmp_path / "b.png")
    window, axis = Presentation(window=Window(40, 400)), Presentation(axis="coronal")
    for path in (tmp_path / "b.png", phantom_archive):
        with pytest.raises(ConfigError, match="--window is for DICOM and NIfTI files"):
            read_inputs([path], size=8, channels=1, presentation=window)
    with pytest.raises(ConfigError, match="--axis is for NIfTI volumes, of which there are none"):
        read_inputs([tmp_path / "d"], size=8, channels=1, presentation=axis)
    with pytest.raises(ConfigError, match="--axis is for NIfTI volumes, of which there are none"):
        read_inputs([tmp_path / "d" / "a.dcm"], size=8, channels=1, presentation=axis)


def test_single_images_stay_where_a_slice_is_wanted(tmp_path):
    """Files of a series that are named one by one are images, and no slices."""
    paths = [dicom(tmp_path / f"{n}.dcm", level(n), **placed(n), **WINDOW) for n in range(3)]
    third = Presentation(slice=3)
    assert read_inputs(paths, size=8, channels=1, presentation=third).names == ["0", "1", "2"]
    run = dicom(tmp_path / "run.dcm", np.stack([level(n) for n in range(3)]), **WINDOW)
    names = read_inputs([paths[0], run], size=8, channels=1, presentation=third).names
    assert names == ["0", "run-frame-03"]
    with pytest.raises(DataError, match="it has 3 frames, counted from 1, got number 4"):
        read_inputs([run], size=8, channels=1, presentation=Presentation(slice=4))


@pytest.mark.parametrize("written", ["mine", "theirs"])
def test_a_column_group_is_filled_for_all_of_a_patient_or_for_none(tmp_path, written):
    for row in range(4):
        own = {"PatientID": f"P{row // 2}", "StudyInstanceUID": f"1.{row}"}
        dicom(tmp_path / f"{row}.dcm", level(row), **own, **WINDOW)
    groups = [written, written, "", ""]
    lines = [f"{row}.dcm,{row % 2},{group}" for row, group in enumerate(groups)]
    table = tmp_path / "table.csv"
    table.write_text("path,label,group\n" + "\n".join(lines))
    assert open_dataset(table).groups.tolist() == [written, written, "patient-002", "patient-002"]
    table.write_text(table.read_text().replace(f"1.dcm,1,{written}", "1.dcm,1,"))
    with pytest.raises(DataError, match=r"is empty for '1\.dcm', and filled for other rows of the"):
        open_dataset(table)
