"""Do the attributions along the film add up to the change of the score?"""

from collections.abc import Mapping

from torch import Tensor

from medxgan.evaluate.columns import Columns
from medxgan.metrics.faithfulness import completeness_error

COMPLETE_METHODS = ("lig", "lig-published")


def completeness_columns(maps: Mapping[str, Tensor], probabilities: Tensor) -> Columns:
    """By what share do attributions along the film miss the change of the score?

    Args:
        maps: method -> evidence ``[N, C, H, W]``; those of ``COMPLETE_METHODS`` are measured.
        probabilities: C from the negative to the positive end, ``[T, N]``.
    """
    start, end = probabilities[0].cpu(), probabilities[-1].cpu()
    return {
        ("completeness", method, "mean"): completeness_error(maps[method], start, end)
        for method in COMPLETE_METHODS
        if method in maps
    }
