"""A real server over TLS on the loopback, and callers that do not behave."""

import asyncio
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import uvicorn

from heartmap_service import server, time_limits
from heartmap_service.clients import Clients
from heartmap_service.identity import PROBE, FromAssertion, Gate
from heartmap_service.settings import ApiSettings
from heartmap_service.time_limits import TimeLimits
from heartmap_service.tls import CertificateFiles, certificate_of, self_signed
from lambda_authorizer.assertion import HEADER

KEYS = {"k1": b"\x01" * 32}
HOST = "internal.heartmap.test"


class Served(NamedTuple):
    port: int
    state: Any

    def connect(self) -> ssl.SSLSocket:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        return context.wrap_socket(plain, server_hostname=HOST)

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=f"https://127.0.0.1:{self.port}", verify=False, headers={"Host": HOST}, timeout=30)  # noqa: S501


@pytest.fixture
def serve() -> Iterator[Callable[[Any], Served]]:
    """Serves an application as the API's process does, in a thread."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(app: Any, certificate: CertificateFiles | None = None) -> Served:
        with self_signed(HOST) as made:
            config = server.configured(app, host="127.0.0.1", port=0, certificate=certificate or made)
        started = uvicorn.Server(config)
        started.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        thread = threading.Thread(target=started.run)
        thread.start()
        running.append((started, thread))
        end = time.monotonic() + 10
        while not started.started:
            assert time.monotonic() < end
            time.sleep(0.01)
        return Served(started.servers[0].sockets[0].getsockname()[1], started.server_state)

    yield start
    for started, thread in running:
        started.should_exit = started.force_exit = True
        thread.join(timeout=20)
        assert not thread.is_alive()


async def _hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def read_all(connection: ssl.SSLSocket) -> bytes:
    """Until the other side closes."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except (ConnectionError, ssl.SSLEOFError):
        pass
    return received


def drip(connection: ssl.SSLSocket) -> None:
    """A head that never ends, little by little."""
    connection.sendall(b"GET / HTTP/1.1\r\n")
    for _ in range(100):
        connection.sendall(b"a: b\r\n")
        time.sleep(0.05)


def problem_in(answer: bytes) -> dict[str, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    assert b"nosniff" in head
    return json.loads(body)


def test_a_head_above_the_bound_is_refused_before_it_is_whole(serve: Any) -> None:
    with serve(_hello).connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nCookie: " + b"a" * (server.HEAD_BYTES + 8000))
        answer = problem_in(read_all(connection))
    assert (answer["status"], answer["code"]) == (431, "head_too_large")


def test_a_head_above_the_bound_is_refused_also_when_it_is_whole_at_once(serve: Any) -> None:
    with serve(_hello).connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nCookie: " + b"a" * (server.HEAD_BYTES + 8000) + b"\r\n\r\n")
        assert problem_in(read_all(connection))["code"] == "head_too_large"


def test_a_head_within_the_bound_may_come_in_pieces(serve: Any) -> None:
    with serve(_hello).connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nCookie: " + b"a" * (server.HEAD_BYTES - 8000))
        time.sleep(0.2)
        connection.sendall(b"a\r\n\r\n")
        assert b"200 OK" in connection.recv(1000)


def test_many_small_headers_count_as_one_large_one(serve: Any) -> None:
    with serve(_hello).connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 7000)
        assert problem_in(read_all(connection))["code"] == "head_too_large"


@pytest.mark.parametrize("text", [b"\x16\x03\x01\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"GET /\r\nHost: x\r\n\r\n"])
def test_what_is_not_http_gets_a_problem_and_the_end_of_the_connection(serve: Any, text: bytes) -> None:
    with serve(_hello).connect() as connection:
        connection.sendall(text)
        assert problem_in(read_all(connection))["code"] == "bad_request"


def test_two_lengths_of_one_body_are_refused(serve: Any) -> None:
    with serve(_hello).connect() as connection:
        connection.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n"
        )
        assert problem_in(read_all(connection))["code"] == "bad_request"


@pytest.mark.parametrize("first", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["new", "kept alive"])
def test_a_head_that_drips_in_is_ended(serve: Any, monkeypatch: pytest.MonkeyPatch, first: bytes) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.6)
    with serve(_hello).connect() as connection:
        if first:
            connection.sendall(first)
            assert b"200 OK" in connection.recv(1000)
        started = time.monotonic()
        with pytest.raises((ConnectionError, ssl.SSLError)):
            drip(connection)
        assert time.monotonic() - started < 3


def test_a_connection_that_says_nothing_is_ended_and_one_that_waits_for_an_answer_is_not(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.4)

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(1.2)
        await _hello(scope, receive, send)

    served = serve(slow)
    with served.connect() as silent, served.connect() as waiting:
        waiting.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_all(silent) == b""
        assert b"200 OK" in waiting.recv(1000)


def test_connections_above_the_bound_close_those_that_ask_for_nothing(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 10)
    served = serve(_hello)
    held = [served.connect() for _ in range(30)]
    with served.client() as client:
        assert client.get("/").text == "ok"
    assert len(served.state.connections) <= 11
    for connection in held:
        connection.close()


