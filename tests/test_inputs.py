"""Inputs of ``explain``: files, folders and data sets in one batch, with names, masks and notes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medxgan.data import open_dataset, read_image, read_inputs
from medxgan.errors import DataError

RNG = np.random.default_rng(0)


def draw(path: Path, side: int = 16) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (side, side), dtype=np.uint8)).save(path)
    return path


def draw_mask(path: Path, box: tuple[int, int, int, int] | None) -> None:
    mask = np.zeros((16, 16), np.uint8)
    if box is not None:
        x0, y0, x1, y1 = box
        mask[y0:y1, x0:x1] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Two images in each class of two splits; one lesion outlined, one mask empty."""
    root = tmp_path / "scans"
    for split in ("train", "test"):
        for kind in ("healthy", "tumour"):
            for name in ("ann", "bob"):
                draw(root / split / kind / f"{name}.png")
    draw_mask(root / "masks/test/tumour/ann.png", (2, 4, 6, 10))
    draw_mask(root / "masks/test/healthy/ann.png", None)
    return root


def test_a_file_is_read_as_read_image_reads_it(tmp_path):
    path = draw(tmp_path / "scan.png")
    inputs = read_inputs([path], size=8, channels=3)
    torch.testing.assert_close(inputs.images[0], read_image(path, size=8, channels=3).image)
    assert inputs.names == ["scan"]
    assert (inputs.masks, inputs.labels) == ([None], [None])
    assert inputs.notes == (
        "image made colour by repeating the grey channel",
        "image resized to 8 x 8 pixels",
    )


def test_notes_on_several_files_are_counted(tmp_path):
    paths = [
        draw(tmp_path / "a.png", 16),
        draw(tmp_path / "b.png", 24),
        draw(tmp_path / "c.png", 8),
    ]
    assert read_inputs(paths, size=16, channels=1).notes == (
        "2 of 3 images resized to 16 x 16 pixels",
    )


def test_a_folder_of_images_alone(tmp_path):
    """Neither labels nor splits are missed by somebody who only wants images explained."""
    for name in ("b.png", "a.png", "c.png"):
        draw(tmp_path / "flat" / name)
    inputs = read_inputs([tmp_path / "flat"], size=16, channels=1)
    assert inputs.names == ["a.png", "b.png", "c.png"]
    assert inputs.labels == [None] * 3
    assert inputs.notes == ()


def test_a_data_set_in_folders_brings_masks_and_labels(scans):
    inputs = read_inputs([scans], size=16, channels=1)
    assert len(inputs) == 8
    by_name = dict(zip(inputs.names, inputs.masks, strict=True))
    outlined = by_name["test/tumour/ann.png"]
    assert outlined is not None
    assert outlined.dtype == torch.bool
    assert torch.nonzero(outlined)[[0, -1]].tolist() == [[4, 2], [9, 5]]
    assert sum(mask is not None for mask in inputs.masks) == 1  # an empty mask shows nothing
    assert sorted(label for label in inputs.labels if label is not None) == [0] * 4 + [1] * 4


def test_split_selects(scans):
    inputs = read_inputs([scans], size=16, channels=1, split="test")
    assert len(inputs) == 4
    assert all(name.startswith("test/") for name in inputs.names)


def test_a_made_split_is_the_one_that_training_sees(tmp_path):
    for row in range(40):
        draw(tmp_path / "scans" / ("sick" if row % 2 else "well") / f"{row}.png")
    test = open_dataset(tmp_path / "scans").select("test")
    inputs = read_inputs([tmp_path / "scans"], size=16, channels=1, split="test")
    assert inputs.names == test.names.tolist()
    assert any("no split was given" in note for note in inputs.notes)


def test_an_archive(phantom_archive):
    inputs = read_inputs([phantom_archive], size=32, channels=1)
    with np.load(phantom_archive, allow_pickle=False) as arrays:
        pixels, masks, labels = arrays["images"], arrays["masks"], arrays["labels"]
    expected = torch.from_numpy(pixels).float()[:, None] / 127.5 - 1
    torch.testing.assert_close(inputs.images, expected)
    assert inputs.labels == labels.tolist()
    for found, mask, label in zip(inputs.masks, masks, labels, strict=True):
        if label == 0:
            assert found is None
        else:
            assert found is not None
            np.testing.assert_array_equal(found.numpy(), mask)


