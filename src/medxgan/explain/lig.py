"""Latent integrated gradients: the classifier's change, shared among pixels along a film.

A path is a film from negative to positive, ``[K+1, N, C, H, W]``: K steps for N images. A score
gives one number per image, ``[M, C, H, W]`` -> ``[M]``.
"""

from typing import Protocol

import torch
from torch import Tensor

from medxgan.errors import ConfigError
from medxgan.explain.scores import Score, evaluate, gradients, images_at_once, probability
from medxgan.explain.traversal import FilmGenerator, even_strengths
from medxgan.metrics.faithfulness import completeness_delta
from medxgan.types import Classifier, Latent

STEPS = 32


def exact_lig(path: Tensor, score: Score) -> Tensor:
    """Attribute ``score(path[-1]) - score(path[0])`` to pixels.

    Path integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365, section 6) along the
    decoded latent path of Dravid et al. 2022: the midpoint rule on the polyline,
    ``sum_k grad score((x_k + x_k+1) / 2) * (x_k+1 - x_k)``. For one fixed class the sum over
    pixels converges to the change of the score as the steps get shorter.

    Args:
        path: ``[K+1, N, C, H, W]``, K at least 1.
        score: of the explained class.

    Returns:
        Signed evidence ``[N, C, H, W]``.

    Raises:
        ConfigError: the path has no step.

    >>> path = torch.tensor([0.0, 0.2, 1.0]).view(3, 1, 1, 1, 1)
    >>> exact_lig(path, lambda images: 3 * images.sum(dim=(1, 2, 3))).item()
    3.0
    """
    _check_has_step(path)
    steps_at_once = max(1, images_at_once(path) // path.shape[1])
    attribution = torch.zeros_like(path[0])
    for start, end in zip(
        torch.split(path[:-1], steps_at_once), torch.split(path[1:], steps_at_once), strict=True
    ):
        attribution += (gradients(score, (start + end) / 2) * (end - start)).sum(dim=0)
    return attribution


def published_lig(path: Tensor, score: Score) -> Tensor:
    """LIG as published: the difference times the mean gradient along the film.

    ``(G(z1, z2) - G(z1, 0)) * mean_k grad score(G(z1, (k/m) z2))``, k = 1 to m (Dravid et al.
    2022, arXiv 2204.05376). On a curved path this does not add up to the change of the score.

    Args:
        path: ``[m+1, N, C, H, W]`` at equal strengths from 0 to 1, m at least 1.
        score: of the explained class.

    Returns:
        Signed evidence ``[N, C, H, W]``.

    Raises:
        ConfigError: the path has no step.

    >>> path = torch.tensor([0.0, 0.2, 1.0]).view(3, 1, 1, 1, 1)
    >>> published_lig(path, lambda images: images.square().sum(dim=(1, 2, 3))).flatten()
    tensor([1.2000])
    """
    _check_has_step(path)
    steps_at_once = max(1, images_at_once(path) // path.shape[1])
    total = torch.zeros_like(path[0])
    for frames in torch.split(path[1:], steps_at_once):
        total += gradients(score, frames).sum(dim=0)
    return (path[-1] - path[0]) * total / (len(path) - 1)


def transferred_path(image: Tensor, reconstruction: Tensor, path: Tensor) -> Tensor:
    """The film played on the original image: ``x + (G(z1, t z2) - x̂)``.

    Not clipped to [-1, 1]: the gradient through a clipped pixel is zero, so its share would be
    lost and the attribution would no longer add up.

    Args:
        image: originals x ``[N, C, H, W]``.
        reconstruction: x̂ ``[N, C, H, W]``.
        path: ``[K+1, N, C, H, W]``.

    Returns:
        ``[K+1, N, C, H, W]``; where the path meets x̂ it meets x.

    >>> path = torch.tensor([0.0, 0.5]).view(2, 1, 1, 1, 1)
    >>> transferred_path(torch.ones(1, 1, 1, 1), path[1], path).flatten()
    tensor([0.5000, 1.0000])
    """
    return path + (image - reconstruction)


class Explainer(Protocol):
    """What latent integrated gradients need of a trained medXGAN."""

    @property
    def generator(self) -> FilmGenerator:
        """Renders the film."""
        ...

    @property
    def target(self) -> int:
        """Index of the class that the generator was trained to explain."""
        ...

    def encode(self, images: Tensor, target: int) -> Latent:
        """Codes of images ``[N, C, H, W]``; z2 is 0 for those called negative."""
        ...


class LatentIntegratedGradients:
    """Exact LIG in the shape of Captum's methods.

    ``LatentIntegratedGradients(classifier, explainer).attribute(images)`` encodes the images,
    renders the film from their negative realization to their reconstruction, and integrates.
    """

    def __init__(self, classifier: Classifier, explainer: Explainer) -> None:
        self.classifier = classifier
        self.explainer = explainer

    def attribute(
        self,
        inputs: Tensor,
        target: int | str | None = None,
        n_steps: int = STEPS,
        return_convergence_delta: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Attribute ``C(x̂) - C(x⁻)`` to the pixels of each image.

        Negative images have z2 = 0 and no film: their attribution and delta are exactly 0.

        Args:
            inputs: images ``[N, C, H, W]`` in [-1, 1].
            target: class index or name; None means the class that the explainer explains. For
                another class the same film is judged by that class's score.
            n_steps: number of steps along the film, at least 1.
            return_convergence_delta: also return the sum of each attribution minus
                ``C(x̂) - C(x⁻)``.

        Returns:
            Attributions ``[N, C, H, W]``, and the deltas ``[N]`` if asked for.

        Raises:
            ConfigError: ``n_steps`` is below 1.
            ClassifierError: no class has that name or index.
        """
        if n_steps < 1:
            raise ConfigError(f"n_steps must be at least 1, got {n_steps}")
        chosen = self.explainer.target if target is None else target
        index = self.classifier.spec.target_index(chosen)
        latent = self.explainer.encode(inputs, self.explainer.target)
        score = probability(self.classifier, index)
        with torch.no_grad():
            strengths = even_strengths(n_steps + 1).to(latent.z2)
            path = self.explainer.generator.film(latent.z1, latent.z2, strengths)
        negative = ~latent.z2.any(dim=1)
        attributions = exact_lig(path, score).masked_fill(negative[:, None, None, None], 0)
        if not return_convergence_delta:
            return attributions
        start, end = evaluate(score, path[0]), evaluate(score, path[-1])
        delta = completeness_delta(attributions, start, end)
        return attributions, delta.masked_fill(negative, 0)


def _check_has_step(path: Tensor) -> None:
    if len(path) < 2:
        raise ConfigError(f"a path needs at least 2 frames, got {len(path)}")
