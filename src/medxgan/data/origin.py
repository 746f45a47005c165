"""Where an image comes from."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from medxgan.data.formats import kind_of


class Origin(NamedTuple):
    """The file that an image was read from, and which of its frames or slices it is, from 1."""

    path: Path
    number: int = 1


def kinds_of(origins: Iterable[Origin | None]) -> set[str | None]:
    """Of which kinds the files are that images were read from: picture, dicom, nifti.

    >>> kinds_of([None, Origin(Path("a.nii.gz")), Origin(Path("a.nii.gz"), 2)])
    {'nifti'}
    """
    return {kind_of(path) for path in {origin.path for origin in origins if origin is not None}}
