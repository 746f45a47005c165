"""Moving the code of an image until a model's answer is the wanted one.

There are two ways. One is a direction that serves all images. The other leads along directions of
the image's own: the slope of the evidence at this very code, and how each step changes this very
image, are measured by finite differences, that is, by asking the model and never its gradient. Each
step then raises the evidence for the least change of the image. Of two ways that get there, the
one that changes the image less is taken.

Everywhere below a code is z1 ``[N, ...]``, where an image is, and z2 ``[N, d]``, how far it is
moved; see ``DirectedGenerator``. In W+, d is that of all L layers together.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from medxgan.explain.direction import least_change
from medxgan.explain.scores import Score, images_at_once
from medxgan.turns import give_way
from medxgan.types import Generator

FARTHEST = 12.0
"""Longest move along the common direction, in standard deviations of the prior, in each layer."""
LONGEST = 4.0
"""Longest step along a direction of the image's own, in standard deviations, of all layers."""
STEPS = 8
"""Of these, at most."""
LEAST_GAIN = 0.05
"""A step that brings the evidence nearer by less is the last one."""
DOUBLINGS, HALVINGS = 5, 7
PROBED, PROBED_A_LAYER = 32, 16
"""The slope is measured in this many directions: the common one, and the axes of greatest variance.
In W+ in the common one, and in so many axes of each layer on its own."""
PROBE = 0.3
"""Length of a finite difference, in standard deviations."""
DAMPING = 0.1
FLAT = 1e-4
"""Evidence that rises by less than this a standard deviation is called flat."""

Answer = Callable[[Tensor, Tensor], Tensor]
"""Codes z1, z2 -> the model's evidence ``[N]`` on their images."""


@dataclass(frozen=True)
class Goal:
    """The evidence that N images shall have.

    Attributes:
        wanted: ``[N]``.
        upwards: is more evidence wanted, or less? bool ``[N]``. What has it from the start, or is
            beyond, is there already.
    """

    wanted: Tensor
    upwards: Tensor

    def missing(self, evidence: Tensor) -> Tensor:
        """How much is still missing ``[N]``: 0 or less where it is had."""
        short = self.wanted - evidence
        return torch.where(self.upwards, short, -short)

    def __getitem__(self, rows: Tensor) -> "Goal":
        return Goal(self.wanted[rows], self.upwards[rows])


@dataclass(frozen=True)
class Slope:
    """What small steps along A directions do to N images.

    Attributes:
        gradient: of the evidence, ``[N, A]``; zeros where no model was asked.
        metric: squared change of the image for a step s is ``s · metric · s``, ``[N, A, A]``.
    """

    gradient: Tensor
    metric: Tensor


@dataclass(frozen=True)
class Moved:
    """Where N codes were moved.

    Attributes:
        z2: the moves, ``[N, d]``.
        missing: evidence that is still missing there, ``[N]``: 0 or less where it is had.
        locally: were directions of the image's own taken? bool ``[N]``.
    """

    z2: Tensor
    missing: Tensor
    locally: Tensor

    @property
    def reached(self) -> Tensor:
        """Is the wanted evidence had? bool ``[N]``."""
        return self.missing <= 0


def answer_of(generator: Generator, evidence: Score) -> Answer:
    """What a model says of the images of codes; drawn in batches that fit memory, none is kept."""

    def answer(z1: Tensor, z2: Tensor) -> Tensor:
        return torch.cat([evidence(part) for part in drawn(generator, z1, z2)])

    return answer


@torch.no_grad()
def drawn(generator: Generator, z1: Tensor, z2: Tensor) -> list[Tensor]:
    """Images of N codes, at least 1, in batches that fit memory: ``[n, C, H, W]`` each."""
    found = [generator(z1[:1], z2[:1])]
    at_once = images_at_once(found[0])
    for place, move in zip(z1[1:].split(at_once), z2[1:].split(at_once), strict=True):
        give_way()
        if len(place) > 0:
            found.append(generator(place, move))
    return found


