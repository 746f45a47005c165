from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medxgan.data import open_dataset
from medxgan.errors import DataError

RNG = np.random.default_rng(0)


@pytest.fixture
def root(tmp_path):
    """Six images beside the table, named 0.png to 5.png."""
    (tmp_path / "scans").mkdir()
    for row in range(6):
        pixels = RNG.integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "scans" / f"{row}.png")
    return tmp_path


def table(root, text, encoding="utf-8"):
    (root / "table.csv").write_text(text, encoding=encoding)
    return root / "table.csv"


def test_all_columns(root):
    path = table(
        root,
        "Path, label, split, group, mask, twin, comment\n"
        "scans/0.png, healthy, train, p0, , , fine\n"
        "scans/1.png, tumour, train, p1, scans/2.png, scans/3.png, \n"
        "\n"
        "scans/4.png, tumour, test, p2, , scans/5.png, \n"
        "scans/5.png, , val, p3, , , unread\n",
        encoding="utf-8-sig",
    )
    data = open_dataset(path)
    assert data.class_names == ("healthy", "tumour")
    assert data.labels.tolist() == [0, 1, 1, -1]
    assert data.split.tolist() == [0, 0, 2, 1]
    assert data.groups.tolist() == ["p0", "p1", "p2", "p3"]
    assert data.names.tolist() == ["scans/0.png", "scans/1.png", "scans/4.png", "scans/5.png"]
    assert data.has_mask.tolist() == [False, True, False, False]
    mask = np.asarray(Image.open(root / "scans/2.png")) > 0
    twin = np.asarray(Image.open(root / "scans/3.png"))
    np.testing.assert_array_equal(data.table.masks[1], mask)
    np.testing.assert_array_equal(data.table.twins[1, 0], twin)
    np.testing.assert_array_equal(data.table.twins[0], data.table.pixels[0])


def test_whole_numbers_are_class_indices(root):
    rows = "label,path\n1.0,scans/0.png\n0,scans/1.png\n-1,scans/2.png\n"
    data = open_dataset(table(root, rows))
    assert data.labels.tolist() == [1, 0, -1]
    assert data.class_names == ("negative", "positive")
    assert data.groups.tolist() == data.names.tolist()
    assert data.notes[0].startswith("no split was given")


def test_patients_are_kept_together(root):
    lines = [f"scans/{row}.png,{row % 2},p{row // 2}" for row in range(6)]
    data = open_dataset(table(root, "path,label,group\n" + "\n".join(lines)), seed=1)
    assert sorted(data.split[::2].tolist()) == [0, 1, 2]
    np.testing.assert_array_equal(data.split[::2], data.split[1::2])


def test_absolute_paths_and_quotes(root):
    name = root / "scans" / "a, b.png"
    Image.open(root / "scans/0.png").save(name)
    data = open_dataset(table(root, f'path,label\n"{name}",0\nscans/1.png,1\n'))
    assert data.names[0] == str(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must have the columns 'path' and 'label', .* got an empty file"),
        ("file,class\nscans/0.png,1\n", "got file, class"),
        ("path;label\nscans/0.png;1\n", "separated by commas; got path;label"),
        ("path,label\n", "lists no images"),
        ("path,label\nscans/0.png,1\nnone.png,0\n", r"row 2: path 'none\.png' does not exist"),
        ("path,label,mask\nscans/0.png,1,m.png\n", r"row 1: mask 'm\.png' does not exist"),
        ("path,label,twin\nscans/0.png,1,t.png\n", r"row 1: twin 't\.png' does not exist"),
        ("path,label\nscan.bmp,1\n", r"row 1: .*'\.bmp', which cannot be read"),
        ("path,label\n,1\n", "row 1: the path is empty"),
        ("path,label\nscans/0.png,0.5\n", "column 'label' must hold whole numbers"),
        ("path,label,split\nscans/0.png,1,holdout\n", "column 'split' must hold train"),
        ("path,label,split\nscans/0.png,1,train\nscans/1.png,0,\n", "every row or to none"),
    ],
)
def test_tables_that_cannot_be_used_are_refused(root, text, message):
    with pytest.raises(DataError, match=message) as caught:
        open_dataset(table(root, text))
    assert str(caught.value).count("table.csv") == 1


def test_files_that_are_no_tables_are_refused(root):
    with pytest.raises(DataError, match=r"none\.csv does not exist"):
        open_dataset(root / "none.csv")
    (root / "table.csv").write_bytes(b"path,label\n\xff\xfe\x00,1\n")
    with pytest.raises(DataError, match="cannot be read as a CSV table"):
        open_dataset(root / "table.csv")


def test_forbidden_tables_are_refused(root, monkeypatch):
    path = table(root, "path,label\nscans/0.png,1\n")

    def refuse(*_, **__):
        raise PermissionError

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"no permission to read .*table\.csv"):
        open_dataset(path)
