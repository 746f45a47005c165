"""Results of finished batches, kept in a folder so that an interrupted measuring goes on."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors

from medxgan.atomic import atomic_file
from medxgan.errors import OutputError
from medxgan.evaluate.columns import Columns

FOLDER_NAME = "parts"
IDENTITY_NAME = "identity.json"
PART_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Part:
    """What one batch gave: columns, and whatever else JSON can hold."""

    columns: Columns
    beside: Mapping[str, Any] = field(default_factory=dict)


class Parts:
    """The parts of one measuring.

    Args:
        folder: where ``parts/`` is; None keeps nothing.
        identity: what is measured, by what and how: parts of anything else must not be mixed in.

    Raises:
        OutputError: the folder holds parts of another measuring, or cannot be written.
    """

    def __init__(self, folder: Path | None, identity: Mapping[str, str]) -> None:
        self.folder = None if folder is None else folder / FOLDER_NAME
        if self.folder is not None:
            _check_identity(self.folder / IDENTITY_NAME, dict(identity))

    def kept(self, stage: str, number: int, measure: Callable[[], Part]) -> Part:
        """The part of a batch: from the folder if it is there, else measured and written.

        Args:
            stage: name of the pass.
            number: of the batch in it.
            measure: makes the part.

        Raises:
            OutputError: the folder cannot be written.
        """
        if self.folder is None:
            return measure()
        path = self.folder / f"{stage}-{number:05d}{PART_SUFFIX}"
        found = _read(path)
        if found is None:
            found = measure()
            _write(path, found)
        return found


def discard_parts(folder: Path) -> None:
    """Remove the kept parts, once ``metrics.json`` is written; a folder without any is left alone.

    Args:
        folder: the one that was given to ``evaluate``.

    Raises:
        OutputError: they cannot be removed.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as name:
    ...     _ = Parts(Path(name), {"bundle": "a"})
    ...     discard_parts(Path(name))
    ...     list(Path(name).iterdir())
    []
    """
    parts = folder / FOLDER_NAME
    if not (parts / IDENTITY_NAME).is_file():
        return
    try:
        # The identity goes last: as long as it is there, the rest is known to be ours.
        for path in [*parts.glob(f"*{PART_SUFFIX}"), parts / IDENTITY_NAME]:
            path.unlink()
        if not any(parts.iterdir()):
            parts.rmdir()
    except OSError as fault:
        raise OutputError(
            f"{parts} cannot be removed ({fault.strerror or fault}); remove it yourself"
        ) from fault


def _check_identity(path: Path, identity: dict[str, str]) -> None:
    try:
        before = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        with atomic_file(path) as file:
            file.write(json.dumps(identity, indent=2).encode())
        return
    except (OSError, ValueError):
        before = None
    if not isinstance(before, dict):
        raise OutputError(f"{path} cannot be read; remove the folder {path.parent} and start again")
    other = [name for name in identity if before.get(name) != identity[name]]
    if other:
        raise OutputError(
            f"{path.parent} holds parts of a measuring with another {' and '.join(other)}; choose "
            "another place, or remove that folder"
        )


def _write(path: Path, part: Part) -> None:
    tensors = {
        json.dumps(place): values.cpu().contiguous().clone()
        for place, values in part.columns.items()
    }
    with atomic_file(path) as file:
        file.write(to_safetensors(tensors, {"beside": json.dumps(dict(part.beside))}))


def _read(path: Path) -> Part | None:
    """None where there is no such part, or not one that can be read: then it is measured again."""
    try:
        tensors = load_file(path)
        with safe_open(path, framework="pt") as file:
            beside = json.loads(file.metadata()["beside"])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None
    return Part({tuple(json.loads(name)): values for name, values in tensors.items()}, beside)
