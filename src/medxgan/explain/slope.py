"""The slope of a model's evidence at a code, by asking for answers, and how steps change the image.

By finite differences, never by the model's gradient. A code is z1, where an image is, and z2, how
far it is moved; see ``DirectedGenerator``.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from medxgan.explain.drawing import drawn
from medxgan.explain.scores import Score
from medxgan.types import Generator

PROBED, PROBED_A_LAYER = 32, 16
"""The slope is measured in this many directions: the common one, and the axes of greatest variance.
In W+ in the common one, and in so many axes of each layer on its own."""
PROBE = 0.3
"""Length of a finite difference, in standard deviations."""


@dataclass(frozen=True)
class Slope:
    """What small steps along A directions do to N images.

    Attributes:
        gradient: of the evidence, ``[N, A]``; zeros where no model was asked.
        metric: squared change of the image for a step s is ``s · metric · s``, ``[N, A, A]``.
    """

    gradient: Tensor
    metric: Tensor


def probing_basis(direction: Tensor, layers: int = 1) -> Tensor:
    """Orthonormal directions ``[A, d]``: this one, and with it the axes of greatest variance.

    The axes are the first ones of each layer; all but the last one, where there are no more than
    are asked for. Together they span the direction and these axes.

    Args:
        direction: ``[d]``, coordinates of one layer after another.
        layers: that d is made of.

    >>> probing_basis(torch.tensor([0.0, 1.0])).abs()
    tensor([[0., 1.],
            [1., 0.]])
    """
    width = len(direction) // layers
    count = min(PROBED - 1 if layers == 1 else PROBED_A_LAYER, width - 1)
    axes = torch.eye(len(direction)).unflatten(0, (layers, width))[:, :count].flatten(0, 1)
    columns = torch.cat([direction.cpu()[None], axes]).T.double()
    basis: Tensor = torch.linalg.qr(columns).Q.T.to(direction)
    return basis


@torch.no_grad()
def measure_slope(
    generator: Generator,
    evidence: Score | None,
    z1: Tensor,
    z2: Tensor,
    basis: Tensor,
    probe: float = PROBE,
) -> Slope:
    """Finite differences at N codes: A + 1 images each.

    Args:
        generator: codes to images.
        evidence: of images; None where their change alone is asked for.
        z1: where the images are.
        z2: how far they are moved.
        basis: directions to look in, ``[A, d]``.
        probe: how far to look, in standard deviations.
    """
    offsets = torch.cat([torch.zeros_like(basis[:1]), probe * basis])
    gradients, metrics = [], []
    for place, move in zip(z1, z2, strict=True):
        parts = drawn(generator, place.expand(len(offsets), -1), move + offsets)
        images = torch.cat(parts).flatten(1).float()
        change = (images[1:] - images[:1]) / probe
        metrics.append(change @ change.T)
        if evidence is not None:
            answers = torch.cat([evidence(part) for part in parts]).float()
            gradients.append((answers[1:] - answers[0]) / probe)
    return Slope(
        torch.stack(gradients or [z1.new_zeros(len(basis))] * len(z1)), torch.stack(metrics)
    )
