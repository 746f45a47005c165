"""Folders that ``medxgan explain`` wrote: how they are known, and when another run may go there."""

from collections.abc import Collection
from pathlib import Path

from medxgan.counting import counted
from medxgan.errors import OutputError

FACTS_FILE = "explanation.json"
"""In the folder of every explanation."""
TABLE_FILE = "explanations.csv"
"""Beside the folders of a run."""


def explanation_folders(folder: Path) -> list[str]:
    """Names of the subfolders that hold an explanation, sorted; none where there is no folder.

    >>> explanation_folders(Path("nowhere"))
    []
    """
    return sorted(facts.parent.name for facts in folder.glob(f"*/{FACTS_FILE}"))


def check_replaced(out: Path, folders: Collection[str]) -> None:
    """Refuse to write beside explanations of an earlier run that would stay, out of the new table.

    Args:
        out: the folder of the report.
        folders: names of the subfolders that will be written.

    Raises:
        OutputError: ``out`` holds an explanation that none of ``folders`` replaces.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as out:
    ...     Path(out, "ann").mkdir()
    ...     Path(out, "ann", FACTS_FILE).touch()
    ...     check_replaced(Path(out), ["ann", "bob"])
    """
    left = [name for name in explanation_folders(out) if name not in folders]
    if left:
        raise OutputError(
            f"the folder '{out}' holds {counted(len(left), 'explanation')} of an earlier run that "
            f"this one does not replace, such as '{left[0]}'; name another --out, or remove that "
            "folder"
        )
