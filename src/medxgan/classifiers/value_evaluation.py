"""How well a model's values match known ones."""

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from medxgan.classifiers.evaluation import LabelledImages, check_shape, score_view
from medxgan.classifiers.torch_module import TorchClassifier
from medxgan.errors import DataError
from medxgan.types import ClassifierSpec


class ValuedImages(LabelledImages, Protocol):
    """Images with a number each."""

    @property
    def values(self) -> Tensor | None:
        """The number of each image, ``[N]``; None where there is none."""
        ...


def values_of(view: LabelledImages) -> Tensor:
    """Values of all images of ``view``, float32 ``[N]`` on the CPU.

    Raises:
        DataError: it has none.
    """
    values = getattr(view, "values", None)
    if values is None:
        raise DataError(
            "a model of a value learns from images with one value each, got images with classes "
            "alone; give their values, or fit classes"
        )
    return torch.as_tensor(values).float().cpu()


def check_valued(view: LabelledImages, spec: ClassifierSpec, name: str) -> None:
    """Refuse a view whose values cannot be learned or judged by.

    Raises:
        DataError: no images, no values, values that are not finite, one value only, or images of
            another shape than ``spec`` says.
    """
    values = values_of(view)
    if len(view) == 0 or list(values.shape) != [len(view)]:
        raise DataError(
            f"the {name} set must have images and one value each, got {len(view)} images and "
            f"{values.numel()} values"
        )
    unknown = int((~values.isfinite()).sum())
    if unknown:
        raise DataError(
            f"values of the {name} set must be finite numbers, got {unknown} of {len(view)} that "
            "are NaN or infinite; leave these images out"
        )
    if bool((values == values[0]).all()):
        raise DataError(
            f"the {name} set must show different values, got {float(values[0]):g} for all "
            f"{len(view)} images; add images with others"
        )
    check_shape(view, spec, name)


def determination(given: Tensor, known: Tensor) -> float:
    """R²: the share of the variance of the known values ``[N]`` that the given ones explain.

    >>> known = torch.tensor([0.0, 2.0, 4.0])
    >>> determination(known, known), determination(torch.full((3,), 2.0), known)
    (1.0, 0.0)
    """
    left = (known - given).double().square().sum()
    return float(1 - left / (known - known.mean()).double().square().sum())


def rank_correlation(first: Tensor, second: Tensor) -> float:
    """Spearman's correlation of two series ``[N]``, ties sharing their mean rank.

    NaN where one of them is constant.

    >>> rank_correlation(torch.tensor([0.0, 1.0, 5.0]), torch.tensor([2.0, 3.0, 4.0]))
    1.0
    """
    ranks = torch.stack([_mean_ranks(first), _mean_ranks(second)])
    centred = ranks - ranks.mean(1, keepdim=True)
    lengths = centred.square().sum(1).sqrt()
    return round(float((centred[0] * centred[1]).sum() / lengths.prod()), 12)


def evaluate_values(classifier: TorchClassifier, view: LabelledImages) -> dict[str, Any]:
    """R², mean absolute error and rank correlation on ``view``.

    Returns:
        ``n``; ``r2``, the share of the variance that is explained; ``mae``, in units of the value;
        ``spearman``, the rank correlation.

    Raises:
        DataError: as ``check_valued``.
    """
    check_valued(view, classifier.spec, "evaluation")
    known, given = values_of(view), score_view(classifier, view)[:, 0]
    return {
        "n": len(known),
        "r2": determination(given, known),
        "mae": float((given - known).abs().mean()),
        "spearman": rank_correlation(given, known),
    }


def _mean_ranks(values: Tensor) -> Tensor:
    _, place, counts = np.unique(values.numpy(), return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return torch.from_numpy((ends - (counts - 1) / 2)[place])
