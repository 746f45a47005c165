import math

import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from medxgan.errors import DataError
from medxgan.metrics.counterfactual import (
    agreement,
    called_positive,
    crossed,
    flipped,
    flipped_where_positive,
    is_monotone,
    monotone_share,
    prediction_match,
)
from medxgan.metrics.ranks import average_ranks, spearman
from medxgan.metrics.similarity import (
    mae_outside,
    mean_outside,
    mse,
    psnr,
    ssim,
    ssim_map,
    ssim_outside,
)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_agreement_of_an_always_positive_generator_is_balanced() -> None:
    """The published mix of 1 negative and 3 positives would call this 75 %."""
    shares = agreement(negative=torch.full((4,), 0.9), positive=torch.full((3, 4), 0.5))
    assert {name: values.tolist() for name, values in shares.items()} == {
        "negative": [0.0] * 4,
        "positive": [1.0] * 4,
        "balanced": [0.5] * 4,
    }


def test_agreement_needs_the_same_structure_codes() -> None:
    with pytest.raises(DataError, match=r"negative \[4\], positive \[5\]"):
        agreement(torch.zeros(4), torch.zeros(3, 5))


def test_a_flip_crosses_one_half_either_way() -> None:
    before = torch.tensor([0.9, 0.9, 0.1, 0.1, 0.5])
    after = torch.tensor([0.1, 0.5, 0.5, 0.4, 0.49])
    assert flipped(before, after).tolist() == [1, 0, 1, 0, 1]
    assert prediction_match(before, after).tolist() == [0, 1, 0, 1, 0]


def test_a_missing_counterfactual_is_a_failure_not_a_flip() -> None:
    missing = torch.tensor([torch.nan])
    assert flipped(torch.tensor([0.9]), missing).item() == 0
    assert prediction_match(torch.tensor([0.1]), missing).item() == 0


def test_only_what_was_positive_can_be_gone() -> None:
    before = torch.tensor([0.5, 0.9, 0.9, 0.49, 0.1, torch.nan])
    after = torch.tensor([0.49, 0.5, torch.nan, 0.1, 0.9, 0.1])
    assert called_positive(before).tolist() == [1, 1, 1, 0, 0, 0]
    found = flipped_where_positive(before, after)
    torch.testing.assert_close(
        found, torch.tensor([1.0, 0.0, 0.0, *[torch.nan] * 3]), equal_nan=True
    )


def test_a_crossing_starts_on_the_side_of_the_original_and_ends_on_the_other() -> None:
    sides = [0.9, 0.1]
    cases = torch.cartesian_prod(*[torch.tensor(sides)] * 3)
    before, start, end = cases.unbind(dim=1)
    expected = [float(b == s != e) for b, s, e in cases.tolist()]
    assert crossed(before, start, end).tolist() == expected
    assert sum(expected) == 2
    half = torch.tensor([0.5])
    assert crossed(half, half, half - 0.01).item() == 1
    missing = torch.tensor([torch.nan])
    assert crossed(half, missing, 0 * half).item() == crossed(half, half, missing).item() == 0


def test_small_falls_add_up() -> None:
    steps = torch.linspace(0, 1, 11)
    rising = 0.2 + 0.6 * steps
    creeping_down = 0.5 - 0.06 * steps
    one_small_dip = rising - 0.0025 * (steps == 0.5) - 0.06 * (steps == 0.5)
    probabilities = torch.stack([rising, creeping_down, one_small_dip, 0 * steps], dim=1)
    assert is_monotone(probabilities).tolist() == [1, 0, 1, 1]
    assert is_monotone(probabilities, tolerance=0.1).tolist() == [1, 1, 1, 1]
    assert monotone_share(probabilities) == 0.75


def test_ranks_of_ties_are_their_mean() -> None:
    values = torch.tensor([[2.0, 1.0, 2.0, 2.0], [4.0, 3.0, 2.0, 1.0]])
    assert average_ranks(values).tolist() == [[3, 1, 3, 3], [4, 3, 2, 1]]


def test_spearman_limits() -> None:
    rising = torch.arange(11.0)
    assert spearman(rising, rising.exp()).item() == 1
    assert spearman(rising, -(rising**3)).item() == -1
    assert spearman(rising, torch.ones(11)).isnan()


