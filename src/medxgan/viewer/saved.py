"""A folder of explanations as ``medxgan explain --out`` writes it: found, checked, read lazily.

One explanation that cannot be read never hides the others: it is listed with its sentence.
"""

import csv
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from threading import Lock
from typing import Any

from medxgan.errors import DataError, MedxganError
from medxgan.explained import ARRAYS_FILE, FACTS_FILE, TABLE_FILE
from medxgan.viewer.arrays import Floats, Shape, array_shapes, check_finite, read_array
from medxgan.viewer.facts import Facts, read_facts
from medxgan.viewer.faults import UnknownError
from medxgan.viewer.panes import IMAGES
from medxgan.viewer.plain_files import open_inside

REPORT_FILE = "report.html"
ID_LENGTH = 20


@dataclass(frozen=True)
class SavedExplanation:
    """One explanation on disk; its arrays are read when they are asked for.

    Attributes:
        id: of folder name and facts: the same after a restart, another one once the image was
            explained anew, so that a verdict never moves to another picture.
        folder: where its files are.
        root: the opened folder, out of which none of them may lead.
        facts: what is known of it.
        content: all that ``explanation.json`` holds.
    """

    id: str
    folder: Path
    root: Path
    facts: Facts
    content: Mapping[str, Any]

    @property
    def arrays_file(self) -> Path:
        """Where its numbers are."""
        return self.folder / ARRAYS_FILE

    def shapes(self) -> Mapping[str, Shape]:
        """Name -> shape of every array.

        Raises:
            DataError: the file is missing or damaged.
        """
        return array_shapes(self.arrays_file, self.root)

    def array(self, name: str) -> Floats:
        """One array as float32; images are finite, maps may hold NaN.

        Raises:
            UnknownError: it has no such array.
            DataError: the file is missing or damaged, or an image is not finite.
        """
        if name not in self.shapes():
            raise UnknownError(f"'{self.facts.name}' has no array of that name")
        values = read_array(self.arrays_file, name, self.root)
        return check_finite(values, name, self.facts.name) if name in IMAGES else values


@dataclass(frozen=True)
class UnreadableExplanation:
    """A folder that should hold an explanation and does not: why not, in one sentence."""

    id: str
    folder: Path
    sentence: str


Entry = SavedExplanation | UnreadableExplanation


