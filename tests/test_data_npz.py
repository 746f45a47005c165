import errno
import os
import pickle
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from medxgan.data import archive as archive_module
from medxgan.data import open_dataset, write_npz
from medxgan.data.archive import Archive
from medxgan.errors import DataError, OutputError

COUNT = 20


@pytest.fixture
def arrays():
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 8, 8), dtype=np.uint8)
    return {
        "images": images,
        "labels": np.array([0, 1] * (COUNT // 2), dtype=np.int8),
        "split": np.repeat([0, 1, 2], [10, 6, 4]).astype(np.uint8),
        "masks": (images > 200).astype(np.uint8),
        "twins": 255 - images,
        "boxes": np.zeros((COUNT, 4), dtype=np.float32),
        "source": np.array([f"patient{row // 2}" for row in range(COUNT)]),
        "class_names": np.array(["healthy", "lesion"]),
        "marker": np.zeros(COUNT, dtype=bool),
    }


@pytest.fixture
def small_blocks(monkeypatch):
    """Three images a block, so that blocks and their seams are tested."""
    monkeypatch.setattr(archive_module, "BLOCK_BYTES", 3 * 64)


def saved(path, arrays, **change):
    """The arrays with some changed, or left out where None."""
    columns = {key: value for key, value in (arrays | change).items() if value is not None}
    np.savez_compressed(path / "data.npz", **columns)
    return path / "data.npz"


@pytest.mark.usefixtures("small_blocks")
def test_our_keys(tmp_path, arrays):
    data = open_dataset(saved(tmp_path, arrays))
    np.testing.assert_array_equal(data.table.pixels[:, 0], arrays["images"])
    np.testing.assert_array_equal(data.table.masks, arrays["masks"] != 0)
    np.testing.assert_array_equal(data.table.twins[:, 0], arrays["twins"])
    np.testing.assert_array_equal(data.labels, arrays["labels"])
    np.testing.assert_array_equal(data.split, arrays["split"])
    np.testing.assert_array_equal(data.groups, arrays["source"])
    assert data.class_names == ("healthy", "lesion")
    assert data.limits == (0, 255)
    assert data.has_mask.all()
    assert (data.size, data.channels) == (8, 1)


def test_what_write_npz_writes(tmp_path, arrays):
    for compressed in (True, False):
        write_npz(tmp_path / "new" / "data.npz", compressed=compressed, **arrays)
        data = open_dataset(tmp_path / "new" / "data.npz")
        np.testing.assert_array_equal(data.table.pixels[:, 0], arrays["images"])
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["data.npz"]


@pytest.mark.usefixtures("small_blocks")
def test_medmnist_keys(tmp_path, arrays):
    columns = {}
    for name, rows in (("train", slice(0, 12)), ("val", slice(12, 15)), ("test", slice(15, 20))):
        columns[f"{name}_images"] = arrays["images"][rows]
        columns[f"{name}_labels"] = arrays["labels"][rows, None].astype(np.uint8)
    data = open_dataset(saved(tmp_path, columns))
    np.testing.assert_array_equal(data.table.pixels[:, 0], arrays["images"])
    np.testing.assert_array_equal(data.labels, arrays["labels"])
    assert np.bincount(data.split).tolist() == [12, 3, 5]
    assert data.class_names == ("negative", "positive")
    assert data.names[12] == "val-00000"


@pytest.mark.usefixtures("small_blocks")
def test_colour_and_resizing(tmp_path, arrays):
    colour = np.stack([arrays["images"]] * 3, axis=3)
    path = saved(tmp_path, arrays, images=colour, twins=colour)
    data = open_dataset(path)
    assert data.table.pixels.shape == (COUNT, 3, 8, 8)
    np.testing.assert_array_equal(data.table.pixels[:, 1], arrays["images"])
    grey = open_dataset(path, size=16, channels=1)
    assert grey.table.pixels.shape == grey.table.twins.shape == (COUNT, 1, 16, 16)
    assert grey.table.masks.shape == (COUNT, 16, 16)
    assert grey.notes == (
        "20 of 20 images made grey from colour (luma)",
        "20 of 20 images resized to 16 x 16 pixels",
    )
    one = saved(tmp_path, arrays, images=arrays["images"][..., None], twins=None)
    assert open_dataset(one).channels == 1


def test_oblong_images_become_square(tmp_path, arrays):
    path = saved(
        tmp_path, arrays, images=arrays["images"][:, :6], masks=arrays["masks"][:, :6], twins=None
    )
    data = open_dataset(path)
    assert data.size == 8
    np.testing.assert_array_equal(data.table.masks[:, 1:7], arrays["masks"][:, :6] != 0)
    assert "padded to a square" in data.notes[0]


@pytest.mark.parametrize(
    ("dtype", "scale", "expected"),
    [
        (np.uint16, 16, (np.uint16, (0, 4095))),
        (">u2", 1, (np.uint16, (0, 255))),
        (np.int64, 1, (np.uint16, (0, 255))),
        (np.float64, 1 / 255, (np.float32, (0, 1))),
        (np.float16, -1 / 255, (np.float32, (-1, 1))),
    ],
)
def test_pixel_types(tmp_path, arrays, dtype, scale, expected):
    images = (arrays["images"].astype(float) * scale).astype(dtype)
    data = open_dataset(saved(tmp_path, arrays, images=images, twins=None))
    assert (data.table.pixels.dtype, data.limits) == expected
    np.testing.assert_allclose(data.table.pixels[:, 0], images)


def test_arrays_in_column_major_order(tmp_path, arrays):
    images = np.asfortranarray(arrays["images"])
    data = open_dataset(saved(tmp_path, arrays, images=images, twins=None))
    np.testing.assert_array_equal(data.table.pixels[:, 0], arrays["images"])


def test_whole_floats_are_labels_and_words_are_splits(tmp_path, arrays):
    words = np.array(["train", "val", "test"])[arrays["split"]]
    data = open_dataset(saved(tmp_path, arrays, labels=arrays["labels"].astype(float), split=words))
    np.testing.assert_array_equal(data.labels, arrays["labels"])
    np.testing.assert_array_equal(data.split, arrays["split"])


def test_optional_columns(tmp_path, arrays):
    known = np.arange(COUNT) < 5
    path = saved(tmp_path, arrays, has_mask=known, file_name=np.arange(COUNT).astype(str))
    data = open_dataset(path)
    np.testing.assert_array_equal(data.has_mask, known)
    assert data.names[3] == "3"
    bare = {"images": arrays["images"], "labels": arrays["labels"]}
    data = open_dataset(saved(tmp_path, bare), seed=5)
    assert not data.has_mask.any()
    assert data.groups[3] == data.names[3] == "00003"
    assert data.notes[0].startswith("no split was given: made one by group, seed 5")


def test_unlabelled_rows_stay_readable(tmp_path, arrays):
    labels = np.where(np.arange(COUNT) < 4, -1, arrays["labels"])
    data = open_dataset(saved(tmp_path, arrays, labels=labels))
    assert len(data.select("train")) == 6
    assert len(data.select("train", labelled=False)) == 10


def test_a_data_set_is_never_in_memory_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_module, "BLOCK_BYTES", 2**18)
    images = np.random.default_rng(0).integers(0, 256, (2048, 64, 64), dtype=np.uint8)
    columns = {"labels": np.zeros(len(images)), "split": np.zeros(len(images), dtype=np.uint8)}
    path = saved(tmp_path, columns, images=images)
    tracemalloc.start()
    data = open_dataset(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert data.table.pixels.nbytes == images.nbytes
    assert peak < 1.5 * images.nbytes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": None}, "it holds labels, split, masks, twins"),
        ({"labels": np.zeros(3)}, "'labels' must have one entry for each of the 20 images, got 3"),
        ({"labels": np.full(COUNT, 0.5)}, "'labels' must hold whole numbers"),
        ({"labels": np.zeros((COUNT, 14))}, "one class index an image"),
        ({"labels": np.full(COUNT, 2)}, "label 2 needs 3 class names, got 2"),
        ({"split": np.zeros(3)}, "'split' must have one entry"),
        ({"split": np.full(COUNT, 3)}, "'split' must hold train, val or test"),
        ({"source": np.array(["a"])}, "'source' must have one entry"),
        ({"has_mask": np.ones(3)}, "'has_mask' must have one entry"),
        ({"masks": np.zeros((COUNT, 4, 4))}, r"'masks' must have the images' shape \[20, 8, 8\]"),
        ({"twins": np.eye(8)[None].repeat(3, 0)}, "need 20 twins, got 3"),
        ({"twins": np.zeros((0, 8, 8))}, "'twins' is empty"),
        ({"images": np.zeros((0, 8, 8)), "labels": np.zeros(0)}, "holds no images"),
        ({"images": np.zeros((COUNT, 0, 8))}, "have no pixels"),
        ({"images": np.zeros((COUNT, 8))}, r"shape \[N, H, W\] or \[N, H, W, 3\], got \[20, 8\]"),
        ({"images": np.zeros((COUNT, 8, 8, 8))}, "cut volumes into slices"),
        ({"images": np.zeros((COUNT, 8, 8))}, r"images\[0\] is constant"),
        ({"images": np.zeros((COUNT, 8, 8), dtype=bool)}, "'images': pixels must be whole"),
        ({"images": np.full((COUNT, 8, 8), -1)}, "whole-number pixels must lie in 0 to 65535"),
        ({"images": np.arange(COUNT * 64.0).reshape(COUNT, 8, 8)}, r"must lie in \[0, 1\]"),
    ],
)
def test_arrays_that_cannot_be_used_are_refused(tmp_path, arrays, change, message):
    path = saved(tmp_path, arrays, **change)
    with pytest.raises(DataError, match=message) as caught:
        open_dataset(path)
    assert str(caught.value).count(str(path)) == 1


