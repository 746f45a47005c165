"""Fixed images that every model can be asked about, and what a sound model answers to them."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from medxgan.errors import ClassifierError
from medxgan.types import ClassifierSpec

PROBES = 8
ASKED_ALONE = 3
TOLERANCE = 1e-3  # relative; batches of another size may be summed in another order


def probe_images(spec: ClassifierSpec) -> Tensor:
    """Waves of several widths, directions and brightnesses, ``[8, C, size, size]`` in [-1, 1].

    The same on every machine, without random numbers.

    >>> probe_images(ClassifierSpec(size=8, class_names=("no", "yes"))).shape
    torch.Size([8, 1, 8, 8])
    """
    place = torch.arange(spec.size, dtype=torch.float64) / spec.size
    number = torch.arange(PROBES, dtype=torch.float64).view(-1, 1, 1, 1)
    channel = torch.arange(spec.channels, dtype=torch.float64).view(1, -1, 1, 1)
    turns = (1 + number % 3) * place.view(-1, 1) + (number * 2 % 5) * place
    waves = (2 * math.pi * (turns + channel / 5)).sin()
    brightness = number / (PROBES - 1) - 0.5
    contrast = 0.2 + 0.3 * (number % 2)
    return (brightness + contrast * waves).float()


def check_steady(ask: Callable[[Tensor], Tensor], probes: Tensor) -> None:
    """Refuse a model whose answer depends on anything but the image.

    Args:
        ask: images ``[N, C, H, W]`` -> raw outputs ``[N, K]``: scores may hide it by saturation.
        probes: a few different images.

    Raises:
        ClassifierError: it answers differently when asked again, or when an image stands alone.

    >>> check_steady(lambda images: images.mean((2, 3)), torch.rand(4, 1, 8, 8))
    >>> check_steady(lambda images: images.mean((2, 3)) - images.mean(), torch.rand(4, 1, 8, 8))
    Traceback (most recent call last):
    medxgan.errors.ClassifierError: the model answers differently ... in evaluation mode
    """
    together = ask(probes)
    apart = _distance(together, ask(probes))
    if apart > TOLERANCE:
        raise ClassifierError(
            f"the model answers differently when asked twice about the same images (by {apart:.2g})"
            "; switch off what is random in it: dropout, augmentation, sampling"
        )
    alone = torch.cat([ask(probe) for probe in probes[:ASKED_ALONE].split(1)])
    apart = _distance(together[:ASKED_ALONE], alone)
    if apart > TOLERANCE:
        raise ClassifierError(
            "the model answers differently about an image alone and among others (by "
            f"{apart:.2g}): statistics of the batch leak in, as from a batch normalisation that "
            "still trains; give the model in evaluation mode"
        )


def _distance(first: Tensor, second: Tensor) -> float:
    """Largest difference, relative to the largest value where that is above 1."""
    return float((first - second).abs().max() / first.abs().max().clamp(min=1))
