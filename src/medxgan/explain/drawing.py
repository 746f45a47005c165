"""Images of codes, and what a model says of them, in batches that fit memory.

A code is z1, where an image is, and z2, how far it is moved; see ``DirectedGenerator``.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from medxgan.explain.scores import Score, images_at_once
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
    first = generator(z1[:1], z2[:1])
    parts = zip(*(code[1:].split(images_at_once(first)) for code in (z1, z2)), strict=True)
    return [first, *(generator(*part) for part in parts if len(part[0]) > 0)]
