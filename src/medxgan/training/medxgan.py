"""One training step of medXGAN, read from top to bottom.

The published objective (Dravid et al. 2022, arXiv 2204.05376, equation 1) plus a joint encoder (as
in StylEx, Lang et al. 2021), a discriminator told the class, and the change carried over to the
real image (as in VA-GAN, Baumgartner et al. 2018).
"""

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from medxgan.config import TrainingSettings
from medxgan.device import autocast
from medxgan.networks.discriminator import Discriminator
from medxgan.training.augment import Reach, vary
from medxgan.training.generated import Generated, Networks, generate, standard_normal
from medxgan.training.loop import average_gradients
from medxgan.training.losses import (
    adversarial_loss_of_discriminator,
    adversarial_loss_of_generator,
    class_loss,
    gradient_penalty,
    limit_gradient,
    moment_loss,
)
from medxgan.types import Classifier

# What D must not tell real from generated images by.
AUGMENTATIONS = Reach(flip=True, shift=0.125, turn=0.3, scale=0.2, contrast=0.3, brightness=0.2)
# The classifier judges generated images shaken and with noise, so that it cannot be met by
# patterns that only it, at one position of the pixels, takes for the class.
SHAKES = Reach(flip=False, shift=0.02, turn=0.03, scale=0.02, contrast=0.05, brightness=0.03)
SHAKE_NOISE = 0.06


