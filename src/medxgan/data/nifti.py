"""NIfTI volumes to slices as a radiologist sees them.

A volume is turned to the nearest orientation whose axes run to the patient's right, front and head
(RAS+). A slice is then shown as DICOM images of the same patient are: the patient's right on the
left of the picture; front at the top (axial) or head at the top (coronal, sagittal); sagittal
slices look to the left. Slices are counted from 1, along the same axes: from left to right
(sagittal), back to front (coronal), feet to head (axial).
"""

from collections.abc import Collection, Iterator
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medxgan.data.decoded import Decoded
from medxgan.data.dicom_pixels import stretch
from medxgan.data.faults import about, reading
from medxgan.data.geometry import square_pixels
from medxgan.data.nifti_header import KIND, SPATIAL, Volume, describe, open_nifti, slice_spacing
from medxgan.data.presentation import (
    AS_STORED,
    AXES,
    Axis,
    Presentation,
    Window,
    check_number,
)
from medxgan.errors import DataError

PERCENTILES = (0.5, 99.5)


def decode_volume(
    path: Path,
    presentation: Presentation = AS_STORED,
    numbers: Collection[int] | None = None,
) -> Iterator[Decoded]:
    """Slices as ``[1, H, W]`` from 0 (black) to 1 (white), square pixels.

    Args:
        path: the file.
        presentation: axis, volume and window; default: axial, the first, and the 0.5th to the
            99.5th percentile of the volume.
        numbers: slices wanted, from 1; all where None.

    Raises:
        DataError: see `medxgan.data.nifti_header.read_header`; or a voxel is NaN or infinite.
    """
    with reading(path, KIND), about(path):
        found, voxels = read_voxels(path, presentation)
        axis = found.axis(presentation)
        total = found.count(axis)
        for number in numbers or ():
            check_number(number, total, f"{axis} slices")
        low, high, change = _window(voxels, presentation.shown_window)
    changes: tuple[str, ...] = (change,)
    if not found.oriented:
        changes += (
            "taken as LAS, for its header does not say how the patient lies: left and right may be "
            "swapped",
        )
    if found.volumes > 1 and presentation.volume is None:
        changes += (f"taken from the first of {found.volumes} volumes",)
    spacing = slice_spacing(found.spacing, axis)
    digits = max(2, len(str(total)))
    for number in range(1, total + 1):
        if numbers is None or number in numbers:
            cut = slice_of(voxels, axis, number - 1)
            shown = stretch(cut, low, high).astype(np.float32)[None]
            with about(path):
                squared = square_pixels(shown, spacing[0] / spacing[1], spacing)
            yield Decoded(
                squared.pixels,
                changes + squared.changes,
                squared.spacing,
                (int(cut.shape[0]), int(cut.shape[1])),
                number,
                f"{axis}-{number:0{digits}d}" if total > 1 else "",
            )


def decode_volume_mask(path: Path, presentation: Presentation) -> dict[int, NDArray[np.bool_]]:
    """The lesion on each slice, ``[H, W]``, by its number: true where a voxel is not 0.

    Raises:
        DataError: see `decode_volume`.
    """
    with reading(path, KIND), about(path):
        several = describe(open_nifti(path), path).volumes > 1
        alike = replace(presentation, volume=presentation.volume if several else None)
        found, voxels = read_voxels(path, alike)
        axis = found.axis(alike)
        return {index + 1: slice_of(voxels, axis, index) != 0 for index in range(found.count(axis))}


def slice_of(voxels: NDArray[Any], axis: Axis, index: int) -> NDArray[Any]:
    """One slice ``[H, W]`` of RAS+ voxels ``[X, Y, Z]``, as it is looked at.

    >>> voxels = np.arange(8).reshape(2, 2, 2)  # right adds 4, front adds 2, head adds 1
    >>> slice_of(voxels, "axial", 0)
    array([[6, 2],
           [4, 0]])
    >>> slice_of(voxels, "coronal", 0)
    array([[5, 1],
           [4, 0]])
    >>> slice_of(voxels, "sagittal", 0)
    array([[3, 1],
           [2, 0]])
    """
    # A view: numpy.take would copy all voxels for each slice where they lie in another order.
    plane: NDArray[Any] = np.moveaxis(voxels, AXES.index(axis), 0)[index]
    return np.asarray(plane.T[::-1, ::-1])


def read_voxels(path: Path, presentation: Presentation) -> tuple[Volume, NDArray[np.float32]]:
    """One volume, scaled, float32 ``[X, Y, Z]``, RAS+.

    Raises:
        DataError: see `decode_volume`.
    """
    with reading(path, KIND), about(path):
        return _read_voxels(path, presentation.volume or 1)


def _read_voxels(path: Path, number: int) -> tuple[Volume, NDArray[np.float32]]:
    from nibabel.orientations import apply_orientation, io_orientation

    image = open_nifti(path)
    found = describe(image, path)
    check_number(number, found.volumes, "volumes")
    stored = image.dataobj if len(image.shape) <= SPATIAL else image.dataobj[:, :, :, number - 1]
    voxels = np.asarray(stored, dtype=np.float32)
    voxels = voxels.reshape((*voxels.shape, 1, 1)[:SPATIAL])
    broken = int((~np.isfinite(voxels)).sum())
    if broken:
        raise DataError(
            f"{broken} of its {voxels.size} voxels are NaN or infinite; replace them, for example "
            "by numpy.nan_to_num"
        )
    turned: NDArray[np.float32] = apply_orientation(voxels, io_orientation(image.affine))
    return found, turned


def percentiles(voxels: NDArray[np.float32]) -> tuple[float, float]:
    """The values between which a volume is shown where no window is given."""
    with np.errstate(over="ignore", invalid="ignore"):  # between absurd values
        low, high = np.percentile(voxels, PERCENTILES).tolist()
    return low, high


def _window(voxels: NDArray[np.float32], window: Window | None) -> tuple[float, float, str]:
    """The values that become black and white, and what to say of them."""
    if window is not None:
        centre, width = window
        return centre - width / 2, centre + width / 2, f"windowed to {window}"
    low, high = percentiles(voxels)
    if high > low and isfinite(low) and isfinite(high):
        words = "windowed to the {:g}th to {:g}th percentile of its volume".format(*PERCENTILES)
        return low, high, words
    words = "stretched from the least to the greatest value of its volume"
    return float(voxels.min()), float(voxels.max()), words
