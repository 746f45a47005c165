"""Cell nuclei as a microscope shows them: many small outlines in each of N images, drawn in tiles.

A tile is a square of pixels round one nucleus. Drawing only there makes the work depend on the
area of the nuclei, not on their number times that of the image.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from medxgan.data.shapes import Canvas, Outline

GOLDEN_ANGLE = 2.399963
"""Radians; points turned by it one after the other never line up."""


@dataclass(frozen=True)
class Nuclei:
    """K nuclei in each of N images; all tensors are ``[N, 1, K]``.

    Attributes:
        x: centre, -1 to 1 and a little beyond.
        y: centre.
        length: half of the longer axis.
        width: half of the shorter axis.
        turn: direction of the longer axis, radians.
        depth: optical density.
        longest: no nucleus is longer (half axis); it sets the size of the tiles.
        rough: how irregular the outlines are; 0 = ellipses.
        nucleoli: density of a dark dot within each nucleus, 0 = none.
    """

    x: Tensor
    y: Tensor
    length: Tensor
    width: Tensor
    turn: Tensor
    depth: Tensor
    longest: float
    rough: float = 0.0
    nucleoli: float = 0.0


@dataclass(frozen=True)
class Tiles:
    """Drawn nuclei, before they are laid on the image.

    Attributes:
        values: density of the dye, ``[N, K, T, T]``.
        row: of the middle pixel, ``[N, K]``; may lie outside the image.
        column: likewise.
        shown: bool ``[N, K]``.
        size: of the image, pixels.
    """

    values: Tensor
    row: Tensor
    column: Tensor
    shown: Tensor
    size: int

    def within(self, field: Tensor) -> Tensor:
        """The value of a field ``[N, H, W]`` under the middle of each nucleus, ``[N, K]``."""
        row, column = (place.clamp(0, self.size - 1) for place in (self.row, self.column))
        return field.flatten(1).gather(1, row * self.size + column)

    def where(self, kept: Tensor) -> "Tiles":
        """The nuclei that are kept, bool ``[N, K]``."""
        return replace(self, shown=self.shown & kept)

    def density(self) -> Tensor:
        """All nuclei on one image, ``[N, H, W]``; where two overlap, the denser one counts."""
        values = self.values * self.shown[:, :, None, None]
        reach = values.shape[-1] // 2
        pad = 2 * reach + 1
        side = self.size + 2 * pad
        steps = torch.arange(-reach, reach + 1)
        rows, columns = (
            # A nucleus too far outside to be seen stays just out of sight.
            place.clamp(-reach - 1, self.size + reach)[:, :, None] + pad + steps
            for place in (self.row, self.column)
        )
        places = rows[:, :, :, None] * side + columns[:, :, None, :]
        padded = torch.zeros(len(values), side * side)
        padded.scatter_reduce_(1, places.flatten(1), values.flatten(1), "amax")
        inner = slice(pad, pad + self.size)
        return padded.view(-1, side, side)[:, inner, inner]


def draw_nuclei(canvas: Canvas, nuclei: Nuclei) -> Tiles:
    """Outline, membrane and nucleoli of every nucleus, on a tile of its own."""
    reach = int((1 + 2 * nuclei.rough) * nuclei.longest / canvas.pixel) + 3
    steps = torch.arange(-reach, reach + 1)
    x, y, length, width, turn, depth = (
        value[:, 0, :, None, None]
        for value in (
            nuclei.x,
            nuclei.y,
            nuclei.length,
            nuclei.width,
            nuclei.turn,
            nuclei.depth,
        )
    )
    column, row = (((place + 1) / canvas.pixel).floor().long() for place in (x, y))
    across = (column + steps.view(1, -1) + 0.5) * canvas.pixel - 1 - x
    down = (row + steps.view(-1, 1) + 0.5) * canvas.pixel - 1 - y
    cos, sin = torch.cos(turn), torch.sin(turn)
    u = (cos * across + sin * down) / length
    v = (cos * down - sin * across) / width
    radius = torch.sqrt(u**2 + v**2 + 1e-12)
    outline = _outline(canvas, torch.atan2(v, u), nuclei.rough) if nuclei.rough else torch.ones(1)
    # Distance to the edge in the image's units: what is missing, over the slope of the radius.
    slope = torch.sqrt((u / length) ** 2 + (v / width) ** 2 + 1e-12) / radius
    edge = torch.sigmoid((outline - radius) / slope / (0.3 * canvas.pixel + 0.004))
    membrane = torch.exp(-(((radius / outline - 0.85) / 0.22) ** 2))
    density = 0.85 + 0.3 * membrane
    if nuclei.nucleoli:
        place = 0.7 * torch.rand(2, *x.shape, generator=canvas.random) - 0.35
        dot = torch.exp(-((u - place[0]) ** 2 + (v - place[1]) ** 2) / 0.05)
        density = density + nuclei.nucleoli * dot
    row, column = row[:, :, 0, 0], column[:, :, 0, 0]
    shown = torch.ones_like(row, dtype=torch.bool)
    return Tiles(depth * edge * density, row, column, shown, canvas.size)


def _outline(canvas: Canvas, angle: Tensor, rough: float) -> Tensor:
    """An irregular outline a nucleus, about 1, ``[N, K, T, T]``."""
    total = torch.ones_like(angle)
    for order, share in ((2, 1.0), (3, 1.0), (4, 0.5)):
        size, phase = torch.rand(2, *angle.shape[:2], 1, 1, generator=canvas.random)
        wave = torch.cos(order * angle + 2 * torch.pi * phase)
        total = total + rough * share * (2 * size - 1) * wave
    return total


def crowd(
    canvas: Canvas,
    centre: tuple[Tensor, Tensor],
    radius: Tensor,
    spacing: Tensor,
    most: int,
    outline: Outline | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Places that fill a disc, about ``spacing`` apart and out of line.

    They lie on Vogel's spiral (1979), as the seeds of a sunflower do, each a little moved.

    Args:
        canvas: to draw on.
        centre: x and y, ``[N, 1, 1]``.
        radius: of the disc, ``[N, 1, 1]``.
        spacing: ``[N, 1, 1]``.
        most: K; further places are left out.
        outline: of the disc; default: round.

    Returns:
        x and y, and whether a place lies within the disc, ``[N, 1, K]`` each.
    """
    index = torch.arange(most).view(1, 1, most)
    far = 0.56 * spacing * torch.sqrt(index + 0.5)
    turn = GOLDEN_ANGLE * index + canvas.uniform(-torch.pi, torch.pi)
    x, y = (
        middle + far * wave(turn) + 0.28 * spacing * canvas.uniform(-1, 1, most)
        for middle, wave in zip(centre, (torch.cos, torch.sin), strict=True)
    )
    return x, y, far < (radius if outline is None else radius * outline.at(turn))
