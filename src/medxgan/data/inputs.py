"""Images to explain, from whatever a user points at: files, folders, tables and archives."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from medxgan.data.dataset import Dataset, SplitName
from medxgan.data.images import read_image
from medxgan.data.intensity import Limits
from medxgan.data.opening import READERS, open_dataset
from medxgan.errors import DataError


@dataclass(frozen=True)
class Inputs:
    """N images of one size, ready for a classifier, and what is known of them.

    Attributes:
        images: float32 ``[N, C, H, W]`` in [-1, 1].
        names: unique, for reports and file names.
        masks: lesion mask, bool ``[H, W]``, of each image; None where unknown or empty.
        labels: class index in the data set of each image; None where there is none.
        notes: what the user must be told once: images resized, files passed over, ...
    """

    images: Tensor
    names: list[str]
    masks: list[Tensor | None]
    labels: list[int | None]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)


def read_inputs(
    paths: Sequence[Path],
    *,
    size: int,
    channels: int,
    split: str | None = None,
    limits: Limits | None = None,
) -> Inputs:
    """Read image files and data sets, in the order given, as one batch.

    Args:
        paths: image files; and folders, tables (.csv) and archives (.npz) as `open_dataset`
            takes them, so that masks are found. A folder may also hold nothing but images.
        size: height and width to bring all images to, pixels.
        channels: 1 (grey) or 3 (colour), likewise.
        split: ``train``, ``val`` or ``test`` of data sets; all of their images where None.
        limits: stored values of 16-bit images that become -1 and +1, in files and data sets alike:
            those of the training data; as found in each where None.

    Raises:
        DataError: a path holds nothing that can be read, or ``split`` is asked of an image file.

    >>> from tempfile import TemporaryDirectory
    >>> from medxgan.data import write_image
    >>> with TemporaryDirectory() as folder:
    ...     for name in ("ann/scan.png", "bob/scan.png"):
    ...         write_image(Path(folder, name), torch.linspace(-1, 1, 64).view(1, 8, 8))
    ...     files = [Path(folder, "ann/scan.png"), Path(folder, "bob/scan.png")]
    ...     inputs = read_inputs(files, size=16, channels=1)
    >>> inputs.names, tuple(inputs.images.shape), inputs.notes
    (['ann-scan', 'bob-scan'], (2, 1, 16, 16), ('2 of 2 images resized to 16 x 16 pixels',))
    """
    if not paths:
        raise DataError("there is nothing to explain; name images, a folder or a data set")
    parts = [_read(path, size, channels, split, limits) for path in paths]
    names = [name for part in parts for name in part.names]
    longer = [
        f"{_place(path)}-{name}"
        for path, part in zip(paths, parts, strict=True)
        for name in part.names
    ]
    return Inputs(
        images=torch.cat([part.images for part in parts]),
        names=unique_names(names, longer),
        masks=[mask for part in parts for mask in part.masks],
        labels=[label for part in parts for label in part.labels],
        notes=_merge_notes(paths, parts),
    )


def unique_names(names: Sequence[str], longer: Sequence[str]) -> list[str]:
    """Names ``[N]``; where one occurs twice, its longer form; where that does not help, a number.

    >>> unique_names(["a", "a", "b"], ["x-a", "y-a", "x-b"])
    ['x-a', 'y-a', 'b']
    >>> unique_names(["a", "a"], ["x-a", "x-a"])
    ['x-a', 'x-a (2)']
    """
    counts = Counter(names)
    taken: set[str] = set()
    unique = []
    for name, long_name in zip(names, longer, strict=True):
        wanted = name if counts[name] == 1 else long_name
        candidate, number = wanted, 1
        while candidate in taken:
            number += 1
            candidate = f"{wanted} ({number})"
        taken.add(candidate)
        unique.append(candidate)
    return unique


def _read(path: Path, size: int, channels: int, split: str | None, limits: Limits | None) -> Inputs:
    if not path.exists():
        raise DataError(f"{path} does not exist; check the path")
    if path.is_dir() or path.suffix.lower() in READERS:
        data = open_dataset(path, size=size, channels=channels, limits=limits)
        view = data.select(cast(SplitName, split or "all"), labelled=False)
        return _from_dataset(view, split_matters=split is not None)
    sample = read_image(path, size=size, channels=channels, limits=limits)
    if split is not None:
        raise DataError(
            f"{path} is one image and has no split '{split}'; give a data set, or leave out the "
            "split"
        )
    return Inputs(sample.image[None], [sample.name], [None], [None], sample.notes)


def _from_dataset(data: Dataset, split_matters: bool) -> Inputs:
    masks, known = data.mask_images()
    shown = known & masks.flatten(1).any(dim=1)
    return Inputs(
        images=data.images(),
        names=[str(name) for name in data.names],
        masks=[mask if show else None for mask, show in zip(masks, shown.tolist(), strict=True)],
        labels=[label if label >= 0 else None for label in data.labels.tolist()],
        notes=tuple(_that_concern_images(data.notes, split_matters)),
    )


def _that_concern_images(notes: Iterable[str], split_matters: bool) -> list[str]:
    """Explaining needs no labels, and no splits where all images are taken: nothing to say then."""
    return [
        note
        for note in notes
        if not note.endswith("unlabelled") and (split_matters or "split" not in note)
    ]


def _place(path: Path) -> str:
    """What tells inputs of equal names apart: a file's folder, a data set's own name."""
    is_dataset = path.is_dir() or path.suffix.lower() in READERS
    return path.resolve().stem if is_dataset else path.resolve().parent.name


def _merge_notes(paths: Sequence[Path], parts: Sequence[Inputs]) -> tuple[str, ...]:
    """Notes on single images counted together, those on data sets as they are."""
    single = [path.is_file() and path.suffix.lower() not in READERS for path in paths]
    on_images = Counter(
        note
        for part, is_image in zip(parts, single, strict=True)
        if is_image
        for note in part.notes
    )
    total = sum(single)
    merged = [
        note.replace("image ", f"{count} of {total} images ", 1)
        if total > 1 and note.startswith("image ")
        else note
        for note, count in on_images.items()
    ]
    merged += [
        note
        for part, is_image in zip(parts, single, strict=True)
        if not is_image
        for note in part.notes
    ]
    return tuple(dict.fromkeys(merged))
