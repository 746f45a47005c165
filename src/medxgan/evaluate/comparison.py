"""Where ours does not beat a control: paired, with both figures, in a sentence each."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from medxgan.evaluate.columns import Columns, Place
from medxgan.evaluate.controls import CHANGES
from medxgan.evaluate.localization import SECTIONS
from medxgan.evaluate.maps import asks_classifier
from medxgan.explain import METHODS
from medxgan.metrics.bootstrap import paired_difference

OURS = tuple(name for name, method in METHODS.items() if "latent" in method.needs)
COMPARED = ("crossing", "transfer_validity")
"""Of a change; without validity, which an image that was never positive has too."""
MAP_FIGURE = "average_precision"


class Comparison(NamedTuple):
    """A figure of ours beside that of a control, on the same images."""

    figure: str
    ours: Place
    control: str
    theirs: Place


class Outcome(NamedTuple):
    """What comparing with the controls gave.

    Attributes:
        not_beaten: a sentence for each figure of ours that is not above that of a control.
        compared: comparisons that could be made.
        not_compared: those that could not, because one side has no figure.
    """

    not_beaten: list[str]
    compared: int
    not_compared: int


def compare_with_controls(columns: Columns, groups: Sequence[str]) -> Outcome:
    """Is ours above each control, as far as both have figures?

    Above means that the whole 95 % interval of the paired difference lies above 0. Changes are
    compared by ``COMPARED``, maps by their average precision.

    Args:
        columns: of N images.
        groups: patient of each of them.

    >>> import torch
    >>> columns = {("counterfactual", "crossing"): torch.tensor([1.0, 0.0]),
    ...            ("controls", "random_direction", "crossing"): torch.tensor([1.0, 0.0])}
    >>> outcome = compare_with_controls(columns, ["a", "b"])
    >>> outcome.compared
    1
    >>> print(*outcome.not_beaten)
    crossing, 0.500, is not above that of the control random_direction, 0.500: difference +0.000, \
95 % interval +0.000 to +0.000, n = 2
    """
    sentences = []
    compared = not_compared = 0
    for figure, ours, control, theirs in comparisons():
        if ours not in columns or theirs not in columns:
            not_compared += 1
            continue
        first, second = columns[ours], columns[theirs]
        difference = paired_difference(first, second, groups)
        value, low, high = difference["value"], difference["low"], difference["high"]
        if value is None or low is None or high is None:
            not_compared += 1
            continue
        compared += 1
        if low > 0:
            continue
        both = (first - second).isfinite()
        sentences.append(
            f"{figure}, {first[both].mean():.3f}, is not above that of the control {control}, "
            f"{second[both].mean():.3f}: difference {value:+.3f}, 95 % interval {low:+.3f} to "
            f"{high:+.3f}, n = {difference['n']}"
        )
    return Outcome(sentences, compared, not_compared)


def comparisons() -> Iterator[Comparison]:
    """All that is compared: our changes and maps, with every control that has the like."""
    for name in COMPARED:
        for control in CHANGES:
            ours: Place = ("counterfactual", name)
            yield Comparison(name.replace("_", " "), ours, control, ("controls", control, name))
    for section in SECTIONS:
        smoothed = ", smoothed" if section.endswith("smoothed") else ""
        for method in OURS:
            beginnings: dict[str, Place] = {
                control: ("controls", control) for control in (*CHANGES, "random_map")
            }
            if asks_classifier(method):
                beginnings["random_classifier"] = ("controls", "random_classifier", method)
            for control, beginning in beginnings.items():
                yield Comparison(
                    f"average precision of {method}{smoothed}",
                    (section, method, MAP_FIGURE),
                    control,
                    (*beginning, section, MAP_FIGURE),
                )
