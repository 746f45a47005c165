"""Fixed images that every model can be asked about, and what a sound model answers to them."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from medxgan.classifiers.outputs import places_in_range
from medxgan.errors import ClassifierError
from medxgan.types import ClassifierSpec

WAVES = 8
BLOBS = 8
FAINT_WAVES = 8
ASKED_ALONE = 3
TOLERANCE = 1e-3  # relative; batches of another size may be summed in another order
PLASTIC = 1.32471795724474602596
"""Root of x³ = x + 1: multiples of its inverse powers, modulo 1, spread evenly over a square."""


def probe_images(spec: ClassifierSpec) -> Tensor:
    """Waves, then blobs, then faint waves, ``[24, C, size, size]`` in [-1, 1].

    Of several kinds, as a model may be sure of all images of one kind, whatever they show. The
    same on every machine, without random numbers.

    >>> probe_images(ClassifierSpec(size=8, class_names=("no", "yes"))).shape
    torch.Size([24, 1, 8, 8])
    """
    return torch.cat([waves(spec), _blobs(spec), _faint_waves(spec)])


def waves(spec: ClassifierSpec) -> Tensor:
    """Of several widths, directions and brightnesses, ``[8, C, size, size]`` in [-1, 1].

    >>> waves(ClassifierSpec(size=8, channels=3, class_names=("no", "yes"))).shape
    torch.Size([8, 3, 8, 8])
    """
    number = _numbers(WAVES)
    brightness = number / (WAVES - 1) - 0.5
    contrast = 0.2 + 0.3 * (number % 2)
    return (brightness + contrast * _wave_of(number, spec)).float()


def _faint_waves(spec: ClassifierSpec) -> Tensor:
    """From nearly black to nearly white: somewhere between, few models are sure."""
    number = _numbers(FAINT_WAVES)
    brightness = 1.8 * number / (FAINT_WAVES - 1) - 0.9
    return (brightness + 0.05 * _wave_of(number, spec)).float()


def _blobs(spec: ClassifierSpec) -> Tensor:
    """Bright and dark ones on grey, at places spread over the image."""
    number = _numbers(BLOBS)
    place = (torch.arange(spec.size, dtype=torch.float64) + 0.5) / spec.size
    down = place.view(-1, 1) - (0.5 + number / PLASTIC) % 1
    along = place - (0.5 + number / PLASTIC**2) % 1
    blob = (-(down.square() + along.square()) / (2 * 0.15**2)).exp()
    contrast = (0.2 + 0.05 * number) * (1 - 2 * (number % 2)) * (1 - _channels(spec) / 5)
    return (contrast * blob).float()


def _wave_of(number: Tensor, spec: ClassifierSpec) -> Tensor:
    place = torch.arange(spec.size, dtype=torch.float64) / spec.size
    turns = (1 + number % 3) * place.view(-1, 1) + (number * 2 % 5) * place
    return (2 * math.pi * (turns + _channels(spec) / 5)).sin()


def _numbers(count: int) -> Tensor:
    return torch.arange(count, dtype=torch.float64).view(-1, 1, 1, 1)


def _channels(spec: ClassifierSpec) -> Tensor:
    return torch.arange(spec.channels, dtype=torch.float64).view(1, -1, 1, 1)


def check_steady(ask: Callable[[Tensor], Tensor], probes: Tensor, spec: ClassifierSpec) -> None:
    """Refuse a model whose answer depends on anything but the image.

    Args:
        ask: images ``[N, C, H, W]`` -> raw outputs ``[N, K]``: scores may hide it by saturation.
        probes: a few different images.
        spec: of the model; differences of a value are measured against its range.

    Raises:
        ClassifierError: it answers differently when asked again, or when an image stands alone.

    >>> spec = ClassifierSpec(size=8, class_names=("no", "yes"))
    >>> check_steady(lambda images: images.mean((2, 3)), waves(spec), spec)
    >>> check_steady(lambda images: images.mean((2, 3)) - images.mean(), waves(spec), spec)
    Traceback (most recent call last):
    medxgan.errors.ClassifierError: the model answers differently ... in evaluation mode
    """
    unit = "" if spec.value_range is None else " of its range"
    together = ask(probes)
    apart = _distance(together, ask(probes), spec)
    if apart > TOLERANCE:
        raise ClassifierError(
            "the model answers differently when asked twice about the same images (by "
            f"{apart:.2g}{unit}); switch off what is random in it: dropout, augmentation, sampling"
        )
    alone = torch.cat([ask(probe) for probe in probes[:ASKED_ALONE].split(1)])
    apart = _distance(together[:ASKED_ALONE], alone, spec)
    if apart > TOLERANCE:
        raise ClassifierError(
            "the model answers differently about an image alone and among others (by "
            f"{apart:.2g}{unit}): statistics of the batch leak in, as from a batch normalisation "
            "that still trains; give the model in evaluation mode"
        )


def _distance(first: Tensor, second: Tensor, spec: ClassifierSpec) -> float:
    """Largest difference, relative to the largest number where that is above 1."""
    first, second = places_in_range(first, spec), places_in_range(second, spec)
    return float((first - second).abs().max() / first.abs().max().clamp(min=1))
