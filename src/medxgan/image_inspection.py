"""``medxgan inspect`` of images: pictures, DICOM files and NIfTI volumes."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medxgan.data import read_image
from medxgan.data.dicom_pixels import Lut, Rescale, value_span
from medxgan.data.faults import about, printable, reading
from medxgan.data.formats import Kind
from medxgan.data.pictures import decoding
from medxgan.data.presentation import AS_STORED, AXES, Presentation, Window
from medxgan.model_inspection import Facts, Finding, channel_words

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

    from medxgan.data.dicom import DicomImage
    from medxgan.data.dicom_header import Frames

DICOM = "a DICOM image"
ANY_WINDOW = Presentation(window=Window(0.0, 1.0))
GREY = {"MONOCHROME1": "grey, 0 is white", "MONOCHROME2": "grey, 0 is black"}
PHOTOMETRIC_WORDS = {
    **GREY,
    "PALETTE COLOR": "colour, by a palette",
}
IDENTIFIERS = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "AccessionNumber",
    "InstitutionName",
)
OVERLAY_GROUPS = range(0x6000, 0x6020, 2)
OVERLAY_DATA = 0x3000
MOST_WINDOWS = 5
"""Of so many windows each is named."""
STRAIGHT = 0.999
"""Length of a normal along its main axis from which on a plane counts as straight: 2.6 degrees."""
TILTED = 1.0
"""Degrees from which on a volume's tilt is told."""


def image_finding(path: Path, kind: Kind, *, identifiers: bool = False) -> Finding:
    """An image file of any kind.

    Args:
        path: the file.
        kind: what it is.
        identifiers: of a DICOM file, tell whose it is.

    Raises:
        DataError: it cannot be read.
        MissingPackageError: it needs a package that is not installed.
    """
    if kind == "dicom":
        return dicom_finding(path, identifiers=identifiers)
    return nifti_finding(path) if kind == "nifti" else picture_finding(path)


def picture_finding(path: Path) -> Finding:
    """A PNG, JPEG or TIFF image.

    Raises:
        DataError: it cannot be read.
    """
    sample = read_image(path)
    channels, height, width = sample.image.shape
    facts = {
        "size": f"{height} x {width} pixels",
        "channels": channel_words(channels),
        "intensities": f"{float(sample.image.min()):.2f} to {float(sample.image.max()):.2f}, "
        "where black is -1 and white is 1",
        **note_facts(sample.notes),
    }
    return Finding("an image", facts, _use(path))


def dicom_finding(path: Path, *, identifiers: bool) -> Finding:
    """A DICOM image; its first frame is decoded to see that it can be.

    Args:
        path: the file.
        identifiers: tell whose it is, too.

    Raises:
        DataError: it cannot be read, or holds no pixels.
        MissingPackageError: it needs a package that is not installed.
    """
    from medxgan.data.dicom import DicomImage
    from medxgan.data.dicom_header import object_kind

    with decoding():
        image = DicomImage(path)
        with reading(path, DICOM), about(path):
            fault = _contrast_fault(image)
        if fault is None:
            changes = next(image.decoded()).changes
        else:
            next(DicomImage(path, ANY_WINDOW).decoded())
            changes = (f"{fault}; it can be shown in a window alone",)
        frames = image.frames
        header = image.header
        facts = {
            "kind": object_kind(header),
            "size": f"{header.Rows} x {header.Columns} pixels",
            "frames": str(len(image)),
            "depth": _depth(header),
            "pixels": PHOTOMETRIC_WORDS.get(image.photometric, f"colour ({image.photometric})"),
            "compression": image.compression,
            **_grey_facts(image, fault),
            "spacing": _spacing(frames),
            **_plane_facts(frames),
            "burnt-in text": printable(str(header.get("BurnedInAnnotation") or "not said").lower()),
            **_overlay_facts(header),
            **_identifier_facts(header, identifiers),
        }
    kind = DICOM if len(image) == 1 else f"a DICOM file of {len(image)} frames"
    return Finding(kind, facts | note_facts(changes), _use(path, must_window=fault is not None))


def nifti_finding(path: Path) -> Finding:
    """A NIfTI volume.

    Raises:
        DataError: it cannot be read.
        MissingPackageError: nibabel is not installed.
    """
    from medxgan.data.nifti import PERCENTILES, percentiles, read_voxels

    with decoding():
        found, voxels = read_voxels(path, AS_STORED)
    low, high = percentiles(voxels)
    facts = {
        "size": " x ".join(map(str, found.shape)) + " voxels, to the right, front and head",
        "volumes": str(found.volumes),
        "slices": ", ".join(f"{found.count(axis)} {axis}" for axis in AXES),
        "spacing": " x ".join(f"{step:.4g}" for step in found.spacing) + " mm",
        "orientation": f"stored as {found.stored_axes}"
        if found.oriented
        else "not said; taken as LAS, so that left and right may be swapped",
        **({"tilt": f"{found.tilt:.1f} degrees at most"} if found.tilt > TILTED else {}),
        "type": found.dtype,
        "values": f"{float(voxels.min()):g} to {float(voxels.max()):g}; "
        f"{PERCENTILES[0]:g}th to {PERCENTILES[1]:g}th percentile {low:g} to {high:g}",
    }
    kind = "a NIfTI volume"
    if found.volumes > 1:
        kind = f"a NIfTI file of {found.volumes} volumes"
        facts["note"] = "values are those of the first volume; --volume chooses another"
    return Finding(kind, facts, _use(path))


