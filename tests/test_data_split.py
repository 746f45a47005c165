import numpy as np
import pytest

from medxgan.data.labels import UNLABELLED
from medxgan.data.split import complete_splits, parse_splits, split_by_group
from medxgan.errors import DataError


@pytest.fixture
def patients():
    """200 patients with 1 to 12 slices, all of one label."""
    rng = np.random.default_rng(0)
    slices = rng.integers(1, 13, 200)
    groups = np.repeat(np.arange(200).astype(str), slices)
    return np.repeat(rng.integers(0, 2, 200), slices), groups


def parts_of_groups(parts, groups):
    return {group: set(parts[groups == group].tolist()) for group in np.unique(groups)}


def test_no_group_is_in_two_splits(patients):
    labels, groups = patients
    splits, _ = complete_splits(None, labels, groups, seed=0)
    assert all(len(parts) == 1 for parts in parts_of_groups(splits, groups).values())


def test_shares_hold_for_every_label(patients):
    labels, groups = patients
    splits, _ = complete_splits(None, labels, groups, seed=0)
    for label in (0, 1):
        shares = np.bincount(splits[labels == label], minlength=3) / (labels == label).sum()
        np.testing.assert_allclose(shares, (0.70, 0.15, 0.15), atol=0.01)


def test_the_seed_decides(patients):
    first, _ = complete_splits(None, *patients, seed=0)
    again, _ = complete_splits(None, *patients, seed=0)
    other, _ = complete_splits(None, *patients, seed=1)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_single_images_are_dealt_exactly():
    labels = np.repeat([0, 1], [80, 20])
    splits, _ = complete_splits(None, labels, np.arange(100).astype(str), seed=3)
    assert np.bincount(splits[labels == 0]).tolist() == [56, 12, 12]
    assert np.bincount(splits[labels == 1]).tolist() == [14, 3, 3]


def test_large_groups_go_to_the_large_part():
    groups = np.repeat(["a", "b", *map(str, range(10))], [45, 45, *[1] * 10])
    splits, _ = complete_splits(None, np.zeros(100, int), groups, seed=0)
    assert splits[:90].tolist() == [0] * 90
    assert np.bincount(splits[90:]).tolist() == [0, 5, 5]


@pytest.mark.parametrize("count", [3, 4])
def test_few_groups_still_fill_every_part(count):
    groups = np.repeat(np.arange(count).astype(str), 10)
    parts = split_by_group(np.zeros(10 * count, int), groups, (0.7, 0.15, 0.15), seed=0)
    assert set(parts.tolist()) == {0, 1, 2}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("volumes", [6, 8, 10])
def test_few_volumes_show_both_labels_in_every_part(volumes, seed):
    labels, groups = np.repeat([0, 1] * (volumes // 2), 7), np.repeat(np.arange(volumes), 7)
    parts, _ = complete_splits(None, labels, groups.astype(str), seed)
    assert all(len(found) == 1 for found in parts_of_groups(parts, groups).values())
    assert [set(labels[parts == part].tolist()) for part in range(3)] == [{0, 1}] * 3


def test_a_part_gives_no_label_away_that_it_needs():
    labels, groups = np.array([0, 0, 0, 1]), np.array(list("abcd"))
    parts = split_by_group(labels, groups, (0.5, 0.5), seed=0)
    assert sorted(len(set(labels[parts == part].tolist())) for part in range(2)) == [1, 2]


def test_a_complete_split_is_kept():
    given = np.array([0, 1, 2, 2], dtype=np.uint8)
    splits, notes = complete_splits(given, np.zeros(4, int), np.array(list("abcd")), seed=0)
    np.testing.assert_array_equal(splits, given)
    assert notes == ()


@pytest.mark.parametrize("only", [1, 2])
def test_data_without_training_images_is_kept(only):
    given = np.full(4, only, dtype=np.uint8)
    splits, notes = complete_splits(given, np.zeros(4, int), np.array(list("abcd")), seed=0)
    np.testing.assert_array_equal(splits, given)
    assert notes == ()


@pytest.mark.parametrize(("present", "absent", "name"), [(2, 1, "val"), (1, 2, "test")])
def test_what_is_missing_is_taken_from_training(patients, present, absent, name):
    labels, groups = patients
    given = np.where(np.isin(groups, np.arange(50).astype(str)), present, 0).astype(np.uint8)
    splits, notes = complete_splits(given, labels, groups, seed=0)
    np.testing.assert_array_equal(splits[given == present], present)
    taken = (splits == absent).sum()
    assert taken == pytest.approx(0.15 * (given == 0).sum(), rel=0.05)
    assert all(len(parts) == 1 for parts in parts_of_groups(splits, groups).values())
    assert notes[-1].startswith(f"no '{name}' split was given: took {taken} of")


def test_training_images_alone_are_split_anew():
    labels, groups = np.zeros(20, int), np.arange(20).astype(str)
    splits, notes = complete_splits(np.zeros(20, np.uint8), labels, groups, seed=0)
    assert np.bincount(splits).tolist() == [14, 3, 3]
    assert "only 'train' was given" in notes[0]


def test_a_given_split_that_tears_a_patient_apart_is_said():
    given = np.array([0, 1, 2, 2], dtype=np.uint8)
    _, notes = complete_splits(given, np.zeros(4, int), np.array(["p", "q", "p", "r"]), seed=0)
    assert notes[0].startswith("1 group(s) (patients) occur in more than one")


def test_splits_are_read_as_words_or_numbers():
    words = ["train", "VAL", "valid", "validation", "Test", "0", "1", "2"]
    assert parse_splits(words, "split").tolist() == [0, 1, 1, 1, 2, 0, 1, 2]


def test_patients_without_a_label_leave_no_part_without_classes():
    """Three of five images fill a part as far as the shares go, and show no class."""
    sizes = [5, 1, 1, 1, 1, 1, 5, 5, 5]
    labels = np.repeat([0, 0, 0, 1, 1, 1, UNLABELLED, UNLABELLED, UNLABELLED], sizes)
    groups = np.repeat(np.arange(9).astype(str), sizes)
    for seed in range(20):
        parts = split_by_group(labels, groups, (0.7, 0.15, 0.15), seed)
        for part in range(3):
            assert {0, 1} <= {*labels[parts == part].tolist()}


@pytest.mark.parametrize(
    ("words", "message"),
    [(["train", "holdout"], "got 'holdout'"), (["train", ""], "every row or to none")],
)
def test_other_words_are_refused(words, message):
    with pytest.raises(DataError, match=message):
        parse_splits(words, "split")
