"""Where ours does not beat a control: paired, with both figures, in a sentence each."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from medxgan.evaluate.columns import Columns, Place
from medxgan.evaluate.controls import CHANGES, VALIDITIES
from medxgan.evaluate.localization import SECTIONS
from medxgan.explain import METHODS
from medxgan.metrics.bootstrap import paired_difference

OURS = tuple(name for name, method in METHODS.items() if "latent" in method.needs)
MAP_FIGURE = "average_precision"


class Comparison(NamedTuple):
    """A figure of ours beside that of a control, on the same images."""

    figure: str
    ours: Place
    control: str
    theirs: Place


def not_beaten(columns: Columns, groups: Sequence[str]) -> list[str]:
    """A sentence for each figure of ours that is not above that of a control.

    Above means that the whole 95 % interval of the paired difference lies above 0. Maps are
    compared by their average precision. What one side does not have is not compared.

    Args:
        columns: of N images.
        groups: patient of each of them.

    >>> import torch
    >>> columns = {("counterfactual", "validity"): torch.tensor([1.0, 0.0]),
    ...            ("controls", "random_direction", "validity"): torch.tensor([1.0, 0.0])}
    >>> print(*not_beaten(columns, ["a", "b"]))
    validity, 0.500, is not above that of the control random_direction, 0.500: difference +0.000, \
95 % interval +0.000 to +0.000, n = 2
    """
    sentences = []
    for figure, ours, control, theirs in comparisons():
        if ours not in columns or theirs not in columns:
            continue
        first, second = columns[ours], columns[theirs]
        difference = paired_difference(first, second, groups)
        value, low, high = difference["value"], difference["low"], difference["high"]
        if value is None or low is None or high is None or low > 0:
            continue
        both = (first - second).isfinite()
        sentences.append(
            f"{figure}, {first[both].mean():.3f}, is not above that of the control {control}, "
            f"{second[both].mean():.3f}: difference {value:+.3f}, 95 % interval {low:+.3f} to "
            f"{high:+.3f}, n = {difference['n']}"
        )
    return sentences


def comparisons() -> Iterator[Comparison]:
    """All that is compared: our maps and both validities, with every control that has the like."""
    for name in VALIDITIES:
        for control in CHANGES:
            validity: Place = ("counterfactual", name)
            yield Comparison(name.replace("_", " "), validity, control, ("controls", control, name))
    for section in SECTIONS:
        smoothed = ", smoothed" if section.endswith("smoothed") else ""
        for method in OURS:
            beginnings: dict[str, Place] = {
                control: ("controls", control) for control in (*CHANGES, "random_map")
            } | {"random_classifier": ("controls", "random_classifier", method)}
            for control, beginning in beginnings.items():
                yield Comparison(
                    f"average precision of {method}{smoothed}",
                    (section, method, MAP_FIGURE),
                    control,
                    (*beginning, section, MAP_FIGURE),
                )