@torch.no_grad()
def find_moves(
    generator: Generator,
    evidence: Score,
    z1: Tensor,
    goal: Goal,
    direction: Tensor,
    *,
    layers: int = 1,
    common: bool = True,
    local: bool = True,
) -> Moved:
    """Move codes until their images have the wanted evidence, for the least change of each.

    Both ways are tried, where both are allowed: the common direction, and directions of the image's
    own. Of two that get there, the one that changes the image less is taken (the squared change of
    its pixels; the common one of two alike); else the one that comes nearer.

    Args:
        generator: codes to images.
        evidence: of images ``[M, C, H, W]`` -> ``[M]``.
        z1: where the images are.
        goal: what is wanted of each.
        direction: that raises the evidence of most images, of length 1 in each layer, ``[d]``.
        layers: that d is made of; directions of the image's own move each by itself.
        common: try this direction?
        local: try directions of the image's own?
    """
    answer = answer_of(generator, evidence)
    z2 = z1.new_zeros(len(z1), len(direction))
    missing = goal.missing(answer(z1, z2))
    locally = torch.zeros_like(goal.upwards)
    rows = _rows(missing > 0)
    if common and len(rows) > 0:
        along = direction.expand(len(rows), -1)
        z2[rows], missing[rows] = follow(
            answer, z1[rows], z2[rows], along, goal[rows], missing[rows], farthest=FARTHEST
        )
    if local and len(rows) > 0:
        own, lacking = steer(generator, evidence, z1[rows], goal[rows], direction, layers=layers)
        both = (lacking <= 0) & (missing[rows] <= 0)
        less = _change(generator, z1[rows], own) < _change(generator, z1[rows], z2[rows])
        better = torch.where(both, less, lacking < missing[rows])
        rows, own, lacking = rows[better], own[better], lacking[better]
        z2[rows], missing[rows], locally[rows] = own, lacking, True
    return Moved(z2, missing, locally)


def _change(generator: Generator, z1: Tensor, z2: Tensor) -> Tensor:
    """Squared change of each image by its move, ``[N]``."""
    before, after = (torch.cat(drawn(generator, z1, move)) for move in (0 * z2, z2))
    return (after - before).square().flatten(1).sum(dim=1)


def follow(
    answer: Answer,
    z1: Tensor,
    z2: Tensor,
    directions: Tensor,
    goal: Goal,
    missing: Tensor,
    *,
    farthest: float,
) -> tuple[Tensor, Tensor]:
    """Go along directions until the wanted evidence is first had, or as near to it as they lead.

    Looks at strengths that double up to the farthest, then halves the interval in which the
    evidence is crossed.

    Args:
        answer: to codes.
        z1: where the images are.
        z2: how far they are moved already, ``[N, d]``.
        directions: that raise the evidence, ``[N, d]``; gone backwards where less is wanted.
        goal: what is wanted.
        missing: at the start, ``[N]``.
        farthest: largest factor on a direction.

    Returns:
        z2 after it, and what is missing there.
    """
    sign = torch.where(goal.upwards, 1.0, -1.0).to(z2)
    low, high = torch.zeros_like(sign), torch.zeros_like(sign)
    least, found = missing.clone(), torch.zeros_like(goal.upwards)

    def look(rows: Tensor, strengths: Tensor) -> Tensor:
        moved = z2[rows] + (sign[rows] * strengths)[:, None] * directions[rows]
        return goal[rows].missing(answer(z1[rows], moved))

    for doublings in range(DOUBLINGS):
        rows = _rows(~found)
        if len(rows) == 0:
            break
        strength = farthest / 2.0 ** (DOUBLINGS - 1 - doublings)
        lacking = look(rows, torch.full_like(sign[rows], strength))
        better = lacking < least[rows]
        high[rows[better]], least[rows[better]] = strength, lacking[better]
        found[rows] = lacking <= 0
        low[rows[lacking > 0]] = strength
    rows = _rows(found)
    for _ in range(HALVINGS if len(rows) > 0 else 0):
        middle = (low[rows] + high[rows]) / 2
        lacking = look(rows, middle)
        over = lacking <= 0
        low[rows[~over]] = middle[~over]
        high[rows[over]], least[rows[over]] = middle[over], lacking[over]
    return z2 + (sign * high)[:, None] * directions, least