class MedxganRecipe:
    """Networks, optimisers and the step, for ``run_training``.

    Args:
        classifier: the frozen model to explain.
        target: index of the explained class.
        settings: of the run.
        examples: images for the sample sheets ``[2n, C, H, W]``, first half positive.
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
        self.networks: Networks = Networks(spec.size, spec.channels, settings).to(device)
        self.examples = examples.to(device)
        adam = settings.optimiser
        self.learners = [
            *self.networks.generator.parameters(),
            *self.networks.encoder.parameters(),
        ]
        self.judges = list(self.networks.discriminator.parameters())
        self.optimisers: dict[str, Optimizer] = {
            "generator": Adam(self.learners, adam.learning_rate, (adam.momentum, adam.beta2)),
            "discriminator": Adam(
                self.judges, adam.learning_rate, (adam.discriminator_momentum, adam.beta2)
            ),
        }

    def step(
        self, images: Tensor, number: int, chance: float, random: torch.Generator, fabric: Fabric
    ) -> dict[str, Tensor]:
        """One update of generator and encoder, then one of the discriminator.

        Args:
            images: real ``[N, C, H, W]`` in [-1, 1], first half positive.
            number: of the step, for the lazy gradient penalty.
            chance: probability of augmentation.
            random: source of all random numbers of the step.
            fabric: averages gradients over processes.
        """
        networks, settings, bf16 = self.networks, self.settings, self.settings.run.bf16
        shown = number * len(images) * fabric.world_size
        ease = min(1.0, (shown + 1) / (settings.loss.judges_from + 1))
        networks.discriminator.requires_grad_(False)
        with autocast(images.device, bf16):
            generated = generate(networks, images, random)
            loss, figures = generator_loss(
                networks,
                self.classifier,
                self.target,
                images,
                generated,
                settings,
                chance,
                ease,
                random,
            )
        self._descend("generator", self.learners, loss, fabric)

        networks.discriminator.requires_grad_(True)
        loss, more = discriminator_loss(
            networks.discriminator,
            images,
            generated,
            settings,
            chance,
            penalise=number % settings.loss.gradient_penalty_interval == 0,
            random=random,
            bf16=bf16,
        )
        self._descend("discriminator", self.judges, loss, fabric)
        return figures | more

    def sheet(self, averaged: nn.Module) -> list[Tensor]:
        """Rows: real, reconstructed, negative, transferred, difference; samples of both classes."""
        assert isinstance(averaged, Networks)
        generator, encoder = averaged.generator, averaged.encoder
        shown = self.examples[: len(self.examples) // 2]
        with torch.no_grad():
            z1, z2 = (posterior.mean for posterior in encoder(shown))
            reconstruction, negative = generator(z1, z2), generator(z1, torch.zeros_like(z2))
            random = torch.Generator().manual_seed(0)
            prior_z1, prior_z2 = standard_normal(z1, random), standard_normal(z2, random)
            return [
                shown,
                reconstruction,
                negative,
                shown + negative - reconstruction,
                reconstruction - negative,
                generator(prior_z1, torch.zeros_like(prior_z2)),
                generator(prior_z1, prior_z2),
            ]

    def _descend(
        self, name: str, parameters: list[nn.Parameter], loss: Tensor, fabric: Fabric
    ) -> None:
        optimiser = self.optimisers[name]
        optimiser.zero_grad()
        loss.backward()
        average_gradients(fabric, parameters)
        # Gradients are mostly longer than this, so each step counts alike, and a batch on which a
        # normalisation nearly divides by zero cannot throw the networks out.
        nn.utils.clip_grad_norm_(parameters, self.settings.optimiser.longest_gradient)
        optimiser.step()


def generator_loss(
    networks: Networks,
    classifier: Classifier,
    target: int,
    images: Tensor,
    generated: Generated,
    settings: TrainingSettings,
    chance: float,
    ease: float,
    random: torch.Generator,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of generator and encoder, and the figures to log.

    Args:
        networks: the three networks.
        classifier: frozen.
        target: index of the explained class.
        images: real ``[N, C, H, W]``, first half positive.
        generated: from ``generate``.
        settings: weights.
        chance: probability of augmentation.
        ease: weight of the two judges, classifier and discriminator, rising to 1 at first:
            before anything is reconstructed, they only lead astray.
        random: source of random numbers, on the CPU.
    """
    weights, half = settings.loss, len(images) // 2
    judged, classes = generated.judged()
    # The length of the L1 term's gradient at an image, the measure for the other terms.
    length = ease * weights.reconstruction / (len(images) * images[0].numel() ** 0.5)
    shown = limit_gradient(judged, weights.adversarial_limit * length)
    logits = networks.discriminator(vary(shown, AUGMENTATIONS, chance, random), classes)
    real_part = torch.cat([logits[: 3 * half], logits[4 * half :]])
    adversarial = adversarial_loss_of_generator(real_part)
    adversarial_transfer = adversarial_loss_of_generator(logits[3 * half : 4 * half])

    with torch.no_grad():
        answers = classifier.log_odds(images, target).sigmoid()
    shaken = vary(judged, SHAKES, 0.5, random)
    noise = SHAKE_NOISE * torch.rand(len(shaken), 1, 1, 1, generator=random).to(images.device)
    noisy = limit_gradient(
        shaken + noise * standard_normal(shaken, random), weights.classification_limit * length
    )
    odds = classifier.log_odds(noisy, target)
    on_reconstruction, on_negative, on_transferred, on_samples = odds.split(
        [2 * half, half, half, 2 * half]
    )
    wanted = torch.cat([torch.zeros(half), torch.ones(half)]).to(images.device)
    classification = (
        class_loss(on_reconstruction, answers)
        + class_loss(on_negative, 0.0)
        + class_loss(on_samples, wanted)
    )
    transfer = class_loss(on_transferred, 0.0)

    error = (generated.reconstruction - images).abs()
    moved = (generated.reconstruction[:half] - generated.negative).abs()
    # Where the image is changed, the reconstruction must be right, or traces stay on transfer.
    share = moved.detach() / (moved.detach().amax(dim=(1, 2, 3), keepdim=True) + 0.05)
    focus = 1 + weights.focus * share
    reconstruction = (focus * error[:half]).mean() / 2 + error[half:].mean() / 2
    preservation = (
        moved.mean() + (generated.sampled_positive - generated.sampled_negative).abs().mean()
    )

    loss = (
        ease * weights.adversarial * (adversarial + weights.transfer * adversarial_transfer)
        + weights.reconstruction * reconstruction
        + ease * weights.classification * (classification + weights.transfer * transfer)
        + weights.preservation * preservation
        + weights.prior * generated.divergence.mean()
        + weights.moments * (moment_loss(generated.z1) + moment_loss(generated.z2))
    )
    figures = {
        "loss_generator": loss,
        "loss_adversarial": adversarial,
        "loss_classification": classification,
        "reconstruction_l1": error.mean(),
        "divergence": generated.divergence.mean(),
        "code_deviation": generated.z1.std(dim=0).mean(),
        "agreement_negative": (on_samples[:half] < 0).float().mean(),
        "agreement_positive": (on_samples[half:] >= 0).float().mean(),
        "flipped": (on_negative < 0).float().mean(),
        "transfer_flipped": (on_transferred < 0).float().mean(),
    }
    return loss, {name: value.detach() for name, value in figures.items()}


def discriminator_loss(
    discriminator: Discriminator,
    images: Tensor,
    generated: Generated,
    settings: TrainingSettings,
    chance: float,
    penalise: bool,
    random: torch.Generator,
    bf16: bool,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of the discriminator, and the figures to log.

    ``penalise`` adds R1; it is done lazily, every so many steps (arXiv 1912.04958).
    """
    half = len(images) // 2
    real_classes = torch.arange(2 * half, device=images.device) < half
    fakes, fake_classes = generated.judged()
    real = vary(images, AUGMENTATIONS, chance, random).detach()
    fake = vary(fakes.detach(), AUGMENTATIONS, chance, random)
    with autocast(images.device, bf16):
        on_real = discriminator(real, real_classes)
        on_fake = discriminator(fake, fake_classes)
    loss = adversarial_loss_of_discriminator(on_real, on_fake)
    figures = {
        "loss_discriminator": loss.detach(),
        "sign_real": on_real.detach().sign().mean(),
        "sign_fake": on_fake.detach().sign().mean(),
    }
    if penalise:
        real.requires_grad_()
        penalty = gradient_penalty(discriminator(real, real_classes), real)
        scale = settings.loss.gradient_penalty * settings.loss.gradient_penalty_interval
        loss = loss + scale * penalty
        figures["gradient_penalty"] = penalty.detach()
    return loss, figures
