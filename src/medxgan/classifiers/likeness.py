"""How alike two models answer: the sides they take, their scores, their log-odds."""

from typing import Any

import torch
from torch import Tensor

from medxgan.classifiers.outputs import CLAMPED_PROBABILITY
from medxgan.types import ClassifierSpec

Likeness = dict[str, Any]
"""Figures by name, as ``likeness`` gives them; values that JSON can hold."""

DECIMALS = 4


def likeness(of_model: Tensor, of_surrogate: Tensor, *, logits: bool = True) -> Likeness:
    """Compare scores of one class, ``[N]`` each, N at least 1.

    Args:
        of_model: scores; from 0.5 on an image is called positive.
        of_surrogate: scores of the same images.
        logits: correlate log-odds; else, as of a value, the scores themselves.

    Returns:
        ``n``; ``called_positive``, how many of them the model calls positive; ``agreement``, the
        share that both call alike; ``balanced_agreement``, the mean of that share over the model's
        positives and its negatives (a surrogate that always says no reaches one half);
        ``score_difference``, absolute, the mean; ``correlation``, Pearson's, None where either
        is constant.

    >>> likeness(torch.tensor([0.1, 0.2, 0.3, 0.9]), torch.tensor([0.1, 0.2, 0.3, 0.4]))
    ... # doctest: +NORMALIZE_WHITESPACE
    {'n': 4, 'called_positive': 1, 'agreement': 0.75, 'balanced_agreement': 0.5,
     'score_difference': 0.125, 'correlation': 0.8729}
    """
    called, alike = of_model >= 0.5, (of_model >= 0.5) == (of_surrogate >= 0.5)
    sides = [alike[side].double().mean() for side in (called, ~called) if side.any()]
    figures = {
        "agreement": alike.double().mean(),
        "balanced_agreement": torch.stack(sides).mean(),
        "score_difference": (of_model.double() - of_surrogate.double()).abs().mean(),
    }
    return {
        "n": len(of_model),
        "called_positive": int(called.sum()),
        **{name: round(float(value), DECIMALS) for name, value in figures.items()},
        "correlation": _correlation(
            *(_log_odds(scores) if logits else scores for scores in (of_model, of_surrogate))
        ),
    }


def likeness_by_class(
    of_model: Tensor, of_surrogate: Tensor, spec: ClassifierSpec
) -> dict[str, Likeness]:
    """The same for each class of answers ``[N, K]``."""
    return {
        name: likeness(
            *(spec.score(answers, index) for answers in (of_model, of_surrogate)),
            logits=spec.output != "value",
        )
        for index, name in enumerate(spec.class_names)
    }


def _log_odds(probabilities: Tensor) -> Tensor:
    odds: Tensor = torch.logit(probabilities.double(), eps=CLAMPED_PROBABILITY)
    return odds


def _correlation(first: Tensor, second: Tensor) -> float | None:
    if len(first) < 2 or not first.std() * second.std() > 0:
        return None
    return round(float(torch.corrcoef(torch.stack([first, second]))[0, 1]), DECIMALS)
