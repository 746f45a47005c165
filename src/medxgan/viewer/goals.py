"""Which setting gives a wanted answer: along the film, or by a move of the image's own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from medxgan.directed_explainer import DirectedExplainer
from medxgan.direction_figures import evidence_of, other_side
from medxgan.explain.drawing import answer_of
from medxgan.explain.series import evidence_for
from medxgan.explain.steering import Goal, find_moves
from medxgan.scoretext import score_text
from medxgan.types import ClassifierSpec
from medxgan.viewer.controls import STRONGEST
from medxgan.viewer.faults import RequestError

LOOKS, HALVINGS = 31, 12
CLOSE, CLOSE_SHARE = 0.01, 0.5
"""A score so near is the wanted one; and by this share of its distance from 0 or 1, near these."""

ScoresAt = Callable[[Tensor], Tensor]
"""Strengths ``[T]`` -> scores of the images there ``[T]``."""


@dataclass(frozen=True)
class Found:
    """A strength, the score there, and whether that is what was wanted."""

    strength: float
    score: float
    reached: bool


@dataclass(frozen=True)
class Wish:
    """What is wanted: a side of the decision, or a score.

    Attributes:
        side: True for positive, False for negative; None where a score is wanted.
        score: the wanted one.
        answer: the same as the model gives it: a probability or a value.
    """

    side: bool | None
    score: float = 0.5
    answer: float = 0.5


def parse_wish(body: Mapping[str, Any], spec: ClassifierSpec) -> Wish:
    """A goal as the page sends it: ``negative``, ``positive``, a probability or a value.

    Raises:
        RequestError: it is none of them.

    >>> spec = ClassifierSpec(size=8, class_names=("no", "yes"))
    >>> parse_wish({"goal": "negative"}, spec).side, parse_wish({"goal": 0.7}, spec).score
    (False, 0.7)
    """
    goal = body.get("goal")
    if goal in ("negative", "positive"):
        return Wish(side=goal == "positive")
    scale = spec.value_scale
    low, high = (0.0, 1.0) if scale is None else (scale.low, scale.high)
    if (
        isinstance(goal, bool)
        or not isinstance(goal, int | float)
        or not low <= goal <= high
        # A probability has no log-odds at its ends, a value has.
        or (scale is None and goal in (low, high))
    ):
        noun = "probability" if scale is None else spec.class_names[0]
        raise RequestError(
            f"a goal is 'negative', 'positive', or a {noun} between {low:g} and {high:g}"
        )
    answer = float(goal)
    score = answer if scale is None else float(scale.score(torch.tensor(answer)))
    return Wish(None, score, answer)


def strength_for(scores_at: ScoresAt, wish: Wish, present: float) -> Found:
    """The strength at which the film gives what is wanted, or as near to it as it leads.

    Args:
        scores_at: what the model says along the film.
        wish: what is wanted.
        present: where the slider stands; of several strengths that would do for a score, the
            nearest one is taken.

    >>> found = strength_for(lambda strengths: strengths / 2, Wish(None, 0.4), 1.0)
    >>> round(found.strength, 2), found.reached
    (0.8, True)
    >>> strength_for(lambda strengths: 0 * strengths, Wish(None, 0.4), 1.0).reached
    False
    """
    strengths = torch.linspace(0, STRONGEST, LOOKS)
    scores = scores_at(strengths).cpu().double()
    if wish.side is not None:
        return _on_side(strengths, scores, wish.side)
    short = scores - wish.score
    crossings = torch.nonzero(short[:-1].sign() != short[1:].sign()).flatten()
    if len(crossings) == 0:
        place = int(short.abs().argmin())
        score = float(scores[place])
        return Found(float(strengths[place]), score, is_close(score, wish.score))
    nearest = int((strengths[crossings] - present).abs().argmin())
    first = int(crossings[nearest])
    return _halve(scores_at, strengths[first : first + 2], scores[first : first + 2], wish.score)


def is_close(score: float, wanted: float) -> bool:
    """Is this the wanted score, as nearly as a reader would call it so?

    >>> is_close(0.705, 0.7), is_close(0.72, 0.7), is_close(0.009, 0.001)
    (True, False, False)
    """
    return abs(score - wanted) <= min(CLOSE, CLOSE_SHARE * min(wanted, 1 - wanted))


def move_to(explainer: DirectedExplainer, z1: Tensor, wish: Wish) -> Tensor | None:
    """Move an image of a style-based generator to what is wanted, as ``explain --to`` does.

    Args:
        explainer: of the bundle.
        z1: where the image's negative end is, ``[1, d]``.
        wish: what is wanted.

    Returns:
        The code z2 of the move, ``[1, d]``; None where no move leads there.
    """
    generator, layers = explainer.generator, explainer.generator.generator.layers
    evidence = evidence_of(explainer.classifier, explainer.target)
    if wish.side is None:
        wanted = torch.full_like(z1[:, 0], evidence_for(wish.answer, explainer.spec))
    else:
        ends = explainer.fitted.manifest.ends
        wanted = other_side(torch.tensor([not wish.side]), ends).wanted.to(z1)
    own = answer_of(generator, evidence)(z1, torch.zeros_like(z1))
    moved = find_moves(
        generator,
        evidence,
        z1,
        Goal(wanted, wanted > own),
        generator.direction.repeat(layers),
        explainer.ways,
    )
    return moved.z2 if bool(moved.reached) else None


def unreached_text(wish: Wish, found: Found, spec: ClassifierSpec) -> str:
    """One sentence for a reader whose wish no strength fulfils.

    >>> spec = ClassifierSpec(size=8, class_names=("no", "yes"))
    >>> unreached_text(Wish(None, 0.9), Found(1.5, 0.7, False), spec)
    '0.900 is not reached; the nearest is 0.700 at strength 1.50'
    """
    there = f"{score_text(found.score, spec)} at strength {found.strength:.2f}"
    if wish.side is None:
        return f"{score_text(wish.score, spec)} is not reached; the nearest is {there}"
    side = "positive" if wish.side else "negative"
    return f"no strength makes this image {side}; the nearest is {there}"


def _on_side(strengths: Tensor, scores: Tensor, positive: bool) -> Found:
    """The end of the film where that will do; beyond it or before it where it will not."""
    there = scores >= 0.5 if positive else scores < 0.5
    own = int((strengths - 1).abs().argmin()) if positive else 0
    from_there = torch.nonzero(there[own:]).flatten()
    if len(from_there) > 0:
        place = own + int(from_there[0])
    else:
        place = int(scores.argmax() if positive else scores.argmin())
    return Found(float(strengths[place]), float(scores[place]), bool(there[place]))


def _halve(scores_at: ScoresAt, between: Tensor, scores: Tensor, wanted: float) -> Found:
    """Halve an interval across which the wanted score is crossed."""
    low, high = (float(end) for end in between)
    rising = bool(scores[1] > scores[0])
    middle, score = low, float(scores[0])
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        score = float(scores_at(torch.tensor([middle])))
        if (score < wanted) == rising:
            low = middle
        else:
            high = middle
    return Found(middle, score, is_close(score, wanted))
