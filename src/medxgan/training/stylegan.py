"""One training step of the style-based generator and its encoder, read from top to bottom.

StyleGAN2 (Karras et al. 2020, arXiv 1912.04958): non-saturating loss, lazy R1 on D, lazy
path-length regularisation on G, style mixing; adaptive augmentation (arXiv 2006.06676) comes from
the loop. With it an encoder learns, as in StylEx (Lang et al. 2021, arXiv 2104.13369): half of what
D judges are reconstructions of real images, half are samples. Or the encoder learns after the
generator, alone (``style_loss.encoder_alone``).

Unlike the published code (NVlabs/stylegan2-ada-pytorch: ``loss.py``, ``training_loop.py``,
``augment.py``), R1 is the gradient at the augmented real image, while theirs goes on through the
augmentation, and so also weighs its changes of scale and contrast. Of their changes of colour there
are brightness and contrast alone. And the probability of augmentation moves at every step, by a
running mean of sign(D(real)), not at every fourth by the mean over these.
"""

from collections.abc import Iterable
from contextlib import nullcontext

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from medxgan.config import TrainingSettings
from medxgan.device import autocast
from medxgan.networks.stylegan import for_all_layers
from medxgan.training.augment import vary
from medxgan.training.generated import standard_normal
from medxgan.training.loop import average_gradients, mean_over_processes
from medxgan.training.losses import (
    adversarial_loss_of_discriminator,
    adversarial_loss_of_generator,
    gradient_penalty,
)
from medxgan.training.medxgan import AUGMENTATIONS
from medxgan.training.published import seeded
from medxgan.training.state import TrainingState
from medxgan.training.stylegan_encoding import Redrawn, loss_of_codes, loss_of_encoder_alone
from medxgan.training.stylegan_generated import Samples, StyleNetworks, sample_codes
from medxgan.training.stylegan_losses import (
    feature_distance,
    path_length_penalty,
    path_lengths,
)

ENCODER_MOMENTUM = 0.9
USUAL_LENGTH_MOVES = 0.1
"""Share by which the usual path length follows a batch's; 0.01 for the published, longer runs."""
TRUNCATION = 0.7
SAMPLE_ROWS = 2


