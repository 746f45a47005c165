"""How the codes of a style-based generator are spread: mean and covariance of w."""

from dataclasses import dataclass

import torch
from torch import Tensor

from medxgan.networks.stylegan import StyleGenerator

SMALLEST_SHARE = 1e-4
"""Directions with less than this share of the largest variance count as having it."""


@dataclass(frozen=True)
class CodeStatistics:
    """Distribution of mapped codes.

    Attributes:
        mean: of w, ``[d]``.
        covariance: of w, ``[d, d]``.
    """

    mean: Tensor
    covariance: Tensor

    def to(self, device: torch.device) -> "CodeStatistics":
        """The same on another device."""
        return CodeStatistics(self.mean.to(device), self.covariance.to(device))

    def whitening(self) -> Tensor:
        """Matrix ``[d, d]``: ``(w - mean) @ matrix`` has covariance I for mapped codes w."""
        variances, directions = torch.linalg.eigh(self.covariance.double())
        largest = variances[-1].clamp_min(torch.finfo(torch.float32).tiny)
        scale = torch.maximum(variances, SMALLEST_SHARE * largest).rsqrt()
        matrix: Tensor = (directions * scale).to(self.mean.dtype)
        return matrix

    def distance(self, codes: Tensor) -> Tensor:
        """Mahalanobis distance from the mean over sqrt(d): about 1 for mapped codes.

        Args:
            codes: w ``[N, d]``, or ``[N, L, d]``, of whose layers the root mean square is taken.

        Returns:
            ``[N]``.

        >>> statistics = CodeStatistics(torch.zeros(2), torch.diag(torch.tensor([1.0, 4.0])))
        >>> statistics.distance(torch.tensor([[1.0, 2.0], [0.0, 0.0]])).tolist()
        [1.0, 0.0]
        """
        whitened = (codes - self.mean) @ self.whitening()
        return whitened.square().flatten(1).mean(dim=1).sqrt()


@torch.no_grad()
def measure_codes(generator: StyleGenerator, count: int, seed: int = 0) -> CodeStatistics:
    """Mean and covariance of w over ``count`` draws from the prior, on the CPU.

    Args:
        generator: whose mapping network is measured.
        count: draws, more than the dimensions of w.
        seed: of the draws.
    """
    random = torch.Generator().manual_seed(seed)
    z = torch.randn(count, generator.code, generator=random)
    codes = generator.mapping(z.to(generator.start.device)).double().cpu()
    return CodeStatistics(codes.mean(dim=0).float(), codes.T.cov().float())
