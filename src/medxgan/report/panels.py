"""One explanation as the page shows it: captions, pictures and numbers, ready for the template."""

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from medxgan.explain.series import Series
from medxgan.report.classes import ClassRow, became_text, class_rows
from medxgan.report.figures import (
    BRIGHTNESS,
    EVIDENCE,
    ColourMap,
    colour_difference_picture,
    data_uri,
    difference_map,
    evidence_map,
    intensity_picture,
    overlay_picture,
    shrink,
)
from medxgan.report.scales import COLOUR_DIFFERENCE, DIFFERENCE, Scales, in_colour
from medxgan.report.series_view import SeriesView, make_series_view
from medxgan.report.vector import Curve, outline_path, probability_curve
from medxgan.report.wording import METHOD_LABELS, flip_text, scale_text
from medxgan.scoretext import Words, score_text, words_for
from medxgan.types import ClassifierSpec, Explanation, Problem

FIRST_ROW_METHODS = ("lig", "grad-cam", "ig")
LARGEST_FILM_SIDE = 128


@dataclass(frozen=True)
class Score:
    """A score as text, a value in its units, and as the length of a bar of 100 (0 if unknown)."""

    text: str
    known: bool
    length: float
    positive: bool


@dataclass(frozen=True)
class Panel:
    """One picture of a row; without a ``uri``, ``missing`` says why there is none."""

    kind: Literal["image", "map"]
    caption: str
    note: str
    alt: str
    uri: str = ""
    score: Score | None = None
    scale: str = ""
    colours: str = ""
    missing: str = ""


@dataclass(frozen=True)
class Frame:
    """One picture of the film."""

    uri: str
    strength: str
    probability: str


@dataclass(frozen=True)
class Alternative:
    """Another positive of a negative image."""

    uri: str
    probability: str


@dataclass(frozen=True)
class View:
    """Everything that the page shows of one explanation."""

    anchor: str
    name: str
    target: str
    positive: bool
    flipped: bool
    transfer_flipped: bool
    flip: str
    problems: tuple[Problem, ...]
    scores: dict[str, Score]
    row: list[Panel]
    more: list[Panel]
    frames: list[Frame]
    first_frame: int
    curve: Curve
    alternatives: list[Alternative]
    skipped: list[tuple[str, str]]
    width: int
    height: int
    film_note: str
    outline: str
    words: Words
    classes: tuple[ClassRow, ...]
    became: str
    series: SeriesView | None

    @property
    def thumbnail(self) -> str:
        """The original, for the summary table."""
        return self.row[0].uri


def make_view(
    explanation: Explanation,
    anchor: str,
    methods: tuple[str, ...],
    scales: Scales,
    series: Series | None = None,
) -> View:
    """Turn an explanation into what the template needs.

    Args:
        explanation: the explanation.
        anchor: id of its section in the page.
        methods: every method that the report shows, so that rows of different images align.
        scales: colour scale of each kind of map.
        series: of the same image to a requested answer, if one was asked for.
    """
    scores = {name: _score(value, explanation.spec) for name, value in explanation.scores.items()}
    words = words_for(explanation.target_name, explanation.spec)
    first = tuple(method for method in methods if method in FIRST_ROW_METHODS)
    rest = tuple(method for method in methods if method not in FIRST_ROW_METHODS)
    height, width = explanation.image.shape[-2:]
    small = [shrink(intensity_picture(frame), LARGEST_FILM_SIDE) for frame in explanation.frames]
    curve = probability_curve(explanation.strengths, explanation.probabilities, explanation.spec)
    return View(
        anchor=anchor,
        name=explanation.name,
        target=explanation.target_name,
        positive=explanation.positive,
        flipped=explanation.flipped,
        transfer_flipped=explanation.transfer_flipped,
        flip=flip_text(explanation.flipped, explanation.transfer_flipped),
        problems=explanation.status.problems,
        scores=scores,
        row=[
            *_image_panels(explanation, scores, words),
            _difference_panel(explanation, scales),
            *(_method_panel(explanation, method, scales) for method in first),
        ],
        more=[
            *_colour_panels(explanation, scales),
            *(_method_panel(explanation, method, scales) for method in rest),
        ],
        frames=[
            Frame(data_uri(picture), point.strength, point.probability)
            for picture, point in zip(small, curve.points, strict=True)
        ],
        first_frame=_nearest(explanation.strengths, 1.0 if explanation.positive else 0.0),
        curve=curve,
        alternatives=[
            Alternative(data_uri(intensity_picture(image)), score_text(score, explanation.spec))
            for image, score in zip(
                explanation.alternatives, explanation.alternative_scores.tolist(), strict=True
            )
        ],
        skipped=_skipped(explanation),
        width=width,
        height=height,
        film_note=_film_note(small[0].size, (width, height)),
        outline="" if explanation.mask is None else outline_path(explanation.mask),
        words=words,
        classes=class_rows(explanation),
        became=became_text(explanation),
        series=None if series is None else make_series_view(series),
    )


