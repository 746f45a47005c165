"""``medxgan inspect``: what a file or folder is, and how this program can use it."""

import json
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medxgan.bundle import MANIFEST_NAME, find_bundle
from medxgan.bundle_inspection import bundle_finding, direction_finding
from medxgan.classifiers.model_files import kind_of_file
from medxgan.config import TrainingSettings, load_settings, settings_to_toml
from medxgan.data import Dataset, open_dataset
from medxgan.data.formats import FORMATS_IN_WORDS, kind_of
from medxgan.data.labels import UNLABELLED
from medxgan.data.split import SPLIT_NAMES
from medxgan.direction_file import MANIFEST_NAME as DIRECTION_MANIFEST
from medxgan.errors import DataError
from medxgan.explained import FACTS_FILE, TABLE_FILE, explanation_folders
from medxgan.image_inspection import image_finding, note_facts
from medxgan.model_inspection import (
    Facts,
    Finding,
    Given,
    channel_words,
    classifier_finding,
    figure_words,
    model_file_finding,
    specification_finding,
    weights_finding,
)
from medxgan.shipped import check_there, shipped_bundles
from medxgan.training.loop import LOG_NAME
from medxgan.training.state import CHECKPOINT_NAME

SETTINGS_NAME = "settings.toml"


def inspect(
    source: str,
    *,
    weights: Path | None = None,
    spec: Path | None = None,
    identifiers: bool = False,
) -> Finding:
    """Find out what a path, a shipped bundle's name or a classifier's place in code is.

    Args:
        source: what to look at.
        weights: of a classifier that is given as code.
        spec: what such a classifier, or one in a model file, takes and gives.
        identifiers: of a DICOM file, tell whose it is.

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
    path, given = Path(source), Given(weights, spec)
    if not path.exists():
        if source in shipped_bundles():
            return bundle_finding(find_bundle(source), source)
        check_there(source, may_be_code=spec is not None)
        return classifier_finding(source, given)
    if path.is_dir():
        return _folder(path)
    model_kind = kind_of_file(path)
    if model_kind is not None:
        return model_file_finding(path, model_kind, given)
    suffix = path.suffix.lower()
    readers: dict[str, Callable[[Path], Finding]] = {
        ".npz": _dataset,
        ".csv": _dataset,
        ".safetensors": _safetensors,
        ".toml": _toml,
        ".json": _json,
        ".pt": _torch_weights,
        ".pth": _torch_weights,
    }
    if suffix in readers:
        return readers[suffix](path)
    image_kind = kind_of(path)
    if image_kind is not None:
        return image_finding(path, image_kind, identifiers=identifiers)
    raise DataError(
        f"{path} is of type '{path.suffix}', which this program cannot use; it takes "
        f"{FORMATS_IN_WORDS} images, folders of them, .npz, .csv, .safetensors, .onnx, .pt2, .toml "
        "and .json files, TorchScript, and bundles"
    )


def _folder(path: Path) -> Finding:
    if (path / MANIFEST_NAME).is_file():
        return bundle_finding(path, str(path))
    if (path / DIRECTION_MANIFEST).is_file():
        return direction_finding(path)
    if (path / CHECKPOINT_NAME).is_file():
        return _run(path)
    if (path / FACTS_FILE).is_file():
        return Finding("the folder of an explanation", {}, f"view {path}")
    explained = explanation_folders(path)
    inside = sorted(each.name for each in path.iterdir() if each.is_dir())
    if (path / TABLE_FILE).is_file() or (explained and explained == inside):
        facts = {"explanations": str(len(explained))}
        return Finding("a folder of explanations", facts, f"view {path}")
    return _dataset(path)


def _dataset(path: Path) -> Finding:
    data = open_dataset(path)
    kinds = {".npz": "a data set in an archive", ".csv": "a data set in a table"}
    facts = {
        "images": str(len(data)),
        "size": f"{data.size} x {data.size} pixels",
        "channels": channel_words(data.channels),
        "classes": ", ".join(data.class_names) or "none",
        **_value_facts(data),
        **{f"split '{name}'": _split_words(data, index) for index, name in enumerate(SPLIT_NAMES)},
        "lesion masks": f"known for {int(data.has_mask.sum())} images",
        "healthy twins": "yes" if data.has_twins else "no",
        **note_facts(data.notes),
    }
    kind = kinds.get(path.suffix.lower(), "a data set in folders")
    labelled = bool((data.labels != UNLABELLED).any())
    use = (
        f"fit-classifier {path} --out CLASSIFIER.safetensors"
        if labelled
        else f"explain BUNDLE {path} --out FOLDER"
    )
    return Finding(kind, facts, use)


def _value_facts(data: Dataset) -> Facts:
    if data.values is None:
        return {}
    values = data.with_values().values
    assert values is not None
    low, high = float(values.min()), float(values.max())
    return {"values": f"known for {len(values)} images, {low:.3g} to {high:.3g}"}


def _split_words(data: Dataset, index: int) -> str:
    labels = data.labels[data.split == index]
    counts = Counter(labels.tolist())
    names = dict(enumerate(data.class_names)) | {UNLABELLED: "unlabelled"}
    parts = [f"{counts[label]} {name}" for label, name in names.items() if counts[label]]
    return ", ".join(parts) or "no images"


def _run(folder: Path) -> Finding:
    facts: Facts = {}
    settings, options = folder / SETTINGS_NAME, f"--classifier FILE --out {folder}"
    if settings.is_file():
        chosen = load_settings(config=settings)
        options = f"{_method_options(chosen)} --out {folder} --config {settings}"
        facts |= {"preset": chosen.preset, "images planned": str(chosen.run.images)}
    last = _last_log_line(folder / LOG_NAME)
    if last:
        facts |= {"images shown": str(last.pop("images", "?")), "figures": figure_words(last)}
    return Finding(
        "a training run that is not finished",
        facts,
        f"train DATA {options} --resume",
    )


def _method_options(settings: TrainingSettings) -> str:
    """What ``medxgan train`` needs to be told for these settings."""
    return "--method stylegan" if settings.recipe == "stylegan" else "--classifier FILE"


def _last_log_line(path: Path) -> dict[str, Any]:
    try:
        line = json.loads(path.read_text(encoding="utf-8").splitlines()[-1])
    except (OSError, ValueError, IndexError):
        return {}
    return line if isinstance(line, dict) else {}


def _safetensors(path: Path) -> Finding:
    if (path.parent / MANIFEST_NAME).is_file():
        raise DataError(f"{path} belongs to a bundle; inspect its folder {path.parent}")
    return classifier_finding(str(path))


def _toml(path: Path) -> Finding:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise DataError(f"{path} is not a TOML file ({fault}); correct it") from None
    if "source" in table:
        return classifier_finding(str(path))
    if "class_names" in table:
        return specification_finding(path)
    settings = load_settings(config=path)
    lines = settings_to_toml(settings).splitlines()
    facts = {"preset": settings.preset} | {
        name: value
        for line in lines[1:]
        for name, equals, value in [line.partition(" = ")]
        if equals
    }
    use = f"train DATA {_method_options(settings)} --out RUN --config {path}"
    return Finding("settings of a training run", facts, use)


def _json(path: Path) -> Finding:
    if path.name == MANIFEST_NAME:
        return bundle_finding(path.parent, str(path.parent))
    if path.name == DIRECTION_MANIFEST:
        return direction_finding(path.parent)
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise DataError(f"{path} is not a JSON file ({fault}); correct it") from None
    if isinstance(table, dict) and "source" in table:
        return classifier_finding(str(path))
    return specification_finding(path)


def _torch_weights(path: Path) -> Finding:
    if path.name == CHECKPOINT_NAME:
        raise DataError(f"{path} belongs to a training run; inspect its folder {path.parent}")
    return weights_finding(path)
