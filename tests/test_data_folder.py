import os

import numpy as np
import pytest
from PIL import Image

from medxgan.data import open_dataset
from medxgan.errors import ConfigError, DataError

RNG = np.random.default_rng(0)


def draw(path, shape=(8, 8), dtype=np.uint8, white=256):
    """Save noise under a path whose folders are made, and return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, white, shape).astype(dtype)
    Image.fromarray(pixels).save(path)
    return pixels


def draw_classes(root, count=10):
    """``count`` images in each of two class folders; returns name -> pixels."""
    names = [f"{kind}/{row:02d}.png" for kind in ("healthy", "tumour") for row in range(count)]
    return {name: draw(root / name) for name in names}


def test_class_folders(tmp_path):
    drawn = draw_classes(tmp_path)
    data = open_dataset(tmp_path)
    assert data.names.tolist() == sorted(drawn)
    assert data.class_names == ("healthy", "tumour")
    assert data.labels.tolist() == [0] * 10 + [1] * 10
    assert data.groups.tolist() == data.names.tolist()
    for row, name in enumerate(data.names.tolist()):
        np.testing.assert_array_equal(data.table.pixels[row, 0], drawn[name])
    assert data.notes == ("no split was given: made one by group, seed 0: 14 train, 3 val, 3 test",)


def test_split_folders(tmp_path):
    for index, split in enumerate(("Train", "validation", "test")):
        for row in range(index + 1):
            draw(tmp_path / split / "normal" / f"{row}.png")
            draw(tmp_path / split / "abnormal" / f"{row}.png")
    data = open_dataset(tmp_path)
    assert data.class_names == ("normal", "abnormal")
    assert np.bincount(data.split).tolist() == [2, 4, 6]
    assert data.select("val").class_counts() == {"normal": 2, "abnormal": 2}
    assert data.notes == ()


def test_a_patients_folder_is_never_torn_apart(tmp_path):
    for patient in range(12):
        for slice_index in range(3):
            draw(
                tmp_path
                / ("sick" if patient % 2 else "well")
                / f"p{patient}"
                / f"{slice_index}.png"
            )
    data = open_dataset(tmp_path)
    pairs = {*zip(data.groups.tolist(), data.split.tolist(), strict=True)}
    assert len(pairs) == 12
    assert {split for _, split in pairs} == {0, 1, 2}


def test_masks_and_twins_are_mirrored(tmp_path):
    draw_classes(tmp_path, 3)
    twin = draw(tmp_path / "twins/tumour/01.png")
    for row in (0, 2):
        draw(tmp_path / f"twins/tumour/{row:02d}.png")
    mask = np.zeros((8, 8), dtype=np.uint8)
    mask[2:4, 5:7] = 1
    (tmp_path / "masks/tumour").mkdir(parents=True)
    Image.fromarray(mask).save(tmp_path / "masks/tumour/01.tif")
    data = open_dataset(tmp_path)
    assert len(data) == 6
    assert data.has_mask.tolist() == [False] * 4 + [True, False]
    np.testing.assert_array_equal(data.table.masks[4], mask > 0)
    assert data.table.masks.sum() == 4
    np.testing.assert_array_equal(data.table.twins[4, 0], twin)
    np.testing.assert_array_equal(data.table.twins[:3], data.table.pixels[:3])


def test_noise_in_jpeg_masks_is_no_lesion(tmp_path):
    draw_classes(tmp_path, 1)
    mask = np.zeros((8, 8), dtype=np.uint8)
    mask[:, :4] = 255
    (tmp_path / "masks/tumour").mkdir(parents=True)
    Image.fromarray(mask).save(tmp_path / "masks/tumour/00.jpg", quality=30)
    data = open_dataset(tmp_path)
    np.testing.assert_array_equal(data.table.masks[1], mask > 0)


def test_images_of_all_kinds_are_brought_to_one_shape(tmp_path):
    draw(tmp_path / "a/1.png", (16, 16))
    draw(tmp_path / "a/2.png", (8, 12, 3))
    draw(tmp_path / "b/1.png", (8, 8))
    draw(tmp_path / "masks/a/2.png", (8, 12), white=2)
    data = open_dataset(tmp_path, size=8, channels=1)
    assert data.table.pixels.shape == (3, 1, 8, 8)
    assert data.table.masks.shape == (3, 8, 8)
    assert set(data.notes[:3]) == {
        "2 of 3 images resized to 8 x 8 pixels",
        "1 of 3 images made grey from colour (luma)",
        "1 of 3 images padded to a square with the darkest value of the border",
    }


def test_16_bit_images_share_their_limits(tmp_path):
    draw(tmp_path / "a/1.png", dtype=np.uint16, white=900)
    draw(tmp_path / "b/1.png", dtype=np.uint16, white=4000)
    data = open_dataset(tmp_path)
    assert data.table.pixels.dtype == np.uint16
    assert data.limits == (0, 4095)


def test_many_files_keep_their_order(tmp_path):
    """More files than one thread takes at a time."""
    drawn = draw_classes(tmp_path, 50)
    data = open_dataset(tmp_path)
    expected = np.stack([drawn[name] for name in data.names.tolist()])
    np.testing.assert_array_equal(data.table.pixels[:, 0], expected)


def test_a_flat_folder_is_unlabelled(tmp_path):
    draw(tmp_path / "1.png")
    draw(tmp_path / "2.png")
    data = open_dataset(tmp_path)
    assert data.labels.tolist() == [-1, -1]
    assert data.class_names == ()
    assert data.notes[0] == "2 of 2 images lie in no class folder: unlabelled"
    with pytest.raises(DataError, match="at least 2 classes are needed"):
        data.require_classes()


def test_what_is_passed_over_is_said(tmp_path):
    draw_classes(tmp_path, 3)
    draw(tmp_path / "contact_sheet.png", (100, 50))
    (tmp_path / "healthy" / "notes.txt").touch()
    (tmp_path / "healthy" / ".hidden.png").touch()
    data = open_dataset(tmp_path)
    assert len(data) == 6
    assert data.notes[:2] == (
        "1 other file passed over (.txt)",
        "1 image outside the class folders passed over",
    )


def test_links_are_followed_once(tmp_path):
    draw_classes(tmp_path / "scans", 3)
    (tmp_path / "scans" / "again").symlink_to(tmp_path / "scans")
    (tmp_path / "link").symlink_to(tmp_path / "scans" / "healthy")
    assert len(open_dataset(tmp_path / "scans")) == 6
    assert len(open_dataset(tmp_path / "link")) == 3


def spoil_size(root):
    draw(root / "tumour/99.png", (9, 9))


def spoil_channels(root):
    draw(root / "tumour/99.png", (8, 8, 3))


def spoil_depth(root):
    draw(root / "tumour/99.png", dtype=np.uint16)


def spoil_png(root):
    path = root / "tumour/99.png"
    draw(path, (64, 64))
    path.write_bytes(path.read_bytes()[:-1000])


def spoil_constant(root):
    Image.new("L", (8, 8), 3).save(root / "tumour/99.png")


def spoil_split(root):
    draw(root / "train/tumour/99.png")


def spoil_mask_name(root):
    draw(root / "masks/train/tumour/00.png")


def spoil_mask_size(root):
    draw(root / "masks/tumour/00.png", (4, 4))


def spoil_twins(root):
    draw(root / "twins/tumour/00.png")


def spoil_twin_size(root):
    for row in range(3):
        draw(root / f"twins/tumour/{row:02d}.png", (4, 4))
        draw(root / f"twins/healthy/{row:02d}.png", (4, 4))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_size, r"99\.png is 9 x 9 pixels as a square, .*00\.png is 8 x 8 .*give the size"),
        (spoil_channels, r"99\.png has 3 channel\(s\), .*00\.png has 1"),
        (spoil_depth, r"99\.png is 16-bit, .*00\.png is 8-bit; convert all"),
        (spoil_png, r"99\.png cannot be read as an image"),
        (spoil_constant, r"99\.png is constant \(every pixel is 3\)"),
        (spoil_split, r"mixes split folders with others \(healthy, tumour\)"),
        (spoil_mask_name, r"masks/train/tumour/00\.png and 0 other.*such as masks/healthy/00\.png"),
        (spoil_mask_size, r"00\.png must be as large as its image, 8 x 8 pixels, got 4 x 4"),
        (spoil_twins, r"01\.png has no healthy twin although"),
        (spoil_twin_size, r"twins must have their images' shape \[1, 8, 8\], got \[1, 4, 4\]"),
    ],
)
def test_folders_that_cannot_be_used_are_refused(tmp_path, spoil, message):
    draw_classes(tmp_path, 3)
    spoil(tmp_path)
    with pytest.raises(DataError, match=message):
        open_dataset(tmp_path)


def test_floats_on_an_unknown_scale_are_refused(tmp_path):
    draw(tmp_path / "a/1.tif", dtype=np.float32)
    with pytest.raises(DataError, match=r"a: floating-point pixels must lie"):
        open_dataset(tmp_path)


def test_missing_empty_and_foreign_paths(tmp_path):
    with pytest.raises(DataError, match="nowhere does not exist"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(DataError, match="in class folders, got no files"):
        open_dataset(tmp_path)
    (tmp_path / "scan.bmp").touch()
    with pytest.raises(DataError, match=r"in class folders, got \.bmp"):
        open_dataset(tmp_path)
    with pytest.raises(DataError, match=r"is of type '\.bmp'; a data set is a folder"):
        open_dataset(tmp_path / "scan.bmp")
    draw(tmp_path / "one.png")
    with pytest.raises(DataError, match=r"is an image file; a data set is a folder"):
        open_dataset(tmp_path / "one.png")


def test_forbidden_folders_are_refused(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match="no permission to read"):
        open_dataset(tmp_path)


def test_shapes_that_cannot_be_had(tmp_path):
    with pytest.raises(ConfigError, match="size must be at least 8"):
        open_dataset(tmp_path, size=7)
    with pytest.raises(ConfigError, match="channels must be 1"):
        open_dataset(tmp_path, channels=2)
