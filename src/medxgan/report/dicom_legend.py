"""A map in colours with what it is written below it: the pixels of a Secondary Capture."""

from collections.abc import Sequence
from textwrap import wrap

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from medxgan.report.figures import Bytes, ColourMap, colour_table, map_picture

LEAST_WIDTH = 240
"""Columns that the legend needs; narrower maps get empty ones on their right."""
LEAST_TEXT, COLUMNS_A_TEXT_PIXEL = 11, 36
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def captioned_map(
    values: np.ndarray, scale: float, colours: ColourMap, above: Sequence[str], below: Sequence[str]
) -> Bytes:
    """A map with its legend under it.

    Args:
        values: ``[rows, columns]``, signed.
        scale: value at the ends of the colour bar.
        colours: colour map.
        above: lines between the map and the colour bar.
        below: lines under the colour bar; its first says the unit.

    Returns:
        RGB ``[rows + legend, columns or more, 3]``; the map fills the upper left corner, pixel by
        pixel, so that whatever places its first pixel places all.

    >>> picture = captioned_map(np.eye(300, dtype=np.float32), 1.0, "RdBu_r", ["LIG"], ["units"])
    >>> picture.shape[1], picture[0, 0].tolist() == colour_table("RdBu_r")[254].tolist()
    (300, True)
    """
    rows, columns = values.shape
    width = max(columns, LEAST_WIDTH)
    legend = _legend(width, scale, colours, above, below)
    picture = Image.new("RGB", (width, rows + legend.height), BLACK)
    picture.paste(map_picture(torch.from_numpy(values), scale, colours).convert("RGB"), (0, 0))
    picture.paste(legend, (0, rows))
    return np.asarray(picture)


def _legend(
    width: int, scale: float, colours: ColourMap, above: Sequence[str], below: Sequence[str]
) -> Image.Image:
    size = max(LEAST_TEXT, width // COLUMNS_A_TEXT_PIXEL)
    font = ImageFont.load_default(size)
    line, margin = round(1.4 * size), size // 2
    room = int((width - 2 * margin) / (0.55 * size))
    first = [part for text in above for part in wrap(text, room, break_on_hyphens=False)]
    last = [part for text in below for part in wrap(text, room, break_on_hyphens=False)]
    height = 2 * margin + line * (len(first) + len(last) + 2) + margin
    legend = Image.new("RGB", (width, height), BLACK)
    pen = ImageDraw.Draw(legend)
    pen.line((0, 0, width, 0), fill=WHITE)
    top = margin
    for text in first:
        pen.text((margin, top), text, fill=WHITE, font=font)
        top += line
    bar = Image.fromarray(colour_table(colours)[None, :255]).resize((width - 2 * margin, line))
    legend.paste(bar, (margin, top))
    top += line
    ends = ((margin, f"{-scale:.3g}", "la"), (width // 2, "0", "ma"))
    for left, text, anchor in (*ends, (width - margin, f"{scale:.3g}", "ra")):
        pen.text((left, top), text, fill=WHITE, font=font, anchor=anchor)
    top += line
    for text in last:
        pen.text((margin, top), text, fill=WHITE, font=font)
        top += line
    return legend
