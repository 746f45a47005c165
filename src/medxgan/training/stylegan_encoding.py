"""What the encoder of the style-based generator learns by: pixels, features and codes."""

from typing import NamedTuple

import torch
from torch import Tensor

from medxgan.config import StyleLossSettings
from medxgan.networks.stylegan_layers import float32_arithmetic
from medxgan.training.generated import standard_normal
from medxgan.training.stylegan_generated import Samples, StyleNetworks
from medxgan.training.stylegan_losses import code_distance, feature_distance, sliced_distance

MAPPED_CODES, SLICES = 256, 64
"""Mapped codes, and directions, by which the encoder's codes as a whole are compared with them."""


class Redrawn(NamedTuple):
    """Real images ``[N, C, H, W]`` and their reconstructions.

    Attributes:
        shown: the real images.
        codes: of the encoder, ``[N, d]``, or ``[N, L, d]`` in W+.
        images: what the generator draws from these.
    """

    shown: Tensor
    codes: Tensor
    images: Tensor


def loss_of_codes(
    networks: StyleNetworks,
    weights: StyleLossSettings,
    samples: Samples,
    sampled: Tensor,
    redrawn: Redrawn,
    random: torch.Generator,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The encoder's loss, but for D's features: pixels, samples' codes, and codes as a whole.

    Args:
        networks: that learn.
        weights: of the terms.
        samples: codes of the samples.
        sampled: their images.
        redrawn: reconstructions.
        random: source of random numbers, on the CPU.

    Returns:
        The loss; the figures to log.
    """
    generator, shown = networks.generator, redrawn.shown
    error = (redrawn.images - shown).abs().mean()
    again = networks.encoder(sampled.detach())
    codes = code_distance(again, samples.first.detach(), samples.unmixed)
    with torch.no_grad(), float32_arithmetic(shown):
        z = torch.empty(MAPPED_CODES, generator.code, device=shown.device)
        mapped = generator.mapping(standard_normal(z, random))
        slices = torch.empty(generator.code, SLICES, device=shown.device)
        slices = standard_normal(slices, random)
    with float32_arithmetic(shown):
        spread = sliced_distance(redrawn.codes, mapped, slices)
    loss = weights.reconstruction * error + weights.codes * codes + weights.spread * spread
    return loss, {"reconstruction_l1": error, "code_error": codes, "code_spread": spread}


def loss_of_encoder_alone(
    networks: StyleNetworks,
    weights: StyleLossSettings,
    images: Tensor,
    samples: Samples,
    random: torch.Generator,
) -> tuple[Tensor, dict[str, Tensor]]:
    """All of the encoder's loss where generator and discriminator learn no more.

    Args:
        networks: of which the encoder learns.
        weights: of the terms.
        images: real ``[N, C, H, W]`` in [-1, 1].
        samples: codes of the samples.
        random: source of random numbers, on the CPU.

    Returns:
        The loss; the figures to log.
    """
    generator, judge = networks.generator, networks.discriminator
    with torch.no_grad():
        sampled = generator(samples.layers)
        wanted = judge.features(images)
        on_real = judge.logits(wanted[-1])
    codes = networks.encoder(images)
    redrawn = Redrawn(images, codes, generator(codes))
    loss, figures = loss_of_codes(networks, weights, samples, sampled, redrawn, random)
    features = feature_distance(judge.features(redrawn.images), wanted)
    figures |= {"loss_features": features, "sign_real": on_real.sign().mean()}
    return loss + weights.features * features, figures
