"""What would have to change for the answer to flip: on the real image, and both ways."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from medxgan.errors import ConfigError
from medxgan.explain.scores import evaluate, probability
from medxgan.types import Classifier, Latent

CODES_AT_ONCE = 128


class Generator(Protocol):
    """Codes -> images."""

    def __call__(self, z1: Tensor, z2: Tensor) -> Tensor:
        """``[N, d1]``, ``[N, d2]`` -> images ``[N, C, H, W]`` in [-1, 1]."""
        ...


def transfer(image: Tensor, reconstruction: Tensor, counterfactual: Tensor) -> Tensor:
    """Make the generator's change on the original: ``clip(x + (x⁻ - x̂), -1, 1)``.

    All detail that the generator could not draw stays (the additive map of VA-GAN, Baumgartner
    et al. 2018, arXiv 1711.08998).

    Args:
        image: the original x ``[..., C, H, W]`` in [-1, 1].
        reconstruction: x̂, of the same shape.
        counterfactual: x⁻ (or x⁺ for a negative image), of the same shape.

    Returns:
        The changed original, in [-1, 1].

    >>> transfer(torch.tensor([0.5]), torch.tensor([0.4]), torch.tensor([0.1]))
    tensor([0.2000])
    """
    return (image + (counterfactual - reconstruction)).clamp(-1, 1)


@dataclass(frozen=True)
class Positives:
    """A different positive realizations of each of N negative images, the strongest first.

    Attributes:
        images: ``[A, N, C, H, W]`` in [-1, 1].
        z2: their pathology codes ``[A, N, d2]``.
        probabilities: scores of the explained class ``[A, N]``.
    """

    images: Tensor
    z2: Tensor
    probabilities: Tensor

    @property
    def found(self) -> Tensor:
        """Which of them the classifier calls positive, bool ``[A, N]``."""
        return self.probabilities >= 0.5


def plausible_positives(
    generator: Generator,
    classifier: Classifier,
    target: int,
    z1: Tensor,
    candidates: Tensor,
    *,
    count: int = 4,
) -> Positives:
    """Find several different ways in which negative images would be positive.

    Every candidate code is tried on every image. Candidates come from the prior that the
    generator was trained on, hence are plausible. The first choice has the highest score; each
    further one lies farthest, in pixels, from those chosen before (greedy k-centre, Gonzalez
    1985) among the candidates that the classifier calls positive. Where these run out, the next
    best scores fill up and ``found`` is false. An image's result does not depend on its batch.

    Args:
        generator: renders candidates.
        classifier: judges them.
        target: index of the explained class.
        z1: structure codes of the negative images ``[N, d1]``.
        candidates: pathology codes drawn from the prior ``[M, d2]``.
        count: how many to choose, A.

    Returns:
        A realizations for each image.

    Raises:
        ConfigError: there are fewer candidates than realizations asked for.
    """
    if not 1 <= count <= len(candidates):
        raise ConfigError(
            f"the number of alternatives must be 1 to {len(candidates)} (all candidates), "
            f"got {count}"
        )
    images = _render_all_pairs(generator, z1, candidates)
    probabilities = evaluate(probability(classifier, target), images)
    chosen = _strongest_then_farthest(images, probabilities, count)
    of_image = torch.arange(len(z1), device=z1.device)
    return Positives(images[chosen, of_image], candidates[chosen], probabilities[chosen, of_image])


def positive_ends(
    generator: Generator,
    classifier: Classifier,
    target: int,
    latent: Latent,
    positive: Tensor,
    candidates: Tensor,
    count: int,
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Where the film of each of N images ends that shows the pathology.

    A positive image ends at its own code. A negative one has none: it ends at the strongest of the
    candidates, and the other ``plausible_positives`` are its alternatives.

    Args:
        generator: renders candidates.
        classifier: judges them.
        target: index of the explained class.
        latent: codes of the images ``[N, d1]`` and ``[N, d2]``.
        positive: does the classifier call the image positive? bool ``[N]``.
        candidates: pathology codes drawn from the prior ``[M, d2]``.
        count: how many are chosen for a negative image.

    Returns:
        z2 of the ends ``[N, d2]``; those of the chosen that the classifier calls positive, for each
        image ``[A, C, H, W]`` with A up to ``count``, none for positive images; and their scores.

    Raises:
        ConfigError: there are fewer candidates than are to be chosen.
    """
    spec, z2 = classifier.spec, latent.z2.clone()
    images = [torch.empty(0, spec.channels, spec.size, spec.size)] * len(z2)
    scores = [torch.empty(0)] * len(z2)
    rows = torch.nonzero(~positive).flatten()
    if len(rows) > 0:
        chosen = plausible_positives(
            generator, classifier, target, latent.z1[rows], candidates, count=count
        )
        z2[rows] = chosen.z2[0]
        for column, row in enumerate(rows.tolist()):
            found = chosen.found[:, column]
            images[row] = chosen.images[:, column][found]
            scores[row] = chosen.probabilities[:, column][found]
    return z2, images, scores


def _render_all_pairs(generator: Generator, z1: Tensor, candidates: Tensor) -> Tensor:
    """Every candidate on every structure, ``[M, N, C, H, W]``."""
    structure = z1.repeat(len(candidates), 1)
    pathology = candidates.repeat_interleave(len(z1), dim=0)
    with torch.no_grad():
        batches = [
            generator(z1_part, z2_part)
            for z1_part, z2_part in zip(
                torch.split(structure, CODES_AT_ONCE),
                torch.split(pathology, CODES_AT_ONCE),
                strict=True,
            )
        ]
    images = torch.cat(batches)
    return images.view(len(candidates), len(z1), *images.shape[1:])


def _strongest_then_farthest(images: Tensor, probabilities: Tensor, count: int) -> Tensor:
    """Index of the chosen candidates for each image, ``[count, N]``.

    The candidates of an image share their negative realization, so the distance between two
    images is the distance between their difference maps.
    """
    positive = probabilities >= 0.5
    of_image = torch.arange(images.shape[1], device=images.device)
    nearest = torch.full_like(probabilities, torch.inf)
    taken = torch.zeros_like(positive)
    choice = probabilities.argmax(dim=0)
    choices = [choice]
    for _ in range(count - 1):
        taken[choice, of_image] = True
        distance = (images - images[choice, of_image]).flatten(2).norm(dim=2)
        nearest = torch.minimum(nearest, distance)
        # A score below 0.5 minus 2 ranks below every distance, which is at least 0.
        priority = torch.where(positive, nearest, probabilities - 2)
        choice = priority.masked_fill(taken, -torch.inf).argmax(dim=0)
        choices.append(choice)
    return torch.stack(choices)
