"""What a file is: a picture, a DICOM file or a NIfTI volume."""

from pathlib import Path, PurePath
from typing import Literal

from medxgan.errors import DataError

Kind = Literal["picture", "dicom", "nifti"]

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff"})
DICOM_SUFFIXES = frozenset({".dcm", ".dicom"})
NIFTI_SUFFIXES = (".nii", ".nii.gz")
FORMATS_IN_WORDS = "PNG, JPEG, TIFF, DICOM or NIfTI"
PREAMBLE_LENGTH = 128
"""Bytes of any content with which a DICOM file begins; then come the four letters DICM."""


def kind_of(path: Path) -> Kind | None:
    """What a file is, by its name; a file of another name may still begin as DICOM files do.

    Scanners name DICOM files as they like (``IM0001``, ``1.2.840.10008.1``).

    >>> [kind_of(Path(name)) for name in ("scan.TIF", "CT.dcm", "brain.nii.gz", "notes.txt")]
    ['picture', 'dicom', 'nifti', None]
    """
    suffix = known_suffix(path)
    if suffix in IMAGE_SUFFIXES:
        return "picture"
    if suffix in DICOM_SUFFIXES or (not suffix and begins_as_dicom(path)):
        return "dicom"
    return "nifti" if suffix else None


def check_suffix(path: Path) -> None:
    """Refuse a file that no image can be read from.

    Raises:
        DataError: names the formats that can be read.

    >>> check_suffix(Path("scan.bmp"))
    Traceback (most recent call last):
    medxgan.errors.DataError: scan.bmp is of type '.bmp', which cannot be read as an image; \
convert it to PNG, JPEG, TIFF, DICOM or NIfTI
    """
    if kind_of(path) is None:
        raise DataError(
            f"{path} is of type '{path.suffix}', which cannot be read as an image; "
            f"convert it to {FORMATS_IN_WORDS}"
        )


def known_suffix(path: PurePath) -> str:
    """How a name ends, in lower case, where that says what the file is; else nothing.

    >>> known_suffix(PurePath("Brain.NII.gz")), known_suffix(PurePath("1.2.840.10008"))
    ('.nii.gz', '')
    """
    name = path.name.lower()
    for suffix in (*NIFTI_SUFFIXES, *IMAGE_SUFFIXES, *DICOM_SUFFIXES):
        if name.endswith(suffix):
            return suffix
    return ""


def without_suffix(path: PurePath) -> PurePath:
    """A path without the end that says what the file is; other dots belong to its name.

    >>> str(without_suffix(PurePath("ann/scan.nii.gz"))), str(without_suffix(PurePath("1.2.840")))
    ('ann/scan', '1.2.840')
    """
    suffix = known_suffix(path)
    shortened = path.name[: len(path.name) - len(suffix)]
    return path.with_name(shortened) if suffix and shortened else path


def begins_as_dicom(path: Path) -> bool:
    """Does a file, where there is one, begin with DICOM's preamble?"""
    try:
        with path.open("rb") as file:
            return file.read(PREAMBLE_LENGTH + 4)[PREAMBLE_LENGTH:] == b"DICM"
    except OSError:
        return False
