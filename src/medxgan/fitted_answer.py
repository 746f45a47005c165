"""What a model is to be fitted to give: classes or a value, by what was asked and what is there."""

from dataclasses import dataclass

from medxgan.classifiers.objectives import round_range
from medxgan.data import Dataset
from medxgan.errors import ConfigError, DataError, nearest
from medxgan.types import Output

FITTED: dict[str, Output] = {
    "logits": "logits",
    "binary_logit": "binary_logit",
    "value": "value",
}


@dataclass(frozen=True)
class Answer:
    """What a model is to be fitted to give.

    Attributes:
        output: classes or a value.
        name: of the value.
        value_range: of the value; None for classes.
        positive_from: value that counts as positive; the middle of the range where None.
    """

    output: Output = "logits"
    name: str = "value"
    value_range: tuple[float, float] | None = None
    positive_from: float | None = None


CLASSES = Answer()


def choose_answer(
    data: Dataset,
    output: str | None = None,
    *,
    name: str = "value",
    value_range: tuple[float, float] | None = None,
    positive_from: float | None = None,
) -> tuple[Answer, list[str]]:
    """What to fit: what was asked for, or else what the data have; and what to tell of it.

    Args:
        data: images with classes, values or both.
        output: a name of ``FITTED``; None for classes where there are any, else the value.
        name: of the value.
        value_range: of the value; what the images to learn from show where None.
        positive_from: value that counts as positive.

    Raises:
        ConfigError: an unknown output, or settings of a value for classes.
        DataError: values are asked for, and there are none, or all are the same.
    """
    if output is not None and output not in FITTED:
        raise ConfigError(f"--output cannot be '{output}'; {nearest(output, FITTED)}")
    valued = data.values is not None
    kind = FITTED[output or ("logits" if data.class_names or not valued else "value")]
    if kind == "value":
        return _value(data, output is None, name, value_range, positive_from)
    if value_range is not None or positive_from is not None:
        raise ConfigError(
            f"--value-range and --threshold belong to --output value, and output '{kind}' is "
            "fitted; leave them out, or add --output value"
        )
    beside = "the images have values, too, beside their classes; --output value fits these"
    return Answer(kind), [beside] if valued and output is None else []


def _value(
    data: Dataset,
    unasked: bool,
    name: str,
    value_range: tuple[float, float] | None,
    positive_from: float | None,
) -> tuple[Answer, list[str]]:
    known = data.with_values()
    notes = []
    if unasked:
        notes.append("the images have values and no classes, so a model of the value is fitted")
    if len(known) < len(data):
        notes.append(f"{len(data) - len(known)} of {len(data)} images have no value: left out")
    low, high = value_range or _shown_range(known)
    start = (low + high) / 2 if positive_from is None else positive_from
    source = "as you say" if value_range else "as in the images to learn from"
    notes.append(
        f"the {name} reaches from {low:g} to {high:g}, {source}, and counts as positive from "
        f"{start:g} on; --value-range and --threshold say otherwise"
    )
    return Answer("value", name, (low, high), positive_from), notes


def _shown_range(data: Dataset) -> tuple[float, float]:
    """The range of the values to learn from, its ends rounded outwards.

    Raises:
        DataError: all are the same.
    """
    values = data.select("train", labelled=False).values
    assert values is not None
    if bool((values == values[0]).all()):
        raise DataError(
            f"the training set must show different values, got {float(values[0]):g} for all "
            f"{len(values)} images; add images with others"
        )
    return round_range(values)
