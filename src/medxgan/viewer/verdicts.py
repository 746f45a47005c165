"""What readers say of explanations, in one SQLite file that survives a killed server.

Every verdict is one transaction, on the disk before it is acknowledged. Each operation opens the
file anew, so that several viewers may share it.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any, Literal, get_args

from medxgan.errors import OutputError
from medxgan.viewer.faults import RequestError
from medxgan.viewer.verdict_file import reading, writing

VERDICTS_FILE = "verdicts.sqlite"
LONGEST_READER, LONGEST_TEXT = 80, 4000
MOST_VERDICTS = 100_000
FORMULAS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""A cell that begins with one of these, some of full width, would be computed by a spreadsheet."""

VerdictName = Literal["plausible", "implausible", "out of distribution"]
NAMES: tuple[str, ...] = get_args(VerdictName)
COLUMNS = ("explanation", "name", "source", "reader", "verdict", "text", "saved")


@dataclass(frozen=True)
class Verdict:
    """What one reader says of one explanation.

    Attributes:
        explanation: its id.
        name: of the image, for people.
        source: folder of the explanation, or the bundle with which it was opened live.
        reader: who says so.
        verdict: one of ``NAMES``; None where there is a text alone.
        text: in the reader's own words; may be empty.
        saved: when, ISO 8601 in UTC.
    """

    explanation: str
    name: str
    source: str
    reader: str
    verdict: str | None
    text: str
    saved: str = ""


def parse_verdict(body: Mapping[str, Any], name: str, source: str) -> Verdict:
    """A verdict as the page sends it.

    Args:
        body: ``explanation``, ``reader``, ``verdict`` and ``text``.
        name: of the image.
        source: of the explanation.

    Raises:
        RequestError: something is missing, unknown or too long.

    >>> sent = {"explanation": "a", "reader": " Ann ", "verdict": "plausible", "text": ""}
    >>> parse_verdict(sent, "scan", "out").reader
    'Ann'
    """
    reader, verdict, text = body.get("reader"), body.get("verdict"), body.get("text") or ""
    if not isinstance(reader, str) or not 1 <= len(reader.strip()) <= LONGEST_READER:
        raise RequestError(f"a verdict needs its reader's name, 1 to {LONGEST_READER} characters")
    if not reader.strip().isprintable():
        raise RequestError("a reader's name must not hold control characters")
    if verdict is not None and verdict not in NAMES:
        raise RequestError(f"a verdict is one of: {', '.join(NAMES)}; or null")
    if not isinstance(text, str) or len(text) > LONGEST_TEXT:
        raise RequestError(f"the text of a verdict has at most {LONGEST_TEXT} characters")
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in reader + text):
        raise RequestError("the verdict holds half a character; write it again")
    return Verdict(
        explanation=str(body.get("explanation")),
        name=name,
        source=source,
        reader=reader.strip(),
        verdict=verdict,
        text=text.strip(),
    )


class VerdictStore:
    """All verdicts, in one file.

    Args:
        path: made with the first verdict.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(self, verdict: Verdict) -> None:
        """Keep a verdict in place of the reader's earlier one; an empty one takes it back.

        Returns only when it is on the disk.

        Raises:
            OutputError: the file cannot be written.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        values = (*(getattr(verdict, column) for column in COLUMNS[:-1]), now)
        with writing(self.path) as connection:
            if verdict.verdict is None and not verdict.text:
                connection.execute(
                    "DELETE FROM verdicts WHERE explanation = ? AND reader = ?",
                    (verdict.explanation, verdict.reader),
                )
                return
            places = ", ".join("?" * len(COLUMNS))
            connection.execute(f"INSERT OR REPLACE INTO verdicts VALUES ({places})", values)

    def all(self) -> list[Verdict]:
        """Every verdict, by name of the image and of the reader; none where there is no file.

        Raises:
            OutputError: the file cannot be read, or holds too many.
        """
        columns = ", ".join(f"CAST({column} AS TEXT)" for column in COLUMNS)
        with reading(self.path) as connection:
            if connection is None:
                return []
            query = f"SELECT {columns} FROM verdicts LIMIT {MOST_VERDICTS + 1}"
            found = [Verdict(*row) for row in connection.execute(query)]
        if len(found) > MOST_VERDICTS:
            raise OutputError(
                f"the file of verdicts {self.path.name} holds more than {MOST_VERDICTS}; name "
                "another one with --verdicts"
            )
        return sorted(found, key=lambda each: (each.name, each.explanation, each.reader))

    def by_explanation(self) -> dict[str, list[Verdict]]:
        """Verdicts by id of the explanation; none where the file cannot be read."""
        found: dict[str, list[Verdict]] = {}
        for verdict in self._readable():
            found.setdefault(verdict.explanation, []).append(verdict)
        return found

    def readers(self) -> list[str]:
        """Names of all who gave verdicts; none where the file cannot be read."""
        return sorted({verdict.reader for verdict in self._readable()})

    def problem(self) -> str | None:
        """Why verdicts cannot be read; None where they can."""
        try:
            self.all()
        except OutputError as fault:
            return str(fault)
        return None

    def as_csv(self) -> bytes:
        """All verdicts as a table with a header; cells cannot act as formulas in a spreadsheet.

        UTF-8 with a mark, by which spreadsheets know it.
        """
        text = StringIO()
        table = csv.writer(text, quoting=csv.QUOTE_ALL)
        table.writerow(COLUMNS)
        for verdict in self.all():
            table.writerow([_cell(getattr(verdict, column)) for column in COLUMNS])
        return text.getvalue().encode("utf-8-sig")

    def _readable(self) -> list[Verdict]:
        """All verdicts, or none: explanations can be read without; ``problem`` says why."""
        try:
            return self.all()
        except OutputError:
            return []


def _cell(value: str | None) -> str:
    text = (value or "").replace("\0", "")
    return f"'{text}" if text.startswith(FORMULAS) or text.strip().startswith(FORMULAS) else text
