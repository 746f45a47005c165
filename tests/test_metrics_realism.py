import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor
from torchmetrics.image.fid import _compute_fid

from medxgan.errors import DataError
from medxgan.metrics.realism import frechet_distance, kernel_distance


def features(count: int, width: int, seed: int, shift: float = 0.0) -> Tensor:
    """Correlated features of different spread."""
    random = torch.Generator().manual_seed(seed)
    mixing = torch.randn(width, width, generator=random)
    return torch.randn(count, width, generator=random) @ mixing + shift


def moments(sample: Tensor) -> tuple[np.ndarray, np.ndarray]:
    values = sample.double().numpy()
    return values.mean(0), np.cov(values, rowvar=False)


def test_frechet_distance_of_one_dimension_has_a_closed_form() -> None:
    """(m1 - m2)^2 + (s1 - s2)^2."""
    first, second = torch.tensor([[0.0], [2.0], [4.0]]), torch.tensor([[1.0], [2.0]])
    expected = 0.5**2 + (2 - 0.5**0.5) ** 2
    assert frechet_distance(first, second).item() == pytest.approx(expected)


def test_frechet_distance_of_commuting_covariances_has_a_closed_form() -> None:
    """Stretched by 3, each dimension adds the square of twice its spread: 4 Tr S in all."""
    sample = features(50, 4, seed=0)
    trace = np.trace(moments(sample)[1])
    centred = sample - sample.mean(0)
    assert frechet_distance(centred, 3 * centred).item() == pytest.approx(4 * trace)


def test_frechet_distance_of_a_shift_is_its_square() -> None:
    sample = features(50, 4, seed=0)
    assert frechet_distance(sample, sample).item() == pytest.approx(0, abs=1e-9)
    assert frechet_distance(sample, sample + 3).item() == pytest.approx(4 * 9, rel=1e-5)


def test_frechet_distance_equals_that_by_a_matrix_square_root() -> None:
    first, second = features(200, 6, seed=0), features(100, 6, seed=1, shift=0.5)
    (mean, covariance), (other_mean, other_covariance) = moments(first), moments(second)
    root = scipy.linalg.sqrtm(covariance @ other_covariance).real
    expected = ((mean - other_mean) ** 2).sum() + np.trace(covariance + other_covariance - 2 * root)
    assert frechet_distance(first, second).item() == pytest.approx(expected)


def test_frechet_distance_equals_that_of_torchmetrics_also_with_few_images() -> None:
    """Fewer images than features: covariances without full rank."""
    for count in (5, 60):
        first, second = features(count, 12, seed=2), features(count, 12, seed=3, shift=1.0)
        means, covariances = zip(*map(moments, (first, second)), strict=True)
        expected = _compute_fid(
            torch.from_numpy(means[0]),
            torch.from_numpy(covariances[0]),
            torch.from_numpy(means[1]),
            torch.from_numpy(covariances[1]),
        )
        assert frechet_distance(first, second).item() == pytest.approx(expected.item(), rel=1e-4)


def test_kernel_distance_equals_a_loop() -> None:
    first, second = features(9, 3, seed=0), features(7, 3, seed=1)

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return (x @ y / 3 + 1) ** 3

    def mean_of_pairs(rows: np.ndarray) -> float:
        pairs = [
            kernel(rows[i], rows[j]) for i in range(len(rows)) for j in range(len(rows)) if i != j
        ]
        return float(np.mean(pairs))

    a, b = first.double().numpy(), second.double().numpy()
    between = np.mean([kernel(x, y) for x in a for y in b])
    expected = mean_of_pairs(a) + mean_of_pairs(b) - 2 * between
    assert kernel_distance(first, second).item() == pytest.approx(expected)


def test_kernel_distance_is_unbiased() -> None:
    """Its mean over all ways to deal one set into two halves: 0 for one distribution, not above."""
    sample = features(8, 2, seed=0)
    deals = [
        [row for row in range(8) if number >> row & 1]
        for number in range(256)
        if number.bit_count() == 4
    ]
    distances = [
        kernel_distance(sample[half], sample[[row for row in range(8) if row not in half]])
        for half in deals
    ]
    mean, largest = torch.stack(distances).mean().item(), max(distances).item()
    assert mean == pytest.approx(0, abs=1e-6 * largest)
    assert min(distances) < 0


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_distances_are_symmetric(distance) -> None:
    first, second = features(20, 3, seed=0), features(30, 3, seed=1)
    torch.testing.assert_close(distance(first, second), distance(second, first))


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_features_that_do_not_fit_are_refused(distance) -> None:
    for second in (torch.zeros(5, 4), torch.zeros(1, 3), torch.zeros(3), torch.zeros(5, 3, 1)):
        with pytest.raises(DataError, match="at least 2 rows, got"):
            distance(torch.zeros(5, 3), second)
