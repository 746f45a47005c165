"""What training leaves behind: a folder with ``bundle.json`` and ``weights.safetensors``.

The JSON says what the networks are, which classifier they explain, how they were trained and what
was measured; the safetensors file holds generator and encoder (packed, see ``packing.py``) and,
where they may be included, the classifier and an independent oracle (as they are, see
``stored_classifier.py``). The published method has no encoder. A bundle of the method ``stylegan``
has no classifier, see ``style_bundle.py``. Nothing is unpickled.
"""

import json
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors.torch import save as to_safetensors
from torch import Tensor

from medxgan.atomic import atomic_file
from medxgan.classifiers import TorchClassifier
from medxgan.config import NetworkSettings
from medxgan.data.presentation import NOTHING_KEPT, KeptPresentation
from medxgan.errors import BundleError, nearest
from medxgan.networks.directed import DirectedGenerator
from medxgan.networks.encoder import Encoder
from medxgan.networks.medxgan import TwoCodeGenerator
from medxgan.networks.published import PublishedGenerator
from medxgan.packing import fill, pack, read_tensors
from medxgan.shipped import MANIFEST_NAME, shipped_bundles
from medxgan.stored_classifier import (
    ClassifierRecord,
    at_recorded_threshold,
    classifier_tensors,
    is_recorded,
    record_classifier,
    restore_classifier,
    with_its_surrogate,
)
from medxgan.style_bundle import (
    STYLE_FORMAT,
    StyleBundle,
    StyleManifest,
    load_style_bundle,
    style_tensors,
)
from medxgan.types import ClassifierSpec

__all__ = [
    "MANIFEST_NAME",
    "Bundle",
    "ClassifierRecord",
    "DrawingPart",
    "Manifest",
    "Thresholds",
    "find_bundle",
    "load_bundle",
    "load_drawing_part",
    "read_manifest",
    "record_classifier",
    "save_bundle",
]

FORMAT_VERSION = 2  # 1: all weights in float16
NEWEST_FORMAT = STYLE_FORMAT
WEIGHTS_NAME = "weights.safetensors"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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
        presentation: window and axis of the training images, for DICOM and NIfTI files to explain;
            nothing in bundles that were written before this was kept.
        data_licence: what the training images may be used for.
        generator_version: version of this program that wrote the bundle.
    """

    format_version: Literal[1, 2] = 2
    name: str
    method: Literal["medxgan", "published", "stylegan"] = "medxgan"
    target: int = Field(ge=0)
    network: NetworkSettings
    classifier: ClassifierRecord
    oracle: ClassifierRecord | None = None
    thresholds: Thresholds
    training: dict[str, Any]
    metrics: dict[str, Any]
    intensity_limits: tuple[float, float] | None = None
    presentation: KeptPresentation = NOTHING_KEPT
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
    generator: TwoCodeGenerator | PublishedGenerator | DirectedGenerator
    encoder: Encoder | None
    classifier: TorchClassifier
    oracle: TorchClassifier | None


class DrawingPart(NamedTuple):
    """What of a bundle draws: its manifest, generator and encoder, without the classifiers."""

    manifest: Manifest
    generator: TwoCodeGenerator | PublishedGenerator
    encoder: Encoder | None


def save_bundle(folder: Path, bundle: Bundle | StyleBundle) -> None:
    """Write a bundle; the manifest comes last, so that a folder with one is complete.

    Raises:
        OutputError: the folder cannot be written.
    """
    if isinstance(bundle, StyleBundle):
        tensors, version = style_tensors(bundle), STYLE_FORMAT
    else:
        tensors, version = _tensors(bundle), FORMAT_VERSION
    with atomic_file(folder / WEIGHTS_NAME) as file:
        file.write(to_safetensors(tensors))
    content = bundle.manifest.model_dump(mode="json") | {"format_version": version}
    text = json.dumps(content, indent=2, allow_nan=False)
    with atomic_file(folder / MANIFEST_NAME) as file:
        file.write(text.encode() + b"\n")


def _tensors(bundle: Bundle) -> dict[str, Tensor]:
    """What the safetensors file of a bundle holds, by name."""
    tensors: dict[str, Tensor] = {}
    for name, network in (("generator", bundle.generator), ("encoder", bundle.encoder)):
        for key, value in pack(network.state_dict()).items() if network is not None else ():
            tensors[f"{name}.{key}"] = value
    for name, classifier, record in (
        ("classifier", bundle.classifier, bundle.manifest.classifier),
        ("oracle", bundle.oracle, bundle.manifest.oracle),
    ):
        if classifier is not None and record is not None and record.included:
            tensors |= classifier_tensors(classifier, name)
    return tensors


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


def read_manifest(folder: Path) -> Manifest | StyleManifest:
    """Read and check ``bundle.json``; its method says which kind of manifest it is.

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
    if isinstance(version, int) and version > NEWEST_FORMAT:
        raise BundleError(
            f"{path} has format {version}, this program reads up to {NEWEST_FORMAT}; update medxgan"
        )
    style = isinstance(content, dict) and content.get("method") == "stylegan"
    try:
        return StyleManifest.model_validate(content) if style else Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise BundleError(
            f"{path} is damaged: {place}: {first['msg']}; copy the bundle again"
        ) from None


