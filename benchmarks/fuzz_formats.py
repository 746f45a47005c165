"""Damaged DICOM, NIfTI, PNG and npz files: a clean read or one sentence each? Prints a table.

    python benchmarks/fuzz_formats.py
    python benchmarks/fuzz_formats.py --count 10000 --seed 0 --workers 2
    python benchmarks/fuzz_formats.py --case 4711

Whole files are made or taken from pydicom's test data, then damaged: bits flipped, numbers
overwritten, pieces cut out, doubled, moved, or taken from another file. Each goes through the
reader that ``explain`` uses, in processes that may take 2 GB beyond what they start with and 5
seconds of computing a file. Ends with 1 if anything but an image or a sentence for the user came
out. ``--case`` does one file again in this process, and keeps it.
"""

import argparse
import gzip
import io
import multiprocessing
import os
import random
import resource
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import NamedTuple

SIZE = 32
GIGABYTE = 2**30
MOST_MEMORY = 2 * GIGABYTE
SECONDS = 5.0
STILL_SECONDS = 300.0
"""After which a process is given up that neither computes nor answers."""
HEADER_BYTES = 2000
PNG_START = 8
"""Bytes before a PNG's first chunk."""
EDGES = (0, 1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 2**31 - 1, 2**31, 2**32 - 1)
OUTCOMES = ("read", "refused", "crashed", "hung", "killed")
BAD = ("crashed", "hung", "killed")
MOST_SEED_BYTES = 200_000
DICOM_SEEDS = (
    *("CT_small.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm"),
    *("JPEG2000.dcm", "SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_rle_2frame.dcm", "image_dfl.dcm"),
    *("MR_small_jpeg_ls_lossless.dcm", "JPGExtended.dcm", "MR_small_bigendian.dcm"),
    *("SC_rgb_dcmtk_+eb+cy+np.dcm", "rtdose.dcm", "liver_1frame.dcm", "693_J2KI.dcm"),
    *("examples_overlay.dcm", "GDCMJ2K_TextGBR.dcm"),
)


class Seed(NamedTuple):
    """A whole file to damage: its format, the end of its name, and its content."""

    kind: str
    suffix: str
    content: bytes


class Outcome(NamedTuple):
    """What became of one damaged file."""

    case: int
    kind: str
    outcome: str
    words: str
    seconds: float
    peak_bytes: int


def seeds() -> list[Seed]:
    """Whole files of all four formats, small ones."""
    return [*dicom_seeds(), *nifti_seeds(), *picture_seeds(), *archive_seeds()]


def dicom_seeds() -> Iterator[Seed]:
    """Of all encodings, from pydicom's test data; and one with every kind of table."""
    from pydicom.data import get_testdata_file

    for name in DICOM_SEEDS:
        path = get_testdata_file(name, download=False)
        content = Path(str(path)).read_bytes() if path else b""
        if 0 < len(content) <= MOST_SEED_BYTES:
            yield Seed("dicom", ".dcm", content)
    for photometric in ("MONOCHROME1", "PALETTE COLOR"):
        yield Seed("dicom", ".dcm", dicom_with_tables(photometric))


def dicom_with_tables(photometric: str) -> bytes:
    """A palette, a VOI LUT, a modality LUT, windows, functional groups and spacing in one file."""
    import numpy as np
    from pydicom import dcmread
    from pydicom.data import get_testdata_file
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    header = dcmread(str(get_testdata_file("MR_small.dcm")))
    table = Dataset()
    table.add_new(0x00283002, "US", [4096, 0, 12])
    table.add_new(0x00283006, "OW", np.arange(4096, dtype="<u2").tobytes())
    header.VOILUTSequence = Sequence([table])
    header.ModalityLUTSequence = Sequence([table])
    header.PixelSpacing = [1.0, 0.5]
    header.add_new(0x00280120, "SS", 0)
    header.PhotometricInterpretation = photometric
    measures, group = Dataset(), Dataset()
    measures.PixelSpacing = [2.0, 1.0]
    group.PixelMeasuresSequence = Sequence([measures])
    header.SharedFunctionalGroupsSequence = Sequence([group])
    for colour in range(1, 4):  # red, green and blue
        header.add_new(0x00281100 + colour, "SS", [256, 0, 16])
        header.add_new(0x00281200 + colour, "OW", np.arange(256, dtype="<u2").tobytes())
    stream = io.BytesIO()
    header.save_as(stream)
    return stream.getvalue()


