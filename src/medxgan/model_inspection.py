"""``medxgan inspect`` of models: what is known of one, and what can be had of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from medxgan.classifiers import KINDS, TorchClassifier, load_classifier, read_spec
from medxgan.classifiers.batches import Batches
from medxgan.classifiers.exported import batches_of, open_exported
from medxgan.classifiers.kinds import Kind
from medxgan.classifiers.modules import read_weights
from medxgan.classifiers.onnx_file import read_onnx
from medxgan.classifiers.onnx_model import fixed_side, open_onnx
from medxgan.classifiers.surrogate import HELD_OUT, STANDS_FOR, held_out_likeness, true_model_of
from medxgan.explain.abilities import abilities
from medxgan.image_sizes import SIZES, what_to_write, where_to_write
from medxgan.types import ClassifierSpec

Facts = dict[str, str]


class Given(NamedTuple):
    """What was said of a model beside where it is."""

    weights: Path | None = None
    spec: Path | None = None


NOTHING_GIVEN = Given()


@dataclass(frozen=True)
class Finding:
    """What something is, what is known of it, and the command that takes it.

    ``change`` says what has to be changed first, a clause; empty where it can be used as it is.
    """

    kind: str
    facts: Facts
    use: str
    change: str = ""


def classifier_finding(source: str, given: Given = NOTHING_GIVEN) -> Finding:
    """A classifier that can be loaded, and what can be had of it.

    Raises:
        ClassifierError: it cannot be loaded, or does not do what its specification says.
        MissingPackageError: it needs a package that is not installed.
    """
    classifier = load_classifier(source, weights=given.weights, spec=given.spec)
    facts = {
        **classifier_facts(classifier),
        **surrogate_facts(classifier.measured),
        **{
            name.replace("_", " "): figure_words(value) if isinstance(value, dict) else str(value)
            for name, value in classifier.measured.items()
            if name not in (STANDS_FOR, HELD_OUT)
        },
        **ability_facts(classifier.kind, classifier.spec.size),
    }
    surrogate = STANDS_FOR in classifier.measured
    change = _change(classifier.spec, classifier.architecture, source, surrogate=surrogate)
    if change and surrogate:
        use = "distill MODEL DATA --out SURROGATE.safetensors"
    else:
        described = change and source.endswith(".safetensors")
        use = _use_of_model(classifier.kind, "FILE.toml" if described else source, given)
    return Finding("a classifier", facts, use, change)


def model_file_finding(path: Path, kind: Kind, given: Given) -> Finding:
    """A model in a file of another program; tried out where a specification was given.

    Raises:
        ClassifierError: it cannot be opened, or does not do what the specification says.
        MissingPackageError: it is an ONNX file, and onnxruntime is not installed.
    """
    if given.spec is not None:
        return classifier_finding(str(path), given)
    facts = file_facts(path, kind) | ability_facts(kind)
    use = _use_of_model(kind, str(path), Given(None, Path("FILE")))
    return Finding(KINDS[kind].title, facts, use)


def _use_of_model(kind: Kind, source: str, given: Given) -> str:
    options = f"--classifier {source}"
    options += f" --weights {given.weights}" if given.weights else ""
    options += f" --spec {given.spec}" if given.spec else ""
    if KINDS[kind].gradients:
        return f"train DATA {options} --out RUN"
    return f"fit-direction BUNDLE {options}"


def _change(
    spec: ClassifierSpec,
    architecture: str | None = None,
    file: str | None = None,
    *,
    surrogate: bool = False,
) -> str:
    """What to write so that generators can draw images for a model; empty where they can."""
    if spec.size in SIZES:
        return ""
    entries = what_to_write(spec.taken_size)
    return where_to_write(entries, architecture=architecture, file=file, surrogate=surrogate)


def specification_finding(path: Path) -> Finding:
    """A specification alone.

    Raises:
        ClassifierError: it cannot be read.
    """
    use = f"train DATA --classifier FILE.py:CLASS --weights FILE --spec {path} --out RUN"
    spec = read_spec(path)
    return Finding("a classifier's specification", spec_facts(spec), use, _change(spec))


def weights_finding(path: Path) -> Finding:
    """Weights alone.

    Raises:
        ClassifierError: they cannot be read.
    """
    weights = read_weights(path)
    count = sum(value.numel() for value in weights.values())
    facts = {
        "tensors": str(len(weights)),
        "values": f"{count / 1e6:.2f} million",
        "first": next(iter(weights)),
    }
    use = f"train DATA --classifier FILE.py:CLASS --weights {path} --spec FILE --out RUN"
    return Finding("weights of a model whose code is elsewhere", facts, use)


def classifier_facts(classifier: TorchClassifier) -> Facts:
    """What is known of a loaded classifier, figures of merit left out."""
    kind = classifier.kind
    return {
        "kind": KINDS[kind].title,
        "architecture": classifier.architecture or f"own model, {classifier.source}",
        **spec_facts(classifier.spec),
        **_weight_facts(classifier),
        **_batch_facts(Batches(1, classifier.batch_size)),
    }


def surrogate_facts(measured: Mapping[str, Any]) -> Facts:
    """Which model a surrogate stands for and how alike the two answer; nothing of others.

    Raises:
        ClassifierError: what is said of that model is damaged.

    >>> surrogate_facts({"arch": "cnn"})
    {}
    """
    known = true_model_of(measured)
    if known is None:
        return {}
    alike = {name: held_out_likeness(measured, name) for name in known.spec.class_names}
    return {"stands for": str(known)} | {
        f"agreement, '{name}'": figure_words(figures) for name, figures in alike.items() if figures
    }


def ability_facts(kind: Kind, size: int | None = None) -> Facts:
    """The row of the table of kinds, in words; with the size of the images of one model, for it.

    >>> ability_facts("exported")["can have layers"]
    'no'
    """
    return {f"can have {what}": words for what, words in abilities(kind, size).items()}


def file_facts(path: Path, kind: Kind) -> Facts:
    """What a model's file tells by itself, without a specification.

    Raises:
        ClassifierError: it cannot be opened.
        MissingPackageError: it is an ONNX file, and onnxruntime is not installed.
    """
    facts = {"specification": "none given; with --spec FILE the model is tried out"}
    if kind == "onnx":
        model = open_onnx(read_onnx(path), f"'{path}'")
        facts |= {
            "input": ", ".join(map(str, model.inputs)),
            "output": ", ".join(map(str, model.outputs)),
            "opset": str(model.opset),
        }
        side = fixed_side(model.inputs[0]) if len(model.inputs) == 1 else None
        if side is not None:
            facts["in its specification"] = what_to_write(side)
    if kind == "exported":
        program = open_exported(path.read_bytes(), f"'{path}'")
        facts |= _batch_facts(batches_of(program, f"'{path}'"))
    return facts


def spec_facts(spec: ClassifierSpec) -> Facts:
    """What a specification says of images and answers.

    >>> spec_facts(ClassifierSpec(size=64, class_names=("no", "yes")))["images"]
    '64 x 64 pixels, grey'
    """
    scale = spec.value_scale
    answer = {"classes": ", ".join(spec.class_names)}
    if scale is not None:
        low, start, high = (f"{end:g}" for end in (scale.low, scale.threshold, scale.high))
        answer = {"value": f"{spec.class_names[0]}, {low} to {high}, positive from {start} on"}
    facts = {
        "images": f"{spec.size} x {spec.size} pixels, {channel_words(spec.channels)}",
        **_taken_facts(spec),
        **answer,
        "output": spec.output,
    }
    if spec.mean is not None and spec.std is not None:
        facts["normalised by"] = f"mean {list(spec.mean)}, standard deviation {list(spec.std)}"
    return facts


def _taken_facts(spec: ClassifierSpec) -> Facts:
    side = spec.input_size
    if side is None:
        return {}
    return {"takes": f"{side} x {side} pixels; images of {spec.size} are brought to it"}


def channel_words(channels: int) -> str:
    """One channel is grey.

    >>> channel_words(1), channel_words(3)
    ('grey', 'colour')
    """
    return "grey" if channels == 1 else "colour"


def _weight_facts(classifier: TorchClassifier) -> Facts:
    of_what = "file" if classifier.files else "weights"
    if classifier.answers:
        of_what = "answers to fixed images"
    facts = {"fingerprint": f"{classifier.fingerprint[:12]}, of its {of_what}"}
    count = sum(parameter.numel() for parameter in classifier.module.parameters())
    return {"weights": f"{count / 1e6:.2f} million"} | facts if count else facts


def _batch_facts(batches: Batches) -> Facts:
    if batches.most is None:
        return {}
    words = f"{batches.least} to {batches.most}" if batches.least < batches.most else batches.most
    return {"images at once": str(words)}


def figure_words(figures: object) -> str:
    """Figures in one line; what is nested deeper is left out.

    >>> figure_words({"n": 12, "validity": 0.98765})
    'n 12, validity 0.988'
    """
    if not isinstance(figures, dict):
        return str(figures)
    return ", ".join(
        f"{name.replace('_', ' ')} {f'{value:.3g}' if isinstance(value, float) else value}"
        for name, value in figures.items()
        if not isinstance(value, list | dict)
    )
