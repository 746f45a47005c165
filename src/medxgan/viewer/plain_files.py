"""Files of an opened folder, which may come from anyone: plain ones inside of it, and no others."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from medxgan.errors import DataError

_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_FLAGS |= getattr(os, "O_NONBLOCK", 0)  # a named pipe without a writer is not waited for
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


def open_inside(root: Path, path: Path) -> IO[bytes]:
    """Open a file of a folder for reading.

    Links are followed as long as they stay inside the folder. Where the system can, every step from
    the folder to the file is opened in the one before it, so that none can be exchanged for a link
    meanwhile.

    Args:
        root: the folder.
        path: of the file, in or below it.

    Raises:
        DataError: it leads out of the folder, or is no plain file.
        OSError: it cannot be opened.

    >>> open_inside(Path("/a"), Path("/a/../etc/passwd"))
    Traceback (most recent call last):
    medxgan.errors.DataError: passwd of 'etc' leads out of the opened folder; it is not read
    """
    place = f"{path.name} of '{path.parent.name}'"
    real_root = Path(os.path.realpath(root))
    try:
        steps = Path(os.path.realpath(path)).relative_to(real_root).parts
    except ValueError:
        raise DataError(f"{place} leads out of the opened folder; it is not read") from None
    descriptor = _descend(real_root, steps)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise DataError(f"{place} should be a plain file and is none; it is not read")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _descend(root: Path, steps: Sequence[str]) -> int:
    """A descriptor of the file at the end of the steps."""
    if os.open not in os.supports_dir_fd:
        return os.open(root.joinpath(*steps), _FLAGS | _NO_LINK)
    descriptor = os.open(root, _FLAGS)
    for step in steps:
        try:
            below = os.open(step, _FLAGS | _NO_LINK, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = below
    return descriptor
