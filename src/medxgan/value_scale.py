"""A graded answer on the scale of all scores: 0.5 is the decision, 0 and 1 the range's ends."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

SURE = 0.95
EVIDENCE_A_SCORE = math.log(SURE / (1 - SURE)) / (SURE - 0.5)
"""Evidence for one unit of score: at 0.05, 0.5 and 0.95 it equals a probability's log-odds."""


@dataclass(frozen=True)
class ValueScale:
    """Where a value lies between the ends of its range, and on which side of the decision.

    Straight from ``low`` (score 0) to ``threshold`` (0.5), and from there to ``high`` (1); beyond
    the ends it goes on as straight, so that no gradient ends there and no answer is hidden.

    Attributes:
        low: lower end of the range, in units of the value.
        threshold: from here on a value counts as positive; the middle unless a user says otherwise.
        high: upper end.

    >>> scale = ValueScale(0.0, 1.0, 4.0)
    >>> scale.score(torch.tensor([0.0, 1.0, 2.5, 4.0])).tolist()
    [0.0, 0.5, 0.75, 1.0]
    >>> scale.value(0.75), scale.text(0.75)
    (2.5, '2.50')
    """

    low: float
    threshold: float
    high: float

    def score(self, values: Tensor) -> Tensor:
        """Values of any shape -> scores: 0 at ``low``, 0.5 at ``threshold``, 1 at ``high``."""
        above, below = self.high - self.threshold, self.threshold - self.low
        side = torch.where(values >= self.threshold, above, below)
        return 0.5 + (values - self.threshold) / (2 * side)

    def evidence(self, values: Tensor) -> Tensor:
        """What stands for log-odds: a straight function of the score, 0 at ``threshold``.

        A value has no odds. The logit of its score would stretch the ends of the range, and a
        direction fitted to it would explain the logit rather than the value; this stays in
        proportion to the value and never saturates.

        >>> ValueScale(0.0, 2.0, 4.0).evidence(torch.tensor([2.0, 3.8])).sigmoid()
        tensor([0.5000, 0.9500])
        """
        return EVIDENCE_A_SCORE * (self.score(values) - 0.5)

    def value(self, score: float) -> float:
        """The value of a score.

        >>> ValueScale(0.0, 2.0, 4.0).value(0.25)
        1.0
        """
        side = self.high - self.threshold if score >= 0.5 else self.threshold - self.low
        return self.threshold + (score - 0.5) * 2 * side

    def values(self, scores: Tensor) -> Tensor:
        """The values of scores of any shape."""
        above, below = self.high - self.threshold, self.threshold - self.low
        side = torch.where(scores >= 0.5, above, below)
        return self.threshold + (scores - 0.5) * 2 * side

    def text(self, score: float) -> str:
        """The value of a score as people read it, to about a hundredth of the range."""
        return self.number(self.value(score))

    def number(self, value: float) -> str:
        """A value as people read it.

        >>> ValueScale(0.0, 50.0, 100.0).number(12.3), ValueScale(0.0, 0.5, 1.0).number(-0.001)
        ('12', '0.00')
        """
        decimals = max(0, 2 - math.floor(math.log10(self.high - self.low)))
        return f"{round(value, decimals) + 0.0:.{decimals}f}"
