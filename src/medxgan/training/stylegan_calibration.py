"""Measures a trained style-based generator on held-out images, for its bundle."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medxgan.metrics.similarity import mse, ssim
from medxgan.networks.stylegan import StyleGenerator
from medxgan.networks.stylegan_encoder import StyleEncoder
from medxgan.networks.stylegan_statistics import CodeStatistics
from medxgan.style_bundle import StyleThresholds
from medxgan.style_inversion import REFINED, place_images
from medxgan.training.source import Images
from medxgan.training.stylegan_losses import code_distance

QUANTILE = 0.99
BATCH = 64
REFINED_IMAGES = 256
"""Optimisation takes a second or so an image; limits are measured on this many at most."""
SAMPLES = 256


@dataclass(frozen=True)
class HeldOutStyle:
    """What was found on held-out images: limits for statuses, and figures by name."""

    thresholds: StyleThresholds
    figures: dict[str, Any]


class Redrawn(NamedTuple):
    """Of each of N images: error and likeness of the reconstruction, and distance of its code."""

    error: Tensor
    squared: Tensor
    similar: Tensor
    distance: Tensor


@torch.no_grad()
def measure_style(
    generator: StyleGenerator,
    encoder: StyleEncoder,
    statistics: CodeStatistics,
    images: Images,
    device: torch.device,
    *,
    steps: int = REFINED,
) -> HeldOutStyle:
    """Reconstruct held-out images, and find samples' own codes again.

    All are reconstructed by the encoder alone; at most ``REFINED_IMAGES`` of them, evenly spread,
    as explanations do it, from there by optimisation in W+, which gives the limits of trust.

    Args:
        generator: that was trained.
        encoder: trained with it.
        statistics: of w, on the CPU.
        images: held-out ones.
        device: where to compute.
        steps: of that optimisation; as many as explanations take, unless told otherwise.
    """
    rows = np.arange(len(images))
    refined_rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), REFINED_IMAGES)).astype(int)]
    near = statistics.to(device)
    refined = partial(place_images, generator, encoder, near, steps=steps)

    def measured(chosen: NDArray[np.int64], find: Callable[[Tensor], Tensor]) -> Redrawn:
        columns: list[tuple[Tensor, ...]] = []
        for batch in np.array_split(chosen, -(-len(chosen) // BATCH)):
            pixels = images.images(batch).to(device)
            codes = find(pixels)
            drawn = generator(codes)
            parts = (
                (drawn - pixels).abs().mean(dim=(1, 2, 3)),
                mse(drawn, pixels),
                ssim(drawn, pixels),
                near.distance(codes),
            )
            columns.append(tuple(part.cpu() for part in parts))
        return Redrawn(*(torch.cat(part) for part in zip(*columns, strict=True)))

    encoded, optimised = measured(rows, encoder), measured(refined_rows, refined)
    thresholds = StyleThresholds(
        reconstruction_error=float(torch.quantile(optimised.error, QUANTILE)),
        code_distance=float(torch.quantile(optimised.distance, QUANTILE)),
        images=len(refined_rows),
        quantile=QUANTILE,
    )
    figures = {
        "n": len(rows),
        "reconstruction_l1": float(encoded.error.mean()),
        "reconstruction_mse": float(encoded.squared.mean()),
        "reconstruction_ssim": float(encoded.similar.mean()),
        "code_distance": float(encoded.distance.mean()),
        "refined_mse": float(optimised.squared.mean()),
        "refined_ssim": float(optimised.similar.mean()),
        "sample_code_error": sample_code_error(generator, encoder, device),
    }
    return HeldOutStyle(thresholds, figures)


@torch.no_grad()
def sample_code_error(
    generator: StyleGenerator, encoder: StyleEncoder, device: torch.device
) -> float:
    """How far the encoder's w of samples is from theirs: 0 perfect, 1 no better than the mean."""
    random = torch.Generator().manual_seed(0)
    z = torch.randn(SAMPLES, generator.code, generator=random).to(device)
    codes = generator.mapping(z)
    found = torch.cat([encoder(generator(part)) for part in codes.split(BATCH)])
    counted = torch.ones(SAMPLES, dtype=torch.bool, device=device)
    return float(code_distance(found, codes, counted))
