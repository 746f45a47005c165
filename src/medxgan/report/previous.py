"""What an earlier report left in a folder, so that a new one does not stand beside its remains.

Only files that the earlier report itself lists count as its own: its table names the folders, and
the facts in each folder name the files. Anything else in them is somebody else's and stays.
"""

import csv
import json
from pathlib import Path

from medxgan.errors import OutputError


def previous_files(folder: Path, table: str, facts: str) -> set[Path]:
    """Files of the images of an earlier report, relative to ``folder``; none where none is found.

    Args:
        folder: where the earlier report may be.
        table: name of its table, whose column ``folder`` names one subfolder an image.
        facts: name of the JSON file in each of them, whose entry ``files`` names the others.
    """
    try:
        with (folder / table).open(newline="", encoding="utf-8") as file:
            names = [row.get("folder") or "" for row in csv.DictReader(file)]
    except (OSError, ValueError, csv.Error):
        return set()
    files: set[Path] = set()
    for name in names:
        if _is_inside(name) and len(Path(name).parts) == 1:
            files |= {Path(name, file) for file in _listed(folder / name / facts)}
    return {file for file in files if _is_real(folder, file)}


def remove_files(folder: Path, files: set[Path]) -> None:
    """Remove files, given relative to ``folder``, and the folders below it that this empties.

    Raises:
        OutputError: one of them cannot be removed.
    """
    try:
        for file in files:
            (folder / file).unlink(missing_ok=True)
        parents = {parent for file in files for parent in file.parents} - {Path()}
        for parent in sorted(parents, key=lambda path: -len(path.parts)):
            if (folder / parent).is_dir() and not any((folder / parent).iterdir()):
                (folder / parent).rmdir()
    except OSError as error:
        raise OutputError(
            f"the report is written, but files of an earlier one in '{folder}' cannot be removed "
            f"({error.strerror or error}); remove them, or choose another output folder"
        ) from error


def _listed(facts: Path) -> list[str]:
    """The files that facts name, and the facts themselves; none where they are not ours."""
    try:
        files = json.loads(facts.read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    if not isinstance(files, list):
        return []
    return [facts.name, *(file for file in files if isinstance(file, str) and _is_inside(file))]


def _is_inside(name: str) -> bool:
    """Is it a relative path that does not lead out of its folder?"""
    path = Path(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def _is_real(folder: Path, file: Path) -> bool:
    """Is it a file that is reached without a link?"""
    steps = [folder / file, *(folder / parent for parent in file.parents if parent != Path())]
    return (folder / file).is_file() and not any(step.is_symlink() for step in steps)
