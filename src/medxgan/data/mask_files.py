"""Lesion masks from files, each on the frame or slice that it was drawn on."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medxgan.data.formats import kind_of
from medxgan.data.geometry import fit_masks
from medxgan.data.images import count_images, decode_masks
from medxgan.data.loading import Row, in_threads, pixel_size
from medxgan.data.pictures import decoding
from medxgan.data.presentation import Presentation
from medxgan.errors import DataError


def load_masks(
    files: Sequence[tuple[Path, Path | None]],
    rows: Sequence[Row],
    side: int,
    size: int | None,
    presentation: Presentation,
) -> tuple[NDArray[np.bool_] | None, NDArray[np.bool_]]:
    """Masks ``[M, side, side]``, empty where there is none, and for which images there is one.

    Args:
        files: of each image ``[M]`` its file, and that of its mask.
        rows: what was found when the images were read.
        side: of the images.
        size: to which they were brought; padded to a square only where None.
        presentation: with which they were read.

    Raises:
        DataError: a mask cannot be read, or does not lie on its image pixel by pixel.
    """
    known = np.array([mask is not None for _, mask in files])
    if not known.any():
        return None, known
    places: dict[tuple[Path, Path], list[int]] = {}
    for place, (image, mask) in enumerate(files):
        if mask is not None:
            places.setdefault((image, mask), []).append(place)
    pairs = list(places)
    masks = np.zeros((len(rows), side, side), dtype=np.bool_)

    def load(position: int) -> None:
        image, path = pairs[position]
        found = masks_of(image, path, presentation)
        for place in places[image, path]:
            row = rows[place]
            mask = found[row.number]
            if mask.shape != row.shape:
                raise DataError(
                    f"{path} must be as large as its image, {pixel_size(row.shape)}, "
                    f"got {pixel_size(mask.shape)}"
                )
            masks[place] = fit_masks(mask[None], size, row.square_shape)[0]

    with decoding():
        volumes = any(row.part for row in rows)
        for _ in in_threads(load, len(pairs), several_images_a_file=volumes):
            pass
    return masks, known


def masks_of(image: Path, path: Path, presentation: Presentation) -> dict[int, NDArray[np.bool_]]:
    """The masks ``[H, W]`` of a file by the numbers of the frames or slices of its image.

    Frames of DICOM files are brought together by the places of their planes, where both files say
    them; NIfTI volumes must lie at the same place; all else goes by number.

    Raises:
        DataError: it holds more or fewer, lies elsewhere, or cannot be read.
    """
    count = count_images(image, presentation)
    found = decode_masks(path, presentation)
    if len(found) != count:
        raise DataError(
            f"{path} has {len(found)} slice(s), its image has {count}; give a mask of the same "
            "shape"
        )
    match kind_of(image), kind_of(path):
        case "nifti", "nifti":
            from medxgan.data.nifti_header import check_same_place

            check_same_place(image, path)
        case "dicom", "dicom":
            from medxgan.data.dicom import frames_at_the_same_places

            there = frames_at_the_same_places(image, path)
            return {number: found[other] for number, other in there.items()}
    return found
