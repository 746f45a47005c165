"""Numbers to pictures with NumPy and Pillow alone, in the colours of the HTML report.

``medxgan.report.figures`` does the same with tensors, for the report; a test holds the two alike.
"""

from functools import cache
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from medxgan.errors import DataError
from medxgan.viewer.arrays import Floats
from medxgan.viewer.panes import Pane

Bytes = NDArray[np.uint8]

PURPLE_ORANGE = "2d004b 542788 8073ac b2abd2 d8daeb f7f7f7 fee0b6 fdb863 e08214 b35806 7f3b08"
BLUE_RED = "053061 2166ac 4393c3 92c5de d1e5f0 f7f7f7 fddbc7 f4a582 d6604d b2182b 67001f"
"""ColorBrewer's PuOr and RdBu, reversed: for brightness and for evidence."""
ENTRIES, ZERO, NOT_FINITE = 255, 127, 255
NOT_FINITE_COLOUR = (150, 150, 150)
LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)
THUMBNAIL_SIDE = 128
FRAME_MILLISECONDS = 120
LONGEST_FILM_SIDE = 512
NOT_FOR_CLINICAL_USE = "Not for clinical use."


@cache
def colour_table(colours: str) -> Bytes:
    """256 RGB colours: 0 is most negative, 127 zero, 254 most positive, 255 not finite.

    >>> colour_table(BLUE_RED)[[0, 127, 254]].tolist()
    [[5, 48, 97], [247, 247, 247], [103, 0, 31]]
    """
    stops = np.array([list(bytes.fromhex(stop)) for stop in colours.split()], dtype=float)
    places = np.linspace(0, len(stops) - 1, ENTRIES)
    channels = [np.interp(places, range(len(stops)), stops[:, channel]) for channel in range(3)]
    table = np.vstack([np.stack(channels, axis=1), NOT_FINITE_COLOUR])
    rounded: Bytes = np.rint(table).astype(np.uint8)
    return rounded


def intensity_levels(image: Floats, low: float = -1.0, high: float = 1.0) -> Bytes:
    """Image ``[C, H, W]`` to bytes ``[H, W]`` or ``[H, W, 3]``: ``low`` is black, ``high`` white.

    >>> intensity_levels(np.array([[[-1.0, 0.0, 1.0]]])).tolist()
    [[0, 128, 255]]
    """
    share = np.clip((image - low) / (high - low), 0.0, 1.0)
    levels = np.floor(share * 255.0 + 0.5).astype(np.uint8)
    flat: Bytes = levels[0] if len(levels) == 1 else np.moveaxis(levels, 0, -1)
    return np.ascontiguousarray(flat)


def pane_picture(
    pane: Pane, values: Floats, *, low: float = -1.0, high: float = 1.0, scale: float | None = None
) -> Image.Image:
    """One pane as the report shows it.

    Args:
        pane: says how numbers become colours.
        values: its array, ``[C, H, W]``; of a mask ``[H, W]`` or ``[1, H, W]``.
        low: intensity that is black.
        high: intensity that is white.
        scale: end of the colour scale of a map; the pane's own where None.

    Raises:
        DataError: the window or the scale is empty.
    """
    if not low < high:
        raise DataError(f"the window must rise from low to high, got {low:g} to {high:g}")
    end = pane.scale if scale is None else scale
    match pane.kind:
        case "intensity":
            return Image.fromarray(intensity_levels(values, low, high))
        case "mask":
            flat = values.reshape(values.shape[-2:])
            return Image.fromarray(np.where(flat > 0, 255, 0).astype(np.uint8))
        case _:
            if end is None or not end > 0:
                raise DataError(f"the end of a colour scale must be above 0, got {end}")
            colours = PURPLE_ORANGE if pane.kind == "difference" else BLUE_RED
            return _map_picture(flat_map(pane, values), end, colours)


def flat_map(pane: Pane, values: Floats) -> Floats:
    """A map ``[C, H, W]`` as it is shown, ``[H, W]``: a difference as luminance, evidence summed.

    >>> flat_map(Pane("ig", "IG", "evidence", "attribution-ig"), np.ones((3, 1, 1)))
    array([[3.]])
    """
    if len(values) == 1 or pane.kind != "difference":
        summed: Floats = values.sum(axis=0)
        return summed
    luminance: Floats = np.tensordot(LUMINANCE, values, axes=1)
    return luminance


def thumbnail(image: Floats) -> Image.Image:
    """A small picture of an image ``[C, H, W]`` in [-1, 1]."""
    picture = Image.fromarray(intensity_levels(image))
    factor = -(-max(picture.size) // THUMBNAIL_SIDE)
    return picture.reduce(factor) if factor > 1 else picture


def enlarged(picture: Image.Image, factor: int) -> Image.Image:
    """The picture with every pixel as a square of so many pixels."""
    if factor == 1:
        return picture
    width, height = picture.size
    return picture.resize((factor * width, factor * height), Image.Resampling.NEAREST)


def png_bytes(picture: Image.Image, description: str) -> bytes:
    """The picture as a PNG file that says what it is."""
    text = PngImagePlugin.PngInfo()
    text.add_itxt("Description", f"{description} {NOT_FOR_CLINICAL_USE}")
    buffer = BytesIO()
    picture.save(buffer, format="PNG", pnginfo=text)
    return buffer.getvalue()


def gif_bytes(frames: Floats, description: str) -> bytes:
    """A film ``[T, C, H, W]`` as a GIF that plays there and back again for ever."""
    factor = max(1, LONGEST_FILM_SIDE // (2 * max(frames.shape[-2:])))
    pictures = [
        enlarged(Image.fromarray(intensity_levels(frame)), factor)
        for frame in [*frames, *frames[-2:0:-1]]
    ]
    buffer = BytesIO()
    pictures[0].save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=FRAME_MILLISECONDS,
        loop=0,
        comment=f"{description} {NOT_FOR_CLINICAL_USE}".encode("ascii", "replace")[:255],
    )
    return buffer.getvalue()


def _map_picture(values: Floats, scale: float, colours: str) -> Image.Image:
    finite = np.isfinite(values)
    share = np.clip(np.where(finite, values, 0.0) / scale, -1.0, 1.0)
    indices = np.where(finite, np.rint(ZERO + ZERO * share), NOT_FINITE).astype(np.uint8)
    picture = Image.fromarray(indices)
    picture.putpalette(colour_table(colours).tobytes())
    return picture
