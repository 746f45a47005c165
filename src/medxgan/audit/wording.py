"""What was found, in careful words: a place that recurs is a hint, not a proof."""

from medxgan.audit.results import Audit, MethodAudit, Region
from medxgan.audit.settings import FEWEST, Rule
from medxgan.metrics.bootstrap import Summary

VERTICAL = ("upper", "middle", "lower")
HORIZONTAL = ("left", "middle", "right")
ABLE = 0.5
"""Share of the originals that the whole change must flip, or else a part of it tells nothing."""


def percent(share: float | None) -> str:
    """A share as people say it; never 0 or 100 % for what is not.

    >>> [percent(share) for share in (0.5, 0.004, 0.0, 0.998, 1.0, None)]
    ['50 %', 'under 1 %', '0 %', 'over 99 %', '100 %', 'unknown']
    """
    if share is None:
        return "unknown"
    if 0 < share < 0.01:
        return "under 1 %"
    if 0.99 < share < 1:
        return "over 99 %"
    return f"{100 * share:.0f} %"


def with_interval(figure: Summary, unknown: str = "unknown") -> tuple[str, str]:
    """A share, and its 95 % interval.

    >>> with_interval({"value": 0.5, "low": 0.4, "high": 0.6, "n": 90, "n_missing": 0})
    ('50 %', '40 to 60 %')
    """
    low, high = figure["low"], figure["high"]
    if figure["value"] is None or low is None or high is None:
        return unknown, ""
    return percent(figure["value"]), f"{100 * low:.0f} to {100 * high:.0f} %"


def where(region: Region) -> str:
    """A place in words, and in pixels counted from 0."""
    height, width = region.pixels.shape
    return place_words(region.box, height, width)


def place_words(box: tuple[int, int, int, int], height: int, width: int) -> str:
    """The box of a place, first row, first column, last row, last column, in words.

    >>> place_words((2, 2, 6, 5), 32, 32), place_words((12, 14, 18, 17), 32, 32)
    ('upper left (rows 2 to 6, columns 2 to 5)', 'middle (rows 12 to 18, columns 14 to 17)')
    """
    top, left, bottom, right = box
    vertical = VERTICAL[3 * (top + bottom + 1) // (2 * height)]
    horizontal = HORIZONTAL[3 * (left + right + 1) // (2 * width)]
    words = "middle" if vertical == horizontal else f"{vertical} {horizontal}"
    return f"{words} ({_span('row', top, bottom)}, {_span('column', left, right)})"


def _span(noun: str, first: int, last: int) -> str:
    return f"{noun} {first}" if first == last else f"{noun}s {first} to {last}"


def sentence(audit: Audit, found: MethodAudit) -> str:
    """The verdict of one method in a sentence or two."""
    target, rule, excused = audit.target, audit.settings.rule, audit.excused
    who = "explanations" if found.patients == found.n else "patients' explanations"
    place = "one place outside of their own lesion" if excused else "one place"
    if found.verdict == "too few images":
        return (
            f"Only {found.patients} explained positive(s) or patients; below {FEWEST} nothing can "
            "be said of what recurs. Give more images of the class."
        )
    if found.verdict == "nothing found":
        return _nothing(found, who, rule, excused=excused)
    region = found.regions[0]
    others = sum(other.kind == region.kind for other in found.regions[1:])
    more = f" ({others} more place(s) likewise)" if others else ""
    touched = (
        f"{percent(region.counted)} of {found.patients} {who} touch {place}, "
        f"{where(region)}{more}, where an even spread would give {percent(found.even)}"
    )
    if found.verdict == "suspicious":
        return (
            f"{touched}; and changing that place alone flips {percent(region.flips['value'])} of "
            f"the answers. The classifier may decide '{target}' by something that is always "
            "there, such as a marker: a hint, not a proof; look at the examples."
        )
    return (
        f"{touched}; but changing that place alone flips only "
        f"{percent(region.flips['value'])} of the answers. It may be a habit of the generator, or "
        "one cue among several: no shortcut is shown, look at the examples."
    ) + _power(audit)


def _power(audit: Audit) -> str:
    """A warning where changing a place could hardly have flipped anything."""
    share = audit.transferred / audit.explained
    if share >= ABLE:
        return ""
    return (
        f" Nor can it be ruled out: even the whole change flips only {percent(share)} of the "
        "originals, so this generator is too weak to ask with; train it longer."
    )


def _nothing(found: MethodAudit, who: str, rule: Rule, *, excused: bool) -> str:
    if found.critical > 1:
        return (
            f"The maps are so wide, or the {found.patients} {who} so few, that even a place that "
            "all of them touch would not be told from chance."
        )
    outside = ", outside of their own lesions," if excused else ""
    return (
        f"No place is touched{outside} by {percent(found.critical)} of {found.patients} {who} or "
        f"more ({percent(float(found.counted.max()))} at most), so none recurs at a false-alarm "
        f"level of {percent(rule.level)}. That does not show that there is no shortcut: one "
        "that moves about, or that fewer images carry, is not seen."
    )


def rule_sentences(audit: Audit) -> list[str]:
    """How places are judged, for readers of the page."""
    rule = audit.settings.rule
    sentences = [
        "An explanation touches the strongest pixels that together carry "
        f"{percent(rule.evidence)} of its evidence (absolute values).",
        f"A place recurs if more explanations touch it than chance allows, each touching it with "
        f"a probability of at most {rule.tolerance:g} times that of an even spread over all "
        f"pixels where the images differ, or of {percent(rule.habit)} where that is more: "
        "anatomy has places that lesions prefer.",
        f"The count is tested (Poisson-binomial), corrected for looking at every pixel: false "
        f"alarms in at most {percent(rule.level)} of such cohorts. A patient counts as the share "
        "of their images, by a bound that is wider.",
        "A place that recurs is suspicious if the same count is reached by the explanations that "
        "touch it and whose answer flips when this place alone (with a narrow rim) is changed on "
        "the original, as the generator would change it. Otherwise it is only called recurring.",
        "Any other place where explanations fall at least twice as often as an even spread would "
        "is listed as spread.",
    ]
    if audit.excused:
        sentences.append(
            "Lesion masks are known: what an explanation touches on its own image's lesion (with "
            "a narrow rim) does not count."
        )
    return sentences
