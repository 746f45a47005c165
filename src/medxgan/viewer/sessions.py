"""Open images by session, at most so many and so large; those that rested longest go first."""

import secrets
from collections import OrderedDict, deque
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

from medxgan.viewer.faults import DroppedError, TooLargeError, UnknownError

LARGEST_SESSION = 2**28
LARGEST_TOTAL = 2**30
MOST_SESSIONS = 100
REMEMBERED = 10_000
"""Ids of dropped sessions, to say what became of them."""

Item = TypeVar("Item")


class Sessions(Generic[Item]):
    """What readers have open.

    Args:
        dropped: told of every session that is let go.
        most: sessions at once.
        total: bytes of all of them.
        largest: bytes of one.

    >>> sessions = Sessions[str](print, most=1)
    >>> first, second = sessions.add("a", 8), sessions.add("b", 8)
    a
    >>> sessions.get(second)
    'b'
    >>> sessions.get(first)
    Traceback (most recent call last):
    medxgan.viewer.faults.DroppedError: this image was closed to make room for others; open it again
    """

    def __init__(
        self,
        dropped: Callable[[Item], object],
        *,
        most: int = MOST_SESSIONS,
        total: int = LARGEST_TOTAL,
        largest: int = LARGEST_SESSION,
    ) -> None:
        self._dropped = dropped
        self._most, self._total, self._largest = most, total, largest
        self._open: OrderedDict[str, tuple[Item, int]] = OrderedDict()
        self._gone: deque[str] = deque(maxlen=REMEMBERED)
        self._lock = Lock()

    def add(self, item: Item, size: int) -> str:
        """Open a session; others may be dropped for it.

        Args:
            item: what it holds.
            size: of that, bytes.

        Returns:
            Its id, which nobody can guess.

        Raises:
            TooLargeError: it is too large even alone.
        """
        if size > self._largest:
            raise TooLargeError(
                f"an open image takes {size >> 20} MB, the viewer gives at most "
                f"{self._largest >> 20} MB to one; use a smaller one"
            )
        id = secrets.token_urlsafe(16)
        with self._lock:
            self._open[id] = (item, size)
            dropped = self._make_room()
        for each in dropped:
            self._dropped(each)
        return id

    def get(self, id: str) -> Item:
        """What a session holds; it then counts as used just now.

        Raises:
            DroppedError: it was let go.
            UnknownError: there never was one.
        """
        with self._lock:
            if id in self._open:
                self._open.move_to_end(id)
                return self._open[id][0]
            gone = id in self._gone
        if gone:
            raise DroppedError("this image was closed to make room for others; open it again")
        raise UnknownError("there is no such open image; the viewer may have been restarted")

    def items(self) -> list[Item]:
        """All that are open."""
        with self._lock:
            return [item for item, _ in self._open.values()]

    def clear(self) -> None:
        """Let all go."""
        with self._lock:
            items = [item for item, _ in self._open.values()]
            self._open.clear()
        for item in items:
            self._dropped(item)

    def _make_room(self) -> list[Item]:
        dropped = []
        while len(self._open) > self._most or self._used() > self._total:
            id, (item, _) = self._open.popitem(last=False)
            self._gone.append(id)
            dropped.append(item)
        return dropped

    def _used(self) -> int:
        return sum(size for _, size in self._open.values())
