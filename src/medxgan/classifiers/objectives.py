"""What a network is fitted to: classes or a value. One object each, with all that differs."""

import math
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from medxgan.classifiers.evaluation import (
    LabelledImages,
    check_labelled,
    evaluate_classifier,
    labels_of,
)
from medxgan.classifiers.outputs import class_logits
from medxgan.classifiers.pupil import balanced_loss, class_weights
from medxgan.classifiers.temperature import best_temperature, divide_last_layer
from medxgan.classifiers.torch_module import TorchClassifier
from medxgan.classifiers.value_evaluation import (
    check_valued,
    determination,
    evaluate_values,
    values_of,
)
from medxgan.types import ClassifierSpec

Figure = Literal["accuracy", "R²"]


class Objective(Protocol):
    """What a network is fitted to, and by which figure it is watched."""

    figure: Figure

    def truth(self, view: LabelledImages) -> Tensor:
        """What is known of each image, ``[N]`` on the CPU."""
        ...

    def loss(self, rows: Tensor, truth: Tensor) -> Tensor:
        """Scalar loss of raw outputs ``[N, raw_outputs]``."""
        ...

    def reached(self, rows: Tensor, truth: Tensor) -> float:
        """The figure; higher is better, 1 perfect."""
        ...

    def finish(self, module: nn.Module, rows: Tensor, truth: Tensor) -> dict[str, Any]:
        """Bring the last layer of a trained network to its final scale; what that was, by name."""
        ...

    def judge(self, classifier: TorchClassifier, view: LabelledImages) -> dict[str, Any]:
        """Figures of the finished model."""
        ...


class ClassObjective:
    """Classes, all weighted alike: smoothed cross-entropy; then one temperature."""

    figure: Figure = "accuracy"

    def __init__(self, spec: ClassifierSpec, train: LabelledImages) -> None:
        self.spec = spec
        self.weight = class_weights(labels_of(train), spec.outputs)

    def truth(self, view: LabelledImages) -> Tensor:
        """Class indices, int64."""
        return labels_of(view)

    def loss(self, rows: Tensor, truth: Tensor) -> Tensor:
        """Smoothed, class-balanced cross-entropy, nats."""
        logits = class_logits(rows, self.spec.output)
        return balanced_loss(logits, truth, self.weight.to(rows.device))

    def reached(self, rows: Tensor, truth: Tensor) -> float:
        """Share of images classified rightly."""
        return (class_logits(rows, self.spec.output).argmax(1) == truth).float().mean().item()

    def finish(self, module: nn.Module, rows: Tensor, truth: Tensor) -> dict[str, Any]:
        """Divide by the temperature that suits best (Guo et al., ICML 2017)."""
        logits = class_logits(rows, self.spec.output)
        temperature = best_temperature(logits, truth, self.weight)
        divide_last_layer(module, temperature)
        return {"temperature": temperature}

    def judge(self, classifier: TorchClassifier, view: LabelledImages) -> dict[str, Any]:
        """Accuracy, AUC and confusion."""
        return evaluate_classifier(classifier, view)


class ValueObjective:
    """A value: the network learns its standard score, and its last layer then gets the units."""

    figure: Figure = "R²"

    def __init__(self, train: LabelledImages) -> None:
        values = values_of(train)
        self.middle, self.spread = float(values.mean()), float(values.std())

    def truth(self, view: LabelledImages) -> Tensor:
        """Values, float32."""
        return values_of(view)

    def loss(self, rows: Tensor, truth: Tensor) -> Tensor:
        """Huber's loss (1964): squares of small errors, so that a few wrong grades weigh little."""
        return functional.huber_loss(rows[:, 0], (truth - self.middle) / self.spread)

    def reached(self, rows: Tensor, truth: Tensor) -> float:
        """R², the share of the variance that is explained."""
        return determination(rows[:, 0] * self.spread + self.middle, truth)

    def finish(self, module: nn.Module, rows: Tensor, truth: Tensor) -> dict[str, Any]:
        """Let the network answer in units of the value."""
        to_units(module, self.spread, self.middle)
        return {}

    def judge(self, classifier: TorchClassifier, view: LabelledImages) -> dict[str, Any]:
        """R², mean absolute error and rank correlation."""
        return evaluate_values(classifier, view)


def objective_of(spec: ClassifierSpec, train: LabelledImages) -> Objective:
    """What a network of this specification is fitted to."""
    return ValueObjective(train) if spec.output == "value" else ClassObjective(spec, train)


def check_view(view: LabelledImages, spec: ClassifierSpec, name: str) -> None:
    """Refuse a view that cannot be learned from or judged on.

    Raises:
        DataError: as ``check_labelled`` or ``check_valued``.
    """
    check = check_valued if spec.output == "value" else check_labelled
    check(view, spec, name)


def to_units(module: nn.Module, spread: float, middle: float) -> None:
    """Multiply what the last linear layer gives by ``spread``, and add ``middle``.

    >>> layer = nn.Linear(3, 1)
    >>> before = layer(torch.ones(1, 3))
    >>> to_units(layer, 2.0, 5.0)
    >>> torch.allclose(layer(torch.ones(1, 3)), 2 * before + 5)
    True
    """
    last = [layer for layer in module.modules() if isinstance(layer, nn.Linear)][-1]
    with torch.no_grad():
        for parameter in last.parameters():
            parameter.mul_(spread)
        last.bias.add_(middle)


def round_range(values: Tensor) -> tuple[float, float]:
    """The range of values ``[N]``, its ends rounded outwards to about a hundredth of it.

    >>> round_range(torch.tensor([0.0, 3.97])), round_range(torch.tensor([11.0, 68.2]))
    ((0.0, 4.0), (11.0, 69.0))
    """
    low, high = float(values.min()), float(values.max())
    places = 1 - math.floor(math.log10(high - low))
    step = 10.0**-places
    return (
        round(math.floor(low / step + 1e-6) * step, max(0, places)),
        round(math.ceil(high / step - 1e-6) * step, max(0, places)),
    )
