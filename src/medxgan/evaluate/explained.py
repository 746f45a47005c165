"""Explanations of a batch as tensors, for measuring: no pictures, every film rendered once."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from medxgan.explain import scores
from medxgan.explain.counterfactual import transfer
from medxgan.explain.traversal import FRAMES, even_strengths
from medxgan.explainer import Explainer
from medxgan.types import Latent


@dataclass(frozen=True)
class Explained:
    """N images that the classifier calls positive, and what became of them.

    Attributes:
        images: originals x ``[N, C, H, W]`` in [-1, 1].
        latent: their codes, from the encoder.
        path: film from G(z1, 0) to G(z1, z2) at equal strengths, ``[K+1, N, C, H, W]``.
        probabilities: C on the 11 frames of the shorter film that people see, ``[11, N]``.
        transferred: the change made on the originals, ``[N, C, H, W]``.
        transferred_score: C on them, ``[N]``.
    """

    images: Tensor
    latent: Latent
    path: Tensor
    probabilities: Tensor
    transferred: Tensor
    transferred_score: Tensor

    @property
    def reconstruction(self) -> Tensor:
        """G(z1, z2) ``[N, C, H, W]``: where the path ends."""
        return self.path[-1]

    @property
    def counterfactual(self) -> Tensor:
        """G(z1, 0) ``[N, C, H, W]``, the negative realization: where the path begins."""
        return self.path[0]


MapFunction = Callable[[Explained], Tensor]
"""A method of one's own: explained images -> signed evidence ``[N, C, H, W]``."""


def explain_positives(explainer: Explainer, images: Tensor, steps: int) -> Explained:
    """Encode images ``[N, C, H, W]``, render their films, and ask the classifier.

    Args:
        explainer: makes the explanations.
        images: called positive by its classifier, in [-1, 1].
        steps: of the path that attributions integrate along, K, at least 1.
    """
    score = scores.probability(explainer.classifier, explainer.target)
    latent = explainer.encode(images)
    strengths = torch.cat([even_strengths(FRAMES), even_strengths(steps + 1)])
    with torch.no_grad():
        frames = explainer.generator.film(latent.z1, latent.z2, strengths.to(explainer.device))
    shown, path = frames[:FRAMES], frames[FRAMES:]
    images = images.to(explainer.device)
    transferred = transfer(images, path[-1], path[0])
    return Explained(
        images=images,
        latent=latent,
        path=path,
        probabilities=scores.evaluate(score, shown),
        transferred=transferred,
        transferred_score=scores.evaluate(score, transferred),
    )
