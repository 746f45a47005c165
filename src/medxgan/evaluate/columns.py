"""One value per image and figure, before means are made of them.

A column's key is the path of its figure in ``metrics.json``; its values are ``[N]``, NaN where
the figure is not defined for an image.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Place = tuple[str, ...]
Columns = dict[Place, Tensor]
Rows = NDArray[np.int64]


def joined(parts: Iterable[Columns]) -> Columns:
    """Columns of several batches, one after another, on the CPU.

    >>> joined([{("a",): torch.ones(1)}, {("a",): torch.zeros(2)}])
    {('a',): tensor([1., 0., 0.])}
    """
    parts = list(parts)
    names = parts[0] if parts else {}
    return {name: torch.cat([part[name].cpu() for part in parts]) for name in names}


def placed(columns: Mapping[Place, Tensor], *beginning: str) -> Columns:
    """The same columns, their places moved below ``beginning``.

    >>> placed({("iou",): torch.ones(1)}, "localization", "ig")
    {('localization', 'ig', 'iou'): tensor([1.])}
    """
    return {(*beginning, *place): values for place, values in columns.items()}
