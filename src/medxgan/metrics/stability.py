"""Does a heatmap stay where it is under noise, and does it change with the classifier?

Heatmaps are non-negative evidence ``[N, H, W]``, results one value per image, ``[N]``.
"""

import torch
from torch import Tensor

from medxgan.metrics.ranks import spearman
from medxgan.metrics.shapes import check_same_shape


def rank_similarity(first: Tensor, second: Tensor) -> Tensor:
    """Spearman correlation of two heatmaps over their pixels.

    Between the maps of a trained classifier and of one with random weights it should be near 0
    (the sanity check of Adebayo et al. 2018, arXiv 1810.03292).

    Args:
        first: ``[N, H, W]``.
        second: ``[N, H, W]``.

    Returns:
        ``[N]`` in [-1, 1]; NaN where one of the maps is constant.

    Raises:
        DataError: the shapes differ.

    >>> heatmap = torch.tensor([[[0.1, 0.2], [0.3, 0.9]]])
    >>> rank_similarity(heatmap, heatmap.square()), rank_similarity(heatmap, -heatmap)
    (tensor([1.]), tensor([-1.]))
    """
    check_same_shape(first=first, second=second)
    return spearman(first.flatten(1), second.flatten(1))


def rank_robustness(clean: Tensor, noisy: Tensor) -> Tensor:
    """Spearman correlation of a heatmap with that of the same image under noise.

    The measure of Ghorbani et al. 2019 (arXiv 1710.10547). A map that the noise has made constant
    keeps nothing of the first one and gets 0, so that losing the map is not left out.

    Args:
        clean: ``[N, H, W]``.
        noisy: ``[N, H, W]``.

    Returns:
        ``[N]`` in [-1, 1]; NaN where the clean map is constant.

    Raises:
        DataError: the shapes differ.

    >>> clean = torch.tensor([[[0.1, 0.2], [0.3, 0.9]]])
    >>> rank_robustness(clean, clean + 1), rank_robustness(clean, torch.zeros_like(clean))
    (tensor([1.]), tensor([0.]))
    """
    lost = _is_constant(noisy) & ~_is_constant(clean)
    return rank_similarity(clean, noisy).masked_fill(lost, 0)


def overlap_kept(clean: Tensor, noisy: Tensor) -> Tensor:
    """Which share of its overlap with the lesion a heatmap keeps under noise: IoU(σ) / IoU(0).

    After the robustness of saliency to noise on the input of Alvarez-Melis & Jaakkola 2018 (arXiv
    1806.08049), read off where it matters. Weigh by the clean overlap for a mean over images: that
    is the ratio of both means, in which a map that hardly met the lesion cannot weigh most.

    Args:
        clean: IoU without noise, ``[N]``.
        noisy: IoU with noise, ``[N]``.

    Returns:
        ``[N]``; NaN where the clean overlap is 0 or not defined.

    Raises:
        DataError: the shapes differ.

    >>> overlap_kept(torch.tensor([0.8, 0.0]), torch.tensor([0.4, 0.1]))
    tensor([0.5000,    nan])
    """
    check_same_shape(clean=clean, noisy=noisy)
    return (noisy / clean).masked_fill(~(clean > 0), torch.nan)


def _is_constant(heatmap: Tensor) -> Tensor:
    flat = heatmap.flatten(1)
    return flat.amax(dim=1) == flat.amin(dim=1)
