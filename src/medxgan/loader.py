"""``medxgan.load``: from the name of a bundle to what explains images."""

import os

from medxgan.bundle import find_bundle, load_bundle
from medxgan.classifiers import TorchClassifier
from medxgan.device import choose_device
from medxgan.directed_explainer import DirectedExplainer
from medxgan.direction_file import generator_fingerprint, load_direction
from medxgan.direction_folder import find_direction
from medxgan.errors import ConfigError
from medxgan.explainer import Explainer
from medxgan.style_bundle import StyleBundle


def load(
    name_or_path: str | os.PathLike[str],
    *,
    classifier: TorchClassifier | None = None,
    direction: str | os.PathLike[str] | None = None,
    device: str = "auto",
) -> Explainer:
    """Load a shipped bundle by name, or one of your own by its folder.

    Args:
        name_or_path: for example ``brain-phantom``, or the folder that ``medxgan train`` wrote.
        classifier: the explained model, where the bundle does not hold it.
        direction: of a style-based generator: name of one that lies in the bundle, or the folder
            of one; the only one where None.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises:
        BundleError: there is no such bundle or direction, it is damaged, or for another model.
        ConfigError: the device is not available, or the bundle has no use for a direction.
    """
    folder = find_bundle(os.fspath(name_or_path))
    bundle = load_bundle(folder, classifier)
    chosen = choose_device(device)
    if isinstance(bundle, StyleBundle):
        wanted = None if direction is None else os.fspath(direction)
        fitted = load_direction(
            find_direction(folder, wanted),
            generator_fingerprint(folder),
            bundle.generator.code,
            classifier,
        )
        return DirectedExplainer(bundle, fitted, chosen)
    if direction is not None:
        raise ConfigError(
            f"{name_or_path} was trained against one classifier and has no directions; leave out "
            "the direction"
        )
    return Explainer(bundle, chosen)
