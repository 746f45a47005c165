"""Batches that a model can take: larger ones are split, smaller ones padded."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from medxgan.classifiers.outputs import as_rows, raw_outputs
from medxgan.errors import ClassifierError
from medxgan.types import ClassifierSpec


@dataclass(frozen=True)
class Batches:
    """How many images a model takes at once: ``least`` to ``most``; no upper limit where None."""

    least: int = 1
    most: int | None = None

    def at_most(self, batch_size: int | None) -> "Batches":
        """With a wish of the user's; what the model demands comes first.

        Raises:
            ClassifierError: the wish is below 1.

        >>> Batches().at_most(16), Batches(8, 8).at_most(4)
        (Batches(least=1, most=16), Batches(least=8, most=8))
        """
        if batch_size is None:
            return self
        if batch_size < 1:
            raise ClassifierError(f"batch_size must be at least 1, got {batch_size}")
        most = batch_size if self.most is None else min(batch_size, self.most)
        return Batches(self.least, max(self.least, most))


def rows_in_batches(
    ask: Callable[[Tensor], object], images: Tensor, spec: ClassifierSpec, batches: Batches
) -> Tensor:
    """Raw outputs of a model, asked in batches that it can take.

    Args:
        ask: images ``[n, C, H, W]`` -> raw output of the model.
        images: ``[N, C, H, W]``, any N.
        spec: of the model.
        batches: sizes that it takes; a part that is too small is filled up with its last image.

    Returns:
        Float32 ``[N, raw_outputs]``.

    Raises:
        ClassifierError: an output is not one row of scores an image, as ``spec`` says.

    >>> sizes = []
    >>> def ask(images):
    ...     sizes.append(len(images))
    ...     return images.mean((2, 3))
    >>> spec = ClassifierSpec(size=8, output="binary_logit", class_names=("no", "yes"))
    >>> rows_in_batches(ask, torch.ones(5, 1, 8, 8), spec, Batches(4, 4)).shape, sizes
    (torch.Size([5, 1]), [4, 4])
    """
    if len(images) == 0:
        return images.new_zeros(0, raw_outputs(spec))
    parts = images.split(batches.most or len(images))
    return torch.cat([_ask_padded(ask, part, spec, batches.least) for part in parts])


def _ask_padded(
    ask: Callable[[Tensor], object], images: Tensor, spec: ClassifierSpec, least: int
) -> Tensor:
    absent = max(0, least - len(images))
    if absent:
        filling = images[-1:].expand(absent, -1, -1, -1)
        return _ask_padded(ask, torch.cat([images, filling]), spec, least)[:-absent]
    return as_rows(ask(images), spec, len(images))
