"""Make a data set of arrays: the one place where they are checked against one another."""

from collections.abc import Sequence, Sized
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medxgan.data.dataset import Dataset, Table
from medxgan.data.intensity import Limits, limits_note, storage_limits, to_storage
from medxgan.data.labels import default_class_names
from medxgan.data.origin import Origin
from medxgan.data.split import complete_splits
from medxgan.data.values import known_values, value_strata
from medxgan.errors import DataError


def build_dataset(
    pixels: NDArray[Any],
    labels: Sequence[int] | NDArray[Any],
    *,
    limits: Limits | None = None,
    class_names: tuple[str, ...] | None = None,
    split: Sequence[int] | NDArray[Any] | None = None,
    groups: Sequence[str] | NDArray[np.str_] | None = None,
    names: Sequence[str] | NDArray[np.str_] | None = None,
    masks: NDArray[Any] | None = None,
    has_mask: NDArray[np.bool_] | None = None,
    twins: NDArray[Any] | None = None,
    values: Sequence[float] | NDArray[Any] | None = None,
    spacing: NDArray[Any] | None = None,
    origins: tuple[Origin, ...] | None = None,
    notes: tuple[str, ...] = (),
    seed: int = 0,
) -> Dataset:
    """Make a data set of arrays that are in memory; they are not copied.

    Args:
        pixels: ``[M, C, S, S]`` uint8, uint16 or floating point.
        labels: ``[M]`` class indices, -1 = unlabelled.
        limits: stored values that become -1 and +1; default: from type and content.
        class_names: default: "negative" and "positive", or numbers.
        split: ``[M]`` 0 train, 1 val, 2 test; what is missing is made, by group.
        groups: ``[M]`` patients or sources; default: each image for itself.
        names: ``[M]``; default: row numbers.
        masks: ``[M, S, S]``, true on the lesion.
        has_mask: ``[M]``; default: all masks are known where there are masks.
        twins: like ``pixels``.
        values: ``[M]`` numbers that a model is to give, NaN = unknown.
        spacing: ``[M, 2]`` distance of rows and columns, mm, NaN = unknown.
        origins: ``[M]`` files that the images lie in.
        notes: what the user must be told once.
        seed: of the splits that are made.

    Raises:
        DataError: the arrays do not fit together.

    >>> build_dataset(np.eye(8)[None, None].repeat(3, 0), labels=[0, 1])
    Traceback (most recent call last):
    medxgan.errors.DataError: 3 images need 3 labels, got 2
    """
    count, _, height, width = pixels.shape
    if count == 0:
        raise DataError("a data set needs at least one image, got none")
    if height != width:
        raise DataError(f"images must be square, got {height} x {width} pixels")
    pixels = to_storage(pixels)
    label_array = np.asarray(labels, dtype=np.int64)
    name_array = np.array([f"{row:05d}" for row in range(count)] if names is None else names)
    group_array = name_array if groups is None else np.asarray(groups)
    known = np.full(count, masks is not None) if has_mask is None else has_mask
    columns: dict[str, Sized | None] = {
        "labels": label_array,
        "names": name_array,
        "groups": group_array,
        "split entries": split,
        "masks": masks,
        "entries of has_mask": known,
        "twins": twins,
        "values": values,
        "spacings": spacing,
    }
    for noun, column in columns.items():
        if column is not None and len(column) != count:
            raise DataError(f"{count} images need {count} {noun}, got {len(column)}")
    if masks is not None and masks.shape[1:] != (height, width):
        raise DataError(
            f"masks must be as large as their images, {height} x {width} pixels, "
            f"got {' x '.join(map(str, masks.shape[1:]))}"
        )
    if twins is not None and twins.shape != pixels.shape:
        raise DataError(f"twins must have the images' shape {pixels.shape}, got {twins.shape}")
    class_names = default_class_names(label_array) if class_names is None else class_names
    highest = int(label_array.max())
    if highest >= len(class_names):
        raise DataError(
            f"label {highest} needs {highest + 1} class names, "
            f"got {len(class_names)}: {', '.join(class_names)}"
        )
    if limits is None:
        limits = storage_limits(pixels.dtype, float(pixels.min()), float(pixels.max()))
        notes += limits_note(pixels.dtype, limits)
    given = None if split is None else np.asarray(split, dtype=np.uint8)
    numbers = None if values is None else known_values(np.asarray(values), "values")
    if numbers is not None and np.isnan(numbers).all():
        numbers = None
    strata = label_array if numbers is None or highest >= 0 else value_strata(numbers)
    splits, split_notes = complete_splits(given, strata, group_array, seed)
    table = Table(
        pixels=pixels,
        limits=limits,
        labels=label_array,
        class_names=class_names,
        split=splits,
        groups=group_array,
        names=name_array,
        masks=None if masks is None else masks.astype(np.bool_, copy=False),
        has_mask=known,
        twins=None if twins is None else twins.astype(pixels.dtype, copy=False),
        values=numbers,
        spacing=None if spacing is None else spacing.astype(np.float32, copy=False),
        origins=origins,
    )
    return Dataset(table, np.arange(count), notes + split_notes)
