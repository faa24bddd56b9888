"""Requests as bytes over TLS, and all the answers that come back on their connection.

No HTTP library writes what most of these requests are: they mend a path, refuse a header, and read one answer where two came.
"""

import contextlib
import io
import json
import re
import socket
import ssl
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Any, cast

QUIET, QUIET_AFTER_ONE = 0.4, 0.05
"""Seconds without a byte after an answer, after which no other is awaited on a connection that stays open; and where what was
sent can be taken for one request alone, so that more could only come with the answer itself."""
PATIENCE = 20.0
"""Seconds for the first byte."""


@dataclass(frozen=True)
class Answer:
    """``headers`` by their lower-case names, all values of each."""

    status: int
    headers: dict[str, list[str]]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        """The problem document; empty where the body is none."""
        try:
            document = json.loads(self.body)
        except ValueError:
            return {}
        return document if isinstance(document, dict) and "code" in document else {}


class _Bytes(io.BytesIO):
    """Stands for a socket. An answer that was read to its end closes it, and the next one begins there."""

    def close(self) -> None:
        """Kept open."""

    def makefile(self, *_: object) -> "_Bytes":
        return self


def ask(port: int, request: bytes, *, trusted: ssl.SSLContext, source: str = "127.0.0.1", head: bool = False) -> list[Answer]:
    """All answers on a new connection from the source address that takes these bytes; none where it just ended.

    Args:
        head: the request is a HEAD, whose answer has no body.

    What is no answer in HTTP/1 counts as one of status 0.
    """
    received = _exchange(port, request, trusted, source)
    stream = _Bytes(received)
    answers = []
    while (begins := stream.tell()) < len(received):
        answer = HTTPResponse(cast(socket.socket, stream), method="HEAD" if head else None)
        try:
            answer.begin()
            body = answer.read()
        except HTTPException:
            # HTTP/0.9: a body without a head.
            return [*answers, Answer(0, {}, received[begins:])]
        fields: dict[str, list[str]] = {}
        for name, value in answer.headers.items():
            fields.setdefault(name.lower(), []).append(value)
        answers.append(Answer(answer.status, fields, body))
    return answers


def _exchange(port: int, request: bytes, trusted: ssl.SSLContext, source: str) -> bytes:
    received, quiet = b"", QUIET if may_be_two(request) else QUIET_AFTER_ONE
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE, source_address=(source, 0)) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with trusted.wrap_socket(plain, server_hostname="localhost") as connection:
            # A server may answer, and end the connection, before it has read a body to its end: the answer is here all the same.
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                connection.sendall(request)
            with contextlib.suppress(TimeoutError, ConnectionError, ssl.SSLError):
                while piece := connection.recv(65536):
                    received += piece
                    if is_whole(received):
                        connection.settimeout(quiet)
    return received


def may_be_two(request: bytes) -> bool:
    """Whether anybody could find two requests in these bytes, or may give two answers to them.

    That is a first line or an end of line in another form, a body that is longer or shorter than the one length that is told or
    looks like a request, another way to tell where it ends, and what asks for an answer before the answer.
    """
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.lower().split(b"\r\n")
    lengths = [line.removeprefix(b"content-length: ") for line in lines if b"content-length" in line]
    told = lengths == [str(len(body)).encode()] if lengths else not body
    odd = any(word in line for line in lines for word in (b"\r", b"\n", b"transfer-encoding", b"upgrade", b"expect"))
    return not re.fullmatch(rb"[a-z]+ [!-~]+ http/1\.1", first) or not told or odd or b"HTTP/" in body


def is_whole(received: bytes) -> bool:
    """Whether the bytes hold one answer to its end at least, as far as its length is told."""
    head, gap, body = received.partition(b"\r\n\r\n")
    _, _, length = head.lower().partition(b"\r\ncontent-length:")
    if length:
        return len(body) >= int(length.partition(b"\r\n")[0])
    return bool(gap) and (b"\r\ntransfer-encoding: chunked" not in head.lower() or body.endswith(b"0\r\n\r\n"))
