"""Images of every format to pixels, and pictures back to PNG."""

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from medxgan.atomic import atomic_file
from medxgan.data.decoded import Decoded
from medxgan.data.faults import about, check_shape_request
from medxgan.data.files import list_files
from medxgan.data.formats import (
    FORMATS_IN_WORDS,
    check_suffix,
    kind_of,
    without_suffix,
)
from medxgan.data.geometry import fit
from medxgan.data.intensity import (
    Limits,
    check_pixels,
    from_signed,
    limits_note,
    storage_limits,
    to_signed,
)
from medxgan.data.pictures import decode_picture, decode_picture_mask, decoding
from medxgan.data.presentation import AS_STORED, Axis, Presentation, Spacing, Window
from medxgan.errors import DataError
from medxgan.types import Sample


def read_image(
    path: str | Path,
    *,
    size: int | None = None,
    channels: int | None = None,
    limits: Limits | None = None,
    window: tuple[float, float] | None = None,
    frame: int | None = None,
    axis: Axis | None = None,
) -> Sample:
    """Read one PNG, JPEG, TIFF, DICOM or NIfTI image.

    Pictures are turned upright as their EXIF orientation says. Grey, colour, palette and
    transparent ones (laid over black) of 8 or 16 bits and floating-point TIFFs in [0, 1] or [-1, 1]
    can be read. DICOM images go through the standard's grey scale pipeline (see
    `medxgan.data.dicom_pixels`), slices of volumes are shown as `medxgan.data.nifti` says; pixels
    that are no squares are resampled. All are padded to a square where they are none.

    Args:
        path: the image file.
        size: height and width to resize to, pixels; default: as stored.
        channels: 1 (grey) or 3 (colour); default: as stored.
        limits: stored values of a 16-bit picture that become -1 and +1: those of the training data,
            since one image cannot tell its depth. Pictures of 8 bits and of floating point, DICOM
            and NIfTI have their own; default for all: see `medxgan.data.intensity`.
        window: centre and width, in place of a DICOM file's own, or of a volume's percentiles.
        frame: of a file of several frames, or slice of a volume, from 1; default: the first frame,
            the middle slice.
        axis: of a volume; see `Presentation`.

    Returns:
        The image ``[C, H, W]`` float32 in [-1, 1]; ``notes`` says what was changed, ``spacing``
        how far its pixels lie apart in the patient, mm, where that is known.

    Raises:
        DataError: the file is missing, forbidden, damaged, constant, or of another kind.
        MissingPackageError: it needs a package that is not installed.
        ConfigError: ``size`` or ``channels`` cannot be had.

    >>> import torch
    >>> from tempfile import TemporaryDirectory
    >>> ramp = torch.linspace(-1, 1, 64).view(1, 8, 8)
    >>> with TemporaryDirectory() as folder:
    ...     write_image(Path(folder, "ramp.png"), ramp)
    ...     sample = read_image(Path(folder, "ramp.png"), channels=3)
    >>> sample.name, tuple(sample.image.shape), sample.notes
    ('ramp', (3, 8, 8), ('image made colour by repeating the grey channel',))
    """
    check_shape_request(size, channels)
    path = Path(path)
    presentation = Presentation(None if window is None else Window(*window), axis)
    total = count_images(path, presentation)
    with decoding():
        middle = (total + 1) // 2 if kind_of(path) == "nifti" else 1
        number = middle if frame is None else frame
        decoded = next(decode_images(path, presentation, {number}))
    if total > 1 and frame is None:
        change = f"is one of {total}: {decoded.part.replace('-', ' ')}"
        decoded = decoded._replace(changes=(change, *decoded.changes))
    return to_sample(path, decoded, size, channels, limits)


def decode_images(
    path: Path, presentation: Presentation = AS_STORED, numbers: Collection[int] | None = None
) -> Iterator[Decoded]:
    """Decode the images of one file; enter `decoding` around it.

    Args:
        path: the file.
        presentation: of DICOM and NIfTI.
        numbers: frames or slices that are wanted, from 1; all where None.

    Yields:
        A picture once; frames and slices in the order in which they lie in the patient.

    Raises:
        DataError: the file is missing, forbidden, damaged, huge, or of another kind.
        MissingPackageError: it needs a package that is not installed.
    """
    kind = kind_of(path)
    if kind == "dicom":
        from medxgan.data.dicom import DicomImage

        return DicomImage(path, presentation).decoded(numbers)
    if kind == "nifti":
        from medxgan.data.nifti import decode_volume

        return decode_volume(path, presentation, numbers)
    if numbers is not None and set(numbers) != {1}:
        raise DataError(f"{path} holds one image, number 1; got {', '.join(map(str, numbers))}")
    return iter([decode_picture(path)])


