"""What a connection has to be before anything of it is read."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from operator_cli.console.peers import Peers

HEAD_SECONDS = 10
"""For the first request of a connection to come in full: a browser connects when it has one."""
LINGER_SECONDS = 1

_REFUSAL = b"This console belongs to another user of this machine.\n"
_ANSWER = (
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"
    b"Cache-Control: no-store\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(_REFUSAL), _REFUSAL)
)


def guarded(peers: Peers | None) -> type[asyncio.Protocol]:
    """The server's protocol, for connections of this user only where ``peers`` can tell."""

    class Guarded(H11Protocol):
        _refused = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]  (as uvicorn's own)
            super().connection_made(transport)
            self.loop.call_later(HEAD_SECONDS, self._close_if_silent)
            if peers is not None and not _admitted(peers, transport):
                self._refused = True
                transport.write(_ANSWER)
                # Closed at once, with its request unread, it would be reset, and the answer lost with it.
                transport.write_eof()
                self.loop.call_later(LINGER_SECONDS, transport.abort)

        def data_received(self, data: bytes) -> None:
            if not self._refused:
                super().data_received(data)

        def _close_if_silent(self) -> None:
            if self.cycle is None:
                self.transport.close()

    return Guarded


def _admitted(peers: Peers, transport: asyncio.Transport) -> bool:
    client: Any = transport.get_extra_info("peername")
    server: Any = transport.get_extra_info("sockname")
    return bool(client and server) and peers.admits(client[:2], server[:2])
