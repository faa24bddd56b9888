"""A service for a gateway to stand in front of: it answers everything, and says what it was asked."""

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from local_cloud.tls import TlsFiles, server_context


@dataclass
class Asked:
    """A call as it arrived. ``headers`` are in their order, by lower-case names."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each == name.lower()]


@dataclass
class Backend:
    port: int
    calls: list[Asked] = field(default_factory=list)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    backend: Backend

    def handle_error(self, request: Any, client_address: Any) -> None: ...


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self._body()
        headers = [(name.lower(), value) for name, value in self.headers.items()]
        cast(_Server, self.server).backend.calls.append(Asked(self.command, self.path, headers, body))
        text = json.dumps({"method": self.command, "path": self.path, "bytes": len(body)}).encode()
        self.send_response(200)
        for name, value in (
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(text))),
            # What a gateway is to put right.
            ("Cache-Control", "public"),
            ("X-Request-Id", "of-the-service"),
            ("X-Content-Type-Options", "sniff"),
        ):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def _body(self) -> bytes:
        """All of it. Raises OSError or ValueError for one that ends too early: a call that was broken off did not arrive."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self._exactly(int(self.headers.get("Content-Length", "0")))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self._exactly(size)
            self._exactly(2)
        while self.rfile.readline().strip():
            pass  # trailers
        return body

    def _exactly(self, size: int) -> bytes:
        data = self.rfile.read(size)
        if len(data) < size:
            raise ConnectionError("the body is not all there")
        return data

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer  # noqa: N815  # http.server's names

    def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002  # http.server's name


@contextlib.contextmanager
def backend(files: TlsFiles) -> Iterator[Backend]:
    """Serves on a free port of the loopback, by TLS, until the block ends."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.backend = Backend(server.server_address[1])
    context: ssl.SSLContext = server_context(files)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.backend
    finally:
        server.shutdown()
        server.server_close()
