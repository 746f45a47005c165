"""Models that answer all images alike: nothing can be learned from such answers."""

from torch import Tensor

from medxgan.classifiers.outputs import log_odds_from_rows
from medxgan.errors import ClassifierError
from medxgan.scoretext import score_text
from medxgan.types import ClassifierSpec
from medxgan.value_scale import EVIDENCE_A_SCORE

SAME = 1e-4
"""Evidence of a smaller standard deviation is constant."""


def check_varies(
    evidence: Tensor, spec: ClassifierSpec, target: int, what: str, consequence: str
) -> None:
    """Refuse a model whose answers about many images are all the same.

    Args:
        evidence: of the images, ``[N]``: log-odds of ``target``, or ``ValueScale.evidence``.
        spec: of the model.
        target: index of the explained class.
        what: the images were: "drawn images".
        consequence: what follows, and what to do, as a half sentence.

    Raises:
        ClassifierError: the evidence does not vary; the answer is said in units of the value.

    >>> import torch
    >>> spec = ClassifierSpec(size=8, output="value", class_names=("grade",), value_range=(0, 4))
    >>> evidence = spec.value_scale.evidence(torch.full((9,), 3.0))
    >>> check_varies(evidence, spec, 0, "drawn images", "no direction changes it")
    Traceback (most recent call last):
    medxgan.errors.ClassifierError: the model gives ... drawn images, grade 3.00, so that no ...
    """
    if float(evidence.double().std(correction=0)) >= SAME:
        return
    mean = evidence.double().mean()
    name = spec.class_names[target]
    if spec.value_scale is None:
        answer = f"{score_text(float(mean.sigmoid()))} for '{name}'"
    else:
        answer = f"{name} {score_text(0.5 + float(mean) / EVIDENCE_A_SCORE, spec)}"
    raise ClassifierError(
        f"the model gives the same answer to all {len(evidence)} {what}, {answer}, "
        f"so that {consequence}"
    )


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
