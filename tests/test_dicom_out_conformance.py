"""Objects against the tables of PS3.3 that come with highdicom: what is missing, or empty."""

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.datadict import tag_for_keyword
from pydicom.sequence import Sequence as Items

from clinical import dicom, enhanced, item
from medxgan.report.dicom_out import KINDS
from test_dicom_out import PATIENT, PLACED, pixels, written

CONDITION_IS_MET = ("floating-point-image-pixel", "common-instance-reference")
GROUPS = (["SharedFunctionalGroupsSequence"], ["PerFrameFunctionalGroupsSequence"])


def table(name: str) -> Any:
    return json.loads((files("highdicom._standard") / f"{name}.json").read_text())


MODULES_OF = table("iod_module_map")
ATTRIBUTES_OF = table("module_attribute_map")
OBJECT_OF = table("sop_class_iod_map")


def items_at(made: pydicom.Dataset, path: list[str]) -> Iterator[pydicom.Dataset]:
    """The items of the sequence at a path of sequences."""
    if not path:
        yield made
        return
    for inner in made.get(path[0]) or ():
        yield from items_at(inner, path[1:])


def faults(made: pydicom.Dataset) -> set[str]:
    """What is missing or empty although its type forbids it, in the modules that must be there.

    Inside a sequence only where that is there; of a module that is not mandatory, only that what is
    there of type 1C is not empty. The tables do not say which functional groups are mandatory.
    """
    found = set()
    for module in MODULES_OF[OBJECT_OF[made.SOPClassUID]]:
        required = module["usage"] == "M" or module["key"] in CONDITION_IS_MET
        for attribute in ATTRIBUTES_OF.get(module["key"], []):
            keyword, kind = attribute["keyword"], attribute["type"]
            if tag_for_keyword(keyword) is None or attribute["path"] in GROUPS:
                continue
            for part in items_at(made, attribute["path"]):
                missing = keyword not in part
                empty = missing or part[keyword].is_empty
                if required and ((kind == "1" and empty) or (kind == "2" and missing)):
                    found.add(f"{module['key']}: {'/'.join([*attribute['path'], keyword])}")
                if kind == "1C" and empty and not missing:
                    found.add(f"{module['key']}: {keyword} is empty")
    return found


def placed(folder):
    return dicom(folder / "ct.dcm", pixels(), **PATIENT, **PLACED, InstanceNumber=7), None


def bare(folder):
    unknown = dict.fromkeys(("PatientID", "PatientName"))
    return dicom(folder / "cr.dcm", pixels(), **unknown), None


def not_square(folder):
    return dicom(folder / "dx.dcm", pixels(), **PATIENT, ImagerPixelSpacing=[0.4, 0.2]), None


def frame_of_several(folder):
    stack = np.stack([pixels(), pixels()[::-1]])
    planes = [item(ImagePositionPatient=[0.0, 0.0, position]) for position in (0.0, 2.5)]
    shared = item(
        PixelMeasuresSequence=Items([item(PixelSpacing=[0.7, 0.7], SliceThickness=2.5)]),
        PlaneOrientationSequence=Items([item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])]),
    )
    frames = [item(PlanePositionSequence=Items([plane])) for plane in planes]
    path = enhanced(folder / "mr.dcm", stack, frames, shared)
    header = pydicom.dcmread(path)
    header.FrameOfReferenceUID = "1.2.9"
    header.save_as(path)
    return path, 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make", [placed, bare, not_square, frame_of_several])
def test_all_that_the_standard_requires_is_there(tmp_path, kind, make):
    source, frame = make(tmp_path)
    made = written(tmp_path, source, kind=kind, frame=frame)
    assert faults(made) == set()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "PatientName", "Modality", "Rows"])
def test_the_check_finds_what_is_missing(tmp_path, kind, keyword):
    made = written(tmp_path, placed(tmp_path)[0], kind=kind)
    del made[keyword]
    assert any(fault.endswith(f": {keyword}") for fault in faults(made))
