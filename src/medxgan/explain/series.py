"""What would an answer of 0.9 look like? Images whose answers rise or fall to a requested one."""

import os
from dataclasses import dataclass

import torch
from torch import Tensor

from medxgan.errors import ConfigError
from medxgan.explain.scores import Score
from medxgan.explain.steering import Goal, answer_of, drawn, find_moves, follow
from medxgan.networks.directed import DirectedGenerator
from medxgan.types import ClassifierSpec
from medxgan.value_scale import EVIDENCE_A_SCORE

NEAR = 1e-3
"""Evidence that is missing by less is had: asked in another batch, a model's answer is rounded."""


@dataclass(frozen=True)
class Series:
    """One image drawn again and again, from the mirror of a requested answer to that answer.

    Attributes:
        name: of the image.
        image: the original, ``[C, H, W]`` in [-1, 1].
        reconstruction: as the generator draws it, ``[C, H, W]``.
        frames: the series, ``[T, C, H, W]``; the last one is what was asked for. Where an answer
            cannot be reached, the frame before it, seen from the image's own answer, is repeated.
        wanted: answer that each frame shall have, ``[T]``: probability of the explained class, or
            the value.
        answers: what the model says of each frame, ``[T]``.
        reached: is the wanted answer had? bool ``[T]``.
        own: what the model says of the original and of the reconstruction.
        target_name: name of the explained class, or of the value.
        spec: of the classifier, for units; None for a probability.
    """

    name: str
    image: Tensor
    reconstruction: Tensor
    frames: Tensor
    wanted: Tensor
    answers: Tensor
    reached: Tensor
    own: tuple[float, float]
    target_name: str
    spec: ClassifierSpec | None = None

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write ``series.png``, ``series.npz`` and ``series.json``."""
        from medxgan.report.series import save_series

        save_series(self, folder)


@dataclass(frozen=True)
class Levels:
    """N images, each drawn at T levels of evidence.

    Attributes:
        frames: ``[N, T, C, H, W]``; where a level is not reached, the nearest one that is.
        z2: moves to them, ``[N, T, d]``.
        evidence: that was wanted, ``[N, T]``.
        reached: bool ``[N, T]``.
    """

    frames: Tensor
    z2: Tensor
    evidence: Tensor
    reached: Tensor


def evidence_for(answer: float, spec: ClassifierSpec) -> float:
    """The evidence of an answer: log-odds of a probability, or what stands for them of a value.

    Raises:
        ConfigError: no probability between 0 and 1, or a value outside of the model's range.

    >>> spec = ClassifierSpec(size=8, class_names=("no", "yes"))
    >>> round(evidence_for(0.9, spec), 3)
    2.197
    """
    if spec.value_scale is None:
        if not 0 < answer < 1:
            raise ConfigError(
                f"the requested answer must be above 0 and below 1, a probability, got {answer:g}"
            )
        return float(torch.logit(torch.tensor(answer, dtype=torch.float64)))
    scale = spec.value_scale
    if not scale.low <= answer <= scale.high:
        raise ConfigError(
            f"the requested value must lie in the model's range, {scale.low:g} to {scale.high:g}, "
            f"got {answer:g}"
        )
    return float(scale.evidence(torch.tensor(answer, dtype=torch.float64)))


def answers_of(evidence: Tensor, spec: ClassifierSpec) -> Tensor:
    """The answers that have some evidence, probabilities or values; of any shape.

    >>> spec = ClassifierSpec(size=8, output="value", class_names=("grade",), value_range=(0, 4))
    >>> answers_of(torch.tensor([0.0, evidence_for(3.0, spec)]), spec)
    tensor([2., 3.])
    """
    if spec.value_scale is None:
        return evidence.sigmoid()
    return spec.value_scale.values(0.5 + evidence / EVIDENCE_A_SCORE)


@torch.no_grad()
def draw_levels(
    generator: DirectedGenerator,
    evidence: Score,
    z1: Tensor,
    end: float,
    frames: int,
    *,
    layers: int = 1,
    common: bool = True,
    local: bool = True,
) -> Levels:
    """Draw N images at T levels of evidence, evenly from ``-end`` to ``end``.

    Each lies on the straight way from the image's own code to one of the two ends, where its level
    is first crossed. Where ``end`` is 0, the levels begin at the image's own evidence. A way that
    gets to no such level ends at the last one that it does get to, see ``hold``.

    Args:
        generator: codes to images.
        evidence: of images.
        z1: where the images are.
        end: evidence of the last level.
        frames: number of levels, T, at least 2.
        layers: that z1 is made of.
        common: see ``find_moves``.
        local: likewise.
    """
    answer = answer_of(generator, evidence)
    own = answer(z1, torch.zeros_like(z1))
    first = torch.full_like(own, -end) if end else own
    last = torch.full_like(own, end)
    levels = torch.stack([first.lerp(last, frame / (frames - 1)) for frame in range(frames)], dim=1)
    ways = [
        find_moves(
            generator,
            evidence,
            z1,
            Goal(level, level > own),
            generator.direction.repeat(layers),
            layers=layers,
            common=common,
            local=local,
        ).z2
        for level in (first, last)
    ]
    # Where both ends lie on one side of the image, all levels lie on the way to the farther one.
    nearer_first = (first - own).abs() < (last - own).abs()
    one_sided = ((first > own) == (last > own))[:, None]
    upwards = levels > own[:, None]
    towards_last = torch.where(one_sided, nearer_first[:, None], upwards == (last > own)[:, None])
    way = torch.where(towards_last[..., None], ways[1][:, None], ways[0][:, None])
    signed = torch.where(upwards[..., None], way, -way).flatten(0, 1)
    repeated = z1.repeat_interleave(frames, dim=0)
    goal = Goal(levels.flatten(), upwards.flatten())
    moved, missing = follow(
        answer,
        repeated,
        torch.zeros_like(signed),
        signed,
        goal,
        goal.missing(own.repeat_interleave(frames)),
        farthest=1.0,
    )
    shape = (len(z1), frames)
    reached = (missing <= NEAR).view(shape)
    held = hold(moved.unflatten(0, shape), levels - own[:, None], reached)
    images = torch.cat(drawn(generator, repeated, held.flatten(0, 1)))
    return Levels(images.unflatten(0, shape), held, levels, reached)


def hold(z2: Tensor, distance: Tensor, reached: Tensor) -> Tensor:
    """Stay at the last level that is reached, in the place of those beyond it.

    Of a way that never gets to a level, what comes nearest may lie at its far end, in images of
    nothing, for a trace of evidence. What is between two levels is all that is lost by staying.

    Args:
        z2: moves to T levels, ``[N, T, d]``.
        distance: of each level from the image's own evidence, negative below it, ``[N, T]``.
        reached: bool ``[N, T]``.

    Returns:
        z2 with the move of the farthest reached level on the same side of the image where a level
        is not reached; 0, the image itself, where there is none.

    >>> moves = torch.tensor([[[-3.0], [1.0], [2.0], [9.0]]])
    >>> far = torch.tensor([[-2.0, 1.0, 2.0, 3.0]])
    >>> hold(moves, far, torch.tensor([[False, True, True, False]])).flatten()
    tensor([0., 1., 2., 2.])
    """
    one_side = (distance[:, :, None] > 0) == (distance[:, None, :] > 0)
    nothing = -torch.ones_like(distance[:, None, :])
    far, last = torch.where(
        one_side & reached[:, None, :], distance.abs()[:, None, :], nothing
    ).max(dim=2)
    held = z2.gather(1, last[..., None].expand_as(z2)).masked_fill((far < 0)[..., None], 0)
    return torch.where(reached[..., None], z2, held)
