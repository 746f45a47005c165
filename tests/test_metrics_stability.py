import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor

from medxgan.errors import DataError
from medxgan.metrics.stability import overlap_kept, rank_robustness, rank_similarity


@pytest.fixture
def heatmap() -> Tensor:
    """The numbers 0 to 23, in two random orders."""
    seeded = torch.Generator().manual_seed(0)
    return (
        torch.stack([torch.randperm(24, generator=seeded) for _ in range(2)]).view(2, 4, 6).float()
    )


def test_only_the_order_counts(heatmap: Tensor) -> None:
    for similarity in (rank_similarity, rank_robustness):
        torch.testing.assert_close(similarity(heatmap, heatmap.exp()), torch.ones(2))
        torch.testing.assert_close(similarity(heatmap, 3 - heatmap), -torch.ones(2))


def test_similarity_equals_that_of_scipy_on_the_pixels_of_each_image(heatmap: Tensor) -> None:
    other = (heatmap.flip(2) / 5).floor()
    expected = [
        spearmanr(first.flatten(), second.flatten()).statistic
        for first, second in zip(heatmap.numpy(), other.numpy(), strict=True)
    ]
    found = rank_similarity(heatmap, other)
    torch.testing.assert_close(found, torch.tensor(expected).float())
    torch.testing.assert_close(rank_robustness(heatmap, other), found)
    assert expected[0] != pytest.approx(expected[1], abs=0.1), "each image has its own"


def test_a_constant_map_resembles_nothing_but_a_lost_map_is_a_failure(heatmap: Tensor) -> None:
    flat = torch.full_like(heatmap, 0.3)
    assert rank_similarity(heatmap, flat).isnan().all()
    assert rank_robustness(heatmap, flat).tolist() == [0, 0]
    assert rank_robustness(flat, heatmap).isnan().all()
    assert rank_robustness(flat, flat).isnan().all()


def test_overlap_is_kept_wholly_or_not_at_all_or_gained() -> None:
    clean, noisy = torch.tensor([0.5, 0.5, 0.5, 0.2]), torch.tensor([0.5, 0.0, 0.25, 0.4])
    torch.testing.assert_close(overlap_kept(clean, noisy), torch.tensor([1.0, 0.0, 0.5, 2.0]))


def test_no_overlap_cannot_be_kept() -> None:
    kept = overlap_kept(torch.tensor([0.0, 0.0, torch.nan]), torch.tensor([0.0, 0.4, 0.4]))
    assert kept.isnan().all()


def test_shapes_that_do_not_fit_are_refused(heatmap: Tensor) -> None:
    for similarity in (rank_similarity, rank_robustness):
        with pytest.raises(DataError, match="expected tensors of one shape"):
            similarity(heatmap, heatmap[:1])
    with pytest.raises(DataError, match=r"clean \[2\], noisy \[3\]"):
        overlap_kept(torch.ones(2), torch.ones(3))
