"""An evaluation as one HTML page that needs nothing outside itself."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import get_args

from medxgan.report.evaluation_charts import CHARTS, Chart, Measured
from medxgan.report.evaluation_controls import (
    LOST_HEADS,
    MOSTLY_THE_FILM,
    lost_comparisons,
    lost_heading,
    remarks,
)
from medxgan.report.evaluation_sheet import Case
from medxgan.report.evaluation_style import DARK, LIGHT, drawn_uri
from medxgan.report.evaluation_tables import (
    COMPLETENESS,
    CONTROLS,
    DELETION,
    LOCALIZATION_RAW,
    LOCALIZATION_SMOOTHED,
    NOISE,
    ONE_DRAW,
    OVERVIEW,
    RANDOM_CLASSIFIER,
    Column,
    Document,
    FigureRow,
    Row,
    cell_at,
    control_rows,
    controls_not_beaten,
    controls_verdict,
    method_rows,
    section_rows,
)
from medxgan.report.evaluation_wording import (
    FACTS,
    LOCALIZATION,
    SECTIONS,
    Place,
    method_label,
    place_text,
)
from medxgan.report.figures import data_uri, mask_picture
from medxgan.report.page import environment, gradient_rules, policy, source
from medxgan.report.panels import View, make_view
from medxgan.report.scales import shared_scales
from medxgan.report.wording import fact_text
from medxgan.types import ProblemKind


@dataclass(frozen=True)
class MethodTable:
    """A table with a row for each method."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Row]


@dataclass(frozen=True)
class ChartView:
    """A figure of the page with the tables of its numbers."""

    chart: Chart
    light: str
    dark: str
    tables: Sequence[MethodTable]


@dataclass(frozen=True)
class SectionView:
    """A table of figures that are not of a method."""

    title: str
    question: str
    rows: Sequence[FigureRow]


@dataclass(frozen=True)
class CaseView:
    """One of the worst cases: its pictures, why it is here, and the lesion where it is known."""

    view: View
    facts: Sequence[str]
    mask: str


TABLES_OF_CHARTS: dict[str, dict[str, Sequence[Column]]] = {
    "localization": {"raw maps": LOCALIZATION_RAW, "smoothed maps": LOCALIZATION_SMOOTHED},
    "deletion": {"fall of the probability beyond random pixels": DELETION},
    "noise": {"likeness of the maps of noisy and of clean images": NOISE},
    "films": {},
}


def render_evaluation(
    measured: Measured,
    cases: Sequence[Case],
    *,
    order: str,
    title: str,
    facts: Mapping[str, object],
    timing: str,
    caution: str | None = None,
) -> str:
    """One self-contained HTML page: no request leaves it, and its policy allows none.

    Args:
        measured: figures and films.
        cases: the worst ones, the worst first.
        order: a sentence that says what makes a case a bad one.
        title: heading of the page.
        facts: of bundle, data and run, by name.
        timing: on what, and how many images at once, seconds were measured.
        caution: what every reader must know of the bundle, shown at the top.

    Returns:
        The page, with tables, figures for light and dark screens, and the cases.
    """
    document = measured.document
    style = source("report.css") + source("evaluation.css") + gradient_rules()
    return (
        environment()
        .get_template("evaluation.html.j2")
        .render(
            title=title,
            document=document,
            validity=cell_at(document, ("counterfactual", "validity")),
            crossing=cell_at(document, ("counterfactual", "crossing")),
            transfer=cell_at(document, ("counterfactual", "transfer_validity")),
            seconds=cell_at(document, ("seconds_per_image", "explanation")),
            kinds=get_args(ProblemKind),
            overview=_table(measured, "all methods", OVERVIEW),
            completeness=_table(measured, "completeness error", COMPLETENESS, "completeness"),
            failed={method_label(m): n for m, n in document.get("failed_maps", {}).items() if n},
            localization=LOCALIZATION,
            charts=[_chart_view(measured, name, chart) for name, chart in CHARTS.items()],
            sections=[
                SectionView(words, question, section_rows(document, section))
                for section, (words, question, _) in SECTIONS.items()
                if section != "value" or section in document
            ],
            controls=MethodTable("controls", CONTROLS, control_rows(document)),
            random_classifier=_table(measured, "a classifier at random", RANDOM_CLASSIFIER),
            not_beaten=controls_not_beaten(document),
            lost_heading=lost_heading(document),
            lost_heads=LOST_HEADS,
            lost=lost_comparisons(document),
            remarks=remarks(document),
            mostly_the_film=MOSTLY_THE_FILM,
            verdict=controls_verdict(document),
            one_draw=ONE_DRAW,
            cases=_case_views(cases),
            order=order,
            unmeasured=_unmeasured(document),
            facts={FACTS.get(name, name): _fact(value) for name, value in facts.items()},
            timing=timing,
            caution=caution,
            style=style,
            policy=policy(style, ""),
        )
    )


def nulls(document: Document) -> dict[str, list[Place]]:
    """Reason -> places of the figures that are null because of it.

    >>> nulls({"a": {"b": {"value": None, "reason": "no masks"}, "c": {"value": 1.0}}})
    {'no masks': [('a', 'b')]}
    """
    found: dict[str, list[Place]] = {}
    for place, figure in _figures(document):
        if figure["value"] is None:
            found.setdefault(figure.get("reason", "no reason is known"), []).append(place)
    return found


def _table(
    measured: Measured, caption: str, columns: Sequence[Column], section: str | None = None
) -> MethodTable:
    """A row for each method, or only for those that a section of ``metrics.json`` has."""
    known = measured.methods if section is None else measured.document.get(section, {})
    methods = [method for method in measured.methods if method in known]
    rows = method_rows(measured.document, methods, columns)
    return MethodTable(
        caption, columns, [replace(row, name=method_label(row.name)) for row in rows]
    )


def _chart_view(measured: Measured, name: str, chart: Chart) -> ChartView:
    draw = partial(chart.draw, measured)
    return ChartView(
        chart=chart,
        light=drawn_uri(draw, LIGHT),
        dark=drawn_uri(draw, DARK),
        tables=[
            _table(measured, caption, columns)
            for caption, columns in TABLES_OF_CHARTS[name].items()
        ],
    )


def _case_views(cases: Sequence[Case]) -> list[CaseView]:
    """Cases with their pictures; all share one colour scale."""
    scales = shared_scales([case.explanation for case in cases])
    views = []
    for number, case in enumerate(cases, start=1):
        mask = case.explanation.mask
        views.append(
            CaseView(
                view=make_view(case.explanation, f"case-{number}", (), scales),
                facts=case.figures,
                mask="" if mask is None else data_uri(mask_picture(mask)),
            )
        )
    return views


def _unmeasured(document: Document) -> dict[str, list[str]]:
    """Reason -> what is null because of it, by section and method."""
    return {
        reason: list(
            dict.fromkeys(place_text(place[: 2 + (place[0] == "controls")]) for place in places)
        )
        for reason, places in nulls(document).items()
    }


def _fact(value: object) -> str:
    """A fact as it is shown; what was not given is said to be none."""
    return "none" if value is None or value == [] else fact_text(value)


def _figures(section: Document, place: Place = ()) -> Iterator[tuple[Place, Document]]:
    for name, part in section.items():
        if isinstance(part, Mapping):
            if "value" in part:
                yield (*place, name), part
            else:
                yield from _figures(part, (*place, name))