@torch.no_grad()
def steer(
    generator: Generator,
    evidence: Score,
    z1: Tensor,
    goal: Goal,
    direction: Tensor,
    *,
    layers: int = 1,
    steps: int = STEPS,
    damping: float = DAMPING,
) -> tuple[Tensor, Tensor]:
    """Move each code in directions of its own, each for the least change of its image.

    Args:
        generator: codes to images.
        evidence: of images.
        z1: where the images are.
        goal: what is wanted.
        direction: one of those that are tried, and the one that is taken where the model's answer
            does not change at all near a code, ``[d]``.
        layers: that d is made of.
        steps: at most.
        damping: see ``least_change``.

    Returns:
        z2 ``[N, d]``, and the evidence that is missing there.
    """
    answer, basis = answer_of(generator, evidence), probing_basis(direction, layers)
    z2 = z1.new_zeros(len(z1), len(direction))
    missing = goal.missing(answer(z1, z2))
    rows = _rows(missing > 0)
    for _ in range(steps):
        if len(rows) == 0:
            break
        slope = measure_slope(generator, evidence, z1[rows], z2[rows], basis)
        own = least_change(slope.gradient, slope.metric, damping) @ basis
        own[slope.gradient.abs().amax(dim=1) < FLAT] = direction
        before = missing[rows]
        z2[rows], missing[rows] = follow(
            answer, z1[rows], z2[rows], own, goal[rows], before, farthest=LONGEST
        )
        rows = rows[(missing[rows] > 0) & (before - missing[rows] >= LEAST_GAIN)]
    return z2, missing


def probing_basis(direction: Tensor, layers: int = 1) -> Tensor:
    """Orthonormal directions ``[A, d]``: this one, and with it the axes of greatest variance.

    The axes are the first ones of each layer; all but the last one, where there are no more than
    are asked for. Together they span the direction and these axes.

    Args:
        direction: ``[d]``, coordinates of one layer after another.
        layers: that d is made of.

    >>> probing_basis(torch.tensor([0.0, 1.0])).abs()
    tensor([[0., 1.],
            [1., 0.]])
    """
    width = len(direction) // layers
    count = min(PROBED - 1 if layers == 1 else PROBED_A_LAYER, width - 1)
    axes = torch.eye(len(direction)).unflatten(0, (layers, width))[:, :count].flatten(0, 1)
    columns = torch.cat([direction.cpu()[None], axes]).T.double()
    basis: Tensor = torch.linalg.qr(columns).Q.T.to(direction)
    return basis


@torch.no_grad()
def measure_slope(
    generator: Generator,
    evidence: Score | None,
    z1: Tensor,
    z2: Tensor,
    basis: Tensor,
    probe: float = PROBE,
) -> Slope:
    """Finite differences at N codes: A + 1 images each.

    Args:
        generator: codes to images.
        evidence: of images; None where their change alone is asked for.
        z1: where the images are.
        z2: how far they are moved.
        basis: directions to look in, ``[A, d]``.
        probe: how far to look, in standard deviations.
    """
    offsets = torch.cat([torch.zeros_like(basis[:1]), probe * basis])
    gradients, metrics = [], []
    for place, move in zip(z1, z2, strict=True):
        parts = drawn(generator, place.expand(len(offsets), -1), move + offsets)
        images = torch.cat(parts).flatten(1).float()
        change = (images[1:] - images[:1]) / probe
        metrics.append(change @ change.T)
        if evidence is not None:
            answers = torch.cat([evidence(part) for part in parts]).float()
            gradients.append((answers[1:] - answers[0]) / probe)
    return Slope(
        torch.stack(gradients or [z1.new_zeros(len(basis))] * len(z1)), torch.stack(metrics)
    )


def _rows(chosen: Tensor) -> Tensor:
    return torch.nonzero(chosen).flatten()
