"""The encoder of the style-based generator: one pass from an image to w."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pixel_unshuffle

from medxgan.config import StyleNetworkSettings
from medxgan.networks.blocks import pixel_norm, stream_widths
from medxgan.networks.stylegan import layer_count
from medxgan.networks.stylegan_layers import GAIN, SLOPE, EqualConv, EqualLinear
from medxgan.networks.stylegan_residual import ResidualDown


class StyleEncoder(nn.Module):
    """E(x) -> w, one for all layers (W), or one a layer (W+), as ``settings.encoder_space`` says.

    In W+ the image can be met more closely, with codes that the mapping network never makes. Each
    layer's w is a common one plus an offset (as in e4e, Tov et al. 2021, arXiv 2102.02766).

    Args:
        size: height and width of the images: 32, 64, 128 or 256.
        channels: 1 or 3.
        settings: dimensions of w, widths, space.

    Raises:
        ConfigError: the size is not supported.
    """

    def __init__(self, size: int, channels: int, settings: StyleNetworkSettings) -> None:
        super().__init__()
        widths = stream_widths(size, settings.base_width, settings.maximum_width)[::-1]
        self.enter = EqualConv(4 * channels, widths[0])
        self.down = nn.Sequential(
            *(ResidualDown(wide, deep, normalise=True) for wide, deep in pairwise(widths))
        )
        self.gather = EqualLinear(widths[-1] * 16, 2 * settings.code)
        self.common = EqualLinear(2 * settings.code, settings.code)
        self.layers = layer_count(size)
        self.offsets = (
            EqualLinear(2 * settings.code, self.layers * settings.code)
            if settings.encoder_space == "w+"
            else None
        )
        if self.offsets is not None:
            nn.init.zeros_(self.offsets.weight)

    def forward(self, images: Tensor) -> Tensor:
        """``[N, C, H, W]`` in [-1, 1] -> w ``[N, d]``, or ``[N, L, d]`` in W+; float32."""
        entered = leaky_relu(self.enter(pixel_unshuffle(images, 2)), SLOPE) * GAIN
        features = pixel_norm(self.down(entered).flatten(1))
        gathered = leaky_relu(self.gather(features), SLOPE) * GAIN
        common: Tensor = self.common(gathered).float()
        if self.offsets is None:
            return common
        offsets: Tensor = self.offsets(gathered).float()
        codes: Tensor = common.unsqueeze(1) + offsets.unflatten(1, (self.layers, -1))
        return codes
