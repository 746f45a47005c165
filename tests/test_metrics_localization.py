import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor

from medxgan.errors import DataError
from medxgan.metrics.localization import (
    average_precision,
    concentration,
    dice_at_area,
    evidence,
    iou_at_area,
    pointing_game,
)
from medxgan.metrics.smoothing import smooth

METRICS = [average_precision, concentration, dice_at_area, iou_at_area, pointing_game]


@pytest.fixture
def mask() -> Tensor:
    """A 2 x 3 lesion in a 6 x 8 image, and one over half of it."""
    mask = torch.zeros(2, 6, 8, dtype=torch.bool)
    mask[0, 1:3, 2:5] = True
    mask[1, :3] = True
    return mask


def test_a_perfect_map_reaches_every_limit(mask: Tensor) -> None:
    perfect = mask.float()
    for metric in (average_precision, dice_at_area, iou_at_area, pointing_game):
        assert metric(perfect, mask).tolist() == [1, 1]
    torch.testing.assert_close(concentration(perfect, mask), torch.tensor([8.0, 2.0]))


def test_a_reversed_map_misses_everything(mask: Tensor) -> None:
    reverse = (~mask).float()
    assert concentration(reverse, mask).tolist() == [0, 0]
    assert pointing_game(reverse, mask).tolist() == [0, 0]
    assert iou_at_area(reverse, mask).tolist() == [0, 0]


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_constant_map_scores_chance(mask: Tensor, level: float) -> None:
    constant = torch.full(mask.shape, level)
    share = torch.tensor([6 / 48, 24 / 48])
    torch.testing.assert_close(pointing_game(constant, mask), share)
    torch.testing.assert_close(dice_at_area(constant, mask), share)
    torch.testing.assert_close(iou_at_area(constant, mask), share / (2 - share))
    torch.testing.assert_close(average_precision(constant, mask), share)
    torch.testing.assert_close(concentration(constant, mask), torch.ones(2))


def test_half_an_overlap(mask: Tensor) -> None:
    """Three of the six hottest pixels on the lesion: Dice 1/2, IoU 3/9."""
    heatmap = torch.zeros(1, 6, 8)
    heatmap[0, 1, 2:8] = torch.arange(6.0, 0, -1)
    torch.testing.assert_close(dice_at_area(heatmap, mask[:1]), torch.tensor([0.5]))
    torch.testing.assert_close(iou_at_area(heatmap, mask[:1]), torch.tensor([1 / 3]))
    assert pointing_game(heatmap, mask[:1]).item() == 1


def test_without_ties_iou_is_that_of_the_hottest_pixels(mask: Tensor) -> None:
    heatmap = torch.randperm(96, generator=torch.Generator().manual_seed(0)).view(2, 6, 8).float()
    for metric_value, values, lesion in zip(
        iou_at_area(heatmap, mask), heatmap.flatten(1), mask.flatten(1), strict=True
    ):
        hottest = torch.zeros_like(lesion)
        hottest[values.topk(int(lesion.sum())).indices] = True
        expected = (hottest & lesion).sum() / (hottest | lesion).sum()
        torch.testing.assert_close(metric_value, expected)


@pytest.mark.parametrize("levels", [3, 10, 10_000])
def test_average_precision_equals_that_of_scikit_learn(mask: Tensor, levels: int) -> None:
    """With many ties, some and none."""
    seeded = torch.Generator().manual_seed(levels)
    heatmap = torch.randint(levels, mask.shape, generator=seeded).float()
    expected = [
        average_precision_score(lesion.flatten().numpy(), values.flatten().numpy())
        for lesion, values in zip(mask, heatmap, strict=True)
    ]
    torch.testing.assert_close(average_precision(heatmap, mask), torch.tensor(expected).float())


@pytest.mark.parametrize("metric", METRICS)
def test_an_empty_mask_gives_nan_and_leaves_the_others(metric, mask: Tensor) -> None:
    heatmap = torch.rand(mask.shape, generator=torch.Generator().manual_seed(0))
    expected = metric(heatmap, mask)[1]
    mask[0] = False
    values = metric(heatmap, mask)
    assert values.shape == (2,)
    assert values[0].isnan()
    assert values[1] == expected


@pytest.mark.parametrize("metric", METRICS)
def test_tensors_that_do_not_fit_are_refused(metric, mask: Tensor) -> None:
    with pytest.raises(DataError, match=r"heatmap \[2, 6, 7\], mask \[2, 6, 8\]"):
        metric(torch.zeros(2, 6, 7), mask)
    with pytest.raises(DataError, match=r"turn attributions .* with evidence\(\)"):
        metric(torch.zeros(2, 1, 6, 8), mask[:, None])
    with pytest.raises(DataError, match=r"must be bool, got torch\.uint8"):
        metric(torch.zeros(2, 6, 8), mask.byte())


def test_evidence_adds_channels_without_sign() -> None:
    attribution = torch.tensor([1.0, -2.0, 3.0]).view(1, 3, 1, 1).expand(2, 3, 4, 4)
    assert evidence(attribution).equal(torch.full((2, 4, 4), 6.0))


def test_smoothing_keeps_constants_and_the_limits() -> None:
    constant = torch.full((2, 3, 16, 24), -0.7)
    torch.testing.assert_close(smooth(constant), constant)
    maps = torch.rand(2, 16, 24, generator=torch.Generator().manual_seed(0))
    assert smooth(maps, sigma=0).equal(maps)
    torch.testing.assert_close(smooth(maps, sigma=1e-3), maps)
    means = maps.mean((1, 2), keepdim=True).expand_as(maps)
    torch.testing.assert_close(smooth(maps, sigma=1e5), means)


def test_smoothing_of_a_point_is_the_gaussian() -> None:
    """Far from the border, one pixel becomes exp(-d^2 / 2 sigma^2) / (2 pi sigma^2)."""
    point = torch.zeros(1, 65, 65, dtype=torch.float64)
    point[0, 32, 32] = 1
    distance = torch.arange(65, dtype=torch.float64) - 32
    profile = torch.exp(-(distance**2) / (2 * 3.0**2)) / (2 * torch.pi * 9) ** 0.5
    expected = (profile[:, None] * profile[None, :])[None]
    torch.testing.assert_close(smooth(point, sigma=3.0), expected, atol=1e-12, rtol=1e-9)


def test_smoothing_widens_by_a_32nd_of_the_larger_side() -> None:
    maps = torch.rand(1, 32, 64, generator=torch.Generator().manual_seed(0))
    assert smooth(maps).equal(smooth(maps, sigma=2.0))
