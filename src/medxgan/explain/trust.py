"""When not to trust an explanation: each check names what is wrong and by how much."""

from collections.abc import Mapping

from torch import Tensor

from medxgan.bundle import Thresholds
from medxgan.inversion import root_mean_square
from medxgan.scoretext import side_text
from medxgan.types import ClassifierSpec, Latent, Problem, ProblemKind, Status


def judge(
    images: Tensor,
    reconstruction: Tensor,
    latent: Latent,
    scores: Mapping[str, Tensor],
    thresholds: Thresholds,
    spec: ClassifierSpec | None = None,
) -> list[Status]:
    """The status of N explanations.

    A reconstruction on the other side of 0.5 than its image is always a prediction gap, however
    wide the limit is; and no flip either, as the film then does not start on the image's side.

    Args:
        images: originals ``[N, C, H, W]`` in [-1, 1].
        reconstruction: x̂ ``[N, C, H, W]``.
        latent: codes that must lie where those of held-out images do.
        scores: of the explained class, ``[N]`` each, on ``image``, ``reconstruction`` and
            ``counterfactual``.
        thresholds: measured on held-out images.
        spec: of the classifier, for the words; of a value, problems are told in its units.
    """
    error = (images - reconstruction).abs().mean(dim=(1, 2, 3))
    before, redrawn, after = (
        scores[part] for part in ("image", "reconstruction", "counterfactual")
    )
    gap = (before - redrawn).abs()
    lengths = {
        "structure": (root_mean_square(latent.z1), thresholds.structure_length),
        "pathology": (root_mean_square(latent.z2), thresholds.pathology_length),
    }
    found: list[list[Problem]] = [[] for _ in images]

    def note(kind: ProblemKind, wrong: Tensor, values: Tensor, limit: float, words: str) -> None:
        for row in wrong.nonzero().flatten().tolist():
            value = float(values[row])
            sentence = f"{kind}: {words.format(value=value, limit=limit)}"
            found[row].append(Problem(kind, value, limit, sentence))

    limit = thresholds.reconstruction_error
    words = "mean error {value:.3f}, limit {limit:.3f}"
    note("poor reconstruction", error > limit, error, limit, words)

    positive, redrawn_positive, after_positive = before >= 0.5, redrawn >= 0.5, after >= 0.5
    for row in (positive != redrawn_positive).nonzero().flatten().tolist():
        called, recalled = (side_text(float(score[row]), spec) for score in (before, redrawn))
        found[row].append(
            Problem(
                "prediction gap",
                float(redrawn[row]),
                0.5,
                f"prediction gap: the model calls the image {called} and its reconstruction "
                f"{recalled}",
            )
        )
    limit = thresholds.prediction_gap
    words = "scores of image and reconstruction differ by {value:.3f}, limit {limit:.3f}"
    note("prediction gap", (gap > limit) & (positive == redrawn_positive), gap, limit, words)

    unflipped = (positive == after_positive) | (positive != redrawn_positive)
    for row in unflipped.nonzero().flatten().tolist():
        ends = (before, redrawn, after)
        image, start, end = (side_text(float(score[row]), spec) for score in ends)
        found[row].append(
            Problem(
                "no flip",
                float(after[row]),
                0.5,
                f"no flip: the model calls the image {image}, the reconstruction {start} and the "
                f"counterfactual {end}",
            )
        )

    for name, (length, limit) in lengths.items():
        words = f"length of the {name} code {{value:.2f}}, limit {{limit:.2f}}"
        note("code outside the prior", length > limit, length, limit, words)
    return [Status(tuple(problems)) for problems in found]
