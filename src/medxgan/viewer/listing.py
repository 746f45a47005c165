"""The list of saved explanations: its columns, and a row for each."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from medxgan.viewer.facts import Facts
from medxgan.viewer.saved import Entry, UnreadableExplanation, as_text
from medxgan.viewer.verdicts import Verdict

LABELS = {
    "image": "original",
    "reconstruction": "redrawn",
    "counterfactual": "counterf.",
    "transferred": "transf.",
}
NOT_READABLE = "not readable"


def columns(entries: Sequence[Entry]) -> list[dict[str, str]]:
    """Key, label and kind of every column, given all rows that there are."""
    readable = [entry.facts for entry in entries if not isinstance(entry, UnreadableExplanation)]
    measures = sorted({_measure(facts) for facts in readable}) or ["p"]
    measure = " or ".join(measures)
    return [
        {"key": "name", "label": "Name", "kind": "text"},
        {"key": "class", "label": "Prediction", "kind": "text"},
        {"key": "status", "label": "Status", "kind": "status"},
        *(
            {"key": part, "label": f"{measure} {label}", "kind": "number"}
            for part, label in LABELS.items()
        ),
        {"key": "change", "label": "Change", "kind": "number"},
        {"key": "gap", "label": "Gap", "kind": "number"},
        {"key": "fall", "label": "Fall in film", "kind": "number"},
    ]


def row(entry: Entry, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """One explanation in the list.

    Args:
        entry: the explanation.
        verdicts: on it.
    """
    given = [{"reader": each.reader, "verdict": each.verdict} for each in verdicts]
    common = {"id": entry.id, "verdicts": given}
    if isinstance(entry, UnreadableExplanation):
        return common | {
            "name": as_text(entry.folder.name),
            "class": None,
            "positive": None,
            "status": {"ok": False, "kinds": [NOT_READABLE], "sentence": entry.sentence},
            "flip": None,
            "figures": dict.fromkeys((*LABELS, "change", "gap", "fall")),
            "thumbnail": None,
        }
    facts = entry.facts
    problems = facts.status.problems
    sentences = "; ".join(problem.sentence for problem in problems)
    return common | {
        "name": facts.name,
        "class": predicted(facts),
        "positive": facts.positive,
        "status": {
            "ok": facts.status.ok,
            "kinds": list(dict.fromkeys(problem.kind for problem in problems)),
            "sentence": sentences or None,
        },
        "flip": {"flipped": facts.flipped, "transfer_flipped": facts.transfer_flipped},
        "figures": figures(facts),
        "thumbnail": f"/api/explanations/{entry.id}/thumbnail.png",
    }


def predicted(facts: Facts) -> str:
    """What the model says of the original: its most likely class, all labels, or the side it is on.

    >>> from medxgan.viewer.facts import StatusFacts
    >>> known = {"name": "a", "target": 1, "target_name": "ring", "positive": True}
    >>> known |= {"flipped": True, "transfer_flipped": True, "status": StatusFacts(ok=True)}
    >>> known |= {"scores": dict.fromkeys(LABELS, 0.3), "strengths": [], "probabilities": []}
    >>> predicted(Facts(**known))
    'ring'
    >>> value = {"output": "value", "value_range": [0, 4], "positive_from": 1.5}
    >>> predicted(Facts(**known | value))
    'ring from 1.5 on'
    >>> known |= {"class_names": ["healthy", "ring"]}
    >>> known |= {"answers": dict.fromkeys(LABELS, [0.7, 0.3])}
    >>> predicted(Facts(**known))
    'healthy'
    """
    answers = facts.answers.get("image", [])
    known = [answer for answer in answers if answer is not None]
    if facts.output != "value" and facts.class_names and known and len(known) == len(answers):
        if facts.output == "multilabel_logits":
            pairs = zip(facts.class_names, known, strict=True)
            return ", ".join(name for name, answer in pairs if answer >= 0.5) or "none"
        return facts.class_names[known.index(max(known))]
    start = in_units(facts, 0.5) if facts.output == "value" else None
    if start is None:
        return facts.target_name if facts.positive else f"not {facts.target_name}"
    return (
        f"{facts.target_name} from {start:g} on"
        if facts.positive
        else (f"{facts.target_name} below {start:g}")
    )


def figures(facts: Facts) -> dict[str, float | None]:
    """All numbers of a row; None where one is not known."""
    values = {part: in_units(facts, facts.scores.get(part)) for part in LABELS}
    film = [in_units(facts, score) for score in facts.probabilities]
    known = [value for value in film if value is not None]
    falls = [before - after for before, after in pairwise(known)]
    derived = {
        "change": _distance(values["image"], values["counterfactual"]),
        "gap": _distance(values["image"], values["reconstruction"]),
        "fall": max(0.0, *falls) if len(known) == len(film) and falls else None,
    }
    return values | {name: _finite(value) for name, value in derived.items()}


def in_units(facts: Facts, score: float | None) -> float | None:
    """A score as the model gives it: a probability as it is, of a value its place in the range.

    See ``medxgan.value_scale``, which says the same of tensors.
    """
    if score is None or facts.value_range is None:
        return score
    low, high = facts.value_range
    start = (low + high) / 2 if facts.positive_from is None else facts.positive_from
    side = high - start if score >= 0.5 else start - low
    return _finite(start + (score - 0.5) * 2 * side)


def _measure(facts: Facts) -> str:
    return "p" if facts.value_range is None else facts.target_name


def _distance(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else abs(first - second)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
