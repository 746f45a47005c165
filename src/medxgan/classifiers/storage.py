"""Classifiers as files: one ``.safetensors`` file with its own description, or a description file.

A self-contained file keeps JSON in the header of the weights: format, specification, architecture
and measured figures. A description (``.toml`` or ``.json``) names a model of the user's own::

    source = "my_model.py:MyNetwork"     # or package.module:factory, or an architecture's name
    weights = "my_model.pt"              # relative to this file

    [spec]
    channels = 1
    size = 128
    output = "logits"
    class_names = ["healthy", "tumour"]
"""

import json
import os
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from medxgan.atomic import atomic_file
from medxgan.classifiers.architectures import ARCHITECTURES, build_architecture, is_architecture
from medxgan.classifiers.modules import (
    build_module,
    load_weights,
    read_safetensors,
    read_weights,
)
from medxgan.classifiers.outputs import raw_outputs
from medxgan.classifiers.specification import SpecSource, read_spec, read_table, required_spec
from medxgan.classifiers.torch_module import TorchClassifier
from medxgan.errors import ClassifierError, OutputError, nearest
from medxgan.types import ClassifierSpec

FORMAT = "medxgan-classifier"
FORMAT_VERSION = 1
LOADABLE = (
    "a .safetensors file of this program, package.module:factory or file.py:Class with its "
    "weights, or a .toml or .json description"
)
DESCRIPTION_KEYS = ("source", "spec", "weights")


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
    source: str | os.PathLike[str] | nn.Module,
    *,
    weights: str | os.PathLike[str] | None = None,
    spec: SpecSource | None = None,
) -> TorchClassifier:
    """Load a classifier, on the CPU.

    Args:
        source: a ``.safetensors`` file written by ``save_classifier``; a ``.toml`` or ``.json``
            description; ``package.module:factory`` or ``file.py:Class``, called without arguments;
            the name of an architecture; or a module itself, which is frozen in place.
        weights: its state dictionary, ``.safetensors`` or from ``torch.save``. A module and a
            factory may come with their own.
        spec: what it takes and gives; a specification, a mapping, or a ``.json`` or ``.toml`` file.

    Raises:
        ClassifierError: something is missing, damaged, unsafe, or does not fit.
        MissingPackageError: the architecture needs a package that is not installed.
    """
    if isinstance(source, nn.Module):
        return _assemble(source, weights, required_spec(spec, "the module"), None, None)
    text = os.fspath(source)
    path = Path(text)
    if path.suffix in (".safetensors", ".toml", ".json") and not is_architecture(text):
        if weights is not None or spec is not None:
            raise ClassifierError(f"'{path}' brings its own weights and spec; give it alone")
        if not path.is_file():
            raise ClassifierError(f"the classifier file '{path}' does not exist; check the path")
        return _load_file(path) if path.suffix == ".safetensors" else _load_description(path)
    return _load_named(text, weights, spec, Path())


def _load_named(
    source: str,
    weights: str | os.PathLike[str] | None,
    spec: SpecSource | None,
    folder: Path,
) -> TorchClassifier:
    if is_architecture(source):
        known = required_spec(spec, f"the architecture '{source}'")
        if weights is None:
            raise ClassifierError(
                f"the architecture '{source}' needs weights, got none; give a weights file, or "
                "train it with medxgan fit-classifier"
            )
        module = build_architecture(source, known.channels, known.size, raw_outputs(known))
        return _assemble(module, weights, known, source, source)
    if ":" not in source:
        raise ClassifierError(_why_not_loadable(source))
    module = build_module(source, folder)
    return _assemble(module, weights, required_spec(spec, f"'{source}'"), None, source)


def _why_not_loadable(source: str) -> str:
    suffix = Path(source).suffix
    if suffix in (".onnx", ".pt2", ".ptl"):
        return f"'{source}': {suffix} files cannot be loaded yet; give {LOADABLE}"
    if suffix in (".pt", ".pth", ".ckpt", ".bin"):
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
    module: nn.Module,
    weights: str | os.PathLike[str] | None,
    spec: ClassifierSpec,
    architecture: str | None,
    source: str | None,
) -> TorchClassifier:
    if weights is not None:
        load_weights(module, read_weights(Path(weights)), os.fspath(weights))
    return TorchClassifier(module, spec, architecture, source)


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
    module = build_architecture(architecture, spec.channels, spec.size, raw_outputs(spec))
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
    if not isinstance(source, str):
        raise ClassifierError(f"'{path}' must name the model under 'source', as a text")
    if weights is not None and not isinstance(weights, str):
        raise ClassifierError(f"'{path}' must name the weights file under 'weights', as a text")
    if isinstance(spec, str):
        spec = path.parent / spec
    located = None if weights is None else path.parent / weights
    return _load_named(source, located, spec, path.parent)
