"""The joint encoder: one pass from an image to both codes."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_unshuffle

from medxgan.config import NetworkSettings
from medxgan.networks.blocks import DownBlock, activation, pixel_norm, stream_widths

INITIAL_LOG_VARIANCE = -5.0
# An Adam step moves each weight alike, and so a sum of thousands of features far: scaled down,
# with larger weights, the codes move no faster than the rest of the network can follow.
MEANS_SCALE = 0.2


@dataclass(frozen=True)
class Posterior:
    """Gaussian over a code: ``mean`` and ``log_variance``, ``[N, d]`` each."""

    mean: Tensor
    log_variance: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """Codes ``[N, d]`` from standard normal ``noise`` ``[N, d]``."""
        return self.mean + torch.exp(0.5 * self.log_variance) * noise

    def divergence(self) -> Tensor:
        """KL divergence to N(0, I) in nats, ``[N]`` (Kingma & Welling 2014, appendix B)."""
        variance = self.log_variance.exp()
        return 0.5 * (self.mean**2 + variance - 1 - self.log_variance).sum(dim=1)


class Encoder(nn.Module):
    """E(x) -> posteriors of z1 and z2.

    The means depend on the image, the spread is one learned number a dimension.
    z2 is meant for images that the classifier calls positive; callers set it to zero for others.
    """

    def __init__(self, size: int, channels: int, settings: NetworkSettings) -> None:
        super().__init__()
        widths = stream_widths(size, settings.base_width, settings.maximum_width)[::-1]
        self.enter = nn.Conv2d(4 * channels, widths[0], 3, padding=1)
        self.down = nn.Sequential(
            *(DownBlock(wide, deep, normalise=True) for wide, deep in pairwise(widths))
        )
        self.code_sizes = (settings.structure_code, settings.pathology_code)
        self.means = nn.Linear(widths[-1] * 16, sum(self.code_sizes))
        self.log_variance = nn.Parameter(torch.full((sum(self.code_sizes),), INITIAL_LOG_VARIANCE))
        # Means as long as the prior's codes from the start: else the noise drowns them for long.
        nn.init.normal_(self.means.weight, std=(widths[-1] * 16) ** -0.5 / MEANS_SCALE)
        nn.init.zeros_(self.means.bias)

    def forward(self, images: Tensor) -> tuple[Posterior, Posterior]:
        """``[N, C, H, W]`` in [-1, 1] -> posterior of z1 ``[N, d1]`` and of z2 ``[N, d2]``."""
        entered = activation(self.enter(pixel_unshuffle(images, 2)))
        features = self.down(entered).flatten(1)
        means = MEANS_SCALE * self.means(pixel_norm(features)).float()
        spreads = self.log_variance.expand_as(means)
        z1_mean, z2_mean = means.split(self.code_sizes, dim=1)
        z1_spread, z2_spread = spreads.split(self.code_sizes, dim=1)
        return Posterior(z1_mean, z1_spread), Posterior(z2_mean, z2_spread)
