"""Explanations of a batch as tensors, for measuring: no pictures, every film rendered once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from medxgan.evaluate.timing import timed
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
        seconds: that the batch took: ``film``, the frames of both films alone, and
            ``explanation``, from the images to the change on them.
    """

    images: Tensor
    latent: Latent
    path: Tensor
    probabilities: Tensor
    transferred: Tensor
    transferred_score: Tensor
    seconds: Mapping[str, float] = field(default_factory=dict)

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
    device = explainer.device
    score = scores.probability(explainer.classifier, explainer.target)
    strengths = torch.cat([even_strengths(FRAMES), even_strengths(steps + 1)]).to(device)
    images = images.to(device)
    with torch.no_grad():
        latent, encoding = timed(device, lambda: explainer.encode(images))
        frames, rendering = timed(
            device, lambda: explainer.generator.film(latent.z1, latent.z2, strengths)
        )
        shown, path = frames[:FRAMES], frames[FRAMES:]
        transferred, moving = timed(device, lambda: transfer(images, path[-1], path[0]))
    return Explained(
        images=images,
        latent=latent,
        path=path,
        probabilities=scores.evaluate(score, shown),
        transferred=transferred,
        transferred_score=scores.evaluate(score, transferred),
        seconds={"film": rendering, "explanation": encoding + rendering + moving},
    )


def has_encoder(explainer: Explainer) -> bool:
    """Does one pass give the codes of an image, or must they be optimised?"""
    return explainer.encoder is not None
