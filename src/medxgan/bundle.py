"""What training leaves behind: a folder with ``bundle.json`` and ``weights.safetensors``.

The JSON says what the networks are, which classifier they explain, how they were trained and what
was measured; the safetensors file holds generator and encoder (packed, see ``packing.py``) and,
where they may be included, the classifier and an independent oracle (as they are). The published
method has no encoder. Nothing is unpickled.
"""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from medxgan.atomic import atomic_file
from medxgan.classifiers import TorchClassifier, build_architecture
from medxgan.config import NetworkSettings, Recipe
from medxgan.errors import BundleError, nearest
from medxgan.networks.encoder import Encoder
from medxgan.networks.medxgan import TwoCodeGenerator
from medxgan.networks.published import PublishedGenerator
from medxgan.packing import pack, unpack
from medxgan.types import ClassifierSpec

FORMAT_VERSION = 2  # 1: all weights in float16
MANIFEST_NAME = "bundle.json"
WEIGHTS_NAME = "weights.safetensors"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClassifierRecord(_Part):
    """Which classifier a bundle explains (or is judged by), and whether it is inside.

    Attributes:
        fingerprint: hash of its weights and specification; another classifier is refused.
        architecture: name that ``build_architecture`` knows, or None for a user's own model.
        included: whether its weights are in the bundle.
        source: where it came from, for a model that is not included.
        measured: its figures of merit.
    """

    fingerprint: str
    spec: ClassifierSpec
    architecture: str | None
    included: bool
    source: str | None = None
    measured: dict[str, Any] = {}


class Thresholds(_Part):
    """Limits beyond which an explanation is not to be trusted, measured on held-out images.

    Attributes:
        reconstruction_error: largest mean absolute error of a reconstruction, scale of [-1, 1].
        prediction_gap: largest distance between the predictions of image and reconstruction.
        structure_length: largest root mean square of z1.
        pathology_length: largest root mean square of z2.
        images: number of held-out images they come from.
        quantile: share of these images that lies within each limit.
    """

    reconstruction_error: float
    prediction_gap: float
    structure_length: float
    pathology_length: float
    images: int
    quantile: float


class Manifest(_Part):
    """Content of ``bundle.json``.

    Attributes:
        format_version: of this file.
        name: of the bundle, for people.
        method: how it was made; ``published`` is the baseline, without an encoder.
        target: index of the explained class.
        network: sizes of generator and encoder.
        classifier: the explained one.
        oracle: an independent one that judges the explanations, or None.
        thresholds: for the status of explanations.
        training: summary of the run.
        metrics: figures measured on held-out images.
        intensity_limits: stored values of the training images that became -1 and +1; for 16-bit
            files, whose depth one image cannot tell.
        data_licence: what the training images may be used for.
        generator_version: version of this program that wrote the bundle.
    """

    format_version: Literal[1, 2] = 2
    name: str
    method: Recipe = "medxgan"
    target: int = Field(ge=0)
    network: NetworkSettings
    classifier: ClassifierRecord
    oracle: ClassifierRecord | None = None
    thresholds: Thresholds
    training: dict[str, Any]
    metrics: dict[str, Any]
    intensity_limits: tuple[float, float] | None = None
    data_licence: str
    generator_version: str

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.target >= self.classifier.spec.outputs:
            raise ValueError(
                f"target must be below {self.classifier.spec.outputs}, the number of classes, "
                f"got {self.target}"
            )
        return self

    @property
    def spec(self) -> ClassifierSpec:
        """What images the bundle takes: those of its classifier."""
        return self.classifier.spec

    @property
    def target_name(self) -> str:
        """Name of the explained class."""
        return self.spec.class_names[self.target]


class Bundle(NamedTuple):
    """A loaded bundle: its manifest and its networks, on the CPU, in evaluation mode."""

    manifest: Manifest
    generator: TwoCodeGenerator | PublishedGenerator
    encoder: Encoder | None
    classifier: TorchClassifier
    oracle: TorchClassifier | None


def record_classifier(classifier: TorchClassifier) -> ClassifierRecord:
    """Describe a classifier for a manifest; it is included if its architecture is known by name."""
    return ClassifierRecord(
        fingerprint=classifier.fingerprint,
        spec=classifier.spec,
        architecture=classifier.architecture,
        included=classifier.architecture is not None,
        source=None if classifier.architecture is not None else classifier.source,
        measured=classifier.measured,
    )


