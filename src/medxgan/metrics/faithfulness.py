"""Does an attribution say what the classifier does? Completeness and deletion."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from medxgan.errors import ConfigError
from medxgan.metrics.shapes import check_same_shape

SMALLEST_CHANGE = 1e-6
FRACTIONS = (0.01, 0.05, 0.1, 0.2)


def completeness_delta(attribution: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """What an attribution adds to, minus what it should add to (Sundararajan et al. 2017).

    Args:
        attribution: ``[N, C, H, W]``.
        start: score where the path begins (the baseline, C(x⁻)), ``[N]``.
        end: score where it ends (C(x̂)), ``[N]``.

    Returns:
        ``sum(attribution) - (end - start)``, ``[N]``.

    >>> attribution = torch.full((1, 1, 2, 2), 0.2)
    >>> completeness_delta(attribution, torch.tensor([0.25]), torch.tensor([0.75]))
    tensor([0.3000])
    """
    return attribution.flatten(1).sum(dim=1) - (end - start)


def completeness_error(attribution: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Absolute completeness delta as a share of the change of the score.

    Args:
        attribution: ``[N, C, H, W]``.
        start: score where the path begins, ``[N]``.
        end: score where it ends, ``[N]``.

    Returns:
        ``[N]``; NaN where the score changes by less than 1e-6 and the share means nothing.

    >>> attribution = torch.full((1, 1, 2, 2), 0.2)
    >>> completeness_error(attribution, torch.tensor([0.25]), torch.tensor([0.75]))
    tensor([0.6000])
    """
    change = (end - start).abs()
    error = completeness_delta(attribution, start, end).abs() / change
    return error.masked_fill(change < SMALLEST_CHANGE, torch.nan)


def deletion_curve(
    score: Callable[[Tensor], Tensor],
    images: Tensor,
    heatmap: Tensor,
    replacement: Tensor,
    fractions: Sequence[float] = FRACTIONS,
    *,
    seed: int = 0,
) -> Tensor:
    """How far the score falls when the pixels with most evidence are replaced.

    Args:
        score: images ``[N, C, H, W]`` -> ``[N]``; called once per fraction, without gradients.
        images: ``[N, C, H, W]`` in [-1, 1].
        heatmap: evidence ``[N, H, W]``.
        replacement: what the pixels are replaced by: the counterfactual, or blurred images.
        fractions: shares of the image to replace, each in [0, 1].
        seed: decides the order of pixels with equal evidence.

    Returns:
        ``C(x) - C(x with the top share replaced)``, ``[Q, N]`` for Q fractions.

    Raises:
        ConfigError: a fraction is not between 0 and 1.
        DataError: the shapes do not fit.

    >>> image = torch.tensor([[[[4.0, 0.0], [0.0, 1.0]]]])
    >>> total = lambda images: images.sum(dim=(1, 2, 3))
    >>> deletion_curve(total, image, image[:, 0], torch.zeros_like(image), [0.25, 0.5])
    tensor([[4.],
            [5.]])
    """
    check_same_shape(images=images, replacement=replacement)
    check_same_shape(image=images[:, 0], heatmap=heatmap)
    for fraction in fractions:
        if not 0 <= fraction <= 1:
            raise ConfigError(f"fractions to delete must be between 0 and 1, got {fraction}")
    rank = _rank_from_hottest(heatmap, seed)
    pixels = heatmap[0].numel()
    with torch.no_grad():
        full = score(images)
        falls = [
            full - score(torch.where((rank < round(share * pixels))[:, None], replacement, images))
            for share in fractions
        ]
    return torch.stack(falls)


def deletion_beyond_chance(
    score: Callable[[Tensor], Tensor],
    images: Tensor,
    heatmap: Tensor,
    replacement: Tensor,
    fractions: Sequence[float] = FRACTIONS,
    *,
    seed: int = 0,
) -> Tensor:
    """The deletion curve minus that of randomly chosen pixels, ``[Q, N]``.

    Arguments and errors are those of ``deletion_curve``. Above 0: the evidence lies on pixels
    that matter more than others; the random share takes out what any damage would do.

    >>> image = torch.ones(1, 1, 4, 4)
    >>> total = lambda images: images.sum(dim=(1, 2, 3))
    >>> deletion_beyond_chance(total, image, image[:, 0], torch.zeros_like(image), [0.5])
    tensor([[0.]])
    """
    generator = torch.Generator().manual_seed(seed)
    chance = torch.rand(heatmap.shape, generator=generator).to(heatmap.device)
    by_evidence, by_chance = (
        deletion_curve(score, images, order, replacement, fractions, seed=seed)
        for order in (heatmap, chance)
    )
    return by_evidence - by_chance


def _rank_from_hottest(heatmap: Tensor, seed: int) -> Tensor:
    """Rank of each pixel, 0 = most evidence, ``[N, H, W]``; ties in random order."""
    values = heatmap.flatten(1)
    generator = torch.Generator().manual_seed(seed)
    shuffle = torch.rand(values.shape, generator=generator).argsort(dim=1).to(values.device)
    order = values.gather(1, shuffle).argsort(dim=1, descending=True, stable=True)
    hottest_first = shuffle.gather(1, order)
    return hottest_first.argsort(dim=1).view_as(heatmap)