def count_images(path: Path, presentation: Presentation = AS_STORED) -> int:
    """How many images a file holds: frames, or slices along the axis.

    Raises:
        DataError: as `decode_images`.
        MissingPackageError: it needs a package that is not installed.
    """
    kind = kind_of(path)
    with decoding():
        if kind == "dicom":
            from medxgan.data.dicom import count_frames

            return count_frames(path)
        if kind == "nifti":
            from medxgan.data.nifti_header import read_header

            header = read_header(path)
            with about(path):
                return header.count(header.axis(presentation))
    return 1


def decode_masks(
    path: Path, presentation: Presentation = AS_STORED
) -> dict[int, NDArray[np.bool_]]:
    """Masks ``[H, W]`` by their number, from 1: true where a pixel or voxel is not 0.

    In a JPEG, whose compression leaves faint noise, true where it is at least half bright.

    Raises:
        DataError: as `decode_images`.
        MissingPackageError: it needs a package that is not installed.
    """
    kind = kind_of(path)
    if kind == "dicom":
        from medxgan.data.dicom import decode_dicom_mask

        return decode_dicom_mask(path)
    if kind == "nifti":
        from medxgan.data.nifti import decode_volume_mask

        return decode_volume_mask(path, presentation)
    return {1: decode_picture_mask(path)}


def to_sample(
    path: Path, decoded: Decoded, size: int | None, channels: int | None, limits: Limits | None
) -> Sample:
    """An image as decoded -> as the package uses it; see `read_image`.

    Raises:
        DataError: it is constant, or holds NaN or infinity.
    """
    check_shown(path, decoded)
    low, high = check_pixels(decoded.pixels[None], [str(path)])
    with about(path):
        fitted = fit(decoded.pixels[None], size, channels)
    notes = tuple(f"image {change}" for change in decoded.changes + fitted.changes)
    if limits is None or decoded.pixels.dtype != np.uint16:
        with about(path):
            limits = storage_limits(decoded.pixels.dtype, low, high)
        notes += limits_note(decoded.pixels.dtype, limits)
    return Sample(
        to_signed(fitted.images[0], limits),
        image_name(path, decoded.part),
        notes,
        fitted_spacing(decoded, fitted.images.shape[2]),
    )


def check_shown(path: Path, decoded: Decoded) -> None:
    """Refuse a frame or slice that is one grey all over as it is shown.

    Raises:
        DataError: it is, or was made so by its window.
    """
    if decoded.empty and kind_of(path) != "picture":
        part = f" ({decoded.part})" if decoded.part else ""
        raise DataError(
            f"{path}{part} shows nothing: it is one grey all over as it is windowed; give another "
            "window, or remove it"
        )


def image_name(path: Path, part: str = "") -> str:
    """What an image is called in reports: the file's name, and which frame or slice it is.

    >>> image_name(Path("ann/scan.nii.gz"), "axial-07"), image_name(Path("1.2.840"))
    ('scan-axial-07', '1.2.840')
    """
    name = without_suffix(path).name
    return f"{name}-{part}" if part else name


def fitted_spacing(decoded: Decoded, side: int) -> Spacing | None:
    """Distance of the rows and columns of an image that was brought to ``side`` pixels, mm."""
    if decoded.spacing is None:
        return None
    factor = max(decoded.pixels.shape[1:]) / side
    return decoded.spacing[0] * factor, decoded.spacing[1] * factor


def write_image(path: str | Path, image: Tensor) -> None:
    """Write ``[C, H, W]`` in [-1, 1], C = 1 or 3, as an 8-bit PNG; missing folders are made.

    Raises:
        OutputError: no permission or no space; nothing is left half-written.
    """
    pixels = from_signed(image, (0, 255), np.uint8)
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    with atomic_file(Path(path)) as file:
        picture.save(file, format="PNG")


def image_files(path: str | Path) -> list[Path]:
    """The images a path stands for: the file itself, or all in a folder and below, sorted.

    ``masks`` and ``twins`` folders directly in it are left out.

    Raises:
        DataError: nothing is there that can be read.
    """
    root = Path(path)
    if root.is_file():
        check_suffix(root)
        return [root]
    found = [
        file
        for file in list_files(root)
        if is_image(file) and file.relative_to(root).parts[0] not in ("masks", "twins")
    ]
    if not found:
        raise DataError(f"{root} holds no {FORMATS_IN_WORDS} images; check the path")
    return found


def is_image(path: Path) -> bool:
    """Can images be read from a file of this name, or of this beginning?

    >>> is_image(Path("scan.TIF")), is_image(Path("scan.nii.gz")), is_image(Path("scan.txt"))
    (True, True, False)
    """
    return kind_of(path) is not None
