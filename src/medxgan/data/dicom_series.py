"""The DICOM files of a data set: in the order of their series, grouped by patient."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from medxgan.data.dicom_files import NoPixelsError, open_dicom
from medxgan.data.dicom_header import (
    Frames,
    Place,
    identifier,
    instance_number,
    is_own_map,
    series_key,
)
from medxgan.data.dicom_order import depths_along_normal
from medxgan.data.faults import reading
from medxgan.data.loading import in_threads


class SeriesFile(NamedTuple):
    """What sorts one file and says whose it is.

    Attributes:
        patient: identifier of the patient, None where the file has none. Not to be shown.
        study: unique identifier of the study, likewise.
        series: number and unique identifier of its series.
        instance: its number in the series.
        place: where its plane lies, if it holds one frame and says so.
        frames: how many it holds.
        own_map: is it no scan, but a map that this program wrote?
    """

    patient: str | None
    study: str | None
    series: tuple[int, str]
    instance: int
    place: Place | None
    frames: int
    own_map: bool


def read_series_files(paths: Sequence[Path]) -> dict[Path, SeriesFile | None]:
    """What the headers of DICOM files say; None of one that holds no image.

    Raises:
        DataError: a file is damaged or cannot be read.
    """
    found = in_threads(lambda index: _read(paths[index]), len(paths))
    return dict(zip(paths, found, strict=True))


def in_series_order(paths: Sequence[Path], files: Mapping[Path, SeriesFile]) -> list[Path]:
    """Paths with the DICOM files of each folder sorted; other files keep their places.

    By series; in it along the normal of the planes where all of them lie parallel, else by
    instance number; last by name.
    """
    ordered = list(paths)
    folders: dict[Path, list[int]] = {}
    for index, path in enumerate(paths):
        if path in files:
            folders.setdefault(path.parent, []).append(index)
    for indices in folders.values():
        inside = [paths[index] for index in indices]
        for index, path in zip(indices, _sorted_folder(inside, files), strict=True):
            ordered[index] = path
    return ordered


def _sorted_folder(paths: Sequence[Path], files: Mapping[Path, SeriesFile]) -> list[Path]:
    series: dict[tuple[int, str], list[Path]] = {}
    for path in sorted(paths):
        series.setdefault(files[path].series, []).append(path)
    ordered: list[Path] = []
    for key in sorted(series):
        members = series[key]
        depths = depths_along_normal([files[path].place for path in members])
        depth_of = dict(zip(members, depths or [0.0] * len(members), strict=True))
        ordered += sorted(members, key=lambda path: (depth_of[path], files[path].instance, path))
    return ordered


def _read(path: Path) -> SeriesFile | None:
    try:
        header = open_dicom(path, header_only=True)
    except NoPixelsError:
        return None
    with reading(path, "a DICOM file"):
        frames = Frames(header)
        return SeriesFile(
            patient=identifier(header, "PatientID"),
            study=identifier(header, "StudyInstanceUID"),
            series=series_key(header),
            instance=instance_number(header),
            place=frames.place(0) if frames.count == 1 else None,
            frames=frames.count,
            own_map=is_own_map(header),
        )
