"""DICOM images to pixels as a radiologist sees them."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.encaps import generate_frames

from medxgan.data.decoded import MOST_PIXELS, Decoded
from medxgan.data.dicom_files import PIXELS, open_dicom
from medxgan.data.dicom_frames import FrameSize, compressed_size
from medxgan.data.dicom_header import Frames
from medxgan.data.dicom_order import at_the_same_places, frame_order
from medxgan.data.dicom_pixels import (
    FileWindow,
    GreyScale,
    Lut,
    Shown,
    Span,
    show_colour,
    show_grey,
    show_palette,
    value_span,
)
from medxgan.data.dicom_syntax import decode_frame, find_decoder, transfer_syntax
from medxgan.data.dicom_tables import read_palette
from medxgan.data.faults import about, printable, reading
from medxgan.data.geometry import square_pixels
from medxgan.data.presentation import AS_STORED, Presentation, check_number
from medxgan.errors import DataError

KIND = "a DICOM image"
GREY = ("MONOCHROME1", "MONOCHROME2")
PALETTE = "PALETTE COLOR"
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
LEAST_BYTES_OF_A_FRAME = 8
"""A compressed frame has at least the head of an item."""


class DicomImage:
    """An opened file: its frames, one by one, as they are shown.

    Args:
        path: the file.
        presentation: what the user chose in place of what the file says.

    Raises:
        DataError: here and in all methods: the file is missing, damaged, or holds what cannot be
            shown.
        MissingPackageError: its compression needs a package that is not installed.
    """

    def __init__(self, path: Path, presentation: Presentation = AS_STORED) -> None:
        self.path = path
        self.window = presentation.shown_window
        self.header = open_dicom(path)
        with reading(path, KIND):
            self._decoder = find_decoder(path, self.header)
        with reading(path, KIND), about(path):
            self.frames = Frames(self.header)
            self.photometric = _photometric(self.header)
            self._check_sizes()
        self._span: Span | None = None

    @property
    def compression(self) -> str:
        """The transfer syntax, in the standard's words."""
        return printable(transfer_syntax(self.header).name)

    def __len__(self) -> int:
        return self.frames.count

    def decoded(self, numbers: Collection[int] | None = None) -> Iterator[Decoded]:
        """Frames as ``[C, H, W]`` from 0 (black) to 1 (white), square pixels.

        Args:
            numbers: those wanted, counted from 1 as they are stored; all where None.

        Yields:
            In the order in which they lie along their normal, where that is known.
        """
        with reading(self.path, KIND), about(self.path):
            for number in numbers or ():
                check_number(number, len(self), "frames")
            order = frame_order(self.frames)
        digits = max(2, len(str(len(self))))
        for index in order:
            number = index + 1
            if numbers is None or number in numbers:
                part = f"frame-{number:0{digits}d}" if len(self) > 1 else ""
                yield self._decoded(index)._replace(number=number, part=part)

    def _decoded(self, index: int) -> Decoded:
        with reading(self.path, KIND), about(self.path):
            stored = self.stored(index)
            shown, changes = self._shown(stored, index)
            squared = square_pixels(shown, self.frames.aspect(index), self.frames.spacing(index))
            if self.header.get("PresentationIntentType") == "FOR PROCESSING":
                changes += ("raw ('FOR PROCESSING'), not meant to be looked at",)
        height, width = stored.shape[:2]
        return Decoded(
            squared.pixels, changes + squared.changes, squared.spacing, stored=(height, width)
        )

    def stored(self, index: int) -> NDArray[Any]:
        """Stored values ``[H, W]``, or red, green and blue ``[H, W, 3]``, of a frame."""
        pixels = decode_frame(self._decoder, self.header, index)
        if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
            raise DataError("it holds NaN or infinite pixels; repair or remove it")
        return pixels

    def _shown(self, stored: NDArray[Any], index: int) -> tuple[Shown, tuple[str, ...]]:
        if self.photometric in GREY:
            voi, changes = self._voi(index)
            scale = GreyScale(
                self.frames.modality(index),
                voi,
                inverted=self.photometric == "MONOCHROME1",
                padding=self.frames.padding(),
            )
            return show_grey(stored, scale)[None], changes
        changes = ("in colour, which a window does not change",) if self.window else ()
        if self.photometric == PALETTE:
            return show_palette(stored, read_palette(self.header)), changes
        return show_colour(stored, int(self.header.BitsStored)), changes

    def _voi(self, index: int) -> tuple[Lut | FileWindow | Span, tuple[str, ...]]:
        """What decides the contrast: the user, a table, a window, or the range of the pixels."""
        if self.window is not None:
            return FileWindow(self.window), (f"windowed to {self.window}",)
        try:
            lut = self.frames.voi_lut(index)
        except DataError as fault:
            raise DataError(f"{fault}; give a window by --window CENTRE,WIDTH") from fault
        if lut is not None:
            return lut, ("shown by the lookup table (VOI LUT) of its file",)
        windows = self.frames.windows(index)
        if windows:
            which = f"the first of {len(windows)} windows" if len(windows) > 1 else "the window"
            return windows[0], (f"shown in {which} of its file",)
        if self._eight_bits(index):
            return Span(0.0, 2.0 ** int(self.header.BitsStored) - 1), ()
        note = "stretched from its darkest to its brightest pixel, for its file has no window"
        return self._whole_span(), (note,)

    def _eight_bits(self, index: int) -> bool:
        """Stored as pictures are, black to white in at most 8 bits, with no other meaning?"""
        return (
            "BitsStored" in self.header
            and int(self.header.BitsStored) <= 8
            and self.header.get("PixelRepresentation") == 0
            and self.frames.modality(index) is None
        )

    def _whole_span(self) -> Span:
        """Range of all frames of the file, so that they stay comparable."""
        if self._span is None:
            padding = self.frames.padding()
            found = [
                value_span(self.stored(index), self.frames.modality(index), padding)
                for index in range(len(self))
            ]
            spans = [span for span in found if span is not None]
            lows, highs = zip(*spans, strict=True) if spans else ((0.0,), (0.0,))
            self._span = Span(min(lows), max(highs))
        return self._span

    def _check_sizes(self) -> None:
        """Refuse what would take more memory than an image can be worth, before it is decoded."""
        header = self.header
        rows, columns = int(header.Rows), int(header.Columns)
        if rows * columns > MOST_PIXELS:
            raise DataError(
                f"it has {rows} x {columns} pixels, which is more than "
                f"{MOST_PIXELS // 10**6} megapixels; cut out the part to look at"
            )
        if not transfer_syntax(header).is_encapsulated:
            least_bits = rows * columns * int(header.BitsAllocated)  # colour may be subsampled
            _check_count(len(self), max(1, least_bits // 8), header)
            return
        _check_count(len(self), LEAST_BYTES_OF_A_FRAME, header)
        expected = FrameSize(rows, columns, int(header.get("SamplesPerPixel") or 1))
        offsets = [header.get(f"ExtendedOffsetTable{of}") for of in ("", "Lengths")]
        frames = generate_frames(
            header.PixelData,
            number_of_frames=len(self),
            extended_offsets=(offsets[0], offsets[1]) if all(offsets) else None,
        )
        for frame in frames:
            found = compressed_size(frame)
            if found is not None and found.rows > 0 and found != expected:
                raise DataError(
                    f"its header says {expected}, its compressed pixels say {found}; "
                    "it is damaged, replace or remove it"
                )


def count_frames(path: Path) -> int:
    """How many frames a file holds, from its header alone.

    Raises:
        DataError: it is missing, damaged, holds no pixels, or cannot hold as many as it says.
    """
    header = open_dicom(path, header_only=True)
    with reading(path, KIND):
        count = Frames(header).count
        most = path.stat().st_size // LEAST_BYTES_OF_A_FRAME
        if transfer_syntax(header).is_deflated:
            return count
    if count > max(1, most):
        raise DataError(f"{path} says that it holds {count} frames, more than fit into it")
    return count


def decode_dicom_mask(path: Path) -> dict[int, NDArray[np.bool_]]:
    """The lesion on each frame, ``[H, W]``, by its number: true where a stored value is not 0.

    Raises:
        DataError: see `DicomImage`.
        MissingPackageError: likewise.
    """
    image = DicomImage(path)
    with reading(path, KIND), about(path):
        masks = {index + 1: image.stored(index) != 0 for index in range(len(image))}
    return {number: mask if mask.ndim == 2 else mask.any(-1) for number, mask in masks.items()}


def frames_at_the_same_places(image: Path, mask: Path) -> dict[int, int]:
    """Which frame of a mask lies where each frame of an image does, both by number.

    Raises:
        DataError: none does; or see `count_frames`.
    """
    places = []
    for path in (image, mask):
        header = open_dicom(path, header_only=True)
        with reading(path, KIND):
            frames = Frames(header)
            places.append([frames.place(index) for index in range(frames.count)])
    with about(mask):
        return {index + 1: other + 1 for index, other in enumerate(at_the_same_places(*places))}


def _check_count(frames: int, bytes_a_frame: int, header: FileDataset) -> None:
    """Refuse more frames than the pixels have bytes for; each would be asked where it lies."""
    present = max(len(header[keyword].value) for keyword in PIXELS if keyword in header)
    if frames > max(1, present // bytes_a_frame):
        raise DataError(
            f"it says that it holds {frames} frames, more than fit into it; it is damaged, replace "
            "or remove it"
        )


def _photometric(header: FileDataset) -> str:
    """How stored values become grey or colour."""
    stored = printable(str(header.get("PhotometricInterpretation") or ""))
    samples = {**dict.fromkeys((*GREY, PALETTE), 1), **dict.fromkeys(COLOUR, 3)}.get(stored)
    if not stored:
        raise DataError(
            "it does not say how its pixels become grey or colour (its photometric interpretation "
            "is missing); replace or remove it"
        )
    if samples is None:
        raise DataError(
            f"it stores its pixels as '{stored}', which cannot be read; convert it to grey or RGB"
        )
    if header.get("SamplesPerPixel") != samples:
        raise DataError(
            f"pixels stored as '{stored}' have {samples} sample(s), it says "
            f"{header.get('SamplesPerPixel')}; it is damaged, replace or remove it"
        )
    return stored
