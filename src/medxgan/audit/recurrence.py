"""The rule: which places do more explanations touch than differing lesions account for?"""

import math
from dataclasses import dataclass

from torch import Tensor

from medxgan.audit.settings import Rule
from medxgan.metrics.cohort import (
    connected_regions,
    critical_count,
    even_chance,
    group_means,
    grow,
    tail_of_count,
    touched_pixels,
)

CLUSTER_LEVEL = 2.0
"""Places are shown as a cluster from so many times an even spread on."""
MOST_CLUSTERS = 4


@dataclass(frozen=True)
class Recurrence:
    """Where N explanations fall, and where they fall too often.

    Attributes:
        touched: what each explanation touches, bool ``[N, H, W]``.
        counted: the same without what is excused by the image's own lesion.
        share: of the patients whose explanations touch a place, a patient's images counting in
            shares, ``[H, W]`` in [0, 1].
        counted_share: the same of what counts; this is tested.
        even: the counted share that an even spread over all places would give.
        critical: the counted share from which on a place recurs; above 1 where no share would do.
        chance: probability that a share as large, or larger, occurs anywhere by chance,
            ``[H, W]`` in [0, 1]: Bonferroni-corrected.
        places: how many pixels explanations could fall on.
        recurring: numbers of the recurring regions, int64 ``[H, W]``, 0 = none.
        clusters: numbers of the other places where many explanations fall, likewise.
    """

    touched: Tensor
    counted: Tensor
    share: Tensor
    counted_share: Tensor
    even: float
    critical: float
    chance: Tensor
    places: int
    recurring: Tensor
    clusters: Tensor


def find_recurrence(
    heatmaps: Tensor, groups: Tensor, excused: Tensor, varied: Tensor, rule: Rule
) -> Recurrence:
    """Test every place of a cohort.

    The null hypothesis: the explanation of each patient touches a place with a probability of at
    most ``tolerance`` times that of an even spread over all places, or of ``habit`` where that is
    more. How many patients do so is then Poisson-binomial at worst; a place recurs where the
    count is so high that the chance of it anywhere is at most ``level`` (Bonferroni). Where
    patients have several images, each counts as the share of its images: the chance of such a sum
    is at most e times that of a binomial with the mean probability (Bentkus 2004, On Hoeffding's
    inequalities, Annals of Probability 32).

    Args:
        heatmaps: evidence ``[N, H, W]``, finite and non-negative.
        groups: number of each explanation's patient ``[N]``, from 0 without gaps.
        excused: pixels that do not count, bool ``[N, H, W]``: each image's own lesion.
        varied: where the images of the cohort differ, bool ``[H, W]``.
        rule: the limits.

    Raises:
        DataError: the shapes do not fit, or the images do not differ anywhere.
    """
    touched = touched_pixels(heatmaps, rule.evidence)
    counted = touched & ~excused
    places = varied | touched.any(dim=0)
    tests = int(places.sum())
    chances = group_means(even_chance(counted, places), groups)
    null = (rule.tolerance * chances).clamp(min=rule.habit, max=1.0)
    looks = float(tests)
    if len(null) < len(heatmaps):
        null, looks = null.mean().expand_as(null), looks * math.e
    critical = critical_count(null, looks, rule.level)

    shares = group_means(counted, groups)
    # Shares of several images of a patient add up with rounding errors; a count is whole.
    reached = (shares.sum(dim=0) + 1e-9).floor().long()
    recurs = reached >= critical
    bridge = bridge_of(varied)
    share = group_means(touched, groups).mean(dim=0)
    often = (share >= CLUSTER_LEVEL * share[places].mean()) & (share > 0)
    clusters = connected_regions(often & ~grow(recurs, bridge), bridge)
    return Recurrence(
        touched=touched,
        counted=counted,
        share=share,
        counted_share=shares.mean(dim=0),
        even=float(chances.mean()),
        critical=critical / len(null),
        chance=(tail_of_count(null) * looks).clamp(max=1.0)[reached],
        places=tests,
        recurring=connected_regions(recurs, bridge),
        clusters=clusters * (clusters <= MOST_CLUSTERS),
    )


def excuse_lesions(masks: Tensor) -> Tensor:
    """Lesion masks ``[N, H, W]`` with a rim, for maps are blurred: a 16th of the image's side.

    >>> import torch
    >>> mask = torch.zeros(1, 16, 16, dtype=torch.bool)
    >>> mask[0, 8, 8] = True
    >>> int(excuse_lesions(mask).sum())
    9
    """
    return grow(masks, max(masks.shape[-2:]) // 16)


def bridge_of(image: Tensor) -> int:
    """Gap that does not part a region, pixels: a 32nd of the image's side, at least 1.

    >>> import torch
    >>> bridge_of(torch.zeros(64, 64))
    2
    """
    return max(1, max(image.shape[-2:]) // 32)
