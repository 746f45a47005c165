"""One image as a decoder gives it, before it is brought to a size."""

from typing import Any, NamedTuple

from numpy.typing import NDArray

from medxgan.data.presentation import Spacing

MOST_PIXELS = 89_478_485
"""Of one image; Pillow's own limit, for all formats."""


class Decoded(NamedTuple):
    """Pixels, and what decoding changed.

    Attributes:
        pixels: ``[C, H, W]`` uint8, uint16 or float32, square pixels.
        changes: clauses for the user's notes ("laid over black where it was transparent").
        spacing: distance of rows and columns of ``pixels``, mm, where it is known.
        stored: height and width as stored, where pixels had to be made square.
        number: which frame or slice of its file this is, from 1.
        part: that in words for names (``frame-01``); empty where a file holds one image.
    """

    pixels: NDArray[Any]
    changes: tuple[str, ...] = ()
    spacing: Spacing | None = None
    stored: tuple[int, int] | None = None
    number: int = 1
    part: str = ""

    @property
    def stored_shape(self) -> tuple[int, int]:
        """Height and width in the file: those that a mask of the image must have."""
        height, width = self.pixels.shape[1:]
        return self.stored or (int(height), int(width))

    @property
    def empty(self) -> bool:
        """Has it one value all over, so that it shows nothing?"""
        return bool(self.pixels.min() == self.pixels.max())
