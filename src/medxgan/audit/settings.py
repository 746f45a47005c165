"""What an audit looks at, and by which rule it judges."""

from dataclasses import dataclass

from medxgan.errors import ConfigError
from medxgan.explain import METHODS, check_methods

DEFAULT_METHODS = ("difference", "lig-transferred", "ig", "grad-cam")
FEWEST = 10
"""Positives (or their patients) below which nothing is said."""


@dataclass(frozen=True)
class Rule:
    """When a place recurs. Chosen on phantoms of other seeds than the benchmark's, then frozen.

    Attributes:
        evidence: an explanation touches the strongest pixels that carry this share of it.
        level: largest probability of a false alarm, in a cohort that keeps to the two limits below.
        tolerance: anatomy makes some places likelier than others; up to so many times an even
            spread is no recurrence.
        habit: nor is a place that no more than this share of the explanations touch: lesions have
            places that they prefer.
    """

    evidence: float = 0.5
    level: float = 0.01
    tolerance: float = 4.0
    habit: float = 1 / 3


@dataclass(frozen=True)
class AuditSettings:
    """How a cohort is audited.

    Attributes:
        methods: whose maps are looked at, names of ``medxgan.explain.METHODS``; the first one
            gives the verdict, the others stand beside it.
        most: positives that are explained at most; more are drawn at random.
        steps: of the methods that integrate.
        masks: do not count what an explanation touches on the image's own lesion mask.
        seed: of the draw.
        rule: when a place recurs.

    >>> AuditSettings(methods=("lig", "ig")).most
    500
    """

    methods: tuple[str, ...] = DEFAULT_METHODS
    most: int = 500
    steps: int = 16
    masks: bool = True
    seed: int = 0
    rule: Rule = Rule()

    def __post_init__(self) -> None:
        check_methods(self.methods)
        if not self.methods:
            raise ConfigError(f"an audit needs at least one method; choose from {tuple(METHODS)}")
        for name, value, least in (
            ("most", self.most, FEWEST),
            ("steps", self.steps, 1),
            ("seed", self.seed, 0),
        ):
            if value < least:
                raise ConfigError(f"{name} must be at least {least}, got {value}")
