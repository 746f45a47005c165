"""Explanations as files: a PNG of every picture, the arrays, the facts, and a table of all."""

import csv
import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from unicodedata import normalize
from zipfile import ZIP_DEFLATED, ZipFile

from numpy.lib.format import write_array
from PIL import Image
from torch import Tensor

from medxgan.explain.series import Series
from medxgan.explained import ARRAYS_FILE, FACTS_FILE, TABLE_FILE
from medxgan.report.classes import has_classes, named_classes
from medxgan.report.figures import (
    BRIGHTNESS,
    EVIDENCE,
    colour_difference_picture,
    difference_map,
    evidence_map,
    film_strip,
    intensity_picture,
    map_picture,
    mask_picture,
    png_bytes,
)
from medxgan.report.html import render_report
from medxgan.report.scales import (
    COLOUR_DIFFERENCE,
    DIFFERENCE,
    Scales,
    in_colour,
    shared_scales,
)
from medxgan.report.staging import staged_folder
from medxgan.types import Explanation

FORMAT_VERSION = 1
REPORT_FILE = "report.html"
LONGEST_NAME = 60
RESERVED_BY_WINDOWS = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
SCORES = ("image", "reconstruction", "counterfactual", "transferred")


def save_explanation(
    explanation: Explanation, folder: str | os.PathLike[str], *, scales: Scales | None = None
) -> Path:
    """Write PNGs of every picture, ``explanation.npz`` and ``explanation.json`` into a folder.

    Args:
        explanation: what to write.
        folder: made where missing; files of the same name are replaced.
        scales: colour scale of each map; without it, the explanation's own.

    Returns:
        The folder.

    Raises:
        OutputError: the folder cannot be made or written to; no file is left half-written.
    """
    with staged_folder(folder) as stage:
        _write_files(explanation, stage, scales or shared_scales([explanation]))
    return Path(folder)


def write_report(
    explanations: Sequence[Explanation],
    folder: str | os.PathLike[str],
    *,
    title: str = "Counterfactual explanations",
    summary: Mapping[str, object] | None = None,
    measured_on: str = "held-out images",
    caution: str | None = None,
    notes: Sequence[str] = (),
    footer_facts: Mapping[str, object] | None = None,
    series: Sequence[Series] = (),
) -> Path:
    """Write ``report.html``, ``explanations.csv`` and one subfolder an image.

    Files of the same name are replaced; folders of other images that an earlier report left in
    ``folder`` stay there, beside the new page and table, which do not name them.

    Args:
        explanations: in the order of the report; all maps share one colour scale per kind.
        folder: made where missing; files of the same name are replaced.
        title: heading of the report.
        summary: figures of the bundle, by name.
        measured_on: the images that these are of.
        caution: what every reader must know of the bundle, shown at the top.
        notes: the same of these explanations, beside what they say themselves.
        footer_facts: facts of the bundle (name, method, classifier, data licence), by name.
        series: of the same images to a requested answer, shown in the page; see ``write_series``
            for their own files.

    Returns:
        The path of ``report.html``.

    Raises:
        DataError: there is no explanation, or a series is of another image.
        OutputError: the folder cannot be made or written to; no file is left half-written.
    """
    page = render_report(
        explanations,
        title=title,
        summary=summary,
        measured_on=measured_on,
        caution=caution,
        notes=notes,
        footer_facts=footer_facts,
        series=series,
    )
    scales = shared_scales(explanations)
    subfolders = unique_folder_names(explanation.name for explanation in explanations)
    with staged_folder(folder) as stage:
        for explanation, subfolder in zip(explanations, subfolders, strict=True):
            _write_files(explanation, stage / subfolder, scales)
        _write_table(explanations, subfolders, stage / TABLE_FILE)
        (stage / REPORT_FILE).write_text(page, encoding="utf-8")
    return Path(folder) / REPORT_FILE


def unique_folder_names(names: Iterable[str]) -> list[str]:
    """One safe folder name for each image name: no separators, no leading dot, none twice.

    >>> unique_folder_names(["scan 1.png", "../../etc/passwd", "Scan-1.png", "..", "con"])
    ['scan-1.png', 'etc-passwd', 'Scan-1.png-2', 'image', 'image-con']
    """
    taken = {REPORT_FILE, TABLE_FILE}
    unique = []
    for name in names:
        safe = re.sub(r"[^\w.]+", "-", normalize("NFC", name))[:LONGEST_NAME].strip(".-") or "image"
        if RESERVED_BY_WINDOWS.match(safe):
            safe = f"image-{safe}"
        candidate, count = safe, 1
        while candidate.casefold() in taken:
            count += 1
            candidate = f"{safe}-{count}"
        taken.add(candidate.casefold())
        unique.append(candidate)
    return unique


def _write_files(explanation: Explanation, folder: Path, scales: Scales) -> None:
    pictures = _pictures(explanation, scales)
    for name, picture in pictures.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png_bytes(picture))
    _write_arrays(explanation, folder / ARRAYS_FILE)
    files = sorted([*pictures, ARRAYS_FILE])
    facts = _facts(explanation) | {"colour_scales": _used(scales, explanation), "files": files}
    text = json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / FACTS_FILE).write_text(text + "\n", encoding="utf-8")


