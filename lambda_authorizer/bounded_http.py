"""One HTTP exchange that ends by a deadline and stays below a size, however the other side behaves.

A time-out of ``http.client`` bounds each read, so a server that drips bytes holds a caller for hours. Here the whole answer is
read against one deadline, then parsed. Nothing is followed, kept open or taken from proxy variables.
"""

import io
import time
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import socket
    import ssl

MAX_BYTES = 256 * 1024


class HttpError(Exception):
    """There was no complete answer in time. The text is fixed: nothing of the peer's."""


class Response(NamedTuple):
    """A status and a body of at most MAX_BYTES."""

    status: int
    body: bytes


def exchange(method: str, url: str, *, headers: Mapping[str, str], body: bytes, deadline: float) -> Response:
    """Send a request and return the answer, whatever its status.

    ``url`` is absolute, http or https; ``deadline`` is on the clock of ``time.monotonic``. ``Host``, ``Content-Length`` and
    ``Connection`` are added. Raises HttpError. Only name resolution is not bounded: the operating system offers no way.
    """
    # A third of a cold start: who reads secrets from a file and keys from the package does not pay it.
    import http.client
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = {"Host": parts.netloc, **headers, "Content-Length": str(len(body)), "Connection": "close"}
    head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    try:
        with _connect(parts.scheme, parts.hostname or "", parts.port, deadline) as connection:
            connection.sendall(head.encode("latin-1") + b"\r\n" + body)
            received = _read(connection, deadline)
        response = http.client.HTTPResponse(_Received(received), method=method)  # pyright: ignore[reportArgumentType]  # only makefile is used
        response.begin()
        return Response(response.status, response.read())
    except (OSError, ValueError, http.client.HTTPException):
        raise HttpError("no complete answer in time") from None


class _Received:
    """What http.client needs of a socket, for bytes already received."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def _remaining(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise HttpError("no complete answer in time")
    return left


def _connect(scheme: str, host: str, port: int | None, deadline: float) -> "socket.socket":
    import socket

    failure: OSError = OSError("no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host, port or (443 if scheme == "https" else 80), type=socket.SOCK_STREAM
    ):
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(_remaining(deadline))
            connection.connect(address)
            connection.settimeout(_remaining(deadline))
            return _tls().wrap_socket(connection, server_hostname=host) if scheme == "https" else connection
        except OSError as error:
            connection.close()
            failure = error
        except BaseException:
            connection.close()
            raise
    raise failure


@cache
def _tls() -> "ssl.SSLContext":
    import ssl

    return ssl.create_default_context()


def _read(connection: "socket.socket", deadline: float) -> bytes:
    received = bytearray()
    while True:
        connection.settimeout(_remaining(deadline))
        chunk = connection.recv(65536)
        if not chunk:
            return bytes(received)
        received += chunk
        if len(received) > MAX_BYTES:
            raise HttpError("the answer is too large")
