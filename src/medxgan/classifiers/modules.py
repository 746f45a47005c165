"""From a name to a PyTorch module with its weights, or to a function; nothing is unpickled."""

import importlib
import importlib.util
import inspect
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from medxgan.errors import ClassifierError, nearest

Role = Literal["factory", "function"]
STATE_DICT_KEYS = ("state_dict", "model_state_dict", "model")


def find_model(
    source: str, folder: Path = Path(), role: Role | None = None
) -> nn.Module | Callable[..., object]:
    """The model that ``package.module:name`` or ``file.py:name`` stands for.

    An ``nn.Module`` is the model itself. A class, or a function that can be called without
    arguments, is a factory: it is called, and what it returns is the model, an ``nn.Module`` or a
    function from images to scores. A function that needs an argument is such a function itself.

    Args:
        source: where it is.
        folder: what a relative path of a file is relative to.
        role: ``factory`` or ``function``, where this rule would take it for the other.

    Raises:
        ClassifierError: the module or file cannot be imported, holds no such name, or the call of a
            factory fails or gives neither.

    >>> find_model("torch.nn:Identity")
    Identity()
    >>> find_model("numpy:mean", role="function")(range(3)).item()
    1.0
    """
    if role not in (None, *get_args(Role)):
        raise ClassifierError(f"a model's role must be factory or function, got '{role}'")
    place, _, name = source.rpartition(":")
    module = _import_file(folder / place) if place.endswith(".py") else _import_module(place)
    if not hasattr(module, name):
        public = [known for known in vars(module) if not known.startswith("_")]
        raise ClassifierError(f"'{place}' holds no '{name}'; {nearest(name, public)}")
    found: object = getattr(module, name)
    if isinstance(found, nn.Module):
        return found
    if not callable(found):
        raise ClassifierError(
            f"'{source}' must be a class or function that returns a torch.nn.Module, or a function "
            f"from images to scores, got {type(found).__name__}"
        )
    is_function = not isinstance(found, type) and _needs_an_argument(found)
    if role == "function" or (role is None and is_function):
        return found
    return _built_by(found, source)


def _needs_an_argument(function: Callable[..., object]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # compiled functions may tell nothing
        return True
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(
        parameter.default is inspect.Parameter.empty
        for parameter in parameters
        if parameter.kind in by_position
    )


def _built_by(factory: Callable[..., object], source: str) -> nn.Module | Callable[..., object]:
    try:
        built = factory()
    except Exception as error:
        raise ClassifierError(
            f"'{source}' is called without arguments and failed with {_named(error)}; "
            'give a function that builds the whole model, or say role = "function" in a '
            "description if it takes images itself"
        ) from error
    if isinstance(built, nn.Module) or callable(built):
        return built
    raise ClassifierError(
        f"'{source}' is called without arguments and must return a torch.nn.Module or a function "
        f"from images to scores, got {type(built).__name__}; if it takes images itself, say role = "
        '"function" in a description'
    )


def _import_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise ClassifierError(
            f"the module '{name}' cannot be imported ({_named(error)}); "
            "install it, or name its file, as in path/to/models.py:MyNetwork"
        ) from error


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ClassifierError(f"the Python file '{path}' does not exist; check the path")
    name = f"medxgan_user_{path.stem}_{abs(hash(path.resolve())):x}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ClassifierError(f"'{path}' cannot be imported as a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _importable(path.resolve().parent):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ClassifierError(f"'{path}' cannot be imported ({_named(error)})") from error
    return module


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let a file import its neighbours, as it can when Python runs it directly."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def read_weights(path: Path) -> dict[str, Tensor]:
    """State dictionary from a ``.safetensors`` file or ``torch.save`` file, on the CPU.

    A dictionary that wraps it under ``state_dict``, ``model_state_dict`` or ``model`` is opened.

    Raises:
        ClassifierError: the file is missing, damaged, holds pickled objects other than tensors,
            or holds no state dictionary.
    """
    if not path.is_file():
        raise ClassifierError(f"the weights file '{path}' does not exist; check the path")
    content = read_safetensors(path) if path.suffix == ".safetensors" else _torch_load(path)
    for key in STATE_DICT_KEYS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not any(isinstance(v, Tensor) for v in content.values()):
        raise ClassifierError(
            f"'{path}' must hold a state dictionary (name -> tensor), "
            f"got {type(content).__name__}; write it with torch.save(model.state_dict(), path)"
        )
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a ``.safetensors`` file.

    Raises:
        ClassifierError: the file cannot be read or is damaged.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise ClassifierError(
            f"'{path}' is not a readable safetensors file ({_named(error)}); copy it again"
        ) from error


def _torch_load(path: Path) -> Any:
    try:
        with warnings.catch_warnings(action="ignore"):  # what fails is said below, once
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ClassifierError(
            f"'{path}' holds pickled Python objects beside tensors, which could run code when "
            "opened and are refused; write it with torch.save(model.state_dict(), path) or as "
            "safetensors"
        ) from error
    except Exception as error:
        raise ClassifierError(
            f"'{path}' is not a readable PyTorch weights file ({_named(error)}); copy it again"
        ) from error


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], name: str) -> None:
    """Copy ``weights`` into ``module``; every name and shape must fit.

    Args:
        module: receives them.
        weights: its state dictionary. The step counters of batch normalisations may be missing.
        name: what the weights are called in an error.

    Raises:
        ClassifierError: a tensor is missing, unexpected or of another shape; the first is named.
    """
    expected = {
        key: value for key, value in module.state_dict().items() if isinstance(value, Tensor)
    }
    missing = [
        key for key in expected if key not in weights and not key.endswith("num_batches_tracked")
    ]
    unexpected = [key for key in weights if key not in expected]
    for problem, keys in (("lack", missing), ("hold the unexpected", unexpected)):
        if keys:
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            raise ClassifierError(
                f"the weights '{name}' do not fit the model: they {problem} '{keys[0]}'{more}; "
                f"they start with '{next(iter(weights), '')}', the model with "
                f"'{next(iter(expected), '')}'"
            )
    for key, value in weights.items():
        if value.shape != expected[key].shape:
            raise ClassifierError(
                f"the weights '{name}' do not fit the model: '{key}' must be "
                f"{list(expected[key].shape)}, got {list(value.shape)}"
            )
    module.load_state_dict(dict(weights), strict=False)


def _named(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