@dataclass
class SavedFolder:
    """All explanations of a folder, or the only one that it is itself.

    Attributes:
        root: the folder that was opened; nothing outside of it is ever read.
    """

    root: Path
    _known: dict[str, tuple[tuple[int, int], Entry]] = field(default_factory=dict)
    _entries: dict[str, Entry] = field(default_factory=dict)
    _notes: tuple[str, ...] = ()
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self.root = Path(os.path.realpath(self.root))
        self.refresh()

    @property
    def name(self) -> str:
        """Of the folder, for people."""
        return as_text(self.root.name)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of the folder as a whole."""
        return self._notes

    def entries(self) -> list[Entry]:
        """All explanations, in the order of the report."""
        return list(self._entries.values())

    def refresh(self) -> None:
        """Look at the folder again; files that did not change are not read again."""
        with self._lock:
            folders, notes = _explanation_folders(self.root)
            entries = [self._entry(folder) for folder in folders]
            self._known = {name: self._known[name] for name in map(str, folders)}
            self._entries = {entry.id: entry for entry in entries}
            self._notes = notes

    def find(self, id: str) -> SavedExplanation:
        """The explanation of that id.

        Raises:
            UnknownError: there is none.
            DataError: there is one, and it cannot be read.
        """
        entry = self._entries.get(id)
        if entry is None:
            raise UnknownError("there is no such explanation; open the list again")
        if isinstance(entry, UnreadableExplanation):
            raise DataError(entry.sentence)
        return entry

    def report(self) -> bytes | None:
        """The report that was written with the explanations, where there is one."""
        try:
            with open_inside(self.root, self.root / REPORT_FILE) as file:
                return file.read()
        except (OSError, DataError):
            return None

    def _entry(self, folder: Path) -> Entry:
        """What a folder holds; read again only where its facts have changed."""
        path, key = folder / FACTS_FILE, str(folder)
        try:
            status = path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
        except OSError:
            stamp = (0, 0)
        known = self._known.get(key)
        if known is None or known[0] != stamp:
            known = (stamp, self._read(folder))
            self._known[key] = known
        return known[1]

    def _read(self, folder: Path) -> Entry:
        try:
            return read_explanation(folder, self.root)
        except Exception as fault:  # whatever it is, the others must be seen
            reason = f"{FACTS_FILE} of '{folder.name}' cannot be read ({type(fault).__name__})"
            sentence = as_text(str(fault) if isinstance(fault, MedxganError) else reason)
            return UnreadableExplanation(make_id(folder, sentence.encode()), folder, sentence)


def read_explanation(folder: Path, root: Path) -> SavedExplanation:
    """Read the facts of an explanation.

    Args:
        folder: of the explanation.
        root: that it must not lead out of.

    Raises:
        DataError: the facts are missing, damaged or newer, or lie outside of ``root``.
    """
    facts, content, text = read_facts(folder / FACTS_FILE, root)
    return SavedExplanation(make_id(folder, text), folder, root, facts, content)


def make_id(folder: Path, content: bytes) -> str:
    """An opaque id that stays the same as long as the content does.

    >>> make_id(Path("a/b"), b"1") == make_id(Path("c/b"), b"1") != make_id(Path("a/b"), b"2")
    True
    """
    return hashlib.sha256(os.fsencode(folder.name) + b"\0" + content).hexdigest()[:ID_LENGTH]


def as_text(name: str) -> str:
    """The name of a file as it can be shown, though it may be no text.

    >>> as_text("M" + chr(0xDCFC) + "ller")
    'M?ller'
    """
    return name.encode("utf-8", "replace").decode()


def holds_explanations(folder: Path) -> bool:
    """Is this a folder that ``medxgan explain`` wrote, or one of its subfolders?"""
    return (
        (folder / FACTS_FILE).is_file()
        or (folder / TABLE_FILE).is_file()
        or bool(_folders_with_facts(folder))
    )


def _folders_with_facts(root: Path) -> list[Path]:
    """Subfolders with a file of facts, by name; it may be one that cannot be read.

    Raises:
        DataError: the folder cannot be read.
    """
    try:
        folders = sorted(root.iterdir())
    except OSError as fault:
        raise DataError(
            f"the folder '{as_text(root.name)}' cannot be read ({fault.strerror}); check its "
            "place and your access rights"
        ) from None
    return [folder for folder in folders if os.path.lexists(folder / FACTS_FILE)]


def _explanation_folders(root: Path) -> tuple[list[Path], tuple[str, ...]]:
    """Folders of explanations, in the order of the table, and notes.

    Folders that an earlier report left there are not named by the table, and not shown.
    """
    if os.path.lexists(root / FACTS_FILE):
        return [root], ()
    there = _folders_with_facts(root)
    named, problem = _named_by_table(root)
    if named is None:
        return there, (problem,) if problem else ()
    left = [as_text(folder.name) for folder in there if folder.name not in named]
    notes = (f"not shown, as {TABLE_FILE} does not name them: {', '.join(left)}",) if left else ()
    return [root / name for name in named], notes


def _named_by_table(root: Path) -> tuple[list[str] | None, str]:
    """Names of subfolders in the table; None, and why, where there is no table to go by."""
    path = root / TABLE_FILE
    if not os.path.lexists(path):
        return None, ""
    try:
        with TextIOWrapper(open_inside(root, path), encoding="utf-8", newline="") as file:
            names = [row["folder"] for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, csv.Error, DataError):
        return None, f"{TABLE_FILE} cannot be read; all folders are shown, by name"
    return [name for name in dict.fromkeys(names) if name and is_plain(name)], ""


def is_plain(name: str) -> bool:
    """Is this the name of something in a folder, and no way out of it? A table can name anything.

    >>> [is_plain(name) for name in ("scan-1", "..", "a/b", "/etc")]
    [True, False, False, False]
    """
    return Path(name).name == name and name != ".." and "\0" not in name
