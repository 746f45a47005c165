"""Histology: what grows in tissue, and how the stained slide looks in transmitted light."""

from typing import NamedTuple

import torch
from torch import Tensor

from medxgan.data.nuclei import Nuclei, crowd, draw_nuclei
from medxgan.data.phantom_tasks import HIGHEST_VALUE, Findings, Shown
from medxgan.data.phantom_tissue import Tissue, draw_tissue
from medxgan.data.shapes import Canvas, Frame, Outline

HAEMATOXYLIN = (0.5626, 0.7201, 0.4062)
EOSIN = (0.2159, 0.8012, 0.5581)
"""Optical density of red, green and blue (the reference of Macenko et al., ISBI 2009)."""

LARGEST_RADIUS = 0.42
MOST_TUMOUR_CELLS = 52
MOST_DEBRIS = 60


class Growth(NamedTuple):
    """Tissue with something grown in it, and where: a mask, bool ``[N, H, W]``."""

    tissue: Tissue
    mask: Tensor


def draw_histology(canvas: Canvas, names: tuple[str, ...], findings: Findings) -> Shown:
    """N subjects ``[N, 3, H, W]`` in [0, 1], with and without what they show, and its mask.

    Args:
        canvas: to draw on.
        names: of the classes.
        findings: what each subject shows.
    """
    tissue = draw_tissue(canvas)
    slide = Slide(canvas)
    healthy = slide.seen(tissue)
    diseased, mask = healthy, torch.zeros_like(tissue.empty, dtype=torch.bool)
    for index, name in enumerate(names[1:], start=1):
        growth = _grow(canvas, name, tissue, findings.values)
        mine = (findings.labels == index).view(-1, 1, 1)
        diseased = torch.where(mine[:, None], slide.seen(growth.tissue), diseased)
        mask = mask | (growth.mask & mine)
    return Shown(diseased, healthy, mask)


def _grow(canvas: Canvas, name: str, tissue: Tissue, values: Tensor | None) -> Growth:
    if name == "necrosis":
        return add_necrosis(canvas, tissue, canvas.uniform(0.34, 0.50))
    atypia = canvas.uniform(0.8, 1.0)
    if values is None:
        return add_tumour(canvas, tissue, canvas.uniform(0.28, 0.44), atypia)
    area = values.view(-1, 1, 1) / HIGHEST_VALUE / atypia
    return add_tumour(canvas, tissue, LARGEST_RADIUS * area.sqrt(), atypia)


def add_tumour(canvas: Canvas, tissue: Tissue, radius: Tensor, atypia: Tensor) -> Growth:
    """Crowded cells whose nuclei are large, dark and irregular, with nucleoli.

    Args:
        canvas: to draw on.
        tissue: in which it grows.
        radius: of the cluster, ``[N, 1, 1]``.
        atypia: size of its nuclei, 1 = the largest, ``[N, 1, 1]``.
    """
    centre, outline, region = _region(canvas, radius)
    eosin = canvas.uniform(0.28, 0.50) * (1 + canvas.smooth_field(10, 0.12))
    haematoxylin = canvas.uniform(0.12, 0.28) * (1 + canvas.smooth_field(10, 0.15))
    most = MOST_TUMOUR_CELLS
    spacing = canvas.uniform(0.155, 0.185) * atypia
    x, y, within = crowd(canvas, centre, 0.92 * radius, spacing, most, outline)
    length = canvas.uniform(0.066, 0.118, most) * atypia
    nuclei = Nuclei(
        x=x,
        y=y,
        length=length,
        width=length * canvas.uniform(0.6, 0.95, most),
        turn=canvas.uniform(-torch.pi, torch.pi, most),
        depth=canvas.uniform(0.75, 1.4, most) * canvas.uniform(0.8, 1.15),
        longest=0.118,
        rough=0.12,
        nucleoli=0.4,
    )
    tiles = draw_nuclei(canvas, nuclei).where(within[:, 0])
    grown = tissue.replaced(region, eosin, haematoxylin).with_nuclei(tiles)
    return Growth(grown, (region > 0.5) | (tiles.density() > 0.3))


