"""Explanations as one HTML page that needs nothing outside itself."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import get_args

from medxgan.errors import DataError
from medxgan.explain.series import Series
from medxgan.report.page import environment, gradient_rules, policy, source
from medxgan.report.panels import FIRST_ROW_METHODS, View, make_view
from medxgan.report.scales import (
    DIFFERENCE,
    Scales,
    in_colour,
    shared_scales,
    shown_methods,
)
from medxgan.report.series_view import series_rules
from medxgan.report.wording import METHOD_LABELS, METHOD_NOTES, fact_text, scale_text
from medxgan.types import Explanation, ProblemKind


def render_report(
    explanations: Sequence[Explanation],
    *,
    title: str = "Counterfactual explanations",
    summary: Mapping[str, object] | None = None,
    measured_on: str = "held-out images",
    caution: str | None = None,
    notes: Sequence[str] = (),
    footer_facts: Mapping[str, object] | None = None,
    series: Sequence[Series] = (),
) -> str:
    """One self-contained HTML page: no request leaves it, and its policy allows none.

    Maps of one kind share one zero-centred colour scale, so that colours compare across images.

    Args:
        explanations: in the order of the report.
        title: heading of the report.
        summary: figures of the bundle, by name; entries of ``metrics.json`` will do.
        measured_on: the images that these are of.
        caution: what every reader must know of the bundle, shown at the top.
        notes: the same of these explanations, beside what they say themselves.
        footer_facts: facts of the bundle (name, method, classifier, data licence), by name.
        series: of the same images to a requested answer, in their order, shown below each; none
            where empty.

    Returns:
        The page.

    Raises:
        DataError: there is no explanation, or a series is of another image.
    """
    if not explanations:
        raise DataError("a report needs at least one explanation, got none; name images to explain")
    _check_series(explanations, series)
    scales = shared_scales(explanations)
    methods = _methods(explanations)
    views = [
        make_view(explanation, f"image-{number}", methods, scales, one)
        for number, (explanation, one) in enumerate(zip_longest(explanations, series), start=1)
    ]
    targets, words = " or ".join(sorted({view.target for view in views})), views[0].words
    style = source("report.css") + gradient_rules()
    style += series_rules(len(one.wanted) for one in series)
    script = source("report.js")
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            title=title,
            views=views,
            targets=targets,
            words=words,
            measured_as=words.measure if words.symbol != "p" else f"probability of {targets}",
            counts=_counts(views),
            problem_counts=_problem_counts(explanations),
            difference_end=scale_text(scales[DIFFERENCE]),
            legend=_legend(methods, scales),
            colour_channels=any(in_colour(explanation) for explanation in explanations),
            outlined=any(view.outline for view in views),
            caution=caution,
            notes=_notes(explanations, notes),
            measured_on=measured_on,
            summary={name: fact_text(value) for name, value in (summary or {}).items()},
            footer_facts={name: fact_text(value) for name, value in (footer_facts or {}).items()},
            style=style,
            script=script,
            policy=policy(style, script),
        )
    )


def _check_series(explanations: Sequence[Explanation], series: Sequence[Series]) -> None:
    """Every explanation has the series of its own image, or none has any."""
    named, given = ([one.name for one in many] for many in (explanations, series))
    if given and given != named:
        raise DataError(
            f"a report needs one series for each explanation, of the same images in their order "
            f"({', '.join(named)}), got {', '.join(given)}; give both the same names"
        )


def _methods(explanations: Sequence[Explanation]) -> tuple[str, ...]:
    """Methods with a panel, familiar ones first: all that some image has a map of."""
    named = {name: None for explanation in explanations for name in shown_methods(explanation)}
    known = [*FIRST_ROW_METHODS, *(name for name in METHOD_LABELS if name not in FIRST_ROW_METHODS)]
    return tuple(sorted(named, key=lambda name: known.index(name) if name in known else len(known)))


def _notes(explanations: Sequence[Explanation], further: Sequence[str]) -> list[str]:
    """Each note once, as a sentence."""
    own = [note for explanation in explanations for note in explanation.notes]
    return [f"{note[:1].upper()}{note[1:]}." for note in dict.fromkeys([*own, *further])]


def _counts(views: Sequence[View]) -> dict[str, int]:
    return {
        "images": len(views),
        "positive": sum(view.positive for view in views),
        "flipped": sum(view.flipped for view in views),
        "transfer_flipped": sum(view.transfer_flipped for view in views),
        "trusted": sum(not view.problems for view in views),
    }


def _problem_counts(explanations: Sequence[Explanation]) -> dict[str, int]:
    """How many explanations have each kind of problem; kinds that none has count zero."""
    found = Counter(
        kind
        for explanation in explanations
        for kind in {problem.kind for problem in explanation.status.problems}
    )
    return {kind: found[kind] for kind in get_args(ProblemKind)}


def _legend(methods: Sequence[str], scales: Scales) -> list[tuple[str, str, str]]:
    """Label, explanation and end of the colour bar of every method that some image has a map of."""
    return [
        (
            METHOD_LABELS.get(method, method),
            METHOD_NOTES.get(method, "Evidence in the units of this method."),
            scale_text(scales[method]),
        )
        for method in methods
        if method in scales
    ]
