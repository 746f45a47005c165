"""What an audit finds."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from medxgan.audit.settings import AuditSettings
from medxgan.metrics.bootstrap import Summary

Kind = Literal["suspicious", "recurring", "spread"]
Verdict = Literal["suspicious", "recurring", "nothing found", "too few images"]


@dataclass(frozen=True)
class Region:
    """One place where explanations fall.

    Attributes:
        number: 1 is the most remarkable.
        kind: ``suspicious``: it recurs, and changing it alone flips more answers than the rule
            lets pass. ``recurring``: it recurs, but changing it alone flips few. ``spread``: no
            more than differing lesions account for.
        pixels: bool ``[H, W]``.
        box: first row, first column, last row, last column.
        touched: share of the explanations that touch any of its pixels.
        peak: share of the patients whose explanations touch its most touched pixel.
        counted: the same without explanations that are on their image's own lesion there.
        chance: that some place is touched as often by chance, corrected for looking everywhere.
        flips: share of the explained images whose answer flips when this place alone is changed.
        relied_on: share of the patients for which both hold: its pixel where most do so is touched
            and counts, and changing the place alone flips the answer.
        change: mean of x̂ - x⁻ in the place, units of intensity; positive = brighter in positives.
        magnitude: mean of abs(x̂ - x⁻) in the place.
        on_lesion: share of the explanations that touch it whose own lesion mask reaches it;
            without a value where there are no masks.
        examples: rows of the cohort where most of the evidence lies here.
    """

    number: int
    kind: Kind
    pixels: Tensor
    box: tuple[int, int, int, int]
    touched: Summary
    peak: float
    counted: float
    chance: float
    flips: Summary
    relied_on: float
    change: float
    magnitude: float
    on_lesion: Summary
    examples: tuple[int, ...]

    @property
    def area(self) -> int:
        """Pixels."""
        return int(self.pixels.sum())


@dataclass(frozen=True)
class MethodAudit:
    """What the maps of one method show.

    Attributes:
        method: name of the method.
        verdict: in one phrase.
        n: explanations that were looked at.
        failed: explanations whose map held NaN, left out.
        patients: groups that they belong to.
        mean: mean evidence ``[H, W]``, in the units of the method.
        share: of the patients whose explanations touch a place, ``[H, W]``.
        counted: the same without what lies on the images' own lesions, if that is excused.
        even: the counted share that an even spread would give.
        critical: the counted share from which on a place recurs.
        places: pixels that were tested.
        regions: the most remarkable first.
    """

    method: str
    verdict: Verdict
    n: int
    failed: int
    patients: int
    mean: Tensor
    share: Tensor
    counted: Tensor
    even: float
    critical: float
    places: int
    regions: tuple[Region, ...]

    @property
    def suspicious(self) -> tuple[Region, ...]:
        """The regions that are suspicious."""
        return tuple(region for region in self.regions if region.kind == "suspicious")


@dataclass(frozen=True)
class Audit:
    """What was found in a cohort.

    Attributes:
        target: name of the explained class.
        settings: of the audit.
        images: in the data set.
        positives: called positive.
        negatives: called negative.
        explained: positives that were explained.
        flipped: of these, those whose change crosses the decision on the redrawn image.
        transferred: of these, those that are negative with the whole change made on the original;
            where they are few, no place alone can flip many, relied on or not.
        sound: of these, those whose explanation passed all checks.
        masks: of these, those whose lesion mask is known.
        excused: whether what lies on the image's own lesion was not counted.
        mean_image: mean of the explained images ``[C, H, W]``.
        methods: what the maps of each method show; the first one gives the verdict.
        skipped: method -> why it could not be computed.
    """

    target: str
    settings: AuditSettings
    images: int
    positives: int
    negatives: int
    explained: int
    flipped: int
    transferred: int
    sound: int
    masks: int
    excused: bool
    mean_image: Tensor
    methods: tuple[MethodAudit, ...]
    skipped: dict[str, str]

    @property
    def judge(self) -> MethodAudit:
        """The method whose verdict counts."""
        return self.methods[0]

    @property
    def verdict(self) -> Verdict:
        """Of the first method."""
        return self.judge.verdict
