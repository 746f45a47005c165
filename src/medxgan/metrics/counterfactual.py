"""Does the counterfactual do what it promises? Judged on the classifier's scores.

Scores are probabilities of the explained class; an image is positive from 0.5 on.
"""

import torch
from torch import Tensor

from medxgan.metrics.shapes import check_same_shape

POSITIVE_FROM = 0.5


def agreement(negative: Tensor, positive: Tensor) -> dict[str, Tensor]:
    """Does the classifier agree with the class that the generator was asked for?

    The published figure mixes 1 negative with 3 positives, so that a generator that only draws
    positives would score 75 % (Dravid et al. 2022); hence each class and the balanced mean.

    Args:
        negative: scores of G(z1, 0), ``[N]`` for N structure codes.
        positive: scores of G(z1, z2), ``[S, N]`` for S pathology codes each.

    Returns:
        ``negative``, ``positive`` and ``balanced``, each ``[N]`` in [0, 1]: one value per
        structure code, the unit to resample.

    Raises:
        DataError: the number of structure codes differs.

    >>> shares = agreement(torch.tensor([0.1]), torch.tensor([[0.9], [0.2]]))
    >>> [shares[key].item() for key in ("negative", "positive", "balanced")]
    [1.0, 0.5, 0.75]
    """
    check_same_shape(negative=negative, positive=positive[0])
    called_negative = (negative < POSITIVE_FROM).float()
    called_positive = (positive >= POSITIVE_FROM).float().mean(dim=0)
    return {
        "negative": called_negative,
        "positive": called_positive,
        "balanced": (called_negative + called_positive) / 2,
    }


def flipped(before: Tensor, after: Tensor) -> Tensor:
    """Is the answer on the other side of 0.5 after the change?

    The mean of this is the validity of Mothilal et al. 2020 (arXiv 1905.07697).

    Args:
        before: scores of the original images, ``[N]``.
        after: scores of the changed images, ``[N]``; NaN, where none was found, is a failure.

    Returns:
        ``[N]``: 1 or 0.

    Raises:
        DataError: the shapes differ.

    >>> flipped(torch.tensor([0.9, 0.9, 0.9]), torch.tensor([0.1, 0.6, torch.nan]))
    tensor([1., 0., 0.])
    """
    check_same_shape(before=before, after=after)
    other_side = (before >= POSITIVE_FROM) != (after >= POSITIVE_FROM)
    return (other_side & torch.isfinite(after)).float()


def prediction_match(first: Tensor, second: Tensor) -> Tensor:
    """Are both scores on the same side of 0.5? ``[N]``, ``[N]`` -> ``[N]``: 1 or 0.

    Does a reconstruction keep the answer, the first condition on codes of Dravid et al. 2022
    (arXiv 2204.05376)? A score that is not a number matches nothing.

    Raises:
        DataError: the shapes differ.

    >>> prediction_match(torch.tensor([0.9, 0.4]), torch.tensor([0.6, 0.6]))
    tensor([1., 0.])
    """
    check_same_shape(first=first, second=second)
    same_side = (first >= POSITIVE_FROM) == (second >= POSITIVE_FROM)
    return (same_side & torch.isfinite(first + second)).float()


def is_monotone(probabilities: Tensor, tolerance: float = 0.01) -> Tensor:
    """Does a film's score never fall by more than ``tolerance`` below where it has been?

    The rise along the traversal that Dravid et al. 2022 (arXiv 2204.05376) report, made a number.
    Small steps down add up: the fall is measured from the highest earlier frame.

    Args:
        probabilities: ``[T, N]``, one column per film, from negative to positive.
        tolerance: largest fall still called monotone.

    Returns:
        ``[N]``: 1 or 0.

    >>> is_monotone(torch.tensor([[0.1, 0.1], [0.5, 0.5], [0.495, 0.3], [0.9, 0.9]]))
    tensor([1., 0.])
    """
    fall = probabilities.cummax(dim=0).values - probabilities
    return (fall.amax(dim=0) <= tolerance).float()


def monotone_share(probabilities: Tensor, tolerance: float = 0.01) -> float:
    """Share of the films ``[T, N]`` for which ``is_monotone`` holds.

    >>> monotone_share(torch.tensor([[0.1, 0.1], [0.5, 0.5], [0.495, 0.3], [0.9, 0.9]]))
    0.5
    """
    return is_monotone(probabilities, tolerance).mean().item()
