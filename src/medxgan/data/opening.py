"""One door to all data sets: a path is all a user gives."""

from pathlib import Path

from medxgan.data.dataset import Dataset
from medxgan.data.faults import check_shape_request
from medxgan.data.folder import read_folder
from medxgan.data.formats import FORMATS_IN_WORDS
from medxgan.data.images import is_image
from medxgan.data.intensity import Limits
from medxgan.data.manifest import read_manifest
from medxgan.data.npz import read_npz
from medxgan.data.presentation import AS_STORED, Presentation, check_choice
from medxgan.errors import DataError

DATASET_SUFFIXES = (".npz", ".csv")


def open_dataset(
    path: str | Path,
    *,
    size: int | None = None,
    channels: int | None = None,
    seed: int = 0,
    limits: Limits | None = None,
    presentation: Presentation = AS_STORED,
    loose: bool = False,
) -> Dataset:
    """Open a folder of images, a CSV table or a NumPy archive.

    Layouts: `medxgan.data.folder`, `medxgan.data.manifest`, `medxgan.data.npz`. All images are
    held once, in the type they are stored in. Images that are not square are padded to a square.
    Splits that are given are kept; others are made by group (`medxgan.data.split`).

    Args:
        path: the folder or file.
        size: height and width to bring images to, pixels; default: all have one size already.
        channels: 1 (grey) or 3 (colour); default: all have the same already.
        seed: of the splits that are made.
        limits: stored values of 16-bit images that become -1 and +1; default: from their content.
        presentation: how DICOM and NIfTI files are shown, and which slices are taken.
        loose: of a folder take the images beside class and split folders, too, as for explaining.

    Returns:
        All images; ``notes`` says what was changed, made or passed over.

    Raises:
        DataError: nothing is there, or it cannot be used; the sentence names file and reason.
        MissingPackageError: a file needs a package that is not installed.
        ConfigError: ``size`` or ``channels`` cannot be had, or ``presentation`` asks what no file
            can give.

    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from medxgan.data import write_npz
    >>> with TemporaryDirectory() as folder:
    ...     write_npz(Path(folder, "eyes.npz"), images=[np.eye(8)] * 20, labels=[0, 1] * 10)
    ...     data = open_dataset(Path(folder, "eyes.npz"))
    >>> data.class_counts(), data.notes
    ({'negative': 10, 'positive': 10}, \
('no split was given: made one by group, seed 0: 14 train, 3 val, 3 test',))
    """
    check_shape_request(size, channels)
    path = Path(path)
    if path.is_dir():
        data = read_folder(
            path, size=size, channels=channels, seed=seed, presentation=presentation, loose=loose
        )
    elif _is_table(path):
        data = read_manifest(
            path, size=size, channels=channels, seed=seed, presentation=presentation
        )
    elif path.suffix.lower() in DATASET_SUFFIXES:
        check_choice(presentation, ())
        data = read_npz(path, size=size, channels=channels, seed=seed)
    elif not path.exists():
        raise DataError(f"{path} does not exist; check the path")
    else:
        what = "an image file" if is_image(path) else f"of type '{path.suffix}'"
        raise DataError(
            f"{path} is {what}; a data set is a folder of {FORMATS_IN_WORDS} images, a table "
            "(.csv) or a NumPy archive (.npz)"
        )
    return data if limits is None else data.on_scale(limits)


def is_dataset(path: Path) -> bool:
    """Is a path a folder, or by its name a table or an archive?

    >>> is_dataset(Path("scans.NPZ")), is_dataset(Path("scan.png"))
    (True, False)
    """
    return path.is_dir() or path.suffix.lower() in DATASET_SUFFIXES


def _is_table(path: Path) -> bool:
    return path.suffix.lower() == ".csv"
