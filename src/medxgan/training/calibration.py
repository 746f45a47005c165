"""Measures a trained generator on held-out images: limits of trust, and figures for the bundle."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medxgan.bundle import Thresholds
from medxgan.inversion import (
    PUBLISHED_MOMENTUM,
    cold_start,
    encode,
    refine,
    root_mean_square,
)
from medxgan.metrics.counterfactual import agreement
from medxgan.networks.encoder import Encoder
from medxgan.training.source import Images, predictions
from medxgan.types import Classifier, Generator, Latent

QUANTILE = 0.99
PRIOR_SAMPLES = 500
POSITIVES_A_SAMPLE = 3
BATCH = 64
# Without an encoder each image costs thousands of steps; calibration makes do with these.
COLD_IMAGES = 16
COLD_STEPS = 500
PRIOR_LENGTHS = 10_000


@dataclass(frozen=True)
class HeldOut:
    """What was found on held-out images: limits for statuses, and figures by name."""

    thresholds: Thresholds
    figures: dict[str, Any]


def measure_held_out(
    generator: Generator,
    encoder: Encoder | None,
    classifier: Classifier,
    target: int,
    code_sizes: tuple[int, int],
    images: Images,
    device: torch.device,
    watch: Callable[[float], None] | None = None,
) -> HeldOut:
    """Reconstruct held-out images and sample the prior; nothing of the test set is touched.

    Without an encoder, a few images (16, both answers where there are) are inverted from a cold
    start, in a tenth of the published steps. Then the limits on the codes' lengths are those of the
    prior, all that such a generator was trained on; and the figures say how many steps were taken.

    Args:
        generator: that was trained.
        encoder: trained with it, or None.
        classifier: the explained one.
        target: index of the explained class.
        code_sizes: dimensions of z1 and z2.
        images: held-out ones.
        device: where to compute.
        watch: told now and then which share of a cold start is done, 0 to 1; it takes minutes.
    """
    rows = np.arange(len(images))
    batches = np.array_split(rows, max(1, -(-len(rows) // BATCH)))
    if encoder is None:
        rows = few_of_both(predictions(classifier, images, target, device).numpy() >= 0.5)
        batches = [rows]
    parts: list[tuple[Tensor, ...]] = []
    for batch in batches:
        pixels = images.images(batch).to(device)
        with torch.no_grad():
            before = _score(classifier, target, pixels)
        if encoder is not None:
            latent = encode(encoder, pixels, before >= 0.5)
        else:
            start = cold_start(pixels, before >= 0.5, code_sizes, seed=0)
            latent = refine(
                generator,
                classifier,
                target,
                pixels,
                start,
                COLD_STEPS,
                PUBLISHED_MOMENTUM,
                watch=_tenths(watch) if watch is not None else None,
            )
        with torch.no_grad():
            parts.append(_measure_batch(generator, classifier, target, pixels, before, latent))
    error, before, after, flipped, moved, z1_length, z2_length = (
        torch.cat(column) for column in zip(*parts, strict=True)
    )
    positive = before >= 0.5
    any_positive = bool(positive.any())
    if encoder is None:
        z1_length, z2_length = (_prior_lengths(size) for size in code_sizes)
    elif any_positive:
        z2_length = z2_length[positive]
    thresholds = Thresholds(
        reconstruction_error=_limit(error),
        prediction_gap=min(max(_limit((before - after).abs()), 0.1), 0.5),
        structure_length=_limit(z1_length),
        pathology_length=_limit(z2_length),
        images=len(rows),
        quantile=QUANTILE,
    )
    agreed = prior_agreement(generator, classifier, target, code_sizes, device)
    figures = {
        "n": len(rows),
        "agreement_negative": agreed["negative"],
        "agreement_positive": agreed["positive"],
        "reconstruction_l1": float(error.mean()),
        "prediction_match": float((positive == (after >= 0.5)).float().mean()),
        "validity": float(flipped[positive].mean()) if any_positive else None,
        "transfer_validity": float(moved[positive].mean()) if any_positive else None,
    }
    return HeldOut(thresholds, figures | ({"inversion_steps": COLD_STEPS} if not encoder else {}))


def _tenths(watch: Callable[[float], None]) -> Callable[[int], None]:
    def tell(step: int) -> None:
        if 10 * step // COLD_STEPS > 10 * (step - 1) // COLD_STEPS:
            watch(step / COLD_STEPS)

    return tell


def prior_agreement(
    generator: Generator,
    classifier: Classifier,
    target: int,
    code_sizes: tuple[int, int],
    device: torch.device,
    samples: int = PRIOR_SAMPLES,
    positives: int = POSITIVES_A_SAMPLE,
) -> dict[str, float]:
    """Share of samples from the prior that the classifier takes for what they are meant to be.

    Args:
        generator: draws them.
        classifier: judges them.
        target: index of the explained class.
        code_sizes: dimensions of z1 and z2.
        device: where to compute.
        samples: structure codes, the same at every call; each is drawn as a negative once.
        positives: pathology codes for each.

    Returns:
        ``negative``, ``positive`` and ``balanced``, each 0 to 1.
    """
    random = torch.Generator().manual_seed(0)

    def score(z1: Tensor, z2: Tensor) -> Tensor:
        pairs = zip(z1.split(BATCH), z2.split(BATCH), strict=True)
        return torch.cat([_score(classifier, target, generator(a, b)) for a, b in pairs])

    def draw(size: int) -> Tensor:
        return torch.randn(samples, size, generator=random).to(device)

    with torch.no_grad():
        z1 = draw(code_sizes[0])
        negative = score(z1, torch.zeros(samples, code_sizes[1], device=device))
        positive = torch.stack([score(z1, draw(code_sizes[1])) for _ in range(positives)])
    return {name: float(v.mean()) for name, v in agreement(negative, positive).items()}


def few_of_both(positive: NDArray[np.bool_], count: int = COLD_IMAGES) -> NDArray[np.int64]:
    """Rows of a few images, half of each answer where there are enough, spread over the set.

    >>> few_of_both(np.array([True, False, False, False, True, False]), count=4).tolist()
    [0, 1, 4, 5]
    """
    chosen = []
    for rows in (np.flatnonzero(positive), np.flatnonzero(~positive)):
        places = np.linspace(0, len(rows) - 1, min(count // 2, len(rows))).round()
        chosen.append(rows[places.astype(np.int64)])
    return np.sort(np.concatenate(chosen))


def _measure_batch(
    generator: Generator,
    classifier: Classifier,
    target: int,
    images: Tensor,
    before: Tensor,
    latent: Latent,
) -> tuple[Tensor, ...]:
    negative, reconstruction = generator.film(
        latent.z1, latent.z2, torch.tensor([0.0, 1.0], device=images.device)
    )
    transferred = (images + negative - reconstruction).clamp(-1, 1)
    columns = (
        (reconstruction - images).abs().mean(dim=(1, 2, 3)),
        before,
        _score(classifier, target, reconstruction),
        (_score(classifier, target, negative) < 0.5).float(),
        (_score(classifier, target, transferred) < 0.5).float(),
        root_mean_square(latent.z1),
        root_mean_square(latent.z2),
    )
    return tuple(column.cpu() for column in columns)


def _score(classifier: Classifier, target: int, images: Tensor) -> Tensor:
    return classifier.spec.score(classifier(images), target)


def _prior_lengths(size: int) -> Tensor:
    """Lengths of codes from the prior, relative to its own."""
    random = torch.Generator().manual_seed(0)
    return root_mean_square(torch.randn(PRIOR_LENGTHS, size, generator=random))


def _limit(values: Tensor) -> float:
    """The value that the quantile of held-out images does not exceed."""
    return float(torch.quantile(values, QUANTILE))
