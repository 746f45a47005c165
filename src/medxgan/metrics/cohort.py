"""Where do the explanations of many images fall, and is it the same place too often?

Heatmaps are non-negative evidence ``[N, H, W]``. Each explanation *touches* some pixels; a place
that far more explanations touch than an even spread would is a place that recurs.
"""

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from medxgan.errors import DataError

HALF = 0.5


def touched_pixels(heatmap: Tensor, share: float = HALF) -> Tensor:
    """The strongest pixels that together carry ``share`` of each image's evidence.

    A share of the sum, not of the maximum, for one outlier must not make all else look untouched;
    and scale-free, so that methods in different units are treated alike. The pixel that crosses
    the share is in; pixels without evidence never are.

    Args:
        heatmap: ``[N, H, W]``, non-negative.
        share: of the evidence, above 0 and at most 1.

    Returns:
        Bool ``[N, H, W]``.

    Raises:
        DataError: not ``[N, H, W]``, negative or not finite, or a share out of range.

    >>> touched_pixels(torch.tensor([[[4.0, 1.0], [3.0, 0.0]]])).int()
    tensor([[[1, 0],
             [0, 0]]], dtype=torch.int32)
    >>> touched_pixels(torch.tensor([[[4.0, 1.0], [3.0, 0.0]]]), share=0.6).int()
    tensor([[[1, 0],
             [1, 0]]], dtype=torch.int32)
    """
    if heatmap.ndim != 3:
        raise DataError(f"heatmaps must be [N, H, W], got {list(heatmap.shape)}")
    if not 0 < share <= 1:
        raise DataError(f"the share of the evidence must be above 0 and at most 1, got {share}")
    if not bool((heatmap.isfinite() & (heatmap >= 0)).all()):
        raise DataError(
            "heatmaps must be finite and not negative; take absolute values, and leave out maps "
            "that hold NaN"
        )
    flat = heatmap.double().flatten(1)
    strongest, order = flat.sort(dim=1, descending=True, stable=True)
    before = strongest.cumsum(dim=1) - strongest
    needed = (before < share * strongest.sum(dim=1, keepdim=True)) & (strongest > 0)
    return torch.zeros_like(needed).scatter(1, order, needed).view_as(heatmap)


def varied_pixels(mean: Tensor, mean_square: Tensor, deviation: float = 0.02) -> Tensor:
    """Places where the images of a cohort differ at all; elsewhere nothing can be explained.

    Args:
        mean: of the images over the cohort ``[C, H, W]``, in [-1, 1].
        mean_square: of their squares, likewise.
        deviation: smallest standard deviation that counts; 0.02 is 1 % of the intensity range.

    Returns:
        Bool ``[H, W]``: some channel differs.

    >>> images = torch.tensor([[[[0.0, 0.5]]], [[[0.0, -0.5]]]])
    >>> varied_pixels(images.mean(dim=0), images.square().mean(dim=0))
    tensor([[False,  True]])
    """
    variance = (mean_square.double() - mean.double().square()).clamp(min=0)
    return (variance > deviation**2).any(dim=0)


def even_chance(touched: Tensor, places: Tensor) -> Tensor:
    """Chance that each explanation touches one given place, if it fell anywhere alike.

    Args:
        touched: bool ``[N, H, W]``.
        places: bool ``[H, W]``, where explanations can fall at all.

    Returns:
        ``[N]`` in [0, 1]: touched places over all places.

    Raises:
        DataError: the shapes do not fit, or there is no place.

    >>> even_chance(torch.eye(2, dtype=torch.bool)[None], torch.ones(2, 2, dtype=torch.bool))
    tensor([0.5000], dtype=torch.float64)
    """
    if touched.shape[1:] != places.shape:
        raise DataError(
            f"touched pixels {list(touched.shape)} and places {list(places.shape)} must be "
            "[N, H, W] and [H, W]"
        )
    total = int(places.sum())
    if total == 0:
        raise DataError("there is no place where explanations can fall; the images do not differ")
    return (touched & places).sum(dim=(1, 2)).double() / total


