"""When not to trust an explanation: each check names what is wrong and by how much."""

from collections.abc import Mapping

from torch import Tensor

from medxgan.bundle import Thresholds
from medxgan.types import Latent, Problem, Status


def judge(
    images: Tensor,
    reconstruction: Tensor,
    latent: Latent,
    scores: Mapping[str, Tensor],
    thresholds: Thresholds,
) -> list[Status]:
    """The status of N explanations.

    Args:
        images: originals ``[N, C, H, W]`` in [-1, 1].
        reconstruction: x̂ ``[N, C, H, W]``.
        latent: codes of the reconstructions.
        scores: of the explained class, ``[N]`` each, on ``image``, ``reconstruction`` and
            ``counterfactual``.
        thresholds: measured on held-out images.
    """
    error = (images - reconstruction).abs().mean(dim=(1, 2, 3))
    gap = (scores["image"] - scores["reconstruction"]).abs()
    lengths = [code.square().mean(dim=1).sqrt() for code in (latent.z1, latent.z2)]
    columns = [
        values.tolist()
        for values in (error, gap, scores["image"], scores["counterfactual"], *lengths)
    ]
    return [
        Status(tuple(_problems(*row, thresholds=thresholds))) for row in zip(*columns, strict=True)
    ]


def _problems(
    error: float,
    gap: float,
    before: float,
    after: float,
    structure: float,
    pathology: float,
    *,
    thresholds: Thresholds,
) -> list[Problem]:
    problems = []
    if error > thresholds.reconstruction_error:
        problems.append(
            Problem(
                "poor reconstruction",
                error,
                thresholds.reconstruction_error,
                f"poor reconstruction: mean error {error:.3f}, "
                f"limit {thresholds.reconstruction_error:.3f}",
            )
        )
    if gap > thresholds.prediction_gap:
        problems.append(
            Problem(
                "prediction gap",
                gap,
                thresholds.prediction_gap,
                f"prediction gap: image and reconstruction differ by {gap:.2f}, "
                f"limit {thresholds.prediction_gap:.2f}",
            )
        )
    if (before >= 0.5) == (after >= 0.5):
        problems.append(
            Problem(
                "no flip",
                after,
                0.5,
                f"no flip: the counterfactual still scores {after:.2f}, beyond 0.5 was wanted",
            )
        )
    for name, length, limit in (
        ("structure", structure, thresholds.structure_length),
        ("pathology", pathology, thresholds.pathology_length),
    ):
        if length > limit:
            problems.append(
                Problem(
                    "code outside the prior",
                    length,
                    limit,
                    f"code outside the prior: length of the {name} code {length:.2f}, "
                    f"limit {limit:.2f}",
                )
            )
    return problems
