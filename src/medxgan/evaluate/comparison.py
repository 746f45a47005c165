"""Where ours does not beat a control: paired, with both figures, in a sentence each."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from medxgan.evaluate.columns import Columns, Place
from medxgan.evaluate.controls import CHANGES
from medxgan.evaluate.counts import FEWEST
from medxgan.evaluate.localization import SECTIONS
from medxgan.evaluate.maps import asks_classifier
from medxgan.explain import METHODS
from medxgan.metrics.bootstrap import paired_difference

OURS = tuple(name for name, method in METHODS.items() if "latent" in method.needs)
COMPARED = ("crossing", "transfer_validity")
"""Of a change; without validity, which an image that was never positive has too."""
MAP_FIGURE = "average_precision"


class Comparison(NamedTuple):
    """A figure of ours beside that of a control, on the same images.

    Attributes:
        figure: its name, with the method where it is of a map.
        method: the method; None where the figure is of the change.
        ours: its place in ``metrics.json``.
        control: name of the control.
        theirs: place of its figure.
    """

    figure: str
    method: str | None
    ours: Place
    control: str
    theirs: Place


class Outcome(NamedTuple):
    """What comparing with the controls gave.

    Attributes:
        not_beaten: a sentence for each figure of ours that is not above that of a control.
        compared: comparisons that could be made.
        not_compared: those that could not, because one side has no figure.
        comparisons: those that could, in numbers that JSON can hold: figures of both sides, their
            difference with its interval, whether ours is above, and whether there are too few
            images or patients to say.
    """

    not_beaten: list[str]
    compared: int
    not_compared: int
    comparisons: list[dict[str, Any]]


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
    >>> outcome.compared, outcome.comparisons[0]["beaten"], outcome.comparisons[0]["few"]
    (1, False, True)
    >>> print(*outcome.not_beaten)
    crossing, 0.500, is not above that of the control random_direction, 0.500: difference +0.000, \
95 % interval +0.000 to +0.000, n = 2
    """
    found = [_compared(each, columns, groups) for each in comparisons()]
    made = [comparison for comparison in found if comparison is not None]
    lost = [comparison for comparison in made if not comparison["beaten"]]
    return Outcome([_sentence(one) for one in lost], len(made), len(found) - len(made), made)


def comparisons() -> Iterator[Comparison]:
    """All that is compared: our changes and maps, with every control that has the like."""
    for name in COMPARED:
        for control in CHANGES:
            ours: Place = ("counterfactual", name)
            figure = name.replace("_", " ")
            yield Comparison(figure, None, ours, control, ("controls", control, name))
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
                    method,
                    (section, method, MAP_FIGURE),
                    control,
                    (*beginning, section, MAP_FIGURE),
                )


def _compared(
    comparison: Comparison, columns: Columns, groups: Sequence[str]
) -> dict[str, Any] | None:
    """Both figures and their difference, or None where one side has no figure."""
    figure, method, ours, control, theirs = comparison
    if ours not in columns or theirs not in columns:
        return None
    first, second = columns[ours], columns[theirs]
    difference = paired_difference(first, second, groups)
    low = difference["low"]
    if difference["value"] is None or low is None:
        return None
    both = (first - second).isfinite()
    patients = {group for group, kept in zip(groups, both.tolist(), strict=True) if kept}
    return {
        "figure": figure,
        "place": list(ours),
        "method": method,
        "control": control,
        "ours": first[both].mean().item(),
        "theirs": second[both].mean().item(),
        "difference": difference["value"],
        "low": low,
        "high": difference["high"],
        "n": difference["n"],
        "few": len(patients) < FEWEST,
        "beaten": low > 0,
    }


def _sentence(lost: dict[str, Any]) -> str:
    return (
        f"{lost['figure']}, {lost['ours']:.3f}, is not above that of the control "
        f"{lost['control']}, {lost['theirs']:.3f}: difference {lost['difference']:+.3f}, 95 % "
        f"interval {lost['low']:+.3f} to {lost['high']:+.3f}, n = {lost['n']}"
    )
