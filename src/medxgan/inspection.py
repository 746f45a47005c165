"""``medxgan inspect``: what a file or folder is, and how this program can use it."""

import json
import tomllib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medxgan.bundle import (
    MANIFEST_NAME,
    ClassifierRecord,
    Manifest,
    find_bundle,
    load_bundle,
    read_manifest,
    shipped_bundles,
)
from medxgan.classifiers import TorchClassifier, load_classifier, read_spec
from medxgan.classifiers.modules import read_weights
from medxgan.config import load_settings, settings_to_toml
from medxgan.data import Dataset, open_dataset, read_image
from medxgan.data.images import IMAGE_SUFFIXES
from medxgan.data.labels import UNLABELLED
from medxgan.data.split import SPLIT_NAMES
from medxgan.errors import DataError
from medxgan.quality import poorness
from medxgan.training.loop import LOG_NAME
from medxgan.training.state import CHECKPOINT_NAME
from medxgan.types import ClassifierSpec

SETTINGS_NAME = "settings.toml"
Facts = dict[str, str]


@dataclass(frozen=True)
class Finding:
    """What something is, what is known of it, and the command that takes it."""

    kind: str
    facts: Facts
    use: str


def inspect(source: str) -> Finding:
    """Find out what a path, a shipped bundle's name or a classifier's factory is.

    Raises:
        MedxganError: it is missing, damaged, or nothing that this program can use; the sentence
            says which.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "quick.toml")
    ...     _ = path.write_text('preset = "tiny"')
    ...     inspect(str(path)).kind
    'settings of a training run'
    """
    path = Path(source)
    if not path.exists():
        if source in shipped_bundles():
            return _bundle(find_bundle(source), source)
        if ":" in source:
            return _classifier(source)
        names = ", ".join(shipped_bundles()) or "none"
        raise DataError(f"{source} does not exist; check the path (shipped bundles: {names})")
    if path.is_dir():
        return _folder(path)
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return _image(path)
    readers: dict[str, Callable[[Path], Finding]] = {
        ".npz": _dataset,
        ".csv": _dataset,
        ".safetensors": _safetensors,
        ".toml": _toml,
        ".json": _json,
        ".pt": _weights,
        ".pth": _weights,
    }
    if suffix not in readers:
        raise DataError(
            f"{path} is of type '{path.suffix}', which this program cannot use; it takes PNG, JPEG "
            "and TIFF images, folders of them, .npz, .csv, .safetensors, .toml and .json files, "
            "and bundles"
        )
    return readers[suffix](path)


def _folder(path: Path) -> Finding:
    if (path / MANIFEST_NAME).is_file():
        return _bundle(path, str(path))
    if (path / CHECKPOINT_NAME).is_file():
        return _run(path)
    return _dataset(path)


def _image(path: Path) -> Finding:
    sample = read_image(path)
    channels, height, width = sample.image.shape
    facts = {
        "size": f"{height} x {width} pixels",
        "channels": _channel_words(channels),
        "intensities": f"{float(sample.image.min()):.2f} to {float(sample.image.max()):.2f}, "
        "where black is -1 and white is 1",
    }
    return Finding(
        "an image", facts | _note_facts(sample.notes), f"explain BUNDLE {path} --out FOLDER"
    )


def _dataset(path: Path) -> Finding:
    data = open_dataset(path)
    kinds = {".npz": "a data set in an archive", ".csv": "a data set in a table"}
    facts = {
        "images": str(len(data)),
        "size": f"{data.size} x {data.size} pixels",
        "channels": _channel_words(data.channels),
        "classes": ", ".join(data.class_names) or "none",
        **{f"split '{name}'": _split_words(data, index) for index, name in enumerate(SPLIT_NAMES)},
        "lesion masks": f"known for {int(data.has_mask.sum())} images",
        "healthy twins": "yes" if data.has_twins else "no",
        **_note_facts(data.notes),
    }
    kind = kinds.get(path.suffix.lower(), "a data set in folders")
    labelled = bool((data.labels != UNLABELLED).any())
    use = (
        f"fit-classifier {path} --out CLASSIFIER.safetensors"
        if labelled
        else f"explain BUNDLE {path} --out FOLDER"
    )
    return Finding(kind, facts, use)


def _split_words(data: Dataset, index: int) -> str:
    labels = data.labels[data.split == index]
    counts = Counter(labels.tolist())
    names = dict(enumerate(data.class_names)) | {UNLABELLED: "unlabelled"}
    parts = [f"{counts[label]} {name}" for label, name in names.items() if counts[label]]
    return ", ".join(parts) or "no images"


def _bundle(folder: Path, source: str) -> Finding:
    manifest = read_manifest(folder)
    if manifest.classifier.included:
        load_bundle(folder)  # says whether the weights are whole and fit
    limits = manifest.thresholds
    warning = poorness(manifest.metrics.get("held_out", {}))
    facts = {
        "name": manifest.name,
        "method": manifest.method,
        "explained class": manifest.target_name,
        **_spec_facts(manifest.spec),
        "classifier": _record_words(manifest.classifier),
        "oracle": _record_words(manifest.oracle) if manifest.oracle else "none",
        "trained on": _training_words(manifest),
        "trusted up to": f"reconstruction error {limits.reconstruction_error:.3f}, prediction gap "
        f"{limits.prediction_gap:.2f}, code lengths {limits.structure_length:.2f} and "
        f"{limits.pathology_length:.2f} ({limits.quantile:.0%} of {limits.images} images)",
        **{f"{name} images": _figure_words(part) for name, part in manifest.metrics.items()},
        **({"warning": warning} if warning else {}),
        "licence of the data": manifest.data_licence,
        "written by": f"medxgan {manifest.generator_version}",
    }
    given = "" if manifest.classifier.included else " --classifier MODEL"
    return Finding("a bundle", facts, f"explain {source} IMAGE --out FOLDER{given}")


