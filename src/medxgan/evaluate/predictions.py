"""How the classifier's answers compare with the labels."""

import numpy as np
from numpy.typing import NDArray


def count_predictions(
    called: NDArray[np.bool_], labels: NDArray[np.int64], target: int
) -> dict[str, int | str | None]:
    """How the classifier's answers compare with the labels, in images.

    Args:
        called: what the classifier calls positive, ``[N]``.
        labels: class indices ``[N]``, -1 = unlabelled.
        target: index of the explained class.

    >>> counts = count_predictions(np.array([True, True, False]), np.array([1, 0, 1]), target=1)
    >>> counts["detected"], counts["false_alarms"], counts["missed"]
    (1, 1, 1)
    """
    labelled, positive = labels >= 0, labels == target
    counts: dict[str, int | str | None] = {
        "called_positive": int(called.sum()),
        "called_negative": int((~called).sum()),
        "unlabelled": int((~labelled).sum()),
    }
    if not labelled.any():
        unknown = dict.fromkeys(("detected", "missed", "false_alarms"))
        return {**counts, **unknown, "reason": "no image is labelled"}
    return {
        **counts,
        "detected": int((called & positive).sum()),
        "missed": int((~called & positive).sum()),
        "false_alarms": int((called & labelled & ~positive).sum()),
    }
