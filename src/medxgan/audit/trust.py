"""How many explanations of a cohort passed their checks, and what the others lack."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from medxgan.types import ProblemKind, Status

UNLIKE: frozenset[ProblemKind] = frozenset({"poor reconstruction", "code outside the prior"})
"""Problems of an image that is unlike those that the bundle learned from: their limits are what
99 % of such images keep to."""


@dataclass(frozen=True)
class Trust:
    """How far the explanations of a cohort can be trusted, by the status of each.

    Attributes:
        explained: explanations.
        trusted: of these, those that no check found wrong.
        problems: kind of problem -> explanations that have it, the most common kind first.
        unlike: explanations of an image that is unlike those that the bundle was trained on.
        limit: from more than this share of untrusted explanations on they are too many.
    """

    explained: int
    trusted: int
    problems: dict[ProblemKind, int]
    unlike: int
    limit: float

    @property
    def few(self) -> bool:
        """Whether too few explanations can be trusted to say what recurs."""
        return self.explained - self.trusted > self.limit * self.explained

    @property
    def images_unlike(self) -> bool:
        """Whether they are too few because of the images: half of the untrusted are of such."""
        return self.few and 2 * self.unlike >= self.explained - self.trusted


def judge_trust(statuses: Sequence[Status], limit: float) -> Trust:
    """Count what the statuses of a cohort say.

    Args:
        statuses: of the explanations.
        limit: share of untrusted explanations that is let pass. An audit gives its rule's
            ``habit``: a place that no more explanations touch does not recur, so that so many
            untrusted ones cannot make one up by themselves.

    >>> trust = judge_trust([Status()] * 3, limit=1 / 3)
    >>> trust.trusted, trust.few, trust.images_unlike
    (3, False, False)
    """
    kinds = [{problem.kind for problem in status.problems} for status in statuses]
    return Trust(
        explained=len(kinds),
        trusted=sum(not of_one for of_one in kinds),
        problems=dict(Counter(kind for of_one in kinds for kind in sorted(of_one)).most_common()),
        unlike=sum(not UNLIKE.isdisjoint(of_one) for of_one in kinds),
        limit=limit,
    )
