"""Does the counterfactual do what it promises? Judged on the classifier's scores.

Scores are probabilities of the explained class; an image is positive from 0.5 on.
"""

import torch
from torch import Tensor

from medxgan.metrics.shapes import check_same_shape

POSITIVE_FROM = 0.5


def called_positive(scores: Tensor) -> Tensor:
    """Is the score on the positive side? ``[N]`` -> ``[N]``: 1 or 0.

    >>> called_positive(torch.tensor([0.4, 0.5]))
    tensor([0., 1.])
    """
    return (scores >= POSITIVE_FROM).float()


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
    as_negative = (negative < POSITIVE_FROM).float()
    as_positive = called_positive(positive).mean(dim=0)
    return {
        "negative": as_negative,
        "positive": as_positive,
        "balanced": (as_negative + as_positive) / 2,
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


def flipped_where_positive(before: Tensor, after: Tensor) -> Tensor:
    """``flipped`` for images that were positive before; NaN for the others.

    For a judge that does not call all of the images positive: what it never saw cannot be gone.

    Args:
        before: scores of the original images, ``[N]``.
        after: scores of the changed images, ``[N]``.

    Returns:
        ``[N]``: 1, 0 or NaN.

    Raises:
        DataError: the shapes differ.

    >>> flipped_where_positive(torch.tensor([0.9, 0.9, 0.1]), torch.tensor([0.1, 0.6, 0.1]))
    tensor([1., 0., nan])
    """
    return flipped(before, after).masked_fill(called_positive(before) == 0, torch.nan)


def crossed(before: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Does the change itself lead across 0.5, from the side of the original to the other?

    Stricter than ``flipped``: a redrawn image that was never on the original's side, such as that
    of an untrained generator, crosses nothing.

    Args:
        before: scores of the original images, ``[N]``.
        start: scores of the reconstructions, where the change begins, ``[N]``.
        end: scores of the counterfactuals, where it ends, ``[N]``.

    Returns:
        ``[N]``: 1 or 0.

    Raises:
        DataError: the shapes differ.

    >>> before, start = torch.tensor([0.9, 0.9, 0.9]), torch.tensor([0.8, 0.2, 0.8])
    >>> crossed(before, start, torch.tensor([0.1, 0.1, 0.6]))
    tensor([1., 0., 0.])
    """
    return prediction_match(before, start) * flipped(before, end)


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
