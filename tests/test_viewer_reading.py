"""Uploaded files: read in a process of their own, which no file can use to hurt the server."""

import errno
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from medxgan.errors import DataError, OutputError
from medxgan.viewer import reading, reading_process
from medxgan.viewer.image_folder import ImageFolder, remove_left_folders
from medxgan.viewer.reading import FileReader, Presented, safe_name
from medxgan.viewer.reading_process import answer_to

SIZE = 16


def png_of(values: np.ndarray) -> bytes:
    buffer = BytesIO()
    Image.fromarray(values).save(buffer, format="PNG")
    return buffer.getvalue()


def ramp_png() -> bytes:
    return png_of(np.arange(256, dtype=np.uint8).reshape(SIZE, SIZE))


def bomb_png(side: int) -> bytes:
    """A PNG of a few bytes that says it is ``side`` pixels wide and high."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(2**20), 9)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(kind, content)
        for kind, content in ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    )


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    folder = ImageFolder(tmp_path_factory.mktemp("uploads"))
    reader = FileReader(SIZE, 1, folder)
    yield reader
    reader.close()
    folder.remove()


def read(reader: FileReader, content: bytes, name: str):
    return reader.read_upload(BytesIO(content), name)


def request_for(path: object) -> dict:
    shape = {"size": SIZE, "channels": 1, "limits": None, "kept": {}}
    return {"path": str(path)} | shape | asdict(Presented())


def test_a_file_is_read_at_the_size_of_the_model(reader):
    found = read(reader, ramp_png(), "../../scans/Ann Other.png")
    assert found.images.shape == (1, 1, SIZE, SIZE)
    np.testing.assert_allclose(found.images.ravel(), np.arange(256) / 127.5 - 1, atol=1e-6)
    assert found.names == ["Ann-Other"] and found.notes == () and found.spacings == [None]
    large = np.tile(np.arange(64, dtype=np.uint8), (64, 1))
    larger = read(reader, png_of(large), "large.png")
    assert larger.images.shape == (1, 1, SIZE, SIZE)
    assert larger.notes == ("image resized to 16 x 16 pixels",)


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"no image", "scan.png", "scan.png is not a PNG"),
        (ramp_png()[:50], "cut.png", "cut.png"),
        (b"", "empty.png", "empty.png"),
        (bomb_png(60_000), "bomb.png", "bomb.png has more than 89 megapixels"),
        (bomb_png(12_000), "bomb.png", "bomb.png has more than 89 megapixels"),
        (ramp_png(), "table.csv", "table.csv is of type '.csv', which cannot be read as an image"),
        (b"path\n/etc/passwd\n", "x.csv", "x.csv is of type '.csv'"),
        (ramp_png(), "data.npz", "data.npz is of type '.npz'"),
        (ramp_png(), "scan.exe", "scan.exe is of type '.exe'"),
        (b"not dicom", "IM0001", "IM0001"),
        (bytes(128) + b"DICM" + bytes(40), "IM0001", "IM0001"),
        (b"\x1f\x8b" + bytes(30), "brain.nii.gz", "brain.nii.gz"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence_without_a_path(reader, content, name, words):
    with pytest.raises(DataError) as refused:
        read(reader, content, name)
    sentence = str(refused.value)
    assert words in sentence and "\n" not in sentence
    assert "/" not in sentence.replace("DICOM/", "") and "upload-" not in sentence
    assert read(reader, ramp_png(), "after.png").names == ["after"]


def test_a_table_cannot_name_files_of_this_machine(reader, tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(ramp_png())
    table = f"path,label\n{secret},0\n".encode()
    with pytest.raises(DataError, match=r"x.csv is of type '.csv', which cannot be read as an im"):
        read(reader, table, "x.csv")


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_decoder_that_crashes_or_hangs_is_replaced(reader):
    read(reader, ramp_png(), "before.png")
    assert reader._process is not None and reader._process.pid is not None
    os.kill(reader._process.pid, signal.SIGSEGV)
    while reader._process.is_alive():
        time.sleep(0.01)
    assert read(reader, ramp_png(), "after.png").names == ["after"]
    first = reader._process.pid
    os.kill(first, signal.SIGSTOP)
    reader._patience = 0.2
    with pytest.raises(DataError, match=r"scan.png took more than 0.2 seconds to read"):
        read(reader, ramp_png(), "scan.png")
    reader._patience = 60
    assert read(reader, ramp_png(), "again.png").names == ["again"]
    assert reader._process.pid != first


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_closing_gives_up_a_file_that_is_being_read(reader):
    read(reader, ramp_png(), "before.png")
    process = reader._process
    os.kill(process.pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(read, reader, ramp_png(), "scan.png")
        while not reader._lock.locked():
            time.sleep(0.01)
        reader.close()
        with pytest.raises(DataError, match=r"scan.png made the program that decodes it fail"):
            waiting.result(10)
    assert reader._process is None


def test_a_decoder_that_dies_over_a_file_is_one_sentence(tmp_path):
    class Broken:
        def is_alive(self) -> bool:
            return True

        def send_bytes(self, content: bytes) -> None:
            return None

        def poll(self, patience: float) -> bool:
            return True

        def recv_bytes(self) -> bytes:
            raise EOFError

        def nothing(self) -> None:
            return None

        close = kill = join = nothing

    reader = FileReader(SIZE, 1, ImageFolder(tmp_path))
    reader._process = reader._pipe = Broken()
    with pytest.raises(DataError, match=r"scan.png made the program that decodes it fail"):
        read(reader, ramp_png(), "scan.png")
    assert reader._process is None


VIEWER = """
import sys, threading
from io import BytesIO
from pathlib import Path
from medxgan.viewer.image_folder import ImageFolder
from medxgan.viewer.reading import FileReader
if __name__ == "__main__":
    folder = ImageFolder(Path(sys.argv[1]))
    reader = FileReader(16, 1, folder)
    reader.start()
    image = folder.subfolder() / "image"
    image.write_text("a patient's")
    def read():
        reader.read_upload(BytesIO(Path(sys.argv[2]).read_bytes()), Path(sys.argv[2]).name)
    read()
    print(reader._process.pid, flush=True)
    for line in sys.stdin:
        threading.Thread(target=read, daemon=True).start()
