"""Single images: PNG, JPEG and TIFF to pixels, and pictures back to PNG."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps
from torch import Tensor

from medxgan.atomic import atomic_file
from medxgan.data.faults import about, check_shape_request, reading
from medxgan.data.files import list_files
from medxgan.data.geometry import fit
from medxgan.data.intensity import (
    Limits,
    check_pixels,
    from_signed,
    limits_note,
    storage_limits,
    to_signed,
)
from medxgan.errors import DataError
from medxgan.types import Sample

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff"})
FORMATS = ("PNG", "JPEG", "TIFF")
TRANSPARENT_MODES = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0
"""TIFF tag and its value for negatives."""
LARGEST_UINT16 = 65535


class Decoded(NamedTuple):
    """Pixels ``[C, H, W]`` uint8, uint16 or float32, and what decoding changed."""

    pixels: NDArray[Any]
    changes: tuple[str, ...]


def read_image(
    path: str | Path,
    *,
    size: int | None = None,
    channels: int | None = None,
    limits: Limits | None = None,
) -> Sample:
    """Read one PNG, JPEG or TIFF image.

    The image is turned upright as its EXIF orientation says and padded to a square where it is
    none. Grey, colour, palette and transparent images (laid over black) of 8 or 16 bits and
    floating-point TIFFs in [0, 1] or [-1, 1] can be read.

    Args:
        path: the image file.
        size: height and width to resize to, pixels; default: as stored.
        channels: 1 (grey) or 3 (colour); default: as stored.
        limits: stored values of a 16-bit image that become -1 and +1: those of the training data,
            since one image cannot tell its depth. Images of 8 bits and of floating point have
            their own; default for all: see `medxgan.data.intensity`.

    Returns:
        The image ``[C, H, W]`` float32 in [-1, 1]; ``notes`` says what was changed.

    Raises:
        DataError: the file is missing, forbidden, damaged, constant, or of another kind.
        ConfigError: ``size`` or ``channels`` cannot be had.

    >>> import torch
    >>> from tempfile import TemporaryDirectory
    >>> ramp = torch.linspace(-1, 1, 64).view(1, 8, 8)
    >>> with TemporaryDirectory() as folder:
    ...     write_image(Path(folder, "ramp.png"), ramp)
    ...     sample = read_image(Path(folder, "ramp.png"), channels=3)
    >>> sample.name, tuple(sample.image.shape), sample.notes
    ('ramp', (3, 8, 8), ('image made colour by repeating the grey channel',))
    """
    check_shape_request(size, channels)
    path = Path(path)
    with refuse_bombs():
        decoded = decode(path)
    low, high = check_pixels(decoded.pixels[None], [str(path)])
    fitted = fit(decoded.pixels[None], size, channels)
    notes = tuple(f"image {change}" for change in decoded.changes + fitted.changes)
    if limits is None or decoded.pixels.dtype != np.uint16:
        with about(path):
            limits = storage_limits(decoded.pixels.dtype, low, high)
        notes += limits_note(decoded.pixels.dtype, limits)
    return Sample(to_signed(fitted.images[0], limits), path.stem, notes)


def write_image(path: str | Path, image: Tensor) -> None:
    """Write ``[C, H, W]`` in [-1, 1], C = 1 or 3, as an 8-bit PNG; missing folders are made.

    Raises:
        OutputError: no permission or no space; nothing is left half-written.
    """
    pixels = from_signed(image, (0, 255), np.uint8)
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    with atomic_file(Path(path)) as file:
        picture.save(file, format="PNG")


def image_files(path: str | Path) -> list[Path]:
    """The images a path stands for: the file itself, or all in a folder and below, sorted.

    ``masks`` and ``twins`` folders directly in it are left out.

    Raises:
        DataError: nothing is there that can be read.
    """
    root = Path(path)
    if root.is_file():
        check_suffix(root)
        return [root]
    found = [
        file
        for file in list_files(root)
        if is_image(file) and file.relative_to(root).parts[0] not in ("masks", "twins")
    ]
    if not found:
        raise DataError(f"{root} holds no PNG, JPEG or TIFF images; check the path")
    return found


def is_image(path: Path) -> bool:
    """Does the name end as one of the image formats does?

    >>> is_image(Path("scan.TIF")), is_image(Path("scan.dcm"))
    (True, False)
    """
    return path.suffix.lower() in IMAGE_SUFFIXES


def check_suffix(path: Path) -> None:
    """Refuse a file whose name says that it is no image that can be read.

    Raises:
        DataError: names the formats that can be read.

    >>> check_suffix(Path("scan.dcm"))
    Traceback (most recent call last):
    medxgan.errors.DataError: scan.dcm is of type '.dcm', which cannot be read as an image; \
convert it to PNG, JPEG or TIFF
    """
    if not is_image(path):
        raise DataError(
            f"{path} is of type '{path.suffix}', which cannot be read as an image; "
            "convert it to PNG, JPEG or TIFF"
        )


@contextmanager
def refuse_bombs() -> Iterator[None]:
    """Make Pillow refuse images of over 89 megapixels instead of only warning.

    Warning filters are global, so enter this in the main thread, round all decoding.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def decode(path: Path) -> Decoded:
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


def decode_mask(path: Path) -> NDArray[np.bool_]:
    """Decode a mask ``[H, W]``: true where a pixel is not black.

    In a JPEG, whose compression leaves faint noise, true where it is at least half bright.

    Raises:
        DataError: as `decode`.
    """
    pixels = decode(path).pixels
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
