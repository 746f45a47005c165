"""Reconstruction and counterfactual of explained images -> one value per image and figure."""

import torch
from torch import Tensor

from medxgan.evaluate.columns import Columns
from medxgan.evaluate.explained import Explained
from medxgan.explain import scores
from medxgan.metrics.counterfactual import (
    called_positive,
    crossed,
    flipped,
    flipped_where_positive,
    is_monotone,
    prediction_match,
)
from medxgan.metrics.ranks import spearman
from medxgan.metrics.similarity import mae_outside, mse, psnr, ssim


def reconstruction_columns(
    images: Tensor, reconstruction: Tensor, before: Tensor, after: Tensor
) -> Columns:
    """How like the original is the reconstruction, in pixels and to the classifier?

    Args:
        images: ``[N, C, H, W]``.
        reconstruction: ``[N, C, H, W]``.
        before: C(x), ``[N]``.
        after: C(x̂), ``[N]``.
    """
    figures = {
        "mse": mse(images, reconstruction),
        "psnr": psnr(images, reconstruction),
        "ssim": ssim(images, reconstruction),
        "prediction_match": prediction_match(before, after),
        "prediction_mae": (before - after).abs(),
    }
    return {("reconstruction", name): values for name, values in figures.items()}


def monotonicity_columns(probabilities: Tensor, section: str = "monotonicity") -> Columns:
    """Does the score rise along the film? ``[T, N]``, from negative to positive.

    >>> monotonicity_columns(torch.tensor([[0.1], [0.4], [0.9]]))["monotonicity", "spearman"]
    tensor([1.])
    """
    steps = torch.arange(len(probabilities), device=probabilities.device)
    rank_correlation = spearman(steps[:, None].expand_as(probabilities), probabilities, dim=0)
    return {
        (section, "spearman"): rank_correlation,
        (section, "monotone_paths"): is_monotone(probabilities),
    }


def counterfactual_columns(explained: Explained, before: Tensor, masks: Tensor) -> Columns:
    """Does the answer flip, and does the rest of the image stay?

    Args:
        explained: N images.
        before: C(x), ``[N]``.
        masks: lesions, bool ``[N, H, W]``; empty where there is none or it is unknown.
    """
    positive, negative = explained.reconstruction, explained.counterfactual
    outside = mae_outside(positive, negative, masks)
    start, end = explained.probabilities[-1], explained.probabilities[0]
    figures = {
        "validity": flipped(before, end),
        "crossing": crossed(before, start, end),
        "transfer_validity": flipped(before, explained.transferred_score),
        "preservation_ssim": ssim(positive, negative),
        "outside_mask_mae": outside.masked_fill(~masks.flatten(1).any(dim=1), torch.nan),
    }
    return {("counterfactual", name): values for name, values in figures.items()}


def probability_columns(explained: Explained, before: Tensor) -> Columns:
    """C of the images, at both ends of their films, and with the change made on the originals.

    Args:
        explained: N images.
        before: C(x), ``[N]``.
    """
    asked = {
        "image": before,
        "film_start": explained.probabilities[0],
        "film_end": explained.probabilities[-1],
        "transferred": explained.transferred_score,
    }
    return {("probability", name): values for name, values in asked.items()}


def oracle_columns(explained: Explained, oracle: scores.Score) -> Columns:
    """Does the answer of a classifier that never gave feedback flip, too?

    NaN where it does not call the original positive: there is nothing that it could take back.
    """
    before, redrawn, transferred = (
        scores.evaluate(oracle, images)
        for images in (explained.images, explained.counterfactual, explained.transferred)
    )
    figures = {
        "oracle_before": called_positive(before),
        "oracle_validity": flipped_where_positive(before, redrawn),
        "oracle_transfer_validity": flipped_where_positive(before, transferred),
    }
    return {("counterfactual", name): values for name, values in figures.items()}


def twin_columns(explained: Explained, twins: Tensor) -> Columns:
    """How far from the healthy twin ``[N, C, H, W]`` are the image and what was made of it?

    NaN where an image is its own twin: it was called positive without a lesion.
    """
    healthy = (twins == explained.images).flatten(1).all(dim=1)
    compared = {
        "twin": explained.counterfactual,
        "image_twin": explained.images,
        "reconstruction_twin": explained.reconstruction,
        "transferred_twin": explained.transferred,
    }
    return {
        ("counterfactual", f"{name}_{measure.__name__}"): measure(images, twins).masked_fill(
            healthy, torch.nan
        )
        for name, images in compared.items()
        for measure in (psnr, ssim)
    }
