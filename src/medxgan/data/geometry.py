"""Bring images to one size and channel count.

Three steps, each only where needed: channels, padding to a square, resizing. What was done comes
back as clauses for the user's notes ("resized to 64 x 64 pixels").
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medxgan.data.decoded import MOST_PIXELS
from medxgan.data.intensity import round_to
from medxgan.data.presentation import Spacing
from medxgan.errors import DataError

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""
SQUARE_ENOUGH = 0.01
"""Pixels that are at most so much higher than wide, or wider than high, are left as they are."""
MOST_SQUARE_PIXELS = 2 * MOST_PIXELS
"""Of an image after padding."""
MOST_ASPECT = 100.0
"""Of a pixel that is worth resampling; a few thick slices of thin pixels stay well below."""


class Fitted(NamedTuple):
    """Images ``[N, C, S, S]`` and what was done to make them so."""

    images: NDArray[Any]
    changes: tuple[str, ...]


def fit(images: NDArray[Any], size: int | None = None, channels: int | None = None) -> Fitted:
    """Images ``[N, C, H, W]`` -> ``[N, C', S, S]`` of the same type, C' = channels, S = size.

    Without ``channels`` they keep theirs; without ``size`` they are only padded to a square.

    Raises:
        DataError: the square would be too large.

    >>> fit(np.zeros((1, 3, 8, 6), dtype=np.uint8), size=4, channels=1).changes
    ('made grey from colour (luma)', 'padded to a square with the darkest value of the border', \
'resized to 4 x 4 pixels')
    """
    changes = []
    if channels == 1 and images.shape[1] > 1:
        changes.append("made grey from colour (luma)")
        images = to_grey(images)
    repeats = 1 if channels is None else channels // images.shape[1]
    if repeats > 1:
        changes.append("made colour by repeating the grey channel")
    height, width = images.shape[2:]
    if height != width:
        _check_square(height, width)
        border = "darkest value" if images.shape[1] == 1 else "median colour"
        changes.append(f"padded to a square with the {border} of the border")
        images = pad_to_square(images)
    if size is not None and size != images.shape[2]:
        changes.append(f"resized to {size} x {size} pixels")
        images = resize(images, size)
    if repeats > 1:  # last: grey is padded as grey
        images = np.repeat(images, repeats, axis=1)
    return Fitted(images, tuple(changes))


def fit_masks(
    masks: NDArray[Any], size: int | None = None, square_shape: tuple[int, int] | None = None
) -> NDArray[np.bool_]:
    """Masks ``[N, H, W]`` -> bool ``[N, S, S]``, placed as `fit` places their images.

    A pixel belongs to the resized mask where at least half of its area did.

    Args:
        masks: true, or not 0, on the lesion.
        size: S; default: the greater side.
        square_shape: height and width that `square_pixels` gave the images; default: H and W.

    >>> fit_masks(np.array([[[1, 1, 1, 0], [0, 0, 0, 0]]]), size=2).astype(int)
    array([[[1, 0],
            [0, 0]]])
    """
    truth = masks.astype(np.float32)[:, None]
    if square_shape is not None and square_shape != truth.shape[2:]:
        truth = stretch_to(truth, *square_shape)
    top, left, side = _square_frame(*truth.shape[2:])
    height, width = truth.shape[2:]
    square = np.zeros((len(truth), 1, side, side), dtype=np.float32)
    square[:, :, top : top + height, left : left + width] = truth
    if size is not None and size != side:
        square = resize(square, size)
    # A half-covered pixel counts, also after float32 arithmetic.
    return np.asarray(square[:, 0] >= 0.5 - 1e-5)


def unfit(
    values: NDArray[Any], stored_shape: tuple[int, int], aspect: float = 1.0
) -> NDArray[np.float32]:
    """A map ``[S, S]`` of a fitted image -> ``[H, W]``, on the pixels of the image as stored.

    The way of `square_pixels` and `fit` backwards: enlarged to the square, cut out of its padding,
    and brought to the stored rows and columns.

    Args:
        values: one number for each pixel that `fit` gave.
        stored_shape: H and W.
        aspect: height of a stored pixel over its width.

    >>> lesion = np.array([[0, 0, 0, 0], [0, 9, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    >>> unfit(lesion, stored_shape=(4, 2)).tolist()
    [[0.0, 0.0], [9.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    """
    height, width = square_pixel_shape(*stored_shape, aspect)
    top, left, side = _square_frame(height, width)
    square = stretch_to(values[None, None], side, side)
    inside = square[:, :, top : top + height, left : left + width]
    return np.asarray(stretch_to(inside, *stored_shape)[0, 0])


class Squared(NamedTuple):
    """An image ``[C, H, W]`` of square pixels, their distance if known, and what was done."""

    pixels: NDArray[Any]
    spacing: Spacing | None
    changes: tuple[str, ...]


def square_pixels(
    image: NDArray[np.float32], aspect: float, spacing: Spacing | None = None
) -> Squared:
    """Bring an image ``[C, H, W]`` whose pixels are no squares to the finer of its two spacings.

    Args:
        image: floating point.
        aspect: height of a pixel over its width.
        spacing: distance of rows and columns, mm, if known.

    Raises:
        DataError: the image would become too large.

    >>> squared = square_pixels(np.zeros((1, 8, 8), np.float32), aspect=2, spacing=(1.0, 0.5))
    >>> squared.pixels.shape, squared.spacing
    ((1, 16, 8), (0.5, 0.5))
    """
    _, height, width = image.shape
    new_height, new_width = square_pixel_shape(height, width, aspect)
    if (new_height, new_width) == (height, width):
        return Squared(image, spacing, ())
    if max(aspect, 1 / aspect) > MOST_ASPECT or new_height * new_width > MOST_PIXELS:
        raise DataError(
            f"its pixels are {aspect:.3g} times as high as wide, so that it would become "
            f"{new_height} x {new_width} pixels; correct its pixel spacing"
        )
    squared = stretch_to(image[None], new_height, new_width)[0]
    if spacing is not None:
        spacing = spacing[0] * height / new_height, spacing[1] * width / new_width
    return Squared(squared, spacing, ("resampled to square pixels",))


def square_pixel_shape(height: int, width: int, aspect: float) -> tuple[int, int]:
    """Height and width in square pixels, for pixels ``aspect`` times as high as wide.

    >>> square_pixel_shape(10, 20, 0.5), square_pixel_shape(10, 20, 1.001)
    ((10, 40), (10, 20))
    """
    if abs(aspect - 1) <= SQUARE_ENOUGH:
        return height, width
    return (round(height * aspect), width) if aspect > 1 else (height, round(width / aspect))


def stretch_to(images: NDArray[Any], height: int, width: int) -> NDArray[np.float32]:
    """Images ``[N, C, H, W]`` -> float32 ``[N, C, height, width]``, each axis as `resize` does."""
    rows = resize_weights(images.shape[2], height)
    columns = resize_weights(images.shape[3], width)
    return np.asarray(rows @ images.astype(np.float32) @ columns.T)


def to_grey(images: NDArray[Any]) -> NDArray[Any]:
    """Colour ``[N, 3, H, W]`` -> brightness ``[N, 1, H, W]`` of the same type.

    >>> to_grey(np.full((1, 3, 1, 1), 200, dtype=np.uint8))
    array([[[[200]]]], dtype=uint8)
    """
    brightness = np.einsum("nchw,c->nhw", images.astype(np.float32), LUMA)
    return round_to(brightness[:, None], images.dtype)


def pad_to_square(images: NDArray[Any]) -> NDArray[Any]:
    """Centre ``[N, C, H, W]`` on squares of side max(H, W).

    The new pixels of a grey image take the darkest value on its border: the background of a scan,
    whatever its offset. Colour has no such rule, for slides are light and the surround of a retina
    is dark: there they take the median of the border, channel by channel.

    >>> pad_to_square(np.array([[[[5, 9, 7]]]]))[0, 0]
    array([[5, 5, 5],
           [5, 9, 7],
           [5, 5, 5]])
    """
    height, width = images.shape[2:]
    top, left, side = _square_frame(height, width)
    rows, columns = images[:, :, [0, -1], :], images[:, :, :, [0, -1]]
    border = np.concatenate([part.reshape(*images.shape[:2], -1) for part in (rows, columns)], 2)
    typical = border.min(axis=2) if images.shape[1] == 1 else np.median(border, axis=2)
    background = round_to(typical, images.dtype)[:, :, None, None]
    square = np.empty((*images.shape[:2], side, side), dtype=images.dtype)
    square[...] = background
    square[:, :, top : top + height, left : left + width] = images
    return square


def _check_square(height: int, width: int) -> None:
    """Refuse strips: a file of a few bytes can hold one that takes gigabytes as a square."""
    if max(height, width) ** 2 > MOST_SQUARE_PIXELS:
        raise DataError(
            f"it has {height} x {width} pixels, as a square more than "
            f"{MOST_SQUARE_PIXELS // 10**6} megapixels; cut out the part to look at"
        )


def _square_frame(height: int, width: int) -> tuple[int, int, int]:
    """Top, left and side of the square in which an image is centred."""
    side = max(height, width)
    return (side - height) // 2, (side - width) // 2, side


def resize(images: NDArray[Any], size: int) -> NDArray[Any]:
    """Square images ``[N, C, S, S]`` -> ``[N, C, size, size]`` of the same type.

    Shrinking takes the mean over the area that each new pixel covers, so no detail aliases and
    the mean brightness stays; growing interpolates linearly between pixel centres.

    >>> resize(np.array([[[[0, 4], [8, 12]]]], dtype=np.uint8), 1)
    array([[[[6]]]], dtype=uint8)
    """
    return round_to(stretch_to(images, size, size), images.dtype)


@lru_cache(maxsize=32)
def resize_weights(old: int, new: int) -> NDArray[np.float32]:
    """Matrix ``[new, old]`` that resizes one axis; its rows sum to 1.

    >>> resize_weights(3, 2).round(3)
    array([[0.667, 0.333, 0.   ],
           [0.   , 0.333, 0.667]], dtype=float32)
    """
    scale = old / new
    pixel = np.arange(old)
    if new < old:
        start = np.arange(new)[:, None] * scale
        overlap = np.minimum(start + scale, pixel + 1) - np.maximum(start, pixel)
        weights = overlap.clip(min=0) / scale
    else:
        centre = ((np.arange(new)[:, None] + 0.5) * scale - 0.5).clip(0, old - 1)
        weights = (1 - np.abs(centre - pixel)).clip(min=0)
    return np.asarray(weights, dtype=np.float32)
