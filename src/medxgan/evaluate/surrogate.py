"""Where a surrogate lends its gradients: how alike it and the model call the measured images."""

from typing import Any

import torch
from torch import Tensor

from medxgan.classifiers import TorchClassifier
from medxgan.classifiers.likeness import Likeness, likeness
from medxgan.classifiers.surrogate import WithSurrogate, held_out_likeness, true_model_of
from medxgan.evaluate.task import Task
from medxgan.explain.scores import evaluate, probability
from medxgan.surrogate_notes import here_text

AT_ONCE = 256


def models_of(classifier: TorchClassifier) -> tuple[TorchClassifier, ...]:
    """The explained classifier; where it is two, the model and its surrogate."""
    if isinstance(classifier, WithSurrogate):
        return classifier.model, classifier.surrogate
    return (classifier,)


def surrogate_section(task: Task, before: Tensor) -> dict[str, Any] | None:
    """What ``metrics.json`` says under ``surrogate``; None of an ordinary classifier.

    Args:
        task: what is measured.
        before: scores of all images by the model that answers, ``[N]``.

    Returns:
        ``stands_for``; ``answers``, ``model`` where the true model was given, else ``surrogate``;
        ``held_out`` and ``here``, how alike the two answer (``likeness``), None where not known.
    """
    classifier, explainer = task.explainer.classifier, task.explainer
    known = true_model_of(classifier.measured)
    if known is None:
        return None
    here = None
    if isinstance(classifier, WithSurrogate):
        here = _likeness_here(task, classifier.surrogate, before)
    return {
        "stands_for": str(known),
        "answers": "surrogate" if here is None else "model",
        "held_out": held_out_likeness(classifier.measured, explainer.bundle.target_name),
        "here": here,
    }


def surrogate_remarks(task: Task, section: dict[str, Any] | None) -> list[str]:
    """The same in sentences, for the notes."""
    here = None if section is None else section["here"]
    return [*task.explainer.notes, *([] if here is None else [here_text(here)])]


def _likeness_here(task: Task, surrogate: TorchClassifier, before: Tensor) -> Likeness:
    score = probability(surrogate, task.explainer.target)
    batches = torch.arange(len(task.data)).split(AT_ONCE)
    ours = [evaluate(score, task.images(batch.numpy())).cpu() for batch in batches]
    return likeness(before.cpu(), torch.cat(ours), logits=surrogate.spec.output != "value")
