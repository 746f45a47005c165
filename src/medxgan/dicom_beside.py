"""``medxgan explain --dicom-out``: maps as DICOM objects beside the report."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from medxgan.data import Inputs
from medxgan.data.formats import kind_of
from medxgan.data.origin import Origin
from medxgan.data.presentation import Window
from medxgan.errors import ConfigError, DataError, nearest
from medxgan.explainer import Explainer
from medxgan.report.dicom_objects import Kind, load_highdicom
from medxgan.report.dicom_out import KINDS, Provenance, write_dicom_maps
from medxgan.report.map_units import DIFFERENCE
from medxgan.report.saving import unique_folder_names
from medxgan.report.scales import shared_scales
from medxgan.types import Explanation


@dataclass(frozen=True)
class DicomOut:
    """Which maps are to be written, and as what."""

    maps: tuple[str, ...]
    kind: Kind = "parametric-map"


class Beside(NamedTuple):
    """Files that were written, and what the user must be told of the others."""

    paths: list[Path]
    notes: list[str]


def parse_dicom_out(maps: str | None, kind: str | None, methods: Sequence[str]) -> DicomOut | None:
    """What the command line asks for; None where that is nothing.

    Args:
        maps: names with commas between, of ``difference`` and ``methods``.
        kind: ``parametric-map`` where None.
        methods: that are computed.

    Raises:
        ConfigError: a map that is not computed, an unknown kind, or a kind of nothing.
        MissingPackageError: highdicom is not installed.

    >>> parse_dicom_out("difference, lig", None, ["lig"])
    DicomOut(maps=('difference', 'lig'), kind='parametric-map')
    """
    if maps is None:
        if kind is not None:
            raise ConfigError("--dicom-kind says how maps are written; name them by --dicom-out")
        return None
    names = tuple(dict.fromkeys(name.strip() for name in maps.split(",")))
    known = tuple(dict.fromkeys((DIFFERENCE, *methods)))
    for name in names:
        if name not in known:
            raise ConfigError(
                f"--dicom-out can write the maps that --methods names, got '{name}'; "
                f"{nearest(name, known)}"
            )
    chosen = kind or "parametric-map"
    if chosen not in KINDS:
        raise ConfigError(
            f"--dicom-kind must be {' or '.join(KINDS)}, got '{chosen}'; name one of them"
        )
    load_highdicom()
    return DicomOut(names, chosen)


def check_dicom_inputs(inputs: Inputs) -> None:
    """Refuse inputs beside none of which a DICOM object can stand.

    Raises:
        DataError: none of them was read from a DICOM file.
    """
    if not any(map(_is_dicom, inputs.origins)):
        raise DataError(
            "--dicom-out writes maps beside the DICOM files that are explained, and none of the "
            "inputs is one; leave it out"
        )


def write_beside(
    explanations: Sequence[Explanation],
    inputs: Inputs,
    explainer: Explainer,
    out: Path,
    wanted: DicomOut,
    window: Window | None = None,
) -> Beside:
    """Write the maps of all images that were read from DICOM files into their folders.

    One file that cannot be written is noted, and does not keep the others from it.

    Args:
        explanations: of the images of ``inputs``.
        inputs: the images.
        explainer: what explained them.
        out: the folder of the report.
        wanted: what is to be written.
        window: with which the images were read, where not as their files say.

    Raises:
        DataError: none could be written; why the first could not.
        OutputError: ``out`` cannot be written.
    """
    provenance = Provenance(explainer.bundle.name, explainer.classifier.fingerprint)
    scales = shared_scales(explanations)
    folders = unique_folder_names(explanation.name for explanation in explanations)
    paths: list[Path] = []
    faults: list[str] = []
    for explanation, folder, origin in zip(explanations, folders, inputs.origins, strict=True):
        if origin is None or not _is_dicom(origin):
            continue
        try:
            paths += write_dicom_maps(
                explanation,
                origin.path,
                out / folder,
                provenance=provenance,
                maps=wanted.maps,
                kind=wanted.kind,
                frame=origin.number,
                window=window,
                scales=scales,
            )
        except DataError as fault:
            faults.append(str(fault))
    if not paths:
        raise DataError(f"no DICOM object was written: {faults[0]}")
    others = sum(not _is_dicom(origin) for origin in inputs.origins)
    notes = [f"no DICOM object was written for an image: {fault}" for fault in faults]
    if others:
        notes.append(f"{others} of {len(inputs)} images come from no DICOM file, and get no object")
    return Beside(paths, notes)


def _is_dicom(origin: Origin | None) -> bool:
    return origin is not None and kind_of(origin.path) == "dicom"
