"""Values: a number an image, beside its class or in its place, through every format."""

import numpy as np
import pytest
import torch
from PIL import Image

from medxgan.data import build_dataset, open_dataset, write_npz
from medxgan.data.values import known_values, text_values, value_strata
from medxgan.errors import DataError

RNG = np.random.default_rng(0)
COUNT = 20
NAN = float("nan")


@pytest.fixture
def pixels():
    return RNG.integers(0, 256, (COUNT, 1, 8, 8), dtype=np.uint8)


@pytest.fixture
def archive(tmp_path, pixels):
    """Write an archive of these arrays beside the images."""

    def write(**arrays):
        write_npz(tmp_path / "set.npz", images=pixels[:, 0], **arrays)
        return tmp_path / "set.npz"

    return write


@pytest.fixture
def folder(tmp_path):
    """Four images in two class folders, and a table beside them if asked for."""

    def write(table=None):
        for name in ("healthy/a", "healthy/b", "sick/c", "sick/d"):
            path = tmp_path / "set" / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(RNG.integers(0, 256, (8, 8), dtype=np.uint8)).save(path)
        if table is not None:
            (tmp_path / "set" / "values.csv").write_text(table)
        return tmp_path / "set"

    return write


@pytest.mark.parametrize("dtype", ["u1", "i8", "f4", "f8", "bool"])
def test_numbers_of_any_type_are_values(dtype):
    values = known_values(np.array([[0], [1]], dtype=dtype), "values")
    assert values.dtype == np.float32
    assert values.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([0.0, np.inf], "must hold finite numbers, or NaN = unknown, got inf"),
        ([0.0, -1e300], "got -1e\\+300"),
        ([[0, 1], [1, 0]], r"one number an image, shape \[N\] or \[N, 1\], got \[2, 2\]"),
        (["a", "b"], "must hold numbers"),
        (5.0, "one number an image"),
    ],
)
def test_other_values_are_refused(numbers, message):
    with pytest.raises(DataError, match=message):
        known_values(np.array(numbers), "values")


def test_written_values():
    values = text_values(["2.5", "", "-1e3", "nan"], "column 'value'")
    np.testing.assert_array_equal(values, np.array([2.5, NAN, -1000, NAN], dtype=np.float32))
    with pytest.raises(DataError, match=r"must hold numbers, .* got 'II' in row 2"):
        text_values(["1", "II"], "column 'value'")
    with pytest.raises(DataError, match="must hold finite numbers"):
        text_values(["1", "inf"], "column 'value'")


def test_values_follow_the_view(pixels):
    values = np.arange(COUNT) / 2
    data = build_dataset(
        pixels, labels=[0, 1] * 10, split=[0] * 10 + [1] * 5 + [2] * 5, values=values
    )
    torch.testing.assert_close(data.values, torch.arange(COUNT) / 2)
    torch.testing.assert_close(data.select("test").values, torch.arange(15, 20) / 2)
    assert data.select("val").take([1, 0]).values.tolist() == [5.5, 5.0]
    assert data.take([]).values.shape == (0,)


def test_without_values_there_are_none(pixels):
    plain = build_dataset(pixels, labels=[0] * COUNT)
    unknown = build_dataset(pixels, labels=[0] * COUNT, values=[NAN] * COUNT)
    for data in (plain, unknown):
        assert data.values is None
        with pytest.raises(DataError, match="none of the 20 images has a value; give one to each"):
            data.with_values()


def test_only_images_with_a_value_can_teach_a_number(pixels):
    data = build_dataset(pixels, labels=[0] * COUNT, values=[1.0, NAN] * 10)
    assert data.with_values().rows.tolist() == list(range(0, COUNT, 2))
    with pytest.raises(DataError, match="none of the 2 images has a value"):
        data.take([1, 3]).with_values()


def test_labelled_means_a_value_where_there_are_no_classes(pixels):
    values = [1.0, NAN] * 10
    by_value = build_dataset(pixels, labels=[-1] * COUNT, values=values, split=[0] * COUNT)
    assert len(by_value.select("all")) == 10
    assert len(by_value.select("all", labelled=False)) == COUNT
    assert by_value.class_names == ()
    with pytest.raises(DataError, match="at least 2 classes are needed, got no labelled ones"):
        by_value.select("all").require_classes()
    by_class = build_dataset(pixels, labels=[0] * 19 + [-1], values=values, split=[0] * COUNT)
    assert len(by_class.select("all")) == 19


