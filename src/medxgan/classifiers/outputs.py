"""From a model's raw output to scores and log-odds: one row a rule, for every ``spec.output``."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from medxgan.errors import ClassifierError
from medxgan.types import ClassifierSpec, Output

PROBABILITY_TOLERANCE = 1e-2  # bfloat16 keeps 8 bits: a softmax row may miss 1 by this much
CLAMPED_PROBABILITY = 1e-6  # log-odds of given probabilities stay within about ±13.8


def raw_outputs(spec: ClassifierSpec) -> int:
    """Numbers that the model itself returns for an image: one for ``binary_logit``, else K.

    >>> raw_outputs(ClassifierSpec(size=32, output="binary_logit", class_names=("no", "yes")))
    1
    """
    return 1 if spec.output == "binary_logit" else spec.outputs


def as_rows(raw: object, spec: ClassifierSpec, images: int) -> Tensor:
    """Raw output of a model on N ``images`` as float32 ``[N, raw_outputs]``.

    Raises:
        ClassifierError: not a tensor, not N rows, or another number of columns than the
            specification says.
    """
    if not isinstance(raw, Tensor):
        raise ClassifierError(
            f"the model must return one tensor of scores, got {type(raw).__name__}; "
            "wrap it in a module that returns the scores alone"
        )
    columns = raw_outputs(spec)
    shape = list(raw.shape)
    if columns == 1 and shape == [images]:
        raw = raw.unsqueeze(1)
    if list(raw.shape) != [images, columns]:
        raise ClassifierError(
            f"with output '{spec.output}' and {spec.outputs} class name(s) the model must return "
            f"{[images, columns]} for {images} images, got {shape}; {_shape_advice(shape, spec)}"
        )
    return raw.float()


def _shape_advice(shape: Sequence[int], spec: ClassifierSpec) -> str:
    if spec.output == "binary_logit" and len(shape) == 2 and shape[1] == 2:
        return "output 'logits' or 'probabilities' fits two columns"
    if spec.output in ("logits", "probabilities") and spec.outputs == 2 and shape[1:] in ([], [1]):
        return "output 'binary_logit' fits one column"
    return "correct output or class_names in the specification"


def check_values(rows: Tensor, spec: ClassifierSpec) -> None:
    """Refuse values that contradict the specification.

    Args:
        rows: float32 ``[N, raw_outputs]``.
        spec: what they should be.

    Raises:
        ClassifierError: NaN or infinity, probabilities outside [0, 1] or rows of them that do not
            sum to 1.
    """
    if not bool(torch.isfinite(rows).all()):
        raise ClassifierError(
            "the model returned NaN or infinite scores; check its weights and the intensity_range, "
            "mean and std of its specification"
        )
    if spec.output != "probabilities":
        return
    low, high = float(rows.min()), float(rows.max())
    if low < -PROBABILITY_TOLERANCE or high > 1 + PROBABILITY_TOLERANCE:
        raise ClassifierError(
            f"output 'probabilities' must lie in [0, 1], got values from {low:.3g} to {high:.3g}; "
            "if the model returns logits, set output to 'logits'"
        )
    total = rows.sum(1)
    worst = float(total[(total - 1).abs().argmax()])
    if abs(worst - 1) > PROBABILITY_TOLERANCE:
        raise ClassifierError(
            f"output 'probabilities' must sum to 1 over the classes, got {worst:.3g}; "
            "if the classes do not exclude one another, return their logits and set output to "
            "'multilabel_logits'"
        )


def check_not_probabilities(rows: Tensor, spec: ClassifierSpec) -> None:
    """Refuse softmax outputs declared as logits: a second softmax would flatten every score.

    Raises:
        ClassifierError: every row lies in [0, 1] and sums to 1.
    """
    inside = bool(((rows >= 0) & (rows <= 1)).all())
    if spec.output == "logits" and inside and bool(((rows.sum(1) - 1).abs() < 1e-5).all()):
        raise ClassifierError(
            "output 'logits' was specified, but every row lies in [0, 1] and sums to 1, as after a "
            "softmax; set output to 'probabilities'"
        )


def scores_from_rows(rows: Tensor, output: Output) -> Tensor:
    """Scores ``[N, K]``: probabilities, or the value of a regression.

    Args:
        rows: float32 ``[N, K]``; ``[N, 1]`` for ``binary_logit`` and ``value``.
        output: what the rows are.

    >>> scores_from_rows(torch.zeros(1, 1), "binary_logit")
    tensor([[0.5000, 0.5000]])
    """
    match output:
        case "logits":
            return rows.softmax(1)
        case "probabilities":
            return rows.clamp(0, 1)
        case "binary_logit":
            return torch.cat([-rows, rows], 1).sigmoid()
        case "multilabel_logits":
            return rows.sigmoid()
        case "value":
            return rows


def log_odds_from_rows(rows: Tensor, output: Output, target: int) -> Tensor:
    """Log-odds of class ``target`` against the rest, ``[N]``, without saturation.

    From logits ``z``: ``z_t - logsumexp(z_others)``. From one binary logit: ``z`` or ``-z``. From
    multi-label logits: ``z_t``. From probabilities: ``logit(p_t)`` with p kept 1e-6 away from 0
    and 1, where its gradient ends. A regression value has no odds and is returned as it is;
    ``ValueScale.evidence`` makes of it what stands for them.

    >>> log_odds_from_rows(torch.tensor([[0.0, 300.0]]), "logits", 1)
    tensor([300.])
    """
    match output:
        case "logits":
            others = torch.cat([rows[:, :target], rows[:, target + 1 :]], 1)
            return rows[:, target] - others.logsumexp(1)
        case "probabilities":
            kept = rows[:, target].clamp(CLAMPED_PROBABILITY, 1 - CLAMPED_PROBABILITY)
            return torch.logit(kept)
        case "binary_logit":
            return rows[:, 0] if target == 1 else -rows[:, 0]
        case "multilabel_logits" | "value":
            return rows[:, target]


def places_in_range(rows: Tensor, spec: ClassifierSpec) -> Tensor:
    """Values as shares of their range, 0 at the lowest; other rows as they are; any shape.

    >>> entries = {"output": "value", "class_names": ["dose"], "value_range": [0, 0.001]}
    >>> places_in_range(torch.tensor([[0.0005]]), ClassifierSpec(size=8, **entries))
    tensor([[0.5000]])
    """
    if spec.value_range is None:
        return rows
    low, high = spec.value_range
    return (rows - low) / (high - low)


def class_logits(rows: Tensor, output: Output) -> Tensor:
    """Logits ``[N, K]`` for a cross-entropy, from ``logits`` or one ``binary_logit``.

    >>> class_logits(torch.tensor([[2.0]]), "binary_logit")
    tensor([[0., 2.]])
    """
    return functional.pad(rows, (1, 0)) if output == "binary_logit" else rows
