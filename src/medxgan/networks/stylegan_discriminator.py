"""The residual discriminator of StyleGAN2 (Karras et al. 2020, arXiv 1912.04958)."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pixel_unshuffle

from medxgan.config import StyleNetworkSettings
from medxgan.networks.blocks import stream_widths
from medxgan.networks.discriminator import append_deviation
from medxgan.networks.stylegan_layers import GAIN, SLOPE, EqualConv, EqualLinear
from medxgan.networks.stylegan_residual import ResidualDown


class StyleDiscriminator(nn.Module):
    """D(x) -> one logit: does x look real? It knows neither class nor code.

    It starts at half the image size, on 2 x 2 pixels as channels, which loses nothing.

    Args:
        size: height and width of the images: 32, 64, 128 or 256.
        channels: 1 or 3.
        settings: widths.

    Raises:
        ConfigError: the size is not supported.
    """

    def __init__(self, size: int, channels: int, settings: StyleNetworkSettings) -> None:
        super().__init__()
        widths = stream_widths(size, settings.base_width, settings.maximum_width)[::-1]
        self.enter = EqualConv(4 * channels, widths[0])
        self.down = nn.ModuleList(
            ResidualDown(wide, deep, normalise=False) for wide, deep in pairwise(widths)
        )
        self.join = EqualConv(widths[-1] + 1, widths[-1])
        self.gather = EqualLinear(widths[-1] * 16, widths[-1])
        self.judge = EqualLinear(widths[-1], 1)

    def forward(self, images: Tensor) -> Tensor:
        """``[N, C, H, W]`` in [-1, 1] -> logits ``[N]``, larger = more real."""
        return self.logits(self.features(images)[-1])

    def features(self, images: Tensor) -> list[Tensor]:
        """Maps behind each block, from a quarter of the image size down to 4 x 4."""
        features = _activate(self.enter(pixel_unshuffle(images, 2)))
        maps = []
        for block in self.down:
            features = block(features)
            maps.append(features)
        return maps

    def logits(self, features: Tensor) -> Tensor:
        """Last of the maps ``[N, width, 4, 4]`` -> logits ``[N]``."""
        joined = _activate(self.join(append_deviation(features)))
        logits: Tensor = self.judge(_activate(self.gather(joined.flatten(1)))).float()
        return logits.squeeze(1)


def _activate(features: Tensor) -> Tensor:
    return leaky_relu(features, SLOPE) * GAIN
