"""NIfTI volumes to slices as a radiologist sees them.

A volume is turned to the nearest orientation whose axes run to the patient's right, front and head
(RAS+). A slice is then shown as DICOM images of the same patient are: the patient's right on the
left of the picture; front at the top (axial) or head at the top (coronal, sagittal); sagittal
slices look to the left. Slices are counted from 1, along the same axes: from left to right
(sagittal), back to front (coronal), feet to head (axial).
"""

import logging
import math
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medxgan.data.decoded import MOST_PIXELS, Decoded
from medxgan.data.dicom_pixels import stretch
from medxgan.data.faults import about, reading
from medxgan.data.formats import known_suffix
from medxgan.data.geometry import square_pixels
from medxgan.data.presentation import (
    AS_STORED,
    AXES,
    Axis,
    Presentation,
    Spacing,
    Window,
    check_number,
)
from medxgan.errors import DataError, MissingPackageError

KIND = "a NIfTI volume"
PERCENTILES = (0.5, 99.5)
MOST_VOXELS = 2**29
"""Of one volume; 2 GB as they are held."""
MOST_DEFLATION = 1032
"""No gzip file holds more than so many times its own size."""
MILLIMETRES = {"mm": 1.0, "meter": 1e3, "micron": 1e-3, "unknown": 1.0}
SPATIAL = 3


class Volume(NamedTuple):
    """What a NIfTI file says of itself, turned to RAS+.

    Attributes:
        shape: voxels to the right, front and head.
        spacing: their distance along each, mm.
        volumes: how many the file holds.
        oriented: does it say how the patient lies?
        stored_axes: where the stored axes run to, such as ``LAS``.
        tilt: the greatest angle between a stored axis and the patient's, degrees.
        dtype: of the stored voxels.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    volumes: int
    oriented: bool
    stored_axes: str
    tilt: float
    dtype: str

    def axis(self, presentation: Presentation) -> Axis:
        """Along which it is cut: as asked, else where it has one slice, else axial.

        Raises:
            DataError: the slices would be lines.
        """
        thin = [axis for axis, count in zip(AXES, self.shape, strict=True) if count == 1]
        axis = presentation.axis or (thin[0] if thin else "axial")
        height, width = slice_shape(self.shape, axis)
        if min(height, width) < 2:
            others = [other for other in AXES if min(slice_shape(self.shape, other)) > 1]
            hint = f"choose --axis {' or '.join(others)}" if others else "it shows nothing"
            raise DataError(f"its {axis} slices are {height} x {width} pixels; {hint}")
        return axis

    def count(self, axis: Axis) -> int:
        """How many slices lie along an axis."""
        return self.shape[AXES.index(axis)]


def read_header(path: Path) -> Volume:
    """What a file is, without its voxels.

    Raises:
        DataError: it is missing, forbidden, damaged, or holds what cannot be shown.
        MissingPackageError: nibabel is not installed.
    """
    with reading(path, KIND), about(path):
        return _describe(_open(path), path)


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
        DataError: see `read_header`; or a voxel is NaN or infinite.
    """
    with reading(path, KIND), about(path):
        found, voxels = read_voxels(path, presentation)
        axis = found.axis(presentation)
        total = found.count(axis)
        for number in numbers or ():
            check_number(number, total, f"{axis} slices")
        low, high, change = _window(voxels, presentation.window)
    changes: tuple[str, ...] = (change,)
    if not found.oriented:
        changes += ("taken as it is stored, for its header does not say how the patient lies",)
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
        several = _describe(_open(path), path).volumes > 1
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
    plane: NDArray[Any] = np.take(voxels, index, axis=AXES.index(axis))
    return np.asarray(plane.T[::-1, ::-1])


def slice_shape(shape: tuple[int, int, int], axis: Axis) -> tuple[int, int]:
    """Height and width of slices along an axis.

    >>> slice_shape((40, 50, 60), "coronal")
    (60, 40)
    """
    width, height = (size for size, other in zip(shape, AXES, strict=True) if other != axis)
    return height, width


def slice_spacing(spacing: tuple[float, float, float], axis: Axis) -> Spacing:
    """Distance of rows and columns of slices along an axis, mm."""
    columns, rows = (step for step, other in zip(spacing, AXES, strict=True) if other != axis)
    return rows, columns


def read_voxels(path: Path, presentation: Presentation) -> tuple[Volume, NDArray[np.float32]]:
    """One volume, scaled, float32 ``[X, Y, Z]``, RAS+.

    Raises:
        DataError: see `decode_volume`.
    """
    with reading(path, KIND), about(path):
        return _read_voxels(path, presentation.volume or 1)


def _read_voxels(path: Path, number: int) -> tuple[Volume, NDArray[np.float32]]:
    from nibabel.orientations import apply_orientation, io_orientation

    image = _open(path)
    found = _describe(image, path)
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