def _pictures(explanation: Explanation, scales: Scales) -> dict[str, Image.Image]:
    """Every picture of an explanation under its file name."""
    pictures = {
        "original.png": intensity_picture(explanation.image),
        "reconstruction.png": intensity_picture(explanation.reconstruction),
        "counterfactual.png": intensity_picture(explanation.counterfactual),
        "transferred.png": intensity_picture(explanation.transferred),
        "difference.png": map_picture(
            difference_map(explanation.difference), scales[DIFFERENCE], BRIGHTNESS
        ),
        "film.png": film_strip(explanation.frames),
    }
    if in_colour(explanation):
        pictures[f"{COLOUR_DIFFERENCE}.png"] = colour_difference_picture(
            explanation.difference, scales[COLOUR_DIFFERENCE]
        )
    for method, values in explanation.attributions.items():
        pictures[f"attribution-{_file_stem(method)}.png"] = map_picture(
            evidence_map(values), scales[method], EVIDENCE
        )
    for index, frame in enumerate(explanation.frames):
        pictures[f"frames/frame-{index:02d}.png"] = intensity_picture(frame)
    for index, image in enumerate(explanation.alternatives):
        pictures[f"alternatives/alternative-{index:02d}.png"] = intensity_picture(image)
    if explanation.mask is not None:
        pictures["mask.png"] = mask_picture(explanation.mask)
    return pictures


def _write_arrays(explanation: Explanation, path: Path) -> None:
    """Every tensor under its field name, as a compressed ``.npz`` that holds no pickle."""
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, tensor in _tensors(explanation).items():
            with archive.open(f"{name}.npy", "w") as file:
                write_array(file, tensor.detach().cpu().numpy(), allow_pickle=False)


def _tensors(explanation: Explanation) -> dict[str, Tensor]:
    tensors = {
        "image": explanation.image,
        "reconstruction": explanation.reconstruction,
        "counterfactual": explanation.counterfactual,
        "transferred": explanation.transferred,
        "frames": explanation.frames,
        "strengths": explanation.strengths,
        "probabilities": explanation.probabilities,
        "difference": explanation.difference,
        "z1": explanation.latent.z1,
        "z2": explanation.latent.z2,
        "alternatives": explanation.alternatives,
    }
    for method, values in explanation.attributions.items():
        tensors[f"attribution-{_file_stem(method)}"] = values
    if explanation.mask is not None:
        tensors["mask"] = explanation.mask
    return tensors


def _facts(explanation: Explanation) -> dict[str, object]:
    """What is known besides the pictures; numbers that are not finite become null."""
    return {
        "format_version": FORMAT_VERSION,
        "name": explanation.name,
        "target": explanation.target,
        "target_name": explanation.target_name,
        **_answer_facts(explanation),
        "positive": explanation.positive,
        "flipped": explanation.flipped,
        "transfer_flipped": explanation.transfer_flipped,
        "scores": {name: _finite(score) for name, score in explanation.scores.items()},
        "alternative_scores": [_finite(value) for value in explanation.alternative_scores.tolist()],
        "strengths": [_finite(value) for value in explanation.strengths.tolist()],
        "probabilities": [_finite(value) for value in explanation.probabilities.tolist()],
        "status": {
            "ok": explanation.status.ok,
            "problems": [
                {
                    "kind": problem.kind,
                    "value": _finite(problem.value),
                    "limit": _finite(problem.limit),
                    "sentence": problem.sentence,
                }
                for problem in explanation.status.problems
            ],
        },
        "methods": list(explanation.attributions),
        "skipped": explanation.skipped,
        "notes": list(explanation.notes),
        "spacing": None if explanation.spacing is None else list(explanation.spacing),
    }


def _answer_facts(explanation: Explanation) -> dict[str, object]:
    """All that the model says, by class or in units of the value; nothing where it is not known."""
    spec = explanation.spec
    if spec is None:
        return {}
    facts: dict[str, object] = {
        "output": spec.output,
        "class_names": list(spec.class_names),
        "answers": {
            part: [_finite(value) for value in answer.tolist()]
            for part, answer in explanation.answers.items()
        },
    }
    if spec.value_scale is not None:
        scale = spec.value_scale
        facts |= {"value_range": [scale.low, scale.high], "positive_from": scale.threshold}
    return facts


def _answer_columns(explanation: Explanation) -> dict[str, object]:
    """Columns of the table beside the scores: the values, or the classes that the model names."""
    spec = explanation.spec
    if spec is not None and spec.value_scale is not None:
        return {
            f"value_{part}": spec.value_scale.value(explanation.scores[part]) for part in SCORES
        }
    if has_classes(explanation):
        return {f"class_{part}": "; ".join(named_classes(explanation, part)) for part in SCORES}
    return {}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _used(scales: Scales, explanation: Explanation) -> Scales:
    differences = [DIFFERENCE, *([COLOUR_DIFFERENCE] if in_colour(explanation) else [])]
    return {kind: scales[kind] for kind in (*differences, *explanation.attributions)}


def _file_stem(method: str) -> str:
    return unique_folder_names([method])[0]


def _write_table(explanations: Sequence[Explanation], subfolders: list[str], path: Path) -> None:
    columns = ["name", "folder", "target", "positive", *(f"score_{name}" for name in SCORES)]
    columns += dict.fromkeys(name for each in explanations for name in _answer_columns(each))
    columns += ["flipped", "transfer_flipped", "status", "problems", "skipped"]
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns)
        table.writeheader()
        for explanation, subfolder in zip(explanations, subfolders, strict=True):
            problems = explanation.status.problems
            table.writerow(
                {
                    "name": explanation.name,
                    "folder": subfolder,
                    "target": explanation.target_name,
                    "positive": explanation.positive,
                    **{f"score_{name}": explanation.scores[name] for name in SCORES},
                    **_answer_columns(explanation),
                    "flipped": explanation.flipped,
                    "transfer_flipped": explanation.transfer_flipped,
                    "status": str(explanation.status),
                    "problems": "; ".join(problem.kind for problem in problems),
                    "skipped": "; ".join(explanation.skipped),
                }
            )
