"""A classifier in a bundle: what the manifest says of it, and its weights or its file.

Networks of this program are kept as weights, ONNX models as the bytes of their files. Of any other
model the bundle keeps the fingerprint only, and asks for it again; ``KINDS`` says which is which.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from medxgan.classifiers import TorchClassifier, build_architecture
from medxgan.classifiers.fingerprints import same_answers
from medxgan.classifiers.kinds import KINDS, Kind
from medxgan.classifiers.model_files import restore_model
from medxgan.classifiers.outputs import raw_outputs
from medxgan.classifiers.surrogate import WithSurrogate, true_model_of
from medxgan.errors import BundleError, ClassifierError
from medxgan.packing import fill
from medxgan.types import ClassifierSpec

FILE = "file:"


class ClassifierRecord(BaseModel):
    """Which classifier a bundle explains (or is judged by), and whether it is inside.

    Attributes:
        fingerprint: of the classifier; another one is refused.
        spec: what it takes and gives.
        architecture: name that ``build_architecture`` knows, or None for a user's own model.
        included: whether its weights or its file are in the bundle.
        source: where it came from, for a model that is not included.
        measured: its figures of merit.
        kind: what can be had of it; None in bundles that were written before this was kept.
        batch_size: images that it is given at once, at most.
        answers: of a function, which cannot be told from another one but by its answers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: str
    spec: ClassifierSpec
    architecture: str | None
    included: bool
    source: str | None = None
    measured: dict[str, Any] = {}
    kind: Kind | None = None
    batch_size: int | None = None
    answers: tuple[float, ...] = ()


def record_classifier(classifier: TorchClassifier) -> ClassifierRecord:
    """Describe a classifier for a manifest; it is included if its kind can be stored."""
    included = KINDS[classifier.kind].stored
    return ClassifierRecord(
        fingerprint=classifier.fingerprint,
        spec=classifier.spec,
        architecture=classifier.architecture,
        included=included,
        source=None if included else classifier.source,
        measured=classifier.measured,
        kind=classifier.kind,
        batch_size=classifier.batch_size,
        answers=classifier.answers,
    )


def at_recorded_threshold(record: ClassifierRecord, classifier: TorchClassifier) -> TorchClassifier:
    """A classifier that is given anew, its value positive from where the record says.

    The threshold is of the explanation, not of the model: a description need not repeat it.
    """
    recorded, given = record.spec, classifier.spec
    if recorded.positive_from == given.positive_from or recorded.value_range != given.value_range:
        return classifier
    return classifier.with_threshold(recorded.positive_from)


def is_recorded(record: ClassifierRecord, classifier: TorchClassifier) -> bool:
    """Is this the classifier of a record, or a model with the surrogate of that record?

    Functions may round differently on another processor.
    """
    if isinstance(classifier, WithSurrogate):
        classifier = classifier.surrogate
    return classifier.fingerprint == record.fingerprint or (
        classifier.spec == record.spec
        and same_answers(classifier.answers, record.answers, record.spec)
    )


def with_its_surrogate(
    record: ClassifierRecord, model: TorchClassifier, tensors: Mapping[str, Tensor], folder: Path
) -> TorchClassifier:
    """A model that is given, with the surrogate that the bundle holds of it.

    As it is where it is the recorded classifier itself, or that stands for no other model.

    Args:
        record: of the manifest.
        model: given by the user.
        tensors: of the bundle.
        folder: of the bundle, for messages.

    Raises:
        ClassifierError: the surrogate stands for another model.
        BundleError: the surrogate cannot be restored.
    """
    if is_recorded(record, model) or true_model_of(record.measured) is None:
        return model
    return WithSurrogate(model, restore_classifier(record, tensors, "classifier", folder))


def classifier_tensors(classifier: TorchClassifier, part: str) -> dict[str, Tensor]:
    """What a bundle stores of a classifier that it includes; names start with ``part`` and a dot.

    Weights are kept as they are, files as bytes.
    """
    stored = {
        f"{FILE}{name}": torch.frombuffer(bytearray(content), dtype=torch.uint8)
        for name, content in classifier.files.items()
    } or {name: value.contiguous() for name, value in classifier.module.state_dict().items()}
    return {f"{part}.{name}": value for name, value in stored.items()}


def restore_classifier(
    record: ClassifierRecord, tensors: Mapping[str, Tensor], part: str, folder: Path
) -> TorchClassifier:
    """The classifier of a record, from what ``classifier_tensors`` stored.

    Args:
        record: of the manifest.
        tensors: of the bundle.
        part: ``classifier`` or ``oracle``: start of the tensors' names, and what an error calls it.
        folder: of the bundle, for messages.

    Raises:
        BundleError: the bundle does not hold it, or holds another one than the record says.
        ClassifierError: its file cannot be opened.
        MissingPackageError: it needs a package that is not installed.
    """
    if not record.included:
        which = f" {record.fingerprint[:12]}"
        if record.source is not None:
            which = f", which came from {record.source}"
        raise BundleError(
            f"{folder} does not hold its {part}{which}; "
            "give it with --classifier (Python: medxgan.load(path, classifier=...))"
        )
    if record.architecture is None:
        classifier = _restore_files(record, tensors, part, folder)
    else:
        spec = record.spec
        module = build_architecture(
            record.architecture, spec.channels, spec.taken_size, raw_outputs(spec)
        )
        fill(module, tensors, part, folder)
        classifier = TorchClassifier(module, spec, record.architecture, None, record.measured)
    if classifier.fingerprint != record.fingerprint:
        raise BundleError(
            f"the {part} in {folder} has other weights than bundle.json says; copy the bundle again"
        )
    return classifier


def _restore_files(
    record: ClassifierRecord, tensors: Mapping[str, Tensor], part: str, folder: Path
) -> TorchClassifier:
    start = f"{part}.{FILE}"
    files = {
        name.removeprefix(start): value.numpy().tobytes()
        for name, value in tensors.items()
        if name.startswith(start)
    }
    if record.kind is None or not files:
        raise BundleError(f"the {part} is missing in {folder}; copy the bundle again")
    try:
        return restore_model(
            record.kind,
            files,
            record.spec,
            name=f"{part} of {folder}",
            batch_size=record.batch_size,
            measured=record.measured,
        )
    except ClassifierError as error:
        raise BundleError(f"{error}; or copy the bundle {folder} again") from error
