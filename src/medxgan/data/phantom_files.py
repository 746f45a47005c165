"""Phantoms as a data set on disk: one archive, or folders of PNG files; all of it or nothing."""

import csv
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medxgan.data.archive import write_npz
from medxgan.data.building import build_dataset
from medxgan.data.dataset import Dataset
from medxgan.data.folder import VALUES_NAME
from medxgan.data.phantom import Kind, Phantoms, Task
from medxgan.data.split import SPLIT_NAMES
from medxgan.errors import OutputError

MANIFEST_NAME = "manifest.csv"
MANIFEST_COLUMNS = ("path", "label", "split", "mask", "twin", "group", "marker")
SUBJECTS_A_REPORT = 256


def write_phantoms(
    phantoms: Phantoms,
    out: Path,
    kind: Kind,
    seed: int,
    on_written: Callable[[int], None] = lambda written: None,
) -> None:
    """Write phantoms so that `open_dataset` reads them back, masks and healthy twins included.

    A name that ends in ``.npz`` makes one archive with the keys ``images``, ``twins``, ``masks``,
    ``labels``, ``split``, ``boxes`` (``lesion_boxes``), ``source`` (a subject's id),
    ``class_names``, ``values`` of the graded task, and ``markers`` where some were planted. Any
    other name makes a folder ``split/class/file.png`` with ``masks`` and ``twins`` mirrored beside
    it, a table ``values.csv`` of the graded task, and a table ``manifest.csv`` that tells the
    markers where some were planted.

    Args:
        phantoms: what to write.
        out: archive, replaced if it exists; or folder, new or empty.
        kind: of the phantoms, for the subjects' ids.
        seed: of the phantoms, likewise.
        on_written: told now and then how many subjects are written.

    Raises:
        OutputError: no permission, no space, or the folder is in use; nothing is left there.

    >>> from tempfile import TemporaryDirectory
    >>> from medxgan.data import open_dataset
    >>> from medxgan.data.phantom import make_phantoms
    >>> phantoms = make_phantoms("chest", 40, size=32, seed=3)
    >>> with TemporaryDirectory() as folder:
    ...     write_phantoms(phantoms, Path(folder, "chest.npz"), "chest", seed=3)
    ...     data = open_dataset(Path(folder, "chest.npz"))
    >>> data.class_counts(), data.has_twins, str(data.groups[39])
    ({'healthy': 20, 'lesion': 20}, True, 'chest-3-000039')
    """
    names = subject_names(kind, seed, len(phantoms.labels), phantoms.task)
    if out.suffix.lower() == ".npz":
        arrays: dict[str, Any] = {
            "images": phantoms.images,
            "labels": phantoms.labels,
            "split": phantoms.split,
            "masks": phantoms.masks,
            "twins": phantoms.twins,
            "boxes": lesion_boxes(phantoms.masks),
            "source": names,
            "class_names": phantoms.class_names,
        }
        if phantoms.values is not None:
            arrays["values"] = phantoms.values
        if phantoms.markers.any():
            arrays["markers"] = phantoms.markers
        write_npz(out, **arrays)
    else:
        with _new_folder(out) as stage:
            for written, _ in enumerate(_write_subjects(phantoms, names, stage), start=1):
                if written % SUBJECTS_A_REPORT == 0:
                    on_written(written)
    on_written(len(names))


def phantom_dataset(phantoms: Phantoms, kind: Kind, seed: int) -> Dataset:
    """The data set that `write_phantoms` and `open_dataset` give, without a file between them.

    >>> from medxgan.data.phantom import make_phantoms
    >>> phantoms = make_phantoms("histology", 5, size=32, seed=1, task="graded")
    >>> data = phantom_dataset(phantoms, "histology", seed=1)
    >>> data.channels, data.class_counts(), float(data.values.min())
    (3, {'healthy': 1, 'lesion': 4}, 0.0)
    """
    images, twins = (
        pixels[:, None] if pixels.ndim == 3 else np.moveaxis(pixels, 3, 1)
        for pixels in (phantoms.images, phantoms.twins)
    )
    names = subject_names(kind, seed, len(phantoms.labels), phantoms.task)
    return build_dataset(
        images,
        phantoms.labels,
        class_names=phantoms.class_names,
        split=phantoms.split,
        groups=names,
        masks=phantoms.masks,
        twins=twins,
        values=phantoms.values,
    )


def subject_names(kind: Kind, seed: int, count: int, task: Task = "binary") -> NDArray[np.str_]:
    """Ids of subjects ``[N]``, unique over kinds, tasks and seeds.

    >>> subject_names("brain", seed=1, count=2).tolist()
    ['brain-1-000000', 'brain-1-000001']
    >>> subject_names("chest", seed=1, count=1, task="graded").tolist()
    ['chest-graded-1-000000']
    """
    series = kind if task == "binary" else f"{kind}-{task}"
    return np.array([f"{series}-{seed}-{row:06d}" for row in range(count)])


