"""Decode many image files into one array, in threads."""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from medxgan.data.decoded import Decoded
from medxgan.data.faults import about, reading
from medxgan.data.formats import kind_of
from medxgan.data.geometry import fit
from medxgan.data.images import count_images, decode_images, fitted_spacing
from medxgan.data.intensity import check_pixels
from medxgan.data.pictures import decoding
from medxgan.data.presentation import AS_STORED, Presentation, Spacing
from medxgan.errors import DataError

FILES_A_TASK = 32
MOST_THREADS = 8
MOST_VOLUMES_AT_ONCE = 2
Result = TypeVar("Result")
DEPTHS = {
    "uint8": "8-bit",
    "uint16": "16-bit",
    "float32": "floating-point (as DICOM and NIfTI are)",
}


class Source(NamedTuple):
    """A file, and which of its frames or slices is wanted, from 1; all where None."""

    path: Path
    number: int | None = None


class Row(NamedTuple):
    """What was found while one image was read.

    Attributes:
        source: index of the source that it came from.
        number: of the frame or slice in its file, from 1.
        part: that in words for names; empty where the file holds one image.
        shape: height and width in the file.
        square_shape: the same after its pixels were made square.
        spacing: of its pixels as loaded, mm, where known.
        changes: what was done to it.
        low: its least stored value.
        high: its greatest stored value.
    """

    source: int
    number: int
    part: str
    shape: tuple[int, int]
    square_shape: tuple[int, int]
    spacing: Spacing | None
    changes: tuple[str, ...]
    low: float
    high: float


class Loaded(NamedTuple):
    """Images of equal shape ``[M, C, S, S]`` and what is known of each.

    ``empty`` counts frames and slices that show nothing and were left out.
    """

    stored: NDArray[Any]
    rows: list[Row]
    empty: int


class Unit(NamedTuple):
    """One file, read once, and the numbers of the images that each source wants of it."""

    path: Path
    wanted: dict[int, Collection[int]]

    @property
    def most(self) -> int:
        """How many images it gives, if none is empty."""
        return sum(map(len, self.wanted.values()))


class Read(NamedTuple):
    """Images ``[C, S, S]`` of one file, and their rows."""

    images: list[NDArray[Any]]
    rows: list[Row]


def load_images(
    sources: Sequence[Source],
    size: int | None,
    channels: int | None,
    presentation: Presentation = AS_STORED,
) -> Loaded:
    """Read image files of one shape and depth.

    A file of several frames or slices gives one image each, less those that show nothing.

    Raises:
        DataError: names the first file, in order, that cannot be used; or none shows anything.
        MissingPackageError: a file needs a package that is not installed.
    """

    def read(unit: Unit) -> Read:
        return _read(unit, size, channels, presentation)

    with decoding():
        units = _units(sources, presentation)
        before, first = _first_that_shows(units, read)
        starts = np.cumsum([0, *(unit.most for unit in units)]).tolist()
        model, model_path = first.images[0], units[before].path
        with reading(model_path.parent, "images"):
            stored = np.empty((starts[-1], *model.shape), dtype=model.dtype)

        def place(position: int) -> list[Row]:
            if position < before:
                return []
            path = units[position].path
            images, rows = first if position == before else read(units[position])
            for row, image in enumerate(images, start=starts[position]):
                _check_alike(path, image, model_path, model)
                stored[row] = image
            return rows

        deep = any(unit.most > 1 for unit in units)
        found = list(in_threads(place, len(units), several_images_a_file=deep))
    rows = [row for of_unit in found for row in of_unit]
    if len(rows) < len(stored):
        kept = np.repeat(starts[:-1], list(map(len, found)))
        kept += np.concatenate([np.arange(len(of_unit)) for of_unit in found])
        stored = stored[kept]
    return Loaded(stored, rows, starts[-1] - len(rows))


def _units(sources: Sequence[Source], presentation: Presentation) -> list[Unit]:
    """Neighbouring sources of one file together."""
    return [
        Unit(path, {index: _wanted(*sources[index], presentation) for index in indices})
        for path, indices in groupby(range(len(sources)), key=lambda index: sources[index].path)
    ]


def _wanted(path: Path, number: int | None, presentation: Presentation) -> Collection[int]:
    """The numbers of the images that a source wants of its file."""
    if number is not None:
        return {number}
    kind = kind_of(path)
    total = 1 if kind == "picture" else count_images(path, presentation)
    if presentation.number is not None and (total > 1 or kind == "nifti"):
        return {presentation.number}
    return range(1, total + 1)


def _first_that_shows(units: Sequence[Unit], read: Callable[[Unit], Read]) -> tuple[int, Read]:
    """The first file that holds an image that shows something, read."""
    for position, unit in enumerate(units):
        found = read(unit)
        if found.images:
            return position, found
    raise DataError(
        f"{units[0].path} and {len(units) - 1} other file(s) show nothing: each image is one grey "
        "all over as it is windowed; give another window, or other files"
    )


def _read(unit: Unit, size: int | None, channels: int | None, presentation: Presentation) -> Read:
    """Decode a file and bring its images to size; those of a DICOM or NIfTI file may be empty."""
    numbers: set[int] = set().union(*unit.wanted.values())
    may_be_empty = kind_of(unit.path) != "picture"
    images, rows = [], []
    for decoded in decode_images(unit.path, presentation, numbers):
        if may_be_empty and decoded.empty:
            continue
        low, high = check_pixels(decoded.pixels[None], [str(unit.path)])
        with about(unit.path):
            fitted = fit(decoded.pixels[None], size, channels)
        row = _row(decoded, fitted.changes, fitted.images.shape[2], low, high)
        for index, wanted in unit.wanted.items():
            if decoded.number in wanted:
                images.append(fitted.images[0])
                rows.append(row._replace(source=index))
    return Read(images, rows)


def _row(decoded: Decoded, changes: tuple[str, ...], side: int, low: float, high: float) -> Row:
    height, width = decoded.pixels.shape[1:]
    return Row(
        source=0,
        number=decoded.number,
        part=decoded.part,
        shape=decoded.stored_shape,
        square_shape=(int(height), int(width)),
        spacing=fitted_spacing(decoded, side),
        changes=decoded.changes + changes,
        low=low,
        high=high,
    )


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
            f"{path} is {pixel_size(image.shape[1:])} as a square, "
            f"{first_path} is {pixel_size(first.shape[1:])}; give the size that all are to have"
        )


def pixel_size(shape: Sequence[int]) -> str:
    """Height and width in words.

    >>> pixel_size((20, 30))
    '20 x 30 pixels'
    """
    return f"{shape[0]} x {shape[1]} pixels"


def in_threads(
    work: Callable[[int], Result], count: int, *, several_images_a_file: bool = False
) -> Iterator[Result]:
    """``work(0)``, ``work(1)``, ... in order, computed side by side (decoders release the GIL).

    Files of several images are large: few at once.
    """
    most = MOST_VOLUMES_AT_ONCE if several_images_a_file else MOST_THREADS
    a_task = 1 if several_images_a_file else FILES_A_TASK

    def run(start: int) -> list[Result]:
        return [work(row) for row in range(start, min(start + a_task, count))]

    with ThreadPoolExecutor(min(most, os.cpu_count() or 1)) as pool:
        for results in pool.map(run, range(0, count, a_task)):
            yield from results
