"""What a training step generates: reconstructions, negatives, transferred changes, samples."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medxgan.config import TrainingSettings
from medxgan.networks.discriminator import Discriminator
from medxgan.networks.encoder import Encoder
from medxgan.networks.medxgan import TwoCodeGenerator, limit


class Networks(nn.Module):
    """The three networks that are trained, for images of one size and channel count."""

    def __init__(self, size: int, channels: int, settings: TrainingSettings) -> None:
        super().__init__()
        self.generator = TwoCodeGenerator(size, channels, settings.network)
        self.encoder = Encoder(size, channels, settings.network)
        self.discriminator = Discriminator(size, channels, settings.network)
        use_channels_last(self)


def use_channels_last(module: nn.Module) -> None:
    """Store the weights of convolutions channels last, in place: twice as fast on CPUs."""
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class Generated:
    """What a step generates from a batch whose first half is positive, second half negative.

    Attributes:
        reconstruction: G(E(x)), all of the batch.
        negative: G(z1, 0), positive half.
        transferred: the change made on the real image, positive half.
        sampled_negative: G(z1, 0) from sampled codes.
        sampled_positive: G(z1, z2) from sampled codes, the same z1.
        divergence: KL divergence of the codes to the prior, nats, ``[N]``.
        z1: means of the structure codes, ``[N, d1]``.
        z2: means of the pathology codes, positive half.
    """

    reconstruction: Tensor
    negative: Tensor
    transferred: Tensor
    sampled_negative: Tensor
    sampled_positive: Tensor
    divergence: Tensor
    z1: Tensor
    z2: Tensor

    def judged(self) -> tuple[Tensor, Tensor]:
        """All images for D, and the class that each is meant to show (bool)."""
        half = len(self.negative)
        images = (
            self.reconstruction,
            self.negative,
            self.transferred,
            self.sampled_negative,
            self.sampled_positive,
        )
        classes = [True] * half + [False] * (len(self.reconstruction) - half)
        classes += [False] * (3 * half) + [True] * half
        return torch.cat(images), torch.tensor(classes, device=self.negative.device)


def generate(networks: Networks, images: Tensor, random: torch.Generator) -> Generated:
    """Encode and decode a batch (first half positive) and sample half as many pairs."""
    generator, half = networks.generator, len(images) // 2
    z1_posterior, z2_posterior = networks.encoder(images)
    z1 = z1_posterior.sample(standard_normal(z1_posterior.mean, random))
    z2 = z2_posterior.sample(standard_normal(z2_posterior.mean, random))[:half]
    sampled_z1, sampled_z2 = sample_codes(z1[half:], z2, random)

    anatomy = generator.structure(torch.cat([z1, sampled_z1]))
    with_change = torch.cat([torch.arange(half), torch.arange(2 * half, 3 * half)])
    changed = anatomy.rows(with_change.to(images.device))
    change = generator.pathology(torch.cat([z2, sampled_z2]), changed)
    positives = generator.renderer(changed.features + change)
    negatives = generator.render(anatomy)

    divergence = z1_posterior.divergence()
    divergence = torch.cat(
        [divergence[:half] + z2_posterior.divergence()[:half], divergence[half:]]
    )
    reconstruction = torch.cat([positives[:half], negatives[half : 2 * half]])
    return Generated(
        reconstruction=reconstruction,
        negative=negatives[:half],
        transferred=limit(images[:half] + negatives[:half] - positives[:half]),
        sampled_negative=negatives[2 * half :],
        sampled_positive=positives[half:],
        divergence=divergence,
        z1=z1_posterior.mean,
        z2=z2_posterior.mean[:half],
    )


def sample_codes(
    negative_z1: Tensor, positive_z2: Tensor, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Codes to be drawn as a negative and as a positive.

    Half of them from the prior. The others put a pathology on the anatomy of a real negative
    image, in turn one from the prior and one of a real positive: what z2 means must not depend on
    the image that it was found in, or no negative image could be made positive.

    Args:
        negative_z1: structure codes of the batch's negatives ``[n, d1]``.
        positive_z2: pathology codes of its positives ``[n, d2]``.
        random: source of random numbers, on the CPU.

    Returns:
        z1 ``[n, d1]`` and z2 ``[n, d2]``.
    """
    z1, z2 = standard_normal(negative_z1, random), standard_normal(positive_z2, random)
    row = torch.arange(len(z1), device=z1.device).unsqueeze(1)
    z1 = torch.where(row % 2 == 1, negative_z1, z1)
    return z1, torch.where(row % 4 == 3, positive_z2, z2)


def standard_normal(like: Tensor, random: torch.Generator) -> Tensor:
    """Standard normal numbers of a tensor's shape, drawn on the CPU: the same on every device."""
    return torch.randn(like.shape, generator=random).to(like.device)
