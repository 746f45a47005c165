"""Tensors to pictures: 8-bit grey, colour and palette PNGs, made without drawing a figure.

A signed map becomes indices into a table of 255 colours, whose middle entry is exactly zero; a
256th entry, mid grey, stands for values that are not finite. Both tables can be told apart by
readers with red-green blindness: purple to orange for brightness, blue to red for evidence.
"""

from base64 import b64encode
from functools import cache
from io import BytesIO
from typing import Literal

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

Bytes = NDArray[np.uint8]
ColourMap = Literal["PuOr_r", "RdBu_r"]

BRIGHTNESS: ColourMap = "PuOr_r"
EVIDENCE: ColourMap = "RdBu_r"

ZERO_INDEX = 127
NOT_FINITE_INDEX = 255
NOT_FINITE_COLOUR = (150, 150, 150)

LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in brightness (ITU-R BT.601), as where images are made grey."""


@cache
def colour_table(colours: ColourMap) -> Bytes:
    """256 RGB colours: index 0 is most negative, 127 zero, 254 most positive, 255 not finite.

    >>> table = colour_table("RdBu_r")
    >>> table.shape, len(set(table[127].tolist()))
    ((256, 3), 1)
    """
    signed = matplotlib.colormaps[colours].resampled(255)(np.arange(255), bytes=True)[:, :3]
    return np.vstack([signed, np.array([NOT_FINITE_COLOUR])]).astype(np.uint8)


def colour_indices(values: Tensor, scale: float) -> Bytes:
    """Signed map ``[H, W]`` to indices of the colour table: ``-scale`` is 0, ``scale`` is 254.

    >>> import torch
    >>> colour_indices(torch.tensor([[-9.0, 0.0, 1.0, 2.0, float("nan")]]), scale=2.0).tolist()
    [[0, 127, 190, 254, 255]]
    """
    array = values.detach().cpu().double().numpy()
    finite = np.isfinite(array)
    share = np.clip(np.where(finite, array, 0.0) / scale, -1.0, 1.0)
    indices = np.rint(ZERO_INDEX + ZERO_INDEX * share)
    return np.where(finite, indices, NOT_FINITE_INDEX).astype(np.uint8)


def map_picture(values: Tensor, scale: float, colours: ColourMap) -> Image.Image:
    """Signed map ``[H, W]`` as an opaque palette picture.

    >>> import torch
    >>> picture = map_picture(torch.tensor([[0.0, 1.0]]), 1.0, "RdBu_r").convert("RGB")
    >>> picture.getpixel((1, 0)) == tuple(colour_table("RdBu_r")[254].tolist())
    True
    """
    picture = Image.fromarray(colour_indices(values, scale))
    picture.putpalette(colour_table(colours).tobytes())
    return picture


def overlay_picture(values: Tensor, scale: float, colours: ColourMap) -> Image.Image:
    """The map of :func:`map_picture` with the colour of zero made transparent.

    On a background of the zero colour it looks like the opaque map; on the original image it
    tints only where the map is not zero. So one picture serves both views.

    >>> import torch
    >>> overlay_picture(torch.zeros(1, 1), 1.0, "RdBu_r").convert("RGBA").getpixel((0, 0))[3]
    0
    """
    table = colour_table(colours).astype(float)
    zero = table[ZERO_INDEX]
    room = np.where(table < zero, zero, 255.0 - zero)
    opacity = (np.abs(table - zero) / room).max(axis=1, keepdims=True)
    opacity[NOT_FINITE_INDEX] = 1.0
    tint = zero + (table - zero) / np.where(opacity > 0, opacity, 1.0)
    picture = Image.fromarray(colour_indices(values, scale))
    picture.putpalette(np.rint(tint.clip(0, 255)).astype(np.uint8).tobytes())
    picture.info["transparency"] = np.rint(255 * opacity[:, 0]).astype(np.uint8).tobytes()
    return picture


def intensity_picture(image: Tensor) -> Image.Image:
    """Image ``[C, H, W]`` in [-1, 1], C of 1 or 3, as 8-bit grey or RGB.

    >>> import torch
    >>> list(intensity_picture(torch.tensor([[[-1.0, 0.0, 1.0]]])).tobytes())
    [0, 128, 255]
    """
    array = image.detach().cpu().float().nan_to_num(0.0).clamp(-1, 1).numpy()
    levels = np.floor((array + 1.0) / 2.0 * 255.0 + 0.5).astype(np.uint8)
    return Image.fromarray(levels[0] if len(levels) == 1 else np.moveaxis(levels, 0, -1).copy())


def mask_picture(mask: Tensor) -> Image.Image:
    """Mask ``[H, W]`` as black and white."""
    return Image.fromarray(mask.detach().cpu().bool().numpy().astype(np.uint8) * 255)


def film_strip(frames: Tensor) -> Image.Image:
    """Frames ``[T, C, H, W]`` side by side in one picture.

    >>> import torch
    >>> film_strip(torch.zeros(5, 1, 2, 3)).size
    (15, 2)
    """
    return intensity_picture(frames.permute(1, 2, 0, 3).flatten(2))


def shrink(picture: Image.Image, largest: int) -> Image.Image:
    """The picture, area-averaged by a whole factor until no side exceeds ``largest`` pixels.

    >>> shrink(Image.new("L", (256, 256)), 128).size, shrink(Image.new("L", (64, 64)), 128).size
    ((128, 128), (64, 64))
    """
    factor = -(-max(picture.size) // largest)
    return picture.reduce(factor) if factor > 1 else picture


def png_bytes(picture: Image.Image) -> bytes:
    """The picture as a PNG file."""
    buffer = BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def data_uri(picture: Image.Image) -> str:
    """The picture as an address that a page can show without a file.

    >>> data_uri(Image.new("L", (1, 1)))[:22]
    'data:image/png;base64,'
    """
    return "data:image/png;base64," + b64encode(png_bytes(picture)).decode("ascii")


def difference_map(difference: Tensor) -> Tensor:
    """Difference ``[C, H, W]`` to the signed map that is shown: in colour, that of the luminance.

    A change of hue alone leaves it 0; :func:`colour_difference_picture` shows that.

    >>> import torch
    >>> difference_map(torch.tensor([[[1.0]], [[0.0]], [[-1.0]]]))
    tensor([[0.1850]])
    """
    if len(difference) == 1:
        return difference[0]
    return (difference * difference.new_tensor(LUMINANCE).view(3, 1, 1)).sum(dim=0)


def colour_difference_picture(difference: Tensor, scale: float) -> Image.Image:
    """Difference ``[3, H, W]`` in its own colours on mid grey, which stands for no change.

    >>> import torch
    >>> difference = torch.tensor([[[0.0, 0.5]], [[0.0, 0.0]], [[0.0, -0.5]]])
    >>> list(colour_difference_picture(difference, 0.5).tobytes())
    [128, 128, 128, 255, 128, 0]
    """
    return intensity_picture(difference / scale)


def evidence_map(attribution: Tensor) -> Tensor:
    """Attribution ``[C, H, W]`` to the signed map that is shown: the sum over channels.

    >>> import torch
    >>> evidence_map(torch.tensor([[[1.0]], [[-1.0]], [[3.0]]]))
    tensor([[3.]])
    """
    return attribution.sum(dim=0)
