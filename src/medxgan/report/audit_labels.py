"""Where the numbers of outlined places stand in a picture: within it, in or beside the outline."""

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

LABEL_HEIGHT = 0.07
"""Of a number, as a share of the picture's width; the drawings set their type a little smaller."""

Spot = tuple[float, float]
Mask = NDArray[np.bool_]


def label_spots(places: Sequence[Tensor]) -> list[Spot]:
    """The middle of each place's number, so that it can be told whose it is.

    A number stands inside of its place where there is room; else beside its outline, where the
    fewest pixels of places, and no earlier number, are in the way.

    Args:
        places: bool ``[H, W]`` each, none empty.

    Returns:
        x and y of each, in pixels from the picture's upper left corner.

    >>> import torch
    >>> corner = torch.zeros(32, 32, dtype=torch.bool)
    >>> corner[:2, 28:] = True
    >>> label_spots([corner])
    [(26.88, 1.12)]
    """
    masks: list[Mask] = [place.cpu().numpy() for place in places]
    spots: list[Spot] = []
    for mask in masks:
        spots.append(_spot(mask, masks, spots))
    return spots


def _spot(mask: Mask, masks: Sequence[Mask], taken: Sequence[Spot]) -> Spot:
    half = mask.shape[1] * LABEL_HEIGHT / 2
    depth = _depth(mask)
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    inside = (float(column) + 0.5, float(row) + 0.5)
    if depth.max() > half and _free(inside, half, taken):
        return inside
    beside = [spot for spot in _beside(mask, half) if _free(spot, half, taken)]
    covered = np.any(masks, axis=0)
    return min(beside, key=lambda spot: _in_the_way(spot, half, covered), default=inside)


def _depth(mask: Mask) -> NDArray[np.int64]:
    """How many steps, diagonal ones too, lead from each pixel out of the mask ``[H, W]``."""
    depth = np.zeros(mask.shape, dtype=np.int64)
    inner = np.pad(mask, 1)
    while inner.any():
        depth += inner[1:-1, 1:-1]
        rows, columns = mask.shape
        neighbours = [
            inner[1 + down : 1 + down + rows, 1 + right : 1 + right + columns]
            for down, right in product((-1, 0, 1), repeat=2)
        ]
        inner = np.pad(np.all(neighbours, axis=0), 1)
    return depth


def _beside(mask: Mask, half: float) -> list[Spot]:
    """Spots at the ends of the place that fit into the picture: right, left, above, below."""
    height, width = mask.shape
    rows, columns = mask.nonzero()
    spots: list[Spot] = []
    for x, pixel in (
        (columns.max() + 1 + half, columns.argmax()),
        (columns.min() - half, columns.argmin()),
    ):
        if half <= x <= width - half:
            spots.append((float(x), float(np.clip(rows[pixel] + 0.5, half, height - half))))
    for y, pixel in ((rows.min() - half, rows.argmin()), (rows.max() + 1 + half, rows.argmax())):
        if half <= y <= height - half:
            spots.append((float(np.clip(columns[pixel] + 0.5, half, width - half)), float(y)))
    return spots


def _free(spot: Spot, half: float, taken: Sequence[Spot]) -> bool:
    return all(max(abs(spot[0] - x), abs(spot[1] - y)) >= 2 * half for x, y in taken)


def _in_the_way(spot: Spot, half: float, covered: Mask) -> int:
    """Pixels of places under a number."""
    x, y = spot
    top, left = (max(0, int(np.floor(end - half))) for end in (y, x))
    bottom, right = (int(np.ceil(end + half)) for end in (y, x))
    return int(covered[top:bottom, left:right].sum())
