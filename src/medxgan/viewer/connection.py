"""A browser's connection, which must soon ask for something, and does not come alone by thousands.

Anyone who reaches the port can open connections, before any token is asked for.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

SILENCE_SECONDS = 20
"""Until the first, or the next, request has come in whole, its body apart."""
MOST_CONNECTIONS = 500


class Connection(H11Protocol):
    """A connection that is ended where nothing is asked, or where there are too many."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._limit: asyncio.TimerHandle | None = None

    # Uvicorn narrows what asyncio declares for all protocols to transports of streams.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, unless there are enough."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
        else:
            self._limit_silence()

    def connection_lost(self, exc: Exception | None) -> None:
        """End, and leave nothing to wait for."""
        if self._limit is not None:
            self._limit.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Go on, for as long as a first request is waited for."""
        super().on_response_complete()
        self._limit_silence()

    def _limit_silence(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
        self._limit = self.loop.call_later(SILENCE_SECONDS, self._end_if_silent)

    def _end_if_silent(self) -> None:
        asked = self.cycle is not None and not self.cycle.response_complete
        if not asked and not self.transport.is_closing():
            self.transport.close()
