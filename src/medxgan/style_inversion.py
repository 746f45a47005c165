"""From an image to w or W+ by optimisation, from the encoder's start.

After Karras et al. 2020, section 5, in W; Abdal et al. 2019 in W+.
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from medxgan.errors import ConfigError
from medxgan.networks.stylegan import StyleGenerator, for_all_layers
from medxgan.networks.stylegan_encoder import StyleEncoder
from medxgan.networks.stylegan_statistics import CodeStatistics
from medxgan.turns import give_way

LEARNING_RATE = 0.05
REFINED = 100
"""Steps from the encoder's start, where nothing else is said."""
COARSE_SCALES = (2, 4, 8)
COARSE_WEIGHT = 0.5
PRIOR_WEIGHT = 1e-4


def place_images(
    generator: StyleGenerator,
    encoder: StyleEncoder,
    statistics: CodeStatistics,
    images: Tensor,
    *,
    steps: int = REFINED,
    cold: bool = False,
) -> Tensor:
    """Where images are in W+: the encoder's w, and from there each layer's on its own.

    Args:
        generator: of the bundle.
        encoder: likewise.
        statistics: of w, on the device of ``images``.
        images: ``[N, C, H, W]`` in [-1, 1].
        steps: of ``refine_codes``.
        cold: start from the mean of w instead of the encoder's.

    Returns:
        Codes ``[N, L, d]``.
    """
    with torch.no_grad():
        start = for_all_layers(encoder(images), generator.layers)
    if cold:
        start = statistics.mean.expand_as(start)
    return refine_codes(generator, images, start, steps, statistics=statistics)


def refine_codes(
    generator: StyleGenerator,
    images: Tensor,
    start: Tensor,
    steps: int,
    *,
    statistics: CodeStatistics | None = None,
    prior_weight: float = PRIOR_WEIGHT,
) -> Tensor:
    """Improve codes so that G(w) comes closer to the images.

    Minimises ``image_distance`` by Adam, all images as one batch; each image keeps the code of its
    best step, so that none gets worse. Works where gradients are switched off around it, too.

    Args:
        generator: of the bundle.
        images: ``[N, C, H, W]`` in [-1, 1].
        start: w ``[N, d]``, or ``[N, L, d]`` to move each layer's on its own.
        steps: number of steps; 0 returns the start.
        statistics: of w, on the device of ``start``; where given, leaving the mapped codes costs
            ``prior_weight`` times the squared distance from their mean, see
            ``CodeStatistics.distance``.
        prior_weight: of that.

    Returns:
        Codes of the shape of ``start``.

    Raises:
        ConfigError: ``steps`` or ``prior_weight`` is negative.
    """
    if steps < 0:
        raise ConfigError(f"refinement steps must be at least 0, got {steps}")
    if prior_weight < 0:
        raise ConfigError(f"the weight of the prior must be at least 0, got {prior_weight:g}")
    with torch.inference_mode(False), torch.enable_grad():
        # Tensors made in inference mode cannot be differentiated through; copies can.
        images, best = images.detach().clone(), start.detach().clone()
        whitening = statistics.whitening() if statistics is not None else None
        codes = best.clone().requires_grad_()
        optimiser = torch.optim.Adam([codes], lr=LEARNING_RATE)
        best_loss = torch.full((len(images),), torch.inf, device=images.device)
        for step in range(steps + 1 if steps else 0):
            give_way()
            loss = image_distance(generator(codes), images)
            if statistics is not None and whitening is not None:
                outlying = ((codes - statistics.mean) @ whitening).square().flatten(1).mean(dim=1)
                loss = loss + prior_weight * outlying
            with torch.no_grad():
                better = loss < best_loss
                best_loss = torch.where(better, loss, best_loss)
                best[better] = codes[better]
            if step < steps:
                optimiser.zero_grad()
                loss.sum().backward()
                optimiser.step()
    return best


def image_distance(drawn: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared error of pixels, and of means over 2, 4 and 8 pixels a side at half weight.

    The coarse scales pull parts into place whose pixels do not overlap yet.

    Args:
        drawn: ``[N, C, H, W]``.
        wanted: of the same shape.

    Returns:
        ``[N]``.

    >>> image_distance(torch.ones(1, 1, 8, 8), torch.zeros(1, 1, 8, 8))  # 1 + 3 / 2
    tensor([2.5000])
    """
    difference = drawn - wanted
    distance = difference.square().mean(dim=(1, 2, 3))
    for side in COARSE_SCALES:
        coarse = avg_pool2d(difference, side)
        distance = distance + COARSE_WEIGHT * coarse.square().mean(dim=(1, 2, 3))
    return distance
