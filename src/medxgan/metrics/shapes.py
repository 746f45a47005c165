"""Checks that tensors of a metric belong together."""

import torch
from torch import Tensor

from medxgan.errors import DataError


def check_same_shape(**tensors: Tensor) -> None:
    """Refuse tensors of different shapes; the keyword names are used in the sentence.

    Raises:
        DataError: the shapes differ.

    >>> check_same_shape(image=torch.zeros(2, 3), twin=torch.zeros(2, 3))
    """
    if len({tensor.shape for tensor in tensors.values()}) > 1:
        shapes = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in tensors.items())
        raise DataError(f"expected tensors of one shape, got {shapes}")


def check_heatmap_and_mask(heatmap: Tensor, mask: Tensor) -> None:
    """Refuse anything but ``heatmap`` and bool ``mask``, both ``[N, H, W]``.

    Raises:
        DataError: the shapes differ or have not three dimensions, or the mask is not bool.

    >>> check_heatmap_and_mask(torch.zeros(1, 2, 2), torch.ones(1, 2, 2, dtype=torch.bool))
    """
    check_same_shape(heatmap=heatmap, mask=mask)
    if heatmap.ndim != 3:
        raise DataError(
            f"heatmap and mask must be [N, H, W], got {heatmap.ndim} dimensions; "
            "turn attributions [N, C, H, W] into heatmaps with evidence()"
        )
    if mask.dtype != torch.bool:
        raise DataError(f"the mask must be bool, got {mask.dtype}; compare it, e.g. mask > 0")


def check_images_and_mask(images: Tensor, mask: Tensor) -> None:
    """Refuse anything but ``images`` ``[N, C, H, W]`` with a bool ``mask`` ``[N, H, W]``.

    Raises:
        DataError: the shapes do not fit, or the mask is not bool.

    >>> check_images_and_mask(torch.zeros(1, 3, 2, 2), torch.ones(1, 2, 2, dtype=torch.bool))
    """
    if images.ndim != 4:
        raise DataError(f"images must be [N, C, H, W], got {list(images.shape)}")
    check_heatmap_and_mask(images[:, 0], mask)
