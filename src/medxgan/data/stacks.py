"""Which files of a data set belong together: DICOM files of a series, and of a patient."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from medxgan.counting import counted
from medxgan.data.entries import Entry
from medxgan.data.faults import about
from medxgan.data.formats import kind_of
from medxgan.data.pictures import decoding
from medxgan.data.presentation import Presentation, check_number
from medxgan.errors import DataError


class Arranged(NamedTuple):
    """Image files in the order in which they are looked at, and what the DICOM files say.

    Attributes:
        paths: those that hold images.
        identifiers: DICOM file -> its patient's and its study's, where it has them.
        stacks: DICOM file of one frame -> what its series is known by.
        notes: on files passed over, and on patients.
    """

    paths: list[Path]
    identifiers: dict[Path, tuple[str | None, str | None]]
    stacks: dict[Path, str]
    notes: tuple[str, ...] = ()


def arrange_dicom(paths: Sequence[Path], *, only_identifiers: bool = False) -> Arranged:
    """Sort the DICOM files among image files by series, and find whose they are.

    Args:
        paths: image files of any kind.
        only_identifiers: leave the order as it is, and all files in.

    Raises:
        DataError: a DICOM file is damaged or cannot be read; or none of the files holds an image.
    """
    dicom = list(dict.fromkeys(path for path in paths if kind_of(path) == "dicom"))
    if not dicom:
        return Arranged(list(paths), {}, {})
    from medxgan.data.dicom_series import in_series_order, read_series_files

    with decoding():
        read = read_series_files(dicom)
    files = {path: found for path, found in read.items() if found is not None}
    identifiers = {path: (found.patient, found.study) for path, found in files.items()}
    notes = _patient_notes([found.patient for found in files.values()])
    if only_identifiers:
        return Arranged(list(paths), identifiers, {}, notes)
    passed_over = {
        "without pixels": {path for path, found in read.items() if found is None},
        "with maps by medxgan": {path for path, found in files.items() if found.own_map},
    }
    reasons = {reason: found for reason, found in passed_over.items() if found}
    kept = [path for path in paths if not any(path in found for found in reasons.values())]
    if not kept:
        raise DataError(
            f"{dicom[0]} and {len(dicom) - 1} other DICOM file(s) come {' or '.join(reasons)}; "
            "give images"
        )
    notes += tuple(
        f"{counted(len(found), 'DICOM file')} {reason} passed over"
        for reason, found in reasons.items()
    )
    stacks = {
        path: f"{path.parent}: series {found.series[0]} {found.series[1]}"
        for path, found in files.items()
        if found.frames == 1
    }
    return Arranged(in_series_order(kept, files), identifiers, stacks, notes)


def of_one_slice(entries: Sequence[Entry], presentation: Presentation) -> list[int]:
    """Indices of the entries that are left where one slice by its number is wanted.

    Of a series of several files its n-th; a file alone stays, for it is no slice of anything. Files
    of several frames, and volumes, are cut when they are read.

    Raises:
        DataError: a series has no such slice.
    """
    sizes = Counter(entry.stack for entry in entries)
    passed: Counter[str | None] = Counter()
    kept = []
    for index, entry in enumerate(entries):
        passed[entry.stack] += 1
        several = entry.stack is not None and sizes[entry.stack] > 1
        if presentation.number is not None and several:
            with about(f"the series of {entry.path}"):
                check_number(presentation.number, sizes[entry.stack], "images")
            if passed[entry.stack] != presentation.number:
                continue
        kept.append(index)
    return kept


def _patient_notes(patients: Sequence[str | None]) -> tuple[str, ...]:
    """What limits a split by patients."""
    unknown = sum(patient is None for patient in patients)
    if not unknown:
        return ()
    return (
        f"{counted(unknown, 'DICOM file has', 'DICOM files have')} no patient identifier: a study, "
        "and a patient's folder, is taken for a patient in splits",
    )
