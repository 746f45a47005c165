"""Threads for work that must not run twice at once, and never in the event loop.

A single thread is the lock around a model (Grad-CAM listens to its layers while it runs): two
browsers may move sliders at once, and are served in the order in which they came. torch keeps a
pool of helpers for every thread that uses it, so that one thread also keeps memory flat.
"""

from asyncio import get_running_loop
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class SingleThread:
    """Runs functions one after another, in a thread of its own.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(
        self,
        work: Callable[Arguments, Result],
        *arguments: Arguments.args,
        **options: Arguments.kwargs,
    ) -> Result:
        """Wait for the result of work, without keeping the event loop."""
        task = partial(work, *arguments, **options)
        return await get_running_loop().run_in_executor(self._executor, task)

    def begin(self, work: Callable[[], object]) -> None:
        """Do work when there is time, and forget its result."""
        self._executor.submit(work)

    def close(self) -> None:
        """Forget what has not begun, and wait for what has."""
        self._executor.shutdown(cancel_futures=True)
