"""Loss terms as pure functions; each returns a scalar, a mean over images."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, softplus


def adversarial_loss_of_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Non-saturating loss (Goodfellow et al. 2014) of logits on real and generated images.

    >>> adversarial_loss_of_discriminator(torch.zeros(2), torch.zeros(3))  # 2 ln 2
    tensor(1.3863)
    """
    return softplus(-real).mean() + softplus(fake).mean()


def adversarial_loss_of_generator(fake: Tensor) -> Tensor:
    """Non-saturating loss of the discriminator's logits on generated images."""
    return softplus(-fake).mean()


def gradient_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """R1: half the squared gradient of D at real images (Mescheder et al. 2018, equation 9).

    Args:
        logits: D(images), ``[N]``, with its graph.
        images: ``[N, C, H, W]``, requires gradients.

    >>> images = torch.ones(2, 1, 2, 2, requires_grad=True)
    >>> gradient_penalty((3 * images).sum((1, 2, 3)), images).item()  # 9 * 4 pixels / 2
    18.0
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean() / 2


def class_loss(log_odds: Tensor, wanted: Tensor | float) -> Tensor:
    """Cross-entropy between the frozen classifier's log-odds and wanted probabilities.

    Args:
        log_odds: ``[N]``, of the explained class against the rest.
        wanted: probabilities ``[N]``, or one for all.

    >>> class_loss(torch.zeros(4), 1.0)  # ln 2
    tensor(0.6931)
    """
    target = torch.as_tensor(wanted, dtype=log_odds.dtype, device=log_odds.device)
    return binary_cross_entropy_with_logits(log_odds, target.expand_as(log_odds))


def moment_loss(codes: Tensor) -> Tensor:
    """How far a batch of codes ``[N, d]`` is from mean 0 and deviation 1 in each dimension.

    Holds the codes of all images together where the prior is, and keeps the encoder from
    giving every image the same code (the collapse that BN-VAE, Zhu et al. 2020, arXiv 2004.12585,
    prevents by a normalisation).

    >>> moment_loss(torch.tensor([[1.0, 3.0], [-1.0, 1.0]]))  # (0 + 2**2) / 2
    tensor(2.)
    """
    deviation = (codes.var(dim=0, unbiased=False) + 1e-6).sqrt()
    return (codes.mean(dim=0).square() + (deviation - 1).square()).mean()


def limit_gradient(images: Tensor, longest: float) -> Tensor:
    """The images themselves; on the way back no image's gradient is longer than ``longest``.

    A classifier's gradient at an image that it never saw the like of can be a hundred times that
    of the other terms, and would then drive the networks apart.

    Args:
        images: ``[N, C, H, W]``.
        longest: Euclidean length.

    >>> images = torch.zeros(1, 1, 1, 2, requires_grad=True)
    >>> (limit_gradient(images, 1.0) * torch.tensor([3.0, 4.0])).sum().backward()
    >>> images.grad.flatten()
    tensor([0.6000, 0.8000])
    """
    passed = images.view_as(images)

    def shorten(gradient: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(gradient.flatten(1), dim=1).view(-1, 1, 1, 1)
        shortened: Tensor = gradient * (longest / (length + 1e-12)).clamp(max=1)
        return shortened

    if passed.requires_grad:
        passed.register_hook(shorten)
    return passed
