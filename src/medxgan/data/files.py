"""List the files below a folder."""

import os
from pathlib import Path
from typing import NoReturn

from medxgan.data.faults import reading


def list_files(root: Path) -> list[Path]:
    """All files in a folder and below, sorted; hidden ones are left out, links are followed once.

    Raises:
        DataError: the folder is missing, is none, or a part of it may not be read.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Path(folder, ".DS_Store").touch()
    ...     Path(folder, "b.png").touch()
    ...     Path(folder, "a.png").touch()
    ...     [file.name for file in list_files(Path(folder))]
    ['a.png', 'b.png']
    """
    found: list[Path] = []
    seen: set[str] = set()
    with reading(root, "a folder"):
        for parent, folders, files in os.walk(root, onerror=_refuse, followlinks=True):
            real = os.path.realpath(parent)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            found += [Path(parent, name) for name in files if not name.startswith(".")]
    return sorted(found)


def _refuse(fault: OSError) -> NoReturn:
    """`os.walk` passes over folders that it may not read; we say so instead."""
    raise fault
