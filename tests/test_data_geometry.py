import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d, interpolate

from medxgan.data.geometry import (
    fit,
    fit_masks,
    pad_to_square,
    resize,
    resize_weights,
    square_pixels,
    to_grey,
)


@pytest.fixture
def noise():
    return np.random.default_rng(0).random((2, 3, 12, 12)).astype(np.float32)


def test_shrinking_by_a_whole_factor_is_mean_pooling(noise):
    expected = avg_pool2d(torch.from_numpy(noise), 3).numpy()
    np.testing.assert_allclose(resize(noise, 4), expected, atol=1e-6)


def test_growing_is_bilinear_between_pixel_centres(noise):
    expected = interpolate(torch.from_numpy(noise), size=(31, 31), mode="bilinear").numpy()
    np.testing.assert_allclose(resize(noise, 31), expected, atol=1e-6)


def test_shrinking_keeps_the_mean_whatever_the_factor(noise):
    np.testing.assert_allclose(resize(noise, 7).mean((2, 3)), noise.mean((2, 3)), rtol=1e-5)


@pytest.mark.parametrize(("old", "new"), [(5, 3), (3, 5), (4, 4), (1, 8), (100, 1)])
def test_weights_sum_to_one(old, new):
    np.testing.assert_allclose(resize_weights(old, new).sum(axis=1), 1, rtol=1e-6)


def test_integers_are_rounded_not_cut():
    assert resize(np.array([[[[0, 0], [1, 2]]]], dtype=np.uint16), 1).item() == 1


def test_grey_weighs_the_colours_and_keeps_grey():
    colours = np.diag([200, 200, 200]).reshape(1, 3, 3, 1).astype(np.uint8)
    assert to_grey(colours).ravel().tolist() == [60, 117, 23]
    grey = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    np.testing.assert_array_equal(to_grey(grey.repeat(3, axis=1)), grey)


def test_padding_takes_the_darkest_border_value_of_each_grey_image():
    images = np.array([[[[4, 1], [6, 7], [9, 8]]], [[[50, 60], [70, 80], [90, 95]]]])
    square = pad_to_square(images)
    assert square.shape == (2, 1, 3, 3)
    np.testing.assert_array_equal(square[:, :, :, :2], images)
    np.testing.assert_array_equal(square[:, 0, :, 2], [[1] * 3, [50] * 3])


def test_padding_takes_the_median_border_of_each_colour():
    """The darkest red, green and blue of a slide make a colour that is nowhere on it."""
    image = np.zeros((1, 3, 3, 5), dtype=np.uint8)
    image[0, 0], image[0, 1], image[0, 2] = 220, 150, 190
    image[0, :, 0, :2] = [[90, 230], [60, 225], [120, 235]]
    fitted = fit(image)
    assert fitted.images[0, :, 0, 0].tolist() == [220, 150, 190]
    assert fitted.changes == ("padded to a square with the median colour of the border",)


def test_grey_made_colour_is_padded_as_grey():
    image = np.array([[[[7, 9, 8]]]], dtype=np.uint8)
    fitted = fit(image, channels=3)
    np.testing.assert_array_equal(fitted.images, fit(image).images.repeat(3, axis=1))
    assert fitted.changes == (
        "made colour by repeating the grey channel",
        "padded to a square with the darkest value of the border",
    )


def test_a_dark_centre_is_not_taken_for_background():
    image = np.full((1, 1, 3, 5), 9)
    image[0, 0, 1, 2] = 0
    assert pad_to_square(image)[0, 0, 0].tolist() == [9] * 5


def test_nothing_to_do_changes_nothing(noise):
    fitted = fit(noise, size=12, channels=3)
    assert fitted.images is noise
    assert fitted.changes == ()


def test_every_change_is_said(noise):
    fitted = fit(noise[:, :1, :9], size=4, channels=3)
    assert fitted.images.shape == (2, 3, 4, 4)
    assert [change.split()[0] for change in fitted.changes] == ["made", "padded", "resized"]


def test_masks_follow_their_images():
    """A mask drawn as an image, and the same mask, end in the same place."""
    mask = np.zeros((1, 10, 6), dtype=bool)
    mask[0, 4:9, 1:5] = True
    image = fit(np.where(mask, 1.0, 0.0)[:, None], size=5).images[:, 0]
    np.testing.assert_array_equal(fit_masks(mask, 5), image >= 0.5)
    assert fit_masks(mask).shape == (1, 10, 10)
    np.testing.assert_array_equal(fit_masks(mask)[:, :, 2:8], mask)


def test_half_of_the_area_is_enough_for_a_mask():
    masks = np.zeros((2, 6, 6), dtype=bool)
    masks[0, :, :1] = True
    masks[0, :3, 1] = True
    masks[1, :, :1] = True
    np.testing.assert_array_equal(fit_masks(masks, 2)[:, :, 0], [[True, False], [False, False]])
    np.testing.assert_array_equal(fit_masks(np.ones((1, 7, 7)), 3), np.ones((1, 3, 3)))


def test_spacing_follows_the_rows_that_there_are():
    """Three rows of 2.5 mm are 7.5 mm: eight rows, of which each is less than 1 mm."""
    image = np.zeros((1, 3, 8), np.float32)
    squared = square_pixels(image, aspect=2.5, spacing=(2.5, 1.0))
    assert squared.pixels.shape == (1, 8, 8)
    assert squared.spacing == (7.5 / 8, 1.0)
    turned = square_pixels(image.transpose(0, 2, 1), aspect=0.4, spacing=(1.0, 2.5))
    assert turned.spacing == (1.0, 7.5 / 8)
