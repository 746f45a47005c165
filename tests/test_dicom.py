"""DICOM files through `read_image`: what each element does, by numbers worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    RLELossless,
    RTDoseStorage,
    SecondaryCaptureImageStorage,
)

from clinical import RAMP, dicom, enhanced, item, lut, placed
from medxgan.data import read_image, read_inputs
from medxgan.data.dicom import DicomImage
from medxgan.errors import DataError, MissingPackageError

WINDOW = {"WindowCenter": 504.5, "WindowWidth": 1009}
"""LINEAR: black at 0, white at 1008, the ends of the ramp."""
WINDOWED = "image shown in the window of its file"
STRETCHED = "image stretched from its darkest to its brightest pixel, for its file has no window"


def image(path, **options):
    return read_image(path, **options).image[0].numpy()


def signed(shown):
    """0 to 1 as the package has it."""
    return np.asarray(shown, np.float32) * 2 - 1


def test_a_window(tmp_path):
    sample = read_image(dicom(tmp_path / "ct.dcm", **WINDOW))
    np.testing.assert_allclose(sample.image[0], signed(RAMP / 1008), atol=1e-6)
    assert (sample.name, sample.notes, sample.spacing) == ("ct", (WINDOWED,), None)


def test_no_window_takes_the_range_and_says_so(tmp_path):
    sample = read_image(dicom(tmp_path / "ct.dcm", RAMP + 100))
    np.testing.assert_allclose(sample.image[0], signed(RAMP / 1008), atol=1e-6)
    assert sample.notes == (STRETCHED,)


def test_eight_bits_without_a_window_are_a_picture(tmp_path):
    """Black is 0 and white 255, whatever the darkest pixel."""
    path = dicom(tmp_path / "us.dcm", (RAMP // 8 + 50).astype(np.uint8))
    sample = read_image(path)
    np.testing.assert_allclose(sample.image[0], signed((RAMP // 8 + 50) / 255), atol=1e-6)
    assert sample.notes == ()


def test_the_users_window_overrides(tmp_path):
    path = dicom(tmp_path / "ct.dcm", RescaleSlope=1, RescaleIntercept=-500, **WINDOW)
    expected = (((RAMP - 500.0) - (40 - 0.5)) / 399 + 0.5).clip(0, 1)
    np.testing.assert_allclose(image(path, window=(40, 400)), signed(expected), atol=1e-6)
    assert read_image(path, window=(40, 400)).notes == ("image windowed to centre 40, width 400",)


def test_the_first_of_several_windows(tmp_path):
    path = dicom(tmp_path / "ct.dcm", WindowCenter=[504.5, 40], WindowWidth=[1009, 400])
    sample = read_image(path)
    np.testing.assert_allclose(sample.image[0], signed(RAMP / 1008), atol=1e-6)
    assert sample.notes == ("image shown in the first of 2 windows of its file",)


@pytest.mark.parametrize("width", [0, -5])
def test_a_window_that_means_nothing_is_passed_over(tmp_path, width):
    path = dicom(tmp_path / "ct.dcm", WindowCenter=[40, 504.5], WindowWidth=[width, 1009])
    np.testing.assert_allclose(image(path), signed(RAMP / 1008), atol=1e-6)
    alone = dicom(tmp_path / "alone.dcm", WindowCenter=40, WindowWidth=width)
    assert read_image(alone).notes == (STRETCHED,)


def test_functions_of_the_window(tmp_path):
    elements = {"WindowCenter": 500, "WindowWidth": 1000}
    exact = dicom(tmp_path / "exact.dcm", VOILUTFunction="LINEAR_EXACT", **elements)
    np.testing.assert_allclose(image(exact), signed((RAMP / 1000).clip(0, 1)), atol=1e-6)
    soft = dicom(tmp_path / "soft.dcm", VOILUTFunction="SIGMOID", **elements)
    expected = 1 / (1 + np.exp(-4 * (RAMP - 500.0) / 1000))
    np.testing.assert_allclose(image(soft), signed(expected), atol=1e-6)


def test_signed_pixels_and_rescale(tmp_path):
    stored = RAMP.astype(np.int16) - 504
    path = dicom(
        tmp_path / "ct.dcm",
        stored,
        RescaleSlope=2,
        RescaleIntercept=-100,
        WindowCenter=-100 + 0.5,
        WindowWidth=2017,
    )
    np.testing.assert_allclose(image(path), signed(RAMP / 1008), atol=1e-6)


def test_twelve_bits_in_sixteen(tmp_path):
    """The upper four bits belong to nobody: here they hold an overlay."""
    stored = (RAMP * 4) | (np.arange(64, dtype=np.uint16).reshape(8, 8) % 2 << 15)
    path = dicom(tmp_path / "ct.dcm", stored, BitsStored=12, HighBit=11)
    np.testing.assert_allclose(image(path), signed(RAMP / 1008), atol=1e-6)


def test_signed_twelve_bits_in_sixteen(tmp_path):
    """-504 in 12 bits is 3592, whatever the four bits above."""
    stored = (RAMP.astype(np.int16) - 504) & 0x0FFF
    path = dicom(tmp_path / "ct.dcm", stored.astype(np.int16), BitsStored=12, HighBit=11)
    np.testing.assert_allclose(image(path), signed(RAMP / 1008), atol=1e-6)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
@pytest.mark.parametrize("sign", [np.uint16, np.int16])
def test_values_that_end_above_the_lowest_bit(tmp_path, sign, syntax):
    """12 bits up to bit 14 of 16: one unused bit above, three below, which may hold anything."""
    values = RAMP.astype(sign) * 2 - (1000 if sign == np.int16 else 0)
    stored = (values.astype(np.int32) & 0xFFF) << 3 | 0x8005
    path = dicom(
        tmp_path / "old.dcm",
        stored.astype(np.uint16).view(sign),
        BitsStored=12,
        HighBit=14,
        WindowCenter=float(values.min()) + 1008.5,
        WindowWidth=2017,
    )
    if syntax == RLELossless:
        header = dcmread(path)
        header.compress(RLELossless)
        header.save_as(path)
    np.testing.assert_allclose(image(path), signed(RAMP / 1008), atol=1e-6)


@pytest.mark.parametrize(("stored", "high"), [(16, 11), (12, 16), (12, 10), (0, 11)])
def test_bits_that_cannot_be(tmp_path, stored, high):
    path = dicom(tmp_path / "ct.dcm", BitsStored=stored, HighBit=high)
    sentence = f"its pixels cannot have {stored} bits up to bit {high} of 16; correct BitsStored"
    assert sentence in refused(path)


def test_monochrome1_is_inverted_last(tmp_path):
    path = dicom(tmp_path / "cr.dcm", PhotometricInterpretation="MONOCHROME1", **WINDOW)
    np.testing.assert_allclose(image(path), signed(1 - RAMP / 1008), atol=1e-6)


def test_a_voi_table_comes_before_a_window(tmp_path):
    entries = np.linspace(0, 4095, 1009).astype(int)[::-1].tolist()
    table = Sequence([lut(0, entries, bits=12)])
    sample = read_image(dicom(tmp_path / "cr.dcm", VOILUTSequence=table, **WINDOW))
    expected = np.array(entries)[RAMP] / 4095
    np.testing.assert_allclose(sample.image[0], signed(expected), atol=1e-6)
    assert sample.notes == ("image shown by the lookup table (VOI LUT) of its file",)
    np.testing.assert_allclose(
        image(dicom(tmp_path / "cr.dcm", VOILUTSequence=table), window=(504.5, 1009)),
        signed(RAMP / 1008),
        atol=1e-6,
    )


def test_a_voi_table_of_hounsfield_units_written_without_a_sign(tmp_path):
    """64512 is -1024: the values that come in are negative, its descriptor cannot be."""
    entries = np.linspace(0, 65535, 1009).astype(int).tolist()
    path = dicom(
        tmp_path / "ct.dcm",
        RescaleSlope=1,
        RescaleIntercept=-1024,
        VOILUTSequence=Sequence([lut(2**16 - 1024, entries)]),
    )
    np.testing.assert_allclose(image(path), signed(np.array(entries)[RAMP] / 65535), atol=1e-6)


@pytest.mark.parametrize("rescale", [{}, {"RescaleSlope": 1, "RescaleIntercept": 0}])
def test_a_voi_table_of_signed_pixels_written_without_a_sign(tmp_path, rescale):
    table = lut(2**16 - 504, np.linspace(0, 65535, 1009).astype(int).tolist())
    stored = RAMP.astype(np.int16) - 504
    path = dicom(tmp_path / "us.dcm", stored, VOILUTSequence=Sequence([table]), **rescale)
    np.testing.assert_allclose(image(path), signed(RAMP / 1008), atol=1e-4)


def test_a_voi_table_of_values_above_the_greatest_signed_ones_keeps_its_first(tmp_path):
    """Signed pixels made positive by the intercept: nothing asks below 0."""
    table = lut(2**15, np.linspace(0, 65535, 1009).astype(int).tolist())
    path = dicom(
        tmp_path / "dx.dcm",
        RAMP.astype(np.int16),
        RescaleSlope=1,
        RescaleIntercept=2**15,
        VOILUTSequence=Sequence([table]),
    )
    np.testing.assert_allclose(image(path), signed(RAMP / 1008), atol=1e-4)


def test_a_modality_table_of_signed_pixels_written_without_a_sign(tmp_path):
    table = lut(2**16 - 504, range(1009))
    path = dicom(
        tmp_path / "us.dcm", RAMP.astype(np.int16) - 504, ModalityLUTSequence=Sequence([table])
    )
    np.testing.assert_allclose(image(path), signed(RAMP / 1008), atol=1e-6)


def test_the_dose_grid_is_in_gray(tmp_path):
    dose = {"SOPClassUID": RTDoseStorage, "DoseGridScaling": "0.01", "DoseUnits": "GY"}
    path = dicom(tmp_path / "dose.dcm", RAMP * 10, **dose)
    expected = signed(((RAMP * 0.1 - 49.5) / 99 + 0.5).clip(0, 1))
    np.testing.assert_allclose(image(path, window=(50, 100)), expected, atol=1e-6)


def test_a_rescale_that_changes_nothing_makes_no_picture_a_measurement(tmp_path):
    pixels = (RAMP // 8 + 50).astype(np.uint8)
    path = dicom(tmp_path / "sc.dcm", pixels, RescaleSlope=1, RescaleIntercept=0)
    np.testing.assert_allclose(image(path), signed(pixels / 255), atol=1e-6)
    assert STRETCHED not in read_image(path).notes


def test_tables_of_bytes_in_words(tmp_path):
    """Written as OW: entries of 8 bits two to a word, and entries of 16 bits."""
    for bits, dtype, white in ((8, np.uint8, 255), (16, "<u2", 65535)):
        entries = np.linspace(0, white, 64).astype(dtype)
        made = Dataset()
        made.add_new(0x00283002, "US", [64, 0, bits])
        made.add_new(0x00283006, "OW", entries.tobytes())
        path = dicom(tmp_path / "cr.dcm", RAMP // 16, VOILUTSequence=Sequence([made]))
        np.testing.assert_allclose(image(path).ravel(), signed(entries / white), atol=1e-6)


def test_a_modality_table(tmp_path):
    entries = (np.arange(1009) * 2 + 7).tolist()
    path = dicom(
        tmp_path / "rf.dcm",
        ModalityLUTSequence=Sequence([lut(0, entries)]),
        WindowCenter=7 + 1008.5,
        WindowWidth=2017,
    )
    np.testing.assert_allclose(image(path), signed(RAMP / 1008), atol=1e-6)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("padding", [-2000, 2**16 - 2000], ids=["signed", "unsigned"])
def test_padding_is_black_and_no_part_of_the_range(tmp_path, photometric, padding):
    """The padding value is often written without the sign that the pixels have."""
    stored = RAMP.astype(np.int16)
    stored[0] = -2000
    stored[1, 0] = 0
    path = dicom(tmp_path / "ct.dcm", stored, PhotometricInterpretation=photometric)
    header = dcmread(path)
    header.add_new(0x00280120, "SS" if padding < 0 else "US", padding)
    header.save_as(path)
    shown = image(path)
    assert (shown[0] == -1).all()
    inside = RAMP[1:] / 1008
    inside[0, 0] = 0
    expected = 1 - inside if photometric == "MONOCHROME1" else inside
    np.testing.assert_allclose(shown[1:], signed(expected), atol=1e-6)


def test_floating_point_pixels(tmp_path):
    path = dicom(tmp_path / "map.dcm", RAMP.astype(np.uint16), BitsAllocated=32)
    header = dcmread(path)
    del header.PixelData, header.BitsStored, header.HighBit, header.PixelRepresentation
    header.FloatPixelData = (RAMP / 1008 - 3).astype(np.float32).tobytes()
    header.save_as(path)
    np.testing.assert_allclose(image(path), signed(RAMP / 1008), atol=1e-6)
    broken = (RAMP / 1008).astype(np.float32)
    broken[3, 3] = np.nan
    header.FloatPixelData = broken.tobytes()
    header.save_as(path)
    with pytest.raises(DataError, match=r"map\.dcm: it holds NaN or infinite pixels"):
        read_image(path)


# Colour


@pytest.mark.parametrize("kind", ["Float", "DoubleFloat"])
def test_floating_point_padding(tmp_path, kind):
    pixels = (RAMP / 1008).astype(np.float32 if kind == "Float" else np.float64)
    pixels[0], pixels[1] = -1e10, -2e10
    path = dicom(tmp_path / "map.dcm", RAMP, BitsAllocated=pixels.itemsize * 8)
    header = dcmread(path)
    del header.PixelData, header.BitsStored, header.HighBit, header.PixelRepresentation
    setattr(header, f"{kind}PixelData", pixels.tobytes())
    setattr(header, f"{kind}PixelPaddingValue", -1e10)
    setattr(header, f"{kind}PixelPaddingRangeLimit", -3e10)
    header.save_as(path)
    expected = ((RAMP - 256.0) / (1008 - 256)).clip(0, 1)
    np.testing.assert_allclose(image(path), signed(expected), atol=1e-6)


def test_colour(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    sample = read_image(dicom(tmp_path / "sc.dcm", pixels))
    expected = signed(pixels.transpose(2, 0, 1) / 255)
    np.testing.assert_allclose(sample.image, expected, atol=1e-6)
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1)).reshape(8, 8, 3)
    by_plane = dicom(tmp_path / "planes.dcm", planes, PlanarConfiguration=1)
    np.testing.assert_allclose(read_image(by_plane).image, expected, atol=1e-6)
    windowed = read_image(by_plane, window=(40, 400))
    assert windowed.notes == ("image in colour, which a window does not change",)


def test_luminance_and_chrominance(tmp_path):
    """Y = 81, Cb = 90, Cr = 240: by PS3.3 C.7.6.3.1.2 R = Y + 1.402 (Cr - 128), and so on."""
    pixels = np.full((8, 8, 3), (81, 90, 240), np.uint8)
    pixels[0, 0] = (0, 128, 128)
    path = dicom(tmp_path / "us.dcm", pixels, PhotometricInterpretation="YBR_FULL")
    expected = [81 + 1.402 * 112, 81 - 0.344136 * -38 - 0.714136 * 112, 81 + 1.772 * -38]
    found = (read_image(path).image[:, 4, 4].numpy() + 1) * 127.5
    np.testing.assert_allclose(found, np.clip(expected, 0, 255), atol=1)
    assert (read_image(path).image[:, 0, 0] == -1).all()


def palette_elements(entries, bits=8, first=0, dtype=np.uint8):
    made = {}
    for colour, column in zip(("Red", "Green", "Blue"), entries, strict=True):
        made[f"{colour}PaletteColorLookupTableDescriptor"] = [len(column), first, bits]
        made[f"{colour}PaletteColorLookupTableData"] = np.asarray(column, dtype).tobytes()
    return made


def test_a_palette(tmp_path):
    entries = np.random.default_rng(0).integers(0, 256, (3, 64))
    path = dicom(
        tmp_path / "us.dcm",
        (RAMP // 16).astype(np.uint8),
        PhotometricInterpretation="PALETTE COLOR",
        **palette_elements(entries),
    )
    expected = signed(entries / 255).reshape(3, 8, 8)
    np.testing.assert_allclose(read_image(path).image, expected, atol=1e-6)


def test_a_palette_of_few_entries_ends_with_its_last(tmp_path):
    """Entries of 8 bits for inputs from 300 on: an index must not wrap round at 256."""
    entries = np.random.default_rng(0).integers(0, 256, (3, 20))
    path = dicom(
        tmp_path / "us.dcm",
        RAMP,
        PhotometricInterpretation="PALETTE COLOR",
        **palette_elements(entries, first=300),
    )
    inputs = (RAMP.astype(int) - 300).clip(0, 19)
    expected = signed(entries / 255)[:, inputs]
    np.testing.assert_allclose(read_image(path).image, expected, atol=1e-6)


def test_a_palette_that_says_16_bits_and_holds_8(tmp_path):
    entries = np.random.default_rng(0).integers(0, 256, (3, 64))
    path = dicom(
        tmp_path / "us.dcm",
        (RAMP // 16).astype(np.uint8),
        PhotometricInterpretation="PALETTE COLOR",
        **palette_elements(entries, bits=16, dtype=np.uint16),
    )
    expected = signed(entries / 255).reshape(3, 8, 8)
    np.testing.assert_allclose(read_image(path).image, expected, atol=1e-6)


def test_a_palette_of_16_bits_with_a_dark_colour(tmp_path):
    """Blue ends at 200 of 65535: the depth is that of all three."""
    bright, dark = np.linspace(0, 65535, 64), np.linspace(0, 200, 64)
    tables: dict[str, object] = {}
    for colour, entries in (("Red", bright), ("Green", bright), ("Blue", dark)):
        tables[f"{colour}PaletteColorLookupTableDescriptor"] = [64, 0, 16]
        tables[f"{colour}PaletteColorLookupTableData"] = entries.astype("<u2").tobytes()
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    path = dicom(tmp_path / "p.dcm", pixels, PhotometricInterpretation="PALETTE COLOR", **tables)
    corner = (read_image(path).image[:, 7, 7] + 1) / 2
    torch.testing.assert_close(corner, torch.tensor([1, 1, 200 / 65535]), atol=1e-5, rtol=0)


def test_a_segmented_palette(tmp_path):
    """PS3.3 C.7.9.2: one entry 0, then 63 on a line to 65280 (opcode 0: as listed, 1: a line)."""
    segments = np.array([0, 1, 0, 1, 63, 65280], np.uint16).tobytes()
    made = {
        f"{colour}PaletteColorLookupTableDescriptor": [64, 0, 16]
        for colour in ("Red", "Green", "Blue")
    } | {
        f"Segmented{colour}PaletteColorLookupTableData": segments
        for colour in ("Red", "Green", "Blue")
    }
    path = dicom(
        tmp_path / "us.dcm",
        (RAMP // 16).astype(np.uint8),
        PhotometricInterpretation="PALETTE COLOR",
        **made,
    )
    expected = signed(np.linspace(0, 65280, 64).reshape(8, 8) / 65535)
    np.testing.assert_allclose(read_image(path).image[1], expected, atol=1e-4)


# Pixel spacing


def test_spacing_is_kept_through_padding_and_resizing(tmp_path):
    path = dicom(tmp_path / "ct.dcm", RAMP[:, :6], PixelSpacing=[0.8, 0.8], **WINDOW)
    assert read_image(path).spacing == (0.8, 0.8)
    assert read_image(path, size=16).spacing == (0.4, 0.4)


def test_pixels_that_are_no_squares_are_resampled(tmp_path):
    """Rows 1 mm apart, columns 0.5: twice as many rows. Then 8 of 16 rows are 1 mm again."""
    path = dicom(tmp_path / "ct.dcm", RAMP, PixelSpacing=[1.0, 0.5], **WINDOW)
    sample = read_image(path)
    assert "image resampled to square pixels" in sample.notes
    assert tuple(sample.image.shape) == (1, 16, 16)
    assert sample.spacing == (0.5, 0.5)
    shown = (sample.image[0].numpy() + 1) / 2 * 1008
    rows = shown[:, 4:12]
    np.testing.assert_allclose(rows[0], RAMP[0], atol=1e-3)
    np.testing.assert_allclose(rows[1], RAMP[0] * 0.75 + RAMP[1] * 0.25, atol=1e-3)
    np.testing.assert_allclose(rows[2], RAMP[0] * 0.25 + RAMP[1] * 0.75, atol=1e-3)


def test_an_aspect_ratio_without_spacing(tmp_path):
    """Height to width 1 to 2: twice as many columns; how large they are stays unknown."""
    sample = read_image(dicom(tmp_path / "us.dcm", PixelAspectRatio=[1, 2], **WINDOW))
    assert tuple(sample.image.shape) == (1, 16, 16)
    shown = (sample.image[0, 4:12].numpy() + 1) / 2 * 1008
    np.testing.assert_allclose(shown[:, 0], RAMP[:, 0], atol=1e-3)
    assert sample.spacing is None


@pytest.mark.parametrize(
    ("elements", "spacing"),
    [
        ({"ImagerPixelSpacing": [0.2, 0.2]}, (0.2, 0.2)),
        (
            {
                "ImagerPixelSpacing": [0.2, 0.2],
                "EstimatedRadiographicMagnificationFactor": 1.25,
            },
            (0.16, 0.16),
        ),
        ({"ImagerPixelSpacing": [0.2, 0.2], "PixelSpacing": [0.15, 0.15]}, (0.15, 0.15)),
        ({"NominalScannedPixelSpacing": [0.3, 0.3]}, (0.3, 0.3)),
        ({"PixelSpacing": [0, 0]}, None),
        ({"PixelSpacing": [-1, 1]}, None),
        (
            {
                "SequenceOfUltrasoundRegions": Sequence(
                    [
                        item(
                            PhysicalUnitsXDirection=3,
                            PhysicalUnitsYDirection=3,
                            PhysicalDeltaX=0.05,
                            PhysicalDeltaY=0.05,
                        )
                    ]
                )
            },
            (0.5, 0.5),
        ),
    ],
)
def test_where_spacing_comes_from(tmp_path, elements, spacing):
    found = read_image(dicom(tmp_path / "x.dcm", **elements, **WINDOW)).spacing
    assert found == (None if spacing is None else pytest.approx(spacing))


def test_ultrasound_regions_that_disagree_have_no_spacing(tmp_path):
    regions = Sequence(
        [
            item(
                PhysicalUnitsXDirection=3,
                PhysicalUnitsYDirection=3,
                PhysicalDeltaX=step,
                PhysicalDeltaY=step,
            )
            for step in (0.05, 0.1)
        ]
    )
    assert (
        read_image(dicom(tmp_path / "x.dcm", SequenceOfUltrasoundRegions=regions)).spacing is None
    )


# Several frames


def frames(*factors):
    return np.stack([(RAMP * factor).astype(np.uint16) for factor in factors])


def test_frames_are_images(tmp_path):
    path = dicom(tmp_path / "run.dcm", frames(1, 0.5), **WINDOW)
    inputs = read_inputs([path], size=8, channels=1)
    assert inputs.names == ["run-frame-01", "run-frame-02"]
    np.testing.assert_allclose(inputs.images[1, 0], signed(RAMP // 2 / 1008), atol=1e-3)
    sample = read_image(path)
    assert sample.name == "run-frame-01"
    assert sample.notes == ("image is one of 2: frame 01", WINDOWED)
    second = read_image(path, frame=2)
    assert (second.name, second.notes) == ("run-frame-02", (WINDOWED,))
    torch.testing.assert_close(second.image, inputs.images[1])
    with pytest.raises(DataError, match=r"run\.dcm: it has 2 frames, counted from 1, got number 3"):
        read_image(path, frame=3)


def test_frames_without_a_window_share_a_range(tmp_path):
    """Else a dark frame would become as bright as the others."""
    path = dicom(tmp_path / "run.dcm", frames(1, 0.5))
    inputs = read_inputs([path], size=8, channels=1)
    assert float(inputs.images[0].max()) == 1
    assert float(inputs.images[1].max()) == pytest.approx(0, abs=1e-3)
    torch.testing.assert_close(read_image(path, frame=2).image, inputs.images[1])


def test_empty_frames_are_passed_over(tmp_path):
    path = dicom(tmp_path / "run.dcm", frames(1, 0, 0.5), **WINDOW)
    inputs = read_inputs([path], size=8, channels=1)
    assert inputs.names == ["run-frame-01", "run-frame-03"]
    assert inputs.notes[-1] == "run.dcm: 1 frame or slice passed over, one grey all over"


def test_functional_groups(tmp_path):
    """What one frame says goes before what all share, and that before the top."""
    own = item(
        FrameVOILUTSequence=Sequence([item(WindowCenter=252.25, WindowWidth=505)]),
        PixelValueTransformationSequence=Sequence(
            [item(RescaleSlope=0.5, RescaleIntercept=0, RescaleType="US")]
        ),
        PixelMeasuresSequence=Sequence([item(PixelSpacing=[0.5, 0.5])]),
    )
    shared = item(
        FrameVOILUTSequence=Sequence([item(**WINDOW)]),
        PixelMeasuresSequence=Sequence([item(PixelSpacing=[2.0, 2.0])]),
    )
    path = enhanced(tmp_path / "mr.dcm", frames(1, 1), [item(), own], shared)
    inputs = read_inputs([path], size=8, channels=1)
    np.testing.assert_allclose(inputs.images[0, 0], signed(RAMP / 1008), atol=1e-6)
    np.testing.assert_allclose(
        inputs.images[1, 0], signed(((RAMP / 2 - 251.75) / 504 + 0.5).clip(0, 1)), atol=1e-6
    )
    assert inputs.spacings == [(2.0, 2.0), (0.5, 0.5)]


def windowed(**elements):
    return item(FrameVOILUTSequence=Sequence([item(**elements)]))


def test_what_a_frame_says_goes_before_what_all_share(tmp_path):
    """A window of no width is none; a table at the top is not asked where a frame has a window."""
    per_frame = [windowed(WindowCenter=0, WindowWidth=0), windowed(**WINDOW)]
    path = enhanced(tmp_path / "mr.dcm", np.stack([RAMP, RAMP]), per_frame, windowed(**WINDOW))
    for table in (None, lut(0, [0, 65535])):
        if table is not None:
            header = dcmread(path)
            header.VOILUTSequence = Sequence([table])
            header.save_as(path)
        for frame in (1, 2):
            np.testing.assert_allclose(image(path, frame=frame), signed(RAMP / 1008), atol=1e-6)
    header = dcmread(path)
    del header.PerFrameFunctionalGroupsSequence, header.SharedFunctionalGroupsSequence
    header.save_as(path)
    assert image(path, frame=1)[0].tolist() == [-1, *[1] * 7], "the table at the top is left"


def test_frames_come_in_the_order_in_which_they_lie(tmp_path):
    per_frame = [
        item(PlanePositionSequence=Sequence([item(ImagePositionPatient=[0, 0, z])]))
        for z in (30, -10, 10)
    ]
    orientation = item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    shared = item(
        PlaneOrientationSequence=Sequence([orientation]),
        FrameVOILUTSequence=Sequence([item(**WINDOW)]),
    )
    path = enhanced(tmp_path / "mr.dcm", frames(1, 0.75, 0.5), per_frame, shared)
    names = read_inputs([path], size=8, channels=1).names
    assert names == ["mr-frame-02", "mr-frame-03", "mr-frame-01"]


# Encodings


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless]
)
def test_encodings_say_the_same(tmp_path, syntax):
    path = dicom(tmp_path / "ct.dcm", **WINDOW)
    header = dcmread(path)
    if syntax == RLELossless:
        header.compress(RLELossless)
    else:
        header.file_meta.TransferSyntaxUID = syntax
    header.save_as(path, implicit_vr=syntax == ImplicitVRLittleEndian)
    np.testing.assert_allclose(image(path), signed(RAMP / 1008), atol=1e-6)


def test_a_file_without_preamble_or_suffix(tmp_path):
    path = dicom(tmp_path / "ct.dcm", **WINDOW)
    whole = path.read_bytes()
    (tmp_path / "IM0001").write_bytes(whole)
    (tmp_path / "1.2.840.5").write_bytes(whole)
    for name in ("IM0001", "1.2.840.5"):
        sample = read_image(tmp_path / name)
        assert sample.name == name
        np.testing.assert_allclose(sample.image[0], signed(RAMP / 1008), atol=1e-6)
    header = dcmread(path)
    del header.file_meta.TransferSyntaxUID
    header.preamble = None
    bare = tmp_path / "bare.dcm"
    header.save_as(bare, implicit_vr=True, little_endian=True, enforce_file_format=False)
    np.testing.assert_allclose(image(bare), signed(RAMP / 1008), atol=1e-6)


# Notes


def test_raw_images_are_told(tmp_path):
    path = dicom(tmp_path / "dx.dcm", PresentationIntentType="FOR PROCESSING", **WINDOW)
    assert read_image(path).notes[-1] == ("image raw ('FOR PROCESSING'), not meant to be looked at")


# Bad input


def refused(path, **options):
    with pytest.raises(DataError) as caught:
        read_image(path, **options)
    sentence = str(caught.value)
    assert sentence.startswith(str(path))
    assert "\n" not in sentence
    assert len(sentence) < 400
    return sentence.removeprefix(str(path))


def test_no_pixels(tmp_path):
    path = dicom(tmp_path / "plan.dcm", SOPClassUID="1.2.840.10008.5.1.4.1.1.481.5")
    header = dcmread(path)
    del header.PixelData
    header.save_as(path)
    assert refused(path) == " holds no pixels (its kind: RT Plan Storage); give an image"


def test_an_unsupported_transfer_syntax_is_named(tmp_path):
    path = dicom(tmp_path / "film.dcm", frames(1, 1))
    header = dcmread(path)
    header.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.100"
    header["PixelData"].is_undefined_length = True
    header.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\x04\0\0\0\0\0\0\0"
    header.save_as(path)
    assert refused(path) == (
        " is compressed as 'MPEG2 Main Profile / Main Level', which cannot be read; decompress it "
        "first, for example by gdcmconv --raw"
    )


def test_a_decoder_that_is_not_installed_is_named(tmp_path, monkeypatch):
    path = dicom(tmp_path / "ct.dcm")
    header = dcmread(path)
    header.file_meta.TransferSyntaxUID = JPEGLossless
    header["PixelData"].is_undefined_length = True
    header.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\x04\0\0\0\0\0\0\0"
    header.save_as(path)
    monkeypatch.setattr("pydicom.pixels.decoders.base.Decoder.is_available", False)
    with pytest.raises(MissingPackageError, match=r"'JPEG Lossless, .*pip install pylibjpeg-lib"):
        read_image(path)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (lut(0, [1, 2, 3], count=256), "it must hold 256 entries, got 3"),
        (lut(0, [1, 2, 3], bits=99), "its entries must have 8 to 16 bits, got 99"),
        (item(LUTExplanation="empty"), "LUTDescriptor must hold 3 numbers, got 0"),
    ],
)
def test_a_broken_voi_table(tmp_path, table, sentence):
    path = dicom(tmp_path / "cr.dcm", VOILUTSequence=Sequence([table]), **WINDOW)
    said = refused(path)
    assert said == (f": its VOI LUT is broken: {sentence}; give a window by --window CENTRE,WIDTH")
    assert image(path, window=(504.5, 1009)).max() == 1


@pytest.mark.parametrize(
    ("elements", "sentence"),
    [
        ({"PhotometricInterpretation": "CMYK"}, "it stores its pixels as 'CMYK', which cannot"),
        ({"PhotometricInterpretation": None}, "its photometric interpretation is missing"),
        ({"SamplesPerPixel": 3}, "pixels stored as 'MONOCHROME2' have 1 sample(s), it says 3"),
        ({"Rows": 9}, "cannot be read as a DICOM image (The number of bytes of pixel data is less"),
        ({"BitsAllocated": None}, "cannot be read as a DICOM image"),
        ({"Rows": 0}, "cannot be read as a DICOM image"),
        ({"Rows": 60000, "Columns": 60000}, "more than 89 megapixels"),
        ({"NumberOfFrames": 10**8}, "says that it holds 100000000 frames, more than fit into it"),
        ({"PixelSpacing": [1, 0.009]}, "its pixels are 111 times as high as wide"),
        ({"RescaleSlope": 0, "RescaleIntercept": 3}, "shows nothing: it is one grey all over"),
    ],
)
def test_damaged_headers(tmp_path, elements, sentence):
    assert sentence in refused(dicom(tmp_path / "ct.dcm", **elements))


def test_more_frames_than_there_are_bytes(tmp_path):
    path = dicom(tmp_path / "run.dcm", NumberOfFrames=10**8)
    for number in (None, 1):
        with pytest.raises(DataError, match="it says that it holds 100000000 frames, more than"):
            list(DicomImage(path).decoded(None if number is None else {number}))


def test_what_a_file_says_cannot_break_the_sentence(tmp_path):
    path = dicom(tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes().replace(b"MONOCHROME2", b"A\x1b[2JB     "))
    assert "it stores its pixels as 'A?[2JB', which cannot be read" in refused(path)


def test_absurd_values_are_shown(tmp_path):
    pixels = np.where(RAMP > 500, 3e38, -3e38).astype(np.float32)
    path = dicom(tmp_path / "map.dcm", RAMP, BitsAllocated=32)
    header = dcmread(path)
    del header.PixelData, header.BitsStored, header.HighBit, header.PixelRepresentation
    header.FloatPixelData = pixels.tobytes()
    header.save_as(path)
    np.testing.assert_array_equal(image(path), np.sign(pixels))
    assert set(image(path, window=(0, 1)).ravel().tolist()) == {-1, 1}


def test_damaged_and_foreign_files(tmp_path):
    whole = dicom(tmp_path / "ct.dcm", **WINDOW).read_bytes()
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(whole[: len(whole) - 40])
    assert "cannot be read as a DICOM image" in refused(cut)
    cut.write_bytes(whole[:200])
    refused(cut)
    for content in (b"", b"hello", b"\0" * 500, b"\x89PNG\r\n\x1a\n" + b"\0" * 200):
        cut.write_bytes(content)
        refused(cut)
    assert refused(tmp_path / "nowhere.dcm") == " does not exist; check the path"


def test_a_table_of_contents_is_no_image(tmp_path):
    path = Path(get_testdata_file("DICOMDIR-nopatient"))
    with pytest.raises(DataError, match="is a DICOMDIR, a table of contents; give the folder"):
        DicomImage(path)


def jpeg_2000(path, stream):
    """A file whose only frame is ``stream``."""
    header = dcmread(dicom(path))
    header.file_meta.TransferSyntaxUID = JPEG2000Lossless
    header.PixelData = encapsulate([stream])
    header["PixelData"].is_undefined_length = True
    header.save_as(path)
    return path


def test_a_frame_that_claims_another_size_is_not_decoded(tmp_path):
    """A few bytes that ask the decoder for 60000 x 60000 pixels."""
    stream = bytes.fromhex("ff4fff510029 0000 0000ea60 0000ea60 00000000 00000000".replace(" ", ""))
    stream += bytes.fromhex("0000ea60 0000ea60 00000000 00000000 0001 0f0101".replace(" ", ""))
    path = jpeg_2000(tmp_path / "bomb.dcm", stream)
    assert "its compressed pixels say 60000 x 60000 pixels" in refused(path)


def test_boxes_that_never_end(tmp_path):
    """A box of length 0 before the stream; a reader that skips it stays where it is for ever."""
    stream = b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0\0\0\0ftyp" + b"\0" * 40
    assert "its JPEG 2000 pixels are damaged" in refused(jpeg_2000(tmp_path / "a.dcm", stream))


def test_a_deflated_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr("medxgan.data.dicom_files.MOST_INFLATED_BYTES", 2**20)
    path = dicom(tmp_path / "bomb.dcm", np.zeros((2048, 2048), np.uint16))
    header = dcmread(path)
    header.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    header.save_as(path)
    assert path.stat().st_size < 2**17
    assert "once it is inflated" in refused(path)


def test_a_patient_is_never_named(tmp_path):
    path = dicom(
        tmp_path / "ct.dcm", frames(1, 1), SOPClassUID=SecondaryCaptureImageStorage, **placed(3)
    )
    inputs = read_inputs([path], size=8, channels=1)
    said = " ".join([*inputs.names, *inputs.notes])
    assert "Doe" not in said
    assert "4711" not in said
