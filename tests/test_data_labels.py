import numpy as np
import pytest

from medxgan.data.labels import named_labels, text_labels, whole_labels
from medxgan.errors import DataError


@pytest.mark.parametrize("dtype", ["i1", "u1", "i8", "f4", "f8", "bool"])
def test_whole_numbers_of_any_type_are_labels(dtype):
    labels = whole_labels(np.array([0, 1, 1], dtype=dtype), "labels")
    assert labels.dtype == np.int64
    assert labels.tolist() == [0, 1, 1]


def test_a_column_is_as_good_as_a_row():
    assert whole_labels(np.array([[2], [0]], dtype=np.uint8), "labels").tolist() == [2, 0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.0, 0.5], "got 0.5 in row 1"),
        ([np.nan, 1.0], "got nan in row 0"),
        ([0, -2], "got -2 in row 1"),
        ([0, 10**9], "got 1000000000 in row 1"),
        ([[0, 1], [1, 0]], "one class index an image"),
        (["sick", "well"], "must hold whole numbers"),
        (5, "one class index an image"),
    ],
)
def test_other_labels_are_refused(values, message):
    with pytest.raises(DataError, match=message):
        whole_labels(np.array(values), "labels")


def test_text_numbers_are_indices():
    labels, names = text_labels(["2", "0.0", "", "-1"], "labels")
    assert labels.tolist() == [2, 0, -1, -1]
    assert names == ("0", "1", "2")


def test_text_numbers_must_be_whole():
    with pytest.raises(DataError, match=r"got 0\.5 in row 1"):
        text_labels(["1", "0.5"], "labels")


def test_no_labels_at_all():
    labels, names = text_labels(["", ""], "labels")
    assert labels.tolist() == [-1, -1]
    assert names == ()


@pytest.mark.parametrize(
    ("written", "ordered"),
    [
        (["PNEUMONIA", "NORMAL"], ("NORMAL", "PNEUMONIA")),
        (["malignant", "benign"], ("benign", "malignant")),
        (["yes", "no"], ("no", "yes")),
        (["10", "2", "1a"], ("1a", "2", "10")),
    ],
)
def test_the_healthy_class_comes_first(written, ordered):
    assert named_labels(written)[1] == ordered
