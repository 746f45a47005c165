"""Evaluations made by hand, in which every figure is known."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from medxgan.evaluate import Evaluation
from medxgan.evaluate.places import places
from medxgan.report.evaluation_sheet import Case
from medxgan.types import Explanation, Latent, Problem, Status

METHODS = ("difference", "ig")
NO_FLIP = Status((Problem("no flip", 0.7, 0.5, "no flip: the counterfactual still scores 0.70"),))
UNBEATEN = "crossing, 0.500, is not above that of the control random_direction, 0.500"
SETTINGS = {
    "oracle": None,
    "methods": list(METHODS),
    "own maps": [],
    "codes": 50,
    "integration steps": 32,
    "inversion steps": 0,
    "controls": True,
    "noise": True,
    "seed": 3,
    "device": "cpu",
    "images at once": 16,
}


def figure(value: float, spread: float = 0.1, n: int = 4, missing: int = 1) -> dict[str, Any]:
    return {
        "value": value,
        "low": value - spread,
        "high": value + spread,
        "n": n,
        "n_missing": missing,
    }


def null(reason: str) -> dict[str, Any]:
    return {"value": None, "low": None, "high": None, "n": 0, "n_missing": 0, "reason": reason}


def make_document(methods: tuple[str, ...] = METHODS) -> dict[str, Any]:
    """Every figure is 0.5 +- 0.1 of 4 images, one without value; a few tests change some."""
    document: dict[str, Any] = {
        "schema": 1,
        "n": 12,
        "predictions": {
            "called_positive": 5,
            "called_negative": 7,
            "unlabelled": 0,
            "detected": 4,
            "missed": 1,
            "false_alarms": 1,
        },
        "statuses": {
            "n": 5,
            "ok": 3,
            "poor reconstruction": 0,
            "prediction gap": 0,
            "no flip": 2,
            "code outside the prior": 0,
        },
        "notes": ["only 5 images are called positive"],
    }
    for place in places(methods):
        section = document
        for name in place[:-1]:
            section = section.setdefault(name, {})
        section[place[-1]] = figure(0.5)
    document["failed_maps"] = dict.fromkeys(methods, 0)
    document["controls"] |= {"not_beaten": [], "compared": 26, "not_compared": 4, "comparisons": []}
    document["completeness"]["steps"] = 32
    return document


def make_films(images: int = 5) -> Tensor:
    """Films that end at 1, the first one highest: image i starts at i / 10 below 0.5."""
    starts = 0.5 - torch.arange(images) / 10
    return torch.stack([torch.linspace(start, 1, 11) for start in starts.tolist()])


def make_evaluation(methods: tuple[str, ...] = METHODS) -> Evaluation:
    """Five images called positive, the rows 2, 3, 5, 7, 8; the fourth has no lesion mask."""
    precision = torch.tensor([0.9, 0.2, 0.4, torch.nan, 0.1])
    columns = {
        ("probability", "image"): torch.linspace(0.5, 0.9, 5),
        ("probability", "film_start"): make_films()[:, 0],
        ("probability", "film_end"): make_films()[:, -1],
        ("probability", "transferred"): torch.linspace(0.4, 0.0, 5),
        ("reconstruction", "prediction_mae"): torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5]),
    }
    for method in methods:
        columns["localization", method, "average_precision"] = precision
        columns["deletion", method, "blur", "0.05"] = torch.arange(5.0)
        columns["controls", "random_classifier", method, "localization", "iou"] = torch.ones(5)
        columns["seconds_per_image", method] = torch.full((5,), 0.25)
    columns["seconds_per_image", "explanation"] = torch.full((5,), 0.5)
    columns["controls", "random_map", "localization", "iou"] = torch.zeros(5)
    return Evaluation(
        document=make_document(methods),
        methods=methods,
        rows=np.array([2, 3, 5, 7, 8]),
        columns=columns,
        films=make_films(),
        latent=Latent(torch.ones(5, 4), torch.ones(5, 2)),
        statuses=(NO_FLIP, Status(), Status(), Status(), NO_FLIP),
        settings=SETTINGS,
    )


def comparison(
    control: str = "random_direction",
    place: tuple[str, ...] = ("counterfactual", "crossing"),
    *,
    method: str | None = None,
    n: int = 12,
    beaten: bool = False,
) -> dict[str, Any]:
    """A comparison with a control in which ours is ahead by 0.1, beyond doubt or not."""
    return {
        "figure": "crossing",
        "place": list(place),
        "method": method,
        "control": control,
        "ours": 0.5,
        "theirs": 0.4,
        "difference": 0.1,
        "low": 0.05 if beaten else -0.125,
        "high": 0.25,
        "n": n,
        "few": n < 10,
        "beaten": beaten,
    }


def lose(document: dict[str, Any], *lost: dict[str, Any]) -> None:
    """Let these comparisons be the ones that are not won."""
    document["controls"]["not_beaten"] = [UNBEATEN] * len(lost)
    document["controls"]["comparisons"] = [*lost, comparison(beaten=True)]


def make_case(name: str = "slice 1", *, mask: bool = True, status: Status = NO_FLIP) -> Case:
    image = torch.linspace(-1, 1, 64).view(1, 8, 8)
    explanation = Explanation(
        name=name,
        image=image,
        reconstruction=image * 0.9,
        counterfactual=-image,
        transferred=image * 0.5,
        frames=torch.stack([-image, image * 0.9]),
        strengths=torch.tensor([0.0, 1.0]),
        probabilities=torch.tensor([0.7, 0.8]),
        difference=image * 1.9,
        attributions={},
        latent=Latent(torch.ones(1, 4), torch.ones(1, 2)),
        target=1,
        target_name="tumour",
        scores={
            "image": 0.9996,
            "reconstruction": 0.8,
            "counterfactual": 0.7,
            "transferred": 0.25,
        },
        alternatives=image.new_zeros(0, 1, 8, 8),
        alternative_scores=torch.empty(0),
        status=status,
        mask=image[0] > 0.5 if mask else None,
    )
    return Case(explanation, average_precision=0.125 if mask else float("nan"), gap=0.2)
