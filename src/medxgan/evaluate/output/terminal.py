"""An evaluation in the terminal: all methods in one table, and what became of the images."""

from functools import partial
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from medxgan.evaluate.evaluation import Evaluation
from medxgan.report.evaluation_controls import LOST_HEADS, lost_comparisons, remarks
from medxgan.report.evaluation_tables import (
    ONE_DRAW,
    OVERVIEW,
    Cell,
    Column,
    cell_at,
    controls_verdict,
    method_rows,
    place_of,
    section_rows,
)

FIGURES_SHOWN = {
    "agreement": ("balanced",),
    "monotonicity": ("monotone_paths",),
    "reconstruction": ("prediction_match",),
    "counterfactual": (
        "validity",
        "crossing",
        "transfer_validity",
        "oracle_before",
        "oracle_validity",
        "oracle_transfer_validity",
        "preservation_ssim",
        "outside_mask_mae",
        "image_twin_psnr",
        "twin_psnr",
        "transferred_twin_psnr",
    ),
}
"""Figures of the short table, by section of ``metrics.json``."""

WIDTH_IN_FILES = 120


def print_evaluation(evaluation: Evaluation, *, caution: str | None = None) -> None:
    """Print both tables, how ours compares with the controls, and what must be said beside it.

    Args:
        evaluation: what was measured.
        caution: what every reader must know of the bundle, printed first.
    """
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH_IN_FILES
    if caution:
        print(f"Warning: {caution}\n")
    mark = "" if console.is_terminal else "*"
    console.print(methods_table(evaluation, mark=mark, narrow=console.width < WIDTH_IN_FILES))
    print()
    for line in (
        f"{mark or 'Bold'}: best of its column; for sanity nearest to 0, for seconds lowest.",
        "Seconds: of the map of one image, its film apart.",
        *count_lines(evaluation),
    ):
        print(line)
    print()
    console.print(figures_table(evaluation))
    print()
    verdict, *remarks_on_controls = control_lines(evaluation)
    print(verdict)
    if lost_comparisons(evaluation.document):
        console.print(lost_table(evaluation))
    for line in remarks_on_controls:
        print(line)
    for note in evaluation.document["notes"]:
        print(f"Note: {note}.")
    print()


def methods_table(evaluation: Evaluation, *, mark: str = "", narrow: bool = False) -> Table:
    """A row a method; the best of each column in bold, with ``mark`` behind it.

    Args:
        evaluation: what was measured.
        mark: for places that cannot show bold, such as ``*``.
        narrow: is there too little room for the heads? They are broken, the figures never.
    """
    table = Table(box=None, pad_edge=False, collapse_padding=narrow)
    table.add_column("method", vertical="bottom", no_wrap=True)
    rows = method_rows(evaluation.document, evaluation.methods, OVERVIEW)
    texts = [[_text(cell, mark) for cell in row.cells] for row in rows]
    for number, column in enumerate(OVERVIEW):
        widest = max((len(cells[number]) for cells in texts), default=1)
        head = column.head.replace(" ", "\n")
        table.add_column(head, justify="right", overflow="fold", min_width=widest)
    for row, cells in zip(rows, texts, strict=True):
        table.add_row(Text(row.name), *cells)
    return table


def figures_table(evaluation: Evaluation) -> Table:
    """What became of the images: values with 95 % intervals and n, or why there are none."""
    table = Table(box=None, pad_edge=False)
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("95 % interval")
    table.add_column("n", justify="right")
    for section, names in FIGURES_SHOWN.items():
        for row in section_rows(evaluation.document, section):
            if row.name in names:
                label, cell = row.measure.label, row.cell
                shown = f"agreement, {label}" if section == "agreement" else label
                table.add_row(shown, cell.text, cell.interval or cell.reason, _count(cell))
    return table


def count_lines(evaluation: Evaluation) -> list[str]:
    """On how many images the columns of the methods rest; nothing where there is no method."""
    if not evaluation.methods:
        return []
    counts = []
    for count, columns in groupby(OVERVIEW, key=partial(_images_behind, evaluation)):
        heads = [column.head for column in columns]
        ends = heads if len(heads) == 1 else (heads[0], heads[-1])
        counts.append(f"{' to '.join(ends)} {count}")
    return [f"Images behind the columns: {', '.join(counts)}."]


def lost_table(evaluation: Evaluation) -> Table:
    """A row for each comparison with a control that is not won."""
    table = Table(box=None, pad_edge=False)
    for number, head in enumerate(LOST_HEADS):
        words = number in (0, 1, 3)
        table.add_column(head.lower(), justify="left" if words else "right", no_wrap=not words)
    for lost in lost_comparisons(evaluation.document):
        table.add_row(*map(Text, lost))
    return table


def control_lines(evaluation: Evaluation) -> list[str]:
    """How many controls are beaten, and what must be known to read that."""
    verdict = controls_verdict(evaluation.document)
    if not evaluation.document["controls"]["compared"]:
        return [verdict]
    return [verdict, *remarks(evaluation.document), ONE_DRAW]


def _images_behind(evaluation: Evaluation, column: Column) -> int:
    """Of the method that has most of them."""
    return max(
        cell_at(evaluation.document, place_of(column, method)).n for method in evaluation.methods
    )


def _text(cell: Cell, mark: str) -> Text:
    value = cell.value
    shown = "<0.001" if value is not None and 0 < value < 0.001 else cell.text
    if not cell.best:
        return Text(shown + " " * len(mark))
    return Text(shown + mark, style="bold")


def _count(cell: Cell) -> str:
    return "" if cell.value is None else str(cell.n)
