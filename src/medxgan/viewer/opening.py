"""A bundle, loaded and ready for live images."""

from pathlib import Path
from typing import Any

from torch import Tensor

from medxgan.bundle import find_bundle
from medxgan.classifiers import KINDS, TorchClassifier, load_classifier
from medxgan.data import parse_presentation
from medxgan.directed_explainer import DirectedExplainer
from medxgan.direction_file import (
    FittedDirection,
    generator_fingerprint,
    load_direction,
    read_direction_manifest,
)
from medxgan.direction_folder import find_direction, fitted_directions
from medxgan.errors import BundleError, ClassifierError, MedxganError, MissingPackageError
from medxgan.explainer import Explainer
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
        direction: of a style-based generator; see ``medxgan.load``. Of several, where None, the
            first by name that can be loaded and whose model has gradients, if any; readers can
            choose the others in the page.
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
    explainer = _first(bundle, given, direction, device)
    if not isinstance(explainer, DirectedExplainer):
        return LiveDesk(explainer, shown=shown)
    others, notes = further_directions(find_bundle(bundle), explainer)
    fitted = {explainer.fitted.manifest.name: explainer.fitted, **others}

    def beside(own: str) -> dict[str, Tensor]:
        return {name: each.direction for name, each in fitted.items() if name != own}

    desk = LiveDesk(explainer, beside(explainer.fitted.manifest.name), notes, shown)
    if others:
        desk.choices[explainer.fitted.manifest.name] = desk
    for name, each in others.items():
        desk.choices[name] = desk.beside(explainer.along(each), beside(name))
    return desk


def _first(
    bundle: str, classifier: TorchClassifier | None, direction: str | None, device: str
) -> Explainer:
    """The direction that was asked for; where none was, the first that can be loaded.

    A model with gradients goes before one without, which has fewer maps to show; then by name.
    """
    names: list[str] = []
    if direction is None:
        folder = find_bundle(bundle)
        names = sorted(fitted_directions(folder), key=lambda name: not _has_gradients(folder, name))
    faults: list[MedxganError] = []
    for name in names:
        try:
            return load(bundle, classifier=classifier, direction=name, device=device)
        except (BundleError, ClassifierError, MissingPackageError) as fault:
            faults.append(fault)
    if faults:
        raise faults[0]
    return load(bundle, classifier=classifier, direction=direction, device=device)


def _has_gradients(folder: Path, name: str) -> bool:
    """Does the model of a direction have them? No, where that cannot be read."""
    try:
        kind = read_direction_manifest(find_direction(folder, name)).classifier.kind
    except MedxganError:
        return False
    return kind is not None and KINDS[kind].gradients


def further_directions(
    folder: Path, explainer: DirectedExplainer
) -> tuple[dict[str, FittedDirection], tuple[str, ...]]:
    """The other directions that lie in the bundle, and a note for each that cannot be had."""
    directions: dict[str, FittedDirection] = {}
    notes: tuple[str, ...] = ()
    generator, code = generator_fingerprint(folder), explainer.generator.generator.code
    for name in fitted_directions(folder):
        if name == explainer.fitted.manifest.name:
            continue
        try:
            directions[name] = load_direction(find_direction(folder, name), generator, code)
        except MedxganError as fault:
            notes += (f"the direction '{name}' has no slider: {fault}",)
    return directions, notes