def test_spearman_equals_that_of_scipy_with_ties() -> None:
    seeded = torch.Generator().manual_seed(0)
    first, second = torch.randint(6, (2, 20, 5), generator=seeded).float()
    expected = [spearmanr(first[:, column], second[:, column]).statistic for column in range(5)]
    torch.testing.assert_close(spearman(first, second, dim=0), torch.tensor(expected).float())


def test_identical_images_reach_the_limits(images: Tensor) -> None:
    assert mse(images, images).tolist() == [0, 0, 0]
    torch.testing.assert_close(ssim(images, images), torch.ones(3))
    torch.testing.assert_close(psnr(images, images), torch.full((3,), 10 * math.log10(4 / 1e-10)))


def test_a_constant_error_has_a_closed_form(images: Tensor) -> None:
    torch.testing.assert_close(mse(images, images + 0.1), torch.full((3,), 0.01))
    torch.testing.assert_close(psnr(images, images + 0.1), torch.full((3,), 10 * math.log10(400)))


def test_ssim_of_constant_images_is_its_luminance_term() -> None:
    """(2 a b + c) / (a^2 + b^2 + c), with intensities from zero: dark grey stays like dark grey."""
    first, second = torch.full((1, 1, 16, 16), 0.05), torch.full((1, 1, 16, 16), -0.05)
    a, b, c = 1.05, 0.95, 0.02**2
    expected = torch.tensor([(2 * a * b + c) / (a**2 + b**2 + c)])
    torch.testing.assert_close(ssim(first, second), expected, atol=1e-3, rtol=0)


def test_ssim_of_a_batch_is_that_of_each_image(images: Tensor) -> None:
    noisy = (images + 0.2 * images.roll(1, 0)).clamp(-1, 1)
    alone = torch.stack(
        [
            structural_similarity_index_measure(a[None] + 1, b[None] + 1, data_range=2.0)
            for a, b in zip(images, noisy, strict=True)
        ]
    )
    torch.testing.assert_close(ssim(images, noisy), alone)


def test_psnr_of_a_batch_is_that_of_each_image(images: Tensor) -> None:
    noisy = (images + 0.2 * images.roll(1, 0)).clamp(-1, 1)
    alone = torch.stack(
        [peak_signal_noise_ratio(a, b, data_range=2.0) for a, b in zip(images, noisy, strict=True)]
    )
    torch.testing.assert_close(psnr(images, noisy), alone)


def test_only_the_outside_counts(images: Tensor) -> None:
    mask = torch.zeros(3, 16, 16, dtype=torch.bool)
    mask[:, 4:8, 4:8] = True
    changed = torch.where(mask[:, None], images + 1, images)
    assert mae_outside(images, changed, mask).tolist() == [0, 0, 0]
    torch.testing.assert_close(mae_outside(images, images + 0.25, mask), torch.full((3,), 0.25))
    expected = ssim_map(images, changed)[:, 0][~mask].view(3, -1).mean(1)
    torch.testing.assert_close(ssim_outside(images, changed, mask), expected)
    assert (ssim_outside(images, changed, mask) > ssim(images, changed)).all()


def test_outside_of_nothing_is_the_whole_and_of_everything_undefined() -> None:
    values = torch.arange(32.0).view(2, 1, 4, 4)
    mask = torch.zeros(2, 4, 4, dtype=torch.bool)
    mask[1] = True
    means = mean_outside(values, mask)
    assert means[0].item() == 7.5
    assert means[1].isnan()


def test_images_that_do_not_fit_are_refused(images: Tensor) -> None:
    for metric in (mse, psnr, ssim):
        with pytest.raises(DataError, match="expected tensors of one shape"):
            metric(images, images[:2])
    with pytest.raises(DataError, match="expected tensors of one shape"):
        mae_outside(images, images, torch.zeros(2, 16, 16, dtype=torch.bool))
    with pytest.raises(DataError, match=r"images must be \[N, C, H, W\]"):
        mean_outside(images[0], torch.zeros(1, 16, dtype=torch.bool))
