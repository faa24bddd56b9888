"""A console that serves until it is told to end."""

import contextlib
import errno
import html
import os
import socket
import tempfile
import threading
import webbrowser
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from operator_cli.console.app import Console, application
from operator_cli.console.connections import guarded
from operator_cli.console.peers import Peers
from operator_cli.console.secrets import Secrets
from operator_cli.environments import Environment
from operator_cli.errors import CliError

LOOPBACK, LOOPBACK_V6 = "127.0.0.1", "::1"
ATTEMPTS = 20
LARGEST_HEAD = 16 * 1024
MOST_CONNECTIONS = 128
KEEP_ALIVE_SECONDS = 30
CLOSING_SECONDS = 2


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A console that listens and does not answer yet."""

    console: Console
    server: uvicorn.Server
    sockets: list[socket.socket]

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM."""
        self.server.run(sockets=self.sockets)


def prepare(environment: Environment, *, port: int, ready: Callable[[str], None], warn: Callable[[str], None]) -> Prepared:
    """Take a port; 0 is any. ``ready`` is told the start address when it can be opened.

    Raises CliError when the port, or every one, is taken.
    """
    sockets = _listen(port)
    address = sockets[0].getsockname()
    console = Console(environment=environment, port=address[1], secrets=Secrets())
    peers = Peers()
    told = peers.tells(address)
    if not told:
        warn("This system does not tell whose a connection is: secrets alone keep this machine's other users out.")
    config = uvicorn.Config(
        application(console, lambda: ready(console.start_address)),
        http=guarded(peers if told else None),
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        # Nothing stands in front of this server, so nobody may say whom it speaks for.
        proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=CLOSING_SECONDS,
        h11_max_incomplete_event_size=LARGEST_HEAD,
    )
    return Prepared(console=console, server=uvicorn.Server(config), sockets=sockets)


def serve(environment: Environment, *, port: int, ready: Callable[[str], None], warn: Callable[[str], None]) -> None:
    """Serve the console of an environment until SIGINT or SIGTERM. As `prepare` for the rest."""
    prepared = prepare(environment, port=port, ready=ready, warn=warn)
    # Ctrl-C before uvicorn waits for it, or raised by it again after its work.
    with contextlib.suppress(KeyboardInterrupt):
        prepared.run()


def _listen(port: int) -> list[socket.socket]:
    """The port on the loopback of both families: whoever else could listen on the other one would be `localhost`, too."""
    for _ in range(1 if port else ATTEMPTS):
        try:
            first = socket.create_server((LOOPBACK, port))
        except OSError as error:
            raise CliError(f"Port {port} cannot be listened on: {error.strerror}.", next_step="Give another --port.") from None
        try:
            return [first, socket.create_server((LOOPBACK_V6, first.getsockname()[1]), family=socket.AF_INET6)]
        except OSError as error:
            if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                # A machine without IPv6 has no second loopback.
                return [first]
            first.close()
    raise CliError(f"Port {port or 'after port'} is taken on ::1 by another program.", next_step="Give another --port.")


@contextlib.contextmanager
def opened_in_browser(directory: Path) -> Iterator[Callable[[str], None]]:
    """Yields what opens an address in the person's browser, by way of a file that only they can read.

    The command line of the browser is in the process list, which every user of the machine can read.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=directory, prefix="console-", suffix=".html")
    file = Path(name)

    def show(address: str) -> None:
        with os.fdopen(handle, "w") as stream:
            refresh = html.escape(f"0;url={address}")
            stream.write(
                f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="{refresh}"><title>HeartMAP</title>'
            )
        # A text browser would not return before it is closed.
        threading.Thread(target=webbrowser.open, args=(file.as_uri(),), daemon=True).start()

    try:
        yield show
    finally:
        file.unlink(missing_ok=True)