def tail_of_count(chances: Tensor) -> Tensor:
    """Probability that at least k of n independent events happen (Poisson-binomial).

    Exact, one event after the other.

    Args:
        chances: ``[n]`` of the events, in [0, 1].

    Returns:
        ``[n + 1]``: entry k is P(count >= k), in float64.

    >>> tail_of_count(torch.tensor([0.5, 0.5]))
    tensor([1.0000, 0.7500, 0.2500], dtype=torch.float64)
    """
    counts = torch.zeros(len(chances) + 1, dtype=torch.float64)
    counts[0] = 1.0
    for chance in chances.tolist():
        happened = counts[:-1] * chance
        counts *= 1 - chance
        counts[1:] += happened
    return counts.flip(0).cumsum(0).flip(0).clamp(max=1.0)


def critical_count(chances: Tensor, tests: float, level: float) -> int:
    """The smallest count that is hardly ever reached by chance in any of ``tests`` places.

    Bonferroni's correction: right however the places depend on one another.

    Args:
        chances: ``[n]``, of touching one place.
        tests: places that are looked at, times any further factor of the bound; at least 1.
        level: largest probability that some place reaches the count by chance.

    Returns:
        1 to n; n + 1 where no count is rare enough.

    >>> critical_count(torch.full((10,), 0.1), tests=100, level=0.01)
    7
    >>> critical_count(torch.full((3,), 0.5), tests=100, level=0.01)
    4
    """
    rare = tail_of_count(chances) * tests <= level
    return int(rare.int().argmax()) if bool(rare.any()) else len(chances) + 1


def group_means(values: Tensor, groups: Tensor) -> Tensor:
    """Mean of each group, so that the ten slices of one patient count as one.

    Args:
        values: ``[N, ...]``.
        groups: number of each row's group, ``[N]``, from 0 without gaps.

    Returns:
        ``[G, ...]`` in float64.

    >>> group_means(torch.tensor([0.0, 1.0, 1.0]), torch.tensor([0, 0, 1]))
    tensor([0.5000, 1.0000], dtype=torch.float64)
    """
    sizes = torch.bincount(groups).double()
    sums = torch.zeros(len(sizes), *values.shape[1:], dtype=torch.float64)
    sums.index_add_(0, groups, values.double())
    return sums / sizes.view(-1, *[1] * (values.ndim - 1))


def grow(mask: Tensor, pixels: int) -> Tensor:
    """Add all pixels within so many steps (diagonal ones too) of a mask ``[..., H, W]``.

    >>> grow(torch.tensor([[True, False, False]]), 1)
    tensor([[ True,  True, False]])
    """
    if pixels < 1:
        return mask
    flat = mask.float().reshape(-1, 1, *mask.shape[-2:])
    grown = max_pool2d(flat, 2 * pixels + 1, stride=1, padding=pixels)
    return (grown > 0).view_as(mask)


def connected_regions(mask: Tensor, bridge: int = 0) -> Tensor:
    """Number the connected parts of a mask, diagonal neighbours included.

    Every pixel takes the largest number around it until nothing changes.

    Args:
        mask: bool ``[H, W]``.
        bridge: parts that this many steps of growth join count as one.

    Returns:
        int64 ``[H, W]``: 0 outside, then 1, 2, ... from the largest part to the smallest.

    >>> connected_regions(torch.tensor([[True, False, True, True]]))
    tensor([[2, 0, 1, 1]])
    >>> connected_regions(torch.tensor([[True, False, True, True]]), bridge=1)
    tensor([[1, 0, 1, 1]])
    """
    room = grow(mask, bridge).double()
    numbers = torch.arange(1.0, room.numel() + 1, dtype=torch.float64).view(room.shape) * room
    while True:
        spread = max_pool2d(numbers[None, None], 3, stride=1, padding=1)[0, 0] * room
        if torch.equal(spread, numbers):
            break
        numbers = spread
    parts, sizes = (numbers * mask).long()[mask].unique(return_counts=True)
    regions = torch.zeros(mask.shape, dtype=torch.int64)
    for rank, part in enumerate(parts[sizes.argsort(descending=True, stable=True)], start=1):
        regions[(numbers == part) & mask] = rank
    return regions
