"""Images to explain, and what is known of each of them."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from medxgan.data.presentation import Spacing
from medxgan.errors import DataError
from medxgan.types import ClassifierSpec

BEYOND = 1e-4
"""That rounding may lead out of [-1, 1]."""


class Batch(NamedTuple):
    """N images and what is known of them.

    Attributes:
        images: float32 ``[N, C, H, W]`` in [-1, 1].
        names: of the images, for reports.
        masks: lesion mask, bool ``[H, W]``, of each, or None.
        spacings: distance of rows and columns of each in the patient, mm, or None.
    """

    images: Tensor
    names: Sequence[str]
    masks: Sequence[Tensor | None]
    spacings: Sequence[Spacing | None]

    def split(self, size: int) -> list["Batch"]:
        """Batches of at most ``size`` images, in order."""
        parts = [slice(start, start + size) for start in range(0, len(self.images), size)]
        return [
            Batch(self.images[part], self.names[part], self.masks[part], self.spacings[part])
            for part in parts
        ]


def make_batch(
    images: Tensor,
    spec: ClassifierSpec,
    *,
    names: Sequence[str] | None = None,
    masks: Sequence[Tensor | None] | None = None,
    spacings: Sequence[Spacing | None] | None = None,
) -> Batch:
    """Check images and what is said of them; what is not said is numbered names, and None.

    Args:
        images: one ``[C, H, W]``, or ``[N, C, H, W]``, in [-1, 1].
        spec: of the classifier that takes them.
        names: one an image.
        masks: likewise.
        spacings: likewise.

    Raises:
        DataError: images of another shape, or not in [-1, 1]; not one name, mask or spacing each.

    >>> spec = ClassifierSpec(size=8, class_names=("no", "yes"))
    >>> make_batch(torch.zeros(1, 8, 8), spec).names
    ['image']
    >>> make_batch(torch.zeros(2, 1, 8, 8), spec).names
    ['image-1', 'image-2']
    """
    alone = images.ndim == 3
    images = checked_images(images[None] if alone else images, spec)
    count = len(images)
    for noun, given in (("names", names), ("masks", masks), ("spacings", spacings)):
        if given and len(given) != count:
            raise DataError(f"{count} images need {count} {noun}, got {len(given)}")
    width = len(str(count))
    numbered = ["image"] if alone else [f"image-{i + 1:0{width}d}" for i in range(count)]
    unknown = [None] * count
    return Batch(images, list(names or numbered), masks or unknown, spacings or unknown)


def checked_images(images: Tensor, spec: ClassifierSpec) -> Tensor:
    """Images ``[N, C, H, W]`` as float32, if a classifier of ``spec`` can take them.

    Raises:
        DataError: they have another shape, or do not lie in [-1, 1].
    """
    expected = [spec.channels, spec.size, spec.size]
    if images.ndim != 4 or list(images.shape[1:]) != expected or len(images) == 0:
        raise DataError(
            f"images must be [N, {', '.join(map(str, expected))}] with N at least 1, "
            f"got {list(images.shape)}; resize them or convert their channels first"
        )
    images = images.float()
    if not bool(torch.isfinite(images).all()) or float(images.abs().max()) > 1 + BEYOND:
        raise DataError("images must lie in [-1, 1], got NaN, infinity or values outside")
    return images
