"""The loopback address to which the browser comes back at the end of a sign-in (RFC 8252, 7.3).

Whoever else can reach the port (another page in the browser, another user of the machine) does not know the state of the sign-in,
and can neither end nor replace it.
"""

import base64
import errno
import hashlib
import hmac
import html
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from operator_cli.errors import CliError

PATH = "/callback"
CONNECTION_SECONDS = 10

# Browsers take localhost for either, and some try IPv6 first: nobody else may sit there.
_LOOPBACK = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))

_STYLE = """
:root { color-scheme: light dark; --paper: #f7f7f8; --ink: #16181d; --mark: #17663a; }
@media (prefers-color-scheme: dark) { :root { --paper: #14161a; --ink: #eceef2; --mark: #7fd8a0; } }
body { background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; margin: 0; padding: 12vh 1rem; }
main { border-left: 4px solid var(--mark); margin: 0 auto; max-width: 27rem; padding: 0 1rem; }
main.refused { --mark: #a3161b; }
@media (prefers-color-scheme: dark) { main.refused { --mark: #ff9d97; } }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0; }
p { margin: 0.5rem 0 0; }
"""
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Answer(NamedTuple):
    """What the authorization endpoint sent to the callback: a code or an error."""

    code: str | None
    error: str | None
    description: str | None


def read(target: str, state: str) -> Answer | None:
    """The answer in a callback's path and query, or None when it is not an answer to the sign-in with this state."""
    parts = urlsplit(target)
    if parts.path != PATH or parts.netloc:
        return None
    try:
        values = parse_qs(parts.query, strict_parsing=True, max_num_fields=16)
    except ValueError:
        return None
    if any(len(given) != 1 for given in values.values()):
        return None
    single: Mapping[str, str] = {name: given[0] for name, given in values.items()}
    if not hmac.compare_digest(single.get("state", "").encode(), state.encode()):
        return None
    code, error = single.get("code"), single.get("error")
    if (code is None) == (error is None):
        return None
    return Answer(code, error, single.get("error_description"))


class Listener:
    """Serves the callback on the first free port, from threads of its own.

    Args:
        ports: tried in order.
        goes_on: where the person is told to go back to.
        receive: takes a path and query; gives the answer in it, or None for what is not awaited.
        deliver: is given the answer once the browser has its page: a program that ends then would leave the person without one.

    Raises CliError when no port is free.
    """

    def __init__(
        self, ports: Sequence[int], goes_on: str, receive: Callable[[str], Answer | None], deliver: Callable[[Answer], None]
    ) -> None:
        self._goes_on, self._receive, self._deliver = goes_on, receive, deliver
        self.port, self._servers = self._bind(ports)
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def _bind(self, ports: Sequence[int]) -> tuple[int, list[ThreadingHTTPServer]]:
        for port in ports:
            if servers := _bound(port, self._handler(port)):
                return port, servers
        raise CliError(
            f"The sign-in needs one of the ports {', '.join(map(str, ports))} on this machine, and none is free.",
            next_step="End the program that listens there (another sign-in, perhaps), then try again.",
        )

    def _handler(self, port: int) -> type[BaseHTTPRequestHandler]:
        owner, hosts = self, {f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}"}

        class Handler(BaseHTTPRequestHandler):
            timeout = CONNECTION_SECONDS
            server_version = "heartmapctl"
            sys_version = ""

            def do_GET(self) -> None:
                # A foreign name that leads here (DNS rebinding), then what a page asks for behind the person's back.
                if self.headers.get_all("Host") not in [[host] for host in hosts]:
                    self._page(421, "This is not served here.", "Nothing happened.", refused=True)
                elif self.headers.get("Sec-Fetch-Mode", "navigate") != "navigate" or "Origin" in self.headers:
                    self._page(403, "This is not served here.", "Nothing happened.", refused=True)
                elif answer := owner._receive(self.path):
                    try:
                        self._told(answer)
                    finally:
                        owner._deliver(answer)
                else:
                    text = "The sign-in is over, or this is not the answer to it. Begin again where you began."
                    self._page(400, "This is not awaited here", text, refused=True)

            def _told(self, answer: Answer) -> None:
                if answer.code is None:
                    self._page(
                        200, "The sign-in was refused", f"heartmapctl goes on {owner._goes_on}, and says why.", refused=True
                    )
                else:
                    self._page(200, "You are signed in", f"You can close this page. heartmapctl goes on {owner._goes_on}.")

            def _page(self, status: int, title: str, text: str, *, refused: bool = False) -> None:
                body = (
                    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
                    '<meta name="viewport" content="width=device-width, initial-scale=1">'
                    f"<title>{html.escape(title)} - heartmapctl</title><style>{_STYLE}</style></head>"
                    f"<body><main class={'refused' if refused else 'done'}><h1>{html.escape(title)}</h1>"
                    f"<p>{html.escape(text)}</p></main></body></html>"
                ).encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Content-Security-Policy", _POLICY)
                self.send_header("X-Content-Type-Options", "nosniff")
                self.send_header("Cache-Control", "no-store")
                self.send_header("Referrer-Policy", "no-referrer")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (http.server's own name)
                """Addresses carry the code: they are not printed."""

        return Handler


def _bound(port: int, handler: type[BaseHTTPRequestHandler]) -> list[ThreadingHTTPServer]:
    """A server on each loopback address of this machine; none at all where somebody else has the port on one of them."""
    servers: list[ThreadingHTTPServer] = []
    for family, address in _LOOPBACK:
        kind = type("Server", (ThreadingHTTPServer,), {"address_family": family})
        try:
            # The loopback only: nothing else on the network may answer a sign-in.
            servers.append(kind((address, port), handler))
        except OSError as error:
            if family == socket.AF_INET6 and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                continue
            for server in servers:
                server.server_close()
            return []
    return servers
