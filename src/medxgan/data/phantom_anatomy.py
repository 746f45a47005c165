"""Healthy anatomy in shades of grey: an axial brain slice, a frontal chest radiograph."""

from typing import NamedTuple

import torch
from torch import Tensor

from medxgan.data.shapes import Canvas, ellipse


class Anatomy(NamedTuple):
    """N healthy subjects.

    Attributes:
        image: in [0, 1], ``[N, H, W]``.
        site: where a lesion may be centred, bool ``[N, H, W]``.
        lungs: how much of each pixel is lung that nothing covers, in [0, 1], ``[N, H, W]``.
    """

    image: Tensor
    site: Tensor
    lungs: Tensor


def draw_brain(canvas: Canvas) -> Anatomy:
    """Axial head: scalp, skull, cortex with gyri, white matter, ventricles, midline."""
    width = canvas.uniform(0.62, 0.74)
    height = width * canvas.uniform(1.12, 1.28)
    frame = canvas.posed(shift=0.06, tilt=0.16)
    radius, angle = frame.polar(width, height)
    radius = radius * (1 + canvas.harmonics(angle, (2, 3, 4), 0.012))
    soft = canvas.pixel / width

    def inside(limit: Tensor | float) -> Tensor:
        return torch.sigmoid((limit - radius) / (0.6 * soft))

    scalp = canvas.uniform(0.55, 0.95)
    skull = canvas.uniform(0.86, 0.90)
    brain_edge = skull - canvas.uniform(0.05, 0.08)
    grey = canvas.uniform(0.42, 0.58)
    white = grey - canvas.uniform(0.05, 0.16)
    fluid = canvas.uniform(0.08, 0.16)

    image = scalp * inside(1.0) * (1 + 0.15 * canvas.harmonics(angle, (1, 2, 3, 5), 0.5))
    image = image + (canvas.uniform(0.04, 0.10) - image) * inside(skull + 0.035)
    folds = canvas.harmonics(angle, (8, 11, 14), 0.04)
    cortex_inner = brain_edge - canvas.uniform(0.11, 0.17) + folds
    tissue = grey + (white - grey) * torch.sigmoid((cortex_inner - radius) / (1.2 * soft))
    tissue = tissue + canvas.smooth_field(6, 0.035)
    image = image + (tissue - image) * inside(brain_edge + 0.35 * folds)

    # The butterfly: two tilted crescents on either side of the midline, at a random slice height.
    spread = canvas.uniform(0.06, 0.13)
    long = canvas.uniform(0.10, 0.30)
    wide = canvas.uniform(0.03, 0.10)
    lean = canvas.uniform(0.1, 0.45)
    level = canvas.uniform(-0.12, 0.10)
    ventricles = torch.zeros_like(image)
    for side in (-1.0, 1.0):
        for end in (-1.0, 1.0):
            horn = ellipse(
                frame,
                (side * (spread + 0.4 * long * lean.abs()), level + end * 0.45 * long),
                (wide, 0.62 * long),
                side * end * lean,
            )
            ventricles = torch.maximum(ventricles, horn)
    # White matter beside the ventricles is often brighter or darker: a symmetric look-alike.
    halo = torch.sigmoid((canvas.uniform(0.28, 0.52) - radius) / 0.05) * inside(brain_edge)
    image = image + canvas.uniform(-0.14, 0.16) * halo
    # Deep grey matter: a symmetric pair as large and as bright or dark as a lesion, in everyone.
    shade = canvas.uniform(-0.22, 0.26)
    apart, down = canvas.uniform(0.22, 0.32), canvas.uniform(-0.12, 0.16)
    axes = (canvas.uniform(0.07, 0.12), canvas.uniform(0.12, 0.20))
    deep = ventricles
    for side in (-1.0, 1.0):
        nucleus = ellipse(frame, (side * apart, down), axes, side * canvas.uniform(0.2, 0.3), 2.0)
        image = image + shade * nucleus
        deep = torch.maximum(deep, nucleus)
    image = image + (fluid - image) * ventricles
    fissure = torch.exp(-((frame.x / 0.014) ** 2)) * torch.sigmoid((frame.y.abs() - 0.38) / 0.05)
    image = image + (fluid - image) * (0.7 * fissure * inside(brain_edge))

    site = (radius < brain_edge - 0.18) & (deep < 0.2) & (radius > 0.36)
    return Anatomy(image * inside(1.02), site, torch.zeros_like(image))


