"""Lookup tables and lists of numbers, as elements of a DICOM header hold them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from medxgan.data.dicom_pixels import Lut
from medxgan.errors import DataError


class BrokenTableError(DataError):
    """A lookup table that does not hold what it says."""


LUT_BITS = range(8, 17)
PALETTE_BITS = (8, 16)
COLOURS = ("Red", "Green", "Blue")


def numbers(group: Dataset, keyword: str) -> list[float]:
    """The numbers of an element; none where it is missing or empty, NaN for an empty one of many.

    Raises:
        ValueError: it holds something else.
    """
    stored = group.get(keyword)
    if stored is None or isinstance(stored, str | bytes):
        return [] if not stored else [float(stored)]
    entries = stored if hasattr(stored, "__iter__") else [stored]
    return [float("nan") if entry in ("", None) else float(entry) for entry in entries]


def read_lut(item: Dataset, noun: str) -> Lut:
    """The table of an item of a LUT sequence (PS3.3 C.11.1.1 and C.11.2.1.1).

    Raises:
        BrokenTableError: it does not hold what its descriptor says; ``noun`` says which it is.
    """
    count, first, bits = _described(item, "LUTDescriptor", noun)
    if bits not in LUT_BITS:
        raise BrokenTableError(
            f"its {noun} is broken: its entries must have 8 to 16 bits, got {bits}"
        )
    return _checked(Lut(first, _entries(item, "LUTData", count, bits), bits), count, noun)


def read_palette(header: Dataset) -> tuple[Lut, Lut, Lut]:
    """The red, green and blue tables of a palette (PS3.3 C.7.9).

    Raises:
        DataError: one is missing or broken.
    """
    red, green, blue = (_read_colour(header, colour) for colour in COLOURS)
    if max(lut.entries.max() for lut in (red, green, blue)) < 2 ** PALETTE_BITS[0]:
        # some writers say 16 bits and store 8
        red, green, blue = (lut._replace(bits=PALETTE_BITS[0]) for lut in (red, green, blue))
    return red, green, blue


def _read_colour(header: Dataset, colour: str) -> Lut:
    noun = f"{colour.lower()} palette"
    count, first, bits = _described(header, f"{colour}PaletteColorLookupTableDescriptor", noun)
    if bits not in PALETTE_BITS:
        raise DataError(f"its {noun} is broken: its entries must have 8 or 16 bits, got {bits}")
    content = f"{colour}PaletteColorLookupTableData"
    if content not in header and f"Segmented{content}" in header:
        return Lut(first, _segmented(header, count, first, bits)[COLOURS.index(colour)], bits)
    return _checked(Lut(first, _entries(header, content, count, bits), bits), count, noun)


def _segmented(header: Dataset, count: int, first: int, bits: int) -> NDArray[Any]:
    """The entries ``[3, n]`` of segmented tables (PS3.3 C.7.9.2).

    Raises:
        DataError: they are too many for their depth.
    """
    if bits == PALETTE_BITS[0] and count > 2**8:
        raise DataError(f"its palette is broken: {count} entries of 8 bits; 256 are the most")
    inputs = np.arange(first, first + count)
    return np.moveaxis(apply_color_lut(inputs, header), -1, 0)[: len(COLOURS)]


def with_sign(lut: Lut) -> Lut:
    """A table for values that may be below 0, whose first input may be written without a sign.

    >>> with_sign(Lut(2**16 - 1024, np.array([0, 255]), 8)).first
    -1024
    """
    return lut._replace(first=lut.first - 2**16) if lut.first >= 2**15 else lut


def _described(item: Dataset, descriptor: str, noun: str) -> tuple[int, int, int]:
    """How many entries a table has, the input of the first, and their depth in bits."""
    described = [int(entry) for entry in numbers(item, descriptor)]
    if len(described) != 3:
        raise BrokenTableError(
            f"its {noun} is broken: {descriptor} must hold 3 numbers, got {len(described)}"
        )
    count, first, bits = described
    return count if count > 0 else count + 2**16, first, bits


def _checked(lut: Lut, count: int, noun: str) -> Lut:
    if len(lut.entries) < count:
        raise BrokenTableError(
            f"its {noun} is broken: it must hold {count} entries, got {len(lut.entries)}"
        )
    return lut._replace(entries=lut.entries[:count])


def _entries(item: Dataset, content: str, count: int, bits: int) -> NDArray[Any]:
    """The entries of a table, which come as numbers, as words, or as bytes two to a word."""
    stored = item.get(content)
    if isinstance(stored, bytes):
        if bits == LUT_BITS[0] and len(stored) < 2 * count:
            return np.frombuffer(stored, dtype=np.uint8)
        order = "<" if _little_endian(item) else ">"
        return np.frombuffer(stored[: len(stored) // 2 * 2], dtype=f"{order}u2")
    if stored is None:
        return np.array([], dtype=np.uint16)
    found = np.atleast_1d(np.asarray(stored, dtype=np.int64))
    return found if bits > LUT_BITS[0] or found.max(initial=0) < 2**8 else found & 0xFF


def _little_endian(item: Dataset) -> bool:
    return item.original_encoding[1] is not False
