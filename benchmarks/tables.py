"""Tables of docs/benchmarks.md, bundles.md and real-stylegan.md, from benchmarks/results.

    python benchmarks/tables.py            # prints them
    python benchmarks/tables.py --write    # puts them into the pages, between their markers

A table stands in a page between ``<!-- table: NAME -->`` and ``<!-- end -->``; what is there is
replaced, so that no figure is ever copied by hand.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from direction_tables import explained, fitted, localized, shipped
from markdown_tables import markdown
from medxgan.report.evaluation_tables import CONTROLS as CONTROL_COLUMNS
from medxgan.report.evaluation_tables import (
    ONE_DRAW,
    OVERVIEW,
    RANDOM_CLASSIFIER,
    Cell,
    Column,
    Row,
    control_rows,
    controls_not_beaten,
    controls_verdict,
    method_rows,
    section_rows,
)
from medxgan.report.evaluation_wording import SECTIONS
from shortcut import table as shortcut_table

PROJECT = Path(__file__).parent.parent
RESULTS = PROJECT / "benchmarks" / "results"
PAGES = [PROJECT / "docs" / name for name in ("benchmarks.md", "bundles.md", "real-stylegan.md")]
MARKED = re.compile(r"<!-- table: (?P<name>\S+) -->\n.*?<!-- end -->", re.DOTALL)

Document = dict[str, Any]


class Table(NamedTuple):
    """A table of a page: the file of its figures, and what makes Markdown of them."""

    file: str
    draw: Callable[[Document], str]


def figures(document: Document) -> str:
    """What became of the images: every figure that is not of a method, with n or a reason."""
    rows = [
        (
            f"{section.replace('_', ' ')}: {row.measure.label}",
            row.cell.text,
            row.cell.interval or row.cell.reason,
            str(row.cell.n) if row.cell.value is not None else "",
        )
        for section in SECTIONS
        if section in document
        for row in section_rows(document, section)
    ]
    return markdown(["figure", "value", "95 % interval", "n"], rows)


def methods(document: Document) -> str:
    """Every method's maps, the best of a column in bold."""
    names = [
        name
        for name, figures in document["localization"].items()
        if figures["average_precision"]["value"] is not None
    ]
    return _rows_of(method_rows(document, names, OVERVIEW), OVERVIEW, "method")


def controls(document: Document) -> str:
    """What knows nothing, beside ours, and whether it is beaten."""
    sentences = controls_not_beaten(document)
    names = list(document["controls"]["random_classifier"])
    redrawn = [
        row
        for row in method_rows(document, names, RANDOM_CLASSIFIER)
        if row.cells[1].value is not None
    ]
    return "\n\n".join(
        [
            _rows_of(control_rows(document), CONTROL_COLUMNS, "changes and maps"),
            _rows_of(redrawn, RANDOM_CLASSIFIER, "method"),
            f"{controls_verdict(document)} {ONE_DRAW}",
            "\n".join(f"- Not beaten: {sentence}." for sentence in sentences or ()),
        ]
    )


def _rows_of(rows: Iterable[Row], columns: Sequence[Column], first: str) -> str:
    return markdown(
        [first, *(column.head for column in columns)],
        [[row.name, *map(_cell, row.cells)] for row in rows],
    )


def _cell(cell: Cell) -> str:
    text = f"**{cell.text}**" if cell.best else cell.text
    return f"{text} ({cell.interval})" if cell.interval else text


def versus(budget: str) -> Callable[[Document], str]:
    """Both methods on one budget, ``images`` or ``minutes``."""

    def draw(document: Document) -> str:
        rows: list[dict[str, str]] = document["tables"][budget]["rows"]
        table = markdown(list(rows[0]), [list(row.values()) for row in rows])
        return f"{document['tables'][budget]['budget']}\n\n{table}"

    return draw


def shortcut(document: Document) -> str:
    """The outcome as it is printed."""
    return f"```text\n{shortcut_table(document)}\n```"


TABLES = {
    f"{name}-{part}": Table(f"evaluate-{name}.json", draw)
    for name in ("brain-phantom", "lgg")
    for part, draw in (("figures", figures), ("methods", methods), ("controls", controls))
} | {
    "versus-images": Table("versus-published-lgg.json", versus("images")),
    "versus-minutes": Table("versus-published-lgg.json", versus("minutes")),
    "shortcut": Table("shortcut.json", shortcut),
    "shortcut-long": Table("shortcut-long.json", shortcut),
}
TABLES |= {
    f"{name}-{part}": Table(f"stylegan-{name}.json", draw)
    for name in ("lgg", "nih")
    for part, draw in (("fitted", fitted), ("explained", explained))
} | {
    "lgg-localized": Table("stylegan-lgg.json", localized),
    "chest-directions": Table("direction-chest-phantom.json", shipped),
}


def drawn(name: str) -> str:
    """One of ``TABLES`` in Markdown."""
    table = TABLES[name]
    return table.draw(json.loads((RESULTS / table.file).read_text("utf-8")))


def filled(page: str) -> str:
    """A page with every marked table drawn anew.

    Raises:
        KeyError: a marker names no table.
    """
    return MARKED.sub(
        lambda marked: f"<!-- table: {marked['name']} -->\n{drawn(marked['name'])}\n<!-- end -->",
        page,
    )


def main() -> None:
    """Print all tables, or write them into the pages."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="into the pages of docs")
    if parser.parse_args().write:
        for page in PAGES:
            page.write_text(filled(page.read_text("utf-8")), encoding="utf-8")
        return
    for name in TABLES:
        sys.stdout.write(f"## {name}\n\n{drawn(name)}\n\n")


if __name__ == "__main__":
    main()
