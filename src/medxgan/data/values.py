"""Values: a number an image, such as a severity, for models whose answer is a number."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medxgan.errors import DataError

Values = NDArray[np.float32]
"""float32 ``[N]``; NaN = unknown."""

STRATA = 4


def known_values(numbers: NDArray[Any], where: str) -> Values:
    """Numbers ``[N]`` or ``[N, 1]`` of any numeric type -> float32 ``[N]``; NaN = unknown.

    Raises:
        DataError: not one finite number or NaN an image; ``where`` says what was read.

    >>> known_values(np.array([[0], [3]]), "key 'values'")
    array([0., 3.], dtype=float32)
    """
    if numbers.ndim == 2 and numbers.shape[1] == 1:
        numbers = numbers[:, 0]
    if numbers.ndim != 1:
        raise DataError(
            f"{where} must hold one number an image, shape [N] or [N, 1], "
            f"got {list(numbers.shape)}; choose one column of several"
        )
    if numbers.dtype.kind not in "buif":
        raise DataError(f"{where} must hold numbers (NaN = unknown), got {numbers.dtype}")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused
        values = numbers.astype(np.float32)
    endless = np.isinf(values)
    if endless.any():
        raise DataError(
            f"{where} must hold finite numbers, or NaN = unknown, "
            f"got {numbers[int(endless.argmax())]}"
        )
    return values


def text_values(written: Sequence[str], where: str) -> Values:
    """Values written as text ``[N]`` -> float32 ``[N]``; empty = unknown.

    Raises:
        DataError: something else than a finite number; ``where`` says what was read.

    >>> text_values(["2.5", ""], "column 'value'")
    array([2.5, nan], dtype=float32)
    """
    numbers = []
    for row, text in enumerate(written, start=1):
        try:
            numbers.append(float(text or "nan"))
        except ValueError:
            raise DataError(
                f"{where} must hold numbers, or be empty = unknown, got '{text}' in row {row}"
            ) from None
    return known_values(np.array(numbers), where)


def value_strata(values: Values) -> NDArray[np.int64]:
    """Fourths of the known values, 0 to 3, and -1 where unknown, for splits to be alike in.

    >>> value_strata(np.array([8, 1, np.nan, 3, 2], dtype=np.float32))
    array([ 3,  0, -1,  2,  1])
    """
    known = np.isfinite(values)
    strata = np.full(len(values), -1)
    if known.any():
        borders = np.quantile(values[known], np.arange(1, STRATA) / STRATA)
        strata[known] = np.searchsorted(borders, values[known], side="left")
    return strata
