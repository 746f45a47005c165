"""Classifiers from wherever they are: files, descriptions, names in Python code, objects.

A self-contained ``.safetensors`` file keeps JSON in the header of the weights: format,
specification, architecture and measured figures. A description (``.toml`` or ``.json``) names a
model of the user's own::

    source = "my_model.py:MyNetwork"     # or my_model.onnx, .pt2, .pt, package.module:name
    weights = "my_model.pt"              # relative to this file, as source is

    [spec]
    channels = 1
    size = 128
    output = "logits"
    class_names = ["healthy", "tumour"]
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from medxgan.atomic import atomic_file
from medxgan.classifiers.architectures import ARCHITECTURES, build_architecture, is_architecture
from medxgan.classifiers.black_box import ArrayFunction, BlackBox
from medxgan.classifiers.model_files import MODEL_SUFFIXES, kind_of_file, load_model_file
from medxgan.classifiers.modules import (
    Role,
    find_model,
    load_weights,
    read_safetensors,
    read_weights,
)
from medxgan.classifiers.outputs import raw_outputs
from medxgan.classifiers.specification import SpecSource, read_spec, read_table, required_spec
from medxgan.classifiers.torch_module import TorchClassifier
from medxgan.errors import ClassifierError, OutputError, nearest

FORMAT = "medxgan-classifier"
FORMAT_VERSION = 1
LOADABLE = (
    "a .safetensors file of this program, an .onnx, .pt2 or TorchScript file, "
    "package.module:factory or file.py:Class with its weights, a function of images, or a .toml or "
    ".json description"
)
DESCRIPTION_KEYS = ("source", "spec", "weights", "batch_size", "role")


@dataclass(frozen=True)
class _Request:
    """What was said of a model beside where it is."""

    weights: str | os.PathLike[str] | None = None
    spec: SpecSource | None = None
    batch_size: int | None = None
    role: Role | None = None


def save_classifier(path: str | os.PathLike[str], classifier: TorchClassifier) -> None:
    """Write one self-contained ``.safetensors`` file, all or nothing; missing folders are made.

    Raises:
        ClassifierError: the classifier is not one of the package's architectures, so its code
            could not be found again.
        OutputError: the suffix is another, or the file cannot be written.
    """
    target = Path(path)
    if target.suffix != ".safetensors":
        raise OutputError(f"a classifier is written to a .safetensors file, got '{target}'")
    if classifier.architecture is None:
        raise ClassifierError(
            "only the program's own architectures can be written to one file; keep the code and "
            "weights of this model, and a .toml description of them"
        )
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "architecture": classifier.architecture,
        "spec": classifier.spec.model_dump_json(),
        "measured": json.dumps(classifier.measured),
    }
    tensors = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in classifier.module.state_dict().items()
    }
    with atomic_file(target) as file:
        file.write(save(tensors, metadata))


def load_classifier(
    source: str | os.PathLike[str] | nn.Module | ArrayFunction,
    *,
    weights: str | os.PathLike[str] | None = None,
    spec: SpecSource | None = None,
    batch_size: int | None = None,
    role: Role | None = None,
) -> TorchClassifier:
    """Load a classifier, on the CPU.

    Args:
        source: a ``.safetensors`` file written by ``save_classifier``; a ``.toml`` or ``.json``
            description; an ``.onnx`` file, a ``.pt2`` file of ``torch.export.save`` or a ``.pt``
            file of ``torch.jit.save``; ``package.module:name`` or ``file.py:name``, a module, a
            factory or a function (see ``find_model``); the name of an architecture; or a module,
            which is frozen in place, or a function itself.
        weights: its state dictionary, ``.safetensors`` or from ``torch.save``. A module and a
            factory may come with their own; files and functions always do.
        spec: what it takes and gives; a specification, a mapping, or a ``.json`` or ``.toml`` file.
        batch_size: images at once, at most, for a file or a function.
        role: ``factory`` or ``function``, where a name in code would be taken for the other.

    Raises:
        ClassifierError: something is missing, damaged, unsafe, or does not fit.
        MissingPackageError: the architecture or the file needs a package that is not installed.
    """
    request = _Request(weights, spec, batch_size, role)
    if isinstance(source, nn.Module):
        return _assemble(source, request, "the module", None, None)
    if callable(source):
        return _assemble(source, request, "the function", None, None)
    text = os.fspath(source)
    path = Path(text)
    if path.suffix in (".safetensors", ".toml", ".json") and not is_architecture(text):
        if request != _Request():
            raise ClassifierError(f"'{path}' brings its own weights and spec; give it alone")
        if not path.is_file():
            raise ClassifierError(f"the classifier file '{path}' does not exist; check the path")
        return _load_file(path) if path.suffix == ".safetensors" else _load_description(path)
    return _load_named(text, request, Path())


def _load_named(source: str, request: _Request, folder: Path) -> TorchClassifier:
    if is_architecture(source):
        known = required_spec(request.spec, f"the architecture '{source}'")
        if request.weights is None:
            raise ClassifierError(
                f"the architecture '{source}' needs weights, got none; give a weights file, or "
                "train it with medxgan fit-classifier"
            )
        module = build_architecture(source, known.channels, known.taken_size, raw_outputs(known))
        return _assemble(module, request, f"'{source}'", source, source)
    path = folder / source
    if kind_of_file(path) is not None:
        if request.weights is not None:
            raise ClassifierError(f"'{path}' brings its own weights; leave out weights")
        return load_model_file(path, required_spec(request.spec, f"'{path}'"), request.batch_size)
    if ":" not in source:
        raise ClassifierError(_why_not_loadable(source, path))
    model = find_model(source, folder, request.role)
    return _assemble(model, request, f"'{source}'", None, source)


def _why_not_loadable(source: str, path: Path) -> str:
    suffix = path.suffix
    if suffix in MODEL_SUFFIXES and not path.is_file():
        return f"the classifier file '{path}' does not exist; check the path"
    if suffix in (*MODEL_SUFFIXES, ".ckpt", ".bin"):
        return (
            f"'{source}' holds weights but no model; describe both in a .toml file (the README "
            "shows one), or give the model as file.py:Class and this file as its --weights"
        )
    if suffix == ".py":
        return f"'{source}' must name what to call, as in {source}:MyNetwork"
    return (
        f"no classifier file, factory or architecture is named '{source}'; give {LOADABLE}, or an "
        f"architecture with weights ({nearest(source, [*ARCHITECTURES, 'monai:NAME'])})"
    )


def _assemble(
    model: nn.Module | ArrayFunction,
    request: _Request,
    what: str,
    architecture: str | None,
    source: str | None,
) -> TorchClassifier:
    spec = required_spec(request.spec, what)
    if not isinstance(model, nn.Module):
        if request.weights is not None:
            raise ClassifierError(f"{what} is a function, which has no use for weights")
        return BlackBox(model, spec, batch_size=request.batch_size, source=source)
    if request.batch_size is not None:
        raise ClassifierError(
            f"{what} is a torch.nn.Module, which takes batches of any size; leave out batch_size"
        )
    if request.weights is not None:
        load_weights(model, read_weights(Path(request.weights)), os.fspath(request.weights))
    return TorchClassifier(model, spec, architecture, source)


def _load_file(path: Path) -> TorchClassifier:
    tensors = read_safetensors(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ClassifierError(f"'{path}' is not a readable safetensors file ({error})") from error
    if metadata.get("format") != FORMAT:
        raise ClassifierError(
            f"'{path}' holds weights but no description of a model; give the model as "
            "package.module:factory or file.py:Class, and this file as its weights"
        )
    if metadata.get("format_version") != str(FORMAT_VERSION):
        raise ClassifierError(
            f"'{path}' has classifier format {metadata.get('format_version')}, this program reads "
            f"{FORMAT_VERSION}; update medxgan"
        )
    try:
        architecture = metadata["architecture"]
        described = dict(json.loads(metadata["spec"]))
        measured = dict(json.loads(metadata["measured"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ClassifierError(f"the header of '{path}' is damaged ({error})") from error
    spec = read_spec(described)
    module = build_architecture(architecture, spec.channels, spec.taken_size, raw_outputs(spec))
    load_weights(module, tensors, str(path))
    return TorchClassifier(module, spec, architecture, str(path), measured)


def _load_description(path: Path) -> TorchClassifier:
    described = read_table(path)
    unknown = [key for key in described if key not in DESCRIPTION_KEYS]
    if unknown:
        raise ClassifierError(
            f"'{path}' has the unknown key '{unknown[0]}'; {nearest(unknown[0], DESCRIPTION_KEYS)}"
        )
    source, weights, spec = (described.get(key) for key in ("source", "weights", "spec"))
    batch_size, role = described.get("batch_size"), described.get("role")
    if not isinstance(source, str):
        raise ClassifierError(f"'{path}' must name the model under 'source', as a text")
    if weights is not None and not isinstance(weights, str):
        raise ClassifierError(f"'{path}' must name the weights file under 'weights', as a text")
    if batch_size is not None and type(batch_size) is not int:
        raise ClassifierError(f"'{path}' must give 'batch_size' as a whole number")
    if isinstance(spec, str):
        spec = path.parent / spec
    located = None if weights is None else path.parent / weights
    return _load_named(source, _Request(located, spec, batch_size, role), path.parent)
