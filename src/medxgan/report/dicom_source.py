"""The DICOM frame that was explained: what an object derived from it copies, and refers to."""

from copy import deepcopy
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID, SecondaryCaptureImageStorage, generate_uid
from pydicom.valuerep import PersonName

from medxgan.data.dicom_files import open_dicom
from medxgan.data.dicom_header import Frames
from medxgan.data.dicom_tables import numbers
from medxgan.data.faults import reading
from medxgan.data.formats import kind_of
from medxgan.data.pictures import decoding
from medxgan.errors import DataError

NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")
PATIENT_AND_STUDY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
"""Every object must have these, empty where nothing is known (type 2)."""
COPIED_IF_PRESENT = (
    "IssuerOfPatientID",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "Laterality",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)
PLANE = (
    ("PixelMeasuresSequence", "PixelSpacing", 2),
    ("PixelMeasuresSequence", "SliceThickness", 1),
    ("PlanePositionSequence", "ImagePositionPatient", 3),
    ("PlaneOrientationSequence", "ImageOrientationPatient", 6),
)
"""Functional group, element, and how many numbers it has."""
UNICODE = "ISO_IR 192"
RIGHT_ANGLE = 0.01
"""Greatest error of the products of two directions: they come with few digits."""


@dataclass(frozen=True)
class SourceFrame:
    """One frame of a DICOM file.

    Attributes:
        path: the file.
        header: its elements without pixels.
        number: of the frame, from 1.
        frames: how many the file holds.
        aspect: height of a pixel over its width.
        plane: pixel spacing, position and orientation in the patient, as far as they are known.
    """

    path: Path
    header: Dataset
    number: int
    frames: int
    aspect: float
    plane: Dataset

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.header.Rows), int(self.header.Columns)

    @property
    def placed(self) -> bool:
        """Is it known where each pixel lies in the patient?"""
        needed = ("PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient")
        return all(keyword in self.plane for keyword in (*needed, "FrameOfReferenceUID"))

    @property
    def instance_number(self) -> int:
        """A number for what is derived from it: the frame's, else the instance's, at least 1."""
        found = numbers(self.header, "InstanceNumber")
        known = bool(found) and isfinite(found[0]) and 1 <= found[0] < 2**31
        return int(found[0]) if known and self.frames == 1 else self.number

    def identity(self) -> Dataset:
        """Patient and study, as UTF-8; no more than what every object of a study must have.

        No private element is among them, also none inside of another.
        """
        copied = Dataset()
        copied.SpecificCharacterSet = UNICODE
        copied.StudyInstanceUID = self.header.StudyInstanceUID
        for keyword in PATIENT_AND_STUDY:
            value = self.header.get(keyword)
            is_name = isinstance(value, PersonName)
            setattr(copied, keyword, PersonName(str(value)) if is_name else value)
        for keyword in COPIED_IF_PRESENT:
            if self.header.get(keyword):
                setattr(copied, keyword, deepcopy(self.header[keyword].value))
        copied.remove_private_tags()
        return copied

    def stand_in(self) -> Dataset:
        """This frame as an image of one frame, without its patient, for highdicom.

        Highdicom takes from its sources what their kind of object should hold, and fails on what
        real files lack; of this one it takes the place alone. Where that is not known, it is made
        up, and must be taken out again of what is made with it.
        """
        image = Dataset()
        image.PixelSpacing = [1.0, 1.0]
        image.ImagePositionPatient = [0.0, 0.0, 0.0]
        image.ImageOrientationPatient = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
        image.FrameOfReferenceUID = generate_uid()
        image.SliceThickness = None
        image.update(deepcopy(self.plane))
        image.SOPClassUID = SecondaryCaptureImageStorage
        for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
            setattr(image, keyword, self.header[keyword].value)
        image.Rows, image.Columns = self.shape
        for keyword in PATIENT_AND_STUDY:
            setattr(image, keyword, None)
        return image

    def reference(self) -> Dataset:
        """An item that names this frame, for sequences of source images."""
        item = Dataset()
        item.ReferencedSOPClassUID = self.header.SOPClassUID
        item.ReferencedSOPInstanceUID = self.header.SOPInstanceUID
        if self.frames > 1:
            item.ReferencedFrameNumber = self.number
        return item

    def source_image(self) -> Dataset:
        """The same with why it is named, and that its pixels keep their places."""
        item = self.reference()
        item.SpatialLocationsPreserved = "YES"
        purpose = codes.DCM.SourceImageForImageProcessingOperation
        item.PurposeOfReferenceCodeSequence = [code_item(*purpose[:3])]
        return item

    def series_reference(self) -> Dataset:
        """An item that names the file and its series."""
        item = Dataset()
        item.SeriesInstanceUID = self.header.SeriesInstanceUID
        item.ReferencedInstanceSequence = [self.reference()]
        return item


