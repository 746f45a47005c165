"""How the pixels of a DICOM file are compressed, and what decompresses them."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.pixels.decoders.base import Decoder, get_decoder
from pydicom.uid import (
    UID,
    JPEG2000TransferSyntaxes,
    JPEGExtended12Bit,
    JPEGLSTransferSyntaxes,
    RLELossless,
)

from medxgan.data.faults import printable
from medxgan.errors import DataError, MissingPackageError

PILLOW_BITS = 8
"""Depth up to which Pillow, which is always there, reads the lossy JPEGs of DICOM."""


def transfer_syntax(opened: FileDataset) -> UID:
    """How the pixels of an opened file are encoded."""
    return UID(opened.file_meta.TransferSyntaxUID)


def find_decoder(path: Path, opened: FileDataset) -> Decoder:
    """What decompresses the pixels of an opened file.

    Raises:
        DataError: nothing can; the sentence names the transfer syntax.
        MissingPackageError: a package that is not installed can.
    """
    syntax = transfer_syntax(opened)
    name = printable(syntax.name)
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:  # pydicom's, for a syntax that it has no decoder for
        raise DataError(
            f"{path} is compressed as '{name}', which cannot be read; decompress it first, "
            "for example by gdcmconv --raw"
        ) from None
    deep = syntax == JPEGExtended12Bit and (opened.get("BitsStored") or 0) > PILLOW_BITS
    if not decoder.is_available or (deep and find_spec("libjpeg") is None):
        package = _package(syntax)
        raise MissingPackageError(
            f"{path} is compressed as '{name}', for which the package {package} is needed; "
            f"install it by: pip install {package}"
        )
    return decoder


def decode_frame(decoder: Decoder, opened: FileDataset, index: int) -> NDArray[Any]:
    """Stored values ``[H, W]``, or red, green and blue ``[H, W, 3]``, of a frame (0, 1, ...).

    Raises:
        DataError: none of the installed packages can decompress it, or its header does not say
            where in a word a value lies.
        Exception: whatever pydicom raises on damaged files.
    """
    above = _bits_above(opened)
    options: Any = {"correct_unused_bits": above is None}
    try:
        pixels, _ = decoder.as_array(opened, index=index, **options)
    except RuntimeError as fault:
        reasons = [line.strip() for line in str(fault).splitlines()]
        reason = printable(reasons[min(1, len(reasons) - 1)])
        raise DataError(
            f"its pixels, compressed as '{transfer_syntax(opened).name}', cannot be decompressed "
            f"({reason}); they may be damaged, replace or remove the file"
        ) from fault
    if above is None:
        return pixels
    aligned = np.left_shift(pixels, above)
    return np.asarray(np.right_shift(aligned, opened.BitsAllocated - opened.BitsStored))


def _bits_above(opened: FileDataset) -> int | None:
    """How many unused bits lie above a stored value that ends above the lowest bit.

    None where it ends at the lowest bit, as it should, and where a codec has placed it.

    Raises:
        DataError: the header names bits that are not there.
    """
    layout = [opened.get(keyword) for keyword in ("BitsAllocated", "BitsStored", "HighBit")]
    coded = transfer_syntax(opened).is_encapsulated and transfer_syntax(opened) != RLELossless
    if coded or None in layout:
        return None
    allocated, stored, high = map(int, layout)
    if high == stored - 1:
        return None
    if not 0 < stored <= high < allocated:
        raise DataError(
            f"its pixels cannot have {stored} bits up to bit {high} of {allocated}; correct "
            "BitsStored or HighBit in its header"
        )
    return allocated - 1 - high


def _package(syntax: UID) -> str:
    if syntax in JPEG2000TransferSyntaxes:
        return "pylibjpeg-openjpeg"
    return "pyjpegls" if syntax in JPEGLSTransferSyntaxes else "pylibjpeg-libjpeg"
