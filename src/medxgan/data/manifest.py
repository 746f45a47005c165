"""Data sets listed in a CSV table, one image a row.

==========  ===============================================================================
column      content
==========  ===============================================================================
``path``    the image, relative to the table
``label``   a class index or a class name; empty or -1 = unlabelled
``value``   a number, such as a grade; empty = unknown (either column will do, or both)
``split``   train, val or test (optional: in all rows or in none)
``group``   patient or source, kept in one split (optional; else the patient of a DICOM file, and
            each other file for itself, however its path is spelt)
``frame``   which frame or slice of the file is meant, from 1 (optional; all where empty)
``mask``    lesion mask, an image file (optional; may be empty)
``twin``    healthy twin, an image file (optional; may be empty in healthy rows)
==========  ===============================================================================

Other columns are left alone.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

from medxgan.data.dataset import Dataset
from medxgan.data.entries import Entry, load_entries
from medxgan.data.faults import about, reading
from medxgan.data.formats import check_suffix
from medxgan.data.groups import Grouped, Whose, group_files
from medxgan.data.images import is_image
from medxgan.data.labels import text_labels
from medxgan.data.presentation import AS_STORED, Presentation
from medxgan.data.split import parse_splits
from medxgan.data.stacks import arrange_dicom
from medxgan.data.values import text_values
from medxgan.errors import DataError

FILE_COLUMNS = ("path", "mask", "twin")

Row = dict[str, str]


def read_manifest(
    path: Path,
    *,
    size: int | None,
    channels: int | None,
    seed: int,
    presentation: Presentation = AS_STORED,
) -> Dataset:
    """Read a data set from a CSV table; see `medxgan.data.open_dataset`.

    Raises:
        DataError: columns are missing, a file that is listed is missing, or a value is unknown.
        MissingPackageError: a file needs a package that is not installed.
        ConfigError: ``presentation`` asks what no file can give.
    """
    rows = read_rows(path)
    grouped = _groups(path.parent, rows)
    entries = [
        Entry(
            path=path.parent / row["path"],
            name=row["path"],
            group=group,
            number=_frame(path, row),
            mask=path.parent / row["mask"] if row.get("mask") else None,
            twin=path.parent / row["twin"] if row.get("twin") else None,
        )
        for row, group in zip(rows, grouped.names, strict=True)
    ]
    with about(path):
        labels, class_names = text_labels([row.get("label", "") for row in rows], "column 'label'")
        values = text_values([row.get("value", "") for row in rows], "column 'value'")
        written = [row.get("split", "") for row in rows]
        splits = parse_splits(written, "column 'split'") if any(written) else None
    return load_entries(
        entries,
        labels,
        class_names,
        splits,
        size=size,
        channels=channels,
        seed=seed,
        values=values,
        notes=grouped.notes,
        presentation=presentation,
    )


def read_rows(path: Path) -> list[Row]:
    """The rows of the table, stripped of spaces; every file in them exists.

    Raises:
        DataError: no table, columns are missing, or a file that is listed is missing.
    """
    columns, content = read_table(path)
    if "path" not in columns or not {"label", "value"} & {*columns}:
        raise DataError(
            f"{path} must have the columns 'path' and 'label', or 'path' and 'value', separated by "
            f"commas; got {', '.join(columns) or 'an empty file'}"
        )
    if not content:
        raise DataError(f"{path} lists no images; add a row for each")
    for number, row in enumerate(content, start=1):
        _check_files(path, number, row)
    return content


def read_table(path: Path) -> tuple[list[str], list[Row]]:
    """The names of a table's columns, in lower case, and its rows, all stripped of spaces.

    Raises:
        DataError: it is missing, forbidden, or no table.
    """
    with reading(path, "a CSV table"), path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, restval="", restkey="")
        columns = [(column or "").strip().lower() for column in reader.fieldnames or ()]
        reader.fieldnames = columns
        rows = [{key: value.strip() for key, value in row.items() if key} for row in reader]
    return columns, rows


def _groups(folder: Path, rows: Sequence[Row]) -> Grouped:
    """The group of each row: as it is written, else by the file.

    Raises:
        DataError: a group is written for some rows of a patient, volume or study only.
    """
    files = [folder / row["path"] for row in rows]
    written = [row.get("group", "") for row in rows]
    if all(written):
        return Grouped(written)
    arranged = arrange_dicom(files, only_identifiers=True)
    found = group_files(
        [
            Whose(row["path"], file.resolve(), *arranged.identifiers.get(file, ()))
            for row, file in zip(rows, files, strict=True)
        ],
        taken={group for group in written if group},
    )
    named = {name for name, group in zip(found.names, written, strict=True) if group}
    for row, name, group in zip(rows, found.names, written, strict=True):
        if not group and name in named:
            raise DataError(
                f"the column 'group' is empty for '{row['path']}', and filled for other rows of "
                "the same patient, study or volume, which no split may part; fill it for all"
            )
    groups = [group or name for name, group in zip(found.names, written, strict=True)]
    return Grouped(groups, arranged.notes + found.notes)


def _frame(table: Path, row: Row) -> int | None:
    """The number of the frame or slice that a row means."""
    written = row.get("frame")
    if not written:
        return None
    if not written.isdecimal() or int(written) < 1:
        raise DataError(
            f"{table}: column 'frame' must hold numbers from 1, or be empty = all, got '{written}'"
        )
    return int(written)


def _check_files(table: Path, number: int, row: Row) -> None:
    """The files of a row exist and are images by name."""
    if not row["path"]:
        raise DataError(f"{table}, row {number}: the path is empty; name an image or remove it")
    for column in FILE_COLUMNS:
        if row.get(column):
            file = table.parent / row[column]
            with about(f"{table}, row {number}"):
                if not file.is_file() and (is_image(file) or not file.suffix):
                    raise DataError(
                        f"{column} '{row[column]}' does not exist; "
                        "paths are relative to the table's folder"
                    )
                check_suffix(file)
