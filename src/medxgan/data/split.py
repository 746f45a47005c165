"""Training, validation and test rows, such that no group (patient) is in two of them."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medxgan.data.labels import UNLABELLED
from medxgan.errors import DataError

SPLIT_NAMES = ("train", "val", "test")
SPLITS = {"train": 0, "val": 1, "valid": 1, "validation": 1, "test": 2}
"""What users write, and the index under which it is kept."""
TRAIN, VAL, TEST = range(3)
SHARES = (0.70, 0.15, 0.15)
HELD_OUT = 0.15

Splits = NDArray[np.uint8]


def parse_splits(values: Sequence[str], where: str) -> Splits:
    """Split names or indices ``[N]`` -> uint8 ``[N]``: 0 train, 1 val, 2 test.

    Raises:
        DataError: another word or number; ``where`` says what was read.

    >>> parse_splits(["train", "Validation", "2"], "column 'split'")
    array([0, 1, 2], dtype=uint8)
    """
    known = SPLITS | {str(index): index for index in range(3)}
    unknown = {value for value in values if value.lower() not in known}
    if unknown:
        raise DataError(
            f"{where} must hold train, val or test (0, 1 or 2), got '{min(unknown)}'"
            + (": give a split to every row or to none" if "" in unknown else "")
        )
    return np.array([known[value.lower()] for value in values], dtype=np.uint8)


def complete_splits(
    given: Splits | None, labels: NDArray[np.int64], groups: NDArray[np.str_], seed: int
) -> tuple[Splits, tuple[str, ...]]:
    """Keep the splits that are given, make those that training needs, and say so.

    ===================  ==========================================================
    given                what is done
    ===================  ==========================================================
    none, or only train  70 % train, 15 % val, 15 % test
    train and test       val is taken from train, 15 % of it
    train and val        test is taken from train, 15 % of it
    all, or no train     kept
    ===================  ==========================================================

    New splits are made by group and as alike in labels as the groups allow.

    Returns:
        uint8 ``[N]``, and notes for the user.

    >>> splits, notes = complete_splits(None, np.zeros(20, int), np.arange(20).astype(str), 0)
    >>> np.bincount(splits).tolist(), notes
    ([14, 3, 3], ('no split was given: made one by group, seed 0: 14 train, 3 val, 3 test',))
    """
    present = set() if given is None else set(np.unique(given).tolist())
    if given is None or present == {TRAIN}:
        splits = split_by_group(labels, groups, SHARES, seed).astype(np.uint8)
        sizes = np.bincount(splits, minlength=3)
        counts = ", ".join(f"{n} {name}" for n, name in zip(sizes, SPLIT_NAMES, strict=True))
        missing = "no split was given" if given is None else "only 'train' was given"
        return splits, (f"{missing}: made one by group, seed {seed}: {counts}",)
    notes = _shared_groups_note(given, groups)
    if TRAIN not in present or present == {TRAIN, VAL, TEST}:
        return given, notes
    absent = VAL if VAL not in present else TEST
    splits = given.copy()
    train = np.flatnonzero(given == TRAIN)
    held_out = split_by_group(labels[train], groups[train], (1 - HELD_OUT, HELD_OUT), seed) == 1
    splits[train[held_out]] = absent
    notes += (
        f"no '{SPLIT_NAMES[absent]}' split was given: took {held_out.sum()} of {len(train)} "
        f"training images for it, by group, seed {seed}",
    )
    return splits, notes


def split_by_group(
    labels: NDArray[np.int64], groups: NDArray[np.str_], shares: Sequence[float], seed: int
) -> NDArray[np.intp]:
    """Part index ``[N]`` such that groups stay whole and parts get their share of every label.

    Groups are dealt out, largest first and shuffled among equals, each to the part where it lowers
    ``sum over parts and labels of (wanted - dealt)^2 / wanted`` most; all images together count as
    one more label. Where there are as many groups as parts, no part stays empty; and a part of
    fewer than two labels gets groups of others from parts that have some to spare, so that few
    groups, such as eight volumes, can be learned from and judged on.

    >>> parts = split_by_group(np.array([0, 1] * 6), np.array(list("aabbccddeeff")), (0.5, 0.5), 0)
    >>> np.bincount(parts).tolist(), bool((parts[::2] == parts[1::2]).all())
    ([6, 6], True)
    """
    names, member = np.unique(groups, return_inverse=True)
    tallies: list[Counter[int | str]] = [Counter() for _ in names]
    for group, label in zip(member.tolist(), labels.tolist(), strict=True):
        tallies[group].update((label, "all"))
    totals: Counter[int | str] = Counter(labels.tolist())
    totals["all"] = len(labels)
    wanted = [{label: share * count for label, count in totals.items()} for share in shares]
    lacking = [dict(part) for part in wanted]

    def cost(part: int, tally: Counter[int | str]) -> float:
        """Change of the sum above when a group with this tally goes to this part."""
        return sum(
            count * (count - 2 * lacking[part][label]) / wanted[part][label]
            for label, count in tally.items()
        )

    shuffled = np.random.default_rng(seed).permutation(len(names)).tolist()
    order = sorted(shuffled, key=lambda group: -tallies[group].total())
    parts = np.zeros(len(names), dtype=np.intp)
    for group in order:
        tally = tallies[group]
        costs = [cost(part, tally) for part in range(len(shares))]
        parts[group] = costs.index(min(costs))
        for label, count in tally.items():
            lacking[parts[group]][label] -= count
    for part in range(len(shares)):
        donors = [group for group in order if parts[group] == 0]
        if not (parts == part).any() and len(donors) > 1:
            parts[donors[-1]] = part
    shown = [frozenset(tally) - {"all", UNLABELLED} for tally in tallies]
    for part in range(len(shares)):
        _give_a_second_label(part, parts, order, shown)
    return np.asarray(parts[member])


def _give_a_second_label(
    part: int,
    parts: NDArray[np.intp],
    order: Sequence[int],
    labels: Sequence[frozenset[int | str]],
) -> None:
    """Move the smallest groups to spare into a part that shows fewer than two labels.

    One is to spare where its part keeps another group of each of its labels.

    Args:
        part: that is to show two.
        parts: of every group; changed in place.
        order: groups, the largest first.
        labels: of every group.
    """
    for _ in range(2):
        holders: defaultdict[int, Counter[int | str]] = defaultdict(Counter)
        for group in order:
            holders[int(parts[group])].update(labels[group])
        shown = {*holders[part]}
        if len(shown) > 1:
            return
        for group in reversed(order):
            kept = holders[int(parts[group])]
            if not labels[group] <= shown and all(kept[label] > 1 for label in labels[group]):
                parts[group] = part
                break


def _shared_groups_note(splits: Splits, groups: NDArray[np.str_]) -> tuple[str, ...]:
    """Warn of groups that a given split tears apart."""
    pairs = np.unique(np.stack([groups, splits.astype(groups.dtype)]), axis=1)
    _, occurrences = np.unique(pairs[0], return_counts=True)
    shared = int((occurrences > 1).sum())
    if not shared:
        return ()
    return (
        f"{shared} group(s) (patients) occur in more than one of the given splits: "
        "figures on the test images will look too good",
    )
