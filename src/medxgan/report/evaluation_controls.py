"""Controls that are not beaten, in words and numbers for people."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from medxgan.report.evaluation_tables import CONTROL_NAMES, Document
from medxgan.report.evaluation_wording import LOCALIZATION, SECTIONS, method_label, number_text

RANDOM_CLASSIFIER = "random_classifier"
TITLES = {**CONTROL_NAMES, RANDOM_CLASSIFIER: "Classifier with random weights"}
BUNDLE = "This bundle"
MOSTLY_THE_FILM = (
    "Most of a LIG map is the change x̂ − x⁻ along the film, and that is the generator's: a "
    "classifier with random weights merely shares out the same change differently, so its LIG "
    "still finds the lesion. Whether the film itself follows the classifier is what crossing and "
    "transfer validity show."
)
LOST_HEADS = ("Ours", "Figure", "Value", "Control", "Its value", "Difference", "95 % interval", "n")


@dataclass(frozen=True)
class Lost:
    """A comparison in which ours is not above the control, ready to be shown.

    Attributes:
        ours: the method, or the bundle for a figure of the change.
        figure: what is compared.
        value: of ours.
        control: its title, as in the table of controls.
        other: value of the control.
        difference: ours less the control's, signed.
        interval: its 95 % interval.
        n: images that have both figures; marked where they, or their patients, are too few.
    """

    ours: str
    figure: str
    value: str
    control: str
    other: str
    difference: str
    interval: str
    n: str

    def __iter__(self) -> Iterator[str]:
        return iter(vars(self).values())


def lost_comparisons(document: Document) -> list[Lost]:
    """The comparisons that are not won, in the order in which they were made.

    >>> lost = {"place": ["localization_smoothed", "lig", "average_precision"], "method": "lig",
    ...         "control": "random_classifier", "ours": 0.75, "theirs": 0.5, "difference": 0.25,
    ...         "low": -0.125, "high": 0.5, "n": 4, "few": True, "beaten": False}
    >>> print(*lost_comparisons({"controls": {"comparisons": [lost]}})[0], sep=" | ")
    ... # doctest: +NORMALIZE_WHITESPACE
    LIG | average precision, smoothed | 0.750 | Classifier with random weights | 0.500 | +0.250 |
    −0.125 to +0.500 | 4 (few)
    """
    return [
        Lost(
            ours=BUNDLE if one["method"] is None else method_label(one["method"]),
            figure=_figure_title(*one["place"]),
            value=number_text(one["ours"]),
            control=TITLES[one["control"]],
            other=number_text(one["theirs"]),
            difference=signed_text(one["difference"]),
            interval=f"{signed_text(one['low'])} to {signed_text(one['high'])}",
            n=f"{one['n']} (few)" if one["few"] else str(one["n"]),
        )
        for one in _lost(document)
    ]


def lost_heading(document: Document) -> str:
    """How many comparisons are not won, and of how many.

    >>> lost_heading({"controls": {"not_beaten": ["a"], "compared": 44}})
    '1 of 44 comparisons with controls not beaten'
    """
    controls = document["controls"]
    lost, compared = len(controls["not_beaten"]), controls["compared"]
    return f"{lost} of {compared} comparisons with controls not beaten"


def remarks(document: Document) -> list[str]:
    """What must be known to read the comparisons: how many rest on too little, and what LIG shares.

    >>> remarks({"controls": {"comparisons": [{"few": True, "beaten": True}] * 2}})
    ... # doctest: +NORMALIZE_WHITESPACE
    ['2 of 2 comparisons rest on fewer than 10 images or patients (few) and say little either
    way.']
    """
    comparisons = document["controls"]["comparisons"]
    few = sum(one["few"] for one in comparisons)
    found = []
    if few:
        rest, say = ("rests", "says") if few == 1 else ("rest", "say")
        found.append(
            f"{few} of {len(comparisons)} comparisons {rest} on fewer than 10 images or patients "
            f"(few) and {say} little either way."
        )
    if any(one["control"] == RANDOM_CLASSIFIER for one in _lost(document)):
        found.append(MOSTLY_THE_FILM)
    return found


def signed_text(value: float) -> str:
    """A difference with its sign.

    >>> signed_text(0.25), signed_text(-0.0114)
    ('+0.250', '−0.011')
    """
    return f"{value:+.3f}".replace("-", "−")


def _lost(document: Document) -> list[Mapping[str, Any]]:
    return [one for one in document["controls"]["comparisons"] if not one["beaten"]]


def _figure_title(section: str, *names: str) -> str:
    """Of a figure in its place of ``metrics.json``: as the tables call it.

    >>> _figure_title("counterfactual", "transfer_validity")
    'transfer validity'
    """
    figures = SECTIONS[section][2] if section in SECTIONS else LOCALIZATION
    smoothed = ", smoothed" if section.endswith("smoothed") else ""
    return figures[names[-1]].label + smoothed