def counts_text(phantoms: Phantoms) -> str:
    """How many phantoms show what, in words.

    >>> from medxgan.data.phantom import make_phantoms
    >>> counts_text(make_phantoms("brain", 6, size=32))
    '3 with a lesion'
    >>> counts_text(make_phantoms("chest", 6, size=32, task="three-class"))
    '2 healthy, 2 lobar, 2 nodule'
    >>> counts_text(make_phantoms("chest", 5, size=32, task="graded"))
    '4 with a lesion, of severity 0.52 to 3.77'
    """
    if phantoms.task == "three-class":
        counts = np.bincount(phantoms.labels, minlength=len(phantoms.class_names)).tolist()
        pairs = zip(counts, phantoms.class_names, strict=True)
        return ", ".join(f"{count} {name}" for count, name in pairs)
    text = f"{int(phantoms.labels.sum())} with a lesion"
    if phantoms.values is None or not phantoms.labels.any():
        return text
    values = phantoms.values[phantoms.labels > 0]
    return f"{text}, of severity {values.min():.2f} to {values.max():.2f}"


def lesion_boxes(masks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Bounding boxes ``[N, 4]`` of masks ``[N, H, W]``: x0, y0, x1, y1, the last two exclusive.

    All four are -1 where the mask is empty.

    >>> masks = np.zeros((2, 4, 6), dtype=bool)
    >>> masks[0, 1:3, 2:5] = True
    >>> lesion_boxes(masks).tolist()
    [[2, 1, 5, 3], [-1, -1, -1, -1]]
    """
    on_x, on_y = np.asarray(masks.any(axis=1)), np.asarray(masks.any(axis=2))
    (x0, x1), (y0, y1) = _first_and_last(on_x), _first_and_last(on_y)
    boxes = np.stack([x0, y0, x1, y1], axis=1)
    boxes[~on_x.any(axis=1)] = -1
    return boxes


def _first_and_last(profiles: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each row ``[N, L]`` becomes true first, and behind its last true place."""
    return profiles.argmax(axis=1), profiles.shape[1] - profiles[:, ::-1].argmax(axis=1)


def check_free(out: Path) -> None:
    """Refuse a folder for phantoms that is in use.

    Raises:
        OutputError: it holds something.
    """
    if out.is_dir() and any(out.iterdir()):
        raise OutputError(
            f"the folder {out} is not empty, and phantoms among other images would spoil both; "
            "choose a new one"
        )


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A folder that takes its name only once the block has ended without error."""
    out = out.absolute()  # `.` has no name
    check_free(out)
    stage = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        stage.mkdir(parents=True)
        yield stage
        if out.is_dir():  # it stays, since a shell may be in it
            for part in list(stage.iterdir()):
                part.rename(out / part.name)
        else:
            stage.rename(out)
    except OSError as fault:
        raise OutputError(
            f"{out} cannot be written ({fault.strerror or fault}); "
            "choose another place or make room"
        ) from fault
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _write_subjects(phantoms: Phantoms, names: NDArray[np.str_], root: Path) -> Iterator[None]:
    """Write a folder, one subject a turn, and the tables of values and markers at the end."""
    places = [
        Path(SPLIT_NAMES[split], phantoms.class_names[label], f"{name}.png")
        for split, label, name in zip(
            phantoms.split.tolist(), phantoms.labels.tolist(), names.tolist(), strict=True
        )
    ]
    for folder in {place.parent for place in places}:
        for mirror in ("", "masks", "twins"):
            (root / mirror / folder).mkdir(parents=True)
    for row, place in enumerate(places):
        _write_png(root / place, phantoms.images[row])
        _write_png(root / "masks" / place, phantoms.masks[row].astype(np.uint8) * 255)
        _write_png(root / "twins" / place, phantoms.twins[row])
        yield
    if phantoms.values is not None:
        _write_values(root / VALUES_NAME, places, phantoms.values)
    if phantoms.markers.any():
        _write_manifest(root / MANIFEST_NAME, phantoms, places, names)


def _write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    Image.fromarray(pixels).save(path, format="PNG")


def _write_values(path: Path, places: list[Path], values: NDArray[np.float32]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("path", "value"))
        table.writerows(
            # Nine digits tell every float32 apart.
            (place.as_posix(), f"{value:.9g}")
            for place, value in zip(places, values.tolist(), strict=True)
        )


def _write_manifest(
    path: Path, phantoms: Phantoms, places: list[Path], names: NDArray[np.str_]
) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(MANIFEST_COLUMNS)
        for place, label, split, name, marker in zip(
            places,
            phantoms.labels.tolist(),
            phantoms.split.tolist(),
            names.tolist(),
            phantoms.markers.tolist(),
            strict=True,
        ):
            files = [(Path(mirror) / place).as_posix() for mirror in ("", "masks", "twins")]
            image, *beside = files
            label_name, split_name = phantoms.class_names[label], SPLIT_NAMES[split]
            table.writerow([image, label_name, split_name, *beside, name, int(marker)])
