"""The facts of each place, and the classifier's answer when this place alone is changed."""

from dataclasses import replace

import torch
from torch import Tensor

from medxgan.audit.cohort import Cohort
from medxgan.audit.recurrence import Recurrence, bridge_of
from medxgan.audit.results import Kind, Region, bounding_box
from medxgan.explain.scores import Score, evaluate
from medxgan.metrics.bootstrap import summary
from medxgan.metrics.cohort import group_means, grow
from medxgan.metrics.counterfactual import POSITIVE_FROM

EXAMPLES = 4


def describe_regions(
    cohort: Cohort, rows: Tensor, heatmaps: Tensor, found: Recurrence, score: Score
) -> tuple[Region, ...]:
    """All regions of a method: suspicious ones first, then recurring, then spread.

    Args:
        cohort: the explained images.
        rows: of the cohort whose maps could be looked at, int64 ``[n]``.
        heatmaps: their evidence ``[n, H, W]``.
        found: what the rule says of them.
        score: of the explained class, by the classifier.
    """
    regions = [
        _describe(cohort, rows, heatmaps, found, score, numbers == number, recurs=recurs)
        for numbers, recurs in ((found.recurring, True), (found.clusters, False))
        for number in range(1, int(numbers.max()) + 1)
    ]
    ranks: dict[Kind, int] = {"suspicious": 0, "recurring": 1, "spread": 2}
    regions.sort(key=lambda region: (ranks[region.kind], -region.peak))
    return tuple(replace(region, number=number) for number, region in enumerate(regions, start=1))


def flipped_by_change(images: Tensor, removal: Tensor, pixels: Tensor, score: Score) -> Tensor:
    """Does the answer flip when each image is changed at one place alone?

    Args:
        images: called positive, ``[N, C, H, W]`` in [-1, 1].
        removal: x⁻ - x̂, likewise.
        pixels: the place, bool ``[H, W]``.
        score: of the explained class.

    Returns:
        Bool ``[N]``.

    >>> images = torch.tensor([[[[0.8, 0.8]]]])
    >>> corner = torch.tensor([[True, False]])
    >>> flipped_by_change(images, -images, corner, lambda x: x[:, 0, 0, 0])
    tensor([True])
    >>> flipped_by_change(images, -images, corner, lambda x: x[:, 0, 0, 1])
    tensor([False])
    """
    changed = (images + removal * pixels).clamp(-1, 1)
    flipped: Tensor = evaluate(score, changed) < POSITIVE_FROM
    return flipped


def _describe(
    cohort: Cohort,
    rows: Tensor,
    heatmaps: Tensor,
    found: Recurrence,
    score: Score,
    pixels: Tensor,
    *,
    recurs: bool,
) -> Region:
    groups = dense(cohort.groups[rows])
    keys = groups.tolist()
    rim = grow(pixels, 2 * bridge_of(pixels))
    flips = flipped_by_change(cohort.images[rows], cohort.removal[rows], rim, score)
    inside = found.counted & pixels
    relied = float(group_means(inside & flips[:, None, None], groups).mean(dim=0).max())
    kind: Kind = "spread"
    if recurs:
        kind = "suspicious" if relied >= found.critical - 1e-9 else "recurring"
    touching = (found.touched & pixels).any(dim=(1, 2))
    reached = (cohort.masks[rows] & rim).any(dim=(1, 2)).double()
    known = touching & cohort.has_mask[rows]
    change = cohort.difference[rows][:, pixels]
    return Region(
        number=0,
        kind=kind,
        pixels=pixels,
        box=bounding_box(pixels),
        touched=summary(touching.double(), keys),
        peak=float(found.share[pixels].max()),
        counted=float(found.counted_share[pixels].max()),
        chance=float(found.chance[pixels].min()),
        flips=summary(flips.double(), keys),
        relied_on=relied,
        change=float(change.mean()),
        magnitude=float(change.abs().mean()),
        on_lesion=summary(reached.masked_fill(~known, torch.nan), keys),
        examples=_examples(heatmaps, touching, pixels, rows),
    )


def dense(numbers: Tensor) -> Tensor:
    """Group numbers ``[n]`` without gaps, after rows were left out.

    >>> dense(torch.tensor([3, 0, 3]))
    tensor([1, 0, 1])
    """
    positions: Tensor = numbers.unique(return_inverse=True)[1]
    return positions


def _examples(heatmaps: Tensor, touching: Tensor, pixels: Tensor, rows: Tensor) -> tuple[int, ...]:
    """Rows of the cohort that touch the region, with the largest share of their evidence in it."""
    within = heatmaps[:, pixels].sum(dim=1) / heatmaps.sum(dim=(1, 2)).clamp(min=1e-30)
    order = within.masked_fill(~touching, -1.0).argsort(descending=True, stable=True)
    chosen = order[: min(EXAMPLES, int(touching.sum()))]
    return tuple(rows[chosen].tolist())