def load_bundle(folder: Path, classifier: TorchClassifier | None = None) -> Bundle | StyleBundle:
    """Load networks and classifiers; a bundle of the method ``stylegan`` holds no classifier.

    Args:
        folder: with the manifest and the weights.
        classifier: the explained model, where the bundle does not hold it, or the one that the
            bundle's surrogate stands for; one of the method ``stylegan`` has no use for it.

    Raises:
        BundleError: files are damaged or newer, the classifier is needed and was not given, or is
            another one than the bundle was trained for.
        ClassifierError: the bundle's surrogate stands for another model than the one given.
    """
    manifest = read_manifest(folder)
    tensors = read_tensors(folder / WEIGHTS_NAME)
    if isinstance(manifest, StyleManifest):
        return load_style_bundle(manifest, tensors, folder)
    _, generator, encoder = _drawing_part(manifest, tensors, folder)
    if classifier is None:
        classifier = restore_classifier(manifest.classifier, tensors, "classifier", folder)
    else:
        classifier = at_recorded_threshold(manifest.classifier, classifier)
        classifier = with_its_surrogate(manifest.classifier, classifier, tensors, folder)
    if not is_recorded(manifest.classifier, classifier):
        raise BundleError(
            f"{folder} explains the classifier {manifest.classifier.fingerprint[:12]}, "
            f"got {classifier.fingerprint[:12]}; give the classifier that it was trained for, "
            "or train a bundle for this one"
        )
    oracle = None
    if manifest.oracle is not None and manifest.oracle.included:
        oracle = restore_classifier(manifest.oracle, tensors, "oracle", folder)
    return Bundle(manifest, generator, encoder, classifier, oracle)


def load_drawing_part(folder: Path) -> DrawingPart:
    """Load generator and encoder alone, whether or not the classifier is there.

    Raises:
        BundleError: files are damaged or newer, or the bundle is one of the method ``stylegan``.
    """
    manifest = read_manifest(folder)
    if isinstance(manifest, StyleManifest):
        raise BundleError(
            f"{folder} is a bundle of the method stylegan, which has another generator; give one "
            "of medXGAN"
        )
    return _drawing_part(manifest, read_tensors(folder / WEIGHTS_NAME), folder)


def _drawing_part(manifest: Manifest, tensors: dict[str, Tensor], folder: Path) -> DrawingPart:
    spec = manifest.spec
    kind = PublishedGenerator if manifest.method == "published" else TwoCodeGenerator
    generator = kind(spec.size, spec.channels, manifest.network)
    fill(generator, tensors, "generator", folder)
    encoder = None
    if manifest.method == "medxgan":
        encoder = Encoder(spec.size, spec.channels, manifest.network)
        fill(encoder, tensors, "encoder", folder)
    return DrawingPart(manifest, generator, encoder)