def test_limits_of_the_training_data_hold_for_files_and_data_sets_alike(tmp_path):
    ramp = np.linspace(0, 900, 256).reshape(16, 16).astype(np.uint16)
    for name in ("a", "b"):
        Image.fromarray(ramp).save(tmp_path / f"{name}.png")
    limits = (0.0, 4095.0)
    alone = read_inputs([tmp_path / "a.png"], size=16, channels=1, limits=limits)
    folder = read_inputs([tmp_path], size=16, channels=1, limits=limits)
    assert torch.equal(folder.images[:1], alone.images)
    assert not any("brightest pixel" in note for note in folder.notes)
    guessed = read_inputs([tmp_path], size=16, channels=1)
    assert guessed.images.max() > 0.7
    assert any("brightest pixel" in note for note in guessed.notes)


def test_equal_names_are_told_apart_by_their_folders(tmp_path):
    paths = [draw(tmp_path / place) for place in ("ann/1.png", "bob/1.png", "bob/2.png")]
    inputs = read_inputs([*paths, paths[0]], size=16, channels=1)
    assert inputs.names == ["ann-1", "bob-1", "2", "ann-1 (2)"]


def test_everything_at_once_keeps_its_order(tmp_path, scans, phantom_archive):
    single = draw(tmp_path / "one.png")
    inputs = read_inputs([single, scans, phantom_archive], size=32, channels=1, split=None)
    assert tuple(inputs.images.shape) == (1 + 8 + 160, 1, 32, 32)
    assert len(set(inputs.names)) == len(inputs.names) == 169
    assert inputs.names[0] == "one"
    assert inputs.notes == (
        "image resized to 32 x 32 pixels",
        "8 of 8 images resized to 32 x 32 pixels",
    )


def test_errors(tmp_path, scans):
    image = draw(tmp_path / "scan.png")
    with pytest.raises(DataError, match="nothing to explain"):
        read_inputs([], size=16, channels=1)
    with pytest.raises(DataError, match="nowhere does not exist"):
        read_inputs([tmp_path / "nowhere"], size=16, channels=1)
    with pytest.raises(DataError, match="no data set and has no split 'test'"):
        read_inputs([image], size=16, channels=1, split="test")
    with pytest.raises(DataError, match="no split is named 'tset'; did you mean 'test'"):
        read_inputs([scans], size=16, channels=1, split="tset")
    draw(tmp_path / "lone" / "test" / "tumour" / "ann.png")
    with pytest.raises(DataError, match="the data set has no 'val' images"):
        read_inputs([tmp_path / "lone"], size=16, channels=1, split="val")
    (tmp_path / "scan.bmp").write_bytes(b"BM")
    with pytest.raises(DataError, match=r"of type '\.bmp'"):
        read_inputs([tmp_path / "scan.bmp"], size=16, channels=1)


def test_all_images_of_a_folder_are_explained(scans):
    """Also those beside class and split folders, which no data set takes."""
    draw(scans / "loose.png")
    draw(scans / "others" / "deep" / "er.png")
    names = read_inputs([scans], size=16, channels=1).names
    assert len(names) == 10 and {"loose.png", "others/deep/er.png"} <= {*names}
    (scans / "others" / "deep" / "er.png").unlink()
    inputs = read_inputs([scans], size=16, channels=1)
    assert inputs.labels == [None, 0, 0, 1, 1, 0, 0, 1, 1]
    assert sum(mask is not None for mask in inputs.masks) == 1
    assert len(read_inputs([scans], size=16, channels=1, split="test")) == 4
    assert "1 image outside the class folders passed over" in open_dataset(scans).notes


def test_earlier_explanations_are_passed_over(tmp_path):
    draw(tmp_path / "scan.png")
    for name in ("original.png", "frames/frame-00.png"):
        draw(tmp_path / "explained" / "scan" / name)
    (tmp_path / "explained" / "scan" / "explanation.json").write_text("{}")
    inputs = read_inputs([tmp_path], size=16, channels=1)
    assert inputs.names == ["scan.png"]
    assert inputs.notes == ("1 explanation by medxgan passed over",)
    with pytest.raises(DataError, match="in class folders, got explanations by medxgan"):
        read_inputs([tmp_path / "explained"], size=16, channels=1)
