"""Tables of ``metrics.json``: which figure stands where, and which of a column are the best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from medxgan.report.evaluation_wording import (
    LOCALIZATION,
    METHOD,
    SECTIONS,
    Better,
    Measure,
    Place,
    number_text,
    share_text,
)

Document = Mapping[str, Any]
"""The content of ``metrics.json``."""

NOT_IN_DOCUMENT = "it was not measured"
SHARES = ("0.01", "0.05", "0.1", "0.2")
NOISES = ("0.05", "0.1", "0.2")


@dataclass(frozen=True)
class Cell:
    """One figure, ready to be shown.

    Attributes:
        value: the figure; None where there is none.
        low: lower end of its 95 % interval, if any.
        high: upper end.
        n: images (codes, for figures of the prior) that it is the mean of.
        missing: images that have no value.
        reason: why there is no value or no interval, or nothing.
        best: is no other of its column better?
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    missing: int = 0
    reason: str = ""
    best: bool = False

    @property
    def text(self) -> str:
        """The value as it is shown, or a dash."""
        return number_text(self.value)

    @property
    def interval(self) -> str:
        """The 95 % interval as it is shown, or nothing."""
        if self.low is None or self.high is None:
            return ""
        return f"{number_text(self.low)} to {number_text(self.high)}"


@dataclass(frozen=True)
class Column:
    """A column of a table: its head, the place of its figures, and which of them are good."""

    head: str
    place: Place
    better: Better


@dataclass(frozen=True)
class Row:
    """A row of a table: what it is of, and one cell a column."""

    name: str
    cells: tuple[Cell, ...]

    @property
    def reason(self) -> str:
        """Why the whole row has no values, where one reason holds for all of it."""
        reasons = {cell.reason for cell in self.cells}
        empty = all(cell.value is None for cell in self.cells)
        return reasons.pop() if empty and len(reasons) == 1 else ""


def _localization(section: str) -> tuple[Column, ...]:
    return tuple(
        Column(measure.label, (section, METHOD, name), measure.better)
        for name, measure in LOCALIZATION.items()
    )


LOCALIZATION_RAW = _localization("localization")
LOCALIZATION_SMOOTHED = _localization("localization_smoothed")
DELETION = tuple(
    Column(f"{words}, {share_text(share)}", ("deletion", METHOD, filling, share), "higher")
    for filling, words in (("counterfactual", "x⁻"), ("blur", "blur"))
    for share in SHARES
)
NOISE = tuple(
    Column(f"{words}, σ = {sigma}", ("noise_robustness", METHOD, kind, sigma), "higher")
    for kind, words in (("spearman", "Spearman"), ("iou_ratio", "IoU ratio"))
    for sigma in NOISES
)
COMPLETENESS = (
    Column("mean", ("completeness", METHOD, "mean"), "lower"),
    Column("median", ("completeness", METHOD, "median"), "lower"),
)
POINTING, PRECISION, IOU, DICE, CONCENTRATION = LOCALIZATION_RAW
PRECISION_SMOOTHED = replace(LOCALIZATION_SMOOTHED[1], head="average precision, smoothed")
OVERVIEW = (
    *(POINTING, PRECISION, PRECISION_SMOOTHED, IOU, DICE, CONCENTRATION),
    Column(
        f"deletion {share_text('0.05')}", ("deletion", METHOD, "counterfactual", "0.05"), "higher"
    ),
    Column(
        "noise σ\N{NO-BREAK SPACE}0.1", ("noise_robustness", METHOD, "spearman", "0.1"), "higher"
    ),
    Column("sanity", ("sanity", METHOD), "near zero"),
    Column("seconds", ("seconds_per_image", METHOD), "lower"),
)

CONTROLS = (
    Column("validity", ("validity",), "higher"),
    Column("crossing", ("crossing",), "higher"),
    Column("transfer validity", ("transfer_validity",), "higher"),
    *(
        Column(column.head, (column.place[0], column.place[2]), column.better)
        for column in OVERVIEW[:6]
    ),
)
CONTROL_NAMES = {
    "random_direction": "Random latent direction",
    "random_pathology": "Random direction of the pathology code",
    "untrained_generator": "Untrained generator",
    "random_map": "Random map",
}
ONE_DRAW = "Each control is a single draw; another seed gives other figures of it."
RANDOM_CLASSIFIER = tuple(
    Column(f"{measure}, {words}", (*before, METHOD, *after, name), "neither")
    for section, name, measure in (
        ("localization", "average_precision", "average precision"),
        ("localization_smoothed", "average_precision", "average precision, smoothed"),
        ("localization", "pointing", "pointing"),
    )
    for words, before, after in (
        ("this classifier", (section,), ()),
        ("a random one", ("controls", "random_classifier"), (section,)),
    )
)


