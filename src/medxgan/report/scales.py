"""One zero-centred colour scale for every kind of map, shared by all images of a report."""

from collections.abc import Iterable, Sequence

import numpy as np
from torch import Tensor

from medxgan.report.figures import difference_map, evidence_map
from medxgan.types import Explanation

DIFFERENCE = "difference"
COLOUR_DIFFERENCE = "difference-colour"
ROBUST_PERCENTILE = 99.5

Scales = dict[str, float]


def robust_scale(maps: Iterable[Tensor]) -> float:
    """The 99.5th percentile of the absolute values of all maps: one outlier does not wash out all.

    Where that is zero (a few hot pixels on nothing) the largest value serves; where every value is
    zero, or none is finite, 1.

    >>> import torch
    >>> robust_scale([torch.arange(-200.0, 201.0)]), robust_scale([torch.zeros(2, 2)])
    (199.0, 1.0)
    """
    flat = [values.detach().cpu().double().abs().flatten().numpy() for values in maps]
    sizes = np.concatenate([*flat, np.empty(0)])
    sizes = sizes[np.isfinite(sizes)]
    if not sizes.any():
        return 1.0
    return float(np.percentile(sizes, ROBUST_PERCENTILE)) or float(sizes.max())


def in_colour(explanation: Explanation) -> bool:
    """True where images have three channels: then luminance and colour are shown apart."""
    return len(explanation.difference) == 3


def shown_methods(explanation: Explanation) -> dict[str, Tensor]:
    """The attributions that have a panel of their own: all but the difference, which has one."""
    return {
        method: values
        for method, values in explanation.attributions.items()
        if method != DIFFERENCE
    }


def shared_scales(explanations: Sequence[Explanation]) -> Scales:
    """Scale of ``difference`` (image intensity) and of every attribution method (own units).

    Where there are images in colour, also that of ``difference-colour``, over all channels.
    """
    maps: dict[str, list[Tensor]] = {
        DIFFERENCE: [difference_map(explanation.difference) for explanation in explanations]
    }
    coloured = [each.difference for each in explanations if in_colour(each)]
    if coloured:
        maps[COLOUR_DIFFERENCE] = coloured
    for explanation in explanations:
        for method, values in shown_methods(explanation).items():
            maps.setdefault(method, []).append(evidence_map(values))
    return {kind: robust_scale(of_kind) for kind, of_kind in maps.items()}
