"""Which explanations are the worst, in an order that is said, and their pictures."""

import math

import numpy as np
import torch

from medxgan.data import Dataset
from medxgan.evaluate.columns import Place
from medxgan.evaluate.evaluation import Evaluation
from medxgan.explain.counterfactual import transfer
from medxgan.explain.traversal import FRAMES, even_strengths
from medxgan.explainer import Explainer
from medxgan.report.evaluation_sheet import Case
from medxgan.types import Explanation, Latent

GAP: Place = ("reconstruction", "prediction_mae")
FIRST_CHOICE = "difference"
SCORES = {
    "image": "image",
    "reconstruction": "film_end",
    "counterfactual": "film_start",
    "transferred": "transferred",
}
"""Score of an explanation -> column of that probability."""


def ordering_method(evaluation: Evaluation) -> str | None:
    """The method whose average precision orders the cases; None where no lesion is known."""
    methods = sorted(evaluation.methods, key=lambda method: method != FIRST_CHOICE)
    for method in methods:
        precision = evaluation.columns.get(("localization", method, "average_precision"))
        if precision is not None and bool(precision.isfinite().any()):
            return method
    return None


def order_sentence(evaluation: Evaluation) -> str:
    """What makes a case a bad one, in words."""
    gap = "the larger gap between the predictions of original and reconstruction"
    method = ordering_method(evaluation)
    if method is None:
        return f"Worst first: a failed status before a sound one, then {gap}."
    return (
        "Worst first: a failed status before a sound one, then the lower average precision of the "
        f"raw {method} map; images without a known lesion come after those with one, by {gap}."
    )


def worst_first(evaluation: Evaluation) -> list[int]:
    """Numbers of all images called positive, the worst explanation first."""
    precision = _precision(evaluation)
    gap = evaluation.columns.get(GAP, torch.zeros(len(evaluation.rows))).tolist()

    def goodness(number: int) -> tuple[bool, float, float]:
        known = not math.isnan(precision[number])
        sound = evaluation.statuses[number].ok
        return sound, precision[number] if known else math.inf, -gap[number]

    return sorted(range(len(evaluation.rows)), key=goodness)


def worst_cases(
    evaluation: Evaluation, explainer: Explainer, data: Dataset, count: int
) -> list[Case]:
    """The ``count`` worst explanations, the worst first, drawn from the measured codes."""
    chosen = worst_first(evaluation)[:count]
    precision = _precision(evaluation)
    return [
        Case(
            explanation,
            average_precision=precision[number],
            gap=abs(explanation.scores["image"] - explanation.scores["reconstruction"]),
        )
        for number, explanation in zip(
            chosen, _explanations(evaluation, explainer, data, chosen), strict=True
        )
    ]


def _precision(evaluation: Evaluation) -> list[float]:
    place = ("localization", ordering_method(evaluation) or "", "average_precision")
    unknown = torch.full((len(evaluation.rows),), torch.nan)
    found: list[float] = evaluation.columns.get(place, unknown).tolist()
    return found


def _explanations(
    evaluation: Evaluation, explainer: Explainer, data: Dataset, chosen: list[int]
) -> list[Explanation]:
    """Pictures anew, from the measured codes; scores and statuses as they were measured."""
    numbers = np.asarray(chosen)
    rows = evaluation.rows[numbers]
    images = data.images(rows)
    masks, known = data.mask_images(rows)
    latent = Latent(evaluation.latent.z1[numbers], evaluation.latent.z2[numbers])
    strengths = even_strengths(FRAMES)
    with torch.no_grad():
        film = explainer.generator.film(
            *(part.to(explainer.device) for part in (latent.z1, latent.z2, strengths))
        )
    frames = film.cpu()
    transferred = transfer(images, frames[-1], frames[0])
    scores = {
        name: evaluation.columns["probability", asked][numbers].tolist()
        for name, asked in SCORES.items()
    }
    return [
        Explanation(
            name=str(data.names[row]),
            image=images[at],
            reconstruction=frames[-1, at],
            counterfactual=frames[0, at],
            transferred=transferred[at],
            frames=frames[:, at],
            strengths=strengths,
            probabilities=evaluation.films[number],
            difference=frames[-1, at] - frames[0, at],
            attributions={},
            latent=Latent(latent.z1[at : at + 1], latent.z2[at : at + 1]),
            target=explainer.target,
            target_name=explainer.bundle.target_name,
            scores={name: values[at] for name, values in scores.items()},
            alternatives=images.new_empty(0, *images.shape[1:]),
            alternative_scores=images.new_empty(0),
            status=evaluation.statuses[number],
            mask=masks[at] if bool(known[at]) else None,
            spec=explainer.spec,
        )
        for at, (number, row) in enumerate(zip(chosen, rows.tolist(), strict=True))
    ]
