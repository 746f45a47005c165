"""Pydicom's own test files: read as pydicom's own pipeline shows them, or one sentence."""

from pathlib import Path

import numpy as np
import pydicom.data
import pytest
from pydicom import dcmread
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from medxgan.data import read_image
from medxgan.data.dicom import DicomImage
from medxgan.data.pictures import decoding
from medxgan.errors import MedxganError, MissingPackageError

ROOT = Path(pydicom.data.__file__).parent
FILES = sorted(
    file for file in ROOT.rglob("*") if file.is_file() and file.suffix in (".dcm", "") and file.name
)
READ = 102
"""So many that came with pydicom 3.0 can be read, where all decoders are there (99 without)."""
MR = ("RLE", "bigendian", "expb", "implicit", "jp2klossless", "jpeg_ls_lossless", "padded")


def bundled(name):
    return next(file for file in FILES if file.name == name)


def as_pydicom_shows(path):
    """The first frame from 0 to 1; None where it is in colour or has neither table nor window."""
    header = dcmread(path)
    if header.PhotometricInterpretation not in ("MONOCHROME1", "MONOCHROME2"):
        return None
    if "WindowWidth" not in header and "VOILUTSequence" not in header:
        return None
    stored = header.pixel_array
    stored = stored[0] if stored.ndim == 3 else stored
    values = apply_voi_lut(apply_modality_lut(stored, header), header)
    low, high = 0, 2**header.BitsStored - 1
    if header.PixelRepresentation == 1:
        low, high = -(2 ** (header.BitsStored - 1)), 2 ** (header.BitsStored - 1) - 1
    slope, intercept = header.get("RescaleSlope", 1), header.get("RescaleIntercept", 0)
    black, white = low * slope + intercept, high * slope + intercept
    shown = (values - black) / (white - black)
    return 1 - shown if header.PhotometricInterpretation == "MONOCHROME1" else shown


def test_all_are_read_or_refused_in_one_sentence():
    read, missing = 0, 0
    with decoding():
        for path in FILES:
            try:
                frames = list(DicomImage(path).decoded())
            except MedxganError as error:
                assert str(error).startswith(str(path))
                assert "\n" not in str(error)
                missing += isinstance(error, MissingPackageError)
                continue
            read += 1
            assert len(frames) >= 1
            for frame in frames:
                assert frame.pixels.dtype == np.float32
                assert 0 <= frame.pixels.min() <= frame.pixels.max() <= 1
    assert read + missing >= READ


def test_grey_images_with_a_window_as_pydicom_shows_them():
    compared = 0
    with decoding():
        for path in FILES:
            try:
                image = DicomImage(path)
                frame = next(image.decoded())
            except MedxganError:
                continue
            theirs = as_pydicom_shows(path)
            if theirs is None or frame.pixels.shape[1:] != theirs.shape:  # made square
                continue
            # both round a value to a step of the window
            np.testing.assert_allclose(frame.pixels[0], theirs, atol=2e-3, err_msg=path.name)
            compared += 1
    assert compared >= 35


@pytest.mark.parametrize("encoding", MR)
def test_one_image_in_many_encodings(encoding):
    expected = read_image(bundled("MR_small.dcm"))
    try:
        found = read_image(bundled(f"MR_small_{encoding}.dcm"))
    except MissingPackageError as missing:
        pytest.skip(str(missing))
    np.testing.assert_allclose(found.image, expected.image, atol=1e-6)
    assert found.spacing == expected.spacing == pytest.approx((0.3125, 0.3125))


def test_what_is_known_of_some():
    """A CT of Hounsfield units without a window, and with the padding value -2000."""
    image = read_image(bundled("CT_small.dcm")).image[0].numpy()
    hounsfield = dcmread(bundled("CT_small.dcm")).pixel_array.astype(float) - 1024
    assert (hounsfield.min(), hounsfield.max()) == (-896, 1167)
    np.testing.assert_allclose(image, (hounsfield + 896) / 2063 * 2 - 1, atol=1e-5)
    windowed = read_image(bundled("CT_small.dcm"), window=(40, 400)).image[0].numpy()
    expected = ((hounsfield - 39.5) / 399 + 0.5).clip(0, 1) * 2 - 1
    np.testing.assert_allclose(windowed, expected, atol=1e-5)


def test_colours_are_what_they_are_called():
    """Pictures of the words red, green and blue, and of bars; JPEG 2000, YBR and RLE."""
    picture = read_image(bundled("GDCMJ2K_TextGBR.dcm")).image.numpy()
    for channel, rows in enumerate((slice(40, 120), slice(140, 220), slice(240, 330))):
        part = picture[:, rows]
        strongest = part[:, *np.unravel_index(part[channel].argmax(), part.shape[1:])]
        assert strongest.argmax() == channel
    for name in (
        "SC_rgb_rle.dcm",
        "SC_rgb_dcmtk_+eb+cy+np.dcm",
        "SC_ybr_full_422_uncompressed.dcm",
    ):
        bars = read_image(bundled(name)).image.numpy()
        colours = [bars[:, row, 50] for row in (5, 25, 45)]
        np.testing.assert_allclose(colours, np.eye(3) * 2 - 1, atol=0.06)
