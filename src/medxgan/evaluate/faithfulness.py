"""Do the maps say what the classifier does? Completeness, deletion, and a classifier drawn anew."""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from medxgan.evaluate.columns import Columns, Rows
from medxgan.evaluate.draws import drawn_for
from medxgan.evaluate.explained import Explained
from medxgan.evaluate.maps import Maps
from medxgan.evaluate.task import Task
from medxgan.explain import scores
from medxgan.metrics.faithfulness import FRACTIONS, completeness_error, deletion_beyond_chance
from medxgan.metrics.smoothing import smooth
from medxgan.metrics.stability import rank_similarity

COMPLETE_METHODS = ("lig", "lig-published")
FILLINGS = ("counterfactual", "blur")
SHARES = tuple(map(str, FRACTIONS))
BLUR = 8
"""The image is blurred by this part of its side: a lesion is no longer to be seen."""


def completeness_columns(maps: Mapping[str, Tensor], probabilities: Tensor) -> Columns:
    """By what share do attributions along the film miss the change of the score?

    Args:
        maps: method -> evidence ``[N, C, H, W]``; those of ``COMPLETE_METHODS`` are measured.
        probabilities: C from the negative to the positive end, ``[T, N]``.
    """
    start, end = probabilities[0].cpu(), probabilities[-1].cpu()
    return {
        ("completeness", method, "mean"): completeness_error(maps[method], start, end)
        for method in COMPLETE_METHODS
        if method in maps
    }


def deletion_columns(task: Task, rows: Rows, explained: Explained, maps: Maps) -> Columns:
    """How much further the score falls than with random pixels; 0 for maps that failed.

    Pixels are replaced by those of the counterfactual x⁻, and by those of a blurred image.
    """
    images = explained.images
    shape = (task.data.size, task.data.size)
    chance = drawn_for(rows, shape, "deletion", task.seed, torch.rand).to(images)
    heatmaps = {method: heat.to(images) for method, heat in maps.heat.items()}
    replacements = (explained.counterfactual, smooth(images, task.data.size / BLUR))
    columns: Columns = {}
    for filling, replacement in zip(FILLINGS, replacements, strict=True):
        curves = deletion_beyond_chance(
            partial(scores.evaluate, task.score), images, heatmaps, replacement, chance=chance
        )
        for method, curve in curves.items():
            falls = curve.cpu().masked_fill(maps.failed[method], 0)
            for share, values in zip(SHARES, falls, strict=True):
                columns["deletion", method, filling, share] = values
    return columns


def sanity_columns(maps: Maps, redrawn: Maps) -> Columns:
    """Rank correlation of each map with that of the classifier drawn anew; near 0 is good.

    The sanity check of Adebayo et al. 2018 (arXiv 1810.03292). The film is that of the trained
    classifier. NaN where a map failed or is constant: that it resembles nothing is no merit.

    Args:
        maps: of N images.
        redrawn: of the same images, by the classifier drawn anew.
    """
    return {
        ("sanity", method): rank_similarity(maps.heat[method], heat)
        for method, heat in redrawn.heat.items()
    }
