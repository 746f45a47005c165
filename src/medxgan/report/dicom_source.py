"""The DICOM frame that was explained: what an object derived from it copies, and refers to."""

from copy import deepcopy
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID, SecondaryCaptureImageStorage
from pydicom.valuerep import PersonName
from torch import Tensor

from medxgan.data.dicom import DicomImage
from medxgan.data.dicom_header import Frames
from medxgan.data.dicom_tables import numbers
from medxgan.data.faults import reading
from medxgan.data.formats import kind_of
from medxgan.data.images import to_sample
from medxgan.data.pictures import decoding
from medxgan.data.presentation import Presentation, Window
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
UNCALIBRATED = (
    ("ImagerPixelSpacing", 2),
    ("EstimatedRadiographicMagnificationFactor", 1),
    ("NominalScannedPixelSpacing", 2),
)
"""What is said of spacing elsewhere than in the patient."""
MOST_OF_A_RATIO = 1000
UNICODE = "ISO_IR 192"
RIGHT_ANGLE = 0.01
"""Greatest error of the products of two directions: they come with few digits."""


@dataclass(frozen=True)
class SourceFrame:
    """One frame of a DICOM file.

    Attributes:
        path: the file.
        header: its elements.
        number: of the frame, from 1.
        frames: how many the file holds.
        aspect: height of a pixel over its width.
        plane: pixel spacing, position and orientation in the patient, as far as they are known;
            without spacing there, that at the detector or of the scanned film.
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
    def own_number(self) -> int | None:
        """Of its instance, at least 1; None where that holds several frames, or says none."""
        found = numbers(self.header, "InstanceNumber")
        known = bool(found) and isfinite(found[0]) and 1 <= found[0] < 2**31
        return int(found[0]) if known and self.frames == 1 else None

    @property
    def aspect_ratio(self) -> list[int] | None:
        """Height and width of its pixels in whole numbers; None where they are squares."""
        ratio = Fraction(self.aspect).limit_denominator(MOST_OF_A_RATIO)
        return None if ratio in (0, 1) else [ratio.numerator, ratio.denominator]

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

    def stand_in(self, frame_of_reference: str) -> Dataset:
        """This frame as an image of one frame, without its patient, for highdicom.

        Highdicom takes from its sources what their kind of object should hold, and fails on what
        real files lack; of this one it takes the place alone. Where that is not known, it is made
        up, and must be taken out again of what is made with it; all but ``frame_of_reference``,
        which every such object must have.
        """
        image = Dataset()
        image.PixelSpacing = [1.0, 1.0]
        image.ImagePositionPatient = [0.0, 0.0, 0.0]
        image.ImageOrientationPatient = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
        image.FrameOfReferenceUID = frame_of_reference
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


class SourceFile:
    """A DICOM file that was explained, opened once for all of its frames.

    Args:
        path: the file.
        window: centre and width with which it was read, where not as it says itself.

    Raises:
        DataError: it is missing, damaged or no DICOM file; or it does not identify itself.
        MissingPackageError: its compression needs a package that is not installed.
    """

    def __init__(self, path: Path, window: tuple[float, float] | None = None) -> None:
        if path.exists() and kind_of(path) != "dicom":
            raise DataError(
                f"{path} is no DICOM file, beside which alone DICOM objects can stand; give the "
                "one that was explained"
            )
        self.path = path
        with decoding():
            shown_by = Presentation(window=None if window is None else Window(*window))
            self._image = DicomImage(path, shown_by)
            with reading(path, "a DICOM file"):
                self._image.header.decode()
                missing = [key for key in NEEDED if not _has_uid(self._image.header, key)]
        if missing:
            raise DataError(
                f"{path} has no valid {' and no '.join(missing)}, by which a derived object refers "
                "to it; store it with them"
            )

    def frame(self, number: int | None = None) -> SourceFrame:
        """What objects derived from one frame need.

        Args:
            number: from 1; may be left out where the file holds one.

        Raises:
            DataError: it has no such frame, or several and ``number`` is None.
        """
        frames = self._image.frames
        if number is None and frames.count > 1:
            raise DataError(
                f"{self.path} holds {frames.count} frames; say by frame=NUMBER, from 1, which was "
                "explained"
            )
        index = 0 if number is None else number - 1
        if not 0 <= index < frames.count:
            raise DataError(
                f"{self.path} has {frames.count} frame(s), counted from 1, got {number}"
            )
        with decoding(), reading(self.path, "a DICOM file"):
            aspect, plane = frames.aspect(index), _plane(frames, index)
        return SourceFrame(self.path, frames.header, index + 1, frames.count, aspect, plane)

    def shown(self, number: int, size: int, channels: int) -> Tensor:
        """A frame ``[channels, size, size]`` as a classifier sees it.

        Raises:
            DataError: it cannot be decoded, or shows nothing.
        """
        with decoding():
            decoded = next(self._image.decoded({number}))
        return to_sample(self.path, decoded, size, channels, None).image


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
        for keyword, length in UNCALIBRATED:
            found = numbers(header, keyword)
            if len(found) == length and _usable(keyword, found):
                setattr(plane, keyword, deepcopy(header[keyword].value))
    return plane