def add_necrosis(canvas: Canvas, tissue: Tissue, radius: Tensor) -> Growth:
    """Dead cells: pink without fibres, nuclei gone or pale, and their dust."""
    centre, outline, region = _region(canvas, radius)
    eosin = canvas.uniform(0.50, 0.68) * (1 + canvas.smooth_field(24, 0.10))
    haematoxylin = canvas.uniform(0.03, 0.09)
    most = MOST_DEBRIS
    x, y, within = crowd(canvas, centre, 0.94 * radius, canvas.uniform(0.13, 0.16), most, outline)
    ghost = canvas.uniform(0, 1, most) < 0.25
    size = torch.where(ghost, canvas.uniform(0.05, 0.075, most), canvas.uniform(0.012, 0.03, most))
    nuclei = Nuclei(
        x=x,
        y=y,
        length=size,
        width=size * canvas.uniform(0.6, 1.0, most),
        turn=canvas.uniform(-torch.pi, torch.pi, most),
        depth=torch.where(ghost, canvas.uniform(0.12, 0.3, most), canvas.uniform(0.7, 1.3, most)),
        longest=0.075,
    )
    tiles = draw_nuclei(canvas, nuclei).where(within[:, 0])
    return Growth(tissue.replaced(region, eosin, haematoxylin).with_nuclei(tiles), region > 0.5)


def _region(canvas: Canvas, radius: Tensor) -> tuple[tuple[Tensor, Tensor], Outline, Tensor]:
    """Centre, rough outline and opacity ``[N, H, W]`` of what grows; exactly 0 outside."""
    centre = canvas.uniform(-0.62, 0.62), canvas.uniform(-0.62, 0.62)
    outline = Outline(canvas, (2, 3, 5), 0.14)
    frame = Frame(canvas.frame.x - centre[0], canvas.frame.y - centre[1])
    far, angle = frame.polar(torch.ones(1, 1, 1), torch.ones(1, 1, 1))
    inside = (radius * outline.at(angle) - far) / (0.5 * canvas.pixel + 0.012)
    return centre, outline, ((torch.sigmoid(inside) - 0.02) / 0.96).clamp(0, 1)


class Slide:
    """One stain, lamp and camera a subject, the same for the tissue with and without a lesion."""

    def __init__(self, canvas: Canvas) -> None:
        self.chromatin = (1 + canvas.smooth_field(36, 0.12)).clamp(0.5, 1.5)
        self.dyes = [
            canvas.uniform(low, high)[..., None]
            * torch.tensor(colour).view(1, 3, 1, 1)
            * canvas.uniform(0.9, 1.1, 3).view(-1, 3, 1, 1)
            for colour, low, high in ((HAEMATOXYLIN, 0.8, 1.6), (EOSIN, 0.8, 1.7))
        ]
        self.white = canvas.uniform(0.93, 0.99, 3).view(-1, 3, 1, 1)
        self.noise = 0.012 * torch.stack([canvas.normal() for _ in range(3)], dim=1)

    def seen(self, tissue: Tissue) -> Tensor:
        """Transmitted light by Lambert and Beer's law, ``[N, 3, H, W]`` in [0, 1]."""
        nuclei = torch.stack([layer.density() for layer in tissue.nuclei]).amax(dim=0)
        cytoplasm = 1 - nuclei.clamp(max=1)
        haematoxylin = nuclei * self.chromatin + tissue.haematoxylin * (0.3 + 0.7 * cytoplasm)
        eosin = tissue.eosin * (0.7 + 0.3 * cytoplasm)
        density = haematoxylin[:, None] * self.dyes[0] + eosin[:, None] * self.dyes[1]
        return (self.white * torch.exp(-density) + self.noise).clamp(0, 1)