class StyleRecipe:
    """Networks, optimisers and the step, for ``run_training``.

    Args:
        size: height and width of the images.
        channels: 1 or 3.
        settings: of the run.
        examples: images for the sample sheets ``[n, C, H, W]``.
        device: where to compute.
    """

    def __init__(
        self,
        size: int,
        channels: int,
        settings: TrainingSettings,
        examples: Tensor,
        device: torch.device,
    ) -> None:
        self.settings = settings
        self.networks: StyleNetworks = StyleNetworks(size, channels, settings).to(device)
        self.examples = examples.to(device)
        adam = settings.optimiser
        self.optimisers: dict[str, Optimizer] = {
            name: Adam(network.parameters(), adam.learning_rate, (momentum, adam.beta2))
            for name, network, momentum in (
                ("generator", self.networks.generator, adam.momentum),
                ("encoder", self.networks.encoder, ENCODER_MOMENTUM),
                ("discriminator", self.networks.discriminator, adam.discriminator_momentum),
            )
        }

    def encoder_alone(self, step: int, images_a_step: int) -> bool:
        """Whether the encoder learns alone in this step: in the last share of the run."""
        share = self.settings.style_loss.encoder_alone
        return share > 0 and step * images_a_step >= (1 - share) * self.settings.run.images

    def freeze_generator(self, state: TrainingState, images_a_step: int) -> None:
        """Before the encoder learns alone, put the averaged generator in the generator's place.

        That is the one that will be kept, and the average then stays as it is.
        """
        alone = self.encoder_alone(state.step, images_a_step)
        if alone and not self.encoder_alone(state.step - 1, images_a_step):
            assert isinstance(state.averaged, StyleNetworks)
            self.networks.generator.load_state_dict(state.averaged.generator.state_dict())

    def step(
        self, images: Tensor, number: int, chance: float, random: torch.Generator, fabric: Fabric
    ) -> dict[str, Tensor]:
        """One update of generator and encoder, then one of the discriminator.

        Args:
            images: real ``[N, C, H, W]`` in [-1, 1].
            number: of the step, for what is done lazily.
            chance: probability of augmentation.
            random: source of all random numbers of the step.
            fabric: averages gradients over processes.
        """
        with seeded(random, images.device) if self.networks.generator.has_noise else nullcontext():
            if self.encoder_alone(number, len(images) * fabric.world_size):
                return self._teach_encoder(images, random, fabric)
            return self._teach_all(images, number, chance, random, fabric)

    def _teach_all(
        self, images: Tensor, number: int, chance: float, random: torch.Generator, fabric: Fabric
    ) -> dict[str, Tensor]:
        networks, weights = self.networks, self.settings.style_loss
        jointly = weights.encoder_alone == 0
        networks.discriminator.requires_grad_(False)
        with autocast(images.device, self.settings.run.bf16):
            # Half of what is generated are reconstructions, where there is an encoder.
            shown = images[: len(images) // 2] if jointly else images[:0]
            samples = self.samples(len(images) - len(shown), random)
            fakes, loss, figures = self._generator_loss(samples, shown, chance, random)
        if weights.path_length > 0 and number % weights.path_length_interval == 0:
            penalty, length = self._path_length(max(2, len(images) // 4), random, fabric)
            loss = loss + weights.path_length * weights.path_length_interval * penalty
            figures |= {"path_length": length, "path_length_penalty": penalty}
        learners = ["generator", "encoder"] if jointly else ["generator"]
        figures["gradient_norm"] = self._descend(learners, loss, fabric)
        centre = samples.first.detach().mean(dim=0, keepdim=True)
        networks.generator.mapping.follow(mean_over(fabric, centre))

        networks.discriminator.requires_grad_(True)
        penalise = weights.gradient_penalty > 0 and number % weights.gradient_penalty_interval == 0
        loss, more = self._discriminator_loss(images, fakes.detach(), chance, penalise, random)
        norm = self._descend(["discriminator"], loss, fabric)
        figures |= more | {"gradient_norm_discriminator": norm}
        return {name: value.detach() for name, value in figures.items()}

    def _generator_loss(
        self, samples: Samples, shown: Tensor, chance: float, random: torch.Generator
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Draw samples and reconstructions; loss of generator and encoder, and the figures to log.

        Args:
            samples: codes of the samples.
            shown: real images to reconstruct; none where the generator learns alone.
            chance: probability of augmentation.
            random: source of random numbers, on the CPU.

        Returns:
            Samples, then reconstructions ``[N, C, H, W]``; the loss; the figures.
        """
        generator, judge = self.networks.generator, self.networks.discriminator
        jointly = len(shown) > 0
        codes = samples.layers
        if jointly:
            found = self.networks.encoder(shown)
            codes = torch.cat([codes, for_all_layers(found, generator.layers)])
        fakes = generator(codes)
        sampled, redrawn = fakes.split([len(samples.first), len(shown)])
        # An image and its reconstruction are augmented alike, to be compared by D's features.
        both = vary(torch.cat([redrawn, shown], dim=1), AUGMENTATIONS, chance, random)
        redrawn_varied, shown_varied = both.chunk(2, dim=1)
        sampled_varied = vary(sampled, AUGMENTATIONS, chance, random)
        maps = judge.features(torch.cat([sampled_varied, redrawn_varied]))
        loss = adversarial_loss_of_generator(judge.logits(maps[-1]))
        figures = {"loss_adversarial": loss}
        if jointly:
            with torch.no_grad():
                wanted = judge.features(shown_varied)
            drawn = [part[len(sampled) :] for part in maps]
            features = feature_distance(drawn, wanted)
            weights, pairs = self.settings.style_loss, Redrawn(shown, found, redrawn)
            encoding, more = loss_of_codes(self.networks, weights, samples, sampled, pairs, random)
            loss = loss + encoding + weights.features * features
            figures |= more | {"loss_features": features}
        return fakes, loss, figures

    def _discriminator_loss(
        self, images: Tensor, fakes: Tensor, chance: float, penalise: bool, random: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of the discriminator on augmented images, and the figures to log."""
        judge, weights = self.networks.discriminator, self.settings.style_loss
        real = vary(images, AUGMENTATIONS, chance, random).detach()
        fake = vary(fakes, AUGMENTATIONS, chance, random)
        with autocast(images.device, self.settings.run.bf16):
            on_real, on_fake = judge(real), judge(fake)
        loss = adversarial_loss_of_discriminator(on_real, on_fake)
        figures = {
            "loss_discriminator": loss,
            "sign_real": on_real.sign().mean(),
            "sign_fake": on_fake.sign().mean(),
        }
        if penalise:
            real.requires_grad_()
            penalty = gradient_penalty(judge(real), real)
            loss = loss + weights.gradient_penalty * weights.gradient_penalty_interval * penalty
            figures["gradient_penalty"] = penalty
        return loss, figures

    def _teach_encoder(
        self, images: Tensor, random: torch.Generator, fabric: Fabric
    ) -> dict[str, Tensor]:
        """One update of the encoder, with generator and discriminator as they are."""
        networks = self.networks
        networks.generator.requires_grad_(False)
        networks.discriminator.requires_grad_(False)
        with autocast(images.device, self.settings.run.bf16):
            samples = self.samples(len(images) // 2, random)
            weights = self.settings.style_loss
            loss, figures = loss_of_encoder_alone(networks, weights, images, samples, random)
        figures["gradient_norm"] = self._descend(["encoder"], loss, fabric)
        networks.generator.requires_grad_(True)
        networks.discriminator.requires_grad_(True)
        return {name: value.detach() for name, value in figures.items()}

    def samples(self, count: int, random: torch.Generator) -> Samples:
        """Codes of new images, some of them mixed."""
        share = self.settings.style_loss.style_mixing
        return sample_codes(self.networks.generator, count, share, random)

    def sheet(self, averaged: nn.Module) -> list[Tensor]:
        """Rows: real, reconstructed, samples, the same samples truncated to 0.7."""
        assert isinstance(averaged, StyleNetworks)
        generator, shown = averaged.generator, self.examples
        random = torch.Generator().manual_seed(0)
        shape = torch.empty(SAMPLE_ROWS * len(shown), generator.code, device=shown.device)
        with torch.no_grad():
            z = standard_normal(shape, random)
            redrawn = generator(averaged.encoder(shown))
            samples = generator(generator.map(z))
            truncated = generator(generator.map(z[: len(shown)], TRUNCATION))
        return [shown, redrawn, *samples.chunk(SAMPLE_ROWS), truncated]

    def _path_length(
        self, count: int, random: torch.Generator, fabric: Fabric
    ) -> tuple[Tensor, Tensor]:
        """Path-length penalty, in float32, and the mean length; moves the usual one."""
        samples = self.samples(count, random)
        drawn = self.networks.generator(samples.layers)
        lengths = path_lengths(drawn, samples.layers, standard_normal(drawn, random))
        usual, mean = self.networks.usual_length, mean_over(fabric, lengths.detach().mean())
        usual.lerp_(mean, USUAL_LENGTH_MOVES if float(usual) > 0 else 1.0)
        # A copy: the penalty's graph must not see the next step's value.
        return path_length_penalty(lengths, usual.clone()), lengths.mean()

    def _descend(self, names: list[str], loss: Tensor, fabric: Fabric) -> Tensor:
        """One step of some optimisers; returns the norm of the gradient."""
        for name in names:
            self.optimisers[name].zero_grad()
        loss.backward()
        parameters = [p for name in names for p in parameters_of(self.optimisers[name])]
        average_gradients(fabric, parameters)
        norm = nn.utils.clip_grad_norm_(parameters, self.settings.optimiser.longest_gradient)
        for name in names:
            self.optimisers[name].step()
        return norm


def parameters_of(optimiser: Optimizer) -> Iterable[nn.Parameter]:
    """What an optimiser updates."""
    return (parameter for group in optimiser.param_groups for parameter in group["params"])


def mean_over(fabric: Fabric, value: Tensor) -> Tensor:
    """The mean of a tensor over all processes, without an exchange where there is one."""
    return value if fabric.world_size == 1 else mean_over_processes(fabric, value)
