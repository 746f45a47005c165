"""Write a folder of results so that a failure leaves nothing half-written behind."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from medxgan.errors import OutputError


@contextmanager
def staged_folder(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary folder whose files move into ``folder`` when the block ends well.

    Files of the same name are replaced, one rename each; others in ``folder`` stay. When the block
    fails, as on a full disk, ``folder`` is left as it was. Should a rename itself fail, because a
    folder has the name of a file, the files moved before it stay; none is ever half-written.

    Raises:
        OutputError: ``folder`` cannot be made or written to, or the disk is full.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as parent:
    ...     with staged_folder(Path(parent) / "out") as stage:
    ...         _ = (stage / "a.txt").write_text("done")
    ...     [path.name for path in (Path(parent) / "out").iterdir()]
    ['a.txt']
    """
    target = Path(folder)
    try:
        made = _make_folders(target)
    except OSError as error:
        raise _cannot_write(target, error) from error
    stage: Path | None = None
    finished = False
    try:
        stage = Path(mkdtemp(prefix=".partial-", dir=target))
        yield stage
        for path in sorted(stage.rglob("*")):
            destination = target / path.relative_to(stage)
            if path.is_dir():
                destination.mkdir(exist_ok=True)
            else:
                path.replace(destination)
        finished = True
    except OSError as error:
        raise _cannot_write(target, error) from error
    finally:
        if stage is not None:
            shutil.rmtree(stage, ignore_errors=True)
        if not finished:
            _remove_empty(made)


def _make_folders(folder: Path) -> list[Path]:
    """Make a folder with its parents; the ones that were missing, innermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return


def _cannot_write(folder: Path, error: OSError) -> OutputError:
    if isinstance(error, FileExistsError | NotADirectoryError):
        return OutputError(
            f"expected a folder to write to, but a file is in the way at '{error.filename}'; "
            f"choose another output folder than '{folder}'"
        )
    return OutputError(
        f"cannot write to folder '{folder}' ({error.strerror or error}); "
        "free some space, change its permissions, or choose another output folder"
    )
