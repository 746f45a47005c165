"""Reads uploaded files in a process of its own, where a decoder may crash, hang or eat memory.

The viewer speaks to it through a pipe: one JSON message asks for a file, one JSON message and the
pixels answer. Nothing is pickled.
"""

import json
import os
import shutil
import signal
from contextlib import suppress
from dataclasses import replace
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from typing import Any

from torch import Tensor

from medxgan.console import sentence_of
from medxgan.data import KeptPresentation, parse_presentation, read_inputs
from medxgan.data.dicom_files import open_dicom
from medxgan.data.faults import printable
from medxgan.data.formats import check_suffix, kind_of
from medxgan.data.pictures import decoding
from medxgan.errors import DataError
from medxgan.image_inspection import IDENTIFIERS
from medxgan.viewer.memory import limit_memory
from medxgan.viewer.reading import TERMINAL_SIGNALS

LARGEST_ANSWER = 2**28
"""Bytes of pixels of one file, after they were brought to the model's size."""


def work(requests: Connection, folder: str) -> None:
    """What the process does: read files with little memory until the viewer ends.

    Args:
        requests: from the viewer.
        folder: with the viewer's open images, which belong to patients; removed should the viewer
            be killed, even while a file is read.
    """
    limit_memory()
    # They are blocked since the start, but multiprocessing lets some through.
    for number in TERMINAL_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    # A thread, for a process that is busy with a file does not notice.
    Thread(target=_outlive, args=(folder,), daemon=True).start()
    serve(requests)
    _outlive(folder)


def serve(requests: Connection) -> None:
    """Read files until the viewer ends."""
    with suppress(EOFError, OSError):
        while True:
            request = json.loads(requests.recv_bytes())
            answer, pixels = answer_to(request)
            requests.send_bytes(json.dumps(answer).encode())
            if pixels is not None:
                requests.send_bytes(pixels)


def _outlive(folder: str) -> None:
    """Wait for the viewer's end, tidy up after it, and end."""
    viewer = parent_process()
    assert viewer is not None
    viewer.join()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def answer_to(request: dict[str, Any]) -> tuple[dict[str, object], bytes | None]:
    """Read one file.

    Args:
        request: ``path``, ``size``, ``channels`` and ``limits`` as `medxgan.data.read_inputs` has
            them; ``window``, ``axis`` and ``volume`` as the command line has them; ``kept`` by the
            bundle, as its ``bundle.json`` has it; and ``identifiers``, true where notes shall say
            whose a DICOM file is.

    Returns:
        ``shape``, ``names``, ``notes`` and ``spacings``, and the images' float32 bytes
        ``[N, C, H, W]``; or an ``error``, a sentence, and None.
    """
    path = Path(str(request["path"]))
    try:
        check_suffix(path)  # a table could name any file of this machine
        limits = request["limits"]
        chosen = parse_presentation(request["window"], request["axis"], None, request["volume"])
        inputs = read_inputs(
            [path],
            size=request["size"],
            channels=request["channels"],
            limits=None if limits is None else (limits[0], limits[1]),
            presentation=replace(chosen, kept=KeptPresentation.model_validate(request["kept"])),
        )
        images: Tensor = inputs.images.float().contiguous()
        if 4 * images.numel() > LARGEST_ANSWER:
            raise DataError(f"{path} holds {len(images)} images, too many to open; cut some out")
        notes = [*inputs.notes, *(identifiers(path) if request["identifiers"] else [])]
    except Exception as fault:
        sentence = sentence_of(fault) or f"{path} cannot be read ({type(fault).__name__})"
        return {"error": sentence}, None
    return {
        "shape": list(images.shape),
        "names": inputs.names,
        "notes": notes,
        "spacings": inputs.spacings or [None] * len(images),
    }, images.numpy().tobytes()


def identifiers(path: Path) -> list[str]:
    """Whose image a DICOM file is, as notes; nothing of other files."""
    if kind_of(path) != "dicom":
        return []
    with decoding():
        header = open_dicom(path, header_only=True)
        return [
            f"{keyword}: {printable(str(header[keyword].value))}"
            for keyword in IDENTIFIERS
            if header.get(keyword)
        ]
