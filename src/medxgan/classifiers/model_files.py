"""Whole models in files of other programs: ONNX, ``.pt2`` and TorchScript."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medxgan.classifiers.exported import exported_classifier, torchscript_classifier
from medxgan.classifiers.exported_files import is_torchscript
from medxgan.classifiers.kinds import Kind
from medxgan.classifiers.onnx_file import read_onnx
from medxgan.classifiers.onnx_model import onnx_classifier
from medxgan.classifiers.torch_module import TorchClassifier
from medxgan.errors import ClassifierError
from medxgan.types import ClassifierSpec

SUFFIXES: dict[str, Kind] = {".onnx": "onnx", ".pt2": "exported"}
TORCHSCRIPT_SUFFIXES = (".pt", ".pth", ".ptl", ".ts", ".torchscript")
"""Files of weights have the first two as well; only their content tells."""

MODEL_SUFFIXES = (*SUFFIXES, *TORCHSCRIPT_SUFFIXES)


def kind_of_file(path: Path) -> Kind | None:
    """What kind of model a file holds; None where it holds none, or does not exist.

    >>> kind_of_file(Path("no such file.onnx")) is None
    True
    """
    if not path.is_file():
        return None
    suffix = path.suffix.lower()
    if suffix in TORCHSCRIPT_SUFFIXES and is_torchscript(path):
        return "torchscript"
    return SUFFIXES.get(suffix)


def load_model_file(
    path: Path, spec: ClassifierSpec, batch_size: int | None = None
) -> TorchClassifier:
    """A model file as a classifier.

    Args:
        path: of a file that ``kind_of_file`` knows.
        spec: what the model takes and gives.
        batch_size: images at once, at most.

    Raises:
        ClassifierError: it cannot be opened, or does not do what ``spec`` says.
        MissingPackageError: it is an ONNX file, and onnxruntime is not installed.
    """
    match kind_of_file(path):
        case "onnx":
            return onnx_classifier(read_onnx(path), spec, name=str(path), batch_size=batch_size)
        case "exported":
            return exported_classifier(path, spec, batch_size=batch_size)
        case "torchscript":
            return torchscript_classifier(path, spec, batch_size=batch_size)
        case _:
            raise ClassifierError(f"'{path}' holds no model; check the path")


def restore_model(
    kind: Kind,
    files: Mapping[str, bytes],
    spec: ClassifierSpec,
    *,
    name: str,
    batch_size: int | None = None,
    measured: Mapping[str, Any] | None = None,
) -> TorchClassifier:
    """A model from the files that a classifier kept, as bundles store them.

    Args:
        kind: one that ``KINDS`` calls stored, and that consists of files.
        files: ``TorchClassifier.files``.
        spec: what the model takes and gives.
        name: what it is called in an error.
        batch_size: images at once, at most.
        measured: figures of merit and origin.

    Raises:
        ClassifierError: no model of that kind is opened from stored files, or it cannot be opened.
        MissingPackageError: it is an ONNX model, and onnxruntime is not installed.
    """
    if kind != "onnx":
        raise ClassifierError(f"{name} is a model of the kind '{kind}', which no bundle may hold")
    return onnx_classifier(files, spec, name=name, batch_size=batch_size, measured=measured)
