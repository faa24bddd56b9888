"""uvicorn, with bounds that it does not have: on the time that a request's head may take, and on the number of connections.

Heads are parsed by h11, which bounds their size; what bounds a body and an answer is ASGI middleware (``identity.Gate``,
``time_limits``).
"""

import asyncio
import ipaddress
import ssl
import sys
from pathlib import Path
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from ulid import ULID
from uvicorn.protocols.http.h11_impl import H11Protocol

from heartmap_service.identity import SECURITY_HEADERS
from heartmap_service.problems import Problem, respond
from heartmap_service.settings import ListenerSettings
from heartmap_service.tls import CertificateFiles, certificate_of

HEAD_BYTES = 32 * 1024
"""Of a request's line and headers together. API Gateway takes 10,240 bytes of headers, and adds the assertion."""
HEAD_PIECE = 4096
"""By which a head may be longer than that."""
HEAD_SECONDS = 20.0
"""From a connection's opening, or the first byte of its next request, to the end of that request's head."""
MOST_CONNECTIONS = 1000
"""Open at once. Each takes 0.1 MB with TLS. The load balancer uses few, and uses them again."""
DRAIN_SECONDS = 20
"""From SIGTERM to the end of the calls in hand. ECS kills after 30."""
KEEP_ALIVE = 75
"""Above the load balancer's idle time-out of 60 s, or it would reuse connections that this side has just closed."""

_NOT_HTTP = (400, "bad_request", "This is not a request in HTTP/1.1.")
_HEAD_TOO_LARGE = (431, "head_too_large", f"The request's line and headers may have {HEAD_BYTES:,} bytes together.")


class BoundedProtocol(H11Protocol):
    """One connection."""

    _head: asyncio.TimerHandle | None = None
    _heard_at = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._heard_at = self.loop.time()
        if len(self.connections) > MOST_CONNECTIONS:
            self._make_room()
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        self._heard_at = self.loop.time()
        # h11 bounds a head that is not whole yet: one that comes at once is given to it in pieces.
        while len(data) > HEAD_PIECE and self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            super().data_received(data[:HEAD_PIECE])
            data = data[HEAD_PIECE:]
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self._is_answering():
            self._stop_waiting()
        else:
            # Not anew with each byte: a head that drips in has no more time than any other.
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # ours is said instead
        """The answer to what h11 does not take, and the end of the connection."""
        if self._is_answering():
            # A body that breaks off in its middle: the application learns that the caller is gone.
            self.transport.abort()
            return
        # uvicorn calls this while it handles h11's error.
        hint = getattr(sys.exc_info()[1], "error_status_hint", None)
        status, code, detail = _HEAD_TOO_LARGE if hint == 431 else _NOT_HTTP
        request_id = str(ULID())
        answer = respond(Problem(status, code, detail), request_id)
        headers = {**SECURITY_HEADERS, "X-Request-Id": request_id, "Connection": "close"}
        fields = [*answer.raw_headers, *((name.encode(), value.encode()) for name, value in headers.items())]
        for event in (h11.Response(status_code=status, headers=fields), h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait_for_head(self) -> None:
        if self._head is None and not self.transport.is_closing():
            self._head = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _make_room(self) -> None:
        """Closes the connection that has asked for nothing for longest; this one when all others wait for an answer."""
        all_of_them: set[Any] = self.connections
        quiet = [other for other in all_of_them if not other._is_answering()]
        min(quiet, key=lambda other: other._heard_at).transport.abort()


def listening(app: ASGIApp, settings: ListenerSettings) -> uvicorn.Config:
    """As ``configured``, by a process's settings. Raises SystemExit."""
    with certificate_of(settings) as certificate:
        try:
            return configured(app, host=settings.bind_address, port=settings.port, certificate=certificate)
        except OSError:
            # ssl.SSLError is one.
            raise SystemExit("HEARTMAP_TLS_CERTIFICATE and HEARTMAP_TLS_KEY are no PEM certificate and its key.") from None


def configured(app: ASGIApp, *, host: str, port: int, certificate: CertificateFiles) -> uvicorn.Config:
    """The server's configuration, with the certificate loaded. Raises OSError (ssl.SSLError is one) when that is none with its
    key."""
    config = _config(app, host, port, ssl_certfile=certificate.certificate, ssl_keyfile=certificate.key)
    config.load()
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    return config


def without_tls(app: ASGIApp, *, host: str, port: int) -> uvicorn.Config:
    """The configuration of a server in plain HTTP. Raises ValueError unless it listens on the loopback: credentials pass it."""
    if not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"{host} is no address of the loopback")
    return _config(app, host, port)


def _config(app: ASGIApp, host: str, port: int, **tls: Path) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # It would believe whoever calls from this machine about where the call came from.
        proxy_headers=False,
        h11_max_incomplete_event_size=HEAD_BYTES,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        **tls,  # pyright: ignore[reportArgumentType]  # ssl_certfile and ssl_keyfile
    )
