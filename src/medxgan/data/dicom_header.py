"""What the header of a DICOM file says of its frames: windows, tables, spacing, place, patient.

Enhanced multi-frame objects keep these in functional groups (PS3.3 C.7.6.16), of one frame or of
all; others keep them at the top. `Frames` looks in this order: the frame's, the shared, the top.
"""

from collections.abc import Iterator
from math import isfinite
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ParametricMapStorage, SecondaryCaptureImageStorage

from medxgan.data.dicom_pixels import FileWindow, Lut, Padding, Rescale
from medxgan.data.dicom_tables import numbers, read_lut, signed_as_its_input
from medxgan.data.faults import printable
from medxgan.data.presentation import Spacing, Window
from medxgan.errors import DataError

FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
MEASURES = "PixelMeasuresSequence"
MAP_MANUFACTURER = "medxgan"
"""By this name maps that were written as DICOM objects are known again."""
CENTIMETRES = 3
MILLIMETRES_A_CENTIMETRE = 10.0


class Place(NamedTuple):
    """Where a frame lies in the patient: its corner, and the directions of rows and columns, mm."""

    position: NDArray[np.float64]
    row: NDArray[np.float64]
    column: NDArray[np.float64]


class Frames:
    """The header of one file, asked frame by frame (0, 1, ...)."""

    def __init__(self, header: Dataset) -> None:
        self.header = header
        self.count = max(1, int(header.get("NumberOfFrames") or 1))

    def groups(self, frame: int, keyword: str) -> Iterator[Dataset]:
        """Where ``keyword``'s elements may stand for a frame, the most specific place first."""
        for sequence, row in (
            ("PerFrameFunctionalGroupsSequence", frame),
            ("SharedFunctionalGroupsSequence", 0),
        ):
            items = self.header.get(sequence) or ()
            if row < len(items):
                yield from items[row].get(keyword) or ()
        yield self.header

    def windows(self, frame: int) -> list[FileWindow]:
        """The windows that can be used; a width must be above 0."""
        for group in self.groups(frame, "FrameVOILUTSequence"):
            centres, widths = numbers(group, "WindowCenter"), numbers(group, "WindowWidth")
            if centres and widths:
                function = str(group.get("VOILUTFunction") or "LINEAR").upper()
                function = function if function in FUNCTIONS else "LINEAR"
                return [
                    FileWindow(Window(centre, width), function)
                    for centre, width in zip(centres, widths, strict=False)
                    if isfinite(centre) and isfinite(width) and width > 0
                ]
        return []

    def voi_lut(self, frame: int) -> Lut | None:
        """The first VOI LUT.

        Raises:
            DataError: it is broken.
        """
        for group in self.groups(frame, "FrameVOILUTSequence"):
            for item in group.get("VOILUTSequence") or ():
                return signed_as_its_input(read_lut(item, "VOI LUT"), self.modality(frame))
        return None

    def modality(self, frame: int) -> Lut | Rescale | None:
        """From stored values to those of the modality.

        Raises:
            DataError: the table is broken, or the rescale values are no numbers.
        """
        for item in self.header.get("ModalityLUTSequence") or ():
            return read_lut(item, "modality LUT")
        for group in self.groups(frame, "PixelValueTransformationSequence"):
            slope, intercept = numbers(group, "RescaleSlope"), numbers(group, "RescaleIntercept")
            if slope or intercept:
                rescale = Rescale((slope or [1.0])[0], (intercept or [0.0])[0])
                if not all(map(isfinite, rescale)):
                    raise DataError(
                        f"its rescale slope and intercept are {rescale.slope} and "
                        f"{rescale.intercept}; correct them"
                    )
                return rescale
        return None

    def padding(self) -> Padding | None:
        """The stored values that only fill up; signed as the pixels are."""
        value = numbers(self.header, "PixelPaddingValue")
        if not value or not isfinite(value[0]):
            return None
        limit = numbers(self.header, "PixelPaddingRangeLimit") or value
        signed = self.header.get("PixelRepresentation") == 1
        depth = int(self.header.get("BitsAllocated") or 16)
        ends = [_wrap(int(end), depth, signed) for end in (value[0], limit[0])]
        return Padding(min(ends), max(ends))

    def spacing(self, frame: int) -> Spacing | None:
        """Distance of rows and of columns, mm, where it is known and above 0.

        In the patient if possible; else at the detector, corrected for its magnification if known.
        """
        in_patient = self._patient_spacing(frame)
        if in_patient is not None:
            return in_patient
        detector = _pair(self.header, "ImagerPixelSpacing")
        if detector is not None:
            factor = self._magnification() or 1.0
            return detector[0] / factor, detector[1] / factor
        return _pair(self.header, "NominalScannedPixelSpacing") or self._ultrasound_spacing()

    def at_detector(self, frame: int) -> bool:
        """Is the spacing that of a detector, where the patient is larger by an unknown factor?"""
        known = self._patient_spacing(frame) is not None or self._magnification() is not None
        return not known and _pair(self.header, "ImagerPixelSpacing") is not None

    def aspect(self, frame: int) -> float:
        """Height of a pixel over its width: 1 where square, or where nothing is said."""
        pair = self.spacing(frame) or _pair(self.header, "PixelAspectRatio") or (1.0, 1.0)
        return pair[0] / pair[1]

    def place(self, frame: int) -> Place | None:
        """Where a frame lies, if that is said."""
        position = self._vector(frame, "PlanePositionSequence", "ImagePositionPatient", 3)
        directions = self._vector(frame, "PlaneOrientationSequence", "ImageOrientationPatient", 6)
        if position is None or directions is None:
            return None
        return Place(position, directions[:3], directions[3:])

    def _patient_spacing(self, frame: int) -> Spacing | None:
        found = (_pair(group, "PixelSpacing") for group in self.groups(frame, MEASURES))
        return next((pair for pair in found if pair is not None), None)

    def _magnification(self) -> float | None:
        """How much larger the detector's image is than the patient."""
        found = numbers(self.header, "EstimatedRadiographicMagnificationFactor")
        return found[0] if found and isfinite(found[0]) and found[0] > 0 else None

    def _vector(
        self, frame: int, group_keyword: str, keyword: str, length: int
    ) -> NDArray[np.float64] | None:
        for group in self.groups(frame, group_keyword):
            found = numbers(group, keyword)
            if len(found) == length and all(map(isfinite, found)):
                return np.array(found)
        return None

    def _ultrasound_spacing(self) -> Spacing | None:
        """Of the image's regions, if all agree."""
        found = set()
        for region in self.header.get("SequenceOfUltrasoundRegions") or ():
            units = [region.get(f"PhysicalUnits{axis}Direction") for axis in "XY"]
            steps = [numbers(region, f"PhysicalDelta{axis}") for axis in "YX"]
            if units != [CENTIMETRES, CENTIMETRES] or not all(steps):
                return None
            row, column = (abs(step[0]) * MILLIMETRES_A_CENTIMETRE for step in steps)
            found.add((row, column))
        pair = found.pop() if len(found) == 1 else (0.0, 0.0)
        return pair if _usable(pair) else None


