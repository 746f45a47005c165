"""Random changes of images: to vary a small data set, and to keep D from learning it by heart."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample


@dataclass(frozen=True)
class Reach:
    """How far each random change goes.

    Attributes:
        flip: whether images may be mirrored left-right.
        shift: largest shift, as a fraction of the image's width.
        turn: largest rotation, radians.
        scale: largest change of size, as a fraction.
        contrast: largest change of contrast, as a fraction.
        brightness: largest change of brightness, on the scale of [-1, 1].
    """

    flip: bool
    shift: float
    turn: float
    scale: float
    contrast: float
    brightness: float


def vary(images: Tensor, reach: Reach, chance: float, random: torch.Generator) -> Tensor:
    """Change images at random; each kind of change befalls an image with probability ``chance``.

    Args:
        images: ``[N, C, H, W]`` in [-1, 1]; N may be 0.
        reach: how far.
        chance: 0 (images are returned as they are) to 1.
        random: source of random numbers, on the CPU.

    Returns:
        ``[N, C, H, W]``; differentiable with respect to ``images``. Brightness may leave [-1, 1].

    >>> images = torch.rand(2, 1, 8, 8)
    >>> nowhere = Reach(flip=False, shift=0, turn=0, scale=0, contrast=0, brightness=0)
    >>> torch.allclose(vary(images, nowhere, 1.0, torch.Generator()), images, atol=1e-5)
    True
    """
    if chance <= 0 or len(images) == 0:
        return images
    count = len(images)

    def draw(limit: float) -> Tensor:
        value = (2 * torch.rand(count, generator=random) - 1) * limit
        happens = torch.rand(count, generator=random) < chance
        return (value * happens).to(images.device)

    turn, log_scale = draw(reach.turn), draw(reach.scale)
    mirror = torch.where(draw(1.0 if reach.flip else 0.0) > 0, -1.0, 1.0)
    cos, sin = torch.cos(turn) * torch.exp(log_scale), torch.sin(turn) * torch.exp(log_scale)
    move_x, move_y = 2 * draw(reach.shift), 2 * draw(reach.shift)
    matrices = torch.stack(
        [torch.stack([mirror * cos, -sin, move_x], 1), torch.stack([mirror * sin, cos, move_y], 1)],
        dim=1,
    )
    # In bfloat16 the grid itself would be ragged, by several per cent of the image's contrast.
    with torch.autocast(images.device.type, enabled=False):
        grid = affine_grid(matrices, list(images.shape), align_corners=False)
        moved = grid_sample(images.float(), grid, padding_mode="reflection", align_corners=False)
    gain = 1 + draw(reach.contrast).view(-1, 1, 1, 1)
    offset = draw(reach.brightness).view(-1, 1, 1, 1)
    # Contrast turns about black, so that air stays black.
    return (moved + 1) * gain - 1 + offset


@dataclass
class AdaptiveProbability:
    """Probability of augmentation, steered by how much D overfits (ADA, arXiv 2006.06676).

    The measure is r_t = mean sign(D(real)): 0 when D cannot tell, 1 when it knows every real image.

    Args:
        target: r_t that is let pass.
        images_to_full: images in which the probability may rise from 0 to 1.
        maximum: upper limit.
        value: the probability now.
        measure: running mean of r_t.
    """

    target: float
    images_to_full: float
    maximum: float
    value: float = 0.0
    measure: float = 0.0

    def update(self, sign: float, images: int) -> None:
        """Move the probability after a step on ``images`` real ones with mean sign(D) ``sign``."""
        self.measure += (sign - self.measure) * min(1.0, images / 2_000)
        direction = 1.0 if self.measure > self.target else -1.0
        moved = self.value + direction * images / self.images_to_full
        self.value = min(max(moved, 0.0), self.maximum)
