"""Maps of an explanation as DICOM objects in the study of the image that was explained."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args
from uuid import uuid4

import torch
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from torch import Tensor

from medxgan.atomic import atomic_file
from medxgan.data.geometry import unfit
from medxgan.data.pictures import decoding
from medxgan.errors import ConfigError, DataError, nearest
from medxgan.report.dicom_objects import (
    WARNING,
    DerivedMap,
    Identifiers,
    Kind,
    load_highdicom,
    make_object,
)
from medxgan.report.dicom_run import RunState
from medxgan.report.dicom_source import SourceFile, SourceFrame
from medxgan.report.figures import BRIGHTNESS, EVIDENCE, difference_map, evidence_map
from medxgan.report.map_units import DIFFERENCE, map_label, map_note, map_unit
from medxgan.report.saving import unique_folder_names
from medxgan.report.scales import Scales, robust_scale
from medxgan.types import Explanation
from medxgan.version import __version__

KINDS: tuple[Kind, ...] = get_args(Kind)
FIRST_SERIES_NUMBER = 9001
"""Far from those that scanners give."""
SAME_IMAGE = 0.02
"""Greatest deviation of the source, read again, from the image that was explained, of 2."""


@dataclass(frozen=True)
class Provenance:
    """What made an explanation, as its DICOM objects say it.

    Attributes:
        bundle: name of the bundle.
        fingerprint: of the explained model.
        run: maps of one run, one method and one series become one series.
        state: what they share while they are written.
    """

    bundle: str
    fingerprint: str
    run: str = field(default_factory=lambda: uuid4().hex)
    state: RunState = field(default_factory=RunState, init=False, repr=False, compare=False)


def write_dicom_maps(
    explanation: Explanation,
    source: Path,
    folder: Path,
    *,
    provenance: Provenance,
    maps: Sequence[str] = (DIFFERENCE,),
    kind: Kind = "parametric-map",
    frame: int | None = None,
    window: tuple[float, float] | None = None,
    scales: Scales | None = None,
) -> list[Path]:
    """Write maps as DICOM objects of the patient and study of the source, one file a map.

    Each is brought back from the classifier's grid to the rows and columns of the source frame, and
    says where these lie, as far as the source does. Patient and study are copied as they are:
    whoever passes the objects on must de-identify them.

    Args:
        explanation: of one image.
        source: the DICOM file that the image was read from.
        folder: made where missing; files of the same name are replaced.
        provenance: what made the explanation.
        maps: ``difference``, or methods of ``explanation.attributions``.
        kind: ``parametric-map`` holds the values, float32, for programs and for overlays;
            ``secondary-capture`` a picture of them in colours, with a legend, for every viewer.
        frame: of a source of several, from 1.
        window: centre and width with which the image was read, where not as its file says.
        scales: end of the colour scale of each map; by default its own.

    Returns:
        The files, in the order of ``maps``.

    Raises:
        MissingPackageError: highdicom is not installed.
        DataError: the source is no DICOM file, does not identify itself, or shows another image;
            or a map is missing or not finite.
        ConfigError: no such kind.
        OutputError: the folder cannot be written; no file is left half-written.
    """
    if kind not in KINDS:
        raise ConfigError(f"no kind of DICOM object is called '{kind}'; {nearest(kind, KINDS)}")
    load_highdicom()
    values = [_map_of(explanation, method) for method in maps]
    file = provenance.state.open(Path(source), window)
    read = file.frame(frame)
    _check_same_image(explanation, file, read)
    series = str(read.header.SeriesInstanceUID)
    written = []
    for place, (method, grid) in enumerate(zip(maps, values, strict=True)):
        scale = (scales or {}).get(method) or robust_scale([grid])
        made = _derive(explanation, method, grid, scale, read, provenance)
        ids = Identifiers(
            series_uid=generate_uid(entropy_srcs=[provenance.run, series, method, kind]),
            series_number=FIRST_SERIES_NUMBER + place,
            instance_number=provenance.state.instance_number(read),
            frame_of_reference_uid=generate_uid(entropy_srcs=[provenance.run, series, "frame"]),
        )
        with decoding(), _refusals(read):
            written.append(make_object(kind, made, read, ids))
    paths = [Path(folder) / f"{stem}-{kind}.dcm" for stem in unique_folder_names(maps)]
    for path, one in zip(paths, written, strict=True):
        _write(path, one, read)
    return paths


def _map_of(explanation: Explanation, method: str) -> Tensor:
    """A map ``[S, S]`` as the report shows it."""
    if method == DIFFERENCE:
        values = difference_map(explanation.difference)
    elif method in explanation.attributions:
        values = evidence_map(explanation.attributions[method])
    else:
        why = explanation.skipped.get(method)
        known = (DIFFERENCE, *explanation.attributions)
        raise DataError(
            f"{explanation.name} has no map '{method}'; {why or nearest(method, known)}"
        )
    if not torch.isfinite(values).all():
        raise DataError(
            f"the map '{method}' of {explanation.name} holds NaN or infinite values, which a DICOM "
            "object cannot hold; leave it out"
        )
    return values.detach().cpu().float()


def _check_same_image(explanation: Explanation, file: SourceFile, source: SourceFrame) -> None:
    """Refuse to lay a map over an image that it does not explain.

    Raises:
        DataError: the source, read as the image was, shows something else.
    """
    image = explanation.image.detach().cpu()
    channels, size = image.shape[:2]
    again = file.shown(source.number, size, channels)
    if again.shape != image.shape or float((again - image).abs().max()) > SAME_IMAGE:
        raise DataError(
            f"{source.path} (frame {source.number}) does not show the image that was explained, "
            f"{explanation.name}; give its own file, frame and window"
        )


def _derive(
    explanation: Explanation,
    method: str,
    grid: Tensor,
    scale: float,
    source: SourceFrame,
    provenance: Provenance,
) -> DerivedMap:
    label, version = map_label(method), f"medxgan {__version__}"
    (size, _), (rows, columns) = grid.shape, source.shape
    problems = ", ".join(problem.kind for problem in explanation.status.problems)
    return DerivedMap(
        values=unfit(grid.numpy(), source.shape, source.aspect),
        scale=float(f"{scale:.6g}"),
        colours=BRIGHTNESS if method == DIFFERENCE else EVIDENCE,
        label=label,
        unit=map_unit(method, explanation.spec),
        is_difference=method == DIFFERENCE,
        derivation=f"{label} explaining '{explanation.target_name}' of model "
        f"{provenance.fingerprint}, by bundle '{provenance.bundle}' and {version}; interpolated "
        f"from {size} x {size} pixels to the {rows} x {columns} of the source. {WARNING}.",
        comments=_comments(explanation, method, source),
        caption=(
            f"{label} of '{explanation.target_name}'",
            f"Status: not to be trusted ({problems})" if problems else "Status: ok",
            f"{version}, bundle {provenance.bundle}, model {provenance.fingerprint[:12]}",
        ),
        bundle=provenance.bundle,
        fingerprint=provenance.fingerprint,
        version=version,
    )


def _comments(explanation: Explanation, method: str, source: SourceFrame) -> str:
    """How to read a map, where it lies, and how far to trust it."""
    status = explanation.status
    sentences = [
        f"{WARNING}.",
        map_note(method),
        "Placed in the patient as its source is."
        if source.placed
        else "Its source does not say in full where its pixels lie in the patient: this overlays "
        "it pixel by pixel, from the upper left corner.",
        "Status: ok." if status.ok else f"Status: not to be trusted: {status}.",
        *(f"{note}." for note in explanation.notes),
    ]
    return " ".join(sentences)


@contextmanager
def _refusals(source: SourceFrame) -> Iterator[None]:
    """What highdicom and pydicom raise of elements that are not by the book, as one sentence.

    Raises:
        DataError: in place of it.
    """
    try:
        yield
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError) as fault:
        reason = (str(fault) or type(fault).__name__).splitlines()[0]
        raise DataError(
            f"no DICOM object can be made beside {source.path} ({reason}); correct its header"
        ) from fault


def _write(path: Path, written: Dataset, source: SourceFrame) -> None:
    with atomic_file(path) as file, decoding(), _refusals(source):
        written.save_as(file, enforce_file_format=True)