def test_an_archive_of_images_alone_is_unlabelled(tmp_path, arrays):
    data = open_dataset(saved(tmp_path, {"images": arrays["images"]}))
    assert (data.labels == -1).all()
    assert data.notes[0] == "'labels' is missing: all 20 images are unlabelled"


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "holds NaN or infinite"), (0.5, "is constant")]
)
def test_the_row_of_a_broken_image_is_named(tmp_path, arrays, value, message):
    images = arrays["images"] / 255
    images[13] = value
    with pytest.raises(DataError, match=rf"data\.npz: images\[13\] {message}"):
        open_dataset(saved(tmp_path, arrays, images=images, twins=None))


def test_medmnist_parts_must_agree(tmp_path, arrays):
    columns = {
        "train_images": arrays["images"],
        "train_labels": arrays["labels"],
        "test_images": arrays["images"][:, :4, :4],
        "test_labels": arrays["labels"],
    }
    with pytest.raises(DataError, match="differ in shape between splits"):
        open_dataset(saved(tmp_path, columns))
    del columns["test_labels"]
    with pytest.raises(DataError, match="MedMNIST's 'train_images'"):
        open_dataset(saved(tmp_path, columns))


class Payload:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("unpickled",)


@pytest.mark.parametrize("key", ["images", "labels", "source", "class_names"])
def test_python_objects_are_refused_unread(tmp_path, monkeypatch, arrays, key):
    monkeypatch.chdir(tmp_path)
    path = saved(tmp_path, arrays, **{key: np.array([Payload()] * COUNT, dtype=object)})
    with pytest.raises(DataError, match=f"'{key}' holds Python objects"):
        open_dataset(path)
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.parametrize(
    "content", [b"", b"no archive", pickle.dumps([1, 2]), b"PK\x05\x06" + bytes(10)]
)
def test_other_content_is_refused(tmp_path, content):
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"data\.npz cannot be read as a NumPy archive"):
        open_dataset(tmp_path / "data.npz")


