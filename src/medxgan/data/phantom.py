"""Synthetic images with lesions whose truth is known: brain slices, chest radiographs, histology.

Every subject exists twice: as imaged, and as its *healthy twin*, the same anatomy, distractors
and noise without the lesion. In brains and chests lesions are brighter or darker than what they
lie on; thin vessels and small dots of the same contrast occur in every class, as do global changes
of contrast and brightness, so that brightness alone finds nothing. In stained tissue crowds of
harmless lymphocytes, the stain and the number of nuclei vary likewise.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from medxgan.data.phantom_anatomy import draw_brain, draw_chest
from medxgan.data.phantom_histology import draw_histology
from medxgan.data.phantom_lesions import add_distractors, add_lesions
from medxgan.data.phantom_tasks import (
    BLOCKS,
    CLASS_NAMES,
    Findings,
    Kind,
    Shown,
    Task,
    class_names,
    draw_findings,
    draw_splits,
)
from medxgan.data.shapes import Canvas
from medxgan.errors import ConfigError, nearest

__all__ = ["CLASS_NAMES", "Kind", "Phantoms", "Task", "make_phantoms"]

PIXELS_A_CHUNK = 2**20
MOST_SUBJECTS_A_CHUNK = 256
GREEN_INK = (24, 120, 84)


@dataclass(frozen=True)
class Phantoms:
    """N synthetic subjects; all arrays have N rows.

    Attributes:
        images: uint8 ``[N, H, W]``, or ``[N, H, W, 3]`` in colour.
        twins: the same subjects without lesion, likewise; ``images`` where healthy.
        masks: bool ``[N, H, W]``, true on the lesion.
        labels: int64 ``[N]``, index into ``class_names``; 0 = healthy.
        split: uint8 ``[N]``, 0 train (80 %), 1 validation (10 %), 2 test (10 %).
        markers: bool ``[N]``, true where the planted corner marker was drawn.
        values: float32 ``[N]``, severity from 0 (healthy) to 4; None where the task has none.
        task: what they are to teach.
        class_names: the healthy class first.
    """

    images: NDArray[np.uint8]
    twins: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    labels: NDArray[np.int64]
    split: NDArray[np.uint8]
    markers: NDArray[np.bool_]
    values: NDArray[np.float32] | None = None
    task: Task = "binary"
    class_names: tuple[str, ...] = CLASS_NAMES


def make_phantoms(
    kind: Kind,
    count: int,
    *,
    size: int = 64,
    seed: int = 0,
    shortcut: float | None = None,
    task: Task = "binary",
    on_drawn: Callable[[int], None] = lambda done: None,
) -> Phantoms:
    """Draw ``count`` subjects, in every class as many.

    Args:
        kind: ``brain`` (axial slice, FLAIR-like), ``chest`` (frontal radiograph) or ``histology``
            (tissue stained with haematoxylin and eosin, in colour).
        count: number of subjects, at least 1.
        size: height and width in pixels, 32 to 256.
        seed: same seed, same subjects; the first subjects do not depend on ``count``.
        shortcut: probability that a positive carries a corner marker, and a negative does not;
            ``None`` draws no markers. The marker is in the healthy twin too. Of the task
            ``binary`` only.
        task: ``binary``, ``three-class`` or ``graded``: see `medxgan.data.phantom_tasks`.
        on_drawn: hears how many subjects are done.

    Raises:
        ConfigError: unknown kind or task, a number out of range, or a shortcut in another task.

    >>> phantoms = make_phantoms("brain", 4, size=32, seed=1)
    >>> phantoms.images.shape, int(phantoms.labels.sum())
    ((4, 32, 32), 2)
    >>> make_phantoms("histology", 5, size=32, task="graded").images.shape
    (5, 32, 32, 3)
    """
    _check(kind, count, size, seed, shortcut, task)
    colours = (3,) if kind == "histology" else ()
    images = np.empty((count, size, size, *colours), np.uint8)
    twins = np.empty_like(images)
    masks = np.empty((count, size, size), np.bool_)
    labels = np.empty(count, np.int64)
    split = np.empty(count, np.uint8)
    markers = np.empty(count, np.bool_)
    values = np.empty(count, np.float32)
    arrays: list[NDArray[Any]] = [images, twins, masks, labels, split, markers, values]
    block = BLOCKS[task]
    subjects = min(MOST_SUBJECTS_A_CHUNK, PIXELS_A_CHUNK // size**2) // block * block
    for start in range(0, count, subjects):
        chunk = slice(start, min(start + subjects, count))
        drawn = _draw_chunk(kind, task, subjects, size, [seed, start // subjects], shortcut)
        for whole, part in zip(arrays, drawn, strict=True):
            whole[chunk] = part[: chunk.stop - chunk.start].numpy()
        on_drawn(chunk.stop)
    return Phantoms(
        images,
        twins,
        masks,
        labels,
        split,
        markers,
        values=values if task == "graded" else None,
        task=task,
        class_names=class_names(kind, task),
    )


def _check(
    kind: Kind, count: int, size: int, seed: int, shortcut: float | None, task: Task
) -> None:
    if kind not in get_args(Kind):
        raise ConfigError(f"no phantom is called '{kind}'; {nearest(kind, get_args(Kind))}")
    if task not in get_args(Task):
        raise ConfigError(f"no phantom task is called '{task}'; {nearest(task, get_args(Task))}")
    if count < 1:
        raise ConfigError(f"the number of phantoms must be at least 1, got {count}")
    if seed < 0:
        raise ConfigError(f"the seed must be at least 0, got {seed}")
    if not 32 <= size <= 256:
        raise ConfigError(f"phantom size must be 32 to 256 pixels, got {size}")
    if shortcut is not None and not 0 <= shortcut <= 1:
        raise ConfigError(f"the shortcut's probability must be 0 to 1, got {shortcut}")
    if shortcut is not None and task != "binary":
        raise ConfigError(
            f"a shortcut is planted for one class against another, got the task '{task}'; "
            "choose the task 'binary' or leave out the shortcut"
        )


def _draw_chunk(
    kind: Kind, task: Task, subjects: int, size: int, entropy: list[int], shortcut: float | None
) -> tuple[Tensor, ...]:
    """One chunk of subjects, from random numbers that depend on ``entropy`` alone."""
    chunk_seed = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)
    canvas = Canvas(subjects, size, torch.Generator().manual_seed(chunk_seed))
    findings = draw_findings(task, subjects, canvas.random)
    names = class_names(kind, task)
    if kind == "histology":
        shown = draw_histology(canvas, names, findings)
    else:
        shown = _draw_grey(canvas, kind, names, findings)
    share = 0.0 if shortcut is None else shortcut
    odds = torch.where(findings.labels.bool(), share, 1.0 - share)
    drawn = torch.rand(subjects, generator=canvas.random) < odds
    markers = drawn & (shortcut is not None)
    stamp = _corner_marker(size) & markers.view(-1, 1, 1)
    imaged, twins = (_to_pixels(image, stamp) for image in (shown.diseased, shown.healthy))
    split = draw_splits(task, subjects, canvas.random)
    values = torch.zeros(subjects) if findings.values is None else findings.values
    return imaged, twins, shown.mask, findings.labels, split, markers, values


def _draw_grey(canvas: Canvas, kind: Kind, names: tuple[str, ...], findings: Findings) -> Shown:
    """Subjects as a scanner shows them."""
    anatomy = add_distractors(canvas, (draw_brain if kind == "brain" else draw_chest)(canvas))
    shown = add_lesions(canvas, anatomy, names, findings)
    # A receiver coil hears one side better; a tube shines unevenly.
    sensitivity = (1 + canvas.smooth_field(1, 0.22)).clamp(0.6, 1.4)
    noise = canvas.normal() * canvas.uniform(0.003, 0.009)
    gamma = canvas.uniform(0.8, 1.25)
    gain = canvas.uniform(0.75, 1.1)
    body = (shown.healthy > 0.02).float() if kind == "brain" else torch.ones_like(shown.healthy)
    diseased, healthy = (
        (gain * sensitivity * image.clamp(0, 1) ** gamma + noise * body).clamp(0, 1)
        for image in (shown.diseased, shown.healthy)
    )
    return Shown(diseased, healthy, shown.mask)


def _to_pixels(images: Tensor, stamp: Tensor) -> Tensor:
    """Images in [0, 1] -> uint8 ``[N, H, W]`` or ``[N, H, W, 3]``, with their markers stamped.

    The marker is white on a radiograph; on a slide, where white is empty, it is green ink.
    """
    pixels = (images * 255).round().to(torch.uint8)
    if pixels.dim() == 3:
        return pixels.masked_fill(stamp, 255)
    ink = torch.tensor(GREEN_INK, dtype=torch.uint8)
    return torch.where(stamp[..., None], ink, pixels.movedim(1, 3))


def _corner_marker(size: int) -> Tensor:
    """The planted shortcut: a letter L in the upper left corner, bool ``[H, W]``."""
    letter = torch.zeros(1, 1, 32, 32)
    letter[0, 0, 2:7, 2:4] = 1
    letter[0, 0, 5:7, 2:6] = 1
    return interpolate(letter, size=(size, size), mode="nearest")[0, 0] > 0.5
