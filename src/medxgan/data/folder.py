"""Data sets in folders: ``split/class/file`` or ``class/file``.

::

    scans/                          train, val (or valid, validation) and test, or straight to
    ├── train/healthy/ann.png       the classes; class/patient/file keeps a patient's images in
    ├── train/tumour/bob.png        one split
    ├── test/…
    ├── masks/train/tumour/bob.png  optional: lesion masks, mirrored (any image suffix; of a volume
    │                               or a file of several frames, one of the same shape)
    ├── twins/train/tumour/bob.png  optional: healthy twins, mirrored likewise
    └── values.csv                  optional: a number an image, columns path and value

Images that lie in no class folder are unlabelled, where there are no class folders beside them.
Explanations that medxgan wrote are passed over.

The DICOM files of a folder come in the order of their series; all that have a patient, a study or a
patient's folder in common are one group. A NIfTI volume gives its slices, and is a group unless it
lies in a patient's folder.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

import numpy as np

from medxgan.counting import counted
from medxgan.data.dataset import Dataset
from medxgan.data.entries import Entry, load_entries
from medxgan.data.faults import about
from medxgan.data.files import list_files
from medxgan.data.formats import FORMATS_IN_WORDS, without_suffix
from medxgan.data.groups import Whose, group_files
from medxgan.data.images import is_image
from medxgan.data.labels import named_labels
from medxgan.data.manifest import read_table
from medxgan.data.presentation import AS_STORED, Presentation
from medxgan.data.split import SPLITS
from medxgan.data.stacks import arrange_dicom, of_one_slice
from medxgan.data.values import Values, text_values
from medxgan.errors import DataError
from medxgan.explained import FACTS_FILE

MIRRORS = ("masks", "twins")
VALUES_NAME = "values.csv"
TABLE_OF_CONTENTS = "DICOMDIR"
"""On a disc with DICOM files: a DICOM file, but no image."""


class Place(NamedTuple):
    """What an image's path within the folder says of it."""

    split: int | None
    label: str
    group: str


def read_folder(
    root: Path,
    *,
    size: int | None,
    channels: int | None,
    seed: int,
    presentation: Presentation = AS_STORED,
    loose: bool = False,
) -> Dataset:
    """Read a data set from a folder; see `medxgan.data.open_dataset`.

    With ``loose`` all images in it and below are taken, whether they lie in class folders or not;
    should some lie in no split, the splits mean nothing.

    Raises:
        DataError: the folder is missing, forbidden, empty, or not laid out as above.
        MissingPackageError: a file in it needs a package that is not installed.
        ConfigError: ``presentation`` asks what no file in it can give.
    """
    files = [path.relative_to(root) for path in list_files(root)]
    pictures, notes = _choose_pictures(root, files, loose)
    arranged = arrange_dicom([root / picture for picture in pictures])
    pictures = [path.relative_to(root) for path in arranged.paths]
    notes += arranged.notes
    split_layout = _has_split_layout(root, pictures, loose)
    places = [locate(picture, split_layout) for picture in pictures]
    grouped = group_files(
        [
            Whose(place.group, place.group, *arranged.identifiers.get(path, ()))
            for path, place in zip(arranged.paths, places, strict=True)
        ]
    )
    notes += grouped.notes
    masks = _mirror(root, files, "masks", pictures)
    twins = _mirror(root, files, "twins", pictures)
    entries = [
        Entry(
            path=root / picture,
            name=picture.as_posix(),
            group=group,
            mask=masks.get(without_suffix(picture)),
            twin=twins.get(without_suffix(picture)),
            stack=arranged.stacks.get(root / picture),
        )
        for picture, group in zip(pictures, grouped.names, strict=True)
    ]
    labels, class_names = named_labels([place.label for place in places])
    values = _values(root, files, pictures)
    unlabelled = int((labels < 0).sum())
    if unlabelled:
        notes += (f"{unlabelled} of {len(labels)} images lie in no class folder: unlabelled",)
    given = [place.split for place in places]
    splits = None if None in given else np.array(given, dtype=np.uint8)
    kept = of_one_slice(entries, presentation)
    return load_entries(
        [entries[index] for index in kept],
        labels[kept],
        class_names,
        None if splits is None else splits[kept],
        size=size,
        channels=channels,
        seed=seed,
        values=None if values is None else values[kept],
        notes=notes,
        presentation=presentation,
    )