def draw_chest(canvas: Canvas) -> Anatomy:
    """Frontal chest: soft tissue, lungs, heart, spine, diaphragm, ribs and clavicles."""
    frame = canvas.posed(shift=0.05, tilt=0.05)
    tissue = canvas.uniform(0.62, 0.76) + canvas.smooth_field(4, 0.03)
    trunk_width = canvas.uniform(0.86, 1.02)
    trunk = torch.sigmoid((trunk_width - (frame.x.abs() + 0.10 * (frame.y + 0.6) ** 2)) / 0.025)
    shoulders = torch.sigmoid((frame.y + 1.02 - 0.40 * frame.x.abs() ** 1.5) / 0.03)
    image = canvas.uniform(0.03, 0.10) + tissue * trunk * shoulders

    air = canvas.uniform(0.16, 0.28)
    top = canvas.uniform(-0.74, -0.62)
    base = canvas.uniform(0.42, 0.60)
    lungs = torch.zeros_like(image)
    for side in (-1.0, 1.0):
        middle = side * canvas.uniform(0.42, 0.48)
        half_width = canvas.uniform(0.29, 0.36)
        half_height = (base - top) / 2 + 0.12
        u = (frame.x - middle) / half_width
        v = (frame.y - (base + top) / 2) / half_height
        lung = torch.sigmoid((1 - (u.abs() ** 2.3 + v.abs() ** 2.6)) / 0.10)
        dome = base + (0.0 if side < 0 else 0.05) + 0.28 * u**2 * half_width / 0.33 - 0.02
        lungs = torch.maximum(lungs, lung * torch.sigmoid((dome - frame.y) / 0.02))
    aerated = air + canvas.smooth_field(8, 0.03) + 0.10 * torch.exp(-((frame.x.abs() / 0.22) ** 2))
    image = image + (aerated - image) * lungs

    spine = torch.exp(-((frame.x / canvas.uniform(0.09, 0.13)) ** 2)) * trunk
    image = image + (canvas.uniform(0.70, 0.82) - image) * 0.8 * spine
    heart = ellipse(
        frame,
        (canvas.uniform(0.07, 0.15), canvas.uniform(0.22, 0.32)),
        (canvas.uniform(0.26, 0.36), canvas.uniform(0.24, 0.32)),
        canvas.uniform(-0.6, -0.2),
        softness=2.0,
    )
    image = image + (canvas.uniform(0.66, 0.78) - image) * 0.9 * heart

    pitch = canvas.uniform(0.155, 0.185)
    phase = canvas.uniform(0.0, 1.0)
    slope = canvas.uniform(0.5, 0.8)
    course = (frame.y + slope * (frame.x.abs() - 0.45) ** 2) / pitch + phase
    ribs = torch.exp(-(((course - course.round()) / 0.16) ** 2)) * lungs
    image = image + canvas.uniform(0.05, 0.11) * ribs
    collar = frame.y - (canvas.uniform(-0.66, -0.58) - 0.16 * frame.x.abs())
    clavicles = (
        torch.exp(-((collar / 0.035) ** 2)) * trunk * torch.sigmoid((frame.x.abs() - 0.1) / 0.03)
    )
    image = image + canvas.uniform(0.08, 0.16) * clavicles
    site = (lungs > 0.9) & (heart < 0.1) & (spine < 0.3)
    seen = lungs * (1 - 0.9 * heart) * (1 - 0.8 * spine)
    return Anatomy(image, site, seen)
