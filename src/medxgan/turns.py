"""Long work that lets short work of the same thread in between; by itself it never waits."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Turn = Callable[[], None]


def _nobody() -> None:
    pass


_others: ContextVar[Turn] = ContextVar("others", default=_nobody)


def give_way() -> None:
    """Do now what waits, where somebody lets others in; called between pieces of long work.

    What is done in between must find everything as if it were done before or after: no layer is
    being listened to, and no graph of gradients is half-built.
    """
    _others.get()()


@contextmanager
def giving_way(others: Turn | None) -> Iterator[None]:
    """Let others in whenever work inside gives way; None lets nobody in.

    Args:
        others: does what waits, and returns.

    >>> with giving_way(lambda: print("a turn")):
    ...     give_way()
    a turn
    >>> give_way()
    """
    token = _others.set(others or _nobody)
    try:
        yield
    finally:
        _others.reset(token)
