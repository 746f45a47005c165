"""Layers that the networks share."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, group_norm, leaky_relu

from medxgan.errors import ConfigError
from medxgan.image_sizes import SIZES, in_words

SLOPE = 0.2


def stream_widths(size: int, base: int, maximum: int) -> list[int]:
    """Channels of a stream's maps from 4 x 4 up to half the image size.

    Raises:
        ConfigError: the size is not one of ``SIZES``.

    >>> stream_widths(64, base=48, maximum=128)
    [128, 128, 96, 48]
    """
    if size not in SIZES:
        raise ConfigError(f"image size must be {in_words()} pixels, got {size}")
    scales = int(math.log2(size)) - 2
    return [min(maximum, base * 2**level) for level in reversed(range(scales))]


def pixel_norm(features: Tensor) -> Tensor:
    """Scale each pixel's features ``[N, C, ...]`` to unit mean square (Karras et al. 2018)."""
    square = features.float().square().mean(dim=1, keepdim=True)
    return features * torch.rsqrt(square + 1e-6).to(features.dtype)


def activation(features: Tensor) -> Tensor:
    """Leaky ReLU: positively homogeneous, f(t x) = t f(x) for t >= 0, and f(0) = 0."""
    return leaky_relu(features, SLOPE)


def norm(features: Tensor) -> Tensor:
    """Normalise groups of an image's channels ``[N, C, H, W]`` (Wu & He 2018), no parameters."""
    return group_norm(features, math.gcd(8, features.shape[1]))


class StyledConv(nn.Module):
    """3 x 3 convolution, group norm, then a scale and shift that a style vector sets."""

    def __init__(self, inputs: int, outputs: int, style: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.affine = nn.Linear(style, 2 * outputs)
        nn.init.normal_(self.affine.weight, std=0.02)
        nn.init.zeros_(self.affine.bias)

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` and ``[N, style]`` -> ``[N, outputs, H, W]``."""
        scale, shift = self.affine(style)[:, :, None, None].chunk(2, dim=1)
        return activation(norm(self.conv(features)) * (1 + scale) + shift)


class HomogeneousConv(nn.Module):
    """3 x 3 convolution whose bias is multiplied by the length of the code that drives it.

    The map (features, length) -> output is positively homogeneous: zero code, zero output;
    code doubled, output doubled. Yet on codes of one length it is as free as any convolution.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.kaiming_normal_(self.weight, a=SLOPE)

    def forward(self, features: Tensor, length: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` and ``[N]`` -> ``[N, outputs, H, W]``."""
        lifted = length[:, None, None, None] * self.bias[None, :, None, None]
        return activation(conv2d(features, self.weight, padding=1) + lifted)


class DownBlock(nn.Module):
    """Halve the map: a strided and a plain 3 x 3 convolution beside a pooled 1 x 1 shortcut.

    Args:
        inputs: channels before.
        outputs: channels after.
        normalise: group norm behind the convolutions; not for a discriminator, whose gradient
            penalty it would upset.
    """

    def __init__(self, inputs: int, outputs: int, *, normalise: bool) -> None:
        super().__init__()
        self.norm = norm if normalise else nn.Identity()
        self.reduce = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
        self.refine = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)
        self.pool = nn.AvgPool2d(2)

    def forward(self, features: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` -> ``[N, outputs, H/2, W/2]``."""
        inner = self.norm(self.refine(activation(self.norm(self.reduce(features)))))
        return activation((inner + self.shortcut(self.pool(features))) * math.sqrt(0.5))
