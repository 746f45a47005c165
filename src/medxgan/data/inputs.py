"""Images to explain, from whatever a user points at: files, folders, tables and archives."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import Tensor

from medxgan.counting import counted
from medxgan.data.dataset import Dataset, SplitName
from medxgan.data.formats import kind_of
from medxgan.data.images import check_shown, count_images, decode_images, to_sample
from medxgan.data.intensity import Limits
from medxgan.data.opening import is_dataset, open_dataset
from medxgan.data.origin import Origin
from medxgan.data.pictures import decoding
from medxgan.data.presentation import AS_STORED, BEST_SLICE, Presentation, Spacing, check_choice
from medxgan.errors import DataError
from medxgan.types import Sample


@dataclass(frozen=True)
class Inputs:
    """N images of one size, ready for a classifier, and what is known of them.

    Attributes:
        images: float32 ``[N, C, H, W]`` in [-1, 1].
        names: unique, for reports and file names.
        masks: lesion mask, bool ``[H, W]``, of each image; None where unknown or empty.
        labels: class index in the data set of each image; None where there is none.
        notes: what the user must be told once: images resized, files passed over, ...
        spacings: distance of the rows and columns of each image in the patient, mm, None where
            unknown; empty where it is known of none.
        origins: the file that each image lies in, None where it lies in an archive; or empty.
    """

    images: Tensor
    names: list[str]
    masks: list[Tensor | None]
    labels: list[int | None]
    notes: tuple[str, ...]
    spacings: list[Spacing | None] = field(default_factory=list)
    origins: list[Origin | None] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.names)


def read_inputs(
    paths: Sequence[Path],
    *,
    size: int,
    channels: int,
    split: str | None = None,
    limits: Limits | None = None,
    presentation: Presentation = AS_STORED,
) -> Inputs:
    """Read image files and data sets, in the order given, as one batch.

    A DICOM file of several frames gives one image each, a NIfTI volume its slices, less those that
    show nothing.

    Args:
        paths: image files; and folders, tables (.csv) and archives (.npz) as `open_dataset`
            takes them, so that masks are found. Of a folder all images in it and below, masks,
            twins and earlier explanations left out; where ``split`` is asked, those of the split.
        size: height and width to bring all images to, pixels.
        channels: 1 (grey) or 3 (colour), likewise.
        split: ``train``, ``val`` or ``test`` of data sets; all of their images where None.
        limits: stored values of 16-bit images that become -1 and +1, in files and data sets alike:
            those of the training data; as found in each where None.
        presentation: how DICOM and NIfTI files are shown, and which slices are taken. Of a NIfTI
            file that is named itself the best slice, where there is a score and none is chosen.

    Raises:
        DataError: a path holds nothing that can be read, or ``split`` is asked of an image file.
        MissingPackageError: a file needs a package that is not installed.
        ConfigError: ``presentation`` asks what no file can give.

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
    missing = next((path for path in paths if not path.exists()), None)
    if missing is not None:
        raise DataError(f"{missing} does not exist; check the path")
    if not any(map(is_dataset, paths)):
        check_choice(presentation, {kind_of(path) for path in paths})
    parts = [_read(path, size, channels, split, limits, presentation) for path in paths]
    names = [name for part in parts for name in part.inputs.names]
    longer = [
        f"{_place(path)}-{name}"
        for path, part in zip(paths, parts, strict=True)
        for name in part.inputs.names
    ]
    return Inputs(
        images=torch.cat([part.inputs.images for part in parts]),
        names=unique_names(names, longer),
        masks=[mask for part in parts for mask in part.inputs.masks],
        labels=[label for part in parts for label in part.inputs.labels],
        notes=_merge_notes(parts),
        spacings=[spacing for part in parts for spacing in part.inputs.spacings],
        origins=[origin for part in parts for origin in part.inputs.origins],
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


class Part(NamedTuple):
    """What one path gives: images, and the notes on each where they are not a data set's."""

    inputs: Inputs
    each: list[tuple[str, ...]]


def _read(
    path: Path,
    size: int,
    channels: int,
    split: str | None,
    limits: Limits | None,
    presentation: Presentation,
) -> Part:
    if is_dataset(path):
        data = open_dataset(
            path,
            size=size,
            channels=channels,
            limits=limits,
            presentation=presentation,
            loose=split is None,
        )
        view = data.select(cast(SplitName, split or "all"), labelled=False)
        return Part(_from_dataset(view, split_matters=split is not None), [])
    samples, origins, notes = _read_file(path, size, channels, limits, presentation)
    if split is not None:
        raise DataError(
            f"{path} is no data set and has no split '{split}'; give a data set, or leave out the "
            "split"
        )
    inputs = Inputs(
        images=torch.stack([sample.image for sample in samples]),
        names=[sample.name for sample in samples],
        masks=[None] * len(samples),
        labels=[None] * len(samples),
        notes=notes,
        spacings=[sample.spacing for sample in samples],
        origins=list(origins),
    )
    return Part(inputs, [sample.notes for sample in samples])


def _read_file(
    path: Path, size: int, channels: int, limits: Limits | None, presentation: Presentation
) -> tuple[list[Sample], list[Origin], tuple[str, ...]]:
    """The images of one file that show something, which they are, and notes on all of them."""
    kind, number = kind_of(path), presentation.number
    single = kind == "picture" or (kind == "dicom" and count_images(path) == 1)
    numbers = None if number is None or single else {number}
    with decoding():
        samples, origins, empty = [], [], []
        for one in decode_images(path, presentation, numbers):
            if one.empty and kind != "picture":
                empty.append(one)
            else:
                samples.append(to_sample(path, one, size, channels, limits))
                origins.append(Origin(path, one.number))
    if not samples:
        check_shown(path, empty[0])
    notes = presentation.deviations([kind])
    if empty:
        passed_over = counted(len(empty), "frame or slice", "frames or slices")
        notes += (f"{path.name}: {passed_over} passed over, one grey all over",)
    wants_best = presentation.slice or ("best" if kind == "nifti" else "all")
    if wants_best == "best" and presentation.score is not None and len(samples) > 1:
        scores = presentation.score(torch.stack([sample.image for sample in samples]))
        place = int(scores.argmax())
        best = samples[place]
        notes += (f"{best.name} is the best of {len(samples)} slices of {path.name}: {BEST_SLICE}",)
        samples, origins = [best], [origins[place]]
    return samples, origins, notes


def _from_dataset(data: Dataset, split_matters: bool) -> Inputs:
    masks, known = data.mask_images()
    shown = known & masks.flatten(1).any(dim=1)
    return Inputs(
        images=data.images(),
        names=[str(name) for name in data.names],
        masks=[mask if show else None for mask, show in zip(masks, shown.tolist(), strict=True)],
        labels=[label if label >= 0 else None for label in data.labels.tolist()],
        notes=tuple(_that_concern_images(data.notes, split_matters)),
        spacings=data.spacings,
        origins=data.origins,
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
    return path.resolve().stem if is_dataset(path) else path.resolve().parent.name


def _merge_notes(parts: Sequence[Part]) -> tuple[str, ...]:
    """Notes on single images counted together, those on files and data sets as they are."""
    on_images = Counter(note for part in parts for notes in part.each for note in notes)
    total = sum(len(part.each) for part in parts)
    merged = [
        note.replace("image ", f"{count} of {total} images ", 1)
        if total > 1 and note.startswith("image ")
        else note
        for note, count in on_images.items()
    ]
    merged += [note for part in parts for note in part.inputs.notes]
    return tuple(dict.fromkeys(merged))
