"""NumPy archives (.npz), read piece by piece, and written completely or not at all.

``numpy.load`` brings whole arrays into memory; here a large one comes in blocks, so that it can be
checked, resized and stored without ever being there twice. Nothing is ever unpickled.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self
from zipfile import ZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import ArrayLike, NDArray

from medxgan.atomic import atomic_file
from medxgan.data.faults import reading
from medxgan.errors import DataError, OutputError

BLOCK_BYTES = 2**24
KIND = "a NumPy archive"


class Header(NamedTuple):
    """What an array is, known before it is read."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    column_major: bool


class Archive:
    """An open .npz file.

    Raises:
        DataError: here and in all methods: the file is missing, forbidden, damaged, or an array in
            it holds Python objects.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_npz(Path(folder, "a.npz"), images=np.zeros((5, 8, 8)), labels=[0, 1, 0, 1, 1])
    ...     with Archive(Path(folder, "a.npz")) as archive:
    ...         archive.keys, archive.header("images").shape, archive.array("labels")
    (('images', 'labels'), (5, 8, 8), array([0, 1, 0, 1, 1]))
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading(path, KIND):
            self._zip = ZipFile(path)
        members = (Path(name) for name in self._zip.namelist())
        self.keys = tuple(name.stem for name in members if name.suffix == ".npy")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.close()

    def header(self, key: str) -> Header:
        """Shape and type of an array, without reading it."""
        with self._open(key) as (_, header):
            return header

    def array(self, key: str) -> NDArray[Any]:
        """A whole array; for the small ones."""
        blocks = list(self.blocks(key))
        return np.concatenate(blocks) if len(blocks) != 1 else blocks[0]

    def blocks(self, key: str) -> Iterator[NDArray[Any]]:
        """An array ``[N, ...]`` in pieces ``[n, ...]`` of about 16 MB, in order.

        Arrays in column-major order cannot be cut so: they come in one piece.
        """
        with self._open(key) as (stream, header):
            count, *rest = header.shape or (1,)
            bytes_a_row = max(1, math.prod(rest) * header.dtype.itemsize)
            rows = count if header.column_major else max(1, BLOCK_BYTES // bytes_a_row)
            for start in range(0, max(count, 1), max(rows, 1)):
                shape = (min(rows, count - start), *rest)
                if header.column_major:
                    yield self._block(stream, shape[::-1], header.dtype).transpose()
                else:
                    yield self._block(stream, shape, header.dtype)

    def _block(
        self, stream: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> NDArray[Any]:
        """The next values of a member; the last block also checks the member's checksum."""
        with reading(self.path, KIND):
            block = np.empty(shape, dtype=dtype)
            content = block.reshape(-1).view(np.uint8)
            filled = 0
            while filled < content.size:
                read = stream.read(content.size - filled)
                if not read:
                    raise EOFError("it ends too early")
                content[filled : filled + len(read)] = np.frombuffer(read, dtype=np.uint8)
                filled += len(read)
        return block

    @contextmanager
    def _open(self, key: str) -> Iterator[tuple[IO[bytes], Header]]:
        """A member, positioned behind its header."""
        name = f"{key}.npy"
        with reading(self.path, KIND):
            stream = self._zip.open(name)
        with stream:
            with reading(self.path, KIND):
                read_header = {
                    (1, 0): npy.read_array_header_1_0,
                    (2, 0): npy.read_array_header_2_0,
                }[npy.read_magic(stream)]
                shape, column_major, dtype = read_header(stream)
                present = self._zip.getinfo(name).file_size - stream.tell()
                expected = math.prod(shape) * dtype.itemsize
                if min(shape, default=0) < 0 or (present != expected and not dtype.hasobject):
                    raise ValueError(f"'{key}' should take {expected} bytes, it has {present}")
            if dtype.hasobject:
                raise DataError(
                    f"{self.path}: '{key}' holds Python objects, which can run code when they are "
                    "read; save it as a plain array of numbers or text"
                )
            yield stream, Header(shape, dtype, column_major and len(shape) > 1)


def write_npz(path: str | Path, *, compressed: bool = True, **arrays: ArrayLike) -> None:
    """Write arrays under their names; the file is there complete or not at all.

    Args:
        path: the file; missing folders are made.
        compressed: smaller, but slower to write and read.
        arrays: numbers or text; no Python objects, which could not be read back.

    Raises:
        OutputError: no permission, no space, or an array of Python objects.
    """
    columns: dict[str, Any] = {key: np.asarray(value) for key, value in arrays.items()}
    for key, column in columns.items():
        if column.dtype.hasobject:
            raise OutputError(f"'{key}' holds Python objects; give an array of numbers or text")
    save = np.savez_compressed if compressed else np.savez
    with atomic_file(Path(path)) as file:
        save(file, **columns)
