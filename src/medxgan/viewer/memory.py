"""How much memory a process may still take."""

from contextlib import suppress
from pathlib import Path

ROOM_BYTES = 2**31


def limit_memory(room: int = ROOM_BYTES) -> None:
    """Let allocations beyond the present ones fail after so many bytes, where Linux allows it.

    A decoder that a small file makes ask for all memory then raises ``MemoryError``, where
    otherwise the whole machine would suffer.

    Args:
        room: bytes beyond what the process takes already.
    """
    with suppress(ImportError, OSError, ValueError, StopIteration):
        import resource

        status = Path("/proc/self/status").read_text("ascii")
        used = next(line for line in status.splitlines() if line.startswith("VmData"))
        limit = int(used.split()[1]) * 1024 + room
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
