"""A bundle, loaded and ready for live images."""

from pathlib import Path
from typing import Any

from torch import Tensor

from medxgan.bundle import find_bundle
from medxgan.classifiers import load_classifier
from medxgan.data import parse_presentation
from medxgan.directed_explainer import DirectedExplainer
from medxgan.direction_file import generator_fingerprint, load_direction
from medxgan.direction_folder import find_direction, fitted_directions
from medxgan.errors import MedxganError
from medxgan.loader import load
from medxgan.viewer.live import LiveDesk
from medxgan.viewer.reading import Presented


def open_desk(
    bundle: str,
    *,
    direction: str | None = None,
    classifier: str | None = None,
    device: str = "auto",
    shown: Presented | None = None,
    **model: Any,
) -> LiveDesk:
    """Load a bundle for live images.

    Args:
        bundle: name of a shipped one, or a folder.
        direction: of a style-based generator; see ``medxgan.load``.
        classifier: the explained model, where the bundle does not hold it.
        device: where to compute.
        shown: how files that leave a choice are shown.
        model: ``weights`` and ``spec`` of that classifier.

    Raises:
        BundleError: there is no such bundle, it is damaged, or for another model.
        ClassifierError: the classifier cannot be loaded.
        ConfigError: no such device, or no such choice.
    """
    chosen = shown or Presented()
    parse_presentation(chosen.window, chosen.axis, None, chosen.volume)
    given = load_classifier(classifier, **model) if classifier else None
    explainer = load(bundle, classifier=given, direction=direction, device=device)
    if not isinstance(explainer, DirectedExplainer):
        return LiveDesk(explainer, shown=shown)
    directions, notes = further_directions(find_bundle(bundle), explainer)
    return LiveDesk(explainer, directions, notes, shown)


def further_directions(
    folder: Path, explainer: DirectedExplainer
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The other directions that lie in the bundle, and a note for each that cannot be had."""
    directions: dict[str, Tensor] = {}
    notes: tuple[str, ...] = ()
    generator, code = generator_fingerprint(folder), explainer.generator.generator.code
    for name in fitted_directions(folder):
        if name == explainer.fitted.manifest.name:
            continue
        try:
            fitted = load_direction(find_direction(folder, name), generator, code)
        except MedxganError as fault:
            notes += (f"the direction '{name}' has no slider: {fault}",)
            continue
        directions[name] = fitted.direction
    return directions, notes
