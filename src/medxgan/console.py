"""What commands say beside their progress: notes, tables, and errors as one sentence."""

import errno
import sys
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from medxgan.errors import MedxganError

WIDTH_IN_FILES = 100
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def say_notes(notes: Iterable[str], *, quiet: bool) -> None:
    """Print what the user must be told, each note once, on standard error."""
    if not quiet:
        for note in dict.fromkeys(notes):
            print(f"Note: {note}", file=sys.stderr)


def print_table(rows: Iterable[Sequence[str]], header: Sequence[str] = ()) -> None:
    """Print a table on standard output; the first column left, figures right under a header."""
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH_IN_FILES
    table = Table(show_header=bool(header), box=None, pad_edge=False)
    for place, name in enumerate(header):
        table.add_column(name, justify="right" if place else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def figure_rows(figures: Mapping[str, object]) -> list[tuple[str, str]]:
    """Measured figures as rows of a table.

    >>> figure_rows({"n": 12, "agreement_negative": 0.98765, "validity": None})
    [('images', '12'), ('agreement negative', '0.988'), ('validity', 'not known')]
    """
    return [
        ("images" if name == "n" else name.replace("_", " "), _figure_text(value))
        for name, value in figures.items()
    ]


def _figure_text(value: object) -> str:
    if value is None:
        return "not known"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def sentence_of(fault: BaseException) -> str | None:
    """The sentence that a user gets instead of a traceback; None for what is our own fault.

    >>> sentence_of(MedxganError("the image is constant; remove it"))
    'the image is constant; remove it'
    >>> sentence_of(OSError(errno.ENOSPC, "No space left on device", "runs/a"))
    'there is no space left to write runs/a; make room, or choose another --out'
    >>> sentence_of(ZeroDivisionError()) is None
    True
    """
    if isinstance(fault, MedxganError):
        return " ".join(str(fault).split())
    if isinstance(fault, MemoryError) or _is_out_of_memory(fault):
        return (
            "there is not enough memory; use fewer or smaller images, or a smaller batch "
            "(train: --set run.batch_size=...)"
        )
    if isinstance(fault, OSError) and fault.errno in NO_ROOM:
        place = f" to write {fault.filename}" if fault.filename else ""
        return f"there is no space left{place}; make room, or choose another --out"
    if isinstance(fault, OSError) and fault.filename is not None:
        return (
            f"{fault.filename} cannot be read or written ({fault.strerror}); check the path and "
            "its access rights"
        )
    return None


def _is_out_of_memory(fault: BaseException) -> bool:
    """PyTorch has a class of its own for GPUs, and only words for CPUs."""
    return isinstance(fault, RuntimeError) and (
        type(fault).__name__ == "OutOfMemoryError" or "allocate memory" in str(fault)
    )
