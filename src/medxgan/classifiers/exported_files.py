"""Files that PyTorch exports: is it TorchScript, and does a ``.pt2`` hold nothing but tensors?"""

import io
import json
import pickle
import zipfile
from pathlib import Path

import torch

from medxgan.errors import ClassifierError

FIRST_BYTES_OF_ZIP = b"PK\x03\x04"


def is_torchscript(path: Path) -> bool:
    """Whether a ``.pt`` file holds TorchScript, and not weights.

    >>> is_torchscript(Path("no such file.pt"))
    False
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in name for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def check_holds_tensors_only(content: bytes, name: str) -> None:
    """Refuse a ``.pt2`` archive in which PyTorch would unpickle Python objects.

    Args:
        content: of the file.
        name: what it is called in an error.

    Raises:
        ClassifierError: it is no such archive, damaged, of an older format, compiled for one
            machine, or holds pickled objects.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = {_below_root(entry): archive.read(entry) for entry in archive.namelist()}
            older = any("/" not in entry for entry in archive.namelist())
    # zipfile raises the last two for unknown compression and for encrypted entries.
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise ClassifierError(
            f"{name} is not a readable torch.export file ({error}); copy or export it again"
        ) from error
    if older or "models/model.json" not in entries:
        raise ClassifierError(
            f"{name} is damaged, or holds no program that this version of PyTorch reads; write it "
            "with torch.export.save of PyTorch 2.8 or newer"
        )
    if any(map(_is_pickled, entries.items())):
        raise ClassifierError(
            f"{name} holds pickled Python objects beside tensors, which could run code when opened "
            "and are refused; export a model of plain tensors"
        )


def _below_root(entry: str) -> str:
    """An entry's name without the archive's own, which PyTorch puts before it."""
    return entry.partition("/")[2]


def _is_pickled(entry: tuple[str, bytes]) -> bool:
    """Whether PyTorch would unpickle an entry: an object, or tensors in the way of torch.save."""
    name, content = entry
    folder, _, file = name.rpartition("/")
    if name == "data/sample_inputs/model.pt":
        return not _holds_tensors(content)
    if file.endswith("_config.json"):
        return '"use_pickle": true' in json.dumps(_table(content))
    return folder in ("data/weights", "data/constants") and not file.startswith(
        ("weight_", "tensor_")
    )


def _holds_tensors(content: bytes) -> bool:
    try:
        torch.load(io.BytesIO(content), weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError):
        return False
    return True


def _table(content: bytes) -> object:
    try:
        return json.loads(content)
    except ValueError:
        return None
