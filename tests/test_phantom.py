"""Phantoms: what must hold for every subject, and on disk."""

import numpy as np
import pytest
from PIL import Image

from medxgan.data import open_dataset, write_phantoms
from medxgan.data.manifest import read_rows
from medxgan.data.phantom import GREEN_INK, make_phantoms
from medxgan.data.phantom_files import lesion_boxes
from medxgan.errors import ConfigError, OutputError

KINDS = ("brain", "chest", "histology")
AS_FIRST_RELEASED = {
    "brain": {
        "labels": [1, 0, 1, 0, 0, 1],
        "split": [1, 1, 0, 0, 0, 0],
        "markers": [0, 0, 1, 1, 1, 1],
        "areas": [32, 0, 31, 0, 0, 32],
        "means": [27.56, 22.49, 44.35, 27.26, 49.29, 30.69],
        "pixels": [[0, 1, 12, 0], [0, 90, 26, 4], [0, 74, 66, 7], [0, 0, 5, 0]],
    },
    "chest": {
        "labels": [1, 0, 1, 0, 0, 1],
        "split": [0, 0, 0, 0, 0, 0],
        "markers": [1, 0, 1, 0, 0, 1],
        "areas": [16, 0, 22, 0, 0, 16],
        "means": [114.40, 111.99, 138.57, 99.61, 123.87, 138.27],
        "pixels": [
            [170, 150, 171, 157],
            [159, 56, 58, 196],
            [117, 79, 148, 155],
            [85, 213, 190, 21],
        ],
    },
}
"""Six subjects of 32 pixels, seed 4, shortcut 0.7: bundles and figures were made of these."""


def grown(masks: np.ndarray, margin: int) -> np.ndarray:
    """Masks ``[N, H, W]`` with every pixel within ``margin`` rows and columns of them."""
    padded = np.pad(masks, ((0, 0), (margin, margin), (margin, margin)))
    windows = np.lib.stride_tricks.sliding_window_view(
        padded, (2 * margin + 1, 2 * margin + 1), axis=(1, 2)
    )
    return windows.any(axis=(3, 4))


@pytest.fixture(scope="module", params=KINDS)
def phantoms(request):
    return make_phantoms(request.param, 200, size=48, seed=7)


def test_healthy_subjects_are_their_own_twins(phantoms):
    healthy = phantoms.labels == 0
    np.testing.assert_array_equal(phantoms.images[healthy], phantoms.twins[healthy])


def test_twins_differ_only_near_the_lesion(phantoms):
    """The lesion's soft edge reaches a little beyond its mask; nothing else changes."""
    change = np.abs(phantoms.images.astype(int) - phantoms.twins)
    assert change[~grown(phantoms.masks, 5)].max() <= 1  # what rounding makes of the edge's end
    assert change[~grown(phantoms.masks, 12)].max() == 0
    inside = np.array(
        [change[row][phantoms.masks[row]].mean() for row in np.flatnonzero(phantoms.labels)]
    )
    assert inside.min() > 3


def test_masks_are_there_exactly_where_a_lesion_is(phantoms):
    np.testing.assert_array_equal(phantoms.masks.any(axis=(1, 2)), phantoms.labels == 1)


@pytest.mark.parametrize("kind", ["brain", "chest"])
def test_lesions_are_brighter_and_darker(kind):
    """Brightness alone finds nothing: both signs of contrast are common."""
    phantoms = make_phantoms(kind, 200, size=48, seed=7)
    change = phantoms.images.astype(int) - phantoms.twins
    positive = np.flatnonzero(phantoms.labels)
    brighter = np.array([change[row][phantoms.masks[row]].mean() > 0 for row in positive])
    assert 0.3 < brighter.mean() < 0.7


def test_every_split_is_balanced(phantoms):
    for split in range(3):
        labels = phantoms.labels[phantoms.split == split]
        assert len(labels) > 0
        assert labels.mean() == 0.5


@pytest.mark.parametrize("kind", AS_FIRST_RELEASED)
def test_brains_and_chests_stay_as_they_were(kind):
    """The same seed must give the same subjects in every version.

    Their pixels may differ by 1 between processors, which round the sine differently.
    """
    phantoms = make_phantoms(kind, 6, size=32, seed=4, shortcut=0.7)
    known = AS_FIRST_RELEASED[kind]
    for name in ("labels", "split", "markers"):
        assert getattr(phantoms, name).astype(int).tolist() == known[name]
    np.testing.assert_allclose(phantoms.masks.sum(axis=(1, 2)), known["areas"], atol=1)
    np.testing.assert_allclose(phantoms.images.mean(axis=(1, 2)), known["means"], atol=0.1)
    np.testing.assert_allclose(phantoms.images[1, 3::8, 3::8].astype(int), known["pixels"], atol=1)


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_subjects_and_count_does_not_matter(kind):
    few, many, other = (
        make_phantoms(kind, count, size=32, seed=seed) for count, seed in ((9, 4), (300, 4), (9, 5))
    )
    for name in ("images", "twins", "masks", "labels", "split", "markers"):
        np.testing.assert_array_equal(getattr(few, name), getattr(many, name)[:9])
    assert all((few.images[row] != other.images[row]).any() for row in range(9))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [32, 100, 256])
