"""Results of finished batches, kept in a folder: an interrupted measuring goes on from them."""

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

METRICS_FILE = "metrics.json"
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
        identity: what is measured, by what and how, in values that JSON can hold: parts of anything
            else must not be mixed in.

    Raises:
        OutputError: the folder holds another measuring, finished or not.
    """

    def __init__(self, folder: Path | None, identity: Mapping[str, Any]) -> None:
        self.folder = None if folder is None else folder / FOLDER_NAME
        self.identity = json.dumps(dict(identity), indent=2)
        if self.folder is not None:
            _check_identity(self.folder, json.loads(self.identity))

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
            if not (self.folder / IDENTITY_NAME).is_file():
                with atomic_file(self.folder / IDENTITY_NAME) as file:
                    file.write(self.identity.encode())
            _write(path, found)
        return found


def finished_before(folder: Path) -> bool:
    """Does a folder hold a finished evaluation, with the parts that tell which one it is?

    Raises:
        OutputError: it holds a finished one without its parts; nobody can tell whether it is the
            one that is asked for now.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as name:
    ...     finished_before(Path(name))
    False
    """
    if not (folder / METRICS_FILE).is_file():
        return False
    if not (folder / FOLDER_NAME / IDENTITY_NAME).is_file():
        raise OutputError(
            f"{folder} holds a finished evaluation without the folder {FOLDER_NAME} that tells its "
            f"settings; choose another --out, or remove {METRICS_FILE} there"
        )
    return True


def _check_identity(folder: Path, identity: dict[str, Any]) -> None:
    path = folder / IDENTITY_NAME
    try:
        before = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        if not any(folder.glob(f"*{PART_SUFFIX}")):
            return
        before = None
    except (OSError, ValueError):
        before = None
    if not isinstance(before, dict):
        raise OutputError(f"{path} cannot be read; remove the folder {folder} and start again")
    # Kept before noise could be left out, it was not.
    before = {"noise": True} | before
    differences = [
        f"{name}: {_shown(before.get(name))}, now {_shown(value)}"
        for name, value in identity.items()
        if before.get(name) != value
    ]
    if differences:
        raise OutputError(
            f"{folder.parent} holds another evaluation ({'; '.join(differences)}); choose another "
            f"--out, or remove {FOLDER_NAME} and {METRICS_FILE} there"
        )


def _shown(value: object) -> str:
    """A setting as the command line has it.

    >>> _shown(["ig", "lig"]), _shown(None), _shown(True), _shown(6)
    ('ig,lig', 'none', 'yes', '6')
    """
    match value:
        case None | []:
            return "none"
        case bool():
            return "yes" if value else "no"
        case list():
            return ",".join(map(str, value))
        case _:
            return str(value)


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
