"""Synthetic brain slices and chest radiographs with lesions whose truth is known.

Every subject exists twice: as imaged, and as its *healthy twin*, the same anatomy, distractors
and noise without the lesion. Lesions are blobs, brighter or darker than what they lie on; thin
vessels and small dots of the same contrast occur in both classes, as do global changes of
contrast and brightness, so that brightness alone finds nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from medxgan.data.shapes import Canvas, blob, ellipse, streak
from medxgan.errors import ConfigError, nearest

Kind = Literal["brain", "chest"]
PIXELS_A_CHUNK = 2**20
MOST_SUBJECTS_A_CHUNK = 256
CLASS_NAMES = ("healthy", "lesion")


@dataclass(frozen=True)
class Phantoms:
    """N synthetic subjects; all arrays have N rows.

    Attributes:
        images: uint8 ``[N, H, W]``.
        twins: the same subjects without lesion, uint8 ``[N, H, W]``; ``images`` where healthy.
        masks: bool ``[N, H, W]``, true on the lesion.
        labels: int64 ``[N]``, 1 = lesion.
        split: uint8 ``[N]``, 0 train (80 %), 1 validation (10 %), 2 test (10 %).
        markers: bool ``[N]``, true where the planted corner marker was drawn.
    """

    images: NDArray[np.uint8]
    twins: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    labels: NDArray[np.int64]
    split: NDArray[np.uint8]
    markers: NDArray[np.bool_]


def make_phantoms(
    kind: Kind,
    count: int,
    *,
    size: int = 64,
    seed: int = 0,
    shortcut: float | None = None,
    on_drawn: Callable[[int], None] = lambda done: None,
) -> Phantoms:
    """Draw ``count`` subjects, half of them with a lesion.

    Args:
        kind: ``brain`` (axial slice, FLAIR-like) or ``chest`` (frontal radiograph).
        count: number of subjects, at least 1.
        size: height and width in pixels, 32 to 256.
        seed: same seed, same subjects; the first subjects do not depend on ``count``.
        shortcut: probability that a positive carries a bright corner marker, and a negative does
            not; ``None`` draws no markers. The marker is in the healthy twin too.
        on_drawn: hears how many subjects are done.

    Raises:
        ConfigError: unknown kind, or a number out of range.

    >>> phantoms = make_phantoms("brain", 4, size=32, seed=1)
    >>> phantoms.images.shape, int(phantoms.labels.sum())
    ((4, 32, 32), 2)
    """
    if kind not in get_args(Kind):
        raise ConfigError(f"no phantom is called '{kind}'; {nearest(kind, get_args(Kind))}")
    if count < 1:
        raise ConfigError(f"the number of phantoms must be at least 1, got {count}")
    if seed < 0:
        raise ConfigError(f"the seed must be at least 0, got {seed}")
    if not 32 <= size <= 256:
        raise ConfigError(f"phantom size must be 32 to 256 pixels, got {size}")
    if shortcut is not None and not 0 <= shortcut <= 1:
        raise ConfigError(f"the shortcut's probability must be 0 to 1, got {shortcut}")
    images = np.empty((count, size, size), np.uint8)
    twins = np.empty_like(images)
    masks = np.empty(images.shape, np.bool_)
    labels = np.empty(count, np.int64)
    split = np.empty(count, np.uint8)
    markers = np.empty(count, np.bool_)
    arrays: list[NDArray[Any]] = [images, twins, masks, labels, split, markers]
    subjects = min(MOST_SUBJECTS_A_CHUNK, PIXELS_A_CHUNK // size**2 // 2 * 2)
    for start in range(0, count, subjects):
        chunk = slice(start, min(start + subjects, count))
        drawn = _draw_chunk(kind, subjects, size, [seed, start // subjects], shortcut)
        for whole, part in zip(arrays, drawn, strict=True):
            whole[chunk] = part[: chunk.stop - chunk.start].numpy()
        on_drawn(chunk.stop)
    return Phantoms(images, twins, masks, labels, split, markers)


def _draw_chunk(
    kind: Kind, subjects: int, size: int, entropy: list[int], shortcut: float | None
) -> tuple[Tensor, ...]:
    """One chunk of subjects, from random numbers that depend on ``entropy`` alone."""
    chunk_seed = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)
    canvas = Canvas(subjects, size, torch.Generator().manual_seed(chunk_seed))
    labels = torch.arange(subjects) % 2
    pairs = torch.rand(subjects // 2, generator=canvas.random) < 0.5
    labels = torch.where(pairs.repeat_interleave(2), 1 - labels, labels)

    anatomy: dict[str, Callable[[Canvas], tuple[Tensor, Tensor]]] = {
        "brain": _brain,
        "chest": _chest,
    }
    healthy, site = anatomy[kind](canvas)
    healthy = _add_distractors(canvas, healthy, site)
    diseased, mask = _add_lesion(canvas, healthy, site)
    # A receiver coil hears one side better; a tube shines unevenly.
    sensitivity = (1 + canvas.smooth_field(1, 0.22)).clamp(0.6, 1.4)
    noise = canvas.normal() * canvas.uniform(0.003, 0.009)
    gamma = canvas.uniform(0.8, 1.25)
    gain = canvas.uniform(0.75, 1.1)
    body = (healthy > 0.02).float() if kind == "brain" else torch.ones_like(healthy)

    positive = labels.bool().view(-1, 1, 1)
    imaged = torch.where(positive, diseased, healthy)
    mask = mask & positive
    share = 0.0 if shortcut is None else shortcut
    odds = torch.where(labels.bool(), share, 1.0 - share)
    drawn = torch.rand(subjects, generator=canvas.random) < odds
    markers = drawn & (shortcut is not None)
    stamp = _corner_marker(size) & markers.view(-1, 1, 1)
    finished = []
    for image in (imaged, healthy):
        developed = gain * sensitivity * image.clamp(0, 1) ** gamma + noise * body
        pixels = (developed.clamp(0, 1) * 255).round().to(torch.uint8)
        finished.append(pixels.masked_fill(stamp, 255))
    # Neighbours 2k and 2k+1 have opposite labels: split in pairs, so every split is balanced.
    draw = torch.rand(subjects // 2, generator=canvas.random).repeat_interleave(2)
    split = (draw >= 0.8).to(torch.uint8) + (draw >= 0.9).to(torch.uint8)
    return finished[0], finished[1], mask, labels, split, markers


def _brain(canvas: Canvas) -> tuple[Tensor, Tensor]:
    """Axial head: scalp, skull, cortex with gyri, white matter, ventricles, midline.

    Returns the image in [0, 1] and the region where a lesion may be centred (bool).
    """
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
    return image * inside(1.02), site


def _chest(canvas: Canvas) -> tuple[Tensor, Tensor]:
    """Frontal chest: soft tissue, lungs, heart, spine, diaphragm, ribs and clavicles.

    Returns the image in [0, 1] and the region where a lesion may be centred (bool).
    """
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
    return image, site


def _add_distractors(canvas: Canvas, image: Tensor, site: Tensor) -> Tensor:
    """Up to two vessels and two dots a subject, as bright or dark as lesions, in both classes."""
    for shape, chance in ((streak, 0.65), (streak, 0.3), (_dot, 0.6), (_dot, 0.4)):
        drawn = shape(canvas, canvas.centre_in(site))
        shown = (canvas.uniform(0, 1) < chance).float()
        image = image + shown * _contrast(canvas) * drawn
    return image


def _dot(canvas: Canvas, centre: tuple[Tensor, Tensor]) -> Tensor:
    """A vessel seen end on: round, a third of a lesion's width."""
    return blob(canvas, centre, canvas.uniform(0.035, 0.055), roughness=0.0)


def _add_lesion(canvas: Canvas, image: Tensor, site: Tensor) -> tuple[Tensor, Tensor]:
    """One blob a subject with an irregular outline and an uneven inside, and its mask."""
    shape = blob(canvas, canvas.centre_in(site), canvas.uniform(0.14, 0.22), roughness=0.14)
    uneven = 1 + canvas.smooth_field(8, 0.10)
    return image + _contrast(canvas) * uneven * shape, shape > 0.5


def _contrast(canvas: Canvas) -> Tensor:
    """Signed contrast in units of the full grey scale: bright and dark are equally likely."""
    sign = torch.where(canvas.uniform(0, 1) < 0.5, -1.0, 1.0)
    bright = canvas.uniform(0.22, 0.34)
    dark = canvas.uniform(0.22, 0.34)
    return torch.where(sign > 0, bright, -dark)


def _corner_marker(size: int) -> Tensor:
    """The planted shortcut: a letter L in the upper left corner, bool ``[H, W]``."""
    letter = torch.zeros(1, 1, 32, 32)
    letter[0, 0, 2:7, 2:4] = 1
    letter[0, 0, 5:7, 2:6] = 1
    return interpolate(letter, size=(size, size), mode="nearest")[0, 0] > 0.5
