"""Random numbers that belong to an image, not to the batch it is measured in."""

import zlib
from collections.abc import Callable

import torch
from torch import Tensor

from medxgan.evaluate.columns import Rows


def drawn_for(
    rows: Rows,
    shape: tuple[int, ...],
    purpose: str,
    seed: int,
    draw: Callable[..., Tensor] = torch.randn,
) -> Tensor:
    """Numbers for each row of a data set, the same in whatever batch the row is measured.

    Args:
        rows: of the data set, ``[N]``.
        shape: of the numbers for one row.
        purpose: keeps the numbers for one use independent of those for another.
        seed: of all of them.
        draw: ``torch.randn`` or ``torch.rand``.

    Returns:
        ``[N, *shape]`` on the CPU.

    >>> import numpy as np
    >>> both = drawn_for(np.array([3, 8]), (2,), "noise", 1)
    >>> both[1:].equal(drawn_for(np.array([8]), (2,), "noise", 1))
    True
    """

    def numbers(row: int) -> Tensor:
        random = torch.Generator().manual_seed(zlib.crc32(f"{purpose} {seed} {row}".encode()))
        return draw(shape, generator=random)

    return torch.stack([numbers(row) for row in rows.tolist()])
