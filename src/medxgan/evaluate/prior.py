"""Codes drawn from the prior: does the classifier agree, and does the film rise?"""

import torch

from medxgan.evaluate.columns import Columns, joined, monotonicity_columns
from medxgan.evaluate.progress import Progress
from medxgan.explain.traversal import film
from medxgan.explainer import Explainer
from medxgan.metrics.counterfactual import agreement


def prior_columns(
    explainer: Explainer,
    *,
    codes: int,
    positives_per_code: int,
    seed: int,
    at_once: int,
    progress: Progress,
) -> Columns:
    """Agreement (Dravid et al. 2022: 1 negative and 3 positives a code) and monotonicity.

    The film of a code's first positive starts at its negative: both are seen there.

    Args:
        explainer: renders and judges.
        codes: number of structure codes.
        positives_per_code: pathology codes for each.
        seed: of the codes.
        at_once: structure codes in a batch.
        progress: told after each batch.

    Returns:
        Columns ``[codes]`` of ``agreement`` and ``monotonicity_prior``.
    """
    z1, first = explainer.sample_codes(codes, positive=True, seed=seed)
    further = [
        explainer.sample_codes(codes, positive=True, seed=seed + number)[1]
        for number in range(1, positives_per_code)
    ]
    judges = explainer.generator, explainer.classifier, explainer.target
    parts: list[Columns] = []
    for start in range(0, codes, at_once):
        rows = slice(start, start + at_once)
        _, probabilities = film(*judges, z1[rows], first[rows])
        at_end = [film(*judges, z1[rows], z2[rows], strengths=torch.ones(1))[1] for z2 in further]
        shares = agreement(probabilities[0], torch.cat([probabilities[-1:], *at_end]))
        agreed: Columns = {("agreement", name): values for name, values in shares.items()}
        parts.append(agreed | monotonicity_columns(probabilities, "monotonicity_prior"))
        progress("codes", min(codes, rows.stop), codes)
    return joined(parts)
