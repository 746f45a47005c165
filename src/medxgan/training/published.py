"""One training step of the published method, the baseline to be held against.

    min_G max_D  E log D(x) + E log(1 - D(G(z1, z2))) - w E log p_C(y | G(z1, z2))

Dravid et al., "medXGAN", CVPRW 2022 (arXiv 2204.05376), equation 1; w is 2 for brain MRI and 1 for
COVID X-rays in the authors' code. G descends on -log D(G), the non-saturating form (Goodfellow et
al. 2014), as DCGAN and that code do. D sees no class; there is no encoder, no augmentation, no
average of weights, and the update of D comes first, on codes of its own.

Two things are mended: the frozen classifier's log-odds enter the cross-entropy once, where the
released code fed its probabilities to a cross-entropy that takes the softmax of them again, so that
the class term could not fall below 0.313; and both classes make up half of the real and of the
generated images, so that D cannot tell the two apart by how frequent a class is.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from medxgan.config import TrainingSettings
from medxgan.device import autocast
from medxgan.networks.published import PublishedDiscriminator, PublishedGenerator
from medxgan.training.generated import standard_normal, use_channels_last
from medxgan.training.loop import average_gradients
from medxgan.training.losses import (
    adversarial_loss_of_discriminator,
    adversarial_loss_of_generator,
    class_loss,
)
from medxgan.types import Classifier


class PublishedNetworks(nn.Module):
    """The two networks that are trained, for images of one size and channel count."""

    def __init__(self, size: int, channels: int, settings: TrainingSettings) -> None:
        super().__init__()
        self.generator = PublishedGenerator(size, channels, settings.network)
        self.discriminator = PublishedDiscriminator(size, channels, settings.network)
        self.encoder = None
        use_channels_last(self)


class PublishedRecipe:
    """Networks, optimisers and the step, for ``run_training``.

    Args:
        classifier: the frozen model to explain.
        target: index of the explained class.
        settings: of the run.
        examples: images for the sample sheets ``[2n, C, H, W]``.
    """

    def __init__(
        self,
        classifier: Classifier,
        target: int,
        settings: TrainingSettings,
        examples: Tensor,
        device: torch.device,
    ) -> None:
        self.classifier, self.target, self.settings = classifier, target, settings
        spec = classifier.spec
        self.networks: PublishedNetworks = PublishedNetworks(spec.size, spec.channels, settings).to(
            device
        )
        self.examples = examples.to(device)
        adam = settings.optimiser
        self.optimisers: dict[str, Optimizer] = {
            "generator": Adam(
                self.networks.generator.parameters(),
                adam.learning_rate,
                (adam.momentum, adam.beta2),
            ),
            "discriminator": Adam(
                self.networks.discriminator.parameters(),
                adam.learning_rate,
                (adam.discriminator_momentum, adam.beta2),
            ),
        }

    def step(
        self, images: Tensor, number: int, chance: float, random: torch.Generator, fabric: Fabric
    ) -> dict[str, Tensor]:
        """One update of the discriminator, then one of the generator.

        Args:
            images: real ``[N, C, H, W]`` in [-1, 1]; their classes do not matter.
            number: of the step; not used.
            chance: probability of augmentation; not used.
            random: source of all random numbers of the step.
            fabric: averages gradients over processes.
        """
        generator, discriminator = self.networks.generator, self.networks.discriminator
        bf16 = self.settings.run.bf16
        # First half positive (class 1), second half negative (class 0, z2 = 0).
        wanted = (torch.arange(len(images), device=images.device) < len(images) // 2).float()
        with seeded(random, images.device):
            with autocast(images.device, bf16):
                with torch.no_grad():
                    fakes = generator(*self.sample_codes(wanted, random))
                on_real, on_fake = discriminator(images), discriminator(fakes)
            loss = adversarial_loss_of_discriminator(on_real, on_fake)
            figures = {
                "loss_discriminator": loss,
                "sign_real": on_real.sign().mean(),
                "sign_fake": on_fake.sign().mean(),
            }
            self._descend("discriminator", discriminator, loss, fabric)

            discriminator.requires_grad_(False)
            with autocast(images.device, bf16):
                fakes = generator(*self.sample_codes(wanted, random))
                on_fake = discriminator(fakes)
                odds = self.classifier.log_odds(fakes, self.target)
            adversarial = adversarial_loss_of_generator(on_fake)
            classification = class_loss(odds, wanted)
            loss = adversarial + self.settings.loss.classification * classification
            self._descend("generator", generator, loss, fabric)
            discriminator.requires_grad_(True)
        positive = wanted > 0
        figures |= {
            "loss_generator": loss,
            "loss_adversarial": adversarial,
            "loss_classification": classification,
            "agreement_negative": (odds[~positive] < 0).float().mean(),
            "agreement_positive": (odds[positive] >= 0).float().mean(),
        }
        return {name: value.detach() for name, value in figures.items()}

    def sample_codes(self, wanted: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Codes for classes ``wanted`` ``[N]`` (1 or 0): z1 ``[N, d1]``, z2 ``[N, d2]``.

        All are standard normal, but z2 = 0 for class 0.
        """
        sizes = self.settings.network
        z1 = standard_normal(wanted.new_empty(len(wanted), sizes.structure_code), random)
        z2 = standard_normal(wanted.new_empty(len(wanted), sizes.pathology_code), random)
        return z1, z2 * wanted.unsqueeze(1)

    def sheet(self, averaged: nn.Module) -> list[Tensor]:
        """Rows: real images, then samples: negatives, positives, and their difference."""
        assert isinstance(averaged, PublishedNetworks)
        shown = self.examples[: len(self.examples) // 2]
        random = torch.Generator().manual_seed(0)
        with torch.no_grad():
            z1, z2 = self.sample_codes(shown.new_ones(len(shown)), random)
            negative, positive = averaged.generator.film(z1, z2, torch.tensor([0.0, 1.0]).to(z2))
        return [shown, negative, positive, positive - negative]

    def _descend(self, name: str, network: nn.Module, loss: Tensor, fabric: Fabric) -> None:
        optimiser = self.optimisers[name]
        optimiser.zero_grad()
        loss.backward()
        average_gradients(fabric, network.parameters())
        optimiser.step()


@contextmanager
def seeded(random: torch.Generator, device: torch.device) -> Iterator[None]:
    """Let dropout, which knows torch's global generator only, follow the step's own numbers.

    >>> drawn = []
    >>> for _ in range(2):
    ...     with seeded(torch.Generator().manual_seed(1), torch.device("cpu")):
    ...         drawn.append(torch.rand(1).item())
    >>> drawn[0] == drawn[1]
    True
    """
    seed = int(torch.randint(2**62, (), generator=random))
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
