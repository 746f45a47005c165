"""Varied images and a model's answers to them, asked once and kept: what a surrogate learns from.

The surrogate sees the very images that the model was asked about, variation included (Beyer et al.,
Knowledge distillation: a good teacher is patient and consistent, CVPR 2022, arXiv 2106.05237).
"""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from medxgan.classifiers.augmentation import augment
from medxgan.classifiers.torch_module import TorchClassifier

ASKED_AT_ONCE = 256


class Images(Protocol):
    """Images read in batches; they need no labels."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def images(self, indices: NDArray[np.intp]) -> Tensor:
        """Float32 ``[n, C, H, W]`` in [-1, 1]."""
        ...


def in_parts(view: Images, rows: NDArray[np.intp]) -> Iterator[Tensor]:
    """The images of some rows, at least one, in batches."""
    for part in np.array_split(rows, -(-len(rows) // ASKED_AT_ONCE)):
        yield view.images(part)


class Asked:
    """A model that is asked for its answers; counts the images.

    Attributes:
        model: the model.
        images: that it has been asked about so far.
    """

    def __init__(self, model: TorchClassifier) -> None:
        self.model = model
        self.images = 0

    def __call__(self, images: Tensor) -> Tensor:
        """Scores ``[N, K]``, where the images are."""
        self.images += len(images)
        with torch.no_grad():
            return self.model(images.to(self.model.device)).to(images.device)

    def about(self, view: Images, rows: NDArray[np.intp]) -> Tensor:
        """Scores ``[N, K]`` on the CPU, of images as they are.

        >>> from medxgan.classifiers import BlackBox
        >>> spec = {"size": 8, "output": "binary_logit", "class_names": ["dark", "bright"]}
        >>> asked = Asked(BlackBox(lambda images: 0 * images.mean((2, 3)), spec))
        >>> class Grey:
        ...     def __len__(self): return 3
        ...     def images(self, indices): return torch.zeros(len(indices), 1, 8, 8)
        >>> asked.about(Grey(), np.arange(2)), asked.images
        (tensor([[0.5000, 0.5000],
                [0.5000, 0.5000]]), 2)
        """
        return torch.cat([self(part).cpu() for part in in_parts(view, rows)])


class Lessons:
    """Batches of varied images, each with the model's answers, in an endless order.

    There are at most ``most`` different varied images; after them all come again, in other order.
    What a batch shows depends on its number and the seed alone, so only the answers are kept.

    Args:
        view: images to vary.
        asked: the model.
        most: varied images that it may be asked about, at least 1.
        batch_size: images a batch.
        seed: of order and variation.
        device: where the surrogate learns.
    """

    def __init__(
        self,
        view: Images,
        asked: Asked,
        *,
        most: int,
        batch_size: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self.view, self.asked, self.seed, self.device = view, asked, seed, device
        order = np.random.default_rng(seed)
        passes = -(-most // len(view))
        rows = np.concatenate([order.permutation(len(view)) for _ in range(passes)])[:most]
        self.batches = np.array_split(rows, max(1, round(most / batch_size)))
        self.answers: dict[int, Tensor] = {}

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Images ``[n, C, H, W]`` in [-1, 1] and scores ``[n, K]`` of a step, 0, 1, ..."""
        again, number = divmod(step, len(self.batches))
        if again:
            order = np.random.default_rng([self.seed, again])
            number = int(order.permutation(len(self.batches))[number])
        random = Generator(self.device)
        random.manual_seed(int(np.random.default_rng([self.seed, number]).integers(2**62)))
        images = augment(self.view.images(self.batches[number]).to(self.device), random)
        if number not in self.answers:
            self.answers[number] = self.asked(images)
        return images, self.answers[number]
