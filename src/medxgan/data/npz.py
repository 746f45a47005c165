"""Data sets in NumPy archives: this program's keys, and MedMNIST's.

===============  ==========================================================================
key              content
===============  ==========================================================================
``images``       ``[N, H, W]`` or ``[N, H, W, 3]``, whole numbers or floating point
``labels``       ``[N]`` or ``[N, 1]`` class indices, -1 = unlabelled (optional: all unlabelled)
``values``       ``[N]`` or ``[N, 1]``, a number an image, such as a grade; NaN = unknown
                 (optional)
``split``        ``[N]`` 0 train, 1 val, 2 test, or these words (optional)
``masks``        ``[N, H, W]``, not 0 on the lesion (optional)
``has_mask``     ``[N]``, false where the lesion is unknown (optional; default all known)
``twins``        like ``images``: the healthy twins (optional)
``source``       ``[N]`` patient or source (optional; ``groups`` is read too)
``names``        ``[N]`` (optional; ``file_name`` is read too)
``class_names``  ``[K]`` (optional)
===============  ==========================================================================

MedMNIST has ``train_images``, ``train_labels``, ``val_...`` and ``test_...`` instead. Other keys
are left alone.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medxgan.data.archive import Archive
from medxgan.data.building import build_dataset
from medxgan.data.dataset import Dataset
from medxgan.data.faults import about
from medxgan.data.geometry import fit, fit_masks
from medxgan.data.intensity import (
    Limits,
    check_pixels,
    limits_note,
    storage_limits,
    to_storage,
)
from medxgan.data.labels import UNLABELLED, whole_labels
from medxgan.data.split import SPLIT_NAMES, parse_splits
from medxgan.data.values import Values, known_values
from medxgan.errors import DataError


class Part(NamedTuple):
    """One block of rows of the data set: its arrays, and its split if known."""

    images: str
    labels: str | None
    split: int | None
    total: int


class Pixels(NamedTuple):
    """Stored images ``[M, C, S, S]``, the range found in them, and how many were changed how."""

    stored: NDArray[Any]
    low: float
    high: float
    changes: Counter[str]


def read_npz(path: Path, *, size: int | None, channels: int | None, seed: int) -> Dataset:
    """Read a data set from an archive; see `medxgan.data.open_dataset`.

    Raises:
        DataError: keys are missing, arrays do not fit together, or hold what cannot be used.
    """
    with Archive(path) as archive:
        parts = _parts(archive)
        labels = np.concatenate([_labels(archive, part) for part in parts])
        columns = _columns(archive, parts)
        names = columns["names"] if "names" in columns else _row_names(parts)
        images = _read_images(archive, [part.images for part in parts], size, channels)
        low, high, twins = images.low, images.high, None
        if "twins" in archive.keys:
            twins = _read_images(archive, ["twins"], size, channels)
            low, high = min(low, twins.low), max(high, twins.high)
        with about(path):
            limits = storage_limits(images.stored.dtype, low, high)
        masks = _read_masks(archive, archive.header(parts[0].images).shape, size)
        class_names = _class_names(archive)
        values = _values(archive, len(labels))
        splits = _splits(archive, parts)
        has_mask = _has_mask(archive, len(labels))
    notes = [f"{n} of {len(labels)} images {change}" for change, n in images.changes.items()]
    if parts[0].labels is None and values is None:
        notes.append(f"'labels' is missing: all {len(labels)} images are unlabelled")
    with about(path):
        return build_dataset(
            images.stored,
            labels,
            limits=limits,
            class_names=class_names,
            split=splits,
            groups=columns.get("groups"),
            names=names,
            masks=masks,
            has_mask=has_mask,
            twins=None if twins is None else twins.stored,
            values=values,
            notes=(*notes, *limits_note(images.stored.dtype, limits)),
            seed=seed,
        )


def _parts(archive: Archive) -> list[Part]:
    """Which arrays hold images, and their labels: in all parts, or in none."""
    if "images" in archive.keys:
        keys: list[tuple[str, str, int | None]] = [("images", "labels", None)]
    else:
        keys = [
            (f"{name}_images", f"{name}_labels", index)
            for index, name in enumerate(SPLIT_NAMES)
            if f"{name}_images" in archive.keys
        ]
    missing = [labels for _, labels, _ in keys if labels not in archive.keys]
    if not keys or 0 < len(missing) < len(keys):
        raise DataError(
            f"{archive.path} must hold 'images' (and 'labels'), or MedMNIST's 'train_images' and "
            f"'train_labels'; it holds {', '.join(archive.keys) or 'no arrays'}"
        )
    parts = []
    for images, labels, split in keys:
        shape = archive.header(images).shape
        colour = len(shape) == 4 and shape[3] in (1, 3)
        if len(shape) != 3 and not colour:
            raise DataError(
                f"{archive.path}: '{images}' must have the shape [N, H, W] or [N, H, W, 3], "
                f"got {list(shape)}; reorder its axes, or cut volumes into slices"
            )
        if 0 in shape[1:]:
            raise DataError(f"{archive.path}: the images of '{images}' have no pixels")
        parts.append(Part(images, None if missing else labels, split, shape[0]))
    if sum(part.total for part in parts) == 0:
        raise DataError(f"{archive.path} holds no images: '{parts[0].images}' is empty")
    shapes = {part.images: archive.header(part.images).shape[1:] for part in parts}
    if len(set(shapes.values())) > 1:
        raise DataError(f"{archive.path}: images differ in shape between splits: {shapes}")
    return parts


def _labels(archive: Archive, part: Part) -> NDArray[np.int64]:
    """Class indices of one part; all unlabelled where there are none."""
    if part.labels is None:
        return np.full(part.total, UNLABELLED)
    labels = whole_labels(archive.array(part.labels), f"{archive.path}: '{part.labels}'")
    _check_count(archive, part.labels, len(labels), part.total)
    return labels


def _columns(archive: Archive, parts: list[Part]) -> dict[str, NDArray[np.str_]]:
    """Text columns that are there, under the names that a data set gives them."""
    total = sum(part.total for part in parts)
    aliases = {"groups": ("source", "groups"), "names": ("names", "file_name")}
    columns = {}
    for noun, keys in aliases.items():
        key = next((key for key in keys if key in archive.keys), None)
        if key is not None:
            values = archive.array(key)
            _check_count(archive, key, len(values), total)
            columns[noun] = values.astype(np.str_)
    return columns


def _row_names(parts: list[Part]) -> NDArray[np.str_]:
    """Names such as ``train-00012``, or ``00012`` where the archive is one table."""
    return np.array(
        [
            f"{row:05d}" if part.split is None else f"{SPLIT_NAMES[part.split]}-{row:05d}"
            for part in parts
            for row in range(part.total)
        ]
    )


def _splits(archive: Archive, parts: list[Part]) -> NDArray[np.uint8] | None:
    """The split of every row, where the archive gives one."""
    if parts[0].split is not None:
        return np.repeat(
            np.array([part.split for part in parts], dtype=np.uint8), [part.total for part in parts]
        )
    if "split" not in archive.keys:
        return None
    values = archive.array("split")
    _check_count(archive, "split", len(values), parts[0].total)
    return parse_splits(values.astype(np.str_).tolist(), f"{archive.path}: 'split'")


def _class_names(archive: Archive) -> tuple[str, ...] | None:
    """Names of the classes, where the archive gives them."""
    if "class_names" not in archive.keys:
        return None
    return tuple(map(str, archive.array("class_names").astype(np.str_).tolist()))


def _values(archive: Archive, total: int) -> Values | None:
    """A number for each image, where the archive gives one."""
    if "values" not in archive.keys:
        return None
    values = known_values(archive.array("values"), f"{archive.path}: 'values'")
    _check_count(archive, "values", len(values), total)
    return values


def _has_mask(archive: Archive, total: int) -> NDArray[np.bool_] | None:
    """Which masks are known, where the archive says so."""
    if "has_mask" not in archive.keys:
        return None
    values = archive.array("has_mask")
    _check_count(archive, "has_mask", len(values), total)
    return values.astype(np.bool_)


def _read_images(
    archive: Archive, keys: list[str], size: int | None, channels: int | None
) -> Pixels:
    """Read, check and fit images block by block into one array."""
    total = sum(archive.header(key).shape[0] for key in keys)
    stored: NDArray[Any] | None = None
    ranges: list[Limits] = []
    changes: Counter[str] = Counter()
    filled = 0
    for key in keys:
        for start, block in _image_blocks(archive, key):
            names = [f"{archive.path}: {key}[{start + row}]" for row in range(len(block))]
            ranges.append(check_pixels(block, names))
            with about(archive.path):
                fitted = fit(block, size, channels)
            if stored is None:
                stored = np.empty((total, *fitted.images.shape[1:]), dtype=fitted.images.dtype)
            stored[filled : filled + len(block)] = fitted.images
            filled += len(block)
            changes.update(dict.fromkeys(fitted.changes, len(block)))
    if stored is None:
        raise DataError(f"{archive.path}: '{keys[0]}' is empty")
    lows, highs = zip(*ranges, strict=True)
    return Pixels(stored, min(lows), max(highs), changes)


def _image_blocks(archive: Archive, key: str) -> Iterator[tuple[int, NDArray[Any]]]:
    """First row and pixels ``[n, C, H, W]`` in storage type of each block."""
    start = 0
    for block in archive.blocks(key):
        if not len(block):
            continue
        with about(f"{archive.path}: '{key}'"):
            pixels = to_storage(block)
        yield start, pixels[:, None] if pixels.ndim == 3 else np.moveaxis(pixels, 3, 1)
        start += len(block)


def _read_masks(
    archive: Archive, image_shape: tuple[int, ...], size: int | None
) -> NDArray[np.bool_] | None:
    """Read masks block by block; they must be as many and as large as the images."""
    if "masks" not in archive.keys:
        return None
    shape = archive.header("masks").shape
    if shape != image_shape[:3]:
        raise DataError(
            f"{archive.path}: 'masks' must have the images' shape {list(image_shape[:3])}, "
            f"got {list(shape)}"
        )
    masks: NDArray[np.bool_] | None = None
    filled = 0
    for block in archive.blocks("masks"):
        fitted = fit_masks(block != 0, size)
        if masks is None:
            masks = np.empty((shape[0], *fitted.shape[1:]), dtype=np.bool_)
        masks[filled : filled + len(block)] = fitted
        filled += len(block)
    return masks


def _check_count(archive: Archive, key: str, came: int, expected: int) -> None:
    """One entry an image."""
    if came != expected:
        raise DataError(
            f"{archive.path}: '{key}' must have one entry for each of the {expected} images, "
            f"got {came}"
        )
