"""From an image to its codes: one pass of the encoder, refined only if asked for.

The published method has no encoder: its codes are drawn from the prior and refined for long.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from medxgan.errors import ConfigError
from medxgan.networks.encoder import Encoder
from medxgan.turns import give_way
from medxgan.types import Classifier, Generator, Latent

Start = Literal["encoder", "cold"]
MSE_WEIGHT, CLASS_WEIGHT = 10.0, 1.0
LEARNING_RATE = 0.01
PUBLISHED_STEPS = 5_000
MOMENTUM, PUBLISHED_MOMENTUM = 0.9, 0.5
"""Of Adam: after an encoder, and from a cold start as in the authors' code."""


def encode(encoder: Encoder, images: Tensor, positive: Tensor) -> Latent:
    """Codes of images in one pass; z2 is exactly 0 where the classifier says negative.

    Args:
        encoder: of the bundle.
        images: ``[N, C, H, W]`` in [-1, 1].
        positive: what the classifier calls them, bool ``[N]``.
    """
    with torch.no_grad():
        z1, z2 = encoder(images)
    return Latent(z1.mean, z2.mean * positive.unsqueeze(1))


def root_mean_square(code: Tensor) -> Tensor:
    """Length of codes ``[N, d]`` relative to the prior's, ``[N]``: about 1 for N(0, I).

    >>> root_mean_square(torch.tensor([[3.0, -3.0]]))
    tensor([3.])
    """
    return code.square().mean(dim=1).sqrt()


def refine(
    generator: Generator,
    classifier: Classifier,
    target: int,
    images: Tensor,
    start: Latent,
    steps: int,
    momentum: float = MOMENTUM,
    watch: Callable[[int], None] | None = None,
) -> Latent:
    """Improve codes by the published objective (Dravid et al. 2022, arXiv 2204.05376, equation 3).

    Minimises 10 MSE(G(z1, z2), x) + BCE(C(G(z1, z2)), C(x)) with Adam, all images as one batch;
    each image keeps the codes of its best step. z2 stays 0 where it starts at 0. Works where
    gradients are switched off around it, too.

    Args:
        generator: of the bundle.
        classifier: the explained one, with gradients.
        target: index of the explained class.
        images: ``[N, C, H, W]`` in [-1, 1].
        start: codes to begin with.
        steps: number of steps; 0 returns the start.
        momentum: first of Adam's betas.
        watch: told after each step how many are done.

    Raises:
        ConfigError: ``steps`` is negative.
    """
    if steps < 0:
        raise ConfigError(f"refinement steps must be at least 0, got {steps}")
    if steps == 0:
        return start
    with torch.inference_mode(False), torch.enable_grad():
        return _descend(generator, classifier, target, images, start, steps, momentum, watch)


def _descend(
    generator: Generator,
    classifier: Classifier,
    target: int,
    images: Tensor,
    start: Latent,
    steps: int,
    momentum: float,
    watch: Callable[[int], None] | None,
) -> Latent:
    free = start.z2.abs().amax(dim=1, keepdim=True) > 0
    z1 = start.z1.detach().clone().requires_grad_()
    z2 = start.z2.detach().clone().requires_grad_()
    optimiser = torch.optim.Adam([z1, z2], lr=LEARNING_RATE, betas=(momentum, 0.999))
    best_loss = torch.full((len(images),), torch.inf, device=images.device)
    best = Latent(start.z1.clone(), start.z2.clone())
    with torch.no_grad():
        wanted = classifier.log_odds(images, target).sigmoid()
    for step in range(steps + 1):
        give_way()
        drawn = generator(z1, z2 * free)
        error = (drawn - images).square().mean(dim=(1, 2, 3))
        gap = binary_cross_entropy_with_logits(
            classifier.log_odds(drawn, target), wanted, reduction="none"
        )
        loss = MSE_WEIGHT * error + CLASS_WEIGHT * gap
        with torch.no_grad():
            better = loss < best_loss
            best_loss = torch.where(better, loss, best_loss)
            best.z1[better], best.z2[better] = z1[better], (z2 * free)[better]
        if step < steps:
            optimiser.zero_grad()
            loss.sum().backward()
            optimiser.step()
            if watch is not None:
                watch(step + 1)
    return best


def cold_start(images: Tensor, positive: Tensor, code_sizes: tuple[int, int], seed: int) -> Latent:
    """Codes to refine from when no encoder is to be used: drawn from the prior, as published.

    Args:
        images: ``[N, C, H, W]``.
        positive: what the classifier calls them, bool ``[N]``; others get z2 = 0.
        code_sizes: dimensions of z1 and z2.
        seed: of the random numbers.
    """
    random = torch.Generator().manual_seed(seed)
    z1, z2 = (torch.randn(len(images), size, generator=random) for size in code_sizes)
    return Latent(z1.to(images.device), z2.to(images.device) * positive.unsqueeze(1))
