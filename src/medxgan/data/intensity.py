"""Intensities: from what a file stores to [-1, 1] and back.

``limits`` are the two stored values that become -1 and +1. They belong to a whole data set, so
that equal tissue stays equally bright in all its images:

========  ==========================================================================
stored    limits
========  ==========================================================================
uint8     (0, 255)
uint16    (0, 2^b - 1), b the smallest of 8, 10, 12, 14, 16 bits that holds the
          brightest pixel: scanners write 10 to 14 bits into 16-bit files, and the
          full range would leave such images almost black
float32   (0, 1), or (-1, 1) where a pixel is negative; other ranges are refused
========  ==========================================================================
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from medxgan.errors import DataError

BIT_DEPTHS = (8, 10, 12, 14, 16)
ROUNDING = 1e-4
"""How far outside [0, 1] or [-1, 1] a floating-point pixel may lie; it is clipped."""

Limits = tuple[float, float]


def to_signed(pixels: NDArray[Any], limits: Limits) -> Tensor:
    """Stored values of any shape -> float32 in [-1, 1]; values beyond the limits are clipped.

    >>> to_signed(np.array([0, 51, 255], dtype=np.uint8), (0, 255))
    tensor([-1.0000, -0.6000,  1.0000])
    """
    low, high = limits
    values = pixels.astype(np.float32)
    values -= low
    values /= (high - low) / 2
    values -= 1
    return torch.from_numpy(np.clip(values, -1, 1, out=values))


def from_signed(images: Tensor, limits: Limits, dtype: DTypeLike) -> NDArray[Any]:
    """Images in [-1, 1] of any shape -> stored values; integers are rounded, not cut.

    >>> from_signed(torch.tensor([-1.0, -0.6, 1.0]), (0, 255), np.uint8)
    array([  0,  51, 255], dtype=uint8)
    """
    low, high = limits
    values = images.detach().cpu().double().clamp(-1, 1).numpy()
    return round_to((values + 1) * ((high - low) / 2) + low, dtype)


def round_to(values: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """Cast computed values to a storage type, rounded where it is an integer type.

    >>> round_to(np.array([1.6, 2.0]), np.uint8)
    array([2, 2], dtype=uint8)
    """
    if np.issubdtype(dtype, np.integer):
        values = np.rint(values)
    return values.astype(dtype)


def storage_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type in which pixels that arrive as ``dtype`` are kept: uint8, uint16 or float32.

    Raises:
        DataError: the type holds no intensities (truth values, text, complex numbers).

    >>> storage_dtype(np.dtype("int64")), storage_dtype(np.dtype("float64"))
    (dtype('uint16'), dtype('float32'))
    """
    if dtype == np.uint8:
        return np.dtype(np.uint8)
    if np.issubdtype(dtype, np.integer):
        return np.dtype(np.uint16)
    if np.issubdtype(dtype, np.floating):
        return np.dtype(np.float32)
    raise DataError(f"pixels must be whole or floating-point numbers, got {dtype}")


def to_storage(pixels: NDArray[Any]) -> NDArray[Any]:
    """Pixels of any numeric type in the type they are kept in; no copy where it is that already.

    Raises:
        DataError: whole numbers outside 0 to 65535, or a type without intensities.

    >>> to_storage(np.array([0, 4095], dtype=">i4"))
    array([   0, 4095], dtype=uint16)
    """
    dtype = storage_dtype(pixels.dtype)
    if pixels.dtype.kind == "i" or pixels.dtype.itemsize > dtype.itemsize:
        low, high = pixels.min(), pixels.max()
        if dtype == np.uint16 and (low < 0 or high > np.iinfo(np.uint16).max):
            raise DataError(
                f"whole-number pixels must lie in 0 to 65535, got {low} to {high}; "
                "shift and scale them, or store floating-point numbers in [0, 1]"
            )
    return pixels.astype(dtype, copy=False)


def check_pixels(pixels: NDArray[Any], names: list[str]) -> Limits:
    """Smallest and largest stored value of the images ``[N, ...]``, called ``names`` ``[N]``.

    Raises:
        DataError: an image holds NaN or infinity, or is constant.

    >>> check_pixels(np.array([[0, 7], [3, 9]]), ["a.png", "b.png"])
    (0.0, 9.0)
    >>> check_pixels(np.array([[0, 7], [3, 3]]), ["a.png", "b.png"])
    Traceback (most recent call last):
    medxgan.errors.DataError: b.png is constant (every pixel is 3): it shows nothing; remove it
    """
    flat = pixels.reshape(len(pixels), -1)
    low, high = flat.min(axis=1), flat.max(axis=1)
    broken = ~(np.isfinite(low) & np.isfinite(high))
    if broken.any():
        raise DataError(
            f"{names[int(broken.argmax())]} holds NaN or infinite pixels; repair or remove it"
        )
    constant = low == high
    if constant.any():
        row = int(constant.argmax())
        raise DataError(
            f"{names[row]} is constant (every pixel is {low[row]:g}): it shows nothing; remove it"
        )
    return float(low.min()), float(high.max())


def storage_limits(dtype: DTypeLike, low: float, high: float) -> Limits:
    """The stored values that become -1 and +1, from the type and the range found in the data.

    Raises:
        DataError: floating-point pixels on no known scale.

    >>> storage_limits(np.uint8, 3, 180), storage_limits(np.uint16, 0, 3871)
    ((0.0, 255.0), (0.0, 4095.0))
    >>> storage_limits(np.float32, 0.0, 0.9), storage_limits(np.float32, -0.8, 0.9)
    ((0.0, 1.0), (-1.0, 1.0))
    """
    kind = np.dtype(dtype)
    if kind == np.uint8:
        return 0.0, 255.0
    if kind == np.uint16:
        bits = next(bits for bits in BIT_DEPTHS if high < 2**bits)
        return 0.0, 2.0**bits - 1
    floor = 0.0 if low >= -ROUNDING else -1.0
    if low < floor - ROUNDING or high > 1 + ROUNDING:
        raise DataError(
            f"floating-point pixels must lie in [0, 1] or [-1, 1], got {low:g} to {high:g}; "
            "scale them, or store 8- or 16-bit whole numbers"
        )
    return floor, 1.0


def limits_note(dtype: DTypeLike, limits: Limits) -> tuple[str, ...]:
    """What to tell the user about limits that were guessed from the data (16-bit only).

    >>> limits_note(np.uint16, (0.0, 4095.0))
    ('16-bit pixels taken as 0 (black) to 4095 (white), from the brightest pixel found',)
    >>> limits_note(np.uint8, (0.0, 255.0))
    ()
    """
    if np.dtype(dtype) != np.uint16:
        return ()
    low, high = limits
    found = "from the brightest pixel found"
    return (f"16-bit pixels taken as {low:g} (black) to {high:g} (white), {found}",)
