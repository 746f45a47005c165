"""DICOM's grey scale pipeline: every stage against numbers worked out by hand, and pydicom's."""

import numpy as np
import pytest
from pydicom.pixels import apply_modality_lut, apply_voi_lut, apply_windowing
from pydicom.sequence import Sequence

from clinical import item, lut
from medxgan.data.dicom_pixels import (
    FileWindow,
    GreyScale,
    Lut,
    Padding,
    Rescale,
    Span,
    look_up,
    show_colour,
    show_grey,
    show_palette,
    stretch,
    to_modality,
    value_span,
    window_linear,
    window_linear_exact,
    window_sigmoid,
)
from medxgan.data.presentation import Window

STORED = np.random.default_rng(0).integers(-2000, 4000, 500).astype(np.int16)


def test_rescale_by_hand():
    hounsfield = to_modality(np.array([0, 24, 1024, 1064], np.uint16), Rescale(1, -1024))
    assert hounsfield.tolist() == [-1024, -1000, 0, 40]
    assert to_modality(np.array([-3], np.int16), Rescale(0.5, 2)).tolist() == [0.5]
    assert to_modality(STORED, None) is STORED


def test_linear_window_by_hand():
    """PS3.3 C.11.2.1.2.1: the example of the standard, c = 2048, w = 4096, and its neighbours."""
    values = np.array([-1, 0, 1, 2047.5, 4094, 4095, 5000])
    expected = [0, 0, 1 / 4095, 0.5, 4094 / 4095, 1, 1]
    np.testing.assert_allclose(window_linear(values, Window(2048, 4096)), expected, atol=1e-12)


def test_linear_window_of_width_1_is_a_step():
    """The standard's note: c = 0, w = 1: if x <= -0.5 black, else white."""
    values = np.array([-1, -0.5, -0.499, 0, 7])
    assert window_linear(values, Window(0, 1)).tolist() == [0, 0, 1, 1, 1]


def test_exact_window_by_hand():
    values = np.array([-1, 0, 1024, 2048, 4096, 4097])
    expected = [0, 0, 0.25, 0.5, 1, 1]
    np.testing.assert_allclose(window_linear_exact(values, Window(2048, 4096)), expected)


def test_a_width_below_1_is_exact():
    """LINEAR has no meaning there, yet maps of diffusion or dose need such windows."""
    values = np.array([0.0, 0.25, 0.5])
    np.testing.assert_allclose(window_linear(values, Window(0.25, 0.5)), [0, 0.5, 1])


def test_sigmoid_by_hand():
    """1 / (1 + exp(-4 (x - c) / w))."""
    shown = window_sigmoid(np.array([-160.0, 40, 240, -1e9, 1e9]), Window(40, 400))
    expected = [1 / (1 + np.exp(2)), 0.5, 1 / (1 + np.exp(-2)), 0, 1]
    np.testing.assert_allclose(shown, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("centre", "width"), [(40, 400), (-600.5, 1500), (300, 1), (0, 2), (128.25, 77.5)]
)
@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_windows_as_pydicom_has_them(centre, width, function):
    header = item(
        PhotometricInterpretation="MONOCHROME2",
        BitsStored=16,
        PixelRepresentation=1,
        WindowCenter=centre,
        WindowWidth=width,
        VOILUTFunction=function,
    )
    with np.errstate(over="ignore"):
        theirs = (apply_windowing(STORED, header) + 2**15) / (2**16 - 1)
    scale = GreyScale(None, FileWindow(Window(centre, width), function))
    np.testing.assert_allclose(show_grey(STORED, scale), theirs, atol=1e-6)


def test_tables_by_hand():
    """Below the first input its entry, beyond the last that one's."""
    table = Lut(10, np.array([7, 5, 100]), 8)
    assert look_up(np.array([-50, 9, 10, 11, 12, 13, 9999]), table).tolist() == [
        *(7, 7, 7, 5, 100, 100, 100)
    ]
    shown = show_grey(np.array([10, 11, 12]), GreyScale(None, table))
    np.testing.assert_allclose(shown, np.array([7, 5, 100]) / 255, rtol=1e-6)


@pytest.mark.parametrize("first", [-1500, 0, 700])
def test_tables_as_pydicom_has_them(first):
    entries = np.random.default_rng(1).integers(0, 2**12, 900).tolist()
    header = item(ModalityLUTSequence=Sequence([lut(first, entries)]))
    table = Lut(first, np.array(entries), 16)
    np.testing.assert_array_equal(to_modality(STORED, table), apply_modality_lut(STORED, header))
    header = item(VOILUTSequence=Sequence([lut(first, entries, bits=12)]))
    theirs = apply_voi_lut(STORED, header) / 4095
    shown = show_grey(STORED, GreyScale(None, table._replace(bits=12)))
    np.testing.assert_allclose(shown, theirs, atol=1e-6)


def test_the_stages_come_in_the_standards_order():
    """Stored 10 -> 2 * 10 - 8 = 12 -> (12 - 8) / 16 + 1/2 = 0.75 -> inverted 0.25."""
    window = FileWindow(Window(8, 16), "LINEAR_EXACT")
    scale = GreyScale(Rescale(2, -8), window, inverted=True)
    assert show_grey(np.array([10, 4, 0, 99]), scale).tolist() == [0.25, 1, 1, 0]


def test_a_table_of_the_modality_comes_before_the_window():
    modality = Lut(0, np.array([100, 200, 300]), 16)
    scale = GreyScale(modality, FileWindow(Window(200, 200), "LINEAR_EXACT"))
    assert show_grey(np.array([0, 1, 2]), scale).tolist() == [0, 0.5, 1]


def test_padding_is_black_either_way():
    for inverted in (False, True):
        scale = GreyScale(None, Span(0, 10), inverted, Padding(-2000, -1990))
        shown = show_grey(np.array([-2000, -1995, -1990, 0, 10]), scale)
        assert shown.tolist() == [0, 0, 0, *((1, 0) if inverted else (0, 1))]


def test_the_range_of_the_pixels_is_without_padding():
    stored = np.array([-2000, 5, 9, 3000], np.int16)
    assert value_span(stored, Rescale(2, 1), Padding(-2000, -2000)) == Span(11, 6001)
    assert value_span(stored, Rescale(-1, 0), None) == Span(-3000, 2000)
    assert value_span(stored[:1], None, Padding(-2000, -2000)) is None
    bent = Lut(0, np.array([3, 9, 1]), 8)
    assert value_span(np.array([0, 1, 2]), bent, None) == Span(1, 9)


def test_equal_ends_show_nothing():
    assert stretch(np.array([5, 5]), 5, 5).tolist() == [0, 0]


def test_palette_and_colour_by_hand():
    red, green, blue = (
        Lut(1, np.array(entries), 16) for entries in ([0, 65535], [65535, 0], [13107, 26214])
    )
    shown = show_palette(np.array([[0, 1], [2, 9]]), (red, green, blue))
    np.testing.assert_allclose(shown[:, 0, 0], [0, 1, 0.2], rtol=1e-6)
    np.testing.assert_allclose(shown[:, 1, 1], [1, 0, 0.4], rtol=1e-6)
    assert show_colour(np.array([[[0, 2047, 4095]]]), bits=12)[:, 0, 0].tolist() == [
        *(0, np.float32(2047) / np.float32(4095), 1)
    ]
