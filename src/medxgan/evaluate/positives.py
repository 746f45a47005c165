"""The long pass: explain every image that the classifier calls positive, and measure it all."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from medxgan.evaluate.answers import answer_columns, masks_of_target, truth_of
from medxgan.evaluate.columns import Columns, Rows, joined
from medxgan.evaluate.controls import control_columns, redrawn_columns
from medxgan.evaluate.counterfactuals import (
    counterfactual_columns,
    monotonicity_columns,
    oracle_columns,
    probability_columns,
    reconstruction_columns,
    twin_columns,
)
from medxgan.evaluate.explained import Explained, explain_positives, has_encoder
from medxgan.evaluate.faithfulness import completeness_columns, deletion_columns, sanity_columns
from medxgan.evaluate.localization import localization_columns
from medxgan.evaluate.maps import Maps, make_maps, make_maps_of
from medxgan.evaluate.noise import noise_columns
from medxgan.evaluate.parts import Part
from medxgan.evaluate.task import Task
from medxgan.explain.trust import judge
from medxgan.types import Latent, Problem, Status

FILMS = ("films",)
CODES = ("z1",), ("z2",)
"""Kept of each image beside its figures."""


@dataclass(frozen=True)
class Found:
    """What the positives gave.

    Attributes:
        columns: place -> ``[N]``.
        films: C along the frames that people see, ``[N, 11]``.
        latent: codes, on the CPU.
        statuses: that each explanation would carry.
        skipped: method -> why it could not be computed.
    """

    columns: Columns
    films: Tensor
    latent: Latent
    statuses: tuple[Status, ...]
    skipped: dict[str, str]

    @property
    def reconstruction(self) -> Columns:
        """The columns that negatives have too."""
        return {at: values for at, values in self.columns.items() if at[0] == "reconstruction"}


def measure_positives(task: Task, rows: Rows, before: Tensor) -> Found:
    """All figures of the images ``rows``, which the classifier, with ``before``, calls positive.

    There is at least one.
    """
    parts = task.measured("positives", rows, partial(_measure, task, before))
    columns = joined(part.columns for part in parts)
    films = columns.pop(FILMS)
    latent = Latent(*(columns.pop(at) for at in CODES))
    statuses = tuple(_status(problems) for part in parts for problems in part.beside["statuses"])
    return Found(columns, films, latent, statuses, dict(parts[0].beside["skipped"]))


def _measure(task: Task, before: Tensor, rows: Rows) -> Part:
    images = task.images(rows)
    score = before[rows].to(images)
    explained = explain_positives(task.explainer, images, task.steps)
    maps = make_maps(task, explained)
    explainer = task.explainer
    truth = truth_of(task.data, explainer.spec, explainer.target)
    masks = masks_of_target(task.data, rows, truth, explainer.spec)
    columns = (
        _columns_of_change(task, rows, explained, score, masks)
        | answer_columns(explainer, explained, score)
        | localization_columns(maps, masks)
        | completeness_columns(maps.signed, explained.probabilities)
        | deletion_columns(task, rows, explained, maps)
        | _seconds(explained, maps)
        | {("failed_maps", method): failed.float() for method, failed in maps.failed.items()}
        | {FILMS: explained.probabilities.T}
        | dict(zip(CODES, (explained.latent.z1, explained.latent.z2), strict=True))
    )
    if task.noise and has_encoder(task.explainer):
        columns |= noise_columns(task, rows, explained, maps, masks)
    if task.controls:
        columns |= control_columns(task, rows, explained, score, masks)
    if task.redrawn is not None:
        redrawn = make_maps_of(task, explained, task.redrawn)
        columns |= sanity_columns(maps, redrawn)
        columns |= redrawn_columns(redrawn, masks) if task.controls else {}
    statuses = [
        [asdict(problem) for problem in status.problems]
        for status in _judge(task, explained, score)
    ]
    return Part(columns, {"statuses": statuses, "skipped": dict(maps.skipped)})


def _columns_of_change(
    task: Task, rows: Rows, explained: Explained, before: Tensor, masks: Tensor
) -> Columns:
    columns = (
        probability_columns(explained, before)
        | reconstruction_columns(
            explained.images, explained.reconstruction, before, explained.probabilities[-1]
        )
        | monotonicity_columns(explained.probabilities)
        | counterfactual_columns(explained, before, masks.to(explained.images.device))
    )
    if task.oracle is not None:
        columns |= oracle_columns(explained, task.oracle)
    if task.data.has_twins:
        columns |= twin_columns(explained, task.data.twin_images(rows).to(explained.images))
    return columns


def _seconds(explained: Explained, maps: Maps) -> Columns:
    count = len(explained.images)
    return {
        ("seconds_per_image", name): torch.full((count,), seconds / count)
        for name, seconds in {**explained.seconds, **maps.seconds}.items()
    }


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
        task.explainer.spec,
    )


def _status(problems: Sequence[Mapping[str, Any]]) -> Status:
    return Status(tuple(Problem(**problem) for problem in problems))
