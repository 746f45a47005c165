"""Rank correlation of many pairs at once."""

import torch
from torch import Tensor

from medxgan.metrics.shapes import check_same_shape


def average_ranks(values: Tensor) -> Tensor:
    """Ranks from 1 along the last dimension; equal values share their mean rank.

    >>> average_ranks(torch.tensor([30.0, 10.0, 10.0]))
    tensor([3.0000, 1.5000, 1.5000], dtype=torch.float64)
    """
    values = values.contiguous()
    ordered = values.sort(dim=-1).values
    below = torch.searchsorted(ordered, values, side="left")
    up_to = torch.searchsorted(ordered, values, side="right")
    return (below + up_to + 1).double() / 2


def spearman(first: Tensor, second: Tensor, dim: int = -1) -> Tensor:
    """Spearman's rank correlation (Spearman 1904) along ``dim``, with mean ranks for ties.

    Args:
        first: any shape.
        second: the same shape.
        dim: the dimension that holds the observations; it is reduced.

    Returns:
        Values in [-1, 1]; NaN where one side is constant and the correlation is undefined.

    Raises:
        DataError: the shapes differ.

    >>> spearman(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 9.0, 10.0]))
    tensor(1.)
    """
    check_same_shape(first=first, second=second)
    deviations = [
        ranks - ranks.mean(dim=-1, keepdim=True)
        for ranks in (average_ranks(side.movedim(dim, -1)) for side in (first, second))
    ]
    covariance = (deviations[0] * deviations[1]).sum(dim=-1)
    variances = deviations[0].square().sum(dim=-1) * deviations[1].square().sum(dim=-1)
    return (covariance / variances.sqrt()).clamp(-1, 1).float()
