"""A fitted direction on disk: which generator and which model it is for, and what was measured.

It lies in the folder ``directions/NAME`` of the bundle, or wherever its user put it: JSON beside
safetensors. One style-based generator serves many models, a direction serves one of each.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors.torch import save as to_safetensors
from torch import Tensor

from medxgan.atomic import atomic_file
from medxgan.bundle import WEIGHTS_NAME as BUNDLE_WEIGHTS
from medxgan.classifiers import TorchClassifier
from medxgan.errors import BundleError, nearest
from medxgan.packing import read_tensors
from medxgan.stored_classifier import (
    ClassifierRecord,
    classifier_tensors,
    is_recorded,
    restore_classifier,
)

FOLDER = "directions"
MANIFEST_NAME = "direction.json"
WEIGHTS_NAME = "direction.safetensors"
DIRECTION_FORMAT = 1

Kind = Literal["linear", "logistic"]


class DirectionManifest(BaseModel):
    """Content of ``direction.json``.

    Attributes:
        format_version: of this file.
        name: of the direction.
        kind: of the regression.
        target: index of the explained class.
        classifier: the explained model.
        oracle: an independent one that judges the explanations, or None.
        generator: fingerprint of the style-based generator that it was fitted in.
        prediction_gap: largest trusted distance between the predictions of an image and its
            reconstruction, from held-out samples.
        step_length: largest trusted move along the direction, root mean square of coordinates.
        fit: how it was fitted, and what it explains of held-out samples, beside random directions.
        generator_version: version of this program that wrote it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    name: str
    kind: Kind
    target: int = Field(ge=0)
    classifier: ClassifierRecord
    oracle: ClassifierRecord | None = None
    generator: str
    prediction_gap: float = Field(ge=0)
    step_length: float = Field(ge=0)
    fit: dict[str, Any]
    generator_version: str

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.target >= self.classifier.spec.outputs:
            raise ValueError(
                f"target must be below {self.classifier.spec.outputs}, the number of outputs, "
                f"got {self.target}"
            )
        return self


class FittedDirection(NamedTuple):
    """A loaded direction.

    Attributes:
        manifest: what it says of itself.
        weights: of the regression, in coordinates, ``[k]``: they predict the evidence.
        step: unit vector in coordinates ``[k]``: raises the evidence for the least change of the
            image, on average over the prior.
        intercept: of the regression.
        classifier: the explained model.
        oracle: an independent one, or None.
    """

    manifest: DirectionManifest
    weights: Tensor
    step: Tensor
    intercept: float
    classifier: TorchClassifier
    oracle: TorchClassifier | None


def save_direction(folder: Path, direction: FittedDirection) -> None:
    """Write a direction; the manifest comes last, so that a folder with one is complete.

    Raises:
        OutputError: the folder cannot be written.
    """
    manifest = direction.manifest
    tensors = {"weights": direction.weights, "step": direction.step}
    tensors |= {"intercept": direction.weights.new_tensor([direction.intercept])}
    for part, classifier, record in (
        ("classifier", direction.classifier, manifest.classifier),
        ("oracle", direction.oracle, manifest.oracle),
    ):
        if classifier is not None and record is not None and record.included:
            tensors |= classifier_tensors(classifier, part)
    tensors = {name: value.contiguous() for name, value in tensors.items()}
    with atomic_file(folder / WEIGHTS_NAME) as file:
        file.write(to_safetensors(tensors))
    with atomic_file(folder / MANIFEST_NAME) as file:
        file.write(manifest.model_dump_json(indent=2).encode() + b"\n")


def generator_fingerprint(bundle: Path) -> str:
    """Identify the style-based generator of a bundle: SHA-256 (hex) over its file of weights.

    Raises:
        BundleError: the file cannot be read.
    """
    path = bundle / BUNDLE_WEIGHTS
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise BundleError(
            f"{path} cannot be read ({error.__class__.__name__}); copy the bundle again"
        ) from None


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
                f"{bundle} holds a style-based generator and no direction for a model yet; fit one "
                f"first: medxgan fit-direction {bundle} --classifier FILE"
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


def load_direction(
    folder: Path, generator: str, classifier: TorchClassifier | None = None
) -> FittedDirection:
    """Read a direction.

    Args:
        folder: with ``direction.json``.
        generator: fingerprint of the style-based generator that it is to be used with.
        classifier: the explained model, where the direction does not hold it.

    Raises:
        BundleError: files are damaged or newer; it was fitted in another generator or for another
            model; the model is needed and was not given.
    """
    manifest = _read_manifest(folder)
    if manifest.generator != generator:
        raise BundleError(
            f"the direction in {folder} was fitted in another generator "
            f"({manifest.generator[:12]}) than this bundle's ({generator[:12]}); fit it anew with "
            "medxgan fit-direction"
        )
    tensors = read_tensors(folder / WEIGHTS_NAME)
    missing = {"weights", "step", "intercept"} - tensors.keys()
    if missing:
        raise BundleError(
            f"{folder / WEIGHTS_NAME} has no {', '.join(sorted(missing))}; fit the direction anew"
        )
    if classifier is None:
        classifier = restore_classifier(manifest.classifier, tensors, "classifier", folder)
    elif not is_recorded(manifest.classifier, classifier):
        raise BundleError(
            f"the direction in {folder} explains the model {manifest.classifier.fingerprint[:12]}, "
            f"got {classifier.fingerprint[:12]}; give that model, or fit a direction for this one "
            "with medxgan fit-direction"
        )
    oracle = None
    if manifest.oracle is not None and manifest.oracle.included:
        oracle = restore_classifier(manifest.oracle, tensors, "oracle", folder)
    return FittedDirection(
        manifest,
        tensors["weights"],
        tensors["step"],
        float(tensors["intercept"]),
        classifier,
        oracle,
    )


def _read_manifest(folder: Path) -> DirectionManifest:
    path = folder / MANIFEST_NAME
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(
            f"{path} cannot be read ({error.__class__.__name__}); fit the direction anew"
        ) from None
    version = content.get("format_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > DIRECTION_FORMAT:
        raise BundleError(
            f"{path} has format {version}, this program reads up to {DIRECTION_FORMAT}; "
            "update medxgan"
        )
    try:
        return DirectionManifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise BundleError(
            f"{path} is damaged at {place} ({first['msg']}); fit the direction anew"
        ) from None
