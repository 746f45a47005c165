"""A classifier's score as people read it: one wording for warnings, tables and pictures."""

import math
from dataclasses import dataclass

from medxgan.types import ClassifierSpec


def score_text(score: float, spec: ClassifierSpec | None = None) -> str:
    """A probability with three decimals that never pretends to be certain; a value in its units.

    Args:
        score: see ``ClassifierSpec.score``.
        spec: of the classifier; needed for a value.

    >>> [score_text(p) for p in (0.5, 0.9996, 1.0, 0.0001, 0.0, 2.5, float("nan"))]
    ['0.500', '>0.999', '>0.999', '<0.001', '<0.001', '2.500', 'not known']
    >>> grade = ClassifierSpec(size=8, output="value", class_names=("grade",), value_range=(0, 4))
    >>> score_text(0.775, grade)
    '3.10'
    """
    if not math.isfinite(score):
        return "not known"
    scale = None if spec is None else spec.value_scale
    if scale is not None:
        return scale.text(score)
    if 0.9995 <= score <= 1:
        return ">0.999"
    if 0 <= score < 0.0005:
        return "<0.001"
    return f"{score:.3f}"


def answer_text(answer: float, spec: ClassifierSpec | None = None) -> str:
    """As ``score_text``, of what the classifier itself says: a probability, or the value.

    >>> grade = ClassifierSpec(size=8, output="value", class_names=("grade",), value_range=(0, 4))
    >>> answer_text(3.1, grade), answer_text(0.9996)
    ('3.10', '>0.999')
    """
    scale = None if spec is None else spec.value_scale
    if scale is None or not math.isfinite(answer):
        return score_text(answer)
    return scale.number(answer)


def side_text(score: float, spec: ClassifierSpec | None = None) -> str:
    """The side of the decision on which a score lies, and the score.

    >>> side_text(0.306), side_text(0.9996)
    ('negative (0.306)', 'positive (>0.999)')
    >>> grade = ClassifierSpec(size=8, output="value", class_names=("grade",), value_range=(0, 4))
    >>> side_text(0.775, grade)
    'positive (grade 3.10)'
    """
    unit = "" if spec is None or spec.value_scale is None else f"{spec.class_names[0]} "
    return f"{'positive' if score >= 0.5 else 'negative'} ({unit}{score_text(score, spec)})"


@dataclass(frozen=True)
class Words:
    """How the explained output and its two sides are called.

    Attributes:
        target: the class, or the name of the value.
        measure: what a score is: ``probability``, or the name of the value.
        symbol: before a number: ``p``, or the name of the value.
        decision: where the two sides meet, as a number.
        positive: what an image on the positive side is called.
        negative: what one on the other side is called.
        made_positive: what a redrawn image is on the positive side: "with tumour".
        made_negative: and on the other.
        low_end: what stands at the negative end of a film.
        high_end: what stands at its positive end.
        others: heading of further positives of a negative image.
        rule: one sentence: what counts as positive.
    """

    target: str
    measure: str
    symbol: str
    decision: str
    positive: str
    negative: str
    made_positive: str
    made_negative: str
    low_end: str
    high_end: str
    others: str
    rule: str


def words_for(target: str, spec: ClassifierSpec | None) -> Words:
    """How the output ``target`` of a classifier is spoken of.

    >>> grade = ClassifierSpec(size=8, output="value", class_names=("grade",), value_range=(0, 4))
    >>> words_for("grade", grade).rule
    'An image is positive from grade 2.00 on; the range is 0.00 to 4.00.'
    >>> three = ClassifierSpec(size=8, class_names=("healthy", "focal", "ring"))
    >>> words_for("ring", three).rule
    "An image is positive where 'ring' has a probability of at least 0.5, against all others."
    >>> words_for("tumour", None).negative
    'not tumour'
    """
    scale = None if spec is None else spec.value_scale
    if scale is None:
        rest = ", against all others" if spec is not None and spec.outputs > 2 else ""
        if spec is not None and spec.output == "multilabel_logits":
            rest = ", whatever the other labels say"
        return Words(
            target=target,
            measure="probability",
            symbol="p",
            decision="0.5",
            positive=target,
            negative=f"not {target}",
            made_positive=f"called {target}",
            made_negative=f"called not {target}",
            low_end="negative",
            high_end="positive",
            others=f"Other ways to become {target}",
            rule=f"An image is positive where '{target}' has a probability of at least 0.5{rest}.",
        )
    start, low, high = (scale.number(value) for value in (scale.threshold, scale.low, scale.high))
    return Words(
        target=target,
        measure=target,
        symbol=target,
        decision=start,
        positive=f"{target} from {start} on",
        negative=f"{target} below {start}",
        made_positive=f"towards {target} {high}",
        made_negative=f"towards {target} {low}",
        low_end=f"towards {target} {low}",
        high_end=f"towards {target} {high}",
        others=f"Other ways to {target} {start} or more",
        rule=f"An image is positive from {target} {start} on; the range is {low} to {high}.",
    )
