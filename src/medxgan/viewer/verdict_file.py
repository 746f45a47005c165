"""The SQLite file of verdicts, opened as what a stranger may have made.

A folder of explanations comes from anywhere, and the file of verdicts with it. So nothing is run
that it brings along: it must hold the one table of this program and nothing else, it is a plain
file as are those that SQLite keeps beside it, and reading it writes nothing.
"""

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

from medxgan.errors import OutputError

FORMAT_VERSION = 1
PATIENCE_SECONDS = 10.0
"""For another program that writes, and for reading all of a file."""
STEPS_BETWEEN_LOOKS = 10_000
LONGEST_VALUE = 2**20
BESIDE = ("-journal", "-wal", "-shm")
JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
"""Ends a journal that names another one, which SQLite deletes once it has rolled this one back."""
FORMATS_AT, LOGGED = 18, 2
"""Where a database says how it is written and read, and what it says with a write-ahead log."""

TABLE = """CREATE TABLE verdicts (
    explanation TEXT NOT NULL,
    name TEXT NOT NULL,
    source TEXT NOT NULL,
    reader TEXT NOT NULL,
    verdict TEXT,
    text TEXT NOT NULL,
    saved TEXT NOT NULL,
    PRIMARY KEY (explanation, reader)
) WITHOUT ROWID"""


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection | None]:
    """The file to be read; None where nothing is in it, or where it is not there.

    It is not written to, but for a rollback of what a killed server of this program left undone.

    Raises:
        OutputError: it cannot be read, or is none of this program.
    """
    if not os.path.lexists(path):
        yield None
        return
    undone = os.path.lexists(f"{_real(path)}-journal")
    with _connected(path, "rw" if undone else "ro") as connection:
        yield connection if _check(connection, path) else None


@contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """One transaction on the file, which is made where it is not there; on the disk at its end.

    Raises:
        OutputError: it cannot be written, or is none of this program.
    """
    with _connected(path, "rwc") as connection:
        # A write-ahead log does not work on network drives; EXTRA has the folder on the disk, too.
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = EXTRA")
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            if not _check(connection, path):
                connection.execute(TABLE)
                connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
            yield connection


@contextmanager
def _connected(path: Path, mode: Literal["ro", "rw", "rwc"]) -> Iterator[sqlite3.Connection]:
    real = _real(path)
    try:
        _check_files(real)
        with closing(
            sqlite3.connect(
                f"{real.as_uri()}?mode={mode}",
                uri=True,
                timeout=PATIENCE_SECONDS,
                isolation_level=None,
            )
        ) as connection:
            end = time.monotonic() + 2 * PATIENCE_SECONDS
            connection.set_progress_handler(lambda: time.monotonic() > end, STEPS_BETWEEN_LOOKS)
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA cell_size_check = ON")
            yield connection
    except (sqlite3.Error, OSError) as fault:
        if getattr(fault, "sqlite_errorcode", 0) & 0xFF in (
            sqlite3.SQLITE_BUSY,
            sqlite3.SQLITE_LOCKED,
        ):
            raise OutputError(
                f"another program keeps the file of verdicts {path.name} from being used; try "
                "again, or close that program"
            ) from fault
        raise OutputError(
            f"the file of verdicts {path.name} cannot be used ({fault}); change its access "
            "rights, or choose another one with --verdicts"
        ) from fault


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _check_files(path: Path) -> None:
    """Refuse what SQLite should not be given to open."""
    for beside in ("", *BESIDE):
        file = path.with_name(path.name + beside)
        try:
            status = file.lstat()
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(status.st_mode):
            raise OutputError(
                f"{file.name} should be a plain file and is none; remove it, or name another file "
                "with --verdicts"
            )
    # Opening a log's database changes it, and this program never keeps a log.
    if LOGGED in _bytes(path, FORMATS_AT, 2) or os.path.lexists(f"{path}-wal"):
        raise OutputError(
            f"{path.name} is no file of verdicts, but another program's database; name another "
            "file with --verdicts"
        )
    journal = path.with_name(f"{path.name}-journal")
    if _bytes(journal, -len(JOURNAL_MAGIC), len(JOURNAL_MAGIC)) == JOURNAL_MAGIC:
        raise OutputError(
            f"{journal.name} was not left by this program, and would have another file deleted; "
            "remove it, or name another file of verdicts with --verdicts"
        )


def _bytes(path: Path, place: int, count: int) -> bytes:
    """Bytes of a file from a place on, counted from its end where negative; none of no file."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, place + path.stat().st_size if place < 0 else place))
            return file.read(count)
    except FileNotFoundError:
        return b""


def _check(connection: sqlite3.Connection, path: Path) -> bool:
    """Is the table there? False in a new file.

    Raises:
        OutputError: the file is of a newer program, or of another one.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > FORMAT_VERSION:
        raise OutputError(
            f"the file of verdicts {path.name} has format {version}, this program uses up to "
            f"{FORMAT_VERSION}; update medxgan"
        )
    found = connection.execute(
        "SELECT type, name, trim(sql, char(10)) FROM sqlite_master LIMIT 2"
    ).fetchall()
    if not found and version == 0:
        return False
    if version != FORMAT_VERSION or found != [("table", "verdicts", TABLE)]:
        raise OutputError(
            f"{path.name} is no file of verdicts, but another program's database; name another "
            "file with --verdicts"
        )
    return True
