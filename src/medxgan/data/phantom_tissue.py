"""Healthy tissue: stroma, glands and lymphocytes, as the density of two dyes.

Fibres and cytoplasm take up eosin (pink), nuclei haematoxylin (purple-blue). Lymphocytes occur
scattered and crowded, in every class: small, round and dark, a crowd is as blue as a tumour.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from medxgan.data.nuclei import Nuclei, Tiles, crowd, draw_nuclei
from medxgan.data.shapes import Canvas, Frame, Outline

NUCLEI_ACROSS = 9
MOST_IN_A_GLAND = 26
MOST_IN_A_CROWD = 84
SCATTERED = 14


@dataclass(frozen=True)
class Tissue:
    """N subjects.

    Attributes:
        eosin: density in fibres and cytoplasm, ``[N, H, W]``.
        haematoxylin: density in cytoplasm, ``[N, H, W]``.
        empty: opacity of what holds no cells, gaps and the lumen of glands, ``[N, H, W]``.
        nuclei: layers of them.
    """

    eosin: Tensor
    haematoxylin: Tensor
    empty: Tensor
    nuclei: tuple[Tiles, ...]

    def replaced(self, region: Tensor, eosin: Tensor, haematoxylin: Tensor) -> "Tissue":
        """Other cytoplasm in a region (opacity ``[N, H, W]``), and no nuclei of before in it."""
        return Tissue(
            self.eosin + (eosin - self.eosin) * region,
            self.haematoxylin + (haematoxylin - self.haematoxylin) * region,
            self.empty * (1 - region),
            tuple(layer.where(layer.within(region) < 0.3) for layer in self.nuclei),
        )

    def with_nuclei(self, *layers: Tiles) -> "Tissue":
        """More nuclei."""
        return replace(self, nuclei=(*self.nuclei, *layers))


def draw_tissue(canvas: Canvas) -> Tissue:
    """Stroma, up to two glands, up to two crowds of lymphocytes and some single ones."""
    tissue = _stroma(canvas)
    for chance in (0.6, 0.4):
        tissue = _add_gland(canvas, tissue, chance)
    tissue = tissue.with_nuclei(
        *(_lymphocyte_crowd(canvas, tissue, chance) for chance in (0.65, 0.45, 0.3))
    )
    return tissue.with_nuclei(_single_lymphocytes(canvas, tissue))


def _stroma(canvas: Canvas) -> Tissue:
    """Wavy bundles of collagen with gaps between them, and the long nuclei that lie along them."""
    turn = canvas.uniform(-torch.pi, torch.pi)
    across = torch.cos(turn) * canvas.frame.y - torch.sin(turn) * canvas.frame.x
    across = across + canvas.smooth_field(3, 0.09)
    fibres = torch.zeros_like(across)
    for wavelength, share in ((0.36, 0.5), (0.21, 0.35), (0.11, 0.25)):
        resolved = 2.0 ** -((2 * canvas.pixel / wavelength) ** 2)
        phase = canvas.smooth_field(4, 0.5) + canvas.uniform(-torch.pi, torch.pi)
        strength = share * resolved * (1 + canvas.smooth_field(4, 0.4))
        fibres = fibres + strength * torch.cos(2 * torch.pi * across / wavelength + phase)
    empty = torch.sigmoid((canvas.uniform(-0.95, -0.4) - fibres) / 0.07)
    eosin = canvas.uniform(0.42, 0.62) * (1 + 0.3 * fibres + canvas.smooth_field(9, 0.1))
    haematoxylin = 0.07 * (1 + canvas.smooth_field(6, 0.3))

    places = NUCLEI_ACROSS**2
    pitch = 2.3 / NUCLEI_ACROSS
    ticks = (torch.arange(NUCLEI_ACROSS) - (NUCLEI_ACROSS - 1) / 2) * pitch
    length = canvas.uniform(0.055, 0.095, places)
    nuclei = Nuclei(
        x=ticks.repeat(NUCLEI_ACROSS) + 0.4 * pitch * canvas.uniform(-1, 1, places),
        y=ticks.repeat_interleave(NUCLEI_ACROSS) + 0.4 * pitch * canvas.uniform(-1, 1, places),
        length=length,
        width=length * canvas.uniform(0.28, 0.5, places),
        turn=turn + canvas.uniform(-0.35, 0.35, places),
        depth=canvas.uniform(0.75, 1.15, places),
        longest=0.095,
    )
    kept = canvas.uniform(0, 1, places) < canvas.uniform(0.05, 0.85)
    return Tissue(
        eosin=(eosin * (1 - 0.85 * empty)).clamp(min=0),
        haematoxylin=(haematoxylin * (1 - empty)).clamp(min=0),
        empty=empty,
        nuclei=(draw_nuclei(canvas, nuclei).where(kept[:, 0]),),
    )


def _add_gland(canvas: Canvas, tissue: Tissue, chance: float) -> Tissue:
    """A ring of cells round a lumen, their nuclei at the outer end; not in every subject."""
    shown = canvas.uniform(0, 1) < chance
    x, y = canvas.uniform(-0.95, 0.95), canvas.uniform(-0.95, 0.95)
    radius, aspect = canvas.uniform(0.27, 0.44), canvas.uniform(0.75, 1.3)
    outline = Outline(canvas, (2, 3, 5), 0.09)
    frame = Frame(canvas.frame.x - x, canvas.frame.y - y)
    distance, angle = frame.polar(radius, radius * aspect)
    edge = outline.at(angle)
    soft = 0.5 * canvas.pixel + 0.006
    whole = shown * torch.sigmoid((edge - distance) * radius / soft)
    opening = canvas.uniform(0.25, 0.5) * (2 * edge - 1)
    lumen = shown * torch.sigmoid((opening - distance) * radius / (soft + 0.012))
    cleft = shown * torch.exp(-(((distance - edge - 0.04) * radius / 0.022) ** 2))
    mucin = canvas.uniform(0.0, 0.10)
    eosin = canvas.uniform(0.26, 0.42) * (1 + canvas.smooth_field(12, 0.12))
    haematoxylin = canvas.uniform(0.10, 0.24)

    most = MOST_IN_A_GLAND
    index = torch.arange(most).view(1, 1, most)
    spacing = canvas.uniform(0.095, 0.125)
    count = (2 * torch.pi * 0.78 * radius / spacing).floor().clamp(max=most)
    direction = 2 * torch.pi * index / count + canvas.uniform(-0.06, 0.06, most)
    far = 0.78 * radius * outline.at(direction) + canvas.uniform(-0.025, 0.02, most)
    length = canvas.uniform(0.055, 0.078, most)
    nuclei = Nuclei(
        x=x + far * torch.cos(direction),
        y=y + aspect * far * torch.sin(direction),
        length=length,
        width=length * canvas.uniform(0.55, 0.75, most),
        turn=direction + canvas.uniform(-0.25, 0.25, most),
        depth=canvas.uniform(0.75, 1.1, most),
        longest=0.078,
    )
    around = replace(tissue, eosin=tissue.eosin * (1 - 0.6 * cleft))
    grown = around.replaced(
        whole,
        eosin + (mucin - eosin) * lumen,
        haematoxylin + (0.3 * mucin - haematoxylin) * lumen,
    )
    grown = replace(grown, empty=torch.maximum(grown.empty, lumen))
    kept = (index < count) & shown
    return grown.with_nuclei(draw_nuclei(canvas, nuclei).where(kept[:, 0]))


def _lymphocyte_crowd(canvas: Canvas, tissue: Tissue, chance: float) -> Tiles:
    """Lymphocytes side by side, as many and as dark as the cells of a tumour."""
    shown = canvas.uniform(0, 1) < chance
    centre = (canvas.uniform(-0.9, 0.9), canvas.uniform(-0.9, 0.9))
    radius, spacing = canvas.uniform(0.14, 0.56), canvas.uniform(0.09, 0.125)
    x, y, within = crowd(canvas, centre, radius, spacing, MOST_IN_A_CROWD)
    return _lymphocytes(canvas, tissue, x, y, within & shown)


def _single_lymphocytes(canvas: Canvas, tissue: Tissue) -> Tiles:
    x, y = canvas.uniform(-1, 1, SCATTERED), canvas.uniform(-1, 1, SCATTERED)
    kept = canvas.uniform(0, 1, SCATTERED) < canvas.uniform(0.0, 0.8)
    return _lymphocytes(canvas, tissue, x, y, kept)


def _lymphocytes(canvas: Canvas, tissue: Tissue, x: Tensor, y: Tensor, kept: Tensor) -> Tiles:
    """Small round dark nuclei; none in gaps and lumens."""
    count = x.shape[2]
    size = canvas.uniform(0.040, 0.052, count)
    nuclei = Nuclei(
        x=x,
        y=y,
        length=size,
        width=size * canvas.uniform(0.85, 1.0, count),
        turn=canvas.uniform(-torch.pi, torch.pi, count),
        depth=canvas.uniform(1.1, 1.5, count),
        longest=0.052,
    )
    tiles = draw_nuclei(canvas, nuclei)
    return tiles.where(kept[:, 0] & (tiles.within(tissue.empty) < 0.5))
