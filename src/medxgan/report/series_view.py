"""A series to a requested answer as the page shows it: frames, and what is said below them."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from medxgan.explain.series import Series
from medxgan.report.figures import data_uri, intensity_picture, shrink
from medxgan.scoretext import answer_text, words_for

LARGEST_SIDE = 128
SMALLEST_SIDE, GAP, AROUND = 84, 8, 90
"""Pixels of the page: a frame's least width, between frames, and beside them all."""


@dataclass(frozen=True)
class SeriesFrame:
    """One picture of the series; where its answer is not ``reached``, it repeats another one."""

    uri: str
    caption: str
    alt: str
    reached: bool


@dataclass(frozen=True)
class SeriesView:
    """What the page shows of one series."""

    question: str
    frames: tuple[SeriesFrame, ...]


def frame_captions(series: Series) -> list[str]:
    """The model's answers to all frames, ``T`` texts.

    Where an answer is not reached, that of the repeated frame is given, and the wanted one.
    """
    answers, wanted = (
        [answer_text(answer, series.spec) for answer in part.tolist()]
        for part in (series.answers, series.wanted)
    )
    return [
        answer if reached else f"{answer}, not {other}"
        for answer, other, reached in zip(answers, wanted, series.reached.tolist(), strict=True)
    ]


def series_rules(counts: Iterable[int]) -> str:
    """Style of series of so many frames: even rows at every width, the last frame never alone.

    >>> series_rules([3]).count("@media"), "repeat(2" in series_rules([3])
    (1, False)
    """
    rules = []
    for count in sorted(set(counts)):
        few = (3, 2, *range(4, count + 1))
        fewest = next((across for across in few if count % across != 1), 1)
        rules.append(
            f".series .of-{count} {{ grid-template-columns: repeat({fewest}, minmax(0, 1fr)); }}\n"
        )
        for across in sorted({ceil(count / rows) for rows in range(1, count + 1)}):
            if across > 2 and count % across != 1:
                least = across * (SMALLEST_SIDE + GAP) - GAP + AROUND
                rules.append(
                    f"@media (min-width: {least}px) {{ .series .of-{count} "
                    f"{{ grid-template-columns: repeat({across}, minmax(0, 1fr)); }} }}\n"
                )
    return "".join(rules)


def make_series_view(series: Series) -> SeriesView:
    """Turn a series into what the template needs."""
    words = words_for(series.target_name, series.spec)
    wanted = [answer_text(answer, series.spec) for answer in series.wanted.tolist()]
    of = f"a {words.measure} of" if words.symbol == "p" else words.measure
    frames = zip(
        series.frames,
        series.answers.tolist(),
        wanted,
        frame_captions(series),
        series.reached.tolist(),
        strict=True,
    )
    return SeriesView(
        f"What would {of} {wanted[-1]} look like?",
        tuple(
            SeriesFrame(
                data_uri(shrink(intensity_picture(image), LARGEST_SIDE)),
                caption.replace("not ", "not\u00a0"),
                f"{series.name}: redrawn for {words.measure} {goal}, "
                + ("" if reached else "not reached, an earlier frame again, ")
                + f"answer {answer_text(answer, series.spec)}",
                reached,
            )
            for image, answer, goal, caption, reached in frames
        ),
    )