"""


@contextmanager
def viewer_program(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A program with an open image, and the id of its reading process."""
    image, program = tmp_path / "scan.png", tmp_path / "program.py"
    image.write_bytes(ramp_png())
    program.write_text(VIEWER)
    (tmp_path / "tmp").mkdir()
    with subprocess.Popen(
        [sys.executable, program, tmp_path / "tmp", image],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as viewer:
        assert viewer.stdout is not None
        yield viewer, int(viewer.stdout.readline())


def comes_true(condition: Callable[[], object], patience: float = 20) -> bool:
    """Does it within so many seconds?"""
    end = time.monotonic() + patience
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return bool(condition())


def is_gone(process: int) -> bool:
    """Has a process ended that is no child of ours?"""
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (ProcessLookupError, FileNotFoundError):
        return True


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_open_images_are_removed_when_the_viewer_is_killed(tmp_path):
    with viewer_program(tmp_path) as (viewer, reader):
        assert len(list((tmp_path / "tmp").iterdir())) == 1
        viewer.kill()
        assert comes_true(lambda: is_gone(reader))
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_a_busy_reader_does_not_outlive_the_viewer(tmp_path):
    """A file that takes it seconds is not read to its end."""
    with viewer_program(tmp_path) as (viewer, reader):
        assert viewer.stdin is not None
        (tmp_path / "scan.png").unlink()
        huge = np.zeros((9000, 9000), dtype=np.uint8)  # some seconds of work
        (tmp_path / "scan.png").write_bytes(png_of(huge))
        viewer.stdin.write("read\n")
        viewer.stdin.flush()
        assert comes_true(lambda: list((tmp_path / "tmp").glob("*/upload-*/scan.png")))
        viewer.kill()
        assert comes_true(lambda: is_gone(reader))
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_a_terminal_does_not_end_the_reader(tmp_path):
    """Its viewer does, which must be tidied up after should it be killed by that."""
    with viewer_program(tmp_path) as (viewer, reader):
        for sent in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            os.kill(reader, sent)
        assert not comes_true(lambda: is_gone(reader), 0.5)
        viewer.kill()
        assert comes_true(lambda: is_gone(reader))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_folders_that_were_left_behind_are_removed_at_the_next_start(tmp_path):
    """The reader died, then the viewer was killed: nobody was left to tidy up."""
    with viewer_program(tmp_path) as (viewer, reader):
        (left,) = (tmp_path / "tmp").iterdir()
        os.kill(reader, signal.SIGKILL)
        beside = ImageFolder(tmp_path / "tmp")
        assert left.exists(), "its viewer still runs"
        viewer.kill()
    assert left.exists()
    next_one = ImageFolder(tmp_path / "tmp")
    assert set((tmp_path / "tmp").iterdir()) == {beside.path, next_one.path}
    for folder in (beside, next_one):
        folder.remove()


def test_other_folders_are_not_removed(tmp_path):
    for name in ("medxgan-view-begins", "others"):
        (tmp_path / name).mkdir()
    (tmp_path / "others" / "lock").touch()
    (tmp_path / "medxgan-view-link").symlink_to(tmp_path / "others")
    ImageFolder(tmp_path).remove()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"medxgan-view-begins", "medxgan-view-link", "others"}


