"""What phantoms are to teach: which class each subject belongs to, and how severe its lesion is.

==============  ==============================================================================
task            labels and values
==============  ==============================================================================
``binary``      healthy or lesion, half of each
``three-class`` healthy and two findings that differ in shape, a third of each
``graded``      healthy or lesion, and a value: 0 without a lesion, a fifth of the subjects; else
                its severity, evenly from 0.4 to 4
==============  ==============================================================================

The findings of three classes:

=============  ==========================  ================================================
kind           first                       second
=============  ==========================  ================================================
``brain``      focal: a solid blob         ring: a rim round a core of the other contrast
``chest``      lobar: a wide change with   nodule: a solid blob
               a soft margin, in one lung
``histology``  necrosis: nuclei fade into  tumour: crowded, large, dark, irregular nuclei
               dust, pink without texture
=============  ==========================  ================================================
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Kind = Literal["brain", "chest", "histology"]
Task = Literal["binary", "three-class", "graded"]

CLASS_NAMES = ("healthy", "lesion")
THREE_CLASSES: dict[Kind, tuple[str, str, str]] = {
    "brain": ("healthy", "focal", "ring"),
    "chest": ("healthy", "lobar", "nodule"),
    "histology": ("healthy", "necrosis", "tumour"),
}
"""The healthy class first, then by the alphabet: the order in which a folder is read back."""

BLOCKS: dict[Task, int] = {"binary": 2, "three-class": 3, "graded": 5}
"""Neighbours that share a split and hold every class once, or each fourth of the severities."""

LEAST_VALUE, HIGHEST_VALUE = 0.4, 4.0


class Findings(NamedTuple):
    """What N subjects are to show.

    Attributes:
        labels: class of each, int64 ``[N]``; 0 = healthy.
        values: severity, float32 ``[N]``, 0 where healthy; None where the task is not graded.
    """

    labels: Tensor
    values: Tensor | None


class Shown(NamedTuple):
    """The same N subjects with and without what they show, and where that is.

    Attributes:
        diseased: in [0, 1], ``[N, H, W]``, or ``[N, 3, H, W]`` in colour.
        healthy: of the same shape; the twins.
        mask: bool ``[N, H, W]``.
    """

    diseased: Tensor
    healthy: Tensor
    mask: Tensor


def class_names(kind: Kind, task: Task) -> tuple[str, ...]:
    """Names of the classes, by index.

    >>> class_names("brain", "graded"), class_names("chest", "three-class")
    (('healthy', 'lesion'), ('healthy', 'lobar', 'nodule'))
    """
    return THREE_CLASSES[kind] if task == "three-class" else CLASS_NAMES


def draw_findings(task: Task, count: int, random: torch.Generator) -> Findings:
    """Deal out classes and severities; ``count`` is a multiple of the task's block.

    >>> labels, values = draw_findings("graded", 5, torch.Generator().manual_seed(0))
    >>> sorted(labels.tolist()), bool(((values == 0) == (labels == 0)).all())
    ([0, 1, 1, 1, 1], True)
    """
    if task == "binary":
        labels = torch.arange(count) % 2
        turned = torch.rand(count // 2, generator=random) < 0.5
        return Findings(torch.where(turned.repeat_interleave(2), 1 - labels, labels), None)
    block = BLOCKS[task]
    order = torch.rand(count // block, block, generator=random).argsort(dim=1).flatten()
    if task == "three-class":
        return Findings(order, None)
    share = (order - torch.rand(count, generator=random)) / (block - 1)
    values = LEAST_VALUE + (HIGHEST_VALUE - LEAST_VALUE) * share
    return Findings((order > 0).long(), torch.where(order > 0, values, 0.0))


def draw_splits(task: Task, count: int, random: torch.Generator) -> Tensor:
    """uint8 ``[N]``: 0 train (80 %), 1 validation, 2 test (10 % each), the same within a block.

    So every split holds the same share of every class.
    """
    block = BLOCKS[task]
    draw = torch.rand(count // block, generator=random).repeat_interleave(block)
    return (draw >= 0.8).to(torch.uint8) + (draw >= 0.9).to(torch.uint8)
