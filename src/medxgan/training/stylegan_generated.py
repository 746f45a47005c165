"""The networks of the style-based method, and the codes that a training step draws."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medxgan.config import TrainingSettings
from medxgan.networks.stylegan import StyleGenerator, mix_styles
from medxgan.networks.stylegan_discriminator import StyleDiscriminator
from medxgan.networks.stylegan_encoder import StyleEncoder
from medxgan.training.generated import standard_normal, use_channels_last


@dataclass(frozen=True)
class Samples:
    """Codes drawn from the prior.

    Attributes:
        first: w ``[N, d]`` of all layers, or of the coarse ones.
        layers: w of each layer, ``[N, L, d]``.
        unmixed: bool ``[N]``: all layers have the first.
    """

    first: Tensor
    layers: Tensor
    unmixed: Tensor


class StyleNetworks(nn.Module):
    """What is trained, for images of one size and channel count.

    Attributes:
        usual_length: running mean of the path lengths, a scalar.
    """

    usual_length: Tensor

    def __init__(self, size: int, channels: int, settings: TrainingSettings) -> None:
        super().__init__()
        self.generator = StyleGenerator(size, channels, settings.style_network)
        self.encoder = StyleEncoder(size, channels, settings.style_network)
        self.discriminator = StyleDiscriminator(size, channels, settings.style_network)
        self.register_buffer("usual_length", torch.zeros(()))
        use_channels_last(self)


def sample_codes(
    generator: StyleGenerator, count: int, mixing: float, random: torch.Generator
) -> Samples:
    """Codes of new images from the prior; the fine layers of some have a w of their own.

    Args:
        generator: whose mapping network maps them.
        count: how many.
        mixing: probability that the fine layers have another w, from a random layer on.
        random: source of random numbers, on the CPU.
    """
    shape = torch.empty(2 * count, generator.code, device=generator.start.device)
    first, second = generator.mapping(standard_normal(shape, random)).chunk(2)
    first_layers = torch.randint(1, generator.layers, (count,), generator=random)
    unmixed = torch.rand(count, generator=random) >= mixing
    first_layers = first_layers.masked_fill(unmixed, generator.layers).to(first.device)
    layers = mix_styles(first, second, first_layers, generator.layers)
    return Samples(first, layers, unmixed.to(first.device))
