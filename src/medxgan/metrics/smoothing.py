"""One common smoothing for maps of different grain, so that methods compare fairly."""

import torch
from torch import Tensor


def smooth(maps: Tensor, sigma: float | None = None) -> Tensor:
    """Gaussian smoothing that keeps constants constant up to the border.

    The kernel is cut at the border and normalised anew, as two small matrices: one product
    for the rows and one for the columns, whatever the number of maps.

    Args:
        maps: ``[..., H, W]``, signed or not.
        sigma: standard deviation in pixels; by default a 32nd of the larger side.

    Returns:
        Maps of the same shape.

    >>> smooth(torch.eye(3), sigma=0.5).argmax(dim=1)
    tensor([0, 1, 2])
    """
    height, width = maps.shape[-2:]
    sigma = max(height, width) / 32 if sigma is None else sigma
    if sigma <= 0:
        return maps
    return _kernel(height, sigma, maps) @ maps @ _kernel(width, sigma, maps).mT


def _kernel(size: int, sigma: float, like: Tensor) -> Tensor:
    """Row i: weights of a Gaussian around pixel i, ``[size, size]``."""
    position = torch.arange(size, dtype=like.dtype, device=like.device)
    distance = position[:, None] - position[None, :]
    return torch.softmax(-distance.square() / (2 * sigma**2), dim=1)