def nifti_seeds() -> Iterator[Seed]:
    """Both versions, three and four dimensions, packed and not."""
    import nibabel
    import numpy as np

    voxels = np.random.default_rng(0).integers(0, 1000, (12, 10, 6, 2))
    for image_class in (nibabel.Nifti1Image, nibabel.Nifti2Image):
        for dtype, count in ((np.int16, 1), (np.float32, 2), (np.uint8, 1)):
            part = voxels[..., :count].squeeze().astype(dtype)
            content = image_class(part, np.diag([1.0, 2.0, 3.0, 1.0])).to_bytes()
            yield Seed("nifti", ".nii", content)
            yield Seed("nifti", ".nii.gz", gzip.compress(content, mtime=0))


def picture_seeds() -> Iterator[Seed]:
    """Grey, colour, palette, transparent and 16-bit PNGs."""
    import numpy as np
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (20, 24, 4)).astype(np.uint8)
    pictures = [
        Image.fromarray(pixels[..., 0]),
        Image.fromarray(pixels[..., :3]),
        Image.fromarray(pixels),
        Image.fromarray(pixels[..., :3]).convert("P"),
        Image.fromarray(pixels[..., 0].astype(np.uint16) * 16),
    ]
    for picture in pictures:
        stream = io.BytesIO()
        picture.save(stream, format="PNG")
        yield Seed("png", ".png", stream.getvalue())


def archive_seeds() -> Iterator[Seed]:
    """Data sets with and without compression, whole numbers and floating point."""
    import numpy as np

    random_numbers = np.random.default_rng(0)
    whole = {
        "images": random_numbers.integers(0, 256, (12, 16, 16)).astype(np.uint8),
        "labels": np.arange(12) % 2,
        "masks": random_numbers.random((12, 16, 16)) > 0.9,
    }
    colour = {
        "train_images": random_numbers.random((12, 16, 16, 3), dtype=np.float32),
        "train_labels": np.arange(12)[:, None] % 2,
    }
    for arrays in (whole, colour):
        for save in (np.savez, np.savez_compressed):
            stream = io.BytesIO()
            save(stream, **arrays)
            yield Seed("npz", ".npz", stream.getvalue())


def damaged(whole: list[Seed], seed: int, case: int) -> Seed:
    """The file number ``case``: always the same of the same seed."""
    dice = random.Random(f"{seed}/{case}")
    kinds = sorted({one.kind for one in whole})
    kind = kinds[case % len(kinds)]
    chosen = dice.choice([one for one in whole if one.kind == kind])
    inside = dice.random() < 0.5
    if chosen.suffix == ".nii.gz" and inside:
        content = gzip.compress(mutated(gzip.decompress(chosen.content), whole, dice), mtime=0)
    elif chosen.kind == "npz" and inside:
        content = with_damaged_member(chosen.content, whole, dice)
    elif chosen.kind == "png" and inside:
        content = with_damaged_chunk(chosen.content, whole, dice)
    else:
        content = mutated(chosen.content, whole, dice)
    return chosen._replace(content=content)


