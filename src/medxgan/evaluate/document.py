"""Columns -> ``metrics.json``: every figure in its place, or null with a reason beside it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from medxgan.evaluate.columns import Columns, Place
from medxgan.metrics.bootstrap import Summary, summary

SCHEMA = 1
NO_MEDIAN_INTERVAL = "the interval is given for the mean"


def missing(reason: str) -> Summary:
    """A figure that could not be computed.

    >>> missing("no masks")["value"], missing("no masks")["reason"]
    (None, 'no masks')
    """
    return {"value": None, "low": None, "high": None, "n": 0, "n_missing": 0, "reason": reason}


def summaries(columns: Columns, groups: Sequence[str] | None) -> dict[Place, Summary]:
    """Mean and interval of each column; values of one group (a patient) are resampled together.

    The share of overlap that a map keeps under noise is weighted by that overlap, see
    ``overlap_kept``.

    >>> import torch
    >>> summaries({("a",): torch.tensor([0.0, 1.0])}, None)["a",]["value"]
    0.5
    """
    return {
        place: summary(values, groups, weights=_weights(place, columns))
        for place, values in columns.items()
    }


def with_medians(figures: Mapping[Place, Summary], columns: Columns) -> dict[Place, Summary]:
    """Add the median of each completeness error, beside its mean.

    A film along which the score hardly changes makes the mean large; the median is the usual film.
    """
    medians = {
        (*place[:-1], "median"): _median(figure, columns[place])
        for place, figure in figures.items()
        if place[0] == "completeness"
    }
    return dict(figures) | medians


def fill(
    figures: Mapping[Place, Summary], reasons: Mapping[Place, str], where: Iterable[Place]
) -> dict[str, Any]:
    """Nest figures at the places ``where``.

    Args:
        figures: place -> figure.
        reasons: place, or the beginning of one -> why a figure there has no value.
        where: all places, in their order.

    >>> document = fill({}, {("a",): "too dark", ("a", "c"): "too late"}, [("a", "b"), ("a", "c")])
    >>> document["a"]["b"]["reason"], document["a"]["c"]["reason"]
    ('too dark', 'too late')
    """
    document: dict[str, Any] = {}
    for place in where:
        section = document
        for name in place[:-1]:
            section = section.setdefault(name, {})
        reason = _reason(place, reasons)
        figure = figures.get(place) or missing(reason)
        undefined = figure["value"] is None and reason
        section[place[-1]] = {**figure, "reason": reason} if undefined else figure
    return document


def _reason(place: Place, reasons: Mapping[Place, str]) -> str:
    """The reason given for this very place, or else for the longest beginning of it."""
    beginnings = (place[:length] for length in range(len(place), -1, -1))
    return next((reasons[part] for part in beginnings if part in reasons), "")


def _weights(place: Place, columns: Columns) -> Tensor | None:
    if place[0] == "noise_robustness" and place[2] == "iou_ratio":
        return columns["localization", place[1], "iou"]
    return None


def _median(mean: Summary, errors: Tensor) -> Summary:
    if mean["value"] is None:
        return mean
    return {
        "value": errors[errors.isfinite()].median().item(),
        "low": None,
        "high": None,
        "n": mean["n"],
        "n_missing": mean["n_missing"],
        "reason": NO_MEDIAN_INTERVAL,
    }
