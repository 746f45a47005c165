"""Models that answer all images alike: nothing can be learned from such answers."""

import torch
from torch import Tensor

from medxgan.classifiers.outputs import log_odds_from_rows
from medxgan.errors import ClassifierError
from medxgan.scoretext import score_text
from medxgan.types import ClassifierSpec
from medxgan.value_scale import EVIDENCE_A_SCORE

SAME = 1e-4
"""Evidence of a smaller standard deviation is constant."""
ABOVE_ROUNDING = 10.0
"""Answers must vary by so many times their rounding: of their variance, 1 % is rounding then."""
HALF_A_STEP = torch.finfo(torch.float32).eps / 2
"""Models answer in float32: a number is known to this share of itself."""


def check_varies(
    evidence: Tensor,
    spec: ClassifierSpec,
    target: int,
    what: str,
    consequence: str,
    *,
    noise: float = 0.0,
) -> None:
    """Refuse a model whose answers about many images are all the same, but for rounding.

    Rounding is what float32 leaves of such answers, see ``rounding``, or what was measured.

    Args:
        evidence: of the images, ``[N]``: log-odds of ``target``, or ``ValueScale.evidence``.
        spec: of the model.
        target: index of the explained class.
        what: the images were: "drawn images".
        consequence: what follows, and what to do, as a half sentence.
        noise: root mean square by which evidence differs when images are asked about again.

    Raises:
        ClassifierError: the evidence does not vary; the answer is said in units of the value.

    >>> import torch
    >>> spec = ClassifierSpec(size=8, output="value", class_names=("grade",), value_range=(0, 4))
    >>> evidence = spec.value_scale.evidence(torch.full((9,), 3.0))
    >>> check_varies(evidence, spec, 0, "drawn images", "no direction changes it")
    Traceback (most recent call last):
    medxgan.errors.ClassifierError: the model gives ... drawn images, grade 3.00, so that no ...
    """
    kept = float(rounding(evidence, spec).square().mean().sqrt())
    least = max(SAME, ABOVE_ROUNDING * kept, ABOVE_ROUNDING * noise)
    if float(evidence.double().std(correction=0)) >= least:
        return
    mean = evidence.double().mean()
    same = "the same answer" + ("" if evidence.min() == evidence.max() else ", but for rounding,")
    name = spec.class_names[target]
    if spec.value_scale is None:
        answer = f"{score_text(float(mean.sigmoid()))} for '{name}'"
    else:
        answer = f"{name} {score_text(0.5 + float(mean) / EVIDENCE_A_SCORE, spec)}"
    raise ClassifierError(
        f"the model gives {same} to all {len(evidence)} {what}, {answer}, so that {consequence}"
    )


def rounding(evidence: Tensor, spec: ClassifierSpec) -> Tensor:
    """By how much evidence ``[N]`` may be wrong because answers are numbers of float32.

    A probability p is known to ``HALF_A_STEP`` of itself, its log-odds to that over 1 - p: little
    near 0, and much near 1, where no number lies between 1 and 1 - 6e-8. Log-odds that the model
    itself gives, and values, are known to that share of themselves.

    Returns:
        ``[N]``, in units of evidence.

    >>> spec = ClassifierSpec(size=8, class_names=("no", "yes"), output="probabilities")
    >>> rounding(torch.tensor([0.0, 11.5, -11.5]), spec)
    tensor([1.1921e-07, 5.8840e-03, 5.9605e-08], dtype=torch.float64)
    """
    exact = evidence.double()
    if spec.output == "probabilities":
        return HALF_A_STEP * (1 + exact.exp())
    if spec.value_scale is None:
        return HALF_A_STEP * exact.abs()
    values = spec.value_scale.values(0.5 + exact / EVIDENCE_A_SCORE)
    return (spec.value_scale.evidence(values + HALF_A_STEP * values.abs()) - exact).abs()


def evidence_of_answers(answers: Tensor, spec: ClassifierSpec, target: int) -> Tensor:
    """Evidence ``[N]`` of probabilities or values ``[N, K]``, as ``check_varies`` takes it.

    >>> import torch
    >>> spec = ClassifierSpec(size=8, class_names=("no", "yes"))
    >>> evidence_of_answers(torch.tensor([[0.5, 0.5]]), spec, 1)
    tensor([0.])
    """
    scale = spec.value_scale
    if scale is None:
        return log_odds_from_rows(answers, "probabilities", target)
    return scale.evidence(answers[:, target])
