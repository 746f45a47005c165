"""One array of an ``explanation.npz`` at a time, checked before memory is taken for it.

``medxgan.data.archive`` does the same for data sets, but comes with torch, which takes seconds to
load; saved explanations are opened without.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple
from zipfile import ZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from medxgan.errors import DataError
from medxgan.viewer.plain_files import open_inside

LARGEST_BYTES = 2**28
"""Of one array."""
NUMBERS = "biuf"
"""Kinds of NumPy types that are plain numbers."""
SUFFIX = ".npy"

Shape = tuple[int, ...]
Floats = NDArray[np.float32]


class Header(NamedTuple):
    """What an array is, known before it is read."""

    shape: Shape
    dtype: np.dtype[Any]
    column_major: bool


def array_shapes(path: Path, root: Path | None = None) -> dict[str, Shape]:
    """Name -> shape of every array in an archive; no array is read.

    Args:
        path: of the archive.
        root: folder that it must not lead out of; its own where None.

    Raises:
        DataError: the file is missing, damaged, leads elsewhere, holds Python objects, or a huge
            array.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     np.savez(Path(folder, "a.npz"), image=np.zeros((1, 8, 8)))
    ...     array_shapes(Path(folder, "a.npz"))
    {'image': (1, 8, 8)}
    """
    with open_arrays(path, root) as file, _faults(path), ZipFile(file) as archive:
        names = [name for name in archive.namelist() if name.endswith(SUFFIX)]
        shapes = {}
        for name in names:
            with archive.open(name) as stream:
                size = archive.getinfo(name).file_size
                shapes[name.removesuffix(SUFFIX)] = _header(stream, size).shape
        return shapes


def read_array(path: Path, name: str, root: Path | None = None) -> Floats:
    """One array of an archive as float32, in row-major order.

    Args:
        path: of the archive.
        name: of the array.
        root: as in `array_shapes`.

    Raises:
        DataError: there is no such array, or as `array_shapes`.
    """
    with open_arrays(path, root) as file, _faults(path), ZipFile(file) as archive:
        member = name + SUFFIX
        if member not in archive.namelist():
            raise DataError(f"{path.name} of '{path.parent.name}' holds no array '{name}'")
        with archive.open(member) as stream:
            header = _header(stream, archive.getinfo(member).file_size)
            count = math.prod(header.shape)
            content = stream.read(count * header.dtype.itemsize + 1)
            if len(content) != count * header.dtype.itemsize:
                raise ValueError(f"'{name}' has another length than it says")
    shape = header.shape[::-1] if header.column_major else header.shape
    values = np.frombuffer(content, dtype=header.dtype).reshape(shape)
    return np.ascontiguousarray(values.T if header.column_major else values, dtype=np.float32)


def open_arrays(path: Path, root: Path | None = None) -> IO[bytes]:
    """The archive as it is, opened once it is known to lie in its folder.

    Raises:
        DataError: it is missing, leads elsewhere, or is no plain file.
    """
    with _faults(path):
        return open_inside(root or path.parent, path)


def check_finite(values: Floats, name: str, owner: str) -> Floats:
    """The values, if every one is finite.

    Raises:
        DataError: some are not.
    """
    if not np.isfinite(values).all():
        raise DataError(
            f"'{name}' of '{owner}' holds values that are not finite; explain the image again"
        )
    return values


def total_bytes(shapes: Mapping[str, Shape]) -> int:
    """Memory that arrays of these shapes take as float32.

    >>> total_bytes({"image": (1, 8, 8)})
    256
    """
    return sum(4 * math.prod(shape) for shape in shapes.values())


def _header(stream: IO[bytes], size: int) -> Header:
    """Read and check a header; the stream is then positioned behind it."""
    read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[
        npy.read_magic(stream)
    ]
    shape, column_major, dtype = read_header(stream)
    expected = math.prod(shape) * dtype.itemsize
    if dtype.kind not in NUMBERS:
        raise ValueError(f"it holds {dtype} where numbers were expected")
    if min(shape, default=0) < 0 or size - stream.tell() != expected:
        raise ValueError(f"an array should take {expected} bytes, it has {size - stream.tell()}")
    if max(expected, 4 * math.prod(shape)) > LARGEST_BYTES:
        raise ValueError(f"an array of {expected >> 20} MB is larger than {LARGEST_BYTES >> 20} MB")
    return Header(shape, dtype, column_major and len(shape) > 1)


@contextmanager
def _faults(path: Path) -> Iterator[None]:
    """Whatever reading a damaged archive raises, as one sentence; names the folder, not its path.

    ``zipfile`` and ``numpy`` raise almost anything on damaged input, hence the wide net.
    """
    place = f"{path.name} of '{path.parent.name}'"
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{place} is missing; explain the image again") from None
    except MemoryError:
        raise DataError(f"{place} does not fit in memory") from None
    except Exception as fault:
        reason = (str(fault) or type(fault).__name__).splitlines()[0]
        raise DataError(f"{place} is damaged ({reason}); explain the image again") from fault
