"""Turn what libraries raise on damaged or forbidden files into one sentence for the user."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from medxgan.errors import ConfigError, DataError, MedxganError

MOST_LETTERS = 300
"""Of what a file or a library says, in a sentence."""


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Wrap the calls into a decoder: whatever it raises becomes a DataError that names the file.

    Decoders of images and archives raise almost anything on damaged input (``SyntaxError`` and
    ``struct.error`` among others), hence the wide net; keep only their calls inside.

    Args:
        path: the file that is read.
        kind: what it should be, as in "a CSV table".

    Raises:
        DataError: the file is missing, forbidden, too large for memory, or damaged.

    >>> with reading(Path("scan.png"), "an image"):
    ...     raise SyntaxError("broken PNG file")
    Traceback (most recent call last):
    medxgan.errors.DataError: scan.png cannot be read as an image (broken PNG file); it may be \
damaged or cut short, replace or remove it
    """
    try:
        yield
    except MedxganError:
        raise
    except FileNotFoundError as fault:
        raise DataError(f"{path} does not exist; check the path") from fault
    except PermissionError as fault:
        raise DataError(f"no permission to read {path}; change its access rights") from fault
    except MemoryError as fault:
        raise DataError(f"{path} does not fit in memory; use smaller or fewer images") from fault
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as fault:
        raise DataError(
            f"{path} has more than 89 megapixels; shrink it or cut out the part to look at"
        ) from fault
    except UnidentifiedImageError as fault:
        raise DataError(
            f"{path} is not a PNG, JPEG or TIFF image that can be read; replace or remove it"
        ) from fault
    except Exception as fault:
        reason = printable((str(fault) or type(fault).__name__).splitlines()[0])
        raise DataError(
            f"{path} cannot be read as {kind} ({reason}); "
            "it may be damaged or cut short, replace or remove it"
        ) from fault


def printable(text: str) -> str:
    """What a file says of itself, fit for one line: no control characters, and not endless.

    >>> printable("CT\\x1b[2J\\n")
    'CT?[2J?'
    """
    line = "".join(letter if letter.isprintable() else "?" for letter in text)
    return line if len(line) <= MOST_LETTERS else f"{line[:MOST_LETTERS]} ..."


@contextmanager
def about(subject: Path | str) -> Iterator[None]:
    """Put the file that is concerned before the sentence of a DataError raised inside.

    >>> with about("scans.npz"):
    ...     raise DataError("it holds no images")
    Traceback (most recent call last):
    medxgan.errors.DataError: scans.npz: it holds no images
    """
    try:
        yield
    except DataError as fault:
        raise type(fault)(f"{subject}: {fault}") from fault


def check_shape_request(size: int | None, channels: int | None) -> None:
    """Refuse a ``size`` or ``channels`` that no network takes.

    Raises:
        ConfigError: size is below 8 pixels, or channels is neither 1 nor 3.

    >>> check_shape_request(64, 1)
    >>> check_shape_request(64, 2)
    Traceback (most recent call last):
    medxgan.errors.ConfigError: channels must be 1 (grey) or 3 (colour), got 2
    """
    if size is not None and size < 8:
        raise ConfigError(f"size must be at least 8 pixels, got {size}")
    if channels not in (None, 1, 3):
        raise ConfigError(f"channels must be 1 (grey) or 3 (colour), got {channels}")
