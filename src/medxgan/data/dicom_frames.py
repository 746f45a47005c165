"""The size that a compressed frame claims, read before a decoder reserves memory for it.

A decoder believes the compressed stream, not the DICOM header: a damaged or malicious one of a few
bytes can ask for gigabytes.
"""

from collections.abc import Iterator
from typing import NamedTuple

from medxgan.errors import DataError

JPEG_START = b"\xff\xd8"
JPEG_2000_START = b"\xff\x4f\xff\x51"
JP2_START = b"\x00\x00\x00\x0cjP  "
BOX_HEAD = 8
"""Bytes of a box's length and name."""
SIZES = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
"""JPEG's and JPEG-LS's markers of a frame header; C4, C8 and CC mean something else."""
WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
START_OF_SCAN = 0xDA


class FrameSize(NamedTuple):
    """Pixels and samples of a compressed frame."""

    rows: int
    columns: int
    samples: int

    def __str__(self) -> str:
        return f"{self.rows} x {self.columns} pixels of {self.samples} sample(s)"


def compressed_size(frame: bytes) -> FrameSize | None:
    """What a JPEG, JPEG-LS or JPEG 2000 stream says of its size; None where it says nothing.

    Raises:
        DataError: it is JPEG 2000 in a file of boxes that never end.

    >>> compressed_size(bytes.fromhex("ffd8 ffc0 000b 08 0040 0020 01 01 11 00"))
    FrameSize(rows=64, columns=32, samples=1)
    >>> compressed_size(b"no JPEG") is None
    True
    """
    if frame.startswith(JP2_START):
        stream = _boxed_stream(frame)
        return _jpeg_2000_size(stream) if stream.startswith(JPEG_2000_START) else None
    if frame.startswith(JPEG_2000_START):
        return _jpeg_2000_size(frame)
    if frame.startswith(JPEG_START):
        return _jpeg_size(frame)
    return None


def _boxed_stream(frame: bytes) -> bytes:
    """The stream in a file of boxes (ISO/IEC 15444-1 I.4); empty where there is none."""
    place = len(JP2_START) + 4
    while place + BOX_HEAD <= len(frame):
        length = int.from_bytes(frame[place : place + 4], "big")
        if frame[place + 4 : place + BOX_HEAD] == b"jp2c":
            return frame[place + BOX_HEAD :]
        if length < BOX_HEAD:
            raise DataError("its JPEG 2000 pixels are damaged; replace or remove it")
        place += length
    return b""


def _jpeg_2000_size(stream: bytes) -> FrameSize | None:
    """From the marker segment SIZ (ISO/IEC 15444-1 A.5.1)."""
    segment = stream[4:42]
    if len(segment) < 38:
        return None
    right, bottom, left, top = (
        int.from_bytes(segment[place : place + 4], "big") for place in (4, 8, 12, 16)
    )
    return FrameSize(bottom - top, right - left, int.from_bytes(segment[36:38], "big"))


def _jpeg_size(stream: bytes) -> FrameSize | None:
    """From the frame header (ISO/IEC 10918-1 B.2.2)."""
    for marker, segment in _segments(stream):
        if marker in SIZES and len(segment) >= 6:
            rows, columns = (int.from_bytes(segment[at : at + 2], "big") for at in (1, 3))
            return FrameSize(rows, columns, segment[5])
    return None


def _segments(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """Markers before the first scan, and what they hold."""
    place = 2
    while place + 4 <= len(stream) and stream[place] == 0xFF:
        marker = stream[place + 1]
        if marker == 0xFF:  # fill byte
            place += 1
            continue
        if marker in WITHOUT_LENGTH:
            place += 2
            continue
        length = int.from_bytes(stream[place + 2 : place + 4], "big")
        if marker == START_OF_SCAN or length < 2:
            return
        yield marker, stream[place + 4 : place + 2 + length]
        place += 2 + length