def _image_panels(explanation: Explanation, scores: dict[str, Score], words: Words) -> list[Panel]:
    name = explanation.name
    measure = words.measure if words.symbol != "p" else f"probability of {words.target}"
    made = words.made_negative if explanation.positive else words.made_positive
    pictures: list[tuple[str, Tensor, str, str]] = [
        ("image", explanation.image, "Original", "as given"),
        ("reconstruction", explanation.reconstruction, "Reconstruction", "redrawn"),
        (
            "counterfactual",
            explanation.counterfactual,
            "Counterfactual",
            f"redrawn {made}",
        ),
        ("transferred", explanation.transferred, "Transferred", "change on the original"),
    ]
    return [
        Panel(
            "image",
            caption,
            note,
            alt=f"{name}: {caption}, {note}; {measure} {scores[key].text}",
            uri=data_uri(intensity_picture(image)),
            score=scores[key],
        )
        for key, image, caption, note in pictures
    ]


def _difference_panel(explanation: Explanation, scales: Scales) -> Panel:
    values = difference_map(explanation.difference)
    note = "positive − negative"
    if in_colour(explanation):
        note += ", luminance"
    return _map_panel(
        explanation.name, ("Difference", note), values, scales[DIFFERENCE], BRIGHTNESS
    )


def _colour_panels(explanation: Explanation, scales: Scales) -> list[Panel]:
    """The difference in its own colours, where there are any."""
    if not in_colour(explanation):
        return []
    scale = scales[COLOUR_DIFFERENCE]
    caption, note = "Difference, in colour", f"grey: no change; ends at ±{scale_text(scale)}"
    picture = colour_difference_picture(explanation.difference, scale)
    alt = f"{explanation.name}: {caption}, {note}"
    return [Panel("image", caption, note, alt=alt, uri=data_uri(picture))]


def _method_panel(explanation: Explanation, method: str, scales: Scales) -> Panel:
    caption = METHOD_LABELS.get(method, method)
    values = explanation.attributions.get(method)
    if values is None:
        reason = explanation.skipped.get(method, "not asked for")
        return Panel("map", caption, "not computed", alt="", missing=reason)
    heading = (caption, f"evidence for {explanation.target_name}")
    return _map_panel(explanation.name, heading, evidence_map(values), scales[method], EVIDENCE)


def _skipped(explanation: Explanation) -> list[tuple[str, str]]:
    """What could not be computed, by reason: labels of the methods, and the reason."""
    reasons: dict[str, list[str]] = {}
    for method, reason in explanation.skipped.items():
        reasons.setdefault(reason, []).append(METHOD_LABELS.get(method, method))
    return [(", ".join(labels), reason) for reason, labels in reasons.items()]


def _map_panel(
    name: str, heading: tuple[str, str], values: Tensor, scale: float, colours: ColourMap
) -> Panel:
    caption, note = heading
    end = scale_text(scale)
    return Panel(
        "map",
        caption,
        note,
        alt=f"{name}: {caption} map, {note}; colours from −{end} to +{end}",
        uri=data_uri(overlay_picture(values, scale, colours)),
        scale=end,
        colours="brightness" if colours == BRIGHTNESS else "evidence",
    )


def _score(value: float, spec: ClassifierSpec | None) -> Score:
    known = math.isfinite(value)
    length = round(100 * min(max(value, 0.0), 1.0), 1) if known else 0.0
    return Score(score_text(value, spec), known, length, value >= 0.5)


def _nearest(strengths: Tensor, strength: float) -> int:
    return int((strengths - strength).abs().argmin())


def _film_note(shown: tuple[int, int], size: tuple[int, int]) -> str:
    if shown == size:
        return ""
    return f"Film shown at {shown[0]} × {shown[1]} of {size[0]} × {size[1]} pixels."
