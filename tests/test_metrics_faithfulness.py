import numpy as np
import pytest
import torch
from torch import Tensor

from medxgan.errors import ConfigError, DataError
from medxgan.metrics.faithfulness import (
    completeness_delta,
    completeness_error,
    deletion_beyond_chance,
    deletion_curve,
)

FRACTIONS = (0.0, 0.01, 0.25, 1.0)


def total(images: Tensor) -> Tensor:
    return images.sum((1, 2, 3))


def length(images: Tensor) -> Tensor:
    return images.square().sum((1, 2, 3)).sqrt()


@pytest.fixture
def images() -> Tensor:
    """The numbers 0 to 99 in two random orders."""
    seeded = torch.Generator().manual_seed(0)
    return (
        torch.stack([torch.randperm(100, generator=seeded) for _ in range(2)])
        .view(2, 1, 10, 10)
        .float()
    )


@pytest.fixture
def chance() -> Tensor:
    return torch.rand(2, 10, 10, generator=torch.Generator().manual_seed(1))


def test_completeness_of_an_exact_attribution_is_zero() -> None:
    attribution = torch.full((2, 1, 4, 4), 1 / 32)
    start, end = torch.tensor([0.25, 0.5]), torch.tensor([0.75, 1.0])
    assert completeness_delta(attribution, start, end).tolist() == [0, 0]
    assert completeness_error(attribution, start, end).tolist() == [0, 0]
    assert completeness_error(2 * attribution, start, end).tolist() == [1, 1]
    assert completeness_error(0 * attribution, end, start).tolist() == [1, 1]


def test_completeness_of_no_change_is_undefined() -> None:
    same = torch.tensor([0.5])
    assert completeness_error(torch.zeros(1, 1, 4, 4), same, same).isnan()


def test_deletion_by_the_true_evidence_has_a_closed_form(images: Tensor, chance: Tensor) -> None:
    """Replacing the largest k of 0..99 by 0 takes their sum away."""
    black = torch.zeros_like(images)
    curve = deletion_curve(total, images, images[:, 0], black, FRACTIONS, chance=chance)
    expected = torch.tensor([0.0, 99.0, sum(range(75, 100)), sum(range(100))])
    assert curve.equal(expected[:, None].expand(4, 2))


def test_deletion_equals_a_loop_over_pixels(images: Tensor, chance: Tensor) -> None:
    """With ties, and a score that does not add up over pixels."""
    heatmap = (images[:, 0] / 30).floor()
    curve = deletion_curve(length, images, heatmap, images / 2, (0.05, 0.2), chance=chance)
    for row in range(2):
        pixels, halved = images[row].flatten().numpy(), images[row].flatten().numpy() / 2
        heat, order = heatmap[row].flatten().numpy(), chance[row].flatten().numpy()
        hottest = sorted(range(100), key=lambda pixel: (-heat[pixel], -order[pixel]))
        for column, count in enumerate((5, 20)):
            changed = pixels.copy()
            for pixel in hottest[:count]:
                changed[pixel] = halved[pixel]
            expected = np.sqrt((pixels**2).sum()) - np.sqrt((changed**2).sum())
            assert curve[column, row].item() == pytest.approx(expected, rel=1e-4)


def test_the_true_order_is_the_best_and_its_reverse_the_worst(
    images: Tensor, chance: Tensor
) -> None:
    black, heat = torch.zeros_like(images), images[:, 0]
    maps = {"true": heat, "reverse": -heat}
    curves = deletion_beyond_chance(total, images, maps, black, [0.05, 0.2], chance=chance)
    assert (curves["true"] > 0).all()
    assert (curves["reverse"] < 0).all()
    for ends in deletion_beyond_chance(total, images, maps, black, [0, 1], chance=chance).values():
        assert not ends.any()


def test_beyond_chance_is_one_curve_minus_the_other(images: Tensor, chance: Tensor) -> None:
    black, heat = torch.zeros_like(images), images[:, 0]
    by_map, by_chance = (
        deletion_curve(total, images, order, black, FRACTIONS, chance=chance)
        for order in (heat, chance)
    )
    found = deletion_beyond_chance(total, images, {"map": heat}, black, FRACTIONS, chance=chance)
    assert found["map"].equal(by_map - by_chance)


def test_replacing_by_itself_changes_nothing(images: Tensor, chance: Tensor) -> None:
    assert not deletion_curve(total, images, images[:, 0], images, chance=chance).any()


def test_all_channels_of_a_pixel_are_replaced(images: Tensor, chance: Tensor) -> None:
    rgb = images.expand(-1, 3, -1, -1)
    black = torch.zeros_like(rgb)
    curve = deletion_curve(total, rgb, images[:, 0], black, [0.01], chance=chance)
    assert curve.tolist() == [[297.0, 297.0]]


def test_ties_are_broken_by_the_chance_given() -> None:
    """On a flat heatmap the pixels with the largest random numbers go first."""
    ramp = torch.arange(100.0).view(1, 1, 10, 10)
    flat, black = torch.zeros(1, 10, 10), torch.zeros_like(ramp)
    for chance, expected in ((ramp[0], range(50, 100)), (-ramp[0], range(50))):
        curve = deletion_curve(total, ramp, flat, black, [0.5], chance=chance)
        assert curve.item() == sum(expected)


def test_bad_arguments_are_explained(images: Tensor, chance: Tensor) -> None:
    with pytest.raises(ConfigError, match=r"between 0 and 1, got 1\.5"):
        deletion_curve(total, images, images[:, 0], images, [1.5], chance=chance)
    with pytest.raises(DataError, match="replacement"):
        deletion_curve(total, images, images[:, 0], images[:1], chance=chance)
    with pytest.raises(DataError, match="heatmap"):
        deletion_curve(total, images, images[:1, 0], images, chance=chance)
    with pytest.raises(DataError, match="chance"):
        deletion_curve(total, images, images[:, 0], images, chance=chance[:1])
