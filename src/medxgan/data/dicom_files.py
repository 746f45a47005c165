"""Open DICOM files: with or without preamble and header, deflated or not, within limits."""

import zlib
from io import BytesIO
from pathlib import Path

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset, read_file_meta_info, read_partial
from pydicom.tag import BaseTag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)

from medxgan.data.dicom_header import object_kind
from medxgan.data.faults import reading
from medxgan.data.formats import PREAMBLE_LENGTH, begins_as_dicom
from medxgan.errors import DataError

KIND = "a DICOM file"
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
PIXEL_TAGS = frozenset(map(tag_for_keyword, PIXELS))
META_LENGTH_ELEMENT = 12
"""Bytes of the element that says how long the rest of the file's own header is."""
MOST_INFLATED_BYTES = 2**30


class NoPixelsError(DataError):
    """A DICOM file of a kind that holds no image, such as a report or a table of contents."""


def open_dicom(path: Path, *, header_only: bool = False) -> FileDataset:
    """Open a file that holds an image.

    Args:
        path: the file; without DICOM's preamble it is taken for DICOM all the same.
        header_only: leave the pixels on disk.

    Returns:
        Its elements; ``file_meta.TransferSyntaxUID`` is always there.

    Raises:
        DataError: it is missing, forbidden, damaged, or no DICOM file.
        NoPixelsError: it holds no pixels.
    """
    with reading(path, KIND):
        opened, has_pixels = _parse(path, header_only)
        if opened.file_meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
            raise NoPixelsError(
                f"{path} is a DICOMDIR, a table of contents; give the folder that it lies in"
            )
        if not has_pixels:
            if not opened.get("SOPClassUID") and not begins_as_dicom(path):
                raise DataError(
                    f"{path} is not a DICOM file that can be read; replace or remove it"
                )
            raise NoPixelsError(
                f"{path} holds no pixels (its kind: {object_kind(opened)}); give an image"
            )
        _name_transfer_syntax(opened, path)
    return opened


class _PixelWatch:
    """Stops a parser where pixels begin, and remembers that there are some."""

    found = False

    def __call__(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        self.found = tag in PIXEL_TAGS and length != 0
        return self.found


def _parse(path: Path, header_only: bool) -> tuple[FileDataset, bool]:
    """A file's elements, and whether it holds pixels."""
    watch = _PixelWatch() if header_only else None
    opened = _parse_elements(path, watch)
    if watch is not None:
        return opened, watch.found and "Rows" in opened and "Columns" in opened
    pixels = [opened[keyword].value for keyword in PIXELS if keyword in opened]
    return opened, any(len(value or b"") > 0 for value in pixels)


def _parse_elements(path: Path, stop_when: _PixelWatch | None) -> FileDataset:
    try:
        meta = read_file_meta_info(path)
    except InvalidDicomError:
        meta = None
    if meta is not None and meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        return _parse_deflated(path, meta, stop_when)
    with path.open("rb") as file:
        return read_partial(file, stop_when, force=meta is None)


def _parse_deflated(
    path: Path, meta: FileMetaDataset, stop_when: _PixelWatch | None
) -> FileDataset:
    """A file whose elements are compressed as a whole, inflated up to a limit."""
    start = PREAMBLE_LENGTH + 4 + META_LENGTH_ELEMENT + int(meta.FileMetaInformationGroupLength)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    content = inflater.decompress(path.read_bytes()[start:], MOST_INFLATED_BYTES)
    if inflater.unconsumed_tail:
        raise DataError(
            f"{path} holds more than {MOST_INFLATED_BYTES // 2**30} GB once it is inflated; "
            "split it, or store it without deflation"
        )
    elements = read_dataset(BytesIO(content), False, True, stop_when=stop_when)
    opened = FileDataset(path, elements, b"\0" * PREAMBLE_LENGTH, meta, False, True)
    opened.set_original_encoding(False, True, elements._character_set)
    return opened


def _name_transfer_syntax(opened: FileDataset, path: Path) -> None:
    """A file without a header of its own says by its bytes how it is encoded."""
    if opened.file_meta.get("TransferSyntaxUID"):
        return
    if "PixelData" in opened and opened["PixelData"].is_undefined_length:
        raise DataError(
            f"{path} does not say how its pixels are compressed (it has no transfer syntax); "
            "store it with one"
        )
    implicit, little = opened.original_encoding
    explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    opened.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