def code_item(value: str, scheme: str, meaning: str) -> Dataset:
    """A code as an item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def read_source(path: Path, frame: int | None = None) -> SourceFrame:
    """Read of a DICOM file what objects derived from one of its frames need.

    Args:
        path: the file.
        frame: from 1; may be left out where the file holds one.

    Raises:
        DataError: it is missing, damaged or no DICOM file; it does not identify itself; it has no
            such frame, or several and ``frame`` is None.
    """
    if path.exists() and kind_of(path) != "dicom":
        raise DataError(
            f"{path} is no DICOM file, beside which alone DICOM objects can stand; give the one "
            "that was explained"
        )
    with decoding():
        header = open_dicom(path, header_only=True)
        with reading(path, "a DICOM file"):
            header.decode()
            missing = [keyword for keyword in NEEDED if not _has_uid(header, keyword)]
            frames = Frames(header)
        if missing:
            raise DataError(
                f"{path} has no valid {' and no '.join(missing)}, by which a derived object refers "
                "to it; store it with them"
            )
        if frame is None and frames.count > 1:
            raise DataError(
                f"{path} holds {frames.count} frames; say by frame=NUMBER, from 1, which was "
                "explained"
            )
        number = 1 if frame is None else frame
        if not 1 <= number <= frames.count:
            raise DataError(f"{path} has {frames.count} frame(s), counted from 1, got {number}")
        with reading(path, "a DICOM file"):
            aspect, plane = frames.aspect(number - 1), _plane(frames, number - 1)
    return SourceFrame(path, header, number, frames.count, aspect, plane)


def _has_uid(header: Dataset, keyword: str) -> bool:
    return UID(str(header.get(keyword) or "")).is_valid


def _usable(keyword: str, found: list[float]) -> bool:
    """Finite; lengths above 0; and directions of rows and columns of length 1, at right angles."""
    if not all(map(isfinite, found)):
        return False
    if keyword == "ImageOrientationPatient":
        directions = np.array(found).reshape(2, 3)
        return bool(np.abs(directions @ directions.T - np.eye(2)).max() < RIGHT_ANGLE)
    return keyword == "ImagePositionPatient" or min(found) > 0


def _plane(frames: Frames, index: int) -> Dataset:
    """What is known of where the pixels of a frame lie, element by element as it is stored."""
    plane = Dataset()
    for sequence, keyword, length in PLANE:
        for group in frames.groups(index, sequence):
            found = numbers(group, keyword)
            if len(found) == length and _usable(keyword, found):
                setattr(plane, keyword, deepcopy(group[keyword].value))
                break
    header = frames.header
    if _has_uid(header, "FrameOfReferenceUID"):
        plane.FrameOfReferenceUID = header.FrameOfReferenceUID
        plane.PositionReferenceIndicator = header.get("PositionReferenceIndicator")
    if "PixelSpacing" not in plane:
        for keyword in ("ImagerPixelSpacing", "PixelAspectRatio"):
            if len(numbers(header, keyword)) == 2:
                setattr(plane, keyword, deepcopy(header[keyword].value))
    return plane
