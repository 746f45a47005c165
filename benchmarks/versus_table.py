"""The table of ``versus_published.py``: its rows, its cells, and who is ahead in each."""

from typing import Any, NamedTuple

AGREED = 0.95
RATIOS = ("until", "inversion")
"""Where a figure of two methods is best told by its ratio."""

OUR_MAP = "lig-transferred"
BASELINES = ("ig", "grad-cam")
PUBLISHED_MAPS = ("difference", "lig-published", *BASELINES)
Figure = dict[str, Any]
"""``value``, and ``low`` and ``high`` of its interval where it has one."""

Document = dict[str, Any]
Place = tuple[str, ...]
NOTHING: Figure = {"value": None}


class Row(NamedTuple):
    """One line of the table: where its figure stands for each method.

    Attributes:
        label: in the first column.
        published: place of the published method's figure.
        ours: place of ours.
        lower_is_better: as of an error.
        refinable: whether refining the codes of images can change it.
        digits: shown behind the point.
        rival: whose figure stands in the column of the published method.
    """

    label: str
    published: Place
    ours: Place
    lower_is_better: bool = False
    refinable: bool = True
    digits: int = 3
    rival: str = "published"


def same(label: str, *place: str, **more: Any) -> Row:
    """A row whose figure stands at the same place for both methods."""
    return Row(label, place, place, **more)


def rows() -> list[Row]:
    """All lines, in their order."""
    until = {"lower_is_better": True, "refinable": False, "digits": 0}
    lines = [
        same("agreement, negative", "agreement", "negative", refinable=False),
        same("agreement, positive", "agreement", "positive", refinable=False),
        same("monotone paths, prior", "monotonicity_prior", "monotone_paths", refinable=False),
        same("monotone paths, images", "monotonicity", "monotone_paths"),
        same("reconstruction MSE", "reconstruction", "mse", lower_is_better=True, digits=4),
        same("prediction gap", "reconstruction", "prediction_mae", lower_is_better=True),
        *(
            same(name.replace("_", " "), "counterfactual", name)
            for name in (
                "validity",
                "crossing",
                "oracle_validity",
                "transfer_validity",
                "oracle_transfer_validity",
            )
        ),
    ]
    pairs = {
        "difference": ("difference", "difference"),
        "LIG as published": ("lig-published", "lig-published"),
        "exact LIG against LIG as published": ("lig-published", "lig"),
        **{f"{OUR_MAP} against {rival}": (rival, OUR_MAP) for rival in PUBLISHED_MAPS},
    }
    for section, words in (("localization", "raw"), ("localization_smoothed", "smoothed")):
        for label, (theirs, ours) in pairs.items():
            lines.append(
                Row(
                    f"average precision, {words}: {label}",
                    (section, theirs, "average_precision"),
                    (section, ours, "average_precision"),
                    rival=theirs if theirs in BASELINES else "published",
                )
            )
    completeness = ("completeness", "lig-published", "median"), ("completeness", "lig", "median")
    return [
        *lines,
        Row("completeness error of the method's LIG, median", *completeness, lower_is_better=True),
        same("inversion, seconds an image", "inversion", lower_is_better=True, digits=4),
        *(
            same(f"images until agreement ≥ {AGREED}, {name}", "until", name, **until)
            for name in ("negative", "positive", "both")
        ),
    ]


def figure_at(document: Document, place: Place) -> Figure:
    """The figure at a place; one without a value where there is none.

    >>> figure_at({"until": {"both": {"value": 3}}}, ("until", "both"))
    {'value': 3}
    >>> figure_at({}, ("until", "both"))
    {'value': None}
    """
    found: Any = document
    for name in place:
        found = found.get(name, {})
    return found if "value" in found else NOTHING


