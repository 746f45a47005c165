"""Images of codes, and what a model says of them, in batches that fit memory.

A code is z1, where an image is, and z2, how far it is moved; see ``DirectedGenerator``.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from medxgan.explain.scores import Score, images_at_once
from medxgan.turns import give_way
from medxgan.types import Generator

Answer = Callable[[Tensor, Tensor], Tensor]
"""Codes z1, z2 -> the model's evidence ``[N]`` on their images."""


def answer_of(generator: Generator, evidence: Score) -> Answer:
    """What a model says of the images of codes; drawn in batches that fit memory, none is kept."""

    def answer(z1: Tensor, z2: Tensor) -> Tensor:
        return torch.cat([evidence(part) for part in drawn(generator, z1, z2)])

    return answer


@torch.no_grad()
def drawn(generator: Generator, z1: Tensor, z2: Tensor) -> list[Tensor]:
    """Images of N codes, at least 1, in batches that fit memory: ``[n, C, H, W]`` each."""
    found = [generator(z1[:1], z2[:1])]
    at_once = images_at_once(found[0])
    for place, move in zip(z1[1:].split(at_once), z2[1:].split(at_once), strict=True):
        give_way()
        if len(place) > 0:
            found.append(generator(place, move))
    return found
