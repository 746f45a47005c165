"""Geometry of the drawn parts of the page: lesion outline and probability curve, as SVG numbers."""

import math
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor

from medxgan.scoretext import score_text
from medxgan.types import ClassifierSpec

WIDTH, HEIGHT = 720, 200
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 14, 46


def outline_path(mask: Tensor) -> str:
    """Border between inside and outside of a mask ``[H, W]``, along pixel edges, as an SVG path.

    >>> import torch
    >>> outline_path(torch.tensor([[0, 1, 1]]))
    'M1 0h2M1 1h2M1 0v1M3 0v1'
    """
    inside = np.pad(mask.detach().cpu().bool().numpy(), 1)
    horizontal = _runs(inside[1:, 1:-1] != inside[:-1, 1:-1])
    vertical = _runs((inside[1:-1, 1:] != inside[1:-1, :-1]).T)
    return "".join(
        [f"M{start} {line}h{length}" for line, start, length in horizontal]
        + [f"M{line} {start}v{length}" for line, start, length in vertical]
    )


def _runs(edges: NDArray[np.bool_]) -> list[tuple[int, int, int]]:
    """Line, start and length of every run of true values along the last axis."""
    runs = []
    for line in np.flatnonzero(edges.any(axis=1)):
        positions = np.flatnonzero(edges[line])
        for _, group in groupby(enumerate(positions), key=lambda pair: pair[1] - pair[0]):
            run = [int(position) for _, position in group]
            runs.append((int(line), run[0], len(run)))
    return runs


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: its place in the drawing and what is written beside it."""

    place: float
    text: str


@dataclass(frozen=True)
class CurvePoint:
    """A frame on the curve: place in the drawing, strength and probability as text."""

    x: float
    y: float
    strength: str
    probability: str


@dataclass(frozen=True)
class Curve:
    """The probability curve of a film, in the coordinates of a drawing of WIDTH by HEIGHT."""

    points: tuple[CurvePoint, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    decision: float
    path: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def probability_curve(
    strengths: Tensor, probabilities: Tensor, spec: ClassifierSpec | None = None
) -> Curve:
    """Curve of the probabilities ``[T]`` over the strengths ``[T]``; the y axis is 0 to 1.

    Of a value, whose classifier ``spec`` describes, the curve is in its units, the y axis its
    range. Frames whose score is not finite leave a gap in the line.

    >>> import torch
    >>> curve = probability_curve(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1.0]))
    >>> curve.path
    'M52 154L704 14'
    >>> curve.decision, [tick.text for tick in curve.y_ticks]
    (84.0, ['0', '0.5', '1'])
    """
    x: list[float] = strengths.tolist()
    scale = None if spec is None else spec.value_scale
    bottom, decision, top = (0.0, 0.5, 1.0)
    if scale is not None:
        bottom, decision, top = scale.low, scale.threshold, scale.high
    texts = [score_text(score, spec) for score in probabilities.tolist()]
    shown = probabilities if scale is None else scale.values(probabilities)
    y: list[float] = shown.tolist()
    finite = [height for height in y if math.isfinite(height)]
    first = min(x)
    span = (max(x) - first) or 1.0
    low, high = min([bottom, *finite]), max([top, *finite])

    def across(strength: float) -> float:
        return round(LEFT + (strength - first) / span * (WIDTH - LEFT - RIGHT), 2)

    def down(probability: float) -> float:
        height = HEIGHT - TOP - BOTTOM
        return round(HEIGHT - BOTTOM - (probability - low) / (high - low) * height, 2)

    pieces, pen_down = [], False
    for strength, probability in zip(x, y, strict=True):
        if math.isfinite(probability):
            command = "L" if pen_down else "M"
            pieces.append(f"{command}{across(strength):g} {down(probability):g}")
        pen_down = math.isfinite(probability)
    ticks = MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]).tick_values(first, first + span)
    return Curve(
        points=tuple(
            CurvePoint(
                across(strength),
                down(probability if math.isfinite(probability) else low),
                f"{strength:.2f}",
                text,
            )
            for strength, probability, text in zip(x, y, texts, strict=True)
        ),
        x_ticks=tuple(
            Tick(across(tick), f"{tick:g}") for tick in ticks if first <= tick <= first + span
        ),
        y_ticks=tuple(
            Tick(down(tick), f"{tick:g}" if scale is None else scale.number(tick))
            for tick in sorted({low, decision, high})
        ),
        decision=down(decision),
        path="".join(pieces),
    )