def who_is_ahead(row: Row, published: Figure, ours: Figure, refined: Figure) -> str:
    """In words, for our codes as the encoder gives them and refined: ahead, behind or level?

    >>> row = same("validity", "counterfactual", "validity")
    >>> half = {"value": 0.5, "low": 0.4, "high": 0.6}
    >>> who_is_ahead(row, half, {"value": 0.25}, {"value": 0.9, "low": 0.8, "high": 1.0})
    'ours behind by 0.250; refined ahead, intervals apart'
    >>> images = same("images", "until", "both", lower_is_better=True, refinable=False, digits=0)
    >>> who_is_ahead(images, {"value": 90_000}, {"value": 3_000}, NOTHING)
    'ours ahead, 30 times'
    >>> who_is_ahead(images, NOTHING, {"value": 3_000}, NOTHING)
    'ours ahead'
    """
    columns = {"ours": ours} | ({"refined": refined} if row.refinable else {})
    return "; ".join(f"{name} {_verdict(row, published, own)}" for name, own in columns.items())


def _verdict(row: Row, published: Figure, own: Figure) -> str:
    theirs, value = published["value"], own["value"]
    if theirs is None or value is None:
        return _one_missing(row, theirs, value)
    lead = (theirs - value) if row.lower_is_better else (value - theirs)
    if lead == 0:
        return "level"
    if row.published[0] in RATIOS:
        return (
            f"{'ahead' if lead > 0 else 'behind'}, {max(theirs / value, value / theirs):.3g} times"
        )
    if lead < 0:
        behind = "behind" if row.rival == "published" else f"behind {row.rival}"
        return f"{behind} by {-lead:.{row.digits}f}{_told_apart(published, own)}"
    return f"ahead{_told_apart(published, own)}"


def _one_missing(row: Row, theirs: float | None, value: float | None) -> str:
    """That agreement was never reached is a result; of any other figure it says nothing."""
    if row.published[0] != "until":
        return "not measured"
    if theirs is value:
        return "level: neither"
    return "ahead" if theirs is None else "behind"


def _told_apart(first: Figure, second: Figure) -> str:
    return ", intervals apart" if _apart(first, second) else ""


def _apart(first: Figure, second: Figure) -> bool:
    if first.get("low") is None or second.get("low") is None:
        return False
    return bool(first["low"] > second["high"] or second["low"] > first["high"])


def cell(row: Row, figure: Figure, images: int) -> str:
    """A figure with its interval, as text.

    Args:
        row: that it stands in.
        figure: to be shown.
        images: that the method was shown in training.

    >>> cell(same("mse", "reconstruction", "mse"), {"value": 0.5, "low": 0.4, "high": 0.6}, 10)
    '0.500 (0.400 to 0.600)'
    >>> cell(same("until", "until", "both"), NOTHING, 10)
    'not reached within 10'
    """
    if figure["value"] is None:
        return f"not reached within {images}" if row.published[0] == "until" else "-"
    text = f"{figure['value']:.{row.digits}f}"
    if figure.get("low") is None:
        return text
    return f"{text} ({figure['low']:.{row.digits}f} to {figure['high']:.{row.digits}f})"


def table(documents: dict[str, Document], shown: dict[str, int]) -> list[dict[str, str]]:
    """All lines as text.

    Args:
        documents: figures of ``published``, ``ours`` and ``ours refined``.
        shown: images that ``published`` and ``ours`` were shown in training.
    """
    lines = []
    for row in rows():
        published = figure_at(documents["published"], row.published)
        ours = figure_at(documents["ours"], row.ours)
        refined = figure_at(documents["ours refined"], row.ours) if row.refinable else NOTHING
        lines.append(
            {
                "": row.label,
                "published": cell(row, published, shown["published"]),
                "ours": cell(row, ours, shown["ours"]),
                "ours refined": cell(row, refined, shown["ours"]) if row.refinable else "",
                "ahead": who_is_ahead(row, published, ours, refined),
            }
        )
    return lines


def markdown(lines: list[dict[str, str]]) -> str:
    """The lines as a table in Markdown.

    >>> print(markdown([{"": "validity", "ours": "1.000"}]))
    |  | ours |
    | --- | --- |
    | validity | 1.000 |
    """
    head = [list(lines[0]), ["---"] * len(lines[0])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [*head, *map(dict.values, lines)])
