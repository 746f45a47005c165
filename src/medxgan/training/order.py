"""Which images make up each batch: a function of seed and step alone, so runs resume exactly."""

import numpy as np
from numpy.typing import NDArray


class BalancedOrder:
    """Batches whose first half is positive and whose second half is negative.

    Each class is walked through in passes, each pass a fresh permutation. Fixed halves keep the
    shapes of all tensors the same at every step, and the classes in balance.

    Args:
        positive: bool ``[M]``, class of each image.
        batch_size: images a step and process, even.
        seed: of the permutations.
        rank: of this process.
        processes: in all.

    >>> order = BalancedOrder(np.array([True, False, True, False, False]), batch_size=2, seed=0)
    >>> sorted(int(order.rows(step)[0]) for step in range(2))
    [0, 2]
    """

    def __init__(
        self,
        positive: NDArray[np.bool_],
        *,
        batch_size: int,
        seed: int,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.classes = [np.flatnonzero(positive), np.flatnonzero(~positive)]
        self.half = batch_size // 2
        self.seed, self.rank, self.processes = seed, rank, processes
        self._passes: dict[tuple[int, int], NDArray[np.int64]] = {}

    def rows(self, step: int) -> NDArray[np.int64]:
        """Indices of the images of one step (``batch_size``), positives first."""
        first = (step * self.processes + self.rank) * self.half
        return np.concatenate(
            [self._walk(kind, first, first + self.half) for kind in range(len(self.classes))]
        )

    def _walk(self, kind: int, start: int, stop: int) -> NDArray[np.int64]:
        members = self.classes[kind]
        places = np.arange(start, stop)
        return np.array(
            [members[self._pass(kind, int(p) // len(members))[p % len(members)]] for p in places],
            dtype=np.int64,
        )

    def _pass(self, kind: int, number: int) -> NDArray[np.int64]:
        key = (kind, number)
        if key not in self._passes:
            self._passes = {
                k: v for k, v in self._passes.items() if k[0] != kind or k[1] >= number - 1
            }
            random = np.random.default_rng([self.seed, kind, number])
            self._passes[key] = random.permutation(len(self.classes[kind]))
        return self._passes[key]


class PlainOrder:
    """Batches of images whose class does not matter: passes, each a fresh permutation.

    Args:
        count: number of images.
        batch_size: images a step and process.
        seed: of the permutations.
        rank: of this process.
        processes: in all.

    >>> order = PlainOrder(4, batch_size=2, seed=0)
    >>> sorted(np.concatenate([order.rows(0), order.rows(1)]).tolist())
    [0, 1, 2, 3]
    """

    def __init__(
        self, count: int, *, batch_size: int, seed: int, rank: int = 0, processes: int = 1
    ) -> None:
        self.count, self.batch_size, self.seed = count, batch_size, seed
        self.rank, self.processes = rank, processes
        self._passes: dict[int, NDArray[np.int64]] = {}

    def rows(self, step: int) -> NDArray[np.int64]:
        """Indices of the images of one step, ``[batch_size]``."""
        first = (step * self.processes + self.rank) * self.batch_size
        places = range(first, first + self.batch_size)
        return np.array([self._pass(p // self.count)[p % self.count] for p in places])

    def _pass(self, number: int) -> NDArray[np.int64]:
        if number not in self._passes:
            self._passes = {k: v for k, v in self._passes.items() if k >= number - 1}
            random = np.random.default_rng([self.seed, number])
            self._passes[number] = random.permutation(self.count)
        return self._passes[number]
