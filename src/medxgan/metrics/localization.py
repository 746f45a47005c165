"""Does a heatmap point at the lesion?

Heatmaps are non-negative evidence ``[N, H, W]``, masks bool ``[N, H, W]``, results ``[N]`` with
NaN where the mask is empty. Pixels of equal evidence are treated as if drawn in random order:
each counts with its expected share, so that no corner of a flat map is preferred.
"""

import torch
from torch import Tensor

from medxgan.metrics.shapes import check_heatmap_and_mask


def evidence(attribution: Tensor) -> Tensor:
    """Absolute attribution summed over the channels, ``[N, C, H, W]`` -> ``[N, H, W]``.

    >>> evidence(torch.tensor([[[[-1.0]], [[2.0]]]]))
    tensor([[[3.]]])
    """
    return attribution.abs().sum(dim=1)


def pointing_game(heatmap: Tensor, mask: Tensor) -> Tensor:
    """Is the hottest pixel inside the lesion?

    The pointing game of Zhang et al. 2018 (arXiv 1608.00507), without a margin.

    Args:
        heatmap: ``[N, H, W]``, larger = more evidence.
        mask: bool ``[N, H, W]``, true on the lesion.

    Returns:
        ``[N]``: 1 hit, 0 miss, the share of hits where several pixels are equally hot.

    Raises:
        DataError: the shapes differ, or the mask is not bool.

    >>> heatmap = torch.tensor([[[0.0, 9.0], [1.0, 2.0]]])
    >>> pointing_game(heatmap, heatmap > 5)
    tensor([1.])
    """
    check_heatmap_and_mask(heatmap, mask)
    peak = heatmap == heatmap.amax(dim=(1, 2), keepdim=True)
    share = (peak & mask).sum(dim=(1, 2)) / peak.sum(dim=(1, 2))
    return _nan_where_empty(share, mask)


def iou_at_area(heatmap: Tensor, mask: Tensor) -> Tensor:
    """Intersection over union (Jaccard 1912) of the lesion and as many of the hottest pixels.

    Args:
        heatmap: ``[N, H, W]``, larger = more evidence.
        mask: bool ``[N, H, W]``, true on the lesion.

    Returns:
        ``[N]`` in [0, 1].

    Raises:
        DataError: the shapes differ, or the mask is not bool.

    >>> heatmap = torch.tensor([[[9.0, 8.0], [1.0, 2.0]]])
    >>> iou_at_area(heatmap, torch.tensor([[[True, False], [False, True]]]))
    tensor([0.3333])
    """
    dice = dice_at_area(heatmap, mask)
    return dice / (2 - dice)


def dice_at_area(heatmap: Tensor, mask: Tensor) -> Tensor:
    """Dice overlap (Dice 1945) of the lesion and as many of the hottest pixels.

    With regions of equal area this is also their precision and recall.

    Args:
        heatmap: ``[N, H, W]``, larger = more evidence.
        mask: bool ``[N, H, W]``, true on the lesion.

    Returns:
        ``[N]`` in [0, 1].

    Raises:
        DataError: the shapes differ, or the mask is not bool.

    >>> heatmap = torch.tensor([[[9.0, 8.0], [1.0, 2.0]]])
    >>> dice_at_area(heatmap, torch.tensor([[[True, False], [False, True]]]))
    tensor([0.5000])
    """
    check_heatmap_and_mask(heatmap, mask)
    values, lesion = heatmap.flatten(1), mask.flatten(1)
    area = lesion.sum(dim=1, keepdim=True)
    ordered = values.sort(dim=1, descending=True).values
    coolest_taken = ordered.gather(1, (area - 1).clamp_min(0))
    above, tied = values > coolest_taken, values == coolest_taken
    share_of_tied = (area - above.sum(dim=1, keepdim=True)) / tied.sum(dim=1, keepdim=True)
    taken = above + tied * share_of_tied
    return _nan_where_empty((taken * lesion).sum(dim=1) / area.squeeze(1), mask)


def average_precision(heatmap: Tensor, mask: Tensor) -> Tensor:
    """Area under the pixelwise precision-recall curve: sum of ``(R_n - R_{n-1}) P_n``.

    The sum runs over the distinct evidence values, as in scikit-learn; precision and recall of
    pixels, after Davis & Goadrich 2006.

    Args:
        heatmap: ``[N, H, W]``, larger = more evidence.
        mask: bool ``[N, H, W]``, true on the lesion.

    Returns:
        ``[N]`` in [0, 1]; a constant map gets the lesion's share of the image.

    Raises:
        DataError: the shapes differ, or the mask is not bool.

    >>> heatmap = torch.tensor([[[9.0, 8.0], [1.0, 2.0]]])
    >>> average_precision(heatmap, torch.tensor([[[True, False], [False, True]]]))
    tensor([0.8333])
    """
    check_heatmap_and_mask(heatmap, mask)
    values, order = heatmap.flatten(1).sort(dim=1, descending=True)
    lesion = mask.flatten(1).gather(1, order)
    count = torch.arange(1, values.shape[1] + 1, device=values.device)
    precision = lesion.cumsum(dim=1) / count
    ends_tie = torch.ones_like(lesion)
    ends_tie[:, :-1] = values[:, :-1] != values[:, 1:]
    last = torch.where(ends_tie, count - 1, values.shape[1] - 1)
    end_of_own_tie = last.flip(1).cummin(dim=1).values.flip(1)
    precision_at_end = precision.gather(1, end_of_own_tie)
    return _nan_where_empty((precision_at_end * lesion).sum(dim=1) / lesion.sum(dim=1), mask)


def concentration(heatmap: Tensor, mask: Tensor) -> Tensor:
    """How many times more evidence a lesion pixel carries than the average pixel.

    ``(sum of A in M / sum of A) / (area of M / area of the image)``: the relevance mass accuracy
    of Arras et al. 2022 (arXiv 2003.07258), relative to that of a constant map. A map of zeros
    says as little as a constant one and gets the same 1, so that silent methods are not left out.

    Args:
        heatmap: ``[N, H, W]``, not negative.
        mask: bool ``[N, H, W]``, true on the lesion.

    Returns:
        ``[N]``, from 0 (all evidence outside) to image area / lesion area (all inside).

    Raises:
        DataError: the shapes differ, or the mask is not bool.

    >>> heatmap = torch.tensor([[[3.0, 0.0], [1.0, 0.0]]])
    >>> concentration(heatmap, heatmap > 2)
    tensor([3.])
    """
    check_heatmap_and_mask(heatmap, mask)
    inside = (heatmap * mask).sum(dim=(1, 2))
    total = heatmap.sum(dim=(1, 2))
    relative_area = mask.flatten(1).float().mean(dim=1)
    ratio = torch.where(total > 0, inside / total / relative_area, 1.0)
    return _nan_where_empty(ratio, mask)


def _nan_where_empty(values: Tensor, mask: Tensor) -> Tensor:
    return values.masked_fill(~mask.flatten(1).any(dim=1), torch.nan)
