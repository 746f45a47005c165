"""A network in training: one batch, one epoch."""

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from medxgan.classifiers.augmentation import augment
from medxgan.classifiers.evaluation import LabelledImages
from medxgan.classifiers.model_input import ModelInput
from medxgan.classifiers.outputs import as_rows
from medxgan.device import autocast
from medxgan.types import ClassifierSpec

Loss = Callable[[Tensor, Tensor], Tensor]
"""Raw outputs ``[n, raw_outputs]`` and what is known ``[n]`` -> scalar."""

LABEL_SMOOTHING = 0.05  # keeps log-odds, and so their gradients, from running away
WEIGHT_DECAY = 0.02
MAX_GRADIENT_NORM = 1.0


class Pupil:
    """A network in training, with its optimiser, its random state and its averaged weights.

    Args:
        network: what is trained.
        spec: what it shall take and give.
        total_steps: of the whole run, at most.
        learning_rate: the highest of the cycle.
        seed: of the order of images, and of their augmentation.
        bf16: bfloat16 convolutions.

    Attributes:
        network: what is trained.
        averaged: the moving average of its weights, in eval mode; better than any single step.
    """

    def __init__(
        self,
        network: nn.Module,
        spec: ClassifierSpec,
        *,
        total_steps: int,
        learning_rate: float,
        seed: int,
        bf16: bool,
    ) -> None:
        self.network = network
        self.averaged = deepcopy(network).eval()
        self.spec = spec
        self.device = next(network.parameters()).device
        self.input = ModelInput(spec, self.device)
        self.bf16 = bf16
        self.optimizer = AdamW(network.parameters(), lr=learning_rate, weight_decay=WEIGHT_DECAY)
        self.schedule = OneCycleLR(self.optimizer, learning_rate, total_steps=total_steps + 1)
        self.order = np.random.default_rng(seed)
        self.augmentation = Generator(self.device).manual_seed(seed)
        self.steps_done = 0

    def learn(self, view: LabelledImages, truth: Tensor, loss: Loss, steps: int) -> float:
        """One epoch in ``steps`` batches, the memory of the average too; returns the mean loss.

        Args:
            view: the N training images.
            truth: what is to be learnt of each, ``[N]``.
            loss: to be made small.
            steps: batches.
        """
        self.network.train()
        total = 0.0
        for indices in np.array_split(self.order.permutation(len(view)), steps):
            images = view.images(indices).to(self.device)
            rows = self.rows(augment(images, self.augmentation))
            of_batch = truth[torch.from_numpy(indices)].to(self.device)
            total += self.descend(loss(rows, of_batch), steps) * len(indices)
        return total / len(view)

    def rows(self, images: Tensor) -> Tensor:
        """Raw outputs of the network in training, ``[N, raw_outputs]``, of images in [-1, 1]."""
        with autocast(self.device, self.bf16):
            raw = self.network(self.input(images))
        return as_rows(raw, self.spec, len(images))

    def descend(self, loss: Tensor, memory: int) -> float:
        """One step down ``loss``, whose value is returned; averages over ``memory`` steps."""
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.network.parameters(), MAX_GRADIENT_NORM)
        self.optimizer.step()
        self.schedule.step()
        self.steps_done += 1
        move_towards(self.averaged, self.network, 1 / min(memory, self.steps_done))
        return loss.item()


def class_weights(labels: Tensor, classes: int) -> Tensor:
    """Weight of each class that makes all count alike, ``[K]``; 1 where all are equally frequent.

    >>> class_weights(torch.tensor([0, 0, 0, 1]), 2)
    tensor([0.6667, 2.0000])
    """
    counts = labels.bincount(minlength=classes)
    return len(labels) / (int((counts > 0).sum()) * counts.clamp(min=1).float())


def balanced_loss(logits: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    """Mean smoothed cross-entropy, nats.

    Args:
        logits: ``[N, K]``.
        labels: ``[N]``.
        weight: of each class, ``[K]``; see ``class_weights``.

    >>> even = balanced_loss(torch.zeros(1, 2), torch.tensor([1]), torch.ones(2))
    >>> round(even.item(), 4)
    0.6931
    """
    return functional.cross_entropy(logits, labels, weight, label_smoothing=LABEL_SMOOTHING)


def move_towards(averaged: nn.Module, module: nn.Module, share: float) -> None:
    """Move the weights and buffers of ``averaged`` by ``share`` of the way to ``module``'s.

    >>> start, end = nn.Linear(1, 1), nn.Linear(1, 1)
    >>> move_towards(start, end, 1.0)
    >>> bool(start.weight == end.weight)
    True
    """
    current = module.state_dict()
    with torch.no_grad():
        for name, value in averaged.state_dict().items():
            if value.is_floating_point():
                value.lerp_(current[name], share)
            else:
                value.copy_(current[name])
