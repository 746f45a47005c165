"""Which files of a data set a split must not part: those of one patient."""

from collections.abc import Collection, Hashable, Sequence
from itertools import count
from typing import NamedTuple

FEWEST_DIGITS = 3


class Whose(NamedTuple):
    """What says whose a file is.

    Attributes:
        name: of its group, where no file in that says of which patient or study it is.
        place: the patient's folder, or the file where it lies in none.
        patient: identifier of the patient, where known. Not to be shown.
        study: unique identifier of the study, likewise.
    """

    name: str
    place: Hashable
    patient: str | None = None
    study: str | None = None

    @property
    def keys(self) -> set[Hashable]:
        """What it has in common with other files of its group."""
        known = {"place": self.place, "patient": self.patient, "study": self.study}
        return {pair for pair in known.items() if pair[1] is not None}


class Grouped(NamedTuple):
    """The group of each file ``[N]``, and what limits a split by groups."""

    names: list[str]
    notes: tuple[str, ...] = ()


def group_files(files: Sequence[Whose], taken: Collection[str] = ()) -> Grouped:
    """Files that have a patient, a study or a patient's folder in common are one group.

    A group in which files say whose they are is called by its number, in the order of the files: so
    its name tells of no identifier. Others are called as their first file says.

    Args:
        files: ``[N]``, in an order that is the same each time.
        taken: names of other groups.

    >>> ann = Whose("ann", "ann", patient="4711")
    >>> group_files([ann, ann._replace(patient="0815"), Whose("bob.png", "bob.png")]).names
    ['patient-001', 'patient-001', 'bob.png']
    """
    members = linked([file.keys for file in files])
    pairs = list(zip(files, members, strict=True))
    identified = {group for file, group in pairs if file.patient or file.study}
    used = {*taken, *(file.name for file, group in pairs if group not in identified)}
    digits = max(FEWEST_DIGITS, len(str(len(identified))))
    numbered = (f"patient-{number:0{digits}d}" for number in count(1))
    free = (name for name in numbered if name not in used)
    names: dict[int, str] = {}
    for file, group in pairs:
        if group not in names:
            names[group] = next(free) if group in identified else file.name
    return Grouped([names[group] for group in members], _notes(files, members))


def linked(keys: Sequence[Collection[Hashable]]) -> list[int]:
    """Parts of what is connected: the first index with which each index ``[N]`` has a key in
    common, itself or through others.

    >>> linked([{"a"}, {"b"}, {"c"}, {"b", "a"}])
    [0, 0, 2, 0]
    """
    parent = list(range(len(keys)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first: dict[Hashable, int] = {}
    for index, own in enumerate(keys):
        for key in own:
            low, high = sorted((root(first.setdefault(key, index)), root(index)))
            parent[high] = low
    return [root(index) for index in range(len(keys))]


def _notes(files: Sequence[Whose], members: Sequence[int]) -> tuple[str, ...]:
    """What the user must know of groups that identifiers have made."""
    patients: dict[int, set[str]] = {}
    for file, group in zip(files, members, strict=True):
        if file.patient:
            patients.setdefault(group, set()).add(file.patient)
    notes: tuple[str, ...] = ()
    several = sum(len(found) > 1 for found in patients.values())
    if several:
        notes += (
            f"{several} groups hold several patient identifiers each, which share a study or a "
            "patient's folder: they are one patient in splits",
        )
    if len(set(members)) == 1 < len(files) and any(file.patient for file in files):
        notes += ("all DICOM files are of one patient, whom no split can part",)
    return notes
