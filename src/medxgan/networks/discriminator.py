"""The discriminator, told which class an image is meant to show."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_unshuffle

from medxgan.config import NetworkSettings
from medxgan.networks.blocks import DownBlock, activation, stream_widths


class Discriminator(nn.Module):
    """D(x, class) -> one logit: does x look like a real image of that class?

    It has one output a class, so that the generator cannot satisfy the classifier with
    adversarial noise on an image of the other class.
    """

    def __init__(self, size: int, channels: int, settings: NetworkSettings) -> None:
        super().__init__()
        widths = stream_widths(size, settings.base_width, settings.maximum_width)[::-1]
        self.enter = nn.Conv2d(4 * channels, widths[0], 3, padding=1)
        self.down = nn.Sequential(
            *(DownBlock(wide, deep, normalise=False) for wide, deep in pairwise(widths))
        )
        self.join = nn.Conv2d(widths[-1] + 1, widths[-1], 3, padding=1)
        self.judge = nn.Linear(widths[-1] * 16, 2)

    def forward(self, images: Tensor, positive: Tensor) -> Tensor:
        """``[N, C, H, W]`` in [-1, 1] and bool ``[N]`` -> logits ``[N]``, larger = more real."""
        features = self.down(activation(self.enter(pixel_unshuffle(images, 2))))
        joined = activation(self.join(append_deviation(features)))
        logits: Tensor = self.judge(joined.flatten(1)).float()
        return logits.gather(1, positive.long().unsqueeze(1)).squeeze(1)


def append_deviation(features: Tensor, group: int = 4) -> Tensor:
    """Append a channel with the deviation within groups of images (Karras et al. 2018).

    ``[N, C, H, W]`` -> ``[N, C+1, H, W]``; it tells a collapsed generator from a varied one.

    >>> append_deviation(torch.ones(4, 2, 1, 1))[:, 2, 0, 0].round(decimals=2)
    tensor([0., 0., 0., 0.])
    """
    count = features.shape[0]
    group = next(size for size in range(min(group, count), 0, -1) if count % size == 0)
    # Members of a group lie far apart in the batch, so that groups mix what is fed side by side.
    grouped = features.float().unflatten(0, (group, count // group))
    variance = grouped.var(dim=0, unbiased=False)
    deviation = torch.sqrt(variance + 1e-8).mean(dim=(1, 2, 3)).repeat(group)
    channel = deviation.view(count, 1, 1, 1).expand(-1, 1, *features.shape[2:])
    return torch.cat([features, channel.to(features.dtype)], dim=1)
