"""How the edge and the login listen: TLS on the loopback, one process, ended by a signal."""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import structlog
import uvicorn

from local_cloud import tls

HOST = "127.0.0.1"

_log = structlog.get_logger()


class PortTaken(Exception):
    """Something else listens there."""


def listen(port: int) -> socket.socket:
    """A listening socket on the loopback; port 0 takes a free one. Raises PortTaken."""
    try:
        listener = socket.create_server((HOST, port), backlog=128)
    except OSError:
        raise PortTaken(f"Port {port} is in use. Stop what listens there; make local-down stops an earlier run.") from None
    # asyncio does so only for sockets that name their protocol. Without it every answer waits for a delayed ACK of 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


async def serve(name: str, application: Any, listener: socket.socket, certificates: Path, *, protocol: Any = "h11") -> None:
    """Serves the ASGI application until SIGTERM or SIGINT.

    Args:
        name: what the log calls it.
        certificates: directory for tls.ensure.
        protocol: uvicorn's HTTP protocol, or one derived from it.
    """
    config = uvicorn.Config(
        application,
        http=protocol,
        interface="asgi3",
        ws="none",
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=5,
    )
    config.load()
    config.ssl = tls.server_context(tls.ensure(certificates))
    server = _Server(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, server.handle_exit, number, None)
    _log.info(f"{name} ready", port=listener.getsockname()[1])
    await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn's own way ends the process before whoever called it has cleaned up."""
        yield


def log_as_json() -> None:
    """Log lines are JSON objects on the standard output."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stdout)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    )