def _gate(app: Any, **bounds: Any) -> Gate:
    return Gate(TimeLimits(app), identity=FromAssertion(KEYS), internal_host=HOST, stage="live", **bounds)


def test_a_body_that_drips_in_is_ended(serve: Any, admin: Any, http: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limits, "BODY_SECONDS", 0.5)
    served = serve(http.app)
    text = admin.assertion("POST", "/config")
    started = time.monotonic()
    with served.connect() as connection:
        head = f"POST /config HTTP/1.1\r\nHost: {HOST}\r\n{HEADER}: {text}\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: 60\r\n\r\n".encode() + b'{"min_')
        time.sleep(0.2)
        connection.sendall(b"genes")
        answer = problem_in(read_all(connection))
    assert (answer["status"], answer["code"]) == (408, "body_too_slow")
    assert time.monotonic() - started < 5
    with served.client() as client:
        headers = {HEADER: admin.assertion("GET", "/config")}
        assert client.get("/config", headers=headers).json()["version"] == 0


def test_a_call_that_takes_too_long_is_answered_and_what_it_says_later_is_dropped(
    serve: Any, admin: Any, http: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_limits, "ANSWER_SECONDS", 0.3)
    ended = threading.Event()

    def stuck(*_: Any, **__: Any) -> Any:
        time.sleep(1.0)
        ended.set()
        return {"version": 1}

    monkeypatch.setattr("heartmap_service.configuration.ConfigStore.versions", stuck)
    with serve(http.app).client() as client:
        headers = {HEADER: admin.assertion("GET", "/config/versions")}
        started = time.monotonic()
        late = client.get("/config/versions", headers=headers)
        assert (late.status_code, late.json()["code"], late.json()["request_id"]) == (504, "timeout", "request-1")
        assert late.headers["x-content-type-options"] == "nosniff"
        assert time.monotonic() - started < 0.9
        # On the very same connection, while the thread is at it and after it.
        for _ in range(2):
            assert client.get("/health", headers={HEADER: admin.assertion("GET", "/health")}).json() == {"status": "healthy"}
            ended.wait(5)


def test_analyze_has_its_own_time(serve: Any, admin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limits, "ANSWER_SECONDS", 0.2)

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.6)
        await _hello(scope, receive, send)

    with serve(_gate(slow)).client() as client:
        assert client.post("/analyze", headers={HEADER: admin.assertion("POST", "/analyze")}).status_code == 200
        assert client.get("/models", headers={HEADER: admin.assertion("GET", "/models")}).status_code == 504


def test_too_many_calls_are_told_to_come_again_and_health_is_answered(serve: Any, admin: Any) -> None:
    release, begun = threading.Event(), threading.Semaphore(0)

    async def held(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/models":
            begun.release()
            await asyncio.to_thread(release.wait, 20)
        await _hello(scope, receive, send)

    served = serve(_gate(held, most_calls=3))
    headers = {HEADER: admin.assertion("GET", "/models")}
    answers: list[int] = []

    def call() -> None:
        with served.client() as client:
            answers.append(client.get("/models", headers=headers).status_code)

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    with served.client() as client:
        assert all(begun.acquire(timeout=20) for _ in threads)
        refused = client.get("/config", headers={HEADER: admin.assertion("GET", "/config")})
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert refused.headers["retry-after"] == "2"
        assert client.get("/health", headers={HEADER: admin.assertion("GET", "/health")}).status_code == 200
        assert client.get(PROBE).status_code == 200
        release.set()
        for thread in threads:
            thread.join()
        assert answers == [200, 200, 200]
        assert client.get("/models", headers=headers).status_code == 200


def test_nobody_is_believed_about_where_a_call_came_from(serve: Any) -> None:
    seen: list[Any] = []

    async def remember(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["client"][0], scope["scheme"]))
        await _hello(scope, receive, send)

    with serve(remember).client() as client:
        client.get("/", headers={"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http", "Forwarded": "for=203.0.113.9"})
    assert seen == [("127.0.0.1", "https")]


def test_a_certificate_in_files_is_served(serve: Any, tmp_path: Path, api_settings: ApiSettings, clients: Clients) -> None:
    with self_signed("heartmap.example.org") as made:
        files = CertificateFiles(tmp_path / "certificate.pem", tmp_path / "key.pem")
        files.certificate.write_bytes(made.certificate.read_bytes())
        files.key.write_bytes(made.key.read_bytes())
    changed = api_settings.model_copy(update={"tls_certificate": files.certificate, "tls_key": files.key})
    with certificate_of(changed) as certificate:
        assert certificate == files
        served = serve(_hello, certificate)
    assert files.key.exists()
    context = ssl.create_default_context(cafile=str(files.certificate))
    with (
        socket.create_connection(("127.0.0.1", served.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="heartmap.example.org") as connection,
    ):
        assert connection.version() in ("TLSv1.2", "TLSv1.3")


def test_a_certificate_and_the_key_of_another_are_refused(tmp_path: Path) -> None:
    with self_signed("a") as one, self_signed("b") as other, pytest.raises(OSError):  # noqa: PT011  # ssl.SSLError
        server.configured(_hello, host="127.0.0.1", port=0, certificate=CertificateFiles(one.certificate, other.key))