def test_sizes(kind, size, monkeypatch):
    monkeypatch.setattr("medxgan.data.phantom.MOST_SUBJECTS_A_CHUNK", 4)
    phantoms = make_phantoms(kind, 4, size=size, seed=0)
    assert phantoms.masks.shape == (4, size, size)
    colours = (3,) if kind == "histology" else ()
    assert phantoms.images.shape == phantoms.twins.shape == (4, size, size, *colours)
    assert (phantoms.images.dtype, phantoms.masks.dtype) == (np.uint8, np.bool_)
    assert all(len(np.unique(image)) > 20 for image in phantoms.images)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_certain_shortcut_marks_one_class(share):
    phantoms = make_phantoms("brain", 64, size=32, seed=2, shortcut=share)
    np.testing.assert_array_equal(phantoms.markers, phantoms.labels == share)


@pytest.mark.parametrize(("kind", "ink"), [("chest", 255), ("histology", GREEN_INK)])
def test_the_marker_is_drawn_on_image_and_twin_and_nowhere_else(kind, ink):
    plain = make_phantoms(kind, 64, size=32, seed=2)
    marked = make_phantoms(kind, 64, size=32, seed=2, shortcut=0.8)
    letter = np.zeros((32, 32), bool)
    letter[2:7, 2:4] = letter[5:7, 2:6] = True
    assert not plain.markers.any()
    assert 0 < marked.markers.sum() < 64
    for with_marker, without in ((marked.images, plain.images), (marked.twins, plain.twins)):
        np.testing.assert_array_equal(with_marker[~marked.markers], without[~marked.markers])
        np.testing.assert_array_equal(with_marker[:, ~letter], without[:, ~letter])
        assert (with_marker[marked.markers][:, letter] == ink).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "brian"}, "no phantom is called 'brian'; did you mean 'brain'"),
        ({"count": 0}, "number of phantoms must be at least 1, got 0"),
        ({"size": 31}, "size must be 32 to 256 pixels, got 31"),
        ({"size": 257}, "size must be 32 to 256 pixels, got 257"),
        ({"shortcut": 1.5}, "probability must be 0 to 1, got 1.5"),
        ({"task": "grade"}, "no phantom task is called 'grade'; did you mean 'graded'"),
        ({"task": "graded", "shortcut": 0.9}, "got the task 'graded'; choose the task 'binary'"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ConfigError, match=message):
        make_phantoms(**({"kind": "brain", "count": 2} | arguments))


@pytest.mark.parametrize("name", ["set.npz", "folder"])
def test_written_phantoms_are_read_back(tmp_path, name):
    phantoms = make_phantoms("brain", 60, size=32, seed=9)
    written = []
    write_phantoms(phantoms, tmp_path / "deep" / name, "brain", 9, written.append)
    data = open_dataset(tmp_path / "deep" / name)
    assert written[-1] == len(data) == 60
    assert data.class_names == ("healthy", "lesion")
    assert data.notes == ()

    ids = [str(group).rpartition("/")[2].removesuffix(".png") for group in data.groups]
    rows = [int(subject.removeprefix("brain-9-")) for subject in ids]
    assert sorted(rows) == list(range(60))
    np.testing.assert_array_equal(data.labels, phantoms.labels[rows])
    np.testing.assert_array_equal(data.split, phantoms.split[rows])
    np.testing.assert_array_equal(data.table.pixels[:, 0], phantoms.images[rows])
    np.testing.assert_array_equal(data.table.twins[:, 0], phantoms.twins[rows])
    masks, known = data.mask_images()
    np.testing.assert_array_equal(masks.numpy(), phantoms.masks[rows])
    assert bool(known.all())


def test_markers_are_told(tmp_path):
    phantoms = make_phantoms("brain", 40, size=32, seed=9, shortcut=0.9)
    write_phantoms(phantoms, tmp_path / "set.npz", "brain", 9)
    with np.load(tmp_path / "set.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["markers"], phantoms.markers)
        np.testing.assert_array_equal(arrays["boxes"], lesion_boxes(phantoms.masks))
    write_phantoms(phantoms, tmp_path / "folder", "brain", 9)
    rows = read_rows(tmp_path / "folder" / "manifest.csv")
    assert [row["marker"] == "1" for row in rows] == phantoms.markers.tolist()
    assert len(open_dataset(tmp_path / "folder" / "manifest.csv")) == 40


def test_boxes_enclose_masks(phantoms):
    boxes = lesion_boxes(phantoms.masks)
    assert (boxes[phantoms.labels == 0] == -1).all()
    for row in np.flatnonzero(phantoms.labels):
        x0, y0, x1, y1 = boxes[row]
        ys, xs = np.nonzero(phantoms.masks[row])
        assert (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) == (x0, y0, x1, y1)


def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(OutputError, match="is not empty"):
        write_phantoms(make_phantoms("brain", 2, size=32), tmp_path / "mine", "brain", 0)
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "notes.txt"]


def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    def fail_late(picture, path, **options):
        if "twins" in str(path):
            raise OSError(28, "No space left on device")
        path.write_bytes(b"x")

    monkeypatch.setattr(Image.Image, "save", fail_late)
    with pytest.raises(OutputError, match="No space left on device"):
        write_phantoms(make_phantoms("brain", 4, size=32), tmp_path / "set", "brain", 0)
    assert list(tmp_path.iterdir()) == []
