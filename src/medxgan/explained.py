"""Folders that ``medxgan explain`` wrote: how they are known, and when another run may go there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from medxgan.counting import counted
from medxgan.errors import OutputError

FACTS_FILE = "explanation.json"
"""In the folder of every explanation."""
ARRAYS_FILE = "explanation.npz"
"""Likewise, with the image itself as ``image``."""
TABLE_FILE = "explanations.csv"
"""Beside the folders of a run."""


def explanation_folders(folder: Path) -> list[str]:
    """Names of the subfolders that hold an explanation, sorted; none where there is no folder.

    >>> explanation_folders(Path("nowhere"))
    []
    """
    return sorted(facts.parent.name for facts in folder.glob(f"*/{FACTS_FILE}"))


def check_replaced(out: Path, images: Mapping[str, NDArray[Any]]) -> None:
    """Refuse to write beside, or into, explanations of other images by an earlier run.

    Those beside would be missing in the new table; and a folder that was made of another image
    may keep maps of that one.

    Args:
        out: the folder of the report.
        images: names of the subfolders that will be written -> their images.

    Raises:
        OutputError: ``out`` holds an explanation of an image that is not among ``images``.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as out:
    ...     Path(out, "ann").mkdir()
    ...     Path(out, "ann", FACTS_FILE).touch()
    ...     np.savez(Path(out, "ann", ARRAYS_FILE), image=np.ones((1, 8, 8)))
    ...     check_replaced(Path(out), {"ann": np.ones((1, 8, 8)), "bob": np.zeros((1, 8, 8))})
    """
    left = [
        name
        for name in explanation_folders(out)
        if name not in images or not _holds(out / name, images[name])
    ]
    if left:
        raise OutputError(
            f"the folder '{out}' holds {counted(len(left), 'explanation')} of other images, of an "
            f"earlier run, such as '{left[0]}'; name another --out, or remove that folder"
        )


def _holds(folder: Path, image: NDArray[Any]) -> bool:
    """Is a folder's explanation of this very image?"""
    try:
        with np.load(folder / ARRAYS_FILE, allow_pickle=False) as arrays:
            return np.array_equal(arrays["image"], image)
    except (OSError, ValueError, KeyError, BadZipFile):
        return False