def note_facts(notes: tuple[str, ...]) -> Facts:
    """Notes as facts.

    >>> note_facts(("made grey", "resized"))
    {'note': 'made grey', 'note 2': 'resized'}
    """
    return {"note" if not place else f"note {place + 1}": note for place, note in enumerate(notes)}


def _use(path: Path, *, must_window: bool = False) -> str:
    window = " --window CENTRE,WIDTH" if must_window else ""
    return f"explain BUNDLE {path}{window} --out FOLDER"


def _depth(header: "FileDataset") -> str:
    if "BitsStored" not in header:
        return f"{header.BitsAllocated} bits, floating point"
    sign = ", signed" if header.get("PixelRepresentation") == 1 else ""
    return f"{header.BitsStored} of {header.BitsAllocated} bits{sign}"


def _contrast_fault(image: "DicomImage") -> str | None:
    """What is wrong with the table that decides the contrast of the first frame, if anything."""
    from medxgan.data.dicom_tables import BrokenTableError

    if image.photometric not in GREY:
        return None
    image.frames.modality(0)  # whose faults no window mends
    try:
        image.frames.contrast(0)
    except BrokenTableError as fault:
        return str(fault)
    return None


def _grey_facts(image: "DicomImage", fault: str | None) -> Facts:
    """What decides the contrast of grey images; nothing of colour."""
    if image.photometric not in GREY:
        return {}
    frames = image.frames
    modality, padding = frames.modality(0), frames.padding()
    span = value_span(image.stored(0), modality, padding)
    values = "none but padding" if span is None else f"{span.low:g} to {span.high:g}"
    match modality:
        case Rescale(slope, intercept):
            values += f"; stored times {slope:g} plus {intercept:g}"
        case Lut():
            values += "; by a lookup table (modality LUT)"
    return {
        "values": values,
        "windows": _windows(frames)
        if fault is None
        else "a lookup table (VOI LUT), which is broken",
        **({"padding": f"stored {padding.low} to {padding.high}"} if padding else {}),
    }


def _windows(frames: "Frames") -> str:
    """The first is the one that is used."""
    contrast = frames.contrast(0)
    windows = [
        f"{window}" + ("" if function == "LINEAR" else f" ({function})")
        for window, function in contrast.windows
    ]
    more = len(windows) - MOST_WINDOWS
    tables = ["a lookup table (VOI LUT), which is used"] if contrast.lut else []
    told = tables + windows[:MOST_WINDOWS] + ([f"{more} more"] if more > 0 else [])
    return "; ".join(told) or "none; --window CENTRE,WIDTH gives one"


def _spacing(frames: "Frames") -> str:
    spacing = frames.spacing(0)
    if spacing is None:
        return "not said"
    where = ", at the detector" if frames.at_detector(0) else ""
    return f"{spacing[0]:.4g} x {spacing[1]:.4g} mm, from row to row and column to column{where}"


def _plane_facts(frames: "Frames") -> Facts:
    """How the first frame lies in the patient, where that is said."""
    place = frames.place(0)
    if place is None:
        return {}
    normal = np.cross(place.row, place.column)
    axis = AXES[int(np.abs(normal).argmax())]
    return {"plane": axis if np.abs(normal).max() > STRAIGHT else f"{axis}, oblique"}


def _overlay_facts(header: "FileDataset") -> Facts:
    count = sum((group, OVERLAY_DATA) in header for group in OVERLAY_GROUPS)
    return {"overlays": f"{count}, not shown"} if count else {}


def _identifier_facts(header: "FileDataset", shown: bool) -> Facts:
    """Whose image it is, for those who ask."""
    if not shown:
        return {"patient": "hidden; --show-identifiers tells"}
    return {
        _spaced(keyword): printable(str(header[keyword].value))
        for keyword in IDENTIFIERS
        if keyword in header and header[keyword].value
    } or {"patient": "not named in the file"}


def _spaced(keyword: str) -> str:
    """A keyword of the standard as words.

    >>> _spaced("PatientBirthDate"), _spaced("PatientID")
    ('patient birth date', 'patient ID')
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", keyword).split()
    return " ".join(word if word.isupper() else word.lower() for word in words)
