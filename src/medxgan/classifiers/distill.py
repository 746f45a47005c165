"""Distilling a model: a network of this program that answers as it does, learned from its answers.

Nothing of the model but its answers is used, so that one without gradients will do: an ONNX file,
a function, a web service.
"""

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medxgan.classifiers.architectures import build_architecture
from medxgan.classifiers.constancy import check_varies, evidence_of_answers
from medxgan.classifiers.distill_settings import DistillEpoch, DistillSettings
from medxgan.classifiers.distillation_loss import (
    answers_of_rows,
    distillation_loss,
    surrogate_spec,
    taught_rows,
)
from medxgan.classifiers.fit import LEARNING_RATE, LEARNING_RATES, PATIENT_STEPS
from medxgan.classifiers.lessons import Asked, Images, Lessons, in_parts
from medxgan.classifiers.likeness import likeness, likeness_by_class
from medxgan.classifiers.model_input import ModelInput
from medxgan.classifiers.objectives import to_units
from medxgan.classifiers.outputs import as_rows, raw_outputs
from medxgan.classifiers.pupil import Pupil, class_weights
from medxgan.classifiers.surrogate import HELD_OUT, STANDS_FOR, describe_model, true_model_of
from medxgan.classifiers.torch_module import TorchClassifier
from medxgan.errors import ClassifierError, DataError
from medxgan.scoretext import score_text
from medxgan.types import ClassifierSpec

HELD_OUT_SHARE = 0.25
"""Of a limited number of queries, at most this share goes to validation, and to the test."""
GREATEST_WEIGHT = 10.0
"""Of a rare answer: beyond this a handful of images would decide everything."""

OnEpoch = Callable[[DistillEpoch], None]


class Known(NamedTuple):
    """Images as they are, and what the model answers: ``rows`` of a view, ``[N, K]``."""

    view: Images
    rows: NDArray[np.intp]
    answers: Tensor


def distill(
    model: TorchClassifier,
    train: Images,
    validation: Images,
    test: Images | None = None,
    *,
    target: int,
    settings: DistillSettings,
    device: torch.device,
    data_name: str | None = None,
    on_epoch: OnEpoch = lambda epoch: None,
) -> TorchClassifier:
    """Train a surrogate: a network that answers as ``model`` does.

    It learns the model's soft answers on varied images, softened further by a temperature (Hinton
    et al. 2015, arXiv 1503.02531); both see the same variation (Beyer et al. 2022, arXiv
    2106.05237). The rest is as in ``fit_classifier``: AdamW on one cycle of the learning rate,
    every answer weighted alike whatever its share, the moving average of the weights validated and
    kept. Labels play no part. The same seed gives the same weights on a CPU.

    Args:
        model: of any kind.
        train: images to ask it about, varied.
        validation: images that decide when to stop.
        test: images that only the finished surrogate is compared on; the validation images where
            None.
        target: index of the class that the model must answer both ways about.
        settings: how it learns.
        device: where the surrogate learns; the model answers where it is.
        data_name: kept in ``measured``.
        on_epoch: called after each epoch.

    Returns:
        The surrogate, on the CPU. Its ``measured`` holds what it ``stands_for`` (``TrueModel``),
        ``held_out`` figures of each class (``likeness``), ``queries``, and how it was trained.

    Raises:
        ClassifierError: the model is a surrogate itself, or answers all images alike; an unknown
            architecture; a loss that is no longer finite.
        DataError: no images, or of another shape than the model takes.
    """
    stands_for = true_model_of(model.measured)
    if stands_for is not None:
        raise ClassifierError(
            f"the model is a surrogate itself and stands for {stands_for}; distil that model"
        )
    views = {"training": train, "validation": validation} | ({"test": test} if test else {})
    for name, view in views.items():
        _check_fits(view, model.spec, name)
    asked = Asked(model)
    random = np.random.default_rng(settings.seed)
    known = {
        name: _ask_about(view, asked, settings.queries, random)
        for name, view in views.items()
        if name != "training"
    }
    check_answers_vary(torch.cat([part.answers for part in known.values()]), model.spec, target)
    learned = _learn(asked, train, known["validation"], target, settings, device, on_epoch)
    judged_on = "test" if "test" in known else "validation"
    judged = known[judged_on]
    answers = Asked(learned.surrogate).about(judged.view, judged.rows)
    learned.surrogate.measured = {
        STANDS_FOR: describe_model(model).model_dump(mode="json"),
        HELD_OUT: {
            "images": judged_on,
            "n": len(answers),
            "classes": likeness_by_class(judged.answers, answers, learned.surrogate.spec),
        },
        "queries": asked.images,
        "arch": settings.arch,
        "data": data_name,
        "seed": settings.seed,
        "temperature": settings.temperature,
        "epochs": learned.epochs,
        "best_epoch": learned.best_epoch,
        "train_images": len(train),
    }
    return learned.surrogate


def check_answers_vary(answers: Tensor, spec: ClassifierSpec, target: int) -> None:
    """Refuse a model that has nothing to teach about a class.

    Args:
        answers: of the model, ``[N, K]``.
        spec: of the model.
        target: index of the class.

    Raises:
        ClassifierError: its answer is the same for all images, or on one side of the decision.
    """
    check_varies(
        evidence_of_answers(answers, spec, target),
        spec,
        target,
        "images",
        "there is nothing to learn from it; check the model and its specification (intensity "
        "range, mean, std)",
    )
    scores, name = spec.score(answers, target), spec.class_names[target]
    low, high = float(scores.min()), float(scores.max())
    if low >= 0.5 or high < 0.5:
        side = "positive" if low >= 0.5 else "negative"
        measure = "scores" if spec.value_scale is None else name
        raise ClassifierError(
            f"the model calls all {len(scores)} images {side} for '{name}' ({measure} "
            f"{score_text(low, spec)} to {score_text(high, spec)}), so that a surrogate would "
            "agree with it by always saying so; add images of the other answer, choose another "
            "--target, or check the model's specification"
        )


