import numpy as np
import pytest
import torch

from medxgan.data import build_dataset
from medxgan.errors import DataError

COUNT = 10


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (COUNT, 1, 8, 8), dtype=np.uint8)


@pytest.fixture
def data(pixels):
    return build_dataset(
        pixels,
        labels=[0, 1, 0, 1, -1, 0, 1, 0, 1, -1],
        split=[0, 0, 0, 0, 0, 1, 1, 2, 2, 2],
        groups=list("aabbccddee"),
        masks=pixels[:, 0] > 200,
        twins=255 - pixels,
    )


def test_images_are_floats_in_the_packages_range(data, pixels):
    images = data.images()
    assert images.dtype == torch.float32
    np.testing.assert_allclose(images.numpy(), pixels / 127.5 - 1, atol=1e-6)


def test_indices_count_within_the_view(data, pixels):
    test = data.select("test")
    assert test.rows.tolist() == [7, 8]
    torch.testing.assert_close(test.images([1]), data.images([8]))
    torch.testing.assert_close(test.twin_images([1]), -data.images([8]))
    masks, known = test.mask_images([1])
    assert known.tolist() == [True]
    np.testing.assert_array_equal(masks[0].numpy(), pixels[8, 0] > 200)


@pytest.mark.parametrize(
    "indices", [[3, 1], np.array([3, 1]), torch.tensor([3, 1]), slice(3, None, -2)]
)
def test_indices_of_many_kinds(data, indices):
    torch.testing.assert_close(data.images(indices), data.images()[[3, 1]])


def test_no_indices_give_no_images(data):
    assert data.images([]).shape == (0, 1, 8, 8)


def test_views_share_the_pixels(data, pixels):
    view = data.select("train").take([1, 0])
    assert view.table is data.table
    assert np.shares_memory(view.table.pixels, pixels)
    assert view.rows.tolist() == [1, 0]


def test_unlabelled_images_are_left_out_unless_asked_for(data):
    assert data.select("train").labels.tolist() == [0, 1, 0, 1]
    assert data.select("train", labelled=False).labels.tolist() == [0, 1, 0, 1, -1]
    assert len(data.select("all")) == 8
    assert len(data.select("all", labelled=False)) == COUNT


def test_columns_follow_the_view(data):
    view = data.select("val")
    assert view.groups.tolist() == ["c", "d"]
    assert view.names.tolist() == ["00005", "00006"]
    assert view.split.tolist() == [1, 1]
    assert view.has_mask.tolist() == [True, True]
    assert view.class_counts() == {"negative": 1, "positive": 1}


def test_without_masks_nothing_is_known(pixels):
    masks, known = build_dataset(pixels, labels=[0] * COUNT).mask_images([0, 1])
    assert masks.shape == (2, 8, 8)
    assert not masks.any()
    assert known.tolist() == [False, False]


def test_without_twins_there_is_an_error(pixels):
    data = build_dataset(pixels, labels=[0] * COUNT)
    assert not data.has_twins
    with pytest.raises(DataError, match="no healthy twins"):
        data.twin_images([0])


def test_an_empty_selection_is_refused(data, pixels):
    with pytest.raises(DataError, match="no labelled 'val' images"):
        data.take([0, 1]).select("val")
    with pytest.raises(DataError, match="no labelled images among 10"):
        build_dataset(pixels, labels=[-1] * COUNT).select("all")


def test_an_unknown_split_is_refused_with_the_nearest(data):
    with pytest.raises(DataError, match="did you mean 'test'"):
        data.select("tset")


def test_one_class_cannot_train_a_classifier(data, pixels):
    data.require_classes()
    with pytest.raises(DataError, match="at least 2 classes are needed, got 2 'negative'"):
        data.take([0, 2]).require_classes()
    with pytest.raises(DataError, match="got no labelled ones"):
        build_dataset(pixels, labels=[-1] * COUNT).require_classes()


def test_pixels_are_not_copied(pixels):
    assert np.shares_memory(build_dataset(pixels, labels=[0] * COUNT).table.pixels, pixels)


def test_16_bit_limits_are_said(pixels):
    data = build_dataset(pixels.astype(np.uint16) * 16, labels=[0] * COUNT, split=[2] * COUNT)
    assert data.limits == (0, 4095)
    assert data.notes[0].startswith("16-bit pixels taken as 0 (black) to 4095 (white)")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [0, 1]}, "need 10 labels, got 2"),
        ({"names": ["a"]}, "need 10 names, got 1"),
        ({"groups": ["a"]}, "need 10 groups, got 1"),
        ({"split": [0, 1]}, "need 10 split entries, got 2"),
        ({"masks": np.zeros((3, 8, 8))}, "need 10 masks, got 3"),
        ({"masks": np.zeros((10, 4, 4))}, "8 x 8 pixels, got 4 x 4"),
        ({"has_mask": np.zeros(3, bool)}, "need 10 entries of has_mask, got 3"),
        ({"twins": np.zeros((10, 1, 4, 4))}, "twins must have the images' shape"),
        ({"class_names": ("only",), "labels": [0, 1] * 5}, "label 1 needs 2 class names, got 1"),
        ({"pixels": np.zeros((10, 1, 8, 9))}, "must be square, got 8 x 9"),
        ({"pixels": np.zeros((0, 1, 8, 8))}, "at least one image"),
        ({"pixels": np.full((10, 1, 8, 8), 7.0)}, r"must lie in \[0, 1\]"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(pixels, change, message):
    with pytest.raises(DataError, match=message):
        build_dataset(**({"pixels": pixels, "labels": [0] * COUNT} | change))
