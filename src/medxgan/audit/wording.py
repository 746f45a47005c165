"""What was found, in careful words: a place that recurs is a hint, not a proof."""

from collections.abc import Sequence

from medxgan.audit.results import Audit, Box, MethodAudit, Region
from medxgan.audit.settings import FEWEST, Rule
from medxgan.audit.trust import Trust
from medxgan.explain import METHODS
from medxgan.metrics.bootstrap import Summary

VERTICAL = ("upper", "middle", "lower")
HORIZONTAL = ("left", "middle", "right")
ABLE = 0.5
"""Share of the originals that the whole change must flip, or else a part of it tells nothing."""
FLIPS_ALONE = (
    "The answers that flip when the generator's change is made in this place of the original "
    "alone, with a narrow rim. Where the generator changes nothing, nothing flips, whatever the "
    "classifier relies on."
)
SPREAD = (
    "Not a finding: explanations fall there at least twice as often as an even spread would, but "
    "not so often that lesions in differing places could not account for it."
)


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


def place_words(box: Box, height: int, width: int) -> str:
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


def conclusion(audit: Audit) -> list[str]:
    """The verdict on a cohort, in the order in which it must be read.

    First whether the explanations can be trusted at all, then where maps that need no generator
    agree, if the generator settles nothing, then what the first method shows.
    """
    hint = _hint(audit) if audit.verdict != "suspicious" else ""
    found = sentence(audit, audit.judge)
    if audit.verdict == "inconclusive":
        found = f"For the record, {METHODS[audit.judge.method].title}: {found}"
    return [part for part in (trust_sentence(audit.trust), hint, found) if part]


def trust_sentence(trust: Trust) -> str:
    """What to know and to do before anything else; empty where enough can be trusted."""
    if not trust.few:
        return ""
    kind, count = next(iter(trust.problems.items()))
    share = f"{count} of {trust.explained}" if count < trust.explained else "all of them"
    who = f"{f'Only {trust.trusted}' if trust.trusted else 'None'} of {trust.explained}"
    noun = "explanations" if trust.explained > 1 else "explanation"
    said = f"{who} {noun} can be trusted (most common reason: {kind}, in {share})"
    if trust.images_unlike:
        return (
            f"{said}: these images look unlike those that the bundle was trained on. Train a "
            "bundle on images like these, and audit with that one."
        )
    return (
        f"{said}: the bundle has not learned these images and the classifier's answers to them "
        "well enough. Train it for longer, or with more images."
    )


def _hint(audit: Audit) -> str:
    """Where the maps that need no generator agree; empty where they do not."""
    if not audit.agreements:
        return ""
    agreed, *others = audit.agreements
    height, width = agreed.pixels.shape
    names = _listed([METHODS[method].title for method in agreed.shares])
    shares = _listed([percent(share) for share in agreed.shares.values()])
    more = f" ({len(others)} more place(s) likewise)" if others else ""
    return (
        f"{names}, whose maps need no generator, agree on one place, "
        f"{place_words(agreed.box, height, width)}{more}: {shares} of their maps touch "
        "it. That is a hint that the classifier may rely on it, not a proof."
    )


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def sentence(audit: Audit, found: MethodAudit) -> str:
    """What the maps of one method show, in a sentence or two."""
    target, rule, excused = audit.target, audit.settings.rule, audit.excused
    who = "explanations" if found.patients == found.n else "patients' explanations"
    place = "one place outside of their own lesion" if excused else "one place"
    if found.verdict == "too few images":
        return (
            f"Only {found.patients} explained positive(s) or patients; below {FEWEST} nothing can "
            "be said of what recurs. Give more images of the class; --split all takes those of "
            "every split."
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
    flips = f"the generator's change in that place alone flips {percent(region.flips['value'])}"
    if found.verdict == "suspicious":
        return (
            f"{touched}; and {flips} of the answers. The classifier may decide '{target}' by "
            "something that is always there, such as a marker: a hint, not a proof; look at the "
            "examples."
        )
    return (
        f"{touched}; but {flips} of the answers. It may be a habit of the generator, or one cue "
        "among several: no shortcut is shown, look at the examples."
    ) + _power(audit)


def _power(audit: Audit) -> str:
    """A warning where changing a place could hardly have flipped anything."""
    share = audit.transferred / audit.explained
    if share >= ABLE:
        return ""
    blame = (
        "" if audit.trust.few else ", so this generator is too weak to ask with; train it longer"
    )
    return (
        f" Nor can it be ruled out: even the generator's whole change flips {percent(share)} "
        f"of the originals{blame}."
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


def terms(audit: Audit) -> dict[str, str]:
    """What the words of an audit mean, each in a sentence, for readers of page and terminal."""
    rule = audit.settings.rule
    own_lesion = (
        " What it touches on its own image's known lesion, with a narrow rim, does not count."
        if audit.excused
        else " Lesion masks are unknown or ignored, so all that is touched counts."
    )
    return {
        "trusted": "No check of the explanation failed: its status is OK. As long as no more than "
        f"{percent(rule.habit)} are not, they cannot make up a place by themselves; with more, the "
        "verdict is inconclusive unless a place is suspicious.",
        "touched": "An explanation touches the strongest pixels that together carry "
        f"{percent(rule.evidence)} of its evidence (absolute values).",
        "counted": f"Touched, as far as it counts towards the test.{own_lesion}",
        "even spread": "The share that would touch any given pixel if explanations fell anywhere "
        "alike where the images differ.",
        "recurring": "More explanations touch the place than chance allows, where each touches it "
        f"with a probability of at most {rule.tolerance:g} times that of an even spread, or of "
        f"{percent(rule.habit)} where that is more: anatomy has places that lesions prefer. The "
        "count is tested (Poisson-binomial) and corrected for looking at every pixel, so that "
        f"at most {percent(rule.level)} of such cohorts raise a false alarm. A patient counts as "
        "the share of their images, by a wider bound.",
        "flips alone": FLIPS_ALONE,
        "both": "Touched and counted there, and the answer flips alone.",
        "suspicious": "The place recurs, and those of which both holds are as many as recurrence "
        "takes: the classifier seems to rely on it.",
        "spread": SPREAD,
    }


def legend(audit: Audit) -> list[str]:
    """Lines under the tables of the terminal: the words that are most easily misread."""
    kinds = {region.kind for found in audit.methods for region in found.regions}
    lines = [f"Flips alone: {FLIPS_ALONE}"] if kinds else []
    return [*lines, f"Spread: {SPREAD}"] if "spread" in kinds else lines
