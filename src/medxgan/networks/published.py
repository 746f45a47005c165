"""The generator and discriminator as published, as the baseline to be held against.

Dravid et al., "medXGAN", CVPRW 2022 (arXiv 2204.05376) describe them as "DCGAN-like" (Radford et
al. 2016, arXiv 1511.06434): transposed convolutions with batch norm and ReLU that end in tanh,
against strided convolutions with leaky ReLU and dropout. Layers, widths and kernels are those of
the authors' released code for 64 pixels (brain) and 128 pixels (COVID), and so is N(0, 0.02) for
the weights; what neither says is done as in DCGAN: no bias beside a batch norm. Drawn and inverted
images see the running statistics of the batch norms, so that no image depends on its batch.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, relu

from medxgan.config import NetworkSettings
from medxgan.errors import ConfigError
from medxgan.image_sizes import in_words

SIZES = (32, 64, 128)
"""Pixels; 64 and 128 are published, 32 has one layer less."""

ENTERED = 768
GROWING = (384, 256, 192, 64)
"""Channels behind each 5 x 5 transposed convolution: maps of 5, 13, 29 and 61 pixels."""
SHRINKING = (16, 32, 64, 128, 256, 512)
"""Channels behind each convolution of the discriminator."""
SLOPE = 0.2
DROPOUT = 0.5
INITIAL_DEVIATION = 0.02


class PublishedGenerator(nn.Module):
    """G(z1, z2) -> images in [-1, 1], from the two codes side by side.

    Nothing but training makes z2 = 0 negative: the codes are mixed from the first layer on.

    Args:
        size: height and width of the images: 32, 64 or 128.
        channels: 1 or 3.
        settings: code dimensions; ``maximum_width`` limits all channels.

    Raises:
        ConfigError: the size is not supported.
    """

    def __init__(self, size: int, channels: int, settings: NetworkSettings) -> None:
        super().__init__()
        _check_size(size)
        widths = _limited((ENTERED, *GROWING[: SIZES.index(size) + 2]), settings)
        self.enter = nn.Linear(settings.structure_code + settings.pathology_code, widths[0])
        self.grow = nn.ModuleList(
            nn.ConvTranspose2d(wide, thin, 5, stride=2, bias=False)
            for wide, thin in pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths[1:])
        self.paint = nn.ConvTranspose2d(widths[-1], channels, 8, stride=2, bias=False)
        _initialise(self)

    def forward(self, z1: Tensor, z2: Tensor) -> Tensor:
        """Codes ``[N, d1]`` and ``[N, d2]`` -> images ``[N, C, H, W]`` in [-1, 1]."""
        features = self.enter(torch.cat([z1, z2], dim=1))[:, :, None, None]
        for grow, norm in zip(self.grow, self.norms, strict=True):
            features = relu(norm(grow(features)))
        return torch.tanh(self.paint(features).float())

    def film(self, z1: Tensor, z2: Tensor, strengths: Tensor) -> Tensor:
        """Frames G(z1, t z2) ``[T, N, C, H, W]`` for strengths t ``[T]``, each drawn anew."""
        return torch.stack([self(z1, strength * z2) for strength in strengths])


class PublishedDiscriminator(nn.Module):
    """D(x) -> one logit: does x look real? It is not told the class.

    Six 3 x 3 convolutions, every other one halving the map, dropout behind each.

    Args:
        size: height and width of the images: 32, 64 or 128.
        channels: 1 or 3.
        settings: ``maximum_width`` limits all channels.

    Raises:
        ConfigError: the size is not supported.
    """

    def __init__(self, size: int, channels: int, settings: NetworkSettings) -> None:
        super().__init__()
        _check_size(size)
        widths = _limited(SHRINKING, settings)
        self.shrink = nn.ModuleList()
        side = size
        for layer, (before, after) in enumerate(pairwise((channels, *widths))):
            halving = layer % 2 == 0
            # Those that do not halve the map have no padding, and cost it its rim.
            self.shrink.append(
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
                if halving
                else nn.Conv2d(before, after, 3, bias=False)
            )
            side = (side + 1) // 2 if halving else side - 2
        self.norms = nn.ModuleList(
            nn.Identity() if layer == 0 else nn.BatchNorm2d(width)
            for layer, width in enumerate(widths)
        )
        self.dropout = nn.Dropout(DROPOUT)
        self.judge = nn.Linear(widths[-1] * side * side, 1)
        _initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """``[N, C, H, W]`` in [-1, 1] -> logits ``[N]``, larger = more real."""
        features = images
        for shrink, norm in zip(self.shrink, self.norms, strict=True):
            features = self.dropout(leaky_relu(norm(shrink(features)), SLOPE))
        logits: Tensor = self.judge(features.flatten(1)).float()
        return logits.squeeze(1)


def _check_size(size: int) -> None:
    if size not in SIZES:
        raise ConfigError(
            f"the published networks draw images of {in_words(SIZES)} pixels, got {size}; "
            "take another preset"
        )


def _limited(widths: tuple[int, ...], settings: NetworkSettings) -> list[int]:
    return [min(width, settings.maximum_width) for width in widths]


def _initialise(network: nn.Module) -> None:
    """DCGAN's initial weights, for convolutions and batch norms."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, std=INITIAL_DEVIATION)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, mean=1.0, std=INITIAL_DEVIATION)
