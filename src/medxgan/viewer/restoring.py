"""A saved explanation as the ``Explanation`` that it was saved from; the one part with torch."""

from typing import cast

import torch
from pydantic import ValidationError
from torch import Tensor

from medxgan.errors import DataError
from medxgan.types import ClassifierSpec, Explanation, Latent, Problem, ProblemKind, Status
from medxgan.viewer.facts import Facts, ProblemFacts
from medxgan.viewer.panes import ATTRIBUTION, MASK, Shown, check_arrays

CODES = ("z1", "z2")


def restore(shown: Shown) -> Explanation:
    """Rebuild an explanation from its facts and arrays.

    Numbers that were not finite when it was saved come back as NaN.

    Raises:
        DataError: arrays are missing, damaged, or do not fit the facts.
    """
    facts, arrays = shown.facts, shown.shapes()
    check_arrays(facts, arrays)

    def tensor(name: str) -> Tensor:
        return torch.from_numpy(shown.array(name).copy())

    image = tensor("image")
    return Explanation(
        name=facts.name,
        image=image,
        reconstruction=tensor("reconstruction"),
        counterfactual=tensor("counterfactual"),
        transferred=tensor("transferred"),
        frames=tensor("frames"),
        strengths=_numbers(facts.strengths),
        probabilities=_numbers(facts.probabilities),
        difference=tensor("difference"),
        attributions={
            name: tensor(f"{ATTRIBUTION}{name}")
            for name in facts.methods
            if f"{ATTRIBUTION}{name}" in arrays
        },
        latent=Latent(*(tensor(name) if name in arrays else torch.empty(1, 0) for name in CODES)),
        target=facts.target,
        target_name=facts.target_name,
        scores={name: _number(score) for name, score in facts.scores.items()},
        alternatives=tensor("alternatives") if "alternatives" in arrays else image[None][:0],
        alternative_scores=_numbers(facts.alternative_scores),
        status=Status(tuple(map(_problem, facts.status.problems))),
        mask=tensor(MASK) > 0 if MASK in arrays else None,
        skipped=dict(facts.skipped),
        spec=_spec(facts, image),
        answers={part: _numbers(answers) for part, answers in facts.answers.items()},
        notes=facts.notes,
        spacing=facts.spacing,
    )


def _problem(facts: ProblemFacts) -> Problem:
    return Problem(
        cast(ProblemKind, facts.kind), _number(facts.value), _number(facts.limit), facts.sentence
    )


def _spec(facts: Facts, image: Tensor) -> ClassifierSpec | None:
    if not facts.class_names:
        return None
    try:
        return ClassifierSpec(
            channels=len(image),
            size=image.shape[-1],
            output=facts.output,
            class_names=facts.class_names,
            value_range=facts.value_range,
            positive_from=facts.positive_from,
        )
    except ValidationError as fault:
        sentence = fault.errors()[0]["msg"].removeprefix("Value error, ")
        raise DataError(f"the facts of '{facts.name}' do not fit together: {sentence}") from None


def _numbers(values: list[float | None]) -> Tensor:
    return torch.tensor([_number(value) for value in values])


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
