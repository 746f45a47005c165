"""Training batches: images of a data set, varied at random, classes in balance."""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medxgan.config import VariationSettings
from medxgan.errors import DataError
from medxgan.training.augment import Reach, vary
from medxgan.training.order import BalancedOrder, PlainOrder
from medxgan.types import Classifier

IMAGES_AT_ONCE = 256
Order = BalancedOrder | PlainOrder


class Images(Protocol):
    """Images read in batches; ``Dataset`` is one."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def images(self, indices: NDArray[np.int64]) -> Tensor:
        """Float32 ``[n, C, H, W]`` in [-1, 1]."""
        ...


class VariedImages:
    """Batches of a training set, each image changed a little.

    Args:
        images: the training set.
        order: which of them make up a step's batch, and where in it.
        variation: how far images are changed; small sets gain by it.
    """

    def __init__(self, images: Images, order: Order, variation: VariationSettings) -> None:
        self.images, self.order, self.variation = images, order, variation
        self.reach = Reach(
            flip=variation.flip,
            shift=variation.shift,
            turn=variation.turn,
            scale=variation.scale,
            contrast=variation.contrast,
            brightness=0.0,
        )

    def batch(self, step: int, random: torch.Generator, device: torch.device) -> Tensor:
        """Images of a step ``[N, C, H, W]`` in [-1, 1], on ``device``."""
        images = self.images.images(self.order.rows(step)).to(device)
        return vary(images, self.reach, self.variation.chance, random).clamp(-1, 1)


def predictions(
    classifier: Classifier, images: Images, target: int, device: torch.device
) -> Tensor:
    """The classifier's score of class ``target`` for every image, ``[N]`` on the CPU."""
    rows = np.arange(len(images))
    parts = np.array_split(rows, max(1, -(-len(rows) // IMAGES_AT_ONCE)))
    with torch.no_grad():
        answers = [classifier(images.images(part).to(device)).cpu() for part in parts]
    return classifier.spec.score(torch.cat(answers), target)


def check_both_answers(
    positive: NDArray[np.bool_], class_name: str, part: str, minimum: int
) -> None:
    """Refuse a set that the classifier finds (almost) all positive or all negative.

    Args:
        positive: its answers, ``[N]``.
        class_name: the explained class, or what counts as positive of a value.
        part: which set it is, for the message.
        minimum: how many of each answer are needed.

    Raises:
        DataError: fewer than ``minimum`` images on one side.
    """
    for sign, count in (("positive", int(positive.sum())), ("negative", int((~positive).sum()))):
        if count < minimum:
            raise DataError(
                f"training needs at least {minimum} {part} image(s) that the classifier calls "
                f"{sign} for '{class_name}', got {count} of {len(positive)}; a classifier that "
                "gives nearly all the same answer is untrained or guesses, or its specification "
                "is wrong (intensity range, mean, std; of a value its range and threshold); else "
                "add images"
            )