def _record_words(record: ClassifierRecord) -> str:
    place = "inside" if record.included else f"not inside (from {record.source})"
    return f"{record.architecture or 'own model'} {record.fingerprint[:12]}, {place}"


def _training_words(manifest: Manifest) -> str:
    told = manifest.training
    return (
        f"{told.get('data')} ({told.get('training_images')} images), "
        f"{told.get('images_shown')} shown in {told.get('seconds')} s, seed {told.get('seed')}"
    )


def _run(folder: Path) -> Finding:
    facts: Facts = {}
    settings, config = folder / SETTINGS_NAME, ""
    if settings.is_file():
        config = f" --config {settings}"
        chosen = load_settings(config=settings)
        facts |= {"preset": chosen.preset, "images planned": str(chosen.run.images)}
    last = _last_log_line(folder / LOG_NAME)
    if last:
        facts |= {"images shown": str(last.pop("images", "?")), "figures": _figure_words(last)}
    return Finding(
        "a training run that is not finished",
        facts,
        f"train DATA --classifier FILE --out {folder}{config} --resume",
    )


def _last_log_line(path: Path) -> dict[str, Any]:
    try:
        line = json.loads(path.read_text(encoding="utf-8").splitlines()[-1])
    except (OSError, ValueError, IndexError):
        return {}
    return line if isinstance(line, dict) else {}


def _safetensors(path: Path) -> Finding:
    if (path.parent / MANIFEST_NAME).is_file():
        raise DataError(f"{path} belongs to a bundle; inspect its folder {path.parent}")
    return _classifier(str(path))


def _classifier(source: str) -> Finding:
    classifier = load_classifier(source)
    facts = {
        "architecture": classifier.architecture or f"own model, {classifier.source}",
        **_spec_facts(classifier.spec),
        "weights": f"{_count_words(classifier)}, fingerprint {classifier.fingerprint[:12]}",
        **{
            name.replace("_", " "): _figure_words(value) if isinstance(value, dict) else str(value)
            for name, value in classifier.measured.items()
        },
    }
    return Finding("a classifier", facts, f"train DATA --classifier {source} --out RUN")


def _count_words(classifier: TorchClassifier) -> str:
    count = sum(parameter.numel() for parameter in classifier.module.parameters())
    return f"{count / 1e6:.2f} million"


def _toml(path: Path) -> Finding:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise DataError(f"{path} is not a TOML file ({fault}); correct it") from None
    if "source" in table:
        return _classifier(str(path))
    if "class_names" in table:
        return _specification(path)
    settings = load_settings(config=path)
    lines = settings_to_toml(settings).splitlines()
    facts = {"preset": settings.preset} | {
        name: value
        for line in lines[1:]
        for name, equals, value in [line.partition(" = ")]
        if equals
    }
    use = f"train DATA --classifier FILE --out RUN --config {path}"
    return Finding("settings of a training run", facts, use)


def _json(path: Path) -> Finding:
    if path.name == MANIFEST_NAME:
        return _bundle(path.parent, str(path.parent))
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise DataError(f"{path} is not a JSON file ({fault}); correct it") from None
    if isinstance(table, dict) and "source" in table:
        return _classifier(str(path))
    return _specification(path)


def _specification(path: Path) -> Finding:
    use = f"train DATA --classifier FILE.py:CLASS --weights FILE --spec {path} --out RUN"
    return Finding("a classifier's specification", _spec_facts(read_spec(path)), use)


def _weights(path: Path) -> Finding:
    if path.name == CHECKPOINT_NAME:
        raise DataError(f"{path} belongs to a training run; inspect its folder {path.parent}")
    weights = read_weights(path)
    count = sum(value.numel() for value in weights.values())
    facts = {
        "tensors": str(len(weights)),
        "values": f"{count / 1e6:.2f} million",
        "first": next(iter(weights)),
    }
    use = f"train DATA --classifier FILE.py:CLASS --weights {path} --spec FILE --out RUN"
    return Finding("weights of a model whose code is elsewhere", facts, use)


def _spec_facts(spec: ClassifierSpec) -> Facts:
    facts = {
        "images": f"{spec.size} x {spec.size} pixels, {_channel_words(spec.channels)}",
        "classes": ", ".join(spec.class_names),
        "output": spec.output,
    }
    if spec.mean is not None and spec.std is not None:
        facts["normalised by"] = f"mean {list(spec.mean)}, standard deviation {list(spec.std)}"
    return facts


def _channel_words(channels: int) -> str:
    return "grey" if channels == 1 else "colour"


def _note_facts(notes: tuple[str, ...]) -> Facts:
    return {"note" if not place else f"note {place + 1}": note for place, note in enumerate(notes)}


def _figure_words(figures: object) -> str:
    if not isinstance(figures, dict):
        return str(figures)
    return ", ".join(
        f"{name.replace('_', ' ')} {f'{value:.3g}' if isinstance(value, float) else value}"
        for name, value in figures.items()
        if not isinstance(value, list | dict)
    )
