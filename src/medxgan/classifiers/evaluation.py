"""How well a classifier tells the classes apart on labelled images."""

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medxgan.classifiers.torch_module import TorchClassifier
from medxgan.errors import DataError
from medxgan.types import ClassifierSpec

EVALUATION_BATCH = 256


class LabelledImages(Protocol):
    """Images with one class index each, read in batches."""

    def __len__(self) -> int:
        """How many images there are."""
        ...

    @property
    def labels(self) -> NDArray[np.integer[Any]]:
        """Class index of each image, ``[N]``."""
        ...

    def images(self, indices: NDArray[np.integer[Any]]) -> Tensor:
        """The images at ``indices``: float32 ``[n, C, H, W]`` in [-1, 1]."""
        ...


def check_labelled(view: LabelledImages, spec: ClassifierSpec, name: str) -> None:
    """Refuse a view that cannot be learned from or judged on.

    Raises:
        DataError: no images, labels that are not class indices of ``spec``, one class only, or
            images of another shape than ``spec`` says.
    """
    labels = np.asarray(view.labels)
    if len(view) == 0 or labels.shape != (len(view),):
        raise DataError(
            f"the {name} set must have images and one label each, "
            f"got {len(view)} images and {labels.size} labels"
        )
    present = np.unique(labels)
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"labels of the {name} set must be integers, got {labels.dtype}")
    if present[0] < 0 or present[-1] >= spec.outputs:
        raise DataError(
            f"labels of the {name} set must be 0 to {spec.outputs - 1} "
            f"({', '.join(spec.class_names)}), got {present[0]} to {present[-1]}"
        )
    if len(present) < 2:
        raise DataError(
            f"the {name} set must show at least 2 classes, got only "
            f"'{spec.class_names[present[0]]}'; add images of the others, or choose the sets "
            "yourself by folders train, val and test"
        )
    check_shape(view, spec, name)


def check_shape(view: LabelledImages, spec: ClassifierSpec, name: str) -> None:
    """Refuse images of another shape than a specification says.

    Raises:
        DataError: they have one.
    """
    expected = [1, spec.channels, spec.size, spec.size]
    first = list(view.images(np.arange(1)).shape)
    if first != expected:
        raise DataError(
            f"one image of the {name} set must come as [n, C, H, W] = {expected}, got {first}; "
            "resize the images or correct the specification"
        )


def labels_of(view: LabelledImages) -> Tensor:
    """Class indices of all images of ``view``, int64 ``[N]`` on the CPU."""
    return torch.from_numpy(np.asarray(view.labels).astype(np.int64))


def score_view(classifier: TorchClassifier, view: LabelledImages) -> Tensor:
    """Scores of all images of ``view``, ``[N, K]`` on the CPU."""
    batches = np.array_split(np.arange(len(view)), -(-len(view) // EVALUATION_BATCH))
    with torch.no_grad():
        return torch.cat(
            [classifier(view.images(batch).to(classifier.device)).cpu() for batch in batches]
        )


def area_under_curve(scores: Tensor, positive: Tensor) -> float:
    """Probability that a positive scores above a negative, ties counting half.

    The Mann-Whitney form of the area under the ROC curve; NaN without both classes.

    Args:
        scores: ``[N]``.
        positive: bool ``[N]``.

    >>> area_under_curve(torch.tensor([0.1, 0.4, 0.4, 0.8]), torch.tensor([0, 0, 1, 1]).bool())
    0.875
    """
    scores = scores.contiguous()
    ordered = scores.sort().values
    below = torch.searchsorted(ordered, scores)
    not_above = torch.searchsorted(ordered, scores, right=True)
    middle_rank = (below + not_above + 1).double() / 2
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return float("nan")
    rank_sum = float(middle_rank[positive].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def evaluate_classifier(classifier: TorchClassifier, view: LabelledImages) -> dict[str, Any]:
    """Accuracy, AUC and confusion on ``view``.

    Returns:
        ``n``; ``accuracy``; ``balanced_accuracy``, the mean recall of the classes present; ``auc``,
        of the second class where there are two, else the mean over one class against the rest;
        ``confusion``, counts with rows = truth and columns = prediction. For an ``output`` of
        ``multilabel_logits`` the class with the highest score counts as the prediction.

    Raises:
        DataError: as ``check_labelled``.
    """
    spec = classifier.spec
    check_labelled(view, spec, "evaluation")
    labels = labels_of(view)
    scores = score_view(classifier, view)
    pairs = labels * spec.outputs + scores.argmax(1)
    confusion = pairs.bincount(minlength=spec.outputs**2).view(spec.outputs, spec.outputs)
    present = confusion.sum(1) > 0
    recall = confusion.diagonal()[present] / confusion.sum(1)[present]
    judged = [1] if spec.outputs == 2 else [int(k) for k in present.nonzero()]
    areas = [area_under_curve(scores[:, k], labels == k) for k in judged]
    return {
        "n": len(labels),
        "accuracy": float(confusion.diagonal().sum() / len(labels)),
        "balanced_accuracy": float(recall.mean()),
        "auc": sum(areas) / len(areas),
        "confusion": confusion.tolist(),
    }
