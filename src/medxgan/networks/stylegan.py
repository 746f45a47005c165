"""The style-based generator (Karras et al. 2020, arXiv 1912.04958): z -> w -> image.

As published: mapping network, modulated convolutions with demodulation, and a skip generator, in
which every resolution adds its part of the image to the upsampled one before. Narrower, with the
convolution before the upsampling, and without the random noise inputs: an explanation is read off
what changes between two images, and nothing may change there but w.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from medxgan.config import StyleNetworkSettings
from medxgan.errors import ConfigError
from medxgan.image_sizes import SIZES, in_words
from medxgan.networks.blocks import pixel_norm, stream_widths
from medxgan.networks.medxgan import limit
from medxgan.networks.stylegan_layers import (
    GAIN,
    SLOPE,
    EqualLinear,
    StyleConv,
    ToImage,
    float32_arithmetic,
    upsample,
)

MAPPING_RATE = 0.01
"""Factor on the mapping network's learning rate, as published."""
MEAN_KEPT = 0.998
"""Share of the running mean of w that a step keeps, as published."""


def layer_count(size: int) -> int:
    """L, the number of layers that take a code of their own in W+.

    Raises:
        ConfigError: the size is not one of ``SIZES``.

    >>> layer_count(64)
    9
    """
    if size not in SIZES:
        raise ConfigError(f"image size must be {in_words()} pixels, got {size}")
    return 2 * size.bit_length() - 5


class MappingNetwork(nn.Module):
    """z -> w: z on the unit sphere, then dense layers that learn at a hundredth of the rate.

    Attributes:
        mean: running mean of w, ``[d]``: centre of truncation.
    """

    mean: Tensor

    def __init__(self, code: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            EqualLinear(code, code, rate=MAPPING_RATE) for _ in range(layers)
        )
        self.register_buffer("mean", torch.zeros(code))

    def forward(self, z: Tensor) -> Tensor:
        """``[N, d]`` -> w ``[N, d]``, float32."""
        with float32_arithmetic(z):
            code = pixel_norm(z.float())
            for layer in self.layers:
                code = GAIN * leaky_relu(layer(code), SLOPE)
        return code

    @torch.no_grad()
    def follow(self, codes: Tensor) -> None:
        """Move the running mean towards that of a batch of w ``[N, d]``."""
        self.mean.lerp_(codes.float().mean(dim=0), 1 - MEAN_KEPT)


class StyleGenerator(nn.Module):
    """G(w) -> images in [-1, 1].

    With ``settings.noise`` off, the default, an image is a function of w alone: the same w gives
    the same bits. Noise inputs are there to be compared with; an explanation must not depend on
    them. Where they are on, they are drawn anew while training and fixed otherwise.

    Args:
        size: height and width of the images: 32, 64, 128 or 256.
        channels: 1 or 3.
        settings: dimensions of w, widths, layers of the mapping network.

    Raises:
        ConfigError: the size is not supported.
    """

    def __init__(self, size: int, channels: int, settings: StyleNetworkSettings) -> None:
        super().__init__()
        widths = stream_widths(size, settings.base_width, settings.maximum_width)
        widths.append(max(8, settings.base_width // 2))
        code, noise = settings.code, settings.noise
        self.code, self.layers, self.size = code, layer_count(size), size
        self.mapping = MappingNetwork(code, settings.mapping_layers)
        self.start = nn.Parameter(torch.randn(1, widths[0], 4, 4))
        self.convs = nn.ModuleList([StyleConv(widths[0], widths[0], code, grow=False, noise=noise)])
        for before, after in pairwise(widths):
            self.convs.append(StyleConv(before, after, code, grow=True, noise=noise))
            self.convs.append(StyleConv(after, after, code, grow=False, noise=noise))
        self.to_image = nn.ModuleList(ToImage(width, channels, code) for width in widths)
        self.has_noise = noise
        if noise:
            for layer in range(self.layers):
                side = self._side(layer)
                self.register_buffer(f"noise{layer}", torch.randn(1, 1, side, side))

    def forward(self, codes: Tensor) -> Tensor:
        """w ``[N, d]``, or one for each layer ``[N, L, d]`` -> images ``[N, C, H, W]``."""
        codes = for_all_layers(codes, self.layers)
        features = self.start.expand(len(codes), -1, -1, -1)
        features = features.contiguous(memory_format=torch.channels_last)
        image: Tensor | None = None
        for layer, conv in enumerate(self.convs):
            features = conv(features, codes[:, layer], self._noise(layer, codes))
            if layer % 2 == 0:  # the last layer of its resolution
                part = self.to_image[layer // 2](features, codes[:, layer])
                image = part if image is None else upsample(image) + part
        assert image is not None
        return limit(image)

    def map(self, z: Tensor, truncation: float = 1.0) -> Tensor:
        """z ``[N, d]`` from N(0, I) -> w ``[N, d]``.

        Args:
            z: codes of the prior.
            truncation: factor on the distance from the running mean (Karras et al. 2019); below 1
                images are more typical and less varied.
        """
        codes: Tensor = self.mapping(z)
        return self.mapping.mean + truncation * (codes - self.mapping.mean)

    def _side(self, layer: int) -> int:
        """Height and width of the maps that a layer makes."""
        return 4 << ((layer + 1) // 2)

    def _noise(self, layer: int, codes: Tensor) -> Tensor | None:
        if not self.has_noise:
            return None
        if not self.training:
            fixed: Tensor = getattr(self, f"noise{layer}")
            return fixed
        side = self._side(layer)
        return torch.randn(len(codes), 1, side, side, device=codes.device)


def for_all_layers(codes: Tensor, layers: int) -> Tensor:
    """w ``[N, d]`` -> ``[N, L, d]``; codes of W+ have that shape already."""
    return codes if codes.ndim == 3 else codes.unsqueeze(1).expand(-1, layers, -1)


def mix_styles(first: Tensor, second: Tensor, first_layers: Tensor, layers: int) -> Tensor:
    """Codes whose coarse layers come from one w and fine ones from another (Karras et al. 2019).

    Args:
        first: w ``[N, d]`` of the coarse layers.
        second: w ``[N, d]`` of the others.
        first_layers: how many layers take the first, ``[N]``, 0 to ``layers``.
        layers: in all, L.

    Returns:
        ``[N, L, d]``.

    >>> mix_styles(torch.zeros(1, 1), torch.ones(1, 1), torch.tensor([2]), 3).flatten().tolist()
    [0.0, 0.0, 1.0]
    """
    takes_first = torch.arange(layers, device=first.device) < first_layers.unsqueeze(1)
    return torch.where(takes_first.unsqueeze(2), first.unsqueeze(1), second.unsqueeze(1))
