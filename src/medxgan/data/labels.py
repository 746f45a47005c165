"""Labels: from what a user writes to class indices."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medxgan.errors import DataError

UNLABELLED = -1
MOST_CLASSES = 1000
HEALTHY_NAMES = frozenset({"negative", "normal", "healthy", "control", "benign", "no", "none"})
"""Names of the class without the finding: it comes first, since the last class is explained."""

Labels = NDArray[np.int64]


def whole_labels(values: NDArray[Any], where: str) -> Labels:
    """Class indices ``[N]`` or ``[N, 1]`` of any numeric type -> int64 ``[N]``; -1 = unlabelled.

    Raises:
        DataError: not one whole number from -1 to 999 an image; ``where`` says what was read.

    >>> whole_labels(np.array([[1.0], [0.0], [-1.0]]), "key 'labels'")
    array([ 1,  0, -1])
    """
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise DataError(
            f"{where} must hold one class index an image, shape [N] or [N, 1], "
            f"got {list(values.shape)}; choose one column of several"
        )
    if values.dtype.kind not in "buif":
        raise DataError(
            f"{where} must hold whole numbers (0, 1, ... or -1 = unlabelled), "
            f"got {values.dtype}; put the names into 'class_names'"
        )
    wrong = ~((values >= UNLABELLED) & (values < MOST_CLASSES))
    if values.dtype.kind == "f":
        wrong |= values != np.floor(values)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{where} must hold whole numbers from 0 to {MOST_CLASSES - 1}, or -1 = unlabelled, "
            f"got {values[row]} in row {row}"
        )
    return values.astype(np.int64)


def text_labels(values: Sequence[str], where: str) -> tuple[Labels, tuple[str, ...]]:
    """Labels written as text ``[N]`` -> class indices and class names.

    Numbers are indices ("1" and "1.0" alike), other words are names; empty = unlabelled.

    Raises:
        DataError: numbers that are not whole; ``where`` says what was read.

    >>> text_labels(["tumour", "", "healthy"], "column 'label'")
    (array([ 1, -1,  0]), ('healthy', 'tumour'))
    >>> text_labels(["1.0", "0", "-1"], "column 'label'")
    (array([ 1,  0, -1]), ('negative', 'positive'))
    """
    written = [value for value in values if value]
    try:
        numbers = np.array([float(value or UNLABELLED) for value in values])
    except ValueError:
        return named_labels(values)
    if not written:
        return numbers.astype(np.int64), ()
    labels = whole_labels(numbers, where)
    return labels, default_class_names(labels)


def named_labels(values: Sequence[str]) -> tuple[Labels, tuple[str, ...]]:
    """Class names ``[N]`` -> class indices and the sorted names; empty = unlabelled.

    A name that says "nothing found" comes first, numbers count as numbers.

    >>> named_labels(["abnormal", "normal", ""])[1]
    ('normal', 'abnormal')
    >>> named_labels(["grade10", "grade2"])[1]
    ('grade2', 'grade10')
    """
    names = tuple(sorted({value for value in values if value}, key=_class_order))
    index = {name: position for position, name in enumerate(names)} | {"": UNLABELLED}
    return np.array([index[value] for value in values], dtype=np.int64), names


def default_class_names(labels: Labels) -> tuple[str, ...]:
    """Names for classes that have none.

    >>> default_class_names(np.array([0, 1, 0]))
    ('negative', 'positive')
    >>> default_class_names(np.array([0, 2]))
    ('0', '1', '2')
    """
    count = int(labels.max(initial=UNLABELLED)) + 1
    if count == 0:
        return ()
    return ("negative", "positive") if count <= 2 else tuple(map(str, range(count)))


def _class_order(name: str) -> tuple[bool, list[tuple[int, str]], str]:
    """Healthy names first, then natural order (2 before 10)."""
    words = re.findall(r"\d+|\D+", name.lower())
    return (
        name.lower() not in HEALTHY_NAMES,
        [(int(word), "") if word.isdigit() else (MOST_CLASSES, word) for word in words],
        name,
    )
