"""What is counted: answers, statuses, failed maps, and whether there is enough of anything."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from medxgan.counting import counted
from medxgan.evaluate.columns import Columns, Place
from medxgan.types import ProblemKind, Status

FEWEST = 10
ALIKE = 1e-4

ANY_METHOD = ""

RESTING: dict[Place, str] = {
    ("monotonicity", "spearman"): "the rank correlation along films",
    ("counterfactual", "oracle_validity"): "the oracle's verdict",
    ("counterfactual", "outside_mask_mae"): "the change outside the lesion",
    ("counterfactual", "twin_psnr"): "the comparison with healthy twins",
    ("localization",): "localisation",
    ("noise_robustness", ANY_METHOD, "iou_ratio"): "the overlap that some maps keep under noise",
    ("completeness",): "completeness",
    ("sanity",): "the sanity of some methods",
}
"""Where a figure may rest on fewer than all images called positive -> how a note calls it."""


class Size(NamedTuple):
    """How much a figure rests on: patients or groups, and their images."""

    groups: int
    images: int

    @property
    def words(self) -> str:
        """Images, and the patients too where images are not what is lacking.

        >>> Size(2, 3).words, Size(1, 12).words
        ('3 images', '12 images from 1 patient or group')
        """
        images = counted(self.images, "image", "images")
        if self.images < FEWEST:
            return images
        return f"{images} from {counted(self.groups, 'patient or group', 'patients or groups')}"


def count_predictions(
    called: NDArray[np.bool_],
    labels: NDArray[np.int64],
    target: int,
    why_unknown: str = "no image is labelled",
) -> dict[str, int | str | None]:
    """How the classifier's answers compare with the labels, in images.

    Args:
        called: what the classifier calls positive, ``[N]``.
        labels: class indices ``[N]``, -1 = unlabelled.
        target: index of the explained class.
        why_unknown: reason to give where no image has a label.

    >>> counts = count_predictions(np.array([True, True, False]), np.array([1, 0, 1]), target=1)
    >>> counts["detected"], counts["false_alarms"], counts["missed"]
    (1, 1, 1)
    """
    labelled, positive = labels >= 0, labels == target
    counts: dict[str, int | str | None] = {
        "called_positive": int(called.sum()),
        "called_negative": int((~called).sum()),
        "unlabelled": int((~labelled).sum()),
    }
    if not labelled.any():
        unknown = dict.fromkeys(("detected", "missed", "false_alarms"))
        return {**counts, **unknown, "reason": why_unknown}
    return {
        **counts,
        "detected": int((called & positive).sum()),
        "missed": int((~called & positive).sum()),
        "false_alarms": int((called & labelled & ~positive).sum()),
    }


def count_statuses(statuses: Sequence[Status]) -> dict[str, int]:
    """How many explanations are sound, and how many have each problem (or several).

    >>> count_statuses([Status(), Status()])["ok"]
    2
    """
    kinds = Counter(problem.kind for status in statuses for problem in status.problems)
    return {
        "n": len(statuses),
        "ok": sum(status.ok for status in statuses),
        **{kind: kinds[kind] for kind in get_args(ProblemKind)},
    }


def count_failed_maps(columns: Columns) -> dict[str, int]:
    """Method -> images on which its map is not all finite numbers."""
    return {
        place[1]: int(failed.sum())
        for place, failed in columns.items()
        if place[0] == "failed_maps"
    }


def notes_on_size(columns: Columns, groups: Sequence[str], of_all: Sequence[str]) -> list[str]:
    """A sentence wherever intervals mean little, because of too few images or patients.

    Args:
        columns: of the N images that the classifier calls positive.
        groups: patient of each of them.
        of_all: patient of every image, called positive or not.

    >>> notes_on_size({}, ["a"] * 4, ["a"] * 4 + list("bcdefghij"))
    ['only 4 images are called positive: intervals from fewer than 10 images mean little']
    >>> import torch
    >>> three = {("localization", "ig", "iou"): torch.tensor([1.0] * 3 + [torch.nan] * 9)}
    >>> notes_on_size(three, list("abcdefghijkl"), list("abcdefghijkl"))
    ['localisation rests on 3 images: its intervals mean little']
    """
    called = Size(len(set(groups)), len(groups))
    notes = [_note_on_positives(called)]
    rests: dict[Size, list[str]] = {}
    for pattern, words in RESTING.items():
        size = _smallest(columns, pattern, groups)
        if size is not None and size.groups < FEWEST and size < called:
            rests.setdefault(size, []).append(words)
    every = Size(len(set(of_all)), len(of_all))
    if every.groups < FEWEST:
        rests.setdefault(every, []).append("reconstruction")
    for size, figures in rests.items():
        one = len(figures) == 1
        notes.append(
            f"{_listed(figures)} {'rests' if one else 'rest'} on {size.words}: "
            f"{'its' if one else 'their'} intervals mean little"
        )
    return [note for note in notes if note]


def note_on_oracle(scores: Tensor, of_oracle: Tensor | None) -> list[str]:
    """A sentence where the oracle says of every image what the classifier says.

    Args:
        scores: C of every image, ``[N]``.
        of_oracle: what the oracle says of it, likewise; None where there is no oracle.

    >>> import torch
    >>> note_on_oracle(torch.tensor([0.2, 0.9]), torch.tensor([0.2, 0.90005]))
    ['the oracle and the classifier differ by at most 0.0001 on all 2 images: hardly an \
independent judge']
    >>> note_on_oracle(torch.tensor([0.2, 0.9]), torch.tensor([0.2, 0.8]))
    []
    """
    if of_oracle is None or not bool(((scores - of_oracle).abs() <= ALIKE).all()):
        return []
    return [
        f"the oracle and the classifier differ by at most {ALIKE:.4f} on all {len(scores)} images: "
        "hardly an independent judge"
    ]


def _note_on_positives(called: Size) -> str:
    if called.images < FEWEST:
        are = "is" if called.images == 1 else "are"
        return (
            f"only {called.words} {are} called positive: intervals from fewer than {FEWEST} images "
            "mean little"
        )
    if called.groups < FEWEST:
        return (
            f"there are {called.words} among those called positive: intervals from fewer than "
            f"{FEWEST} mean little"
        )
    return ""


def _smallest(columns: Columns, pattern: Place, groups: Sequence[str]) -> Size | None:
    """The least that any figure of this pattern rests on; None where none has a value."""
    sizes = []
    for place, values in columns.items():
        start = place[: len(pattern)]
        if all(name in (ANY_METHOD, own) for name, own in zip(pattern, start, strict=True)):
            defined = values.isfinite().tolist()
            known = [group for group, keep in zip(groups, defined, strict=True) if keep]
            sizes.append(Size(len(set(known)), len(known)))
    return min((size for size in sizes if size.images), default=None)


def _listed(words: Sequence[str]) -> str:
    """Words with commas, and an "and" before the last."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