def cell_at(document: Document, place: Place) -> Cell:
    """The figure at a place of ``metrics.json``.

    >>> cell = cell_at({"a": {"b": {"value": 0.5, "low": 0.25, "high": 0.75, "n": 9}}}, ("a", "b"))
    >>> cell.text, cell.interval, cell.n
    ('0.500', '0.250 to 0.750', 9)
    >>> cell_at({"a": {"value": None, "reason": "no masks"}}, ("a",)).reason
    'no masks'
    """
    found: Any = document
    for name in place:
        found = found.get(name) if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping):
        return Cell(None, reason=NOT_IN_DOCUMENT)
    return Cell(
        value=found.get("value"),
        low=found.get("low"),
        high=found.get("high"),
        n=found.get("n", 0),
        missing=found.get("n_missing", 0),
        reason=found.get("reason", ""),
    )


def method_rows(document: Document, methods: Sequence[str], columns: Sequence[Column]) -> list[Row]:
    """A row for each method, the best of each column marked.

    >>> precisions = {"ig": {"average_precision": {"value": 0.4}},
    ...               "lig": {"average_precision": {"value": 0.6}}}
    >>> rows = method_rows({"localization": precisions}, ["ig", "lig"], [PRECISION])
    >>> [(row.name, row.cells[0].text, row.cells[0].best) for row in rows]
    [('ig', '0.400', False), ('lig', '0.600', True)]
    """
    found = [
        mark_best(
            [cell_at(document, place_of(column, method)) for method in methods], column.better
        )
        for column in columns
    ]
    return [
        Row(method, tuple(cells[number] for cells in found))
        for number, method in enumerate(methods)
    ]


def place_of(column: Column, method: str) -> Place:
    """Where the figure of a method stands."""
    return tuple(method if name == METHOD else name for name in column.place)


def control_rows(document: Document) -> list[Row]:
    """The bundle, by its difference map, and below it the controls that it should beat.

    >>> [row.name for row in control_rows({})][:2]
    ['This bundle, difference map', 'Random latent direction']
    """
    ours = tuple(
        cell_at(
            document,
            ("counterfactual", *column.place)
            if len(column.place) == 1
            else (column.place[0], "difference", column.place[1]),
        )
        for column in CONTROLS
    )
    return [
        Row("This bundle, difference map", ours),
        *(
            Row(words, tuple(cell_at(document, ("controls", name, *c.place)) for c in CONTROLS))
            for name, words in CONTROL_NAMES.items()
        ),
    ]


def mark_best(cells: Sequence[Cell], better: Better) -> list[Cell]:
    """Mark the best of several figures, and whatever looks the same as the best once rounded.

    One figure alone is not the best of anything.

    >>> [cell.best for cell in mark_best([Cell(0.1), Cell(-0.3), Cell(None)], "near zero")]
    [True, False, False]
    """
    sizes = [
        abs(cell.value) if cell.value is not None and better == "near zero" else cell.value
        for cell in cells
    ]
    known = [size for size in sizes if size is not None]
    if better == "neither" or len(known) < 2:
        return list(cells)
    best = number_text(max(known) if better == "higher" else min(known))
    return [
        replace(cell, best=size is not None and number_text(size) == best)
        for cell, size in zip(cells, sizes, strict=True)
    ]


@dataclass(frozen=True)
class FigureRow:
    """A figure that is not of a method: its name, how it is read, and its value."""

    name: str
    measure: Measure
    cell: Cell


def section_rows(document: Document, section: str) -> list[FigureRow]:
    """The figures of a section of ``metrics.json`` that has no methods, in the order of the words.

    >>> [row.measure.label for row in section_rows({}, "agreement")]
    ['negative', 'positive', 'balanced']
    """
    _, _, measures = SECTIONS[section]
    return [
        FigureRow(name, measure, cell_at(document, (section, name)))
        for name, measure in measures.items()
    ]


def controls_not_beaten(document: Document) -> list[str] | None:
    """A sentence for each control that is not beaten; None where nothing was compared.

    >>> controls_not_beaten({"controls": {"not_beaten": [], "compared": 0}}) is None
    True
    >>> controls_not_beaten({"controls": {"not_beaten": [], "compared": 3}})
    []
    """
    controls = document.get("controls", {})
    return list(controls["not_beaten"]) if controls.get("compared") else None


def controls_verdict(document: Document) -> str:
    """How many comparisons with controls were won, and how many could not be made.

    >>> controls_verdict({"controls": {"not_beaten": [], "compared": 26, "not_compared": 4}})
    'Every control is beaten, in all 26 comparisons that could be made (4 more had no figures).'
    >>> controls_verdict({"controls": {"not_beaten": ["a"], "compared": 26, "not_compared": 0}})
    '1 of 26 comparisons that could be made shows no lead over the control.'
    """
    sentences = controls_not_beaten(document)
    if sentences is None:
        return "No control was measured."
    compared, missing = (document["controls"][name] for name in ("compared", "not_compared"))
    lacking = f" ({missing} more had no figures)" if missing else ""
    made = f"comparison{'' if compared == 1 else 's'} that could be made"
    if not sentences:
        every = "the one" if compared == 1 else f"all {compared}"
        return f"Every control is beaten, in {every} {made}{lacking}."
    shows = "shows" if len(sentences) == 1 else "show"
    return f"{len(sentences)} of {compared} {made}{lacking} {shows} no lead over the control."
