"""An HTTP proxy that fails as AWS and networks do, by a seed: calls are refused, throttled, slowed down, repeated, and carried
out with the answer lost."""

import http.client
import json
import random
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FAULTS = ("refuse", "throttle", "slow", "drop", "repeat")


class FaultyProxy(ThreadingHTTPServer):
    """Serves a free port of the loopback for the server at ``upstream_port``. ``rate`` is the share of calls with a fault."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, upstream_port: int, *, seed: int, rate: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream_port = upstream_port
        self.rate = rate
        self.faults: dict[str, int] = defaultdict(int)
        self.published: dict[str, set[str]] = defaultdict(set)
        """By analysis, the requests that published results and were answered with success, each by its request token."""
        self._random = random.Random(seed)  # noqa: S311  # to be repeated, not to be secret
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, name="proxy", daemon=True)
        self._thread.start()

    def draw(self) -> tuple[str | None, float]:
        """The fault of the next call, and a number from 0 to 1."""
        with self._lock:
            if self._random.random() >= self.rate:
                return None, 0.0
            fault = self._random.choice(FAULTS)
            self.faults[fault] += 1
            return fault, self._random.random()

    def note(self, target: str, body: bytes) -> None:
        """Keeps count of what was published."""
        if not target.endswith("TransactWriteItems") or b'"succeeded"' not in body:
            return
        request = json.loads(body)
        for item in request["TransactItems"]:
            update = item.get("Update", {})
            if {"S": "succeeded"} in update.get("ExpressionAttributeValues", {}).values():
                with self._lock:
                    self.published[update["Key"]["pk"]["S"]].add(request["ClientRequestToken"])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that are killed break their connections off."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyProxy  # pyright: ignore[reportIncompatibleVariableOverride]  # no other makes these

    def _call(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault, number = self.server.draw()
        if fault == "refuse":
            self._answer(503, [("Content-Type", "text/plain")], b"Service Unavailable")
            return
        if fault == "throttle":
            self._throttle()
            return
        if fault == "slow":
            time.sleep(number)
        status, headers, answer = self._forward(body)
        if fault == "repeat":
            status, headers, answer = self._forward(body)
        if fault == "drop":
            self.close_connection = True
            return
        self._answer(status, headers, answer)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _call  # noqa: N815  # named by http.server

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream_port, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in ("connection", "expect")}
            upstream.request(self.command, self.path, body, headers)
            response = upstream.getresponse()
            answer = response.read()
        finally:
            upstream.close()
        if response.status == 200:
            self.server.note(self.headers.get("X-Amz-Target", ""), body)
        kept = [(name, value) for name, value in response.getheaders() if name.lower() not in ("connection", "transfer-encoding")]
        return response.status, kept, answer

    def _throttle(self) -> None:
        if "X-Amz-Target" in self.headers:
            error = {"__type": "ThrottlingException", "message": "Rate exceeded"}
            self._answer(400, [("Content-Type", "application/x-amz-json-1.0")], json.dumps(error).encode())
        else:
            error_xml = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Reduce your rate</Message></Error>"
            self._answer(503, [("Content-Type", "application/xml")], error_xml)

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        length = [] if any(name.lower() == "content-length" for name, _ in headers) else [("Content-Length", str(len(body)))]
        for name, value in headers + length:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *_: Any) -> None:  # noqa: A002  # its name
        """Nothing: a line a call would hide what matters."""
