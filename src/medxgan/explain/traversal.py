"""The film from the negative to the positive image: G(z1, t z2), t from 0 to 1."""

from typing import Protocol

import torch
from torch import Tensor

from medxgan.explain.scores import evaluate, probability
from medxgan.types import Classifier

FRAMES = 11


class FilmGenerator(Protocol):
    """A generator that renders many strengths of one pathology code at once."""

    def film(self, z1: Tensor, z2: Tensor, strengths: Tensor) -> Tensor:
        """G(z1, t z2) for every strength t: codes of N images -> ``[T, N, C, H, W]``."""
        ...


def even_strengths(frames: int = FRAMES) -> Tensor:
    """Factors on z2 from 0 (negative) to 1 (the code itself), ``[frames]``.

    >>> even_strengths(3)
    tensor([0.0000, 0.5000, 1.0000])
    """
    return torch.linspace(0, 1, frames)


def film(
    generator: FilmGenerator,
    classifier: Classifier,
    target: int,
    z1: Tensor,
    z2: Tensor,
    *,
    strengths: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Render the latent traversal and ask the classifier about each frame.

    The published traversal (Dravid et al. 2022, arXiv 2204.05376), starting at the negative image.

    Args:
        generator: renders the frames.
        classifier: judges them.
        target: index of the explained class.
        z1: structure codes ``[N, d1]``.
        z2: pathology codes ``[N, d2]`` of the positive end.
        strengths: factors on z2, ``[T]``; by default 11 from 0 to 1.

    Returns:
        Frames ``[T, N, C, H, W]`` in [-1, 1] and the scores of the target class ``[T, N]``.
    """
    strengths = even_strengths() if strengths is None else strengths
    with torch.no_grad():
        frames = generator.film(z1, z2, strengths.to(z2))
    return frames, evaluate(probability(classifier, target), frames)
