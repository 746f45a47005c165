"""Series of images to a requested answer as files: a strip with answers, arrays, facts."""

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from medxgan.explain.series import Series
from medxgan.report.figures import intensity_picture, png_bytes
from medxgan.report.saving import unique_folder_names
from medxgan.report.series_view import frame_captions
from medxgan.report.staging import staged_folder
from medxgan.scoretext import answer_text

TABLE_FILE = "series.csv"
SMALLEST_FRAME = 96
"""Frames are shown at least so large, pixels a side."""
CAPTION, MARGIN = 14, 4
FADED = 0.6
"""Share of white in a frame that repeats another one, its own answer not being reached."""
UNREACHED = (176, 0, 32)


def save_series(series: Series, folder: str | os.PathLike[str]) -> Path:
    """Write ``series.png``, ``series.npz`` and ``series.json`` into a folder.

    Raises:
        OutputError: the folder cannot be made or written to; no file is left half-written.
    """
    with staged_folder(folder) as stage:
        _write_files(series, stage)
    return Path(folder)


def write_series(series: Sequence[Series], folder: str | os.PathLike[str]) -> Path:
    """Write one subfolder an image, named as in a report of the same images, and a table of all.

    Returns:
        The path of the table.

    Raises:
        OutputError: the folder cannot be made or written to; no file is left half-written.
    """
    subfolders = unique_folder_names(one.name for one in series)
    with staged_folder(folder) as stage:
        for one, subfolder in zip(series, subfolders, strict=True):
            (stage / subfolder).mkdir()
            _write_files(one, stage / subfolder)
        with (stage / TABLE_FILE).open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["name", "folder", "frame", "wanted", "answer", "reached"])
            for one, subfolder in zip(series, subfolders, strict=True):
                columns = zip(
                    *(part.tolist() for part in (one.wanted, one.answers, one.reached)), strict=True
                )
                table.writerows(
                    [one.name, subfolder, frame, *row] for frame, row in enumerate(columns)
                )
    return Path(folder) / TABLE_FILE


def captions_of(series: Series) -> list[str]:
    """The model's answers to original, reconstruction and all frames, ``T + 2`` texts.

    Those of frames are as ``frame_captions`` has them.
    """
    image, redrawn = (answer_text(answer, series.spec) for answer in series.own)
    return [f"image {image}", f"redrawn {redrawn}", *frame_captions(series)]


def series_picture(series: Series) -> Image.Image:
    """Original, reconstruction, then all frames, each with the model's answer below.

    Frames whose answer is not reached are faded, their captions red.
    """
    captions = captions_of(series)
    pictures = [
        intensity_picture(image) for image in (series.image, series.reconstruction, *series.frames)
    ]
    factor = -(-SMALLEST_FRAME // series.image.shape[-1])
    width, height = (factor * side for side in pictures[0].size)
    step = width + MARGIN
    sheet = Image.new("RGB", (step * len(pictures) - MARGIN, height + CAPTION), "white")
    draw = ImageDraw.Draw(sheet)
    reached = [True, True, *series.reached.tolist()]
    for place, picture in enumerate(pictures):
        enlarged = picture.resize((width, height), Image.Resampling.NEAREST).convert("RGB")
        if not reached[place]:
            enlarged = Image.blend(enlarged, Image.new("RGB", enlarged.size, "white"), FADED)
        sheet.paste(enlarged, (step * place, 0))
        ink = "black" if reached[place] else UNREACHED
        draw.text((step * place + 1, height + 1), captions[place], fill=ink)
    return sheet


def _write_files(series: Series, folder: Path) -> None:
    (folder / "series.png").write_bytes(png_bytes(series_picture(series)))
    np.savez_compressed(
        folder / "series.npz",
        **{
            name: getattr(series, name).numpy()
            for name in ("image", "reconstruction", "frames", "wanted", "answers", "reached")
        },
    )
    facts = {
        "name": series.name,
        "target_name": series.target_name,
        "answer_to_image": series.own[0],
        "answer_to_reconstruction": series.own[1],
        "wanted": series.wanted.tolist(),
        "answers": series.answers.tolist(),
        "reached": series.reached.tolist(),
    }
    text = json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / "series.json").write_text(text + "\n", encoding="utf-8")