def test_a_zip_without_arrays_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "data.npz", "w") as file:
        file.writestr("readme.txt", "no arrays")
    with pytest.raises(DataError, match="it holds no arrays"):
        open_dataset(tmp_path / "data.npz")


def test_a_file_cut_short_is_refused(tmp_path, arrays):
    path = saved(tmp_path, arrays)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="cannot be read as a NumPy archive"):
        open_dataset(path)


@pytest.mark.parametrize("compressed", [True, False])
def test_a_flipped_bit_is_found(tmp_path, arrays, compressed):
    write_npz(tmp_path / "data.npz", compressed=compressed, **arrays)
    content = bytearray((tmp_path / "data.npz").read_bytes())
    content[600] ^= 4
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as a NumPy archive"):
        open_dataset(tmp_path / "data.npz")


def npy_header(shape, version=b"\x01\x00"):
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}".encode().ljust(117)
    return b"\x93NUMPY" + version + len(text + b"\n").to_bytes(2, "little") + text + b"\n"


@pytest.mark.parametrize(
    "member",
    [
        npy_header((10**9, 512, 512)) + bytes(64),
        npy_header((-1, 8, 8)) + bytes(64),
        npy_header((1, 8, 8), version=b"\x09\x00") + bytes(64),
        b"not an array",
    ],
)
def test_headers_that_lie_are_refused_before_memory_is_asked_for(tmp_path, member):
    with zipfile.ZipFile(tmp_path / "data.npz", "w") as file:
        file.writestr("images.npy", member)
        file.writestr("labels.npy", member)
    with pytest.raises(DataError, match="cannot be read as a NumPy archive"):
        open_dataset(tmp_path / "data.npz")


