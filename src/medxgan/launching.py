"""One process or several: where a training run computes."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from lightning_fabric import Fabric

from medxgan.device import choose_device
from medxgan.errors import ConfigError


@contextmanager
def launched_fabric(device: str, processes: int) -> Iterator[Fabric]:
    """Devices for a run; with several processes, this program is started once more for each.

    At the end the processes part in an orderly way. Left to the end of the program, the threads of
    their connection could abort a helper that is done, and Fabric, which watches the helpers, would
    then kill the first process while it still measures and writes.

    Precision stays 32 bit here: the training step chooses bfloat16 itself where it is safe.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        processes: devices, or on a CPU processes, that train side by side.

    Raises:
        ConfigError: no such device here, or fewer than ``processes`` of them.
    """
    chosen = choose_device(device)
    available = {"cpu": processes, "mps": 1}.get(chosen.type)
    if available is None:
        from torch import cuda

        available = cuda.device_count()
    if not 1 <= processes <= available:
        raise ConfigError(
            f"--processes must be 1 to {max(1, available)} on device '{chosen.type}', "
            f"got {processes}"
        )
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it tells of its processes
    fabric = Fabric(
        accelerator=chosen.type,
        devices=processes,
        strategy="ddp" if processes > 1 else "auto",
        precision="32-true",
    )
    fabric.launch()
    try:
        yield fabric
    finally:
        _part_processes()


def _part_processes() -> None:
    """End the connection between the processes of a run, where there is one."""
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def is_helper_process() -> bool:
    """Was this process started by ``launched_fabric`` in another one, which does the talking?"""
    return os.environ.get("LOCAL_RANK", "0") != "0"
