"""A fitted direction on disk: which generator and which model it is for, and what was measured.

JSON beside safetensors. One style-based generator serves many models, a direction one of each.
"""

import hashlib
import json
import math
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors.torch import save as to_safetensors
from torch import Tensor

from medxgan.atomic import atomic_file
from medxgan.bundle import WEIGHTS_NAME as BUNDLE_WEIGHTS
from medxgan.classifiers import TorchClassifier
from medxgan.errors import BundleError
from medxgan.packing import read_tensors
from medxgan.stored_classifier import (
    ClassifierRecord,
    at_recorded_threshold,
    classifier_tensors,
    is_recorded,
    restore_classifier,
)

MANIFEST_NAME = "direction.json"
WEIGHTS_NAME = "direction.safetensors"
DIRECTION_FORMAT = 1
VECTORS = ("weights", "direction")

Kind = Literal["linear", "logistic"]

SURE = 0.95
FARTHEST_ENDS = (-math.log(SURE / (1 - SURE)), math.log(SURE / (1 - SURE)))
"""Log-odds at which films end at the farthest: the score is then 0.05, or 0.95."""


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
        code_length: largest trusted code of an end of a film, root mean square of coordinates.
        step_length: largest trusted move from one end to the other, likewise.
        ends: evidence at the negative and at the positive end of a film.
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
    code_length: float = Field(ge=0)
    step_length: float = Field(ge=0)
    ends: tuple[float, float] = FARTHEST_ENDS
    fit: dict[str, Any]
    generator_version: str

    @property
    def target_name(self) -> str:
        """Name of the explained class."""
        return self.classifier.spec.class_names[self.target]

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
        weights: of the regression, in coordinates, ``[d]``: the evidence rises along them.
        direction: of length 1 in coordinates, ``[d]``: raises it for the least change of the image,
            on average over the prior.
        classifier: the explained model.
        oracle: an independent one, or None.
    """

    manifest: DirectionManifest
    weights: Tensor
    direction: Tensor
    classifier: TorchClassifier
    oracle: TorchClassifier | None


def save_direction(folder: Path, direction: FittedDirection) -> None:
    """Write a direction; the manifest comes last, so that a folder with one is complete.

    Raises:
        OutputError: the folder cannot be written.
    """
    manifest = direction.manifest
    tensors = {name: getattr(direction, name) for name in VECTORS}
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


def load_direction(
    folder: Path, generator: str, dimensions: int, classifier: TorchClassifier | None = None
) -> FittedDirection:
    """Read a direction.

    Args:
        folder: with ``direction.json``.
        generator: fingerprint of the style-based generator that it is to be used with.
        dimensions: of its w.
        classifier: the explained model, where the direction does not hold it.

    Raises:
        BundleError: files are damaged or newer; it was fitted in another generator or for another
            model; the model is needed and was not given.
    """
    manifest = read_direction_manifest(folder)
    if manifest.generator != generator:
        raise BundleError(
            f"the direction in {folder} was fitted in another generator "
            f"({manifest.generator[:12]}) than this bundle's ({generator[:12]}); fit it anew with "
            "medxgan fit-direction"
        )
    tensors = _read_tensors(folder / WEIGHTS_NAME, dimensions)
    if classifier is None:
        classifier = restore_classifier(manifest.classifier, tensors, "classifier", folder)
    else:
        classifier = at_recorded_threshold(manifest.classifier, classifier)
    if not is_recorded(manifest.classifier, classifier):
        raise BundleError(
            f"the direction in {folder} explains the model {manifest.classifier.fingerprint[:12]}, "
            f"got {classifier.fingerprint[:12]}; give that model, or fit a direction for this one "
            "with medxgan fit-direction"
        )
    oracle = None
    if manifest.oracle is not None and manifest.oracle.included:
        oracle = restore_classifier(manifest.oracle, tensors, "oracle", folder)
    return FittedDirection(manifest, tensors["weights"], tensors["direction"], classifier, oracle)


def _read_tensors(path: Path, dimensions: int) -> dict[str, Tensor]:
    try:
        tensors = read_tensors(path)
    except BundleError:
        raise BundleError(f"{path} cannot be read; fit the direction anew") from None
    for name in VECTORS:
        vector = tensors.get(name)
        if vector is None or vector.shape != (dimensions,) or not bool(vector.isfinite().all()):
            raise BundleError(
                f"{path} is damaged: it must hold {dimensions} finite numbers called '{name}'; fit "
                "the direction anew"
            )
    return tensors


def read_direction_manifest(folder: Path) -> DirectionManifest:
    """Read and check ``direction.json``.

    Raises:
        BundleError: it is unreadable, damaged, or newer than this program.
    """
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
