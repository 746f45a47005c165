"""What the header of a NIfTI file says: shape, spacing and orientation, checked."""

import logging
import math
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medxgan.data.decoded import MOST_PIXELS
from medxgan.data.faults import about, reading
from medxgan.data.formats import known_suffix
from medxgan.data.presentation import AXES, Axis, Presentation, Spacing
from medxgan.errors import DataError, MissingPackageError

KIND = "a NIfTI volume"
MOST_VOXELS = 2**29
"""Of one volume; 2 GB as they are held."""
MOST_DEFLATION = 1032
"""No gzip file holds more than so many times its own size."""
MILLIMETRES = {0: 1.0, 1: 1e3, 2: 1.0, 3: 1e-3}
"""Of a unit of length by NIfTI's code: unknown, metre, millimetre, micrometre."""
LENGTH_CODES = 8
"""Codes of units of length are below; those of time are multiples of it."""
SPATIAL = 3
SAME_PLACE = 0.1
"""Of a voxel: so far a mask may lie from its image, for the rounding of affines."""


class Volume(NamedTuple):
    """What a NIfTI file says of itself, turned to RAS+.

    Attributes:
        shape: voxels to the right, front and head.
        spacing: their distance along each, mm.
        volumes: how many the file holds.
        oriented: does it say how the patient lies?
        stored_axes: where the stored axes run to, such as ``LAS``.
        affine: ``[4, 4]``, from the numbers of a voxel along these axes, from 0, to mm.
        tilt: the greatest angle between a stored axis and the patient's, degrees.
        dtype: of the stored voxels.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    volumes: int
    oriented: bool
    stored_axes: str
    affine: NDArray[np.float64]
    tilt: float
    dtype: str

    def axis(self, presentation: Presentation) -> Axis:
        """Along which it is cut: as asked, else where it has one slice, else axial.

        Raises:
            DataError: the slices would be lines.
        """
        thin = [axis for axis, count in zip(AXES, self.shape, strict=True) if count == 1]
        axis = presentation.axis or (thin[0] if thin else presentation.kept.axis or "axial")
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
        return describe(open_nifti(path), path)


def check_same_place(image: Path, mask: Path) -> None:
    """Refuse a mask whose voxels do not lie where those of its image do.

    Raises:
        DataError: it does not, or one of the two headers does not say where they lie.
    """
    ours, theirs = read_header(image), read_header(mask)
    if ours.oriented != theirs.oriented:
        silent = mask if ours.oriented else image
        raise DataError(
            f"{silent} does not say how the patient lies (neither sform nor qform), but its "
            f"{'image' if ours.oriented else 'mask'} does; copy that header, if it holds for both"
        )
    ends = [(0, size - 1) for size in ours.shape]
    corners = np.array([(*corner, 1) for corner in product(*ends)]).T
    apart = ((ours.affine - theirs.affine) @ corners)[:SPATIAL]
    distance = float(np.linalg.norm(apart, axis=0).max())
    if not distance <= SAME_PLACE * min(ours.spacing):
        raise DataError(
            f"{mask} lies up to {distance:.3g} mm from its image, as their headers say; resample "
            "it onto its image, or correct its affine"
        )


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


def open_nifti(path: Path) -> Any:
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


def describe(image: Any, path: Path) -> Volume:
    """Check a header, and say what it means."""
    from nibabel.affines import obliquity, voxel_sizes
    from nibabel.orientations import aff2axcodes, inv_ornt_aff, io_orientation

    shape = _trimmed(image.shape)
    dtype = image.get_data_dtype()
    if dtype.kind not in "buif":
        raise DataError(
            f"its voxels are of the type '{dtype}', no plain numbers; convert them to grey values"
        )
    _check_size(shape, dtype.itemsize, path)
    unit = _unit(int(image.header["xyzt_units"]))
    spacing = voxel_sizes(image.affine) * unit
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
        affine=np.diag([unit] * SPATIAL + [1]) @ image.affine @ inv_ornt_aff(orientation, sizes),
        tilt=float(np.degrees(obliquity(image.affine)).max()),
        dtype=str(dtype.name),
    )


def _unit(code: int) -> float:
    """Millimetres of the unit of length; ``code`` is xyzt_units."""
    unit = MILLIMETRES.get(code % LENGTH_CODES)
    if unit is None:
        raise DataError(
            f"its unit of length has the code {code % LENGTH_CODES}, where NIfTI knows 0 to 3; "
            f"correct xyzt_units in its header, which is {code}"
        )
    return unit


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
