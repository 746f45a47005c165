"""Explain the images of a data set that the classifier calls positive."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medxgan.audit.settings import AuditSettings
from medxgan.data import Dataset
from medxgan.errors import DataError
from medxgan.explain.scores import evaluate, probability
from medxgan.explainer import IMAGES_AT_ONCE, Explainer
from medxgan.metrics.cohort import varied_pixels
from medxgan.metrics.counterfactual import POSITIVE_FROM
from medxgan.metrics.localization import evidence
from medxgan.types import Explanation, Status

Rows = NDArray[np.int64]


class Progress(Protocol):
    """Told how far the audit is."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """``done`` of ``total`` images of a stage: scores, then explanations."""
        ...


@dataclass(frozen=True)
class Cohort:
    """N explained positives, and what is known of the whole data set.

    Attributes:
        names: of the images, ``[N]``.
        groups: number of each image's patient, from 0 without gaps, ``[N]``.
        images: ``[N, C, H, W]`` in [-1, 1].
        removal: x⁻ - x̂, what makes each image negative, ``[N, C, H, W]``.
        difference: x̂ - x⁻, mean of the channels, signed, ``[N, H, W]``.
        maps: method -> evidence ``[N, H, W]``, NaN where the map failed.
        masks: lesion masks, bool ``[N, H, W]``, empty where unknown.
        has_mask: bool ``[N]``.
        scores: of the explained class, ``[N]`` on the images.
        flipped: whether the change crosses the decision on the redrawn image, bool ``[N]``.
        transferred: whether the original is negative with the whole change made on it, likewise.
        statuses: of the explanations, ``[N]``.
        varied: where the images of the data set differ, bool ``[H, W]``.
        positives: images that the classifier calls positive, explained or not.
        negatives: images that it calls negative.
        skipped: method -> why it could not be computed.
    """

    names: list[str]
    groups: Tensor
    images: Tensor
    removal: Tensor
    difference: Tensor
    maps: dict[str, Tensor]
    masks: Tensor
    has_mask: Tensor
    scores: Tensor
    flipped: Tensor
    transferred: Tensor
    statuses: list[Status]
    varied: Tensor
    positives: int
    negatives: int
    skipped: dict[str, str]

    def __len__(self) -> int:
        return len(self.names)


def explain_cohort(
    explainer: Explainer, data: Dataset, settings: AuditSettings, progress: Progress
) -> Cohort:
    """Score all images, then explain those that are called positive, or a random draw of them.

    Raises:
        DataError: images of another size or channel count than the bundle takes, or none that the
            classifier calls positive.
    """
    _check_images(explainer, data)
    scores, varied = _score_all(explainer, data, progress)
    called = np.flatnonzero((scores >= POSITIVE_FROM).numpy())
    if len(called) == 0:
        raise DataError(
            f"the classifier calls none of {len(data)} images '{explainer.bundle.target_name}', "
            "so there is nothing to explain; give it images of that class"
        )
    rows = called
    if len(called) > settings.most:
        random = np.random.default_rng(settings.seed)
        rows = np.sort(random.choice(called, settings.most, replace=False))
    explained: list[Explanation] = []
    maps: dict[str, list[Tensor]] = {}
    for part in _batches(rows):
        batch = explainer.explain(
            data.images(part), None, settings.methods, frames=2, steps=settings.steps
        )
        assert isinstance(batch, list)
        for explanation in batch:
            for method, attribution in explanation.attributions.items():
                heat = evidence(attribution[None])[0]
                failed = not bool(heat.isfinite().all())
                maps.setdefault(method, []).append(heat.fill_(torch.nan) if failed else heat)
        explained += batch
        progress("explanations", len(explained), len(rows))
    masks, has_mask = data.mask_images(rows)
    numbers = np.unique(data.groups[rows], return_inverse=True)[1]
    return Cohort(
        names=[str(name) for name in data.names[rows]],
        groups=torch.from_numpy(numbers),
        images=torch.stack([e.image for e in explained]),
        removal=torch.stack([e.counterfactual - e.reconstruction for e in explained]),
        difference=torch.stack([e.difference.mean(dim=0) for e in explained]),
        maps={method: torch.stack(of_method) for method, of_method in maps.items()},
        masks=masks,
        has_mask=has_mask,
        scores=scores[torch.from_numpy(rows)],
        flipped=torch.tensor([e.flipped for e in explained]),
        transferred=torch.tensor([e.transfer_flipped for e in explained]),
        statuses=[e.status for e in explained],
        varied=varied,
        positives=len(called),
        negatives=len(data) - len(called),
        skipped=explained[0].skipped,
    )


def _score_all(explainer: Explainer, data: Dataset, progress: Progress) -> tuple[Tensor, Tensor]:
    """C of every image ``[M]``, and the places where the images differ ``[H, W]``."""
    score = probability(explainer.classifier, explainer.target)
    scores: list[Tensor] = []
    total = torch.zeros(data.channels, data.size, data.size, dtype=torch.float64)
    squares = torch.zeros_like(total)
    rows = np.arange(len(data))
    for part in _batches(rows):
        images = data.images(part)
        scores.append(evaluate(score, images.to(explainer.device)).cpu())
        total += images.double().sum(dim=0)
        squares += images.double().square().sum(dim=0)
        progress("scores", int(part[-1]) + 1, len(rows))
    return torch.cat(scores), varied_pixels(total / len(rows), squares / len(rows))


def _batches(rows: Rows) -> Iterator[Rows]:
    for start in range(0, len(rows), IMAGES_AT_ONCE):
        yield rows[start : start + IMAGES_AT_ONCE]


def _check_images(explainer: Explainer, data: Dataset) -> None:
    data.check_fits(explainer.spec)
    if len(data) == 0:
        raise DataError("an audit needs at least one image, got none")