def series_key(header: Dataset) -> tuple[int, str]:
    """What sorts series, and tells them apart: their number, then their unique identifier."""
    return _whole(header, "SeriesNumber"), str(header.get("SeriesInstanceUID") or "")


def instance_number(header: Dataset) -> int:
    """The number of an image in its series; 0 where it has none."""
    return _whole(header, "InstanceNumber")


def identifier(header: Dataset, keyword: str) -> str | None:
    """What tells patients (``PatientID``) or studies apart; None where a file does not say it."""
    return str(header.get(keyword) or "").strip() or None


def is_own_map(header: Dataset) -> bool:
    """Is it a map that ``medxgan explain --dicom-out`` wrote, and no scan?"""
    written = header.get("SOPClassUID") in (ParametricMapStorage, SecondaryCaptureImageStorage)
    return written and header.get("Manufacturer") == MAP_MANUFACTURER


def object_kind(header: Dataset) -> str:
    """What kind of object a file holds, in the standard's words.

    >>> object_kind(Dataset())
    'not stated'
    """
    kind = header.get("SOPClassUID")
    return printable(str(getattr(kind, "name", kind))) if kind else "not stated"


def _whole(header: Dataset, keyword: str) -> int:
    found = numbers(header, keyword)
    return int(found[0]) if found and isfinite(found[0]) else 0


def _pair(group: Dataset, keyword: str) -> Spacing | None:
    found = numbers(group, keyword)
    if len(found) != 2 or not _usable((found[0], found[1])):
        return None
    return found[0], found[1]


def _usable(pair: Spacing) -> bool:
    return all(isfinite(step) and step > 0 for step in pair)


def _wrap(number: int, depth: int, signed: bool) -> int:
    """A stored value with the sign of the pixels, whatever sign it was written with."""
    number %= 2**depth
    return number - 2**depth if signed and number >= 2 ** (depth - 1) else number
