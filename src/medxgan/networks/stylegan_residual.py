"""The residual block that discriminator and encoder share, and how wide they are."""

import math

from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from medxgan.networks.blocks import norm
from medxgan.networks.stylegan_layers import GAIN, SLOPE, EqualConv, downsample


class ResidualDown(nn.Module):
    """Two 3 x 3 convolutions around a downsampling, beside a 1 x 1 shortcut (arXiv 1912.04958).

    The second convolution works on the halved map, at a quarter of the cost.

    Args:
        inputs: channels before.
        outputs: channels after.
        normalise: group norm behind the convolutions; not for a discriminator, whose gradient
            penalty it would upset.
    """

    def __init__(self, inputs: int, outputs: int, *, normalise: bool) -> None:
        super().__init__()
        self.first = EqualConv(inputs, inputs)
        self.second = EqualConv(inputs, outputs)
        self.shortcut = EqualConv(inputs, outputs, 1, bias=False)
        self.norm = norm if normalise else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` -> ``[N, outputs, H/2, W/2]``."""
        inner = leaky_relu(self.norm(self.first(features)), SLOPE)
        # Gains of both leaky ReLUs (2) times the half-half sum of two branches (sqrt 1/2).
        inner = leaky_relu(self.norm(self.second(downsample(inner))), SLOPE) * GAIN
        shortcut: Tensor = self.shortcut(downsample(features))
        return inner + shortcut * math.sqrt(0.5)
