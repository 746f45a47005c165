"""The temporary folder of open images, which belong to patients: private, and never left behind.

The folder is locked for as long as its viewer runs. The system lets go of the lock whatever ends
the viewer, so that the next one can tell a folder that was left behind, and remove it.
"""

import os
import shutil
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from medxgan.errors import OutputError

if sys.platform != "win32":
    import fcntl

PREFIX = "medxgan-view-"
LOCK_FILE = "lock"


class ImageFolder:
    """A private folder; making one removes those that killed viewers of the same user left.

    Args:
        parent: where it is made; where the system keeps temporary files if None.

    Attributes:
        path: of the folder.
    """

    def __init__(self, parent: Path | None = None) -> None:
        parent = parent or Path(tempfile.gettempdir())
        remove_left_folders(parent)
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        self._lock = _locked(self.path)

    def subfolder(self, prefix: str = "") -> Path:
        """A new folder in it.

        Raises:
            OutputError: it cannot be made.
        """
        try:
            if not is_own_folder(self.path):  # what tidies up old files was there
                self.path.mkdir(mode=0o700)
                self._unlock()
                self._lock = _locked(self.path)
            return Path(tempfile.mkdtemp(prefix=prefix, dir=self.path))
        except OSError as fault:
            raise OutputError(
                f"the temporary folder of open images cannot be written ({fault.strerror}); start "
                "the viewer again"
            ) from fault

    def remove(self) -> None:
        """Remove it and all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
        self._lock = None


def remove_left_folders(parent: Path) -> None:
    """Remove the folders of this user's viewers that run no more."""
    if sys.platform == "win32":
        return
    for path in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if is_own_folder(path) and _is_left(path):
                shutil.rmtree(path, ignore_errors=True)


def is_own_folder(path: Path) -> bool:
    """Is this a folder, not a link to one, of the user who runs this program?"""
    try:
        status = path.lstat()
    except OSError:
        return False
    owner = getattr(os, "geteuid", lambda: status.st_uid)()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == owner


def _locked(folder: Path) -> int | None:
    """A descriptor that locks a folder until it is closed; None where there are no such locks.

    The file has its name only once it is locked, so that nobody finds it without.
    """
    if sys.platform == "win32":
        return None
    unnamed = folder / f"{LOCK_FILE}.new"
    descriptor = os.open(unnamed, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with suppress(OSError):  # some network drives know no locks
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unnamed.rename(folder / LOCK_FILE)
    return descriptor


def _is_left(folder: Path) -> bool:
    """Has the viewer of a folder ended? One without a lock may be about to begin."""
    if sys.platform == "win32":
        return False
    with suppress(FileNotFoundError), (folder / LOCK_FILE).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
    return False
