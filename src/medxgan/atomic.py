"""Write a file so that it is there complete, or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from medxgan.errors import OutputError


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its name only once the block has ended without error.

    Missing parent folders are made.

    Raises:
        OutputError: no permission, no space, or a folder has that name.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with atomic_file(Path(folder, "deep", "answer")) as file:
    ...         _ = file.write(b"42")
    ...     Path(folder, "deep", "answer").read_bytes()
    b'42'
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    except OSError as fault:
        reason = fault.strerror or str(fault)
        raise OutputError(
            f"{path} cannot be written ({reason}); choose another place or make room"
        ) from fault
    finally:
        with suppress(OSError):  # after success it has its name, after failure it may not exist
            partial.unlink()
