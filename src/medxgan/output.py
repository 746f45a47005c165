"""Is there a place to write to? Asked before hours of work, not after them."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile

from medxgan.errors import OutputError


def check_writable_folder(folder: Path, inputs: Sequence[Path] = ()) -> None:
    """Make sure that a folder can be written to, or made; leaves nothing behind.

    Args:
        folder: where pictures will be written.
        inputs: what is read; pictures in a folder of images might be read as such the next time.

    Raises:
        OutputError: a file is in the way, there is no permission or no space, or it lies in one of
            ``inputs``.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as parent:
    ...     check_writable_folder(Path(parent, "new", "run"))
    ...     Path(parent, "new").exists()
    False
    """
    for read in inputs:
        if read.is_dir() and folder.resolve().is_relative_to(read.resolve()):
            raise OutputError(
                f"--out must not lie in the folder that is read, where its pictures would be among "
                f"the images, got '{folder}' in '{read}'; choose another --out"
            )
    try:
        nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        if not nearest.is_dir():
            raise OutputError(
                f"expected a folder to write to, but the file '{nearest}' is in the way; "
                "choose another --out"
            )
        with TemporaryFile(dir=nearest) as file:
            file.write(bytes(1))
    except OSError as fault:
        raise OutputError(
            f"the folder '{folder}' cannot be written ({fault.strerror or fault}); "
            "choose another --out or change its access rights"
        ) from fault


def check_writable_file(path: Path, suffix: str) -> None:
    """Make sure that a file of this name can be written, or replaced; leaves nothing behind.

    Raises:
        OutputError: another suffix, a folder has that name, or its folder cannot be written.
    """
    if path.suffix != suffix:
        raise OutputError(f"--out must name a {suffix} file, got '{path}'")
    if path.is_dir():
        raise OutputError(f"--out must name a file, and '{path}' is a folder; choose another name")
    check_writable_folder(path.parent)