def _open(path: Path) -> Any:
    """The file with its voxels still on disk."""
    try:
        import nibabel
    except ImportError:
        raise MissingPackageError(
            f"{path} is a NIfTI volume, for which nibabel is needed; install it by: pip install "
            "'medxgan[nifti]'"
        ) from None
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)  # it tells of odd headers
    image = nibabel.load(path)
    if not isinstance(image, nibabel.Nifti1Image):
        raise DataError(
            f"it is of the kind {type(image).__name__}, not a NIfTI volume; convert it to one"
        )
    return image


def _describe(image: Any, path: Path) -> Volume:
    """Check a header, and say what it means."""
    from nibabel.affines import obliquity, voxel_sizes
    from nibabel.orientations import aff2axcodes, io_orientation

    shape = _trimmed(image.shape)
    dtype = image.get_data_dtype()
    if dtype.kind not in "buif":
        raise DataError(
            f"its voxels are of the type '{dtype}', no plain numbers; convert them to grey values"
        )
    _check_size(shape, dtype.itemsize, path)
    spacing = voxel_sizes(image.affine) * MILLIMETRES[image.header.get_xyzt_units()[0]]
    if not image.header["sform_code"] > 0:
        spacing = np.where(_stored_steps(image) > 0, spacing, 0)
    if not (np.isfinite(image.affine).all() and (spacing > 0).all()):
        raise DataError(
            f"its voxel spacing is {' x '.join(f'{step:g}' for step in spacing)} mm; correct "
            "pixdim or the affine in its header"
        )
    orientation = io_orientation(image.affine)
    if np.linalg.matrix_rank(image.affine[:SPATIAL, :SPATIAL] / spacing) < SPATIAL:
        raise DataError(
            "two axes of its affine run the same way, so that it has no orientation; correct the "
            "affine in its header"
        )
    right, front, head = np.argsort(orientation[:, 0]).tolist()
    sizes = (*shape, 1, 1)[:SPATIAL]
    steps = spacing.tolist()
    return Volume(
        shape=(sizes[right], sizes[front], sizes[head]),
        spacing=(steps[right], steps[front], steps[head]),
        volumes=shape[SPATIAL] if len(shape) > SPATIAL else 1,
        oriented=bool(image.header["sform_code"] > 0 or image.header["qform_code"] > 0),
        stored_axes="".join(aff2axcodes(image.affine)),
        tilt=float(np.degrees(obliquity(image.affine)).max()),
        dtype=str(dtype.name),
    )


def _stored_steps(image: Any) -> NDArray[np.float64]:
    """The spacing as it is written: nibabel makes zeros ones, and negative steps positive."""
    header = image.header
    with image.file_map["image"].get_prepare_fileobj("rb") as file:
        raw = type(header)(file.read(header.sizeof_hdr), endianness=header.endianness, check=False)
    steps: NDArray[np.float64] = np.abs(raw["pixdim"][1 : SPATIAL + 1].astype(np.float64))
    return np.where(raw["dim"][1 : SPATIAL + 1] > 1, steps, np.maximum(steps, 1))


def _trimmed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Two to four axes; further ones of length 1 say nothing.

    Raises:
        DataError: fewer or more, or one without voxels.
    """
    words = " x ".join(map(str, shape)) or "none"
    trimmed = shape[: SPATIAL + 1] + tuple(size for size in shape[SPATIAL + 1 :] if size != 1)
    if not 2 <= len(trimmed) <= SPATIAL + 1:
        raise DataError(f"its voxels are {words}; a volume, or several, have 3 or 4 dimensions")
    if min(trimmed) < 1:
        raise DataError(f"its voxels are {words}: it holds none")
    return trimmed


def _check_size(shape: tuple[int, ...], bytes_a_voxel: int, path: Path) -> None:
    """Refuse what would take more memory than the file can hold."""
    voxels = math.prod(shape[:SPATIAL])
    largest_slice = math.prod(sorted(shape[:SPATIAL])[-2:])
    if voxels > MOST_VOXELS or largest_slice > MOST_PIXELS:
        raise DataError(
            f"it has {' x '.join(map(str, shape))} voxels, more than can be read; cut out the "
            "part to look at"
        )
    there = path.stat().st_size * (MOST_DEFLATION if known_suffix(path) == ".nii.gz" else 1)
    if math.prod(shape) * bytes_a_voxel > there:
        raise DataError(
            f"it says that it holds {' x '.join(map(str, shape))} voxels, more than fit into it; "
            "it is cut short or damaged, replace or remove it"
        )


def _window(voxels: NDArray[np.float32], window: Window | None) -> tuple[float, float, str]:
    """The values that become black and white, and what to say of them."""
    if window is not None:
        centre, width = window
        return centre - width / 2, centre + width / 2, f"windowed to {window}"
    low, high = percentiles(voxels)
    if high > low and math.isfinite(low) and math.isfinite(high):
        words = "windowed to the {:g}th to {:g}th percentile of its volume".format(*PERCENTILES)
        return low, high, words
    words = "stretched from the least to the greatest value of its volume"
    return float(voxels.min()), float(voxels.max()), words
