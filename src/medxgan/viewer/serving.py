"""From what a user names to a running viewer: what is opened, where it listens, how it ends."""

import os
import signal
import socket
import sys
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread, Timer
from types import FrameType
from typing import Any

import uvicorn

from medxgan.errors import ConfigError, DataError, nearest
from medxgan.shipped import shipped_bundles
from medxgan.viewer.connection import Connection
from medxgan.viewer.saved import SavedFolder, holds_explanations
from medxgan.viewer.security import EVERYWHERE
from medxgan.viewer.verdicts import VERDICTS_FILE

SHUTDOWN_SECONDS = 3
LONGEST_END_SECONDS = 10
"""From the first signal to end until the program is abandoned."""
ABANDONED = 1
"""Exit status of a program that did not end in order."""
BUNDLE = "brain-phantom"
"""Opened where nothing is named."""


def what_to_open(source: str | None, bundle: str | None) -> tuple[Path | None, str | None]:
    """The folder of explanations and the bundle that a user means, each None where there is none.

    Args:
        source: a folder of explanations, or a bundle's name or folder.
        bundle: a bundle beside a folder of explanations.

    Raises:
        DataError: the folder holds no explanations, or there is neither folder nor bundle.
        ConfigError: two bundles are named.

    >>> what_to_open(None, None)
    (None, 'brain-phantom')
    """
    if source is None:
        return None, bundle or BUNDLE
    folder = Path(source)
    if folder.is_dir() and holds_explanations(folder):
        return folder, bundle
    if bundle is not None:
        raise ConfigError(
            f"'{source}' is no folder of explanations, and --bundle names a bundle already; name "
            "what medxgan explain wrote with --out, or leave out --bundle"
        )
    if folder.is_dir() and not (folder / "bundle.json").is_file():
        raise DataError(
            f"{source} holds neither explanations nor a bundle; name what medxgan explain wrote "
            "with --out, or a bundle"
        )
    if not folder.is_dir() and source not in shipped_bundles():
        raise DataError(
            f"there is no folder of explanations and no bundle '{source}': name what medxgan "
            f"explain wrote with --out, or a bundle; {nearest(source, shipped_bundles())}"
        )
    return None, source


def verdicts_file(given: Path | None, folder: SavedFolder | None) -> Path:
    """Where readers' verdicts are kept: as asked for, beside the explanations, or here.

    Raises:
        DataError: a link in the folder leads elsewhere.
    """
    if given is not None:
        return given
    path = Path(VERDICTS_FILE) if folder is None else folder.root / VERDICTS_FILE
    if path.is_symlink():
        raise DataError(
            f"{path} is a link, and verdicts would be written where it leads; remove it, or name "
            "a file with --verdicts"
        )
    return path


def listen(host: str, port: int) -> socket.socket:
    """A socket that is bound, so that a port in use is found before anything is loaded.

    Raises:
        ConfigError: the port is in use or forbidden, or there is no such address here.
    """
    if not 0 <= port <= 65535:
        raise ConfigError(f"--port must be 0 to 65535, got {port}")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        bound = socket.socket(family, socket.SOCK_STREAM)
    except OSError as fault:
        raise ConfigError(
            f"--host {host} is no address of this machine ({fault.strerror})"
        ) from None
    try:
        if os.name == "posix":
            # Not on Windows, where it would let two servers share a port.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen()
    except OSError as fault:
        bound.close()
        raise ConfigError(
            f"the viewer cannot listen on {host} port {port} ({fault.strerror}); choose another "
            "with --port, or any free one with --port 0"
        ) from None
    return bound


def address_of(host: str, bound: socket.socket, token: str | None = None) -> str:
    """What to open in a browser.

    >>> with listen("127.0.0.1", 0) as bound:
    ...     address_of("0.0.0.0", bound, "secret").partition(":")[2].split(":")[0]
    '//127.0.0.1'
    """
    name = "127.0.0.1" if host in EVERYWHERE else host
    name = f"[{name}]" if ":" in name else name
    port = bound.getsockname()[1]
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")


def serve(
    app: Any,
    bound: socket.socket,
    ready: Callable[[], None],
    abandon: Callable[[], None] = lambda: None,
) -> None:
    """Serve until Ctrl-C, a signal to end, or the terminal's end; open requests get a few seconds.

    What does not end in time, as a model in the middle of an image, is abandoned with the program;
    a second Ctrl-C does that at once.

    Args:
        app: the viewer.
        bound: where it listens.
        ready: called once it answers.
        abandon: tidies up where the program is abandoned.
    """
    config = uvicorn.Config(
        app,
        http=Connection,
        log_level="warning",
        access_log=False,  # it would write tokens down
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    server = _Server(config, ready, abandon)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # no nohup
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    with suppress(KeyboardInterrupt):  # uvicorn has shut down in order, and passes it on
        server.run(sockets=[bound])


def open_browser(address: str) -> None:
    """Show the viewer, where there is a screen to show it on; never waits for it.

    Not where the address has a token: other users see what a program is told to open.
    """
    headless = sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
    if not headless and "?token=" not in address:
        Thread(target=webbrowser.open, args=(address,), daemon=True).start()


class _Server(uvicorn.Server):
    """A server that says when it answers, and whose end takes no longer than it may."""

    def __init__(
        self, config: uvicorn.Config, ready: Callable[[], None], abandon: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._abandon = abandon

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        last = Timer(0 if self.should_exit else LONGEST_END_SECONDS, self._give_up)
        last.daemon = True
        last.start()
        super().handle_exit(sig, frame)

    def _give_up(self) -> None:
        """End at once, for no thread can be ended by another."""
        try:
            self._abandon()
        finally:
            os._exit(ABANDONED)
