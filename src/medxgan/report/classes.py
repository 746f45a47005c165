"""What the model says of every class, where there are more than two answers to tell apart."""

from dataclasses import dataclass

from medxgan.scoretext import score_text
from medxgan.types import ClassifierSpec, Explanation

PARTS = ("image", "reconstruction", "counterfactual", "transferred")


@dataclass(frozen=True)
class ClassCell:
    """The probability of a class on one image, and whether the model would name it.

    That is the most likely class; of labels that do not exclude one another, each from 0.5 on.
    """

    text: str
    named: bool


@dataclass(frozen=True)
class ClassRow:
    """A class: its name, whether it is the explained one, and a cell for each of ``PARTS``."""

    name: str
    explained: bool
    cells: tuple[ClassCell, ...]


def has_classes(explanation: Explanation) -> bool:
    """Does an explanation hold the probabilities of more classes than one and its contrary?"""
    spec = explanation.spec
    if spec is None or not explanation.answers:
        return False
    return spec.outputs > 2 or (spec.output == "multilabel_logits" and spec.outputs > 1)


def class_rows(explanation: Explanation) -> tuple[ClassRow, ...]:
    """A row for each class; none where two classes say all there is to say."""
    spec = explanation.spec
    if spec is None or not has_classes(explanation):
        return ()
    named = {part: named_classes(explanation, part) for part in PARTS}
    return tuple(
        ClassRow(
            name,
            number == explanation.target,
            tuple(
                ClassCell(score_text(float(explanation.answers[part][number])), name in named[part])
                for part in PARTS
            ),
        )
        for number, name in enumerate(spec.class_names)
    )


def named_classes(explanation: Explanation, part: str) -> tuple[str, ...]:
    """What the model would name an image: its most likely class, or all labels from 0.5 on."""
    spec = explanation.spec
    if spec is None or part not in explanation.answers:
        return ()
    return named_by(explanation.answers[part].tolist(), spec)


def named_by(answers: list[float], spec: ClassifierSpec) -> tuple[str, ...]:
    """The class or labels named by probabilities of all classes, ``[K]``.

    >>> spec = ClassifierSpec(size=8, class_names=("healthy", "focal", "ring"))
    >>> named_by([0.4, 0.25, 0.35], spec)
    ('healthy',)
    """
    if spec.output == "multilabel_logits":
        pairs = zip(spec.class_names, answers, strict=True)
        return tuple(name for name, answer in pairs if answer >= 0.5)
    return (spec.class_names[max(range(len(answers)), key=answers.__getitem__)],)


def became_text(explanation: Explanation) -> str:
    """From which class to which the change leads: ``ring → healthy``; empty for two classes."""
    if not has_classes(explanation):
        return ""
    ends = (named_classes(explanation, part) for part in ("image", "counterfactual"))
    return " → ".join(", ".join(names) or "none" for names in ends)
