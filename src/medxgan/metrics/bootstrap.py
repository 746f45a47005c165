"""A mean with its 95 % interval, by resampling images or patients."""

from collections.abc import Hashable, Sequence
from typing import TypedDict

import torch
from torch import Tensor

from medxgan.errors import DataError
from medxgan.metrics.shapes import check_same_shape

LARGEST_DRAW = 2**22


class _Interval(TypedDict):
    value: float | None
    low: float | None
    high: float | None
    n: int
    n_missing: int


class Summary(_Interval, total=False):
    """A figure of ``metrics.json``; ``reason`` stands beside values that are ``None``."""

    reason: str


def summary(
    values: Tensor,
    groups: Sequence[Hashable] | None = None,
    resamples: int = 2000,
    seed: int = 0,
    *,
    weights: Tensor | None = None,
) -> Summary:
    """Mean and 95 % percentile bootstrap interval (Efron & Tibshirani 1993).

    Values that are not finite (an empty mask, an undefined correlation) cannot enter a mean;
    they are counted in ``n_missing``.

    Args:
        values: ``[N]``, one per image.
        groups: one key per image; images with the same key (a patient) are resampled together,
            because they are not independent. None resamples images.
        resamples: number of bootstrap samples.
        seed: makes the interval reproducible.
        weights: of a weighted mean ``[N]``, positive where the value is finite; None weighs alike.

    Returns:
        ``value``, ``low``, ``high``, ``n`` and ``n_missing``; for no finite value the first three
        are None and ``reason`` says so.

    Raises:
        DataError: ``values`` is not ``[N]``, or there is not one group key and weight per value.

    >>> summary(torch.tensor([1.0, 1.0, torch.nan]))
    {'value': 1.0, 'low': 1.0, 'high': 1.0, 'n': 2, 'n_missing': 1}
    """
    if values.ndim != 1:
        raise DataError(f"expected one value per image, [N], got shape {list(values.shape)}")
    if groups is not None and len(groups) != len(values):
        raise DataError(f"expected one group per value, got {len(groups)} for {len(values)} values")
    weights = torch.ones_like(values) if weights is None else weights
    check_same_shape(values=values, weights=weights)
    values, weights = values.detach().cpu().double(), weights.detach().cpu().double()
    finite = values.isfinite()
    count = int(finite.sum())
    missing = len(values) - count
    if count == 0:
        reason = f"none of {len(values)} values is defined" if len(values) else "no values"
        return {
            "value": None,
            "low": None,
            "high": None,
            "n": 0,
            "n_missing": missing,
            "reason": reason,
        }
    member_of = _group_numbers(groups, finite)
    none = torch.zeros(int(member_of.max()) + 1, dtype=torch.double)
    sizes = none.index_add(0, member_of, weights[finite])
    sums = none.index_add(0, member_of, (weights * values)[finite])
    means = _resampled_means(sums, sizes, resamples, seed)
    low, high = torch.quantile(means, torch.tensor([0.025, 0.975], dtype=means.dtype)).tolist()
    return {
        "value": (sums.sum() / sizes.sum()).item(),
        "low": low,
        "high": high,
        "n": count,
        "n_missing": missing,
    }


def paired_difference(
    first: Tensor, second: Tensor, groups: Sequence[Hashable] | None = None
) -> Summary:
    """Mean of ``first - second`` over the same images, with its paired bootstrap interval.

    Both are resampled together (Efron & Tibshirani 1993): what makes an image hard for both takes
    no part in the interval. An image on which one of them is not defined is missing.

    Args:
        first: ``[N]``, one per image.
        second: ``[N]``, of the same images.
        groups: as for ``summary``.

    Raises:
        DataError: the shapes differ, or there is not one group key per image.

    >>> hard, harder = torch.tensor([0.9, 0.1, 0.5]), torch.tensor([0.8, 0.0, torch.nan])
    >>> found = paired_difference(hard, harder)
    >>> round(found["low"], 3), round(found["high"], 3), found["n"]
    (0.1, 0.1, 2)
    """
    check_same_shape(first=first, second=second)
    return summary(first - second, groups)


def _group_numbers(groups: Sequence[Hashable] | None, finite: Tensor) -> Tensor:
    """Number of the group, from 0 without gaps, that each finite value belongs to."""
    if groups is None:
        return torch.arange(int(finite.sum()))
    kept = [group for group, keep in zip(groups, finite.tolist(), strict=True) if keep]
    numbers = {group: number for number, group in enumerate(dict.fromkeys(kept))}
    return torch.tensor([numbers[group] for group in kept])


def _resampled_means(sums: Tensor, sizes: Tensor, resamples: int, seed: int) -> Tensor:
    """Mean of each bootstrap sample of groups, ``[resamples]``, drawn in parts that fit memory."""
    generator = torch.Generator().manual_seed(seed)
    groups = len(sums)
    at_once = max(1, LARGEST_DRAW // groups)
    means = []
    for start in range(0, resamples, at_once):
        shape = (min(at_once, resamples - start), groups)
        drawn = torch.randint(groups, shape, generator=generator)
        means.append(sums[drawn].sum(dim=1) / sizes[drawn].sum(dim=1))
    return torch.cat(means)
