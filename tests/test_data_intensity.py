import numpy as np
import pytest
import torch

from medxgan.data.intensity import (
    check_pixels,
    from_signed,
    storage_dtype,
    storage_limits,
    to_signed,
    to_storage,
)
from medxgan.errors import DataError


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_stored_value_survives_the_way_there_and_back(dtype):
    limits = (0.0, float(np.iinfo(dtype).max))
    stored = np.arange(np.iinfo(dtype).max + 1).astype(dtype)
    signed = to_signed(stored, limits)
    assert signed.dtype == torch.float32
    assert (signed[0], signed[-1]) == (-1, 1)
    np.testing.assert_array_equal(from_signed(signed, limits, dtype), stored)


def test_values_beyond_the_limits_are_clipped():
    signed = to_signed(np.array([0.0, 1.00005], dtype=np.float32), (0, 1))
    assert signed.tolist() == [-1, 1]
    assert from_signed(torch.tensor([-2.0, 2.0]), (0, 255), np.uint8).tolist() == [0, 255]


def test_the_stored_array_is_not_touched():
    stored = np.array([0.25, 0.75], dtype=np.float32)
    to_signed(stored, (0, 1))
    assert stored.tolist() == [0.25, 0.75]


@pytest.mark.parametrize(
    ("brightest", "top"),
    [(255, 255), (256, 1023), (1023, 1023), (1024, 4095), (16383, 16383), (16384, 65535)],
)
def test_16_bit_limits_are_the_next_bit_depth(brightest, top):
    assert storage_limits(np.uint16, 0, brightest) == (0, top)


@pytest.mark.parametrize(
    ("low", "high", "limits"),
    [(0, 1, (0, 1)), (0, 1.00001, (0, 1)), (-1e-6, 0.5, (0, 1)), (-1, 1, (-1, 1))],
)
def test_float_limits_follow_the_content(low, high, limits):
    assert storage_limits(np.float32, low, high) == limits


@pytest.mark.parametrize(("low", "high"), [(0, 255), (-1.1, 1), (-0.5, 2)])
def test_floats_on_another_scale_are_refused(low, high):
    with pytest.raises(DataError, match=r"must lie in \[0, 1\] or \[-1, 1\]"):
        storage_limits(np.float32, low, high)


@pytest.mark.parametrize(
    ("came", "kept"),
    [("u1", "u1"), ("u2", "u2"), (">u2", "u2"), ("i4", "u2"), ("f2", "f4"), ("f8", "f4")],
)
def test_what_comes_is_kept_in_one_of_three_types(came, kept):
    assert storage_dtype(np.dtype(came)) == np.dtype(kept)
    stored = to_storage(np.array([0, 1], dtype=came))
    assert stored.dtype == np.dtype(kept)
    assert stored.tolist() == [0, 1]


@pytest.mark.parametrize("value", [-1, 65536])
def test_whole_numbers_that_16_bits_cannot_hold_are_refused(value):
    with pytest.raises(DataError, match="0 to 65535"):
        to_storage(np.array([value]))


@pytest.mark.parametrize("dtype", ["bool", "U3", "complex64"])
def test_types_without_intensities_are_refused(dtype):
    with pytest.raises(DataError, match="must be whole or floating-point numbers"):
        storage_dtype(np.dtype(dtype))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_broken_pixels_are_refused_by_name(value):
    images = np.random.default_rng(0).random((3, 4, 4))
    images[1, 2, 3] = value
    with pytest.raises(DataError, match="second holds NaN or infinite pixels"):
        check_pixels(images, ["first", "second", "third"])


def test_constant_images_are_refused_by_name():
    images = np.array([[0, 1], [5, 5]], dtype=np.uint8)
    with pytest.raises(DataError, match=r"second is constant \(every pixel is 5\)"):
        check_pixels(images, ["first", "second"])