def locate(picture: PurePath, split_layout: bool) -> Place:
    """Split, class and group from an image's path within the folder.

    >>> locate(PurePath("train/tumour/bob.png"), split_layout=True)
    Place(split=0, label='tumour', group='train/tumour/bob.png')
    >>> locate(PurePath("tumour/patient7/slice3.png"), split_layout=False)
    Place(split=None, label='tumour', group='patient7')
    """
    in_split = split_layout and len(picture.parts) > 1
    split = SPLITS[picture.parts[0].lower()] if in_split else None
    inner = picture.parts[1:] if in_split else picture.parts
    label = inner[0] if len(inner) > 1 else ""
    group = inner[1] if len(inner) > 2 else picture.as_posix()
    return Place(split, label, group)


def _choose_pictures(
    root: Path, files: Sequence[Path], loose: bool
) -> tuple[list[Path], tuple[str, ...]]:
    """The images themselves, and notes on what is passed over."""
    explained = {file.parent for file in files if file.name == FACTS_FILE}
    own = [
        file
        for file in files
        if file.parts[0].lower() not in MIRRORS and explained.isdisjoint(file.parents)
    ]
    pictures = [file for file in own if is_image(root / file) and file.name != TABLE_OF_CONTENTS]
    others = set(own) - {*pictures, Path(VALUES_NAME)}
    suffixes = Counter(file.suffix.lower() or file.name for file in others)
    if not pictures:
        found = ", ".join(suffixes) or ("explanations by medxgan" if explained else "no files")
        raise DataError(f"{root} must hold {FORMATS_IN_WORDS} images in class folders, got {found}")
    notes: tuple[str, ...] = ()
    if explained:
        notes += (f"{counted(len(explained), 'explanation')} by medxgan passed over",)
    if suffixes:
        others_text = counted(suffixes.total(), "other file")
        notes += (f"{others_text} passed over ({', '.join(sorted(suffixes))})",)
    inside = [picture for picture in pictures if len(picture.parts) > 1]
    if loose or not inside:
        return pictures, notes
    if len(inside) < len(pictures):
        outside = counted(len(pictures) - len(inside), "image")
        notes += (f"{outside} outside the class folders passed over",)
    return inside, notes


def _values(root: Path, files: Sequence[Path], pictures: Sequence[Path]) -> Values | None:
    """The values of the images, in their order, where there is a table of them."""
    table = root / VALUES_NAME
    if not table.is_file():
        return None
    columns, rows = read_table(table)
    if not {"path", "value"} <= {*columns}:
        raise DataError(
            f"{table} must have the columns 'path' and 'value', separated by commas; "
            f"got {', '.join(columns) or 'an empty file'}"
        )
    with about(table):
        numbers = text_values([row["value"] for row in rows], "column 'value'")
    written = dict(zip((PurePath(row["path"]) for row in rows), numbers.tolist(), strict=True))
    strays = sorted(written.keys() - {*files})
    if strays:
        raise DataError(
            f"{table} names '{strays[0].as_posix()}' and {len(strays) - 1} other file(s) that are "
            f"not there; a path is relative to the folder, such as '{pictures[0].as_posix()}'"
        )
    if len(written) < len(rows):
        raise DataError(f"{table} names an image twice; give each image one value")
    return np.array([written.get(picture, np.nan) for picture in pictures], dtype=np.float32)


def _has_split_layout(root: Path, pictures: Sequence[Path], loose: bool) -> bool:
    """Are the topmost folders splits (else they are classes)?"""
    tops = {picture.parts[0] for picture in pictures if len(picture.parts) > 1}
    classes = {top for top in tops if top.lower() not in SPLITS}
    if tops and classes and classes != tops and not loose:
        raise DataError(
            f"{root} mixes split folders with others ({', '.join(sorted(classes))}); "
            "put all class folders into train, val or test, or none"
        )
    return bool(tops) and not classes


def _mirror(
    root: Path, files: Sequence[Path], mirror: str, pictures: Sequence[Path]
) -> dict[PurePath, Path]:
    """Path within the folder, without suffix -> its mask or twin."""
    found: dict[PurePath, Path] = {
        without_suffix(PurePath(*file.parts[1:])): root / file
        for file in files
        if file.parts[0].lower() == mirror and len(file.parts) > 1 and is_image(root / file)
    }
    strays = sorted(found.keys() - {without_suffix(picture) for picture in pictures})
    if strays:
        raise DataError(
            f"{found[strays[0]]} and {len(strays) - 1} other file(s) in {mirror} belong to no "
            f"image; the path within {mirror} must be the image's own, such as "
            f"{Path(mirror) / pictures[0]}"
        )
    return found
