"""Uploaded files to pixels, without letting a bad file hurt the server."""

import json
import os
import re
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Lock
from typing import IO, Any

import numpy as np

from medxgan.data.presentation import NOTHING_KEPT, KeptPresentation
from medxgan.errors import DataError, OutputError
from medxgan.viewer.arrays import Floats
from medxgan.viewer.image_folder import ImageFolder

PATIENCE_SECONDS = 60.0
"""That reading one file may take, a fresh process's start included."""
LONGEST_NAME = 80
TERMINAL_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGHUP", "SIGQUIT") if hasattr(signal, name)
]
"""What a terminal sends to all programs in it."""


@dataclass(frozen=True)
class ReadFile:
    """What was in a file.

    Attributes:
        images: ``[N, C, H, W]`` in [-1, 1], at the size and with the channels asked for.
        names: of the images.
        notes: what was changed.
        spacings: distance of rows and of columns of each, mm a pixel; None where not known.
    """

    images: Floats
    names: Sequence[str]
    notes: tuple[str, ...]
    spacings: Sequence[tuple[float, float] | None]


@dataclass(frozen=True)
class Presented:
    """How files that leave a choice are shown; as on the command line.

    Attributes:
        window: of DICOM and NIfTI images, ``CENTRE,WIDTH``.
        axis: of NIfTI volumes.
        volume: of NIfTI files of several.
        identifiers: say whose a DICOM file is?
    """

    window: str | None = None
    axis: str | None = None
    volume: int | None = None
    identifiers: bool = False


class FileReader:
    """Reads one file at a time, in a process that is replaced when it crashes or hangs.

    Args:
        size: height and width that images are brought to.
        channels: 1 or 3.
        folder: for files while they are read; the process removes it should this program be killed.
        limits: stored values of 16-bit images that become -1 and +1; as found where None.
        shown: how DICOM and NIfTI files are shown.
        kept: how the bundle's training images were; that holds where ``shown`` says nothing.
        patience: seconds that a file may take.
    """

    def __init__(
        self,
        size: int,
        channels: int,
        folder: ImageFolder,
        limits: tuple[float, float] | None = None,
        shown: Presented | None = None,
        kept: KeptPresentation = NOTHING_KEPT,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._wanted: dict[str, Any] = {"size": size, "channels": channels, "limits": limits}
        self._wanted |= asdict(shown or Presented())
        self._wanted["kept"] = kept.model_dump(mode="json")
        self._folder = folder
        self._patience = patience
        self._lock = Lock()
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None

    def start(self) -> None:
        """Have the process ready before the first file comes."""
        with self._lock:
            self._ready()

    def close(self) -> None:
        """End the process; a file that it is reading is given up."""
        process = self._process
        if process is not None:
            with suppress(ValueError):  # it has ended by itself
                process.kill()
        with self._lock:
            self._end()

    def read_upload(self, content: IO[bytes], name: str) -> ReadFile:
        """Read an uploaded file.

        Args:
            content: of the file.
            name: as its owner calls it; the suffix says what it is, the rest is for sentences.

        Raises:
            DataError: it cannot be read; the sentence names the file, never its place here.
            OutputError: there is no room to keep it meanwhile.
        """
        folder = self._folder.subfolder("upload-")
        try:
            path = folder / safe_name(name)
            _keep(content, path)
            return self._read(path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _read(self, path: Path) -> ReadFile:
        with self._lock:
            try:
                answer, content = self._ask(path)
            except TimeoutError:
                self._end()
                raise DataError(
                    f"{path.name} took more than {self._patience:g} seconds to read; "
                    "it may be damaged"
                ) from None
            except (EOFError, OSError) as fault:
                self._end()
                raise DataError(
                    f"{path.name} made the program that decodes it fail; it may be damaged, or "
                    "too large"
                ) from fault
        if content is None:
            sentence = str(answer["error"]).replace(f"{path.parent}{os.sep}", "")
            raise DataError(sentence.replace(str(path.parent), "the file"))
        images = np.frombuffer(content, dtype=np.float32).reshape(answer["shape"])
        return ReadFile(images, answer["names"], tuple(answer["notes"]), answer["spacings"])

    def _ask(self, path: Path) -> tuple[dict[str, Any], bytes | None]:
        """The other process's answer, and the pixels where there are some."""
        pipe = self._ready()
        pipe.send_bytes(json.dumps(self._wanted | {"path": str(path)}).encode())
        if not pipe.poll(self._patience):
            raise TimeoutError
        answer: dict[str, Any] = json.loads(pipe.recv_bytes())
        return answer, None if "error" in answer else pipe.recv_bytes()

    def _ready(self) -> Connection:
        if self._pipe is not None and self._process is not None and self._process.is_alive():
            return self._pipe
        self._end()
        from medxgan.viewer.reading_process import work

        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, str(self._folder.path)), daemon=True)
        with _without_interrupts():
            process.start()
        theirs.close()
        self._process, self._pipe = process, ours
        return ours

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
        if self._pipe is not None:  # only now: at its end the process would tidy up after us
            self._pipe.close()
        self._process = self._pipe = None


def _keep(content: IO[bytes], path: Path) -> None:
    try:
        with path.open("xb") as file:
            shutil.copyfileobj(content, file)
    except OSError as fault:
        raise OutputError(
            f"{path.name} could not be kept while it is read ({fault.strerror}); make room, and "
            "open it again"
        ) from fault


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """What is started here is not ended by its terminal, but by the viewer that the terminal ends.

    Ended on its own it could not tidy up should the viewer be killed.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TERMINAL_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def safe_name(name: str) -> str:
    """A file name without a path that keeps its suffix, on which reading depends.

    >>> safe_name("../../etc/pass wd.png"), safe_name("C:\\\\scans\\\\a.nii.gz"), safe_name("..")
    ('pass-wd.png', 'a.nii.gz', 'image')
    """
    last = re.split(r"[/\\\\]", name)[-1]
    safe = re.sub(r"[^\w.]+", "-", last).strip("-").lstrip(".")
    return safe[-LONGEST_NAME:].lstrip(".-") or "image"
