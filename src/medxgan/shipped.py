"""Bundles that come with the package, and names that mean nothing: found out at once."""

from importlib.resources import files
from pathlib import Path

from medxgan.errors import DataError

MANIFEST_NAME = "bundle.json"


def shipped_bundles() -> dict[str, Path]:
    """Name -> folder of the bundles that come with the package."""
    root = Path(str(files("medxgan"))) / "bundles"
    return {path.parent.name: path.parent for path in sorted(root.glob(f"*/{MANIFEST_NAME}"))}


def check_there(source: str, *, may_be_code: bool = False) -> None:
    """Refuse what is neither a path nor a shipped bundle's name, before anything is loaded.

    Args:
        source: what a user named.
        may_be_code: it may be a module's name; what holds a colon, such as ``model.py:Net``, always
            may.

    Raises:
        DataError: there is no such thing.

    >>> check_there("scan.pgn")
    Traceback (most recent call last):
    medxgan.errors.DataError: scan.pgn does not exist; check the path (shipped bundles: \
brain-phantom, chest-phantom-stylegan)
    """
    known = shipped_bundles()
    if not (Path(source).exists() or source in known or ":" in source or may_be_code):
        names = ", ".join(known) or "none"
        raise DataError(f"{source} does not exist; check the path (shipped bundles: {names})")
