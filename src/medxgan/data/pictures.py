"""Pictures: PNG, JPEG and TIFF files to pixels."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from medxgan.data.decoded import Decoded
from medxgan.data.faults import reading
from medxgan.data.formats import check_suffix
from medxgan.errors import DataError

FORMATS = ("PNG", "JPEG", "TIFF")
TRANSPARENT_MODES = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0
"""TIFF tag and its value for negatives."""
LARGEST_UINT16 = 65535


@contextmanager
def decoding() -> Iterator[None]:
    """Make Pillow refuse images of over 89 megapixels, and others' warnings of odd files silent.

    Pydicom and nibabel warn of every header that is not quite by the book; what matters in it is
    checked here. Warning filters are global, so enter this in the main thread, round all decoding.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(pydicom|nibabel|openjpeg|libjpeg)\b")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def decode_picture(path: Path) -> Decoded:
    """Decode one image file to pixels, upright, in the depth it is stored in.

    Raises:
        DataError: the file is missing, forbidden, damaged, huge, or of another kind.
    """
    check_suffix(path)
    with reading(path, "an image"), Image.open(path, formats=FORMATS) as picture:
        _refuse_white_as_zero(path, picture)
        changes = _losses(picture)
        pixels, change = _pixels(ImageOps.exif_transpose(picture))
    return Decoded(pixels, changes + change)


def decode_picture_mask(path: Path) -> NDArray[np.bool_]:
    """Decode a mask ``[H, W]``: true where a pixel is not black.

    In a JPEG, whose compression leaves faint noise, true where it is at least half bright.

    Raises:
        DataError: as `decode_picture`.
    """
    pixels = decode_picture(path).pixels
    threshold = 128 if path.suffix.lower() in (".jpg", ".jpeg") else np.finfo(np.float32).tiny
    return np.asarray((pixels >= threshold).any(axis=0))


def _refuse_white_as_zero(path: Path, picture: ImageFile.ImageFile) -> None:
    """Pillow turns such TIFFs upright in brightness at 8 bits only; deeper ones stay negatives."""
    tags = getattr(picture, "tag_v2", {})
    if picture.mode[0] in "IF" and tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        raise DataError(
            f"{path} stores white as 0 (TIFF photometric 'WhiteIsZero') in more than 8 bits; "
            "save it with black as 0"
        )


def _losses(picture: ImageFile.ImageFile) -> tuple[str, ...]:
    """What of this file cannot be kept."""
    changes: tuple[str, ...] = ()
    if getattr(picture, "n_frames", 1) > 1:
        changes += ("read from the first page of several",)
    stored = str(picture.tile[0][3]) if picture.tile else ""
    if picture.mode[0] not in "IF" and ";16" in stored:
        changes += ("read at the upper 8 of its 16 bits a colour",)
    return changes


def _pixels(picture: Image.Image) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Pixels ``[C, H, W]`` of a decoded picture, whatever its mode."""
    mode = picture.mode
    if mode == "P":
        return _palette_pixels(picture)
    if mode in TRANSPARENT_MODES:
        return _flatten(picture, "LA" if mode in ("LA", "La") else "RGBA")
    if mode in ("1", "L"):
        return np.asarray(picture.convert("L"))[None], ()
    if mode.startswith("I"):
        return _whole_numbers(np.asarray(picture))[None], ()
    if mode == "F":
        return np.asarray(picture, dtype=np.float32)[None], ()
    return np.asarray(picture.convert("RGB")).transpose(2, 0, 1), ()


def _palette_pixels(picture: Image.Image) -> tuple[NDArray[Any], tuple[str, ...]]:
    """A palette that holds only greys gives one channel, others give three."""
    if "transparency" in picture.info:
        pixels, changes = _flatten(picture, "RGBA")
    else:
        pixels, changes = np.asarray(picture.convert("RGB")).transpose(2, 0, 1), ()
    grey = bool((pixels == pixels[:1]).all())
    return (pixels[:1] if grey else pixels), changes


def _flatten(picture: Image.Image, mode: str) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Lay a transparent picture over black."""
    layers = np.asarray(picture.convert(mode)).transpose(2, 0, 1)
    pixels, opacity = layers[:-1], layers[-1:]
    if (opacity == 255).all():
        return pixels, ()
    weighted = np.rint(pixels * (opacity / 255)).astype(np.uint8)
    return weighted, ("laid over black where it was transparent",)


def _whole_numbers(pixels: NDArray[Any]) -> NDArray[np.uint16]:
    """16- or 32-bit grey values as uint16."""
    low, high = int(pixels.min()), int(pixels.max())
    if low < 0 or high > LARGEST_UINT16:
        raise ValueError(f"its pixels span {low} to {high}, 16 bits hold 0 to {LARGEST_UINT16}")
    return pixels.astype(np.uint16)
