"""From images as the package has them to what a model takes."""

from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from medxgan.types import ClassifierSpec


class ModelInput:
    """Brings images in [-1, 1] to a model's own, normalised intensities, and to its own size.

    Where ``spec`` has an ``input_size``, images are resized bilinearly, smoothed first where they
    shrink; gradients flow through both. The corners of images stay where they are, not the centres
    of their corner pixels, so that a place in a map is the same place at every size.

    Args:
        spec: what the model takes.
        device: where it computes.

    >>> spec = ClassifierSpec(
    ...     size=8, input_size=12, class_names=("no", "yes"), intensity_range=(0, 255)
    ... )
    >>> brought = ModelInput(spec, torch.device("cpu"))(torch.ones(2, 1, 8, 8))
    >>> brought.shape, brought.max()
    (torch.Size([2, 1, 12, 12]), tensor(255.))
    """

    def __init__(self, spec: ClassifierSpec, device: torch.device) -> None:
        self.size = spec.input_size
        low, high = spec.intensity_range
        mean = torch.tensor(spec.mean or [0.0] * spec.channels)
        std = torch.tensor(spec.std or [1.0] * spec.channels)
        self.scale = ((high - low) / 2 / std).view(1, -1, 1, 1).to(device)
        self.offset = (((high + low) / 2 - mean) / std).view(1, -1, 1, 1).to(device)

    def __call__(self, images: Tensor) -> Tensor:
        """``[N, C, size, size]`` in [-1, 1] -> ``[N, C, taken_size, taken_size]``."""
        # Float32 at least by then, which the resize needs on a CPU.
        scaled = images * self.scale + self.offset
        if self.size is None:
            return scaled
        return functional.interpolate(
            scaled, size=(self.size, self.size), mode="bilinear", antialias=True
        )

    def to(self, device: torch.device | str) -> Self:
        """Move it to ``device``, in place."""
        self.scale, self.offset = self.scale.to(device), self.offset.to(device)
        return self