def test_a_folder_that_vanished_is_made_again(tmp_path):
    folder = ImageFolder(tmp_path)
    shutil.rmtree(folder.path)
    assert folder.subfolder("upload-").parent == folder.path
    assert folder.path.stat().st_mode & 0o777 == 0o700
    remove_left_folders(tmp_path)
    assert folder.path.exists(), "it is locked again"
    shutil.rmtree(folder.path)
    folder.path.symlink_to(tmp_path)
    with pytest.raises(OutputError, match="start the viewer again") as refused:
        folder.subfolder()
    assert str(tmp_path) not in str(refused.value)


def test_a_full_disk_is_one_sentence_without_a_path(reader):
    class Full:
        def read(self, size: int) -> bytes:
            raise OSError(errno.ENOSPC, "No space left on device", "/tmp/secret")

    with pytest.raises(OutputError) as refused:
        reader.read_upload(Full(), "scan.png")
    assert str(refused.value) == (
        "scan.png could not be kept while it is read (No space left on device); make room, and "
        "open it again"
    )


def test_memory_of_the_reading_process_is_limited():
    """The process itself, not only the function, refuses two gigabytes more than it has."""
    program = """
from medxgan.viewer import reading_process
reading_process._outlive = lambda folder: None
def ask(requests):
    try:
        bytearray(2**32)
    except MemoryError:
        print("refused")
reading_process.serve = ask
reading_process.work(None, "")
"""
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux counts this")
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "refused\n"


def test_too_many_images_in_one_file_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "scan.png"
    path.write_bytes(ramp_png())
    request = request_for(path) | {"limits": [0, 255]}
    answer, pixels = answer_to(request)
    assert answer["shape"] == [1, 1, SIZE, SIZE] and pixels is not None
    monkeypatch.setattr(reading_process, "LARGEST_ANSWER", 2**8)
    answer, pixels = answer_to(request)
    assert pixels is None and "holds 1 images, too many to open" in answer["error"]


def test_a_window_is_applied_and_identifiers_are_told_only_where_asked_for():
    path = get_testdata_file("CT_small.dcm", download=False)
    request = request_for(path) | {"window": "40,400"}
    plain, _ = answer_to(request)
    assert not any("Compressed" in note for note in plain["notes"])
    told, windowed = answer_to(request | {"identifiers": True})
    assert "PatientName: CompressedSamples^CT1" in told["notes"]
    _, whole = answer_to(request | {"window": None})
    assert windowed is not None and windowed != whole
    refused, _ = answer_to(request | {"window": "wide"})
    assert refused["error"].startswith("a window is CENTRE,WIDTH")


def test_faults_of_our_own_are_one_sentence_too(tmp_path, monkeypatch):
    path = tmp_path / "scan.png"
    path.write_bytes(ramp_png())
    monkeypatch.setattr(reading_process, "read_inputs", lambda *_, **__: 1 / 0)
    answer, pixels = answer_to(request_for(path))
    assert answer == {"error": f"{path} cannot be read (ZeroDivisionError)"} and pixels is None


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("scan.png", "scan.png"),
        ("/etc/passwd", "passwd"),
        ("..", "image"),
        (".hidden.png", "hidden.png"),
        ("", "image"),
        ("a" * 300 + ".nii.gz", "a" * 73 + ".nii.gz"),
        ("naïve \u202e.png", "naïve-.png"),
        ("a\0b.dcm", "a-b.dcm"),
        ("--out.png", "out.png"),
    ],
)
def test_a_name_cannot_lead_anywhere(name, safe):
    assert safe_name(name) == safe
    assert len(safe) <= reading.LONGEST_NAME
