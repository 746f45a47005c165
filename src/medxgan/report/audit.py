"""An audit as one HTML page that needs nothing outside itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medxgan.report.audit_pictures import HOW_MUCH, HOW_OFTEN, AmountColours, amount_table
from medxgan.report.page import environment, gradient_rules, policy, source
from medxgan.report.wording import fact_text

GRADIENT_STOPS = 17


@dataclass(frozen=True)
class Example:
    """One image that touches a place: as given, its map, and changed at this place alone.

    Attributes:
        name: of the image.
        image: address of the original.
        evidence: address of the map.
        changed: address of the original, changed at this place alone.
        score: of the original, as text.
        score_changed: of the changed image.
        flipped: whether the answer flipped.
        lesion: outline of the lesion mask as an SVG path; empty where there is none.
    """

    name: str
    image: str
    evidence: str
    changed: str
    score: str
    score_changed: str
    flipped: bool
    lesion: str


@dataclass(frozen=True)
class Place:
    """A row of the table of places.

    Attributes:
        number: as in the maps.
        kind: ``suspicious``, ``recurring`` or ``spread``.
        where: in words.
        cells: the figures, in the order of ``PLACE_COLUMNS``: each with a note, or an empty one.
        outline: SVG path along the edges of its pixels.
        label: middle of its number in the maps: x, y, pixels.
        examples: images that touch it.
    """

    number: int
    kind: str
    where: str
    cells: Sequence[tuple[str, str]]
    outline: str
    label: tuple[float, float]
    examples: Sequence[Example]


PLACE_COLUMNS = (
    ("area", "pixels"),
    ("touched by", "of the explanations"),
    ("most touched pixel", "of the explanations"),
    ("counted", "the same, off the own lesion"),
    ("by chance", "as often anywhere"),
    ("flips alone", "answers, by the generator's change here only"),
    ("both", "touched, and flips alone"),
    ("change", "mean of positive − negative"),
    ("on the lesion", "of the explanations that touch it"),
)


@dataclass(frozen=True)
class MethodPart:
    """What the maps of one method show.

    Attributes:
        label: name of the method.
        verdict: in one phrase.
        sentence: the same in one sentence.
        mean: address of the mean map.
        mean_end: end of its colour bar.
        share: address of the map of touch shares.
        share_end: end of its colour bar.
        facts: limits of the rule, by name.
        places: the most remarkable first.
    """

    label: str
    verdict: str
    sentence: str
    mean: str
    mean_end: str
    share: str
    share_end: str
    facts: Mapping[str, str]
    places: Sequence[Place]


@dataclass(frozen=True)
class AuditPage:
    """All that the page shows.

    Attributes:
        title: heading.
        target: the explained class.
        warning: what the bundle says of itself, where it explains badly.
        verdict: on the cohort, in one phrase.
        conclusion: the same in sentences, a paragraph each; what must be known first comes first.
        tiles: heading, figure and note of each tile.
        mean_image: address of the mean of the explained images.
        size: width and height of all pictures, pixels.
        methods: the one that gives the verdict first.
        skipped: method -> why it could not be computed.
        terms: what the words of the page mean, a sentence each, by word.
        facts: of bundle and data.
    """

    title: str
    target: str
    warning: str | None
    verdict: str
    conclusion: Sequence[str]
    tiles: Sequence[tuple[str, str, str]]
    mean_image: str
    size: tuple[int, int]
    methods: Sequence[MethodPart]
    skipped: Mapping[str, str]
    terms: Mapping[str, str]
    facts: Mapping[str, object]


def render_audit(page: AuditPage) -> str:
    """One self-contained HTML page: no request leaves it, and its policy allows none."""
    style = source("report.css") + source("audit.css") + gradient_rules() + _amount_rules()
    return (
        environment()
        .get_template("audit.html.j2")
        .render(
            page=page,
            columns=PLACE_COLUMNS,
            facts={name: fact_text(value) for name, value in page.facts.items()},
            style=style,
            policy=policy(style, ""),
        )
    )


def _amount_rules() -> str:
    """Style of the colour bars of maps of amounts."""
    rules = []
    names: dict[str, AmountColours] = {"much": HOW_MUCH, "often": HOW_OFTEN}
    for name, colours in names.items():
        table = amount_table(colours)
        picked = [table[round(254 * stop / (GRADIENT_STOPS - 1))] for stop in range(GRADIENT_STOPS)]
        stops = ", ".join(f"rgb({red} {green} {blue})" for red, green, blue in picked)
        rules.append(f".bar.{name} {{ background: linear-gradient(to right, {stops}); }}\n")
    return "".join(rules)
