"""Threads for work that must not run twice at once, and never in the event loop.

A single thread is the lock around a model (Grad-CAM listens to its layers while it runs): two
browsers may move sliders at once, and are served in the order in which they came. torch keeps a
pool of helpers for every thread that uses it, so that one thread also keeps memory flat.

Opening an image takes seconds. It gives way between its pieces, and what is short is then done in
its midst, in the same thread.
"""

from asyncio import CancelledError, get_running_loop, wrap_future
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Event
from time import perf_counter
from typing import Any, ParamSpec, TypeVar

from medxgan.turns import giving_way
from medxgan.viewer.faults import AbandonedError

OWN_SECONDS = 0.05
"""For which long work goes on at most before it gives way again."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class SingleThread:
    """Runs functions one after another, in a thread of its own.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._short: deque[tuple[Callable[[], Any], Future[Any]]] = deque()

    async def run(
        self,
        work: Callable[Arguments, Result],
        *arguments: Arguments.args,
        **options: Arguments.kwargs,
    ) -> Result:
        """Wait for the result of work, without keeping the event loop.

        Work whose awaiting task is cancelled is given up when it next gives way.
        """
        given_up = Event()
        task = partial(self._giving_way, partial(work, *arguments, **options), given_up)
        try:
            return await get_running_loop().run_in_executor(self._executor, task)
        except CancelledError:
            given_up.set()
            raise

    async def run_between(
        self,
        work: Callable[Arguments, Result],
        *arguments: Arguments.args,
        **options: Arguments.kwargs,
    ) -> Result:
        """The same of short work, which is also done when other work gives way."""
        future: Future[Result] = Future()
        self._short.append((partial(work, *arguments, **options), future))
        self._executor.submit(self._do_waiting)
        return await wrap_future(future)

    def begin(self, work: Callable[[], object]) -> None:
        """Do work when there is time, and forget its result."""
        self._executor.submit(work)

    def close(self) -> None:
        """Forget what has not begun, and wait for what has."""
        for _, future in list(self._short):
            future.cancel()
        self._executor.shutdown(cancel_futures=True)

    def _giving_way(self, task: Callable[[], Result], given_up: Event) -> Result:
        """Do long work; between short work it goes on for as long as that took, if not longer.

        Else an image would never be open where many move sliders without a rest.

        Raises:
            AbandonedError: it was given up.
        """
        goes_on_until = 0.0

        def turn() -> None:
            nonlocal goes_on_until
            if given_up.is_set():
                raise AbandonedError
            started = perf_counter()
            if started < goes_on_until:
                return
            self._do_waiting()
            ended = perf_counter()
            goes_on_until = ended + min(ended - started, OWN_SECONDS)

        with giving_way(turn):
            turn()
            return task()

    def _do_waiting(self) -> None:
        """Do what is short and waits now; what comes meanwhile waits for the next turn."""
        with giving_way(None):
            for _ in range(len(self._short)):
                task, future = self._short.popleft()
                if not future.set_running_or_notify_cancel():
                    continue
                try:
                    future.set_result(task())
                except BaseException as fault:
                    future.set_exception(fault)
