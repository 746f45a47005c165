"""Of what kind the explained answer is: a class among two, among many, a label, or a value.

All figures are of its score (``ClassifierSpec.score``), and mean the same for every kind. Here is
what differs: which images truly are positive, whose lesion a mask shows, and what is told beside.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medxgan.data import Dataset
from medxgan.evaluate.columns import Columns, Place, Rows
from medxgan.evaluate.document import fill
from medxgan.evaluate.explained import Explained
from medxgan.explain.scores import answers
from medxgan.explainer import Explainer
from medxgan.metrics.bootstrap import Summary
from medxgan.scoretext import words_for
from medxgan.types import ClassifierSpec

PARTS = ("image", "reconstruction", "counterfactual", "transferred")
VALUE_FIGURES = (*PARTS, "reconstruction_mae")
UNKNOWN = -1


def truth_of(data: Dataset, spec: ClassifierSpec, target: int) -> NDArray[np.int64]:
    """Which images truly are positive, ``[N]``: 1 yes, 0 no, -1 not known.

    By the label, which is the class of the target's name, or the one in its place where the data
    set knows no such name and as many classes; by the value and its threshold where the model
    gives a value.
    """
    scale, values = spec.value_scale, data.values
    if scale is not None:
        known = torch.full((len(data),), torch.nan) if values is None else values
        truth = torch.where(known.isfinite(), (known >= scale.threshold).long(), UNKNOWN)
        return truth.numpy().astype(np.int64)
    name, names = spec.class_names[target], data.class_names
    if name in names:
        target = names.index(name)
    elif len(names) != spec.outputs:
        return np.full(len(data), UNKNOWN)
    labels = data.labels
    return np.where(labels < 0, UNKNOWN, (labels == target).astype(np.int64))


def why_unknown(data: Dataset, spec: ClassifierSpec, target: int) -> str:
    """Why the truth is known of no image."""
    if spec.value_scale is not None:
        return "no image has a value"
    if data.class_names and (data.labels >= 0).any():
        return f"the data set has no class '{spec.class_names[target]}'"
    return "no image is labelled"


def masks_of_target(
    data: Dataset, rows: Rows, truth: NDArray[np.int64], spec: ClassifierSpec
) -> Tensor:
    """Masks of the explained finding, bool ``[n, H, W]``.

    Among many classes the mask of an image shows the lesion of its own class: where that is another
    one, it says nothing of the target, and is left empty. Of two classes, and of a value, every
    mask is of what is explained.
    """
    masks = data.mask_images(rows)[0]
    if spec.outputs > 2:
        masks = masks & torch.from_numpy(truth[rows] != 0).view(-1, 1, 1)
    return masks


def answer_columns(explainer: Explainer, explained: Explained, before: Tensor) -> Columns:
    """Values in their units, or the most likely class among many, of each image and what it became.

    Args:
        explainer: whose classifier is asked.
        explained: N images.
        before: scores of the images, ``[N]``.
    """
    spec = explainer.spec
    scale = spec.value_scale
    if scale is not None:
        scores = (
            before,
            explained.probabilities[-1],
            explained.probabilities[0],
            explained.transferred_score,
        )
        values = {part: scale.values(score) for part, score in zip(PARTS, scores, strict=True)}
        values["reconstruction_mae"] = (values["image"] - values["reconstruction"]).abs()
        return {("value", name): column for name, column in values.items()}
    if not among_many(spec):
        return {}
    pictures = (getattr(explained, name) for name in ("images", *PARTS[1:]))
    return {
        ("class", part): answers(explainer.classifier, images).argmax(1).float()
        for part, images in zip(PARTS, pictures, strict=True)
    }


def among_many(spec: ClassifierSpec) -> bool:
    """Does one class of more than two hold for an image?

    >>> among_many(ClassifierSpec(size=8, class_names=("a", "b", "c")))
    True
    """
    return spec.outputs > 2 and spec.output != "multilabel_logits"


def answer_sections(
    explainer: Explainer, columns: Columns, figures: Mapping[Place, Summary], reason: str
) -> dict[str, Any]:
    """What ``metrics.json`` says of the kind of answer.

    Args:
        explainer: whose classifier it is.
        columns: from ``answer_columns``, among others.
        figures: their means.
        reason: why there are none, if so.

    Returns:
        ``explained``: the name, the kind of output, the rule of what is positive, and the range of
        a value; ``value``: means in its units; ``classes``: how many of the images, and of what
        they became, the classifier takes most likely for which class. The last two only for models
        that have such answers.
    """
    spec, name = explainer.spec, explainer.bundle.target_name
    about: dict[str, Any] = {
        "name": name,
        "output": spec.output,
        "rule": words_for(name, spec).rule,
    }
    scale = spec.value_scale
    if scale is not None:
        about |= {"value_range": [scale.low, scale.high], "positive_from": scale.threshold}
        places = [("value", figure) for figure in VALUE_FIGURES]
        return {"explained": about, **fill(figures, {(): reason}, places)}
    if not among_many(spec):
        return {"explained": about}
    counts = {}
    for part in PARTS:
        named = columns.get(("class", part), torch.empty(0)).long()
        counted = named.bincount(minlength=spec.outputs).tolist()
        counts[part] = dict(zip(spec.class_names, counted, strict=True))
    return {"explained": about, "classes": counts}
