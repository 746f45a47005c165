"""Measures a trained style-based generator on held-out images, for its bundle."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medxgan.metrics.similarity import mse, ssim
from medxgan.networks.stylegan import StyleGenerator
from medxgan.networks.stylegan_encoder import StyleEncoder
from medxgan.networks.stylegan_statistics import CodeStatistics
from medxgan.style_bundle import StyleThresholds
from medxgan.training.source import Images
from medxgan.training.stylegan_losses import code_distance

QUANTILE = 0.99
BATCH = 64
SAMPLES = 256


@dataclass(frozen=True)
class HeldOutStyle:
    """What was found on held-out images: limits for statuses, and figures by name."""

    thresholds: StyleThresholds
    figures: dict[str, Any]


@torch.no_grad()
def measure_style(
    generator: StyleGenerator,
    encoder: StyleEncoder,
    statistics: CodeStatistics,
    images: Images,
    device: torch.device,
) -> HeldOutStyle:
    """Reconstruct held-out images by the encoder, and find samples' own codes again.

    Args:
        generator: that was trained.
        encoder: trained with it.
        statistics: of w, on the CPU.
        images: held-out ones.
        device: where to compute.
    """
    rows = np.arange(len(images))
    columns: list[tuple[Tensor, ...]] = []
    for batch in np.array_split(rows, -(-len(rows) // BATCH)):
        pixels = images.images(batch).to(device)
        codes = encoder(pixels)
        drawn = generator(codes)
        parts = (
            (drawn - pixels).abs().mean(dim=(1, 2, 3)),
            mse(drawn, pixels),
            ssim(drawn, pixels),
            statistics.distance(codes.cpu()),
        )
        columns.append(tuple(part.cpu() for part in parts))
    error, squared, similar, distance = (torch.cat(part) for part in zip(*columns, strict=True))
    thresholds = StyleThresholds(
        reconstruction_error=float(torch.quantile(error, QUANTILE)),
        code_distance=float(torch.quantile(distance, QUANTILE)),
        images=len(rows),
        quantile=QUANTILE,
    )
    figures = {
        "n": len(rows),
        "reconstruction_l1": float(error.mean()),
        "reconstruction_mse": float(squared.mean()),
        "reconstruction_ssim": float(similar.mean()),
        "code_distance": float(distance.mean()),
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
