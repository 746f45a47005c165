"""A browser's connection, which must soon ask for something, and does not come alone by thousands.

Anyone who reaches the port can open connections, before any token is asked for.
"""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

SILENCE_SECONDS = 20
"""Until a first request has come in whole, its body apart."""
MOST_CONNECTIONS = 500


class Connection(H11Protocol):
    """A connection that is ended where nothing is asked, or where there are too many."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, unless there are enough."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
        else:
            self.loop.call_later(SILENCE_SECONDS, self._end_if_silent)

    def _end_if_silent(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()
