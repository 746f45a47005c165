"""Phantoms of three classes, with a severity, and in colour."""

import numpy as np
import pytest
import torch

from medxgan.data import open_dataset, phantom_dataset, write_phantoms
from medxgan.data.nuclei import Nuclei, draw_nuclei
from medxgan.data.phantom import make_phantoms
from medxgan.data.phantom_tasks import LEAST_VALUE, THREE_CLASSES, draw_findings, draw_splits
from medxgan.data.shapes import Canvas
from test_phantom import grown

KINDS = ("brain", "chest", "histology")
TASKS = ("three-class", "graded")


@pytest.fixture(scope="module", params=[(kind, task) for kind in KINDS for task in TASKS])
def phantoms(request):
    kind, task = request.param
    return make_phantoms(kind, 150, size=48, seed=7, task=task)


def test_masks_are_there_exactly_where_something_is_shown(phantoms):
    np.testing.assert_array_equal(phantoms.masks.any(axis=(1, 2)), phantoms.labels > 0)


def test_twins_differ_only_near_what_is_shown(phantoms):
    """A lobar change has the widest margin; beyond it not one pixel differs."""
    change = np.abs(phantoms.images.astype(int) - phantoms.twins)
    assert change[~grown(phantoms.masks, 8)].max() <= 1
    assert change[~grown(phantoms.masks, 12)].max() == 0
    assert change[phantoms.labels == 0].max() == 0
    inside = [change[row][phantoms.masks[row]].mean() for row in np.flatnonzero(phantoms.labels)]
    assert min(inside) > 3


def test_classes_and_severities_are_balanced_in_every_split(phantoms):
    count = len(phantoms.class_names)
    share = [1 / 3] * 3 if phantoms.task == "three-class" else [1 / 5, 4 / 5]
    for split in np.unique(phantoms.split):
        labels = phantoms.labels[phantoms.split == split]
        np.testing.assert_allclose(np.bincount(labels, minlength=count) / len(labels), share)


def test_same_seed_same_subjects_and_count_does_not_matter(phantoms):
    kind = {names: kind for kind, names in THREE_CLASSES.items()}.get(phantoms.class_names, "brain")
    few, many = (
        make_phantoms(kind, count, size=32, seed=4, task=phantoms.task) for count in (7, 300)
    )
    for name in ("images", "twins", "masks", "labels", "split"):
        np.testing.assert_array_equal(getattr(few, name), getattr(many, name)[:7])
    if few.values is not None:
        np.testing.assert_array_equal(few.values, many.values[:7])


@pytest.mark.parametrize("kind", KINDS)
def test_classes_differ_in_shape_not_in_the_healthy_tissue(kind):
    names = THREE_CLASSES[kind]
    assert make_phantoms(kind, 3, size=32, task="three-class").class_names == names
    assert names[1:] == tuple(sorted(names[1:]))  # a folder is read back in this order


def test_values_are_there_for_the_graded_task_alone():
    assert make_phantoms("brain", 2, size=32).values is None
    assert make_phantoms("brain", 3, size=32, task="three-class").values is None


@pytest.mark.parametrize("kind", KINDS)
def test_the_value_is_the_load_of_the_lesion(kind):
    phantoms = make_phantoms(kind, 200, size=48, seed=3, task="graded")
    assert phantoms.values.dtype == np.float32
    np.testing.assert_array_equal(phantoms.values == 0, phantoms.labels == 0)
    ill = phantoms.labels > 0
    values = phantoms.values[ill]
    assert LEAST_VALUE <= values.min() < 0.6
    assert 3.8 < values.max() <= 4
    counts = np.histogram(values, bins=4, range=(LEAST_VALUE, 4))[0]
    np.testing.assert_array_equal(counts, [40] * 4)
    load = np.abs(phantoms.images.astype(float) - phantoms.twins).reshape(200, -1).mean(axis=1)
    assert np.corrcoef(values, load[ill])[0, 1] > 0.7


@pytest.mark.parametrize("task", TASKS)
def test_neighbours_hold_each_class_and_share_a_split(task):
    block = 3 if task == "three-class" else 5
    random = torch.Generator().manual_seed(1)
    labels, values = draw_findings(task, 40 * block, random)
    splits = draw_splits(task, 40 * block, random).view(40, block)
    assert bool((splits == splits[:, :1]).all())
    assert splits.unique().tolist() == [0, 1, 2]
    fourth = (4 - LEAST_VALUE) / 4
    rank = labels if values is None else ((values - LEAST_VALUE) / fourth).ceil().long()
    assert all(sorted(part.tolist()) == list(range(block)) for part in rank.view(40, block))
    assert len({tuple(part.tolist()) for part in labels.view(40, block)}) > 1


