"""Calibration: one number that makes a classifier as sure as it should be.

Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks, ICML 2017.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


def best_temperature(logits: Tensor, labels: Tensor, weight: Tensor) -> float:
    """The temperature between 1/4 and 4 with the lowest class-balanced cross-entropy.

    Args:
        logits: ``[N, K]``, to be divided by it.
        labels: ``[N]``.
        weight: of each class, ``[K]``.

    >>> sure = torch.tensor([[0.0, 8.0], [0.0, 8.0], [0.0, 8.0], [0.0, 8.0]])
    >>> round(best_temperature(sure, torch.tensor([1, 1, 1, 0]), torch.ones(2)), 1)
    4.0
    """
    candidates = torch.logspace(-2, 2, 161, base=2.0)
    losses = [functional.cross_entropy(logits / t, labels, weight).item() for t in candidates]
    return float(candidates[int(np.argmin(losses))])


def divide_last_layer(module: nn.Module, temperature: float) -> None:
    """Divide the scores by ``temperature`` through the weights of the last linear layer.

    >>> layer = nn.Linear(3, 2)
    >>> before = layer(torch.ones(1, 3))
    >>> divide_last_layer(layer, 2.0)
    >>> torch.allclose(layer(torch.ones(1, 3)), before / 2)
    True
    """
    last = [layer for layer in module.modules() if isinstance(layer, nn.Linear)][-1]
    with torch.no_grad():
        for parameter in last.parameters():
            parameter.div_(temperature)
