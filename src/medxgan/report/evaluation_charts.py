"""The figures of an evaluation: bars, curves and films, with 95 % intervals."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from medxgan.report.evaluation_style import BLUE, ORANGE, WIDTH, Theme, look_of
from medxgan.report.evaluation_tables import (
    DELETION,
    LOCALIZATION_RAW,
    LOCALIZATION_SMOOTHED,
    NOISE,
    NOISES,
    SHARES,
    Cell,
    Column,
    Document,
    cell_at,
    place_of,
)
from medxgan.report.evaluation_wording import method_label
from medxgan.value_scale import ValueScale

Numbers = NDArray[np.float64]

BAR_HEIGHT = 0.36
SIDE_BY_SIDE = 0.012
"""Share of an axis by which the points of two methods are moved apart."""

MOST_DRAWN_AS_LINES = 200
FAINTEST = 0.15


@dataclass(frozen=True)
class Measured:
    """What the figures are drawn from.

    Attributes:
        document: the content of ``metrics.json``.
        methods: attribution methods, in their order.
        films: C along the film of each image called positive, ``[N, T]``.
    """

    document: Document
    methods: tuple[str, ...]
    films: Tensor


@dataclass(frozen=True)
class Chart:
    """A figure: its heading, what it shows and how it is read, and who draws it."""

    title: str
    meaning: str
    draw: Callable[[Measured, Theme], Figure]


@dataclass(frozen=True)
class Panel:
    """One of several curves side by side: a heading, a scale, and columns along the x axis."""

    title: str
    y_label: str
    columns: Sequence[Column]


def draw_localization(measured: Measured, theme: Theme) -> Figure:
    """Bars with intervals, one panel a measure, for raw and for smoothed maps."""
    methods = measured.methods[::-1]
    cells: list[Cell] = []
    figure = Figure((WIDTH, 1.5 + 0.5 * max(2, len(methods))), layout="constrained")
    panels = figure.subplots(1, len(LOCALIZATION_RAW), sharey=True)
    for axes, raw, smoothed in zip(panels, LOCALIZATION_RAW, LOCALIZATION_SMOOTHED, strict=True):
        for column, shift, colour, label in (
            (raw, BAR_HEIGHT / 2, BLUE, "raw maps"),
            (smoothed, -BAR_HEIGHT / 2, ORANGE, "smoothed maps"),
        ):
            of_column = [cell_at(measured.document, place_of(column, name)) for name in methods]
            _bars(axes, of_column, shift, colour, theme.ink, label)
            cells += of_column
        chance = cell_at(measured.document, ("controls", "random_map", *raw.place[::2]))
        if chance.value is not None:
            axes.axvline(chance.value, color=theme.ink, linestyle=":", label="random map, raw")
        axes.set_title(raw.head)
        axes.set_xlim(0, None if raw.head == "concentration" else 1)
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
    panels[0].set_yticks(range(len(methods)), [method_label(name) for name in methods])
    return _finished(figure, panels[0], cells)


def draw_curves(
    measured: Measured,
    theme: Theme,
    *,
    panels: Sequence[Panel],
    x: Sequence[float],
    x_label: str,
    x_ticks: Sequence[str],
) -> Figure:
    """A line with intervals for each method, one panel for each way to measure."""
    figure = Figure((WIDTH, 4.6), layout="constrained")
    cells: list[Cell] = []
    drawings = figure.subplots(1, len(panels))
    step = SIDE_BY_SIDE * (max(x) - min(x))
    for axes, panel in zip(drawings, panels, strict=True):
        for number, method in enumerate(measured.methods):
            of_method = [
                cell_at(measured.document, place_of(column, method)) for column in panel.columns
            ]
            cells += of_method
            shift = step * (number - (len(measured.methods) - 1) / 2)
            _line(axes, of_method, np.asarray(x) + shift, method, theme)
        axes.axhline(0, color=theme.muted, linewidth=0.8)
        axes.set_title(panel.title)
        axes.set_ylabel(panel.y_label)
        axes.set_xlabel(x_label)
        axes.set_xticks(x, x_ticks)
        axes.grid(axis="y")
    return _finished(figure, drawings[0], cells)


def draw_films(measured: Measured, theme: Theme) -> Figure:
    """C along the film of every image, with median and quartiles."""
    scale, measure = scale_of(measured.document)
    scores = measured.films.detach().cpu().double()
    films = (scores if scale is None else scale.values(scores)).numpy()
    figure = Figure((WIDTH, 4.6), layout="constrained")
    axes = figure.subplots()
    strengths = np.linspace(0, 1, films.shape[1])
    each = [np.column_stack([strengths, film]) for film in films]
    thin, many = min(0.5, max(FAINTEST, 12 / len(films))), len(films) > MOST_DRAWN_AS_LINES
    axes.add_collection(
        LineCollection(each, colors=theme.thin, linewidths=0.8, alpha=thin, rasterized=many)
    )
    low, middle, high = np.nanpercentile(films, [25, 50, 75], axis=0)
    axes.fill_between(strengths, low, high, color=ORANGE, alpha=0.3, zorder=3, label="middle half")
    axes.plot(strengths, np.stack([low, high], axis=1), color=ORANGE, linewidth=1.5, zorder=3)
    axes.plot(
        strengths, middle, color=theme.ink, linewidth=2.5, marker="o", zorder=4, label="median"
    )
    axes.plot([], [], color=theme.thin, linewidth=0.8, label="one image")
    bottom, decision, top = (0.0, 0.5, 1.0)
    if scale is not None:
        bottom, decision, top = scale.low, scale.threshold, scale.high
    axes.axhline(decision, color=theme.muted, linestyle="--", linewidth=1, label="decision")
    axes.set_xlim(-0.01, 1.01)
    margin = 0.02 * (top - bottom)
    axes.set_ylim(min(bottom, np.nanmin(films)) - margin, max(top, np.nanmax(films)) + margin)
    axes.set_xticks(strengths[:: max(1, len(strengths) // 10)])
    axes.set_xlabel("strength of the change: 0 the negative, 1 the reconstruction")
    axes.set_ylabel(measure)
    axes.set_title(f"n = {len(films)}", loc="right")
    _legend(figure, axes)
    return figure


def scale_of(document: Document) -> tuple[ValueScale | None, str]:
    """The scale of an explained value, None for classes; and what films show, in words.

    >>> scale_of({"explained": {"name": "grade", "value_range": [0, 4], "positive_from": 2}})
    (ValueScale(low=0, threshold=2, high=4), 'grade')
    """
    about = document.get("explained", {})
    if "value_range" not in about:
        return None, "probability of the explained class"
    low, high = about["value_range"]
    return ValueScale(low, about["positive_from"], high), str(about["name"])


CHARTS = {
    "localization": Chart(
        "Localisation",
        "How well each map finds the lesion, raw and after one smoothing that is the same for "
        "all, so that no method wins by blur alone. Whiskers are 95 % intervals; where those of "
        "two bars overlap widely, the data do not tell them apart. The dotted line is a map of "
        "noise. Longer is better.",
        draw_localization,
    ),
    "deletion": Chart(
        "Deletion",
        "How far the probability falls when the strongest pixels of a map are replaced, by those "
        "of the redrawn negative x⁻ or by a blurred copy, beyond what as many pixels at random "
        "do. Higher is better; at 0 a map is no better than chance.",
        partial(
            draw_curves,
            panels=(
                Panel("replaced by the negative x⁻", "fall beyond random pixels", DELETION[:4]),
                Panel("replaced by a blurred copy", "fall beyond random pixels", DELETION[4:]),
            ),
            x=[100 * float(share) for share in SHARES],
            x_label="pixels replaced",
            x_ticks=[f"{100 * float(share):g} %" for share in SHARES],
        ),
    ),
    "noise": Chart(
        "Noise",
        "How far a map stays the same when noise is added to the image: rank correlation with the "
        "map of the clean image, and overlap with the lesion as a share of what it was. Higher is "
        "better; 1 is unchanged.",
        partial(
            draw_curves,
            panels=(
                Panel("same map?", "Spearman correlation", NOISE[:3]),
                Panel("same overlap with the lesion?", "IoU, noisy to clean", NOISE[3:]),
            ),
            x=[float(sigma) for sigma in NOISES],
            x_label="standard deviation of the noise; intensities span 2",
            x_ticks=NOISES,
        ),
    ),
    "films": Chart(
        "Films",
        "The classifier's answer along the film of each image called positive, from its redrawn "
        "negative to its reconstruction. Good films begin below the decision, end above it, and "
        "rise in between.",
        draw_films,
    ),
}
"""Name of the file -> figure."""


def _bars(
    axes: Axes, cells: Sequence[Cell], shift: float, colour: str, ink: str, label: str
) -> None:
    places = np.arange(len(cells)) + shift
    values, whiskers = _numbers(cells)
    axes.barh(places, np.nan_to_num(values), BAR_HEIGHT, color=colour, label=label)
    axes.errorbar(
        values, places, xerr=whiskers, fmt="none", ecolor=ink, elinewidth=1.2, capsize=2.5
    )
    for place, value in zip(places, values, strict=True):
        if np.isnan(value):
            axes.annotate("–", (0, place), xytext=(4, 0), textcoords="offset points", va="center")


def _line(axes: Axes, cells: Sequence[Cell], x: Numbers, method: str, theme: Theme) -> None:
    values, whiskers = _numbers(cells)
    if np.isnan(values).all():
        return
    look = look_of(method, theme)
    axes.errorbar(
        x,
        values,
        yerr=whiskers,
        color=look.colour,
        marker=look.marker,
        linestyle=look.line,
        linewidth=1.8,
        markersize=6.5,
        elinewidth=1.1,
        capsize=2.5,
        label=method_label(method),
    )


def _numbers(cells: Sequence[Cell]) -> tuple[Numbers, Numbers]:
    """Values ``[N]``, NaN where there is none, and how far whiskers reach below and above."""
    bounds = np.array(
        [
            [np.nan if number is None else number for number in (cell.value, cell.low, cell.high)]
            for cell in cells
        ]
    )
    values, low, high = bounds.T
    return values, np.nan_to_num(np.stack([values - low, high - values])).clip(min=0)


def _finished(figure: Figure, first: Axes, cells: Iterable[Cell]) -> Figure:
    """Add legend and number of images; where no cell has a value, only the reason why."""
    cells = list(cells)
    counts = sorted({cell.n for cell in cells if cell.value is not None})
    if not counts:
        reasons = dict.fromkeys(cell.reason for cell in cells if cell.reason)
        return _empty(figure, "; ".join(reasons) or "nothing was measured")
    _legend(figure, first)
    text = f"n = {counts[0]}" + (f" to {counts[-1]}" if len(counts) > 1 else "")
    figure.suptitle(text, x=0.995, ha="right", fontsize=11)
    return figure


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(7, len(labels)))


def _empty(figure: Figure, reason: str) -> Figure:
    figure.clear()
    figure.text(0.5, 0.5, f"Not drawn: {reason}.", ha="center", va="center", wrap=True)
    return figure
