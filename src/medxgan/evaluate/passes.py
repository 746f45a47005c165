"""The passes over a data set: score every image, rebuild the negatives, explain the positives."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medxgan.data import Dataset
from medxgan.evaluate.columns import (
    Columns,
    completeness_columns,
    counterfactual_columns,
    joined,
    localization_columns,
    monotonicity_columns,
    oracle_columns,
    reconstruction_columns,
    twin_columns,
)
from medxgan.evaluate.explained import Explained, MapFunction, explain_positives
from medxgan.evaluate.progress import Progress
from medxgan.explain import scores
from medxgan.explain.attribution import attributions
from medxgan.explain.trust import judge
from medxgan.explainer import Explainer
from medxgan.types import ProblemKind, Status

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Task:
    """What is measured on what.

    Attributes:
        explainer: the one that is measured.
        data: the images.
        oracle: score of the explained class by an independent classifier, or None.
        methods: attributions, names of ``medxgan.explain.METHODS``.
        own_maps: further attributions.
        steps: that attributions integrate along.
        progress: told after each batch.
    """

    explainer: Explainer
    data: Dataset
    oracle: scores.Score | None
    methods: tuple[str, ...]
    own_maps: Mapping[str, MapFunction]
    steps: int
    progress: Progress

    @property
    def score(self) -> scores.Score:
        """The classifier's score of the explained class."""
        return scores.probability(self.explainer.classifier, self.explainer.target)

    @property
    def at_once(self) -> int:
        """Images in a batch."""
        size = self.data.size
        return scores.images_at_once(torch.empty(size, size, device=self.explainer.device))

    def batches(self, stage: str, rows: Rows) -> Iterator[Rows]:
        """Parts of ``rows``, each reported as done when the next one is asked for."""
        for start in range(0, len(rows), self.at_once):
            part = rows[start : start + self.at_once]
            yield part
            self.progress(stage, start + len(part), len(rows))

    def images(self, rows: Rows) -> Tensor:
        """Images of the data set on the explainer's device."""
        return self.data.images(rows).to(self.explainer.device)


@dataclass(frozen=True)
class Found:
    """What the positives gave: columns, how many had which status, and methods left out."""

    columns: Columns
    statuses: dict[str, int]
    skipped: dict[str, str]

    @property
    def reconstruction(self) -> Columns:
        """The columns that negatives have too."""
        return {at: values for at, values in self.columns.items() if at[0] == "reconstruction"}


def score_all(task: Task) -> Tensor:
    """C of every image, ``[N]`` on the CPU."""
    rows = np.arange(len(task.data))
    parts = [
        scores.evaluate(task.score, task.images(part)).cpu()
        for part in task.batches("scores", rows)
    ]
    return torch.cat(parts)


def measure_negatives(task: Task, rows: Rows, before: Tensor) -> Columns:
    """Reconstruction of the images ``rows`` that the classifier, ``before``, calls negative."""
    parts = []
    for part in task.batches("negatives", rows):
        images = task.images(part)
        latent = task.explainer.encode(images)
        with torch.no_grad():
            reconstruction = task.explainer.generator(latent.z1, latent.z2)
        after = scores.evaluate(task.score, reconstruction)
        parts.append(reconstruction_columns(images, reconstruction, before[part].to(after), after))
    return joined(parts)


def measure_positives(task: Task, rows: Rows, before: Tensor) -> Found:
    """All figures of the images ``rows``, which the classifier, with ``before``, calls positive."""
    parts: list[Columns] = []
    statuses: list[Status] = []
    skipped: dict[str, str] = {}
    for part in task.batches("positives", rows):
        images = task.images(part)
        score = before[part].to(images)
        started = time.perf_counter()
        explained = explain_positives(task.explainer, images, task.steps)
        maps, skipped = _maps(task, explained)
        seconds = (time.perf_counter() - started) / len(part)
        maps |= {name: function(explained).cpu() for name, function in task.own_maps.items()}
        parts.append(
            _columns(task, part, explained, maps, score)
            | {("seconds_per_image",): torch.full((len(part),), seconds)}
        )
        statuses += _judge(task, explained, score)
    return Found(joined(parts), count_statuses(statuses), skipped)


def count_statuses(statuses: Sequence[Status]) -> dict[str, int]:
    """How many explanations are sound, and how many have each problem (or several).

    >>> count_statuses([Status(), Status()])["ok"]
    2
    """
    kinds = Counter(problem.kind for status in statuses for problem in status.problems)
    return {
        "n": len(statuses),
        "ok": sum(status.ok for status in statuses),
        **{kind: kinds[kind] for kind in get_args(ProblemKind)},
    }


def _maps(task: Task, explained: Explained) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Maps on the CPU, where they are scored; a device has finished when they are there."""
    maps, skipped = attributions(
        task.methods,
        classifier=task.explainer.classifier,
        target=task.explainer.target,
        images=explained.images,
        reconstruction=explained.reconstruction,
        path=explained.path,
        n_steps=task.steps,
    )
    return {name: values.cpu() for name, values in maps.items()}, skipped


def _columns(
    task: Task, rows: Rows, explained: Explained, maps: dict[str, Tensor], before: Tensor
) -> Columns:
    masks = task.data.mask_images(rows)[0]
    columns = (
        reconstruction_columns(
            explained.images, explained.reconstruction, before, explained.probabilities[-1]
        )
        | monotonicity_columns(explained.probabilities)
        | counterfactual_columns(explained, before, masks.to(explained.images.device))
        | localization_columns(maps, masks)
        | completeness_columns(maps, explained.probabilities)
    )
    if task.oracle is not None:
        columns |= oracle_columns(explained, task.oracle)
    if task.data.has_twins:
        columns |= twin_columns(explained, task.data.twin_images(rows).to(explained.images))
    return columns


def _judge(task: Task, explained: Explained, before: Tensor) -> list[Status]:
    """The status that each explanation would carry."""
    judged = {
        "image": before,
        "reconstruction": explained.probabilities[-1],
        "counterfactual": explained.probabilities[0],
    }
    return judge(
        explained.images,
        explained.reconstruction,
        explained.latent,
        judged,
        task.explainer.bundle.thresholds,
    )
