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


@pytest.fixture
def images() -> Tensor:
    """The numbers 0 to 99 in two random orders."""
    seeded = torch.Generator().manual_seed(0)
    return (
        torch.stack([torch.randperm(100, generator=seeded) for _ in range(2)])
        .view(2, 1, 10, 10)
        .float()
    )


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


def test_deletion_by_the_true_evidence_has_a_closed_form(images: Tensor) -> None:
    """Replacing the largest k of 0..99 by 0 takes their sum away."""
    curve = deletion_curve(total, images, images[:, 0], torch.zeros_like(images), FRACTIONS)
    expected = torch.tensor([0.0, 99.0, sum(range(75, 100)), sum(range(100))])
    assert curve.equal(expected[:, None].expand(4, 2))


def test_the_true_order_is_the_best_and_its_reverse_the_worst(images: Tensor) -> None:
    black, heat = torch.zeros_like(images), images[:, 0]
    assert (deletion_beyond_chance(total, images, heat, black, [0.05, 0.2]) > 0).all()
    assert (deletion_beyond_chance(total, images, -heat, black, [0.05, 0.2]) < 0).all()
    assert not deletion_beyond_chance(total, images, heat, black, [0.0, 1.0]).any()


def test_replacing_by_itself_changes_nothing(images: Tensor) -> None:
    assert not deletion_curve(total, images, images[:, 0], images).any()


def test_all_channels_of_a_pixel_are_replaced(images: Tensor) -> None:
    rgb = images.expand(-1, 3, -1, -1)
    curve = deletion_curve(total, rgb, images[:, 0], torch.zeros_like(rgb), [0.01])
    assert curve.tolist() == [[297.0, 297.0]]


def test_ties_are_broken_at_random_but_reproducibly() -> None:
    """On a flat heatmap the deleted half is spread over the image."""
    ramp = torch.arange(100.0).view(1, 1, 10, 10)
    flat, black = torch.zeros(1, 10, 10), torch.zeros_like(ramp)
    curve = deletion_curve(total, ramp, flat, black, [0.5], seed=3)
    assert curve.equal(deletion_curve(total, ramp, flat, black, [0.5], seed=3))
    first_half, last_half = sum(range(50)), sum(range(50, 100))
    assert first_half < curve.item() < last_half


def test_bad_arguments_are_explained(images: Tensor) -> None:
    with pytest.raises(ConfigError, match=r"between 0 and 1, got 1\.5"):
        deletion_curve(total, images, images[:, 0], images, [1.5])
    with pytest.raises(DataError, match="replacement"):
        deletion_curve(total, images, images[:, 0], images[:1])
    with pytest.raises(DataError, match="heatmap"):
        deletion_curve(total, images, images[:1, 0], images)