def with_damaged_member(content: bytes, whole: list[Seed], dice: random.Random) -> bytes:
    """An archive in which one array is damaged and the checksums are right."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    unlucky = dice.choice(sorted(members))
    members[unlucky] = mutated(members[unlucky], whole, dice)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return stream.getvalue()


def with_damaged_chunk(content: bytes, whole: list[Seed], dice: random.Random) -> bytes:
    """A PNG in which one chunk is damaged, pixels before they are deflated; checksums are right."""
    chunks, place = [], PNG_START
    while place < len(content):
        (length,) = struct.unpack_from(">I", content, place)
        name, body = content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        chunks.append((name, body))
        place += length + 12
    unlucky = dice.randrange(len(chunks) - 1)
    name, body = chunks[unlucky]
    if name == b"IDAT":
        chunks[unlucky] = name, zlib.compress(mutated(zlib.decompress(body), whole, dice))
    else:
        chunks[unlucky] = name, mutated(body, whole, dice)
    return content[:PNG_START] + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def mutated(content: bytes, whole: list[Seed], dice: random.Random) -> bytes:
    """Content with one to six damages, most of them near its beginning."""
    found = bytearray(content)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 6))):
        if found:
            dice.choice(DAMAGES)(found, whole, dice)
    return bytes(found)


def place_in(content: bytearray, dice: random.Random) -> int:
    """A byte, half of the time of the header."""
    most = min(len(content), HEADER_BYTES) if dice.random() < 0.5 else len(content)
    return dice.randrange(most)


def flip_bits(content: bytearray, whole: list[Seed], dice: random.Random) -> None:
    """One to eight bits."""
    for _ in range(dice.randint(1, 8)):
        content[place_in(content, dice)] ^= 1 << dice.randrange(8)


def overwrite_number(content: bytearray, whole: list[Seed], dice: random.Random) -> None:
    """Two, four or eight bytes by a number at the edge of a range, or any."""
    layout = dice.choice(("<H", ">H", "<I", ">I", "<f", "<d", "<Q"))
    number = dice.choice(EDGES) if dice.random() < 0.7 else dice.getrandbits(32)
    if layout in ("<f", "<d"):
        packed = struct.pack(layout, dice.choice((0.0, -1.0, 1e30, float("nan"), float("inf"))))
    else:
        packed = struct.pack(layout, number % 2 ** (8 * struct.calcsize(layout)))
    place = place_in(content, dice)
    content[place : place + len(packed)] = packed


def cut_end(content: bytearray, whole: list[Seed], dice: random.Random) -> None:
    """All behind some byte."""
    del content[dice.randrange(len(content)) :]


def cut_piece(content: bytearray, whole: list[Seed], dice: random.Random) -> None:
    """A piece from the middle."""
    place = place_in(content, dice)
    del content[place : place + dice.choice((1, 2, 7, 64, 1000))]


def double_piece(content: bytearray, whole: list[Seed], dice: random.Random) -> None:
    """A piece twice or many times."""
    place, length = place_in(content, dice), dice.choice((1, 2, 8, 64, 1000))
    content[place:place] = content[place : place + length] * dice.choice((1, 1, 1, 50))


def splice(content: bytearray, whole: list[Seed], dice: random.Random) -> None:
    """A piece of another file over one of this."""
    other = dice.choice(whole).content
    start, length = dice.randrange(len(other)), dice.choice((4, 32, 500))
    place = place_in(content, dice)
    content[place : place + length] = other[start : start + length]


DAMAGES: tuple[Callable[[bytearray, list[Seed], random.Random], None], ...] = (
    *(flip_bits, flip_bits, overwrite_number, overwrite_number),
    *(cut_end, cut_piece, double_piece, splice),
)


def read(path: Path) -> tuple[str, str]:
    """Read a file as ``explain`` does: what came of it, and the words."""
    from medxgan.data import open_dataset, read_inputs
    from medxgan.errors import MedxganError

    try:
        if path.suffix == ".npz":
            images = open_dataset(path, size=SIZE, channels=1).images()
        else:
            images = read_inputs([path], size=SIZE, channels=1).images
        if not bool(images.isfinite().all()) or float(images.abs().max()) > 1:
            return "crashed", "images outside [-1, 1]"
    except MedxganError as error:
        sentence = str(error)
        return ("crashed" if "\n" in sentence else "refused"), sentence
    except BaseException:
        return "crashed", traceback.format_exc()
    return "read", ""


def work(connection: Connection, seed: int, folder: str) -> None:
    """A process that reads the files whose numbers it is sent."""
    warnings.simplefilter("error")
    whole = seeds()
    for suffix in (".dcm", ".nii", ".png", ".npz"):  # import all decoders before the limit holds
        one = next(one for one in whole if one.suffix == suffix)
        path = Path(folder, f"{os.getpid()}-warm-up{suffix}")
        path.write_bytes(one.content)
        read(path)
        path.unlink()
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MOST_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    sys.stderr = io.StringIO()
    connection.send(None)
    while True:
        case = connection.recv()
        if case is None:
            return
        one = damaged(whole, seed, case)
        path = Path(folder, f"{os.getpid()}{one.suffix}")
        path.write_bytes(one.content)
        start = time.process_time()
        outcome, words = read(path)
        seconds = time.process_time() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        connection.send(Outcome(case, one.kind, outcome, words, seconds, peak))
        path.unlink()


class Worker:
    """A process, and the case that it is at."""

    def __init__(self, seed: int, folder: str) -> None:
        self.connection, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=work, args=(theirs, seed, folder))
        self.process.start()
        theirs.close()
        self.case: int | None = None
        self.begun = time.monotonic()
        self.computed = 0.0

    def give(self, case: int | None) -> None:
        """Start a case; None ends the process."""
        self.case = case
        self.begun = time.monotonic()
        self.computed = self.processor_time()
        self.connection.send(case)

    def processor_time(self) -> float:
        """Seconds that the process has computed; others on the machine do not count."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def hangs(self) -> bool:
        """Has it taken too long for its case?"""
        waited = time.monotonic() - self.begun
        if self.case is None or waited < SECONDS:
            return waited > STILL_SECONDS
        return waited > STILL_SECONDS or self.processor_time() - self.computed > SECONDS

    def end(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.join()


def run(count: int, seed: int, workers: int) -> list[Outcome]:
    """Read ``count`` damaged files, side by side."""
    whole = seeds()
    waiting = iter(range(count))
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as folder:
        busy = [Worker(seed, folder) for _ in range(workers)]
        while busy:
            ready = wait([worker.connection for worker in busy], timeout=0.2)
            for worker in list(busy):
                lost = None
                if worker.connection in ready:
                    try:
                        outcome = worker.connection.recv()
                    except EOFError:
                        worker.process.join()
                        lost = "killed"
                    else:
                        outcomes += [outcome] if outcome is not None else []
                        case = next(waiting, None)
                        worker.give(case)
                        if case is None:
                            worker.process.join()
                            busy.remove(worker)
                elif worker.hangs():
                    lost = "hung"
                if lost is not None:
                    if worker.case is None:
                        raise RuntimeError(f"a worker was {lost} before it began")
                    kind = damaged(whole, seed, worker.case).kind
                    code = f"exit code {worker.process.exitcode}"
                    outcomes.append(Outcome(worker.case, kind, lost, code, SECONDS, 0))
                    worker.end()
                    busy.remove(worker)
                    busy.append(Worker(seed, folder))
    return outcomes


def print_table(outcomes: list[Outcome]) -> None:
    """How many of which format came to what, and what went wrong."""
    counts = Counter((outcome.kind, outcome.outcome) for outcome in outcomes)
    print(f"{'format':8}" + "".join(f"{name:>9}" for name in OUTCOMES) + f"{'slowest':>10}")
    for kind in sorted({outcome.kind for outcome in outcomes}):
        slowest = max((one.seconds, one.case) for one in outcomes if one.kind == kind)
        cells = "".join(f"{counts[kind, name]:9}" for name in OUTCOMES)
        print(f"{kind:8}{cells}{slowest[0]:8.2f} s (case {slowest[1]})")
    peak = max(outcome.peak_bytes for outcome in outcomes)
    print(f"most memory of a process, all together: {peak / GIGABYTE:.2f} GB")
    for outcome in sorted(outcomes):
        if outcome.outcome in BAD:
            words = outcome.words.strip().splitlines() or [""]
            print(f"case {outcome.case} ({outcome.kind}) {outcome.outcome}: {words[-1]}")


def main() -> None:
    """Read damaged files; or one of them again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="damaged files")
    parser.add_argument("--seed", type=int, default=0, help="of the damages")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--case", type=int, help="read this one alone, here")
    arguments = parser.parse_args()
    if arguments.case is not None:
        one = damaged(seeds(), arguments.seed, arguments.case)
        path = Path(tempfile.gettempdir(), f"case-{arguments.case}{one.suffix}")
        path.write_bytes(one.content)
        print(path, *read(path), sep="\n")
        return
    outcomes = run(arguments.count, arguments.seed, arguments.workers)
    print_table(outcomes)
    peak = max(outcome.peak_bytes for outcome in outcomes)
    failed = any(outcome.outcome in BAD for outcome in outcomes) or peak > MOST_MEMORY
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
