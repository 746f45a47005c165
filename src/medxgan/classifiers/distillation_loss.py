"""What a surrogate learns: to answer as the model does, by how sure that model is of everything.

Hinton, Vinyals, Dean: Distilling the Knowledge in a Neural Network, 2015 (arXiv 1503.02531).
"""

import torch
from torch import Tensor

from medxgan.classifiers.outputs import CLAMPED_PROBABILITY, scores_from_rows
from medxgan.types import ClassifierSpec, Output


def surrogate_spec(spec: ClassifierSpec) -> ClassifierSpec:
    """What a surrogate of a model takes and gives: the same images and classes, as logits.

    Images come to it as they are explained, whatever size and intensities the model itself takes.

    >>> spec = ClassifierSpec(size=8, output="probabilities", class_names=("no", "yes"))
    >>> surrogate_spec(spec).output
    'logits'
    """
    output: Output = "logits" if spec.output == "probabilities" else spec.output
    kept = spec.model_dump(exclude={"output", "input_size", "intensity_range", "mean", "std"})
    return ClassifierSpec(output=output, **kept)


def taught_rows(answers: Tensor, spec: ClassifierSpec) -> Tensor:
    """What a surrogate should put out for these answers of the model.

    Probabilities become logits, but for a constant in each row; they are kept 1e-6 away from 0 and
    1, as what a model that is surer than that thinks of the other classes is noise. A value becomes
    its place in the range, 0 to 1.

    Args:
        answers: of the model, ``[N, K]``.
        spec: of the surrogate.

    Returns:
        ``[N, raw_outputs]``.

    >>> spec = ClassifierSpec(size=8, output="binary_logit", class_names=("no", "yes"))
    >>> taught_rows(torch.tensor([[0.5, 0.5], [0.25, 0.75]]), spec).flatten()
    tensor([0.0000, 1.0986])
    """
    if spec.value_range is not None:
        low, high = spec.value_range
        return (answers - low) / (high - low)
    if spec.output == "logits":
        return answers.clamp(min=CLAMPED_PROBABILITY).log()
    odds: Tensor = torch.logit(answers, eps=CLAMPED_PROBABILITY)
    return odds[:, 1:] if spec.output == "binary_logit" else odds


def answers_of_rows(rows: Tensor, spec: ClassifierSpec) -> Tensor:
    """The way back: what a surrogate that puts out ``rows`` answers, ``[N, K]``.

    >>> spec = ClassifierSpec(size=8, output="value", class_names=("grade",), value_range=(0, 4))
    >>> answers_of_rows(taught_rows(torch.tensor([[3.0]]), spec), spec)
    tensor([[3.]])
    """
    if spec.value_range is not None:
        low, high = spec.value_range
        return low + rows * (high - low)
    return scores_from_rows(rows, spec.output)


def distillation_loss(
    rows: Tensor, taught: Tensor, output: Output, temperature: float, weight: Tensor
) -> Tensor:
    """How far the surrogate's softened answers are from the model's: T² KL, nats.

    Logits are divided by the temperature before they become probabilities, so that the smaller ones
    count; T² keeps the size of the gradients (Hinton et al. 2015, section 2.1). Labels that do not
    exclude one another count as one question each, and their divergences are averaged. Of a value,
    which has no temperature, it is the squared error.

    Args:
        rows: of the surrogate, ``[N, raw_outputs]``.
        taught: of the model, as ``taught_rows`` gives them.
        output: what the rows are.
        temperature: T, above 0.
        weight: of each image, ``[N]``.

    Returns:
        The weighted mean over the images; 0 where the answers are the same.

    >>> rows = torch.tensor([[0.0, 2.0]])
    >>> even, one = torch.zeros(1, 2), torch.ones(1)
    >>> distillation_loss(rows, rows + 3, "logits", 2.0, one).item()
    0.0
    >>> round(distillation_loss(rows, even, "logits", 1.0, one).item(), 4)  # -log 2 sqrt(p (1 - p))
    0.4338
    """
    if output == "value":
        return (weight * (rows - taught).square().mean(1)).mean()
    ours, theirs = (
        (_questions(values, output) / temperature).log_softmax(2) for values in (rows, taught)
    )
    divergence = (theirs.exp() * (theirs - ours)).sum(2).mean(1)
    return temperature**2 * (weight * divergence).mean()


def _questions(rows: Tensor, output: Output) -> Tensor:
    """Logits ``[N, questions, answers]``: one question of K answers, or several of yes and no."""
    if output == "logits":
        return rows.unsqueeze(1)
    return torch.stack([torch.zeros_like(rows), rows], 2)