def answer_weights(answers: Tensor, spec: ClassifierSpec) -> Tensor:
    """Weight of each answer that makes rare and frequent ones count alike, ``[K]``.

    At most ``GREATEST_WEIGHT``; 1 where answers do not exclude one another.

    >>> spec = ClassifierSpec(size=8, class_names=("no", "yes"))
    >>> answer_weights(torch.tensor([[0.9, 0.1]] * 3 + [[0.2, 0.8]]), spec)
    tensor([0.6667, 2.0000])
    """
    if spec.output in ("multilabel_logits", "value"):
        return torch.ones(spec.outputs)
    return class_weights(answers.argmax(1), spec.outputs).clamp(max=GREATEST_WEIGHT)


class _Learned(NamedTuple):
    surrogate: TorchClassifier
    epochs: int
    best_epoch: int


@dataclass(frozen=True)
class _Best:
    loss: float = math.inf
    epoch: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)


def _learn(
    asked: Asked,
    train: Images,
    validation: Known,
    target: int,
    settings: DistillSettings,
    device: torch.device,
    on_epoch: OnEpoch,
) -> _Learned:
    spec = surrogate_spec(asked.model.spec)
    steps = max(1, round(len(train) / settings.batch_size))
    most = settings.epochs * len(train)
    if settings.queries is not None:
        most = min(most, settings.queries - asked.images)
    lessons = Lessons(
        train, asked, most=most, batch_size=settings.batch_size, seed=settings.seed, device=device
    )
    weights = answer_weights(validation.answers, spec)
    patience = max(settings.patience, math.ceil(PATIENT_STEPS / steps))

    def loss_of(rows: Tensor, answers: Tensor) -> Tensor:
        weight = weights.to(rows.device)[answers.argmax(1)]
        taught = taught_rows(answers, spec)
        return distillation_loss(rows, taught, spec.output, settings.temperature, weight)

    number, best = 0, _Best()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(settings.seed)
        network = build_architecture(settings.arch, spec.channels, spec.size, raw_outputs(spec))
        pupil = Pupil(
            network.to(device),
            spec,
            total_steps=settings.epochs * steps,
            learning_rate=settings.learning_rate
            or LEARNING_RATES.get(settings.arch, LEARNING_RATE),
            seed=settings.seed,
            bf16=settings.bf16,
        )
        while number < settings.epochs and number - best.epoch < patience:
            pupil.network.train()
            train_loss = 0.0
            for step in range(number * steps, (number + 1) * steps):
                images, answers = lessons.batch(step)
                loss = loss_of(pupil.rows(images), answers)
                train_loss += pupil.descend(loss, steps) / steps
            number += 1
            rows = _rows(pupil.averaged, validation, spec, device)
            validation_loss = loss_of(rows, validation.answers).item()
            if not math.isfinite(train_loss + validation_loss):
                raise ClassifierError(
                    f"training diverged in epoch {number}: the loss is not finite; lower "
                    "learning_rate"
                )
            better = validation_loss < best.loss
            if better:
                best = _Best(validation_loss, number, deepcopy(pupil.averaged.state_dict()))
            agreement = likeness(
                spec.score(validation.answers, target),
                spec.score(answers_of_rows(rows, spec), target),
            )["agreement"]
            on_epoch(
                DistillEpoch(number, train_loss, validation_loss, agreement, better, asked.images)
            )
    pupil.averaged.load_state_dict(best.weights)
    if spec.value_range is not None:
        low, high = spec.value_range
        to_units(pupil.averaged, high - low, low)
    surrogate = TorchClassifier(pupil.averaged.cpu(), spec, settings.arch)
    return _Learned(surrogate, number, best.epoch)


def _check_fits(view: Images, spec: ClassifierSpec, name: str) -> None:
    if len(view) == 0:
        raise DataError(f"the {name} set must have images, got none")
    expected = [1, spec.channels, spec.size, spec.size]
    came = list(view.images(np.arange(1)).shape)
    if came != expected:
        raise DataError(
            f"the model takes images of {spec.size} pixels and {spec.channels} channel(s); one of "
            f"the {name} set comes as {came}, expected {expected}; resize the images or correct "
            "the specification"
        )


def _ask_about(
    view: Images, asked: Asked, queries: int | None, random: np.random.Generator
) -> Known:
    """What the model says of a view, or of as many of its images as the queries allow."""
    rows = random.permutation(len(view))
    if queries is not None:
        rows = rows[: int(HELD_OUT_SHARE * queries)]
    rows.sort()
    return Known(view, rows, asked.about(view, rows))


def _rows(module: nn.Module, known: Known, spec: ClassifierSpec, device: torch.device) -> Tensor:
    """Raw outputs of a network in training, ``[N, raw_outputs]`` on the CPU."""
    model_input = ModelInput(spec, device)
    with torch.no_grad():
        return torch.cat(
            [
                as_rows(module(model_input(part.to(device))), spec, len(part)).cpu()
                for part in in_parts(known.view, known.rows)
            ]
        )