def save_bundle(folder: Path, bundle: Bundle) -> None:
    """Write a bundle; the manifest comes last, so that a folder with one is complete.

    Raises:
        OutputError: the folder cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    for name, network in (("generator", bundle.generator), ("encoder", bundle.encoder)):
        for key, value in pack(network.state_dict()).items() if network is not None else ():
            tensors[f"{name}.{key}"] = value
    for name, classifier, record in (
        ("classifier", bundle.classifier, bundle.manifest.classifier),
        ("oracle", bundle.oracle, bundle.manifest.oracle),
    ):
        if classifier is not None and record is not None and record.included:
            for key, value in classifier.module.state_dict().items():
                tensors[f"{name}.{key}"] = value.contiguous()
    with atomic_file(folder / WEIGHTS_NAME) as file:
        file.write(to_safetensors(tensors))
    content = bundle.manifest.model_dump(mode="json") | {"format_version": FORMAT_VERSION}
    text = json.dumps(content, indent=2, allow_nan=False)
    with atomic_file(folder / MANIFEST_NAME) as file:
        file.write(text.encode() + b"\n")


def shipped_bundles() -> dict[str, Path]:
    """Name -> folder of the bundles that come with the package."""
    root = Path(str(files("medxgan"))) / "bundles"
    return {path.parent.name: path.parent for path in sorted(root.glob(f"*/{MANIFEST_NAME}"))}


def find_bundle(name_or_path: str | Path) -> Path:
    """Folder of a bundle, by the name of a shipped one or by path.

    Raises:
        BundleError: there is none.
    """
    path = Path(name_or_path)
    if (path / MANIFEST_NAME).is_file():
        return path
    shipped = shipped_bundles()
    if str(name_or_path) in shipped:
        return shipped[str(name_or_path)]
    if path.is_dir():
        raise BundleError(f"{path} holds no {MANIFEST_NAME}; is the training run finished?")
    raise BundleError(
        f"there is no bundle '{name_or_path}': give a folder with {MANIFEST_NAME}, "
        f"or the name of a shipped bundle; {nearest(str(name_or_path), shipped)}"
    )


def read_manifest(folder: Path) -> Manifest:
    """Read and check ``bundle.json``.

    Raises:
        BundleError: it is unreadable, damaged, or newer than this program.
    """
    path = folder / MANIFEST_NAME
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BundleError(
            f"{path} cannot be read ({error.__class__.__name__}); copy the bundle again"
        ) from None
    version = content.get("format_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise BundleError(
            f"{path} has format {version}, this program reads up to {FORMAT_VERSION}; "
            "update medxgan"
        )
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise BundleError(
            f"{path} is damaged: {place}: {first['msg']}; copy the bundle again"
        ) from None


def load_bundle(folder: Path, classifier: TorchClassifier | None = None) -> Bundle:
    """Load networks and classifiers.

    Args:
        folder: with the manifest and the weights.
        classifier: the explained model, where the bundle does not hold it.

    Raises:
        BundleError: files are damaged or newer, the classifier is needed and was not given, or is
            another one than the bundle was trained for.
    """
    manifest = read_manifest(folder)
    tensors = _read_weights(folder / WEIGHTS_NAME)
    spec = manifest.spec
    kind = PublishedGenerator if manifest.method == "published" else TwoCodeGenerator
    generator = kind(spec.size, spec.channels, manifest.network)
    _fill(generator, tensors, "generator", folder)
    encoder = None
    if manifest.method == "medxgan":
        encoder = Encoder(spec.size, spec.channels, manifest.network)
        _fill(encoder, tensors, "encoder", folder)
    if classifier is None:
        classifier = _restore(manifest.classifier, tensors, "classifier", folder)
    elif classifier.fingerprint != manifest.classifier.fingerprint:
        raise BundleError(
            f"{folder} explains the classifier {manifest.classifier.fingerprint[:12]}, "
            f"got {classifier.fingerprint[:12]}; give the classifier that it was trained for, "
            "or train a bundle for this one"
        )
    oracle = None
    if manifest.oracle is not None and manifest.oracle.included:
        oracle = _restore(manifest.oracle, tensors, "oracle", folder)
    return Bundle(manifest, generator, encoder, classifier, oracle)


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise BundleError(
            f"{path} cannot be read ({error.__class__.__name__}); copy the bundle again"
        ) from None


def _fill(network: nn.Module, tensors: dict[str, Tensor], part: str, folder: Path) -> None:
    weights = unpack(
        {
            name.removeprefix(f"{part}."): value
            for name, value in tensors.items()
            if name.startswith(f"{part}.")
        }
    )
    try:
        network.load_state_dict(weights)
    except RuntimeError:
        raise BundleError(
            f"the weights of the {part} in {folder} do not fit its {MANIFEST_NAME}; "
            "copy the bundle again"
        ) from None
    network.eval().requires_grad_(False)


def _restore(
    record: ClassifierRecord, tensors: dict[str, Tensor], part: str, folder: Path
) -> TorchClassifier:
    if not record.included or record.architecture is None:
        if record.source is None:
            raise BundleError(
                f"{folder} does not hold its {part} {record.fingerprint[:12]}; "
                "give it with --classifier (Python: medxgan.load(path, classifier=...))"
            )
        raise BundleError(
            f"{folder} does not hold its {part}, which came from {record.source}; "
            "give it with --classifier (Python: medxgan.load(path, classifier=...))"
        )
    outputs = 1 if record.spec.output == "binary_logit" else record.spec.outputs
    module = build_architecture(
        record.architecture, record.spec.channels, record.spec.size, outputs
    )
    _fill(module, tensors, part, folder)
    classifier = TorchClassifier(module, record.spec, record.architecture, None, record.measured)
    if classifier.fingerprint != record.fingerprint:
        raise BundleError(
            f"the {part} in {folder} has other weights than {MANIFEST_NAME} says; "
            "copy the bundle again"
        )
    return classifier
