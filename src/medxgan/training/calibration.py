"""Measures a trained generator on held-out images: limits of trust, and figures for the bundle."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medxgan.bundle import Thresholds
from medxgan.inversion import encode, root_mean_square
from medxgan.metrics.counterfactual import agreement
from medxgan.networks.encoder import Encoder
from medxgan.networks.medxgan import TwoCodeGenerator
from medxgan.training.source import Images
from medxgan.types import Classifier

QUANTILE = 0.99
PRIOR_SAMPLES = 500
POSITIVES_A_SAMPLE = 3
BATCH = 64


@dataclass(frozen=True)
class HeldOut:
    """What was found on held-out images: limits for statuses, and figures by name."""

    thresholds: Thresholds
    figures: dict[str, Any]


def measure_held_out(
    generator: TwoCodeGenerator,
    encoder: Encoder,
    classifier: Classifier,
    target: int,
    images: Images,
    device: torch.device,
) -> HeldOut:
    """Reconstruct held-out images and sample the prior; nothing of the test set is touched."""
    rows = np.arange(len(images))
    parts: list[tuple[Tensor, ...]] = []
    with torch.no_grad():
        for batch in np.array_split(rows, max(1, -(-len(rows) // BATCH))):
            parts.append(
                _measure_batch(
                    generator, encoder, classifier, target, images.images(batch).to(device)
                )
            )
        agreed = _agreement(generator, classifier, target, encoder.code_sizes, device)
    error, before, after, flipped, moved, z1_length, z2_length = (
        torch.cat(column) for column in zip(*parts, strict=True)
    )
    positive = before >= 0.5
    any_positive = bool(positive.any())
    thresholds = Thresholds(
        reconstruction_error=_limit(error),
        prediction_gap=min(max(_limit((before - after).abs()), 0.1), 0.5),
        structure_length=_limit(z1_length),
        pathology_length=_limit(z2_length[positive]) if any_positive else 0.0,
        images=len(rows),
        quantile=QUANTILE,
    )
    figures = {
        "n": len(rows),
        "agreement_negative": agreed["negative"],
        "agreement_positive": agreed["positive"],
        "reconstruction_l1": float(error.mean()),
        "prediction_match": float((positive == (after >= 0.5)).float().mean()),
        "validity": float(flipped[positive].mean()) if any_positive else None,
        "transfer_validity": float(moved[positive].mean()) if any_positive else None,
    }
    return HeldOut(thresholds, figures)


def _measure_batch(
    generator: TwoCodeGenerator,
    encoder: Encoder,
    classifier: Classifier,
    target: int,
    images: Tensor,
) -> tuple[Tensor, ...]:
    before = classifier(images)[:, target]
    latent = encode(encoder, images, before >= 0.5)
    negative, reconstruction = generator.film(
        latent.z1, latent.z2, torch.tensor([0.0, 1.0], device=images.device)
    )
    transferred = (images + negative - reconstruction).clamp(-1, 1)
    columns = (
        (reconstruction - images).abs().mean(dim=(1, 2, 3)),
        before,
        classifier(reconstruction)[:, target],
        (classifier(negative)[:, target] < 0.5).float(),
        (classifier(transferred)[:, target] < 0.5).float(),
        root_mean_square(latent.z1),
        root_mean_square(latent.z2),
    )
    return tuple(column.cpu() for column in columns)


def _agreement(
    generator: TwoCodeGenerator,
    classifier: Classifier,
    target: int,
    code_sizes: tuple[int, int],
    device: torch.device,
) -> dict[str, float]:
    random = torch.Generator().manual_seed(0)

    def score(z1: Tensor, z2: Tensor) -> Tensor:
        pairs = zip(z1.split(BATCH), z2.split(BATCH), strict=True)
        return torch.cat([classifier(generator(a, b))[:, target] for a, b in pairs])

    def draw(size: int) -> Tensor:
        return torch.randn(PRIOR_SAMPLES, size, generator=random).to(device)

    z1 = draw(code_sizes[0])
    negative = score(z1, torch.zeros(PRIOR_SAMPLES, code_sizes[1], device=device))
    positive = torch.stack([score(z1, draw(code_sizes[1])) for _ in range(POSITIVES_A_SAMPLE)])
    return {name: float(v.mean()) for name, v in agreement(negative, positive).items()}


def _limit(values: Tensor) -> float:
    """The value that the quantile of held-out images does not exceed."""
    return float(torch.quantile(values, QUANTILE))