def test_a_directory_that_promises_more_than_is_there(tmp_path):
    """The zip's own table says 64 pixels, 32 follow."""
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("images.npy", npy_header((1, 8, 8)) + bytes(32))
    content = bytearray(path.read_bytes())
    size_field = content.index(b"PK\x01\x02") + 24
    size = int.from_bytes(content[size_field : size_field + 4], "little")
    content[size_field : size_field + 4] = (size + 32).to_bytes(4, "little")
    path.write_bytes(content)
    with Archive(path) as archive, pytest.raises(DataError, match="it ends too early"):
        archive.array("images")


def test_missing_and_forbidden_archives(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"none\.npz does not exist"):
        open_dataset(tmp_path / "none.npz")

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(archive_module, "ZipFile", refuse)
    with pytest.raises(DataError, match=r"no permission to read .*data\.npz"):
        open_dataset(tmp_path / "data.npz")


def test_too_little_memory(tmp_path, monkeypatch, arrays):
    path = saved(tmp_path, arrays)

    def refuse(*_, **__):
        raise MemoryError

    with Archive(path) as archive:
        monkeypatch.setattr(archive_module.np, "empty", refuse)
        with pytest.raises(DataError, match="does not fit in memory"):
            archive.array("images")


def test_scalars_and_empty_arrays(tmp_path):
    write_npz(tmp_path / "data.npz", scalar=3, empty=np.zeros((0, 4)))
    with Archive(tmp_path / "data.npz") as archive:
        assert archive.array("scalar").tolist() == [3]
        assert archive.array("empty").shape == (0, 4)


def test_an_archive_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "data.npz").write_bytes(b"old")

    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OutputError, match="No space left"):
        write_npz(tmp_path / "data.npz", labels=[1])
    assert [path.name for path in tmp_path.iterdir()] == ["data.npz"]
    assert (tmp_path / "data.npz").read_bytes() == b"old"


def test_python_objects_are_not_written(tmp_path):
    with pytest.raises(OutputError, match="'labels' holds Python objects"):
        write_npz(tmp_path / "data.npz", labels=np.array([None]))
    assert list(tmp_path.iterdir()) == []
