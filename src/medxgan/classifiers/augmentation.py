"""Random changes that leave the diagnosis alone, so that a small set teaches more."""

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

MAX_SHIFT = 0.06  # share of the image's side
MAX_ROTATION = 12.0  # degrees
MAX_SCALE = 0.1
MAX_CONTRAST = 0.2
MAX_BRIGHTNESS = 0.1
MAX_NOISE = 0.08
RESAMPLED_SHARE = 0.7  # the others keep their exact pixels, as the images to come have them
BLURRED_SHARE = 0.2


def augment(images: Tensor, generator: Generator) -> Tensor:
    """Flip, shift, turn, scale, blur, brighten and add noise, differently for each image.

    Args:
        images: float ``[N, C, H, W]`` in [-1, 1].
        generator: random state, on the device of ``images``.

    Returns:
        ``[N, C, H, W]`` in [-1, 1].

    >>> augment(torch.zeros(2, 1, 16, 16), Generator().manual_seed(0)).shape
    torch.Size([2, 1, 16, 16])
    """
    return jitter(blur(move(images, generator), generator), generator)


def move(images: Tensor, generator: Generator) -> Tensor:
    """Mirror half of the images left to right; shift, turn and scale most of them."""
    count = len(images)
    mirror = torch.where(_uniform(images, generator) < 0, -1.0, 1.0)
    moved = (_uniform(images, generator).abs() < RESAMPLED_SHARE).float()
    angle = _uniform(images, generator) * moved * math.radians(MAX_ROTATION)
    scale = 1 + _uniform(images, generator) * moved * MAX_SCALE
    across, down = (_uniform(images, generator) * moved * 2 * MAX_SHIFT for _ in range(2))
    cosine, sine = angle.cos() * scale, angle.sin() * scale
    rows = [mirror * cosine, -sine, across, mirror * sine, cosine, down]
    matrices = torch.stack(rows, 1).view(count, 2, 3)
    grid = functional.affine_grid(matrices, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def blur(images: Tensor, generator: Generator) -> Tensor:
    """Smooth some of the images a little (3x3 binomial kernel, mixed in at random strength)."""
    line = torch.tensor([0.25, 0.5, 0.25], device=images.device)
    channels = images.shape[1]
    kernel = (line[:, None] * line).expand(channels, 1, 3, 3)
    padded = functional.pad(images, (1, 1, 1, 1), mode="replicate")
    smooth = functional.conv2d(padded, kernel, groups=channels)
    chosen = _uniform(images, generator).abs() < BLURRED_SHARE
    strength = _uniform(images, generator).abs() * chosen
    return images.lerp(smooth, strength.view(-1, 1, 1, 1))


def jitter(images: Tensor, generator: Generator) -> Tensor:
    """Change contrast about black, brightness, and add white noise of random strength."""
    contrast = 1 + _uniform(images, generator) * MAX_CONTRAST
    brightness = _uniform(images, generator) * MAX_BRIGHTNESS
    sigma = _uniform(images, generator).abs() * MAX_NOISE
    noise = torch.randn(images.shape, generator=generator, device=images.device)
    parts = (value.view(-1, 1, 1, 1) for value in (contrast, brightness, sigma))
    gain, lift, spread = parts
    return ((images + 1) * gain - 1 + lift + noise * spread).clamp(-1, 1)


def _uniform(images: Tensor, generator: Generator) -> Tensor:
    """One number in [-1, 1) for each image, ``[N]``."""
    return torch.rand(len(images), generator=generator, device=images.device) * 2 - 1
