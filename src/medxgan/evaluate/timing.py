"""How long a piece of work takes."""

import time
from collections.abc import Callable
from typing import TypeVar

import torch

Result = TypeVar("Result")


def timed(device: torch.device, work: Callable[[], Result]) -> tuple[Result, float]:
    """Do the work; return its result, and the seconds until the device had finished.

    >>> timed(torch.device("cpu"), lambda: 42)[0]
    42
    """
    started = time.perf_counter()
    result = work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return result, time.perf_counter() - started
