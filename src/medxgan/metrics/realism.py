"""Do generated images look like real ones, to a classifier? Distances of two sets of features.

Features are ``[N, d]``, one row an image; both sets may differ in size. Both distances are
computed in double precision.
"""

import torch
from torch import Tensor

from medxgan.errors import DataError


def frechet_distance(first: Tensor, second: Tensor) -> Tensor:
    """Fréchet distance of the Gaussians fitted to two sets of features.

    FID, Heusel et al. 2017 (arXiv 1706.08500, equation 6):
    ``|m1 - m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^1/2)``. The trace of the square root is the sum of the
    singular values of ``R1 R2^T`` for any ``Ri^T Ri = Si``: no root of a matrix is needed.
    Few images make it larger (Bińkowski et al. 2018): compare sets of the same size only.

    Args:
        first: ``[N, d]``, N at least 2.
        second: ``[M, d]``, M at least 2.

    Returns:
        A scalar, at least 0 up to rounding; 0 for equal means and covariances.

    Raises:
        DataError: fewer than 2 rows, or rows of different length.

    >>> first = torch.tensor([[0.0], [2.0]])
    >>> frechet_distance(first, first + 3)
    tensor(9., dtype=torch.float64)
    """
    _check_features(first, second)
    (mean, root), (other_mean, other_root) = map(_mean_and_root, (first, second))
    overlap = torch.linalg.matrix_norm(root @ other_root.T, "nuc")
    spread = root.square().sum() + other_root.square().sum()
    distance: Tensor = (mean - other_mean).square().sum() + spread - 2 * overlap
    return distance


def kernel_distance(first: Tensor, second: Tensor) -> Tensor:
    """Squared maximum mean discrepancy with the kernel ``(x . y / d + 1)^3``, unbiased.

    KID, Bińkowski et al. 2018 (arXiv 1801.01401, section 4): its mean does not depend on the number
    of images, and is 0 for sets of one distribution; hence values below 0.

    Args:
        first: ``[N, d]``, N at least 2.
        second: ``[M, d]``, M at least 2.

    Returns:
        A scalar.

    Raises:
        DataError: fewer than 2 rows, or rows of different length.

    >>> first, second = torch.zeros(2, 1), torch.ones(2, 1)
    >>> kernel_distance(first, second)  # 1 + 8 - 2 x 1
    tensor(7., dtype=torch.float64)
    """
    _check_features(first, second)
    first, second = first.double(), second.double()
    between = _kernel(first, second).mean()
    return _mean_of_pairs(first) + _mean_of_pairs(second) - 2 * between


def _mean_and_root(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean ``[d]``, and R ``[min(N, d), d]`` such that ``R^T R`` is the unbiased covariance."""
    features = features.double()
    mean = features.mean(dim=0)
    _, triangle = torch.linalg.qr((features - mean) / (len(features) - 1) ** 0.5, mode="r")
    return mean, triangle


def _kernel(first: Tensor, second: Tensor) -> Tensor:
    return (first @ second.T / first.shape[1] + 1) ** 3


def _mean_of_pairs(features: Tensor) -> Tensor:
    """Mean kernel of two different rows."""
    kernel = _kernel(features, features)
    count = len(features)
    return (kernel.sum() - kernel.diagonal().sum()) / (count * (count - 1))


def _check_features(first: Tensor, second: Tensor) -> None:
    shapes = list(first.shape), list(second.shape)
    fitting = first.ndim == second.ndim == 2 and first.shape[1] == second.shape[1]
    if not fitting or min(len(first), len(second)) < 2:
        raise DataError(
            f"features must be [N, d] and [M, d] with at least 2 rows, got {shapes[0]} and "
            f"{shapes[1]}"
        )
