"""Data sets whose images lie in files: entries to one `Dataset`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medxgan.counting import counted
from medxgan.data.building import build_dataset
from medxgan.data.dataset import Dataset
from medxgan.data.faults import about
from medxgan.data.formats import kind_of, without_suffix
from medxgan.data.intensity import Limits, limits_note, storage_limits, to_signed
from medxgan.data.labels import Labels
from medxgan.data.loading import Loaded, Row, Source, load_images
from medxgan.data.mask_files import load_masks
from medxgan.data.origin import Origin
from medxgan.data.presentation import AS_STORED, BEST_SLICE, Presentation, check_choice
from medxgan.data.values import Values
from medxgan.errors import DataError

FEW = 3
"""Of so many volumes each is told of on its own."""


@dataclass(frozen=True)
class Entry:
    """One file of a data set, or one frame or slice of it; label and split are kept beside it.

    Attributes:
        path: the file.
        name: what it is called.
        group: patient or source.
        mask: file of the lesion mask.
        twin: file of the healthy twin.
        number: the frame or slice that is meant, from 1; all where None.
        stack: the series or volume that it belongs to; the file itself where None.
    """

    path: Path
    name: str
    group: str
    mask: Path | None = None
    twin: Path | None = None
    number: int | None = None
    stack: str | None = None


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
    presentation: Presentation = AS_STORED,
) -> Dataset:
    """Read the files of a data set; see `medxgan.data.open_dataset`.

    A file of several frames or slices gives several images, all with its label, split and group.

    Raises:
        DataError: a file cannot be used, or images differ in size, channels or depth.
        MissingPackageError: a file needs a package that is not installed.
        ConfigError: ``presentation`` asks what no file can give.
    """
    kinds = {kind_of(entry.path) for entry in entries}
    check_choice(presentation, kinds)
    notes = (*notes, *presentation.deviations(kinds))
    images = load_images(
        [Source(entry.path, entry.number) for entry in entries], size, channels, presentation
    )
    twins = _load_twins(entries, labels, images, size, channels, presentation)
    dtype = images.stored.dtype
    every = [*images.rows, *(twins.rows if twins else ())]
    with about(entries[0].path.parent):
        limits = storage_limits(
            dtype, min(row.low for row in every), max(row.high for row in every)
        )
    best = _best(entries, images, limits, presentation)
    rows = [images.rows[place] for place in best.places]
    source = np.array([row.source for row in rows])
    masks, has_mask = load_masks(
        [(entries[row.source].path, entries[row.source].mask) for row in rows],
        rows,
        images.stored.shape[-1],
        size,
        presentation,
    )
    return build_dataset(
        _taken(images.stored, best.places),
        labels[source],
        limits=limits,
        class_names=class_names,
        split=None if splits is None else splits[source],
        groups=[entries[row.source].group for row in rows],
        names=[_name(entries[row.source].name, row.part) for row in rows],
        masks=masks,
        has_mask=has_mask,
        twins=None if twins is None else _taken(twins.stored, best.places),
        values=None if values is None else values[source],
        spacing=_spacing(rows),
        origins=tuple(Origin(entries[row.source].path, row.number) for row in rows),
        notes=(*notes, *_notes(rows, images.empty), *best.notes, *limits_note(dtype, limits)),
        seed=seed,
    )


class Best(NamedTuple):
    """Which of the loaded images are taken, in order, and what to say of it."""

    places: list[int]
    notes: tuple[str, ...] = ()


def _best(
    entries: Sequence[Entry], images: Loaded, limits: Limits, presentation: Presentation
) -> Best:
    """All images; or of each stack of several the one on which the score is greatest."""
    every = list(range(len(images.rows)))
    if presentation.slice != "best" or presentation.score is None:
        return Best(every)
    stacks: dict[str, list[int]] = {}
    for place, row in enumerate(images.rows):
        entry = entries[row.source]
        stacks.setdefault(entry.stack or str(entry.path), []).append(place)
    chosen, told = [], []
    for places in stacks.values():
        scores = presentation.score(to_signed(images.stored[places], limits))
        place = places[int(scores.argmax())]
        chosen.append(place)
        if len(places) > 1:
            row = images.rows[place]
            told.append(_name(entries[row.source].name, row.part))
    notes = tuple(f"{name} is the best slice: {BEST_SLICE}" for name in told)
    if len(told) > FEW:
        notes = (f"the best slice of {len(told)} volumes or series: {BEST_SLICE}",)
    return Best(sorted(chosen), notes)


def _load_twins(
    entries: Sequence[Entry],
    labels: Labels,
    images: Loaded,
    size: int | None,
    channels: int | None,
    presentation: Presentation,
) -> Loaded | None:
    """The healthy twin of every image; healthy images are their own. None where none is given."""
    if all(entry.twin is None for entry in entries):
        return None
    for entry, label in zip(entries, labels, strict=True):
        if entry.twin is None and label > 0:
            raise DataError(
                f"{entry.path} has no healthy twin although other images have one; "
                "add it, or leave out all twins"
            )
    sources = [Source(entry.twin or entry.path, entry.number) for entry in entries]
    twins = load_images(sources, size, channels, presentation)
    if twins.stored.shape[1:] != images.stored.shape[1:]:
        raise DataError(
            f"healthy twins must have their images' shape {list(images.stored.shape[1:])}, "
            f"got {list(twins.stored.shape[1:])}"
        )
    pairs = [[(row.source, row.number) for row in found.rows] for found in (images, twins)]
    if pairs[0] != pairs[1]:
        raise DataError("healthy twins must have as many frames or slices as their images")
    return twins


def _name(name: str, part: str) -> str:
    """What an image of a file is called in the data set.

    >>> _name("tumour/bob.nii.gz", "axial-07"), _name("tumour/bob.png", "")
    ('tumour/bob-axial-07', 'tumour/bob.png')
    """
    return f"{without_suffix(PurePath(name)).as_posix()}-{part}" if part else name


def _taken(stored: NDArray[Any], places: Sequence[int]) -> NDArray[Any]:
    """Some images; no copy where it is all of them."""
    return stored if len(places) == len(stored) else stored[list(places)]


def _spacing(rows: Sequence[Row]) -> NDArray[np.float32] | None:
    """``[M, 2]`` mm, NaN = unknown; None where it is known of no image."""
    unknown = (np.nan, np.nan)
    spacing = np.array([row.spacing or unknown for row in rows], dtype=np.float32)
    return None if np.isnan(spacing).all() else spacing


def _notes(rows: Sequence[Row], empty: int) -> list[str]:
    """What was done to how many images, and how many were left out."""
    counts = Counter(change for row in rows for change in row.changes)
    notes = [f"{count} of {len(rows)} images {change}" for change, count in counts.items()]
    if empty:
        passed_over = counted(empty, "frame or slice", "frames or slices")
        notes.append(f"{passed_over} passed over, one grey all over")
    return notes
