"""What lies on the anatomy of brains and chests: distractors in all subjects, lesions in some."""

from collections.abc import Callable

import torch
from torch import Tensor

from medxgan.data.phantom_anatomy import Anatomy
from medxgan.data.phantom_tasks import HIGHEST_VALUE, Findings, Shown
from medxgan.data.shapes import Canvas, blob, rim, streak

LARGEST_RADIUS = 0.22
STRONGEST_CONTRAST = 0.34

Lesion = tuple[Tensor, Tensor]
"""What it adds to the image, ``[N, H, W]``, and its mask, bool ``[N, H, W]``."""


def add_distractors(canvas: Canvas, anatomy: Anatomy) -> Anatomy:
    """Up to two vessels and two dots a subject, as bright or dark as lesions, in both classes."""
    image = anatomy.image
    for shape, chance in ((streak, 0.65), (streak, 0.3), (_dot, 0.6), (_dot, 0.4)):
        drawn = shape(canvas, canvas.centre_in(anatomy.site))
        shown = (canvas.uniform(0, 1) < chance).float()
        image = image + shown * _contrast(canvas) * drawn
    return anatomy._replace(image=image)


def _dot(canvas: Canvas, centre: tuple[Tensor, Tensor]) -> Tensor:
    """A vessel seen end on: round, a third of a lesion's width."""
    return blob(canvas, centre, canvas.uniform(0.035, 0.055), roughness=0.0)


def solid_lesion(canvas: Canvas, anatomy: Anatomy) -> Lesion:
    """One blob a subject with an irregular outline and an uneven inside."""
    centre = canvas.centre_in(anatomy.site)
    shape = blob(canvas, centre, canvas.uniform(0.14, 0.22), roughness=0.14)
    uneven = 1 + canvas.smooth_field(8, 0.10)
    return _contrast(canvas) * uneven * shape, shape > 0.5


def ring_lesion(canvas: Canvas, anatomy: Anatomy) -> Lesion:
    """A rim round a core of the other contrast; the core belongs to the lesion."""
    centre = canvas.centre_in(anatomy.site)
    whole, core = rim(canvas, centre, canvas.uniform(0.17, 0.24), roughness=0.10)
    uneven = 1 + canvas.smooth_field(8, 0.10)
    return _contrast(canvas) * uneven * (whole - 1.6 * core), whole > 0.5


def lobar_lesion(canvas: Canvas, anatomy: Anatomy) -> Lesion:
    """A wide change of one lung with a soft margin: consolidated if brighter, overinflated if not.

    It fills the lung only where heart and spine do not cover it.
    """
    centre = canvas.centre_in(anatomy.site)
    shape = blob(canvas, centre, canvas.uniform(0.30, 0.42), roughness=0.14, margin=0.05)
    side = torch.sigmoid(centre[0].sign() * canvas.frame.x / 0.02)
    filled = (shape * side * anatomy.lungs - 0.02).clamp(min=0) / 0.98  # it ends somewhere
    uneven = 1 + canvas.smooth_field(8, 0.25)
    return 0.7 * _contrast(canvas) * uneven * filled, filled > 0.5


def graded_lesion(canvas: Canvas, anatomy: Anatomy, values: Tensor) -> Lesion:
    """A blob as severe as its value ``[N]``: 4 (area / largest area) (contrast / strongest)."""
    contrast = _contrast(canvas)
    aspect = canvas.uniform(0.8, 1.25)
    area = values.view(-1, 1, 1) / HIGHEST_VALUE * STRONGEST_CONTRAST / contrast.abs()
    radius = LARGEST_RADIUS * (area / aspect).sqrt()
    # A healthy subject has the value 0, and a blob of no size cannot be drawn: it is not shown.
    radius = radius.clamp(min=canvas.pixel)
    shape = blob(canvas, canvas.centre_in(anatomy.site), radius, roughness=0.14, aspect=aspect)
    return contrast * (1 + canvas.smooth_field(8, 0.10)) * shape, shape > 0.5


LESIONS: dict[str, Callable[[Canvas, Anatomy], Lesion]] = {
    "lesion": solid_lesion,
    "focal": solid_lesion,
    "nodule": solid_lesion,
    "ring": ring_lesion,
    "lobar": lobar_lesion,
}
"""How the findings that have a name are drawn."""


def _contrast(canvas: Canvas) -> Tensor:
    """Signed contrast in units of the full grey scale: bright and dark are equally likely."""
    sign = torch.where(canvas.uniform(0, 1) < 0.5, -1.0, 1.0)
    bright = canvas.uniform(0.22, STRONGEST_CONTRAST)
    dark = canvas.uniform(0.22, STRONGEST_CONTRAST)
    return torch.where(sign > 0, bright, -dark)


def add_lesions(
    canvas: Canvas, anatomy: Anatomy, names: tuple[str, ...], findings: Findings
) -> Shown:
    """Give every subject what it is to show.

    Args:
        canvas: to draw on.
        anatomy: healthy subjects.
        names: of the classes.
        findings: what each subject shows.
    """
    change = torch.zeros_like(anatomy.image)
    mask = torch.zeros_like(anatomy.site)
    for index, name in enumerate(names[1:], start=1):
        if findings.values is None:
            drawn, drawn_mask = LESIONS[name](canvas, anatomy)
        else:
            drawn, drawn_mask = graded_lesion(canvas, anatomy, findings.values)
        mine = (findings.labels == index).view(-1, 1, 1)
        change = torch.where(mine, drawn, change)
        mask = mask | (drawn_mask & mine)
    return Shown(anatomy.image + change, anatomy.image, mask)
