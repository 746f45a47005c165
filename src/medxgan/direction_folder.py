"""Where directions lie, and what they are called: ``directions/NAME`` in a bundle, or elsewhere."""

import re
from pathlib import Path

from medxgan.classifiers import TorchClassifier
from medxgan.direction_file import MANIFEST_NAME, read_direction_manifest
from medxgan.errors import BundleError, ConfigError, nearest
from medxgan.stored_classifier import is_recorded

FOLDER = "directions"
UNUSUAL = re.compile(r"[^A-Za-z0-9_.-]+")


def direction_name(source: str, target: str | None = None) -> str:
    """A name from where the model came from, and from the class that was asked for.

    >>> direction_name("models/chest net.onnx"), direction_name("my.module:predict", "tumour")
    ('chest-net', 'predict-tumour')
    """
    stem = source.rsplit(":", 1)[-1] if ":" in source else Path(source).stem
    words = stem if target is None else f"{stem}-{target}"
    return UNUSUAL.sub("-", words).strip("-.") or "direction"


def check_name(name: str) -> str:
    """The name of a direction, if a folder can have it.

    Raises:
        ConfigError: it has other characters than letters, digits, dot, hyphen and underscore.
    """
    if UNUSUAL.search(name) or name.strip("-.") != name or not name:
        raise ConfigError(
            f"a direction's name takes letters, digits, dots, hyphens and underscores, got '{name}'"
        )
    return name


def check_free(folder: Path, classifier: TorchClassifier, target: int) -> None:
    """Refuse to write over a direction for another model or class.

    Raises:
        ConfigError: there is one in the folder.
    """
    if not (folder / MANIFEST_NAME).is_file():
        return
    there = read_direction_manifest(folder)
    if there.target != target or not is_recorded(there.classifier, classifier):
        raise ConfigError(
            f"{folder} holds a direction for '{there.target_name}' of the model "
            f"{there.classifier.fingerprint[:12]}; choose another name with --name"
        )


def fitted_directions(bundle: Path) -> list[str]:
    """Names of the directions in a bundle's folder, in the order of the alphabet."""
    return sorted(path.parent.name for path in (bundle / FOLDER).glob(f"*/{MANIFEST_NAME}"))


def find_direction(bundle: Path, name: str | None) -> Path:
    """The folder of a direction.

    Args:
        bundle: folder of the style-based generator.
        name: of one of its directions, or a folder elsewhere; the only one where None.

    Raises:
        BundleError: there is none, there are several and none was named, or no such one.
    """
    known = fitted_directions(bundle)
    if name is None:
        if len(known) == 1:
            return bundle / FOLDER / known[0]
        if not known:
            raise BundleError(
                f"{bundle} holds a style-based generator and no direction for a model yet; fit a "
                f"direction first: medxgan fit-direction {bundle} --classifier FILE"
            )
        raise BundleError(
            f"{bundle} has several directions; choose one with --direction: {', '.join(known)}"
        )
    if name in known:
        return bundle / FOLDER / name
    if (Path(name) / MANIFEST_NAME).is_file():
        return Path(name)
    if not known:
        raise BundleError(
            f"{bundle} has no direction yet, and '{name}' is no folder of one; fit one: medxgan "
            f"fit-direction {bundle} --classifier FILE"
        )
    raise BundleError(
        f"{bundle} has no direction '{name}', and no folder of one has that name; "
        f"{nearest(name, known)}"
    )
