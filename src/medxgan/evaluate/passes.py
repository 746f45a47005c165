"""The passes over all images: score each of them, and rebuild the negatives."""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from medxgan.evaluate.columns import Columns, Rows, joined
from medxgan.evaluate.counterfactuals import reconstruction_columns
from medxgan.evaluate.parts import Part
from medxgan.evaluate.task import Task
from medxgan.explain import scores


def score_all(task: Task) -> Tensor:
    """C of every image, ``[N]`` on the CPU."""

    def measure(rows: Rows) -> Part:
        return Part({("score",): scores.evaluate(task.score, task.images(rows))})

    parts = task.measured("scores", np.arange(len(task.data)), measure)
    return joined(part.columns for part in parts)["score",]


def measure_negatives(task: Task, rows: Rows, before: Tensor) -> Columns:
    """Reconstruction of the images ``rows`` that the classifier, ``before``, calls negative."""
    parts = task.measured("negatives", rows, partial(_rebuild, task, before))
    return joined(part.columns for part in parts)


def _rebuild(task: Task, before: Tensor, rows: Rows) -> Part:
    images = task.images(rows)
    latent = task.explainer.encode(images)
    with torch.no_grad():
        reconstruction = task.explainer.generator(latent.z1, latent.z2)
    after = scores.evaluate(task.score, reconstruction)
    return Part(reconstruction_columns(images, reconstruction, before[rows].to(after), after))
