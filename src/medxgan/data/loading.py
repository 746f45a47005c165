"""Decode many image files into one preallocated array, in threads."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from medxgan.data.building import build_dataset
from medxgan.data.dataset import Dataset
from medxgan.data.faults import about
from medxgan.data.geometry import fit, fit_masks
from medxgan.data.images import decode, decode_mask, refuse_bombs
from medxgan.data.intensity import check_pixels, limits_note, storage_limits
from medxgan.data.labels import Labels
from medxgan.data.values import Values
from medxgan.errors import DataError

FILES_A_TASK = 32
MOST_THREADS = 8
Result = TypeVar("Result")
DEPTHS = {"uint8": "8-bit", "uint16": "16-bit", "float32": "floating-point"}


@dataclass(frozen=True)
class Entry:
    """One image of a data set that lies in files; its label and split are kept beside it."""

    path: Path
    name: str
    group: str
    mask: Path | None = None
    twin: Path | None = None


class Loaded(NamedTuple):
    """Images of equal shape ``[M, C, S, S]`` and what was found while they were read.

    ``frames`` ``[M, 2]`` are height and width in the files; ``changes`` counts what was done.
    """

    stored: NDArray[Any]
    low: float
    high: float
    frames: NDArray[np.int64]
    changes: Counter[str]


def load_entries(
    entries: Sequence[Entry],
    labels: Labels,
    class_names: tuple[str, ...],
    splits: NDArray[np.uint8] | None,
    *,
    size: int | None,
    channels: int | None,
    seed: int,
    values: Values | None = None,
    notes: tuple[str, ...] = (),
) -> Dataset:
    """Read the files of a data set; see `medxgan.data.open_dataset`.

    Raises:
        DataError: a file cannot be used, or images differ in size, channels or depth.
    """
    images = load_images([entry.path for entry in entries], size, channels)
    twin_paths = _twin_paths(entries, labels)
    twins = load_images(twin_paths, size, channels) if twin_paths else None
    if twins is not None and twins.stored.shape != images.stored.shape:
        raise DataError(
            f"healthy twins must have their images' shape {list(images.stored.shape[1:])}, "
            f"got {list(twins.stored.shape[1:])}"
        )
    ranges = [(found.low, found.high) for found in (images, twins) if found is not None]
    dtype = images.stored.dtype
    with about(entries[0].path.parent):
        limits = storage_limits(
            dtype, min(low for low, _ in ranges), max(high for _, high in ranges)
        )
    has_mask = np.array([entry.mask is not None for entry in entries])
    total = len(entries)
    done = (f"{count} of {total} images {change}" for change, count in images.changes.items())
    return build_dataset(
        images.stored,
        labels,
        limits=limits,
        class_names=class_names,
        split=splits,
        groups=[entry.group for entry in entries],
        names=[entry.name for entry in entries],
        masks=load_masks(entries, images.frames, size) if has_mask.any() else None,
        has_mask=has_mask,
        twins=None if twins is None else twins.stored,
        values=values,
        notes=(*notes, *done, *limits_note(dtype, limits)),
        seed=seed,
    )


def load_images(paths: Sequence[Path], size: int | None, channels: int | None) -> Loaded:
    """Read image files of one shape and depth.

    Raises:
        DataError: names the first file, in order, that cannot be used.
    """
    with refuse_bombs():
        first = fit(decode(paths[0]).pixels[None], size, channels).images[0]
        stored = np.empty((len(paths), *first.shape), dtype=first.dtype)
        frames = np.empty((len(paths), 2), dtype=np.int64)

        def load(row: int) -> tuple[float, float, tuple[str, ...]]:
            pixels, changes = decode(paths[row])
            low, high = check_pixels(pixels[None], [str(paths[row])])
            fitted = fit(pixels[None], size, channels)
            _check_alike(paths[row], fitted.images[0], paths[0], first)
            stored[row] = fitted.images[0]
            frames[row] = pixels.shape[1:]
            return low, high, changes + fitted.changes

        results = list(_in_threads(load, len(paths)))
    lows, highs, changes = zip(*results, strict=True)
    counts = Counter(change for image in changes for change in image)
    return Loaded(stored, min(lows), max(highs), frames, counts)


def load_masks(
    entries: Sequence[Entry], frames: NDArray[np.int64], size: int | None
) -> NDArray[np.bool_]:
    """Read the masks of images that are ``frames`` ``[M, 2]`` pixels; empty where there is none.

    Raises:
        DataError: a mask cannot be read or is not as large as its image.
    """
    side = size or int(frames[0].max())
    masks = np.zeros((len(entries), side, side), dtype=np.bool_)

    def load(row: int) -> None:
        path = entries[row].mask
        if path is None:
            return
        mask = decode_mask(path)
        if mask.shape != tuple(frames[row]):
            raise DataError(
                f"{path} must be as large as its image, {_pixel_size(frames[row])}, "
                f"got {_pixel_size(mask.shape)}"
            )
        masks[row] = fit_masks(mask[None], size)[0]

    with refuse_bombs():
        for _ in _in_threads(load, len(entries)):
            pass
    return masks


def _twin_paths(entries: Sequence[Entry], labels: Labels) -> list[Path]:
    """The file of every healthy twin; healthy images are their own. Empty where none is given."""
    if all(entry.twin is None for entry in entries):
        return []
    for entry, label in zip(entries, labels, strict=True):
        if entry.twin is None and label > 0:
            raise DataError(
                f"{entry.path} has no healthy twin although other images have one; "
                "add it, or leave out all twins"
            )
    return [entry.twin or entry.path for entry in entries]


def _check_alike(path: Path, image: NDArray[Any], first_path: Path, first: NDArray[Any]) -> None:
    """Same depth, channels and size as the first image."""
    if image.dtype != first.dtype:
        raise DataError(
            f"{path} is {DEPTHS[image.dtype.name]}, {first_path} is {DEPTHS[first.dtype.name]}; "
            "convert all images to one depth"
        )
    if len(image) != len(first):
        raise DataError(
            f"{path} has {len(image)} channel(s), {first_path} has {len(first)}; "
            "give the number of channels that all are to have, 1 or 3"
        )
    if image.shape != first.shape:
        raise DataError(
            f"{path} is {_pixel_size(image.shape[1:])} as a square, "
            f"{first_path} is {_pixel_size(first.shape[1:])}; give the size that all are to have"
        )


def _pixel_size(shape: Sequence[int] | NDArray[np.int64]) -> str:
    """Height and width in words."""
    return f"{shape[0]} x {shape[1]} pixels"


def _in_threads(work: Callable[[int], Result], count: int) -> Iterator[Result]:
    """``work(0)``, ``work(1)``, ... in order, computed side by side (decoders release the GIL)."""

    def run(start: int) -> list[Result]:
        return [work(row) for row in range(start, min(start + FILES_A_TASK, count))]

    with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
        for results in pool.map(run, range(0, count, FILES_A_TASK)):
            yield from results
