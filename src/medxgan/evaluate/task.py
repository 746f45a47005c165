"""What is measured on what, how its images come in batches, and who is told how far it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from medxgan.classifiers import TorchClassifier
from medxgan.data import Dataset
from medxgan.evaluate.columns import Rows
from medxgan.evaluate.explained import MapFunction
from medxgan.evaluate.parts import Part, Parts
from medxgan.explain import scores
from medxgan.explainer import Explainer


class Progress(Protocol):
    """Told how far the measuring is."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """``done`` of ``total`` of a stage: scores, codes, realism, negatives, then positives."""
        ...


def silent(stage: str, done: int, total: int) -> None:
    """Tell nobody."""


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
        seed: of everything that is drawn.
        redrawn: the classifier with weights drawn anew, or None where that cannot be.
        untrained: the explainer with weights drawn anew, or None where that is not asked for.
        controls: are there to be controls?
        noise: are maps to be compared with those of noisy images?
        parts: what is measured already.
        progress: told after each batch.
    """

    explainer: Explainer
    data: Dataset
    oracle: scores.Score | None
    methods: tuple[str, ...]
    own_maps: Mapping[str, MapFunction]
    steps: int
    seed: int
    redrawn: TorchClassifier | None
    untrained: Explainer | None
    controls: bool
    noise: bool
    parts: Parts
    progress: Progress

    @property
    def score(self) -> scores.Score:
        """The classifier's score of the explained class."""
        return scores.probability(self.explainer.classifier, self.explainer.target)

    def measured(self, stage: str, rows: Rows, measure: Callable[[Rows], Part]) -> list[Part]:
        """The parts of a pass over ``rows``, those measured before among them.

        Args:
            stage: name of the pass.
            rows: ``[N]``.
            measure: makes the part of a few of them.
        """
        parts: list[Part] = []
        done = 0
        for number, batch in enumerate(self.batches(rows)):
            parts.append(self.parts.kept(stage, number, partial(measure, batch)))
            done += len(batch)
            self.progress(stage, done, len(rows))
        return parts

    def batches(self, rows: Rows) -> list[Rows]:
        """The rows, as many at once as fit."""
        at_once = images_at_once(self.explainer, self.data)
        return [rows[start : start + at_once] for start in range(0, len(rows), at_once)]

    def images(self, rows: Rows) -> Tensor:
        """Images of the data set on the explainer's device."""
        return self.data.images(rows).to(self.explainer.device)


def images_at_once(explainer: Explainer, data: Dataset) -> int:
    """Images in a batch."""
    return scores.images_at_once(torch.empty(data.size, data.size, device=explainer.device))
