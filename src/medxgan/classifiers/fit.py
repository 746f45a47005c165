"""Training a classifier from labelled images, or a model of a value from graded ones."""

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medxgan.classifiers.architectures import build_architecture
from medxgan.classifiers.evaluation import EVALUATION_BATCH, LabelledImages
from medxgan.classifiers.model_input import ModelInput
from medxgan.classifiers.objectives import Figure, check_view, objective_of
from medxgan.classifiers.outputs import as_rows, raw_outputs
from medxgan.classifiers.pupil import Pupil
from medxgan.classifiers.torch_module import TorchClassifier
from medxgan.errors import ClassifierError
from medxgan.types import ClassifierSpec

FITTED_OUTPUTS = ("logits", "binary_logit", "value")
LEARNING_RATE = 1e-3
LEARNING_RATES = {"vgg16": 2e-4}
PATIENT_STEPS = 200
"""Steps without progress before training stops: epochs of small sets are too short to judge by."""


@dataclass(frozen=True)
class Epoch:
    """What one epoch of training reached.

    Attributes:
        number: 1, 2, ...
        train_loss: smoothed, class-balanced cross-entropy on augmented images, nats; of values,
            Huber's loss of their standard scores.
        validation_loss: the same on validation images as they are.
        validation_figure: share of validation images classified rightly; of values, R².
        best: whether the validation loss is the lowest so far; these weights are kept.
    """

    number: int
    train_loss: float
    validation_loss: float
    validation_figure: float
    best: bool
    figure: Figure = "accuracy"


def fit_classifier(
    train: LabelledImages,
    validation: LabelledImages,
    test: LabelledImages | None = None,
    *,
    spec: ClassifierSpec,
    arch: str = "cnn",
    epochs: int = 30,
    patience: int = 6,
    batch_size: int = 64,
    learning_rate: float | None = None,
    seed: int = 0,
    device: torch.device | None = None,
    bf16: bool = False,
    data_name: str | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> TorchClassifier:
    """Train a network; keep the weights that do best on the validation set.

    AdamW on one cycle of the learning rate; cross-entropy with label smoothing, every class
    weighted alike whatever its share; images augmented; the moving average of the weights is what
    is validated and kept. At the end the temperature that suits the validation set best (Guo et
    al., ICML 2017) is folded into the last layer. The same seed gives the same weights on a CPU.
    A ``value`` is learned by Huber's loss of its standard score, and answered in its own units.

    Args:
        train: images to learn from.
        validation: images that decide when to stop, from other patients.
        test: images that only the finished classifier is judged on.
        spec: what the classifier shall take and give; ``output`` ``logits``, ``binary_logit`` or
            ``value``, for which images have ``values`` in place of ``labels``.
        arch: a name that ``build_architecture`` knows.
        epochs: passes over ``train``, at most.
        patience: epochs without a better validation loss, after which training stops; these must
            be ``PATIENT_STEPS`` steps, too.
        batch_size: images a step, about.
        learning_rate: the highest of the cycle; None for 2e-4 with ``vgg16``, which without
            normalisation stands still at more, and 1e-3 with all others.
        seed: of the initial weights, the order of images, and the augmentation.
        device: where to train; the CPU if none is given.
        bf16: bfloat16 convolutions: faster, rounded.
        data_name: kept in ``measured``, so that the file says what it was trained on.
        on_epoch: called after each epoch.

    Returns:
        The classifier; its ``measured`` holds ``arch``, ``data``, ``seed``, ``epochs``,
        ``best_epoch``, ``temperature`` (of classes), ``train_images``, and ``validation`` and
        ``test`` as ``evaluate_classifier`` or ``evaluate_values`` gives them (``test`` None without
        such a set).

    Raises:
        ClassifierError: unknown architecture, an output that cannot be fitted, a setting out of
            range, or a loss that is no longer finite.
        DataError: a set is empty, shows one class or one value only, or has labels outside
            ``spec``, no values or such as are not finite.
    """
    if spec.output not in FITTED_OUTPUTS:
        raise ClassifierError(
            f"a classifier can be fitted for output {', '.join(FITTED_OUTPUTS[:-1])} or "
            f"{FITTED_OUTPUTS[-1]}, "
            f"got '{spec.output}'"
        )
    for name, number in (("epochs", epochs), ("patience", patience), ("batch_size", batch_size)):
        if number < 1:
            raise ClassifierError(f"{name} must be at least 1, got {number}")
    if learning_rate is not None and learning_rate <= 0:
        raise ClassifierError(f"learning_rate must be above 0, got {learning_rate:g}")
    check_view(train, spec, "training")
    check_view(validation, spec, "validation")
    if test is not None:
        check_view(test, spec, "test")
    device = device or torch.device("cpu")
    highest_rate = learning_rate or LEARNING_RATES.get(arch, LEARNING_RATE)
    objective = objective_of(spec, train)
    lessons, truth = objective.truth(train), objective.truth(validation)
    steps = max(1, round(len(train) / batch_size))
    patience = max(patience, math.ceil(PATIENT_STEPS / steps))
    number, best = 0, _Best()

    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        network = build_architecture(arch, spec.channels, spec.taken_size, raw_outputs(spec))
        pupil = Pupil(
            network.to(device),
            spec,
            total_steps=epochs * steps,
            learning_rate=highest_rate,
            seed=seed,
            bf16=bf16,
        )
        while number < epochs and number - best.epoch < patience:
            number += 1
            train_loss = pupil.learn(train, lessons, objective.loss, steps)
            rows = _rows(pupil.averaged, validation, spec, device)
            loss = objective.loss(rows, truth).item()
            if not np.isfinite(train_loss + loss):
                raise ClassifierError(
                    f"training diverged in epoch {number}: the loss is not finite; "
                    f"lower learning_rate (now {highest_rate:g}), and check the images for NaN"
                )
            better = loss < best.loss
            if better:
                best = _Best(loss, number, deepcopy(pupil.averaged.state_dict()))
            if on_epoch is not None:
                reached = objective.reached(rows, truth)
                on_epoch(Epoch(number, train_loss, loss, reached, better, objective.figure))

    pupil.averaged.load_state_dict(best.weights)
    rows = _rows(pupil.averaged, validation, spec, device)
    scaled = objective.finish(pupil.averaged, rows, truth)
    classifier = TorchClassifier(pupil.averaged, spec, arch)
    classifier.measured = {
        "arch": arch,
        "data": data_name,
        "seed": seed,
        "epochs": number,
        "best_epoch": best.epoch,
        **scaled,
        "train_images": len(train),
        "validation": objective.judge(classifier, validation),
        "test": None if test is None else objective.judge(classifier, test),
    }
    return classifier


@dataclass(frozen=True)
class _Best:
    loss: float = math.inf
    epoch: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)


def _rows(
    module: nn.Module, view: LabelledImages, spec: ClassifierSpec, device: torch.device
) -> Tensor:
    """Raw outputs ``[N, raw_outputs]`` for all images of ``view``, on the CPU."""
    model_input = ModelInput(spec, device)

    def batch_rows(indices: NDArray[np.intp]) -> Tensor:
        raw = module(model_input(view.images(indices).to(device)))
        return as_rows(raw, spec, len(indices)).cpu()

    parts = np.array_split(np.arange(len(view)), -(-len(view) // EVALUATION_BATCH))
    with torch.no_grad():
        return torch.cat([batch_rows(indices) for indices in parts])
