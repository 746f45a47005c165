"""Which images a command looks at, where the user does not say."""

import numpy as np
import pytest

from medxgan.data import Dataset, build_dataset
from medxgan.data.choosing import choose_images
from medxgan.errors import DataError


def dataset(labels: list[int], split: list[int]) -> Dataset:
    pixels = np.arange(len(labels) * 64, dtype=np.uint8).reshape(-1, 1, 8, 8)
    return build_dataset(pixels, labels=labels, split=split)


def test_test_images_are_taken_where_there_are_any() -> None:
    images, name = choose_images(dataset([0, 1, 1], [0, 2, 2]), None, labelled=True)
    assert (images.rows.tolist(), name) == ([1, 2], "test")
    images, name = choose_images(dataset([0, 1, 1], [0, 1, 1]), None, labelled=True)
    assert (images.rows.tolist(), name) == ([0, 1, 2], "all")


def test_split_that_is_asked_for_goes_before() -> None:
    images, name = choose_images(dataset([0, 1, 1], [0, 2, 2]), "train", labelled=True)
    assert (images.rows.tolist(), name) == ([0], "train")
    with pytest.raises(DataError, match="did you mean 'test'"):
        choose_images(dataset([0, 1, 1], [0, 2, 2]), "tset", labelled=True)
    with pytest.raises(DataError, match="no 'val' images"):
        choose_images(dataset([0, 1, 1], [0, 2, 2]), "val", labelled=True)


def test_unlabelled_images_are_left_out_where_labels_matter_and_there_are_some() -> None:
    mixed, unlabelled = dataset([0, -1, 1], [2, 2, 2]), dataset([-1, -1], [2, 2])
    images, _ = choose_images(mixed, None, labelled=True)
    assert images.rows.tolist() == [0, 2]
    assert images.notes[-1] == "1 of 3 images are unlabelled and left out"
    for opened, labelled in ((mixed, False), (unlabelled, True)):
        images, _ = choose_images(opened, None, labelled=labelled)
        assert len(images) == len(opened)
        assert images.notes == opened.notes
