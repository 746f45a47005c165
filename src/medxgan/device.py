"""Which device to compute on, and in which precision."""

from contextlib import AbstractContextManager, nullcontext

import torch

from medxgan.errors import ConfigError

DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str = "auto") -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``mps`` into a device that works here.

    Raises:
        ConfigError: the name is unknown, or this machine has no such device.

    >>> choose_device("cpu")
    device(type='cpu')
    """
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if available[kind]))
    if name not in available:
        raise ConfigError(f"device must be one of {', '.join(DEVICES)}, got '{name}'")
    if not available[name]:
        raise ConfigError(f"device '{name}' is not available on this machine; use --device cpu")
    return torch.device(name)


def autocast(device: torch.device, bf16: bool) -> AbstractContextManager[object]:
    """bfloat16 arithmetic for convolutions where asked for; float32 otherwise.

    On CPUs this doubles the speed of convolutions. Losses and gradient penalties stay in float32.
    """
    if not bf16 or device.type == "mps":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