def test_as_many_values_as_images(pixels):
    with pytest.raises(DataError, match="20 images need 20 values, got 3"):
        build_dataset(pixels, labels=[0] * COUNT, values=[1.0, 2.0, 3.0])


def test_splits_that_are_made_are_alike_in_values(pixels):
    values = np.repeat([0.0, 1.0, 2.0, 3.0], 5)
    data = build_dataset(pixels, labels=[-1] * COUNT, values=values)
    assert set(data.select("train").values.tolist()) == {0, 1, 2, 3}
    for split in ("val", "test"):
        values = data.select(split).values.tolist()
        assert len(set(values)) == len(values)


def test_strata_of_equal_values_are_one():
    assert value_strata(np.full(4, 2.0, dtype=np.float32)).tolist() == [0] * 4
    assert value_strata(np.full(2, np.nan, dtype=np.float32)).tolist() == [-1, -1]


def test_archives_with_and_without_labels(archive):
    values = np.linspace(0, 4, COUNT)
    both = open_dataset(archive(values=values, labels=[0, 1] * 10))
    assert both.class_counts() == {"negative": 10, "positive": 10}
    alone = open_dataset(archive(values=values[:, None].astype(np.float16)))
    assert alone.labels.tolist() == [-1] * COUNT
    for data, tolerance in ((both, 0), (alone, 2e-3)):
        np.testing.assert_allclose(data.values, values.astype(np.float32), atol=tolerance)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0] * 3, "'values' must have one entry for each of the 20 images, got 3"),
        (["high"] * COUNT, r"set\.npz: 'values' must hold numbers"),
        ([np.inf] * COUNT, r"set\.npz: 'values' must hold finite numbers"),
    ],
)
def test_archives_that_cannot_be_used_are_refused(archive, values, message):
    with pytest.raises(DataError, match=message) as caught:
        open_dataset(archive(values=values))
    assert str(caught.value).count("set.npz") == 1


def test_tables(folder):
    root = folder()
    (root / "both.csv").write_text("path,label,value\nhealthy/a.png,0,0\nsick/c.png,1,\n")
    both = open_dataset(root / "both.csv")
    np.testing.assert_array_equal(both.values, [0, NAN])
    assert both.labels.tolist() == [0, 1]
    (root / "alone.csv").write_text("path, value\nhealthy/a.png, 0.5\nsick/c.png, 3\n")
    alone = open_dataset(root / "alone.csv")
    assert alone.values.tolist() == [0.5, 3]
    assert alone.labels.tolist() == [-1, -1]


def test_a_table_with_a_word_for_a_value_is_refused(folder):
    root = folder()
    (root / "bad.csv").write_text("path,value\nsick/c.png,3\nsick/d.png,III\n")
    with pytest.raises(DataError, match=r"bad\.csv: column 'value' .* got 'III' in row 2"):
        open_dataset(root / "bad.csv")


def test_folders_with_a_table_of_values(folder):
    data = open_dataset(folder("path,value\nsick/d.png,2.5\nhealthy/a.png,0\nsick/c.png,\n"))
    assert data.names.tolist() == ["healthy/a.png", "healthy/b.png", "sick/c.png", "sick/d.png"]
    np.testing.assert_array_equal(data.values, [0, NAN, NAN, 2.5])
    assert data.labels.tolist() == [0, 0, 1, 1]
    assert not any("passed over" in note for note in data.notes)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("file,value\na.png,1\n", "must have the columns 'path' and 'value', .* got file, value"),
        ("", "got an empty file"),
        ("path,value\na.png,1\n", r"names 'a\.png' and 0 other file\(s\) that are not there"),
        ("path,value\nsick/c.png,1\nsick/c.png,2\n", "names an image twice"),
        ("path,value\nsick/c.png,much\n", r"values\.csv: column 'value' .* got 'much' in row 1"),
    ],
)
def test_tables_of_values_that_cannot_be_used_are_refused(folder, table, message):
    with pytest.raises(DataError, match=message):
        open_dataset(folder(table))


def test_a_table_of_values_counts_elsewhere_as_another_file(folder):
    root = folder()
    (root / "sick" / "values.csv").write_text("path,value\nc.png,1\n")
    data = open_dataset(root)
    assert data.values is None
    assert any("1 other file passed over (.csv)" in note for note in data.notes)
