"""Moving the code of an image until a model's answer is the wanted one.

There are two ways. One is a direction that serves all images. The other leads along directions of
the image's own: the slope of the evidence at this very code, and how each step changes this very
image, are measured by finite differences, that is, by asking the model and never its gradient. Each
step then raises the evidence for the least change of the image. Of two ways that get there, the
one that changes the image less is taken.

Everywhere below a code is z1 ``[N, ...]``, where an image is, and z2 ``[N, d]``, how far it is
moved; see ``DirectedGenerator``. In W+, d is that of all L layers together.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from medxgan.explain.direction import least_change
from medxgan.explain.drawing import Answer, answer_of, drawn
from medxgan.explain.scores import Score
from medxgan.explain.slope import measure_slope, probing_basis
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
DAMPING = 0.1
FLAT = 1e-4
"""Evidence that rises by less than this a standard deviation is called flat."""


@dataclass(frozen=True)
class Ways:
    """By which ways codes may be moved.

    Attributes:
        layers: that a code is made of: 1, or those of W+. Directions of the image's own move each
            by itself.
        common: along the direction that serves all images?
        local: along directions of the image's own?
    """

    layers: int = 1
    common: bool = True
    local: bool = True


BOTH_WAYS = Ways()


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


@torch.no_grad()
def find_moves(
    generator: Generator,
    evidence: Score,
    z1: Tensor,
    goal: Goal,
    direction: Tensor,
    ways: Ways = BOTH_WAYS,
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
        ways: that are tried.
    """
    answer = answer_of(generator, evidence)
    z2 = z1.new_zeros(len(z1), len(direction))
    missing = goal.missing(answer(z1, z2))
    locally = torch.zeros_like(goal.upwards)
    rows = _rows(missing > 0)
    if ways.common and len(rows) > 0:
        along = direction.expand(len(rows), -1)
        z2[rows], missing[rows] = follow(
            answer, z1[rows], z2[rows], along, goal[rows], missing[rows], farthest=FARTHEST
        )
    if ways.local and len(rows) > 0:
        own, lacking = steer(
            generator, evidence, z1[rows], goal[rows], direction, layers=ways.layers
        )
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


def _rows(chosen: Tensor) -> Tensor:
    return torch.nonzero(chosen).flatten()
