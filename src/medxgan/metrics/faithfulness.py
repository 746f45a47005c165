"""Does an attribution say what the classifier does? Completeness and deletion."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from medxgan.errors import ConfigError
from medxgan.metrics.shapes import check_same_shape

SMALLEST_CHANGE = 1e-6
FRACTIONS = (0.01, 0.05, 0.1, 0.2)


def completeness_delta(attribution: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """What an attribution adds to, minus what it should add to.

    Completeness is the axiom of Sundararajan et al. 2017 (arXiv 1703.01365, section 3).

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
    """Absolute completeness delta (Sundararajan et al. 2017) as a share of the score's change.

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
    chance: Tensor,
) -> Tensor:
    """How far the score falls when the pixels with most evidence are replaced.

    The deletion test of Samek et al. 2017 (arXiv 1509.06321) and Petsiuk et al. 2018 (RISE, arXiv
    1806.07421), read off at a few shares of the image.

    Args:
        score: images ``[N, C, H, W]`` -> ``[N]``; called once per fraction, without gradients.
        images: ``[N, C, H, W]`` in [-1, 1].
        heatmap: evidence ``[N, H, W]``.
        replacement: what the pixels are replaced by: the counterfactual, or blurred images.
        fractions: shares of the image to replace, each in [0, 1].
        chance: random numbers ``[N, H, W]``; the largest go first among pixels of equal evidence.

    Returns:
        ``C(x) - C(x with the top share replaced)``, ``[Q, N]`` for Q fractions.

    Raises:
        ConfigError: a fraction is not between 0 and 1.
        DataError: the shapes do not fit.

    >>> image = torch.tensor([[[[4.0, 0.0], [0.0, 1.0]]]])
    >>> total = lambda images: images.sum(dim=(1, 2, 3))
    >>> black, chance = torch.zeros_like(image), torch.rand(1, 2, 2)
    >>> deletion_curve(total, image, image[:, 0], black, [0.25, 0.5], chance=chance)
    tensor([[4.],
            [5.]])
    """
    check_same_shape(images=images, replacement=replacement)
    check_same_shape(image=images[:, 0], heatmap=heatmap, chance=chance)
    for fraction in fractions:
        if not 0 <= fraction <= 1:
            raise ConfigError(f"fractions to delete must be between 0 and 1, got {fraction}")
    rank = _rank_from_hottest(heatmap, chance)
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
    heatmaps: Mapping[str, Tensor],
    replacement: Tensor,
    fractions: Sequence[float] = FRACTIONS,
    *,
    chance: Tensor,
) -> dict[str, Tensor]:
    """The deletion curve of each heatmap minus that of randomly chosen pixels.

    Above 0: the evidence lies on pixels that matter more than others; the random share takes out
    what any damage would do. Arguments and errors are those of ``deletion_curve``, for several
    methods at once; the random pixels are those with the largest ``chance``.

    Returns:
        Method -> ``[Q, N]``.

    >>> image, black = torch.ones(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    >>> total = lambda images: images.sum(dim=(1, 2, 3))
    >>> maps, chance = {"flat": image[:, 0]}, torch.rand(1, 4, 4)
    >>> deletion_beyond_chance(total, image, maps, black, [0.5], chance=chance)
    {'flat': tensor([[0.]])}
    """

    def curve(heatmap: Tensor) -> Tensor:
        return deletion_curve(score, images, heatmap, replacement, fractions, chance=chance)

    by_chance = curve(chance)
    return {method: curve(heatmap) - by_chance for method, heatmap in heatmaps.items()}


def _rank_from_hottest(heatmap: Tensor, chance: Tensor) -> Tensor:
    """Rank of each pixel, 0 = most evidence, ``[N, H, W]``; ties in the order of ``chance``."""
    shuffle = chance.flatten(1).argsort(dim=1, descending=True)
    shuffled = heatmap.flatten(1).gather(1, shuffle)
    hottest_first = shuffle.gather(1, shuffled.argsort(dim=1, descending=True, stable=True))
    return hottest_first.argsort(dim=1).view_as(heatmap)
