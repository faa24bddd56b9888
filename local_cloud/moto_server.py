"""The emulated AWS of the local environment and of the tests: moto's server on the loopback, mended where AWS answers otherwise.

    python -m local_cloud.moto_server --port 5000

Whatever moto does not implement is answered 501, so that no client takes a gap for an answer. State is in memory: it ends with
the process. Whoever reaches the port can do anything, so nothing but 127.0.0.1 is served.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.serving import BaseWSGIServer, make_server

from local_cloud import moto_fixes
from local_cloud.attempts import Attempts
from local_cloud.moto_trail import Trails
from local_cloud.signatures import Signatures

HOST = "127.0.0.1"


def create_app(service: Any) -> Flask:
    """The application of one AWS service, which answers 501 for what moto lacks or fails at.

    moto itself answers with a page of HTML and the status 404 or 500, which clients take for "no such thing", or try again.
    """
    app = create_backend_app(service)

    def gap(error: Exception) -> Any:
        if isinstance(error, HTTPException) and not isinstance(error, NotFound | MethodNotAllowed):
            return error
        traceback.print_exception(error, file=sys.stderr)
        return f"moto implements nothing here: {type(error).__name__}: {error}", 501

    app.register_error_handler(Exception, gap)
    return app


def make_moto_server(port: int) -> BaseWSGIServer:
    """A server on 127.0.0.1, not yet serving; port 0 takes a free one. Raises OSError (busy port) or moto_fixes.FixDoesNotFit."""
    moto_fixes.apply()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line a request would fill the disk
    app = Signatures(Attempts(Trails(DomainDispatcherApplication(create_app))))
    return make_server(HOST, port, app, threaded=True, request_handler=MotoRequestHandler)


@contextmanager
def running_moto() -> Iterator[str]:
    """For tests: an empty emulated AWS in this process while the context lasts; gives its URL.

    moto keeps its state per process: two at a time would share it.
    """
    moto_api_backend.reset()
    server = make_moto_server(0)
    thread = threading.Thread(target=server.serve_forever, name="moto", daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        moto_api_backend.reset()


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="local_cloud.moto_server", description="An emulated AWS on 127.0.0.1.")
    parser.add_argument("--port", type=int, required=True, help="TCP port; 0 takes a free one")
    port = parser.parse_args().port
    try:
        server = make_moto_server(port)
    except moto_fixes.FixDoesNotFit as error:
        sys.exit(f"The emulated AWS cannot start: {error}.")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    print(f"The emulated AWS serves http://{HOST}:{server.server_port}", flush=True)  # noqa: T201  # its log is the standard output
    server.serve_forever()


if __name__ == "__main__":
    main()