@pytest.mark.parametrize("name", ["set.npz", "folder"])
@pytest.mark.parametrize(
    ("kind", "task"), [("histology", "graded"), ("histology", "three-class"), ("brain", "graded")]
)
def test_written_phantoms_are_read_back(tmp_path, name, kind, task):
    phantoms = make_phantoms(kind, 60, size=32, seed=2, task=task)
    write_phantoms(phantoms, tmp_path / name, kind, 2)
    data = open_dataset(tmp_path / name)
    straight = phantom_dataset(phantoms, kind, 2)
    ids = [str(group).rpartition("/")[2].removesuffix(".png") for group in data.groups]
    assert sorted(ids) == straight.groups.tolist()
    expected = straight.take([straight.groups.tolist().index(subject) for subject in ids])
    assert data.class_names == phantoms.class_names
    assert data.channels == (3 if kind == "histology" else 1)
    assert data.notes == ()
    for column in ("labels", "split"):
        np.testing.assert_array_equal(getattr(data, column), getattr(expected, column))
    torch.testing.assert_close(data.images(), expected.images(), rtol=0, atol=0)
    torch.testing.assert_close(data.twin_images(), expected.twin_images(), rtol=0, atol=0)
    torch.testing.assert_close(data.mask_images(), expected.mask_images(), rtol=0, atol=0)
    if task == "graded":
        torch.testing.assert_close(data.values, expected.values, rtol=0, atol=0)
    else:
        assert data.values is None


def test_the_command_draws_and_inspect_tells(medxgan, tmp_path):
    drawn = medxgan(
        "phantom", tmp_path / "set.npz", "--kind", "histology", "--task", "graded", "--count", 20,
        "--size", 32,
    )  # fmt: skip
    assert drawn.code == 0
    assert "20 phantoms (16 with a lesion, of severity 0." in drawn.out
    shown = medxgan("inspect", tmp_path / "set.npz")
    assert "known for 20 images, 0 to 3." in shown.out
    assert "colour" in shown.out
    refused = medxgan("phantom", tmp_path / "other.npz", "--task", "threeclass")
    assert refused.code == 2
    assert "did you mean 'three-class'" in refused.err


def test_tissue_is_pink_and_its_nuclei_blue():
    """Haematoxylin takes red light, which eosin leaves: where nuclei come, red falls most."""
    phantoms = make_phantoms("histology", 40, size=64, seed=6)
    red, green, blue = phantoms.twins.reshape(-1, 3).mean(axis=0)
    assert red > blue > green
    lesions = phantoms.masks
    darker = phantoms.images[lesions].astype(float) - phantoms.twins[lesions]
    assert darker[:, 0].mean() < darker[:, 2].mean() < 0


def test_stain_and_noise_are_the_same_in_image_and_twin():
    """Outside the lesion nothing tells which of the two one sees."""
    phantoms = make_phantoms("histology", 20, size=32, seed=8)
    far = ~grown(phantoms.masks, 12)
    np.testing.assert_array_equal(phantoms.images[far], phantoms.twins[far])


def one_nucleus(x, y, size=64, length=0.2, width=0.1, turn=0.0, rough=0.0):
    canvas = Canvas(1, size, torch.Generator().manual_seed(0))
    place = [torch.full((1, 1, 1), value) for value in (x, y, length, width, turn, 1.0)]
    return draw_nuclei(canvas, Nuclei(*place, longest=length, rough=rough))


@pytest.mark.parametrize("turn", [0.0, 0.7, torch.pi / 2])
def test_a_nucleus_has_the_area_of_its_ellipse(turn):
    inside = one_nucleus(0.1, -0.3, size=256, turn=turn).density() > 0.5
    assert float(inside.float().mean()) * 4 == pytest.approx(torch.pi * 0.2 * 0.1, rel=0.02)


def test_a_nucleus_at_the_border_is_cut_off_and_one_beyond_it_is_not_drawn():
    whole = one_nucleus(0.0, 0.0).density()
    half = one_nucleus(1.0, 0.0).density()
    torch.testing.assert_close(half[:, :, -32:], whole[:, :, :32].flip(2)[:, :, :32].flip(2))
    for x, y in ((1.5, 0.0), (0.0, -1.5), (9.0, 9.0)):
        assert not one_nucleus(x, y).density().any()


def test_tiles_hold_the_whole_nucleus():
    """Nothing is cut off at the rim of a tile, however irregular the outline."""
    values = one_nucleus(0.0, 0.0, width=0.2, rough=0.12).values
    rim = torch.cat(
        [values[..., 0, :], values[..., -1, :], values[..., 0], values[..., -1]], dim=-1
    )
    assert float(rim.max()) < 0.01
