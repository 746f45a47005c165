"""Does the score fall when the pixels with most evidence are replaced?"""

from functools import partial

import torch

from medxgan.evaluate.columns import Columns, Rows
from medxgan.evaluate.draws import drawn_for
from medxgan.evaluate.explained import Explained
from medxgan.evaluate.maps import Maps
from medxgan.evaluate.task import Task
from medxgan.explain import scores
from medxgan.metrics.faithfulness import FRACTIONS, deletion_beyond_chance
from medxgan.metrics.smoothing import smooth

FILLINGS = ("counterfactual", "blur")
SHARES = tuple(map(str, FRACTIONS))
BLUR = 8
"""The image is blurred by this part of its side: a lesion is no longer to be seen."""


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
