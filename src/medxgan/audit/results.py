"""What an audit finds."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from medxgan.audit.settings import AuditSettings
from medxgan.audit.trust import Trust
from medxgan.explain import METHODS
from medxgan.metrics.bootstrap import Summary

Kind = Literal["suspicious", "recurring", "spread"]
Verdict = Literal["suspicious", "recurring", "nothing found", "too few images"]
Conclusion = Literal[Verdict, "inconclusive"]
Box = tuple[int, int, int, int]


def bounding_box(pixels: Tensor) -> Box:
    """First row, first column, last row and last column of a place, bool ``[H, W]``, not empty.

    >>> import torch
    >>> bounding_box(torch.tensor([[False, True], [False, True]]))
    (0, 1, 1, 1)
    """
    where = pixels.nonzero()
    (top, left), (bottom, right) = where.amin(dim=0).tolist(), where.amax(dim=0).tolist()
    return top, left, bottom, right


@dataclass(frozen=True)
class Region:
    """One place where explanations fall.

    Attributes:
        number: 1 is the most remarkable.
        kind: ``suspicious``: it recurs, and changing it alone flips more answers than the rule
            lets pass. ``recurring``: it recurs, but changing it alone flips few. ``spread``: no
            finding, for differing lesions could account for it.
        pixels: bool ``[H, W]``.
        box: as ``bounding_box`` gives it.
        touched: share of the explanations that touch any of its pixels.
        peak: share of the patients whose explanations touch its most touched pixel.
        counted: the same without explanations that are on their image's own lesion there.
        chance: that some place is touched as often by chance, corrected for looking everywhere.
        flips: share of the explained images whose answer flips when the generator's change is
            made in this place alone.
        relied_on: share of the patients for which both hold: its pixel where most do so is touched
            and counts, and the generator's change there alone flips the answer.
        change: mean of x̂ - x⁻ in the place, units of intensity; positive = brighter in positives.
        magnitude: mean of abs(x̂ - x⁻) in the place.
        on_lesion: share of the explanations that touch it whose own lesion mask reaches it;
            without a value where there are no masks.
        examples: rows of the cohort where most of the evidence lies here.
    """

    number: int
    kind: Kind
    pixels: Tensor
    box: Box
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
    def generated(self) -> bool:
        """Whether its maps come from what the generator draws."""
        return "latent" in METHODS[self.method].needs

    @property
    def suspicious(self) -> tuple[Region, ...]:
        """The regions that are suspicious."""
        return tuple(region for region in self.regions if region.kind == "suspicious")


@dataclass(frozen=True)
class Agreement:
    """A place that recurs in the maps of several methods, none of which uses the generator.

    Attributes:
        pixels: bool ``[H, W]``, of all of them together.
        shares: method -> share of the patients whose explanations touch its most touched pixel
            there, as far as it counts.
    """

    pixels: Tensor
    shares: dict[str, float]

    @property
    def box(self) -> Box:
        """First row, first column, last row, last column."""
        return bounding_box(self.pixels)


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
        trust: how many of these passed all checks, and what the others lack.
        masks: of these, those whose lesion mask is known.
        excused: whether what lies on the image's own lesion was not counted.
        mean_image: mean of the explained images ``[C, H, W]``.
        methods: what the maps of each method show; the first one gives the verdict.
        agreements: places on which the methods that need no generator agree.
        skipped: method -> why it could not be computed.
        warning: what the bundle says of itself, where it explains badly.
    """

    target: str
    settings: AuditSettings
    images: int
    positives: int
    negatives: int
    explained: int
    flipped: int
    transferred: int
    trust: Trust
    masks: int
    excused: bool
    mean_image: Tensor
    methods: tuple[MethodAudit, ...]
    agreements: tuple[Agreement, ...]
    skipped: dict[str, str]
    warning: str | None

    @property
    def judge(self) -> MethodAudit:
        """The method whose verdict counts."""
        return self.methods[0]

    @property
    def verdict(self) -> Conclusion:
        """Of the first method; inconclusive if that takes more trust than the cohort deserves.

        A suspicious place remains so: the classifier itself has answered otherwise there.
        """
        judge = self.judge
        asks_generator = judge.verdict == "recurring" or (
            judge.verdict == "nothing found" and judge.generated
        )
        return "inconclusive" if self.trust.few and asks_generator else judge.verdict
