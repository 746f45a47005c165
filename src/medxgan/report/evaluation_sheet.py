"""The worst cases of an evaluation side by side: a contact sheet as one picture."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from medxgan.report.evaluation_style import WIDTH, Theme
from medxgan.report.evaluation_wording import number_text
from medxgan.report.figures import (
    BRIGHTNESS,
    difference_map,
    intensity_picture,
    map_picture,
    mask_picture,
)
from medxgan.report.scales import DIFFERENCE, shared_scales
from medxgan.report.wording import scale_text
from medxgan.scoretext import score_text, words_for
from medxgan.types import Explanation

ROW_HEIGHT = 1.75
HEAD_HEIGHT = 0.5
WIDTHS = (1.45, 1, 1, 1, 1, 1, 1)
"""Of the column of words and of the six of pictures."""
LINE_LENGTH = 30
SHOWN_NAME = 60
SCORED = ("image", "reconstruction", "counterfactual", "transferred")


@dataclass(frozen=True)
class Case:
    """An explanation among the worst.

    Attributes:
        explanation: the explanation.
        average_precision: of the map that the order of the cases goes by; NaN without a mask.
        gap: absolute difference of C(x) and C(x̂).
    """

    explanation: Explanation
    average_precision: float
    gap: float

    @property
    def status(self) -> str:
        """Kinds of the problems, or ok."""
        return ", ".join(p.kind for p in self.explanation.status.problems) or "ok"

    @property
    def figures(self) -> tuple[str, str]:
        """Average precision and gap of the predictions, in words."""
        precision = None if math.isnan(self.average_precision) else self.average_precision
        return (
            f"average precision: {number_text(precision)}",
            f"prediction gap: {number_text(self.gap)}",
        )


def draw_sheet(cases: Sequence[Case], theme: Theme) -> Figure:
    """A row a case: image, reconstruction, counterfactual, transferred, difference, mask."""
    figure = Figure((WIDTH, HEAD_HEIGHT + ROW_HEIGHT * len(cases)), layout="constrained")
    scale = shared_scales([case.explanation for case in cases])[DIFFERENCE]
    end = scale_text(scale)
    heads = (*SCORED[:2], "counterfactual", "transferred", f"difference ±{end}", "lesion mask")
    grid = figure.subplots(len(cases), len(WIDTHS), squeeze=False, width_ratios=WIDTHS)
    for number, (case, row) in enumerate(zip(cases, grid, strict=True), start=1):
        for axes in row:
            axes.axis("off")
        row[0].text(0, 0.97, _words(number, case), va="top", fontsize=10, linespacing=1.4)
        for place, (axes, (picture, below)) in enumerate(
            zip(row[1:], _pictures(case.explanation, scale), strict=True)
        ):
            if number == 1:
                axes.set_title(heads[place])
            if picture is None:
                axes.text(0.5, 0.5, below, ha="center", va="center", color=theme.muted)
                continue
            axes.imshow(np.asarray(picture.convert("RGB")), interpolation="nearest")
            axes.text(
                0.5, -0.03, below, ha="center", va="top", transform=axes.transAxes, fontsize=9
            )
    return figure


def _words(number: int, case: Case) -> str:
    name = textwrap.shorten(case.explanation.name, SHOWN_NAME, placeholder=" …")
    lines = [f"{number}. {name}", f"status: {case.status}", *case.figures]
    return "\n".join(part for line in lines for part in textwrap.wrap(line, LINE_LENGTH))


def _pictures(explanation: Explanation, scale: float) -> list[tuple[Image.Image | None, str]]:
    """The pictures of a row with what is written below them, or instead of them."""
    symbol = words_for(explanation.target_name, explanation.spec).symbol
    scored = [
        (
            intensity_picture(getattr(explanation, name)),
            f"{symbol} = {score_text(explanation.scores[name], explanation.spec)}".replace(
                "= <", "< "
            ).replace("= >", "> "),
        )
        for name in SCORED
    ]
    difference = map_picture(difference_map(explanation.difference), scale, BRIGHTNESS)
    mask = explanation.mask
    return [
        *scored,
        (difference, ""),
        (None, "not known") if mask is None else (mask_picture(mask), ""),
    ]
