"""Apache as Debian has it, with its rendering, in front of a stub that says what reaches it."""

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from gateways import apache, problems
from gateways.example import example
from gateways.model import CREDENTIAL_HEADER, STRIPPED_HEADERS, Gateway, GatewayError
from lambda_authorizer.access_policy import JSON_BODY_LIMIT
from local_cloud import tls
from local_cloud.tls import TlsFiles
from tests.gateways import runners, wire
from tests.gateways.backend import Asked, Backend
from tests.gateways.conftest import lab_gateway
from tests.gateways.wire import Answer

ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
HOST = b"Host: localhost\r\n"
CLOSE = b"Connection: close\r\n"
ROUTES = example().routes
Make = Callable[..., "Place"]


class Place:
    """A running Apache with the rendering, and what stands behind it."""

    def __init__(self, port: int, logs: Path, backend: Backend, trusted: ssl.SSLContext) -> None:
        self.port, self.logs = port, logs
        self._backend, self._trusted = backend, trusted

    def send(self, request: bytes, source: str = "127.0.0.1", *, head: bool = False) -> tuple[list[Answer], list[Asked]]:
        """All answers, and the calls that reached the service meanwhile."""
        before = len(self._backend.calls)
        answers = wire.ask(self.port, request, trusted=self._trusted, source=source, head=head)
        return answers, self._backend.calls[before:]

    def call(self, line: str, *headers: str, body: bytes = b"", source: str = "127.0.0.1") -> tuple[Answer, list[Asked]]:
        """One call, ``line`` is method and target, whose connection ends after it."""
        lines = [f"{line} HTTP/1.1", "Host: localhost", *headers]
        if not any(header.lower().startswith("connection:") for header in headers):
            lines.append("Connection: close")
        if body:
            lines.append(f"Content-Length: {len(body)}")
        (answer,), calls = self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body, source)
        return answer, calls


@contextmanager
def place(gateway: Gateway, backend: Backend, certificates: TlsFiles, directory: Path) -> Iterator[Place]:
    trusted = ssl.create_default_context(cafile=certificates.ca)
    with runners.run("apache", gateway, directory) as running:
        yield Place(running.port, running.logs, backend, trusted)


@pytest.fixture(scope="module")
def plain(certificates: TlsFiles, backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """With the policy's rows, and rates that none of the tests reaches."""
    directory = tmp_path_factory.mktemp("apache")
    rows = tuple(replace(row, rate=1000, burst=100_000) for row in ROUTES)
    gateway = lab_gateway(certificates, directory, backend.port, routes=rows, client_rate=30_000, sensitive_rate=30_000)
    with place(gateway, backend, certificates, directory) as made:
        yield made


@pytest.fixture
def make(certificates: TlsFiles, backend: Backend, tmp_path: Path) -> Iterator[Make]:
    """``make(**changes)``: an Apache with these changes to the gateway, until the test ends."""
    running = []

    def start(**changes: Any) -> Place:
        directory = tmp_path / str(len(running))
        directory.mkdir()
        running.append(place(lab_gateway(certificates, directory, backend.port, **changes), backend, certificates, directory))
        return running[-1].__enter__()

    yield start
    for each in running:
        each.__exit__(None, None, None)


def is_problem(answer: Answer, status: int, code: str) -> None:
    """A problem document with the security headers, each of them once."""
    assert (answer.status, answer.problem.get("code"), answer.problem.get("status")) == (status, code, status), answer
    assert answer.headers["content-type"] == [problems.CONTENT_TYPE]
    for name, value in problems.SECURITY_HEADERS.items():
        assert answer.headers[name.lower()] == [value]


# --- What reaches the service


@pytest.mark.parametrize("row", ROUTES, ids=[row.name for row in ROUTES])
def test_every_row_of_the_policy_reaches_the_service_as_it_was_sent(plain: Place, row: Any) -> None:
    path = row.template.replace("{upload_id}", ULID).replace("{analysis_id}", ULID)
    answer, (call,) = plain.call(f"{row.method} {path}?a=%2F%22", body=b"{}" if row.body else b"")
    assert answer.status == 200
    assert (call.method, call.path) == (row.method, f"{path}?a=%2F%22")


@pytest.mark.parametrize(
    "line",
    [
        *(f"{row.method} {row.template.replace('{key_id}', ULID)}" for row in example().elsewhere),
        "HEAD /models",
        "PUT /config",
        "OPTIONS /models",
        "TRACE /models",
        "GET /healthz",
        "GET /MODELS",
        "GET /models/",
        "GET /models.",
        "GET //models",
        "GET /./models",
        "GET /x/../models",
        "GET /%6dodels",
        "GET /models%2f",
        "GET /%2fmodels",
        "GET /models;x=1",
        "GET https://localhost/models",
        "GET /uploads/../models",
        f"GET /uploads/{ULID.lower()}",
        f"GET /uploads/{ULID}X",
        "GET /server-status",
        "GET /icons/",
    ],
)
def test_what_is_not_in_the_table_goes_nowhere(plain: Place, line: str) -> None:
    (answer,), calls = plain.send(line.encode() + b" HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", head=line.startswith("HEAD"))
    assert (answer.status, calls) == (404, [])
    assert len(answer.headers["x-request-id"]) == 1
    if not line.startswith("HEAD"):
        is_problem(answer, 404, "no_such_route")


def test_headers_about_the_call_are_made_here_and_never_taken_from_outside(plain: Place) -> None:
    forged = [f"{name}: forged" for name in (*STRIPPED_HEADERS, "X-Forwarded-For", "X-Request-Id", CREDENTIAL_HEADER)]
    answer, (call,) = plain.call("GET /models", *forged, "Authorization: Bearer of-the-caller")
    assert "forged" not in json.dumps(call.headers)
    assert call.all("x-forwarded-for") == ["127.0.0.1"]
    assert call.all("authorization") == ["Bearer of-the-caller"]
    assert call.all("host") == ["localhost"]
    # The one id of the call: for the service, for the caller and in the log.
    (request_id,) = call.all("x-request-id")
    assert answer.headers["x-request-id"] == [request_id]
    assert runners.record(plain.logs, request_id)["status"] == answer.status


@pytest.mark.parametrize("connection", ["{}", "close, {}", "{}, close", "keep-alive, {}"])
def test_no_caller_has_the_headers_for_the_service_left_out(plain: Place, connection: str) -> None:
    """A proxy leaves out what Connection names (RFC 9110, 7.6.1): the service would then believe that this gateway calls."""
    named = connection.format("X-Forwarded-For, X-Request-Id, Host")
    _, (call,) = plain.call("GET /models", f"Connection: {named}")
    assert call.all("x-forwarded-for") == ["127.0.0.1"]
    assert len(call.all("x-request-id")) == 1


def test_the_services_headers_are_put_right(plain: Place) -> None:
    answer, _ = plain.call("GET /models")
    for name, value in problems.SECURITY_HEADERS.items():
        assert answer.headers[name.lower()] == [value]
    assert answer.headers["content-type"] == ["application/json"]


# --- What is no call


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1"])
def test_another_host_is_answered_nothing(plain: Place, host: str) -> None:
    (answer,), calls = plain.send(f"GET /models HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert calls == []
    is_problem(answer, 421, "misdirected_request")


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"GET /models HTTP/1.1\r\n\r\n", 400, "bad_request"),
        (b"GET /models HTTP/1.1\r\n" + HOST * 2 + b"\r\n", 400, "bad_request"),
        (b"GET /models\r\n\r\n", 400, "bad_request"),
        (b"GET /models HTTP/1.1\n" + HOST + b"\n", 400, "bad_request"),
        (b"GET /models HTTP/1.1\r\n" + HOST + b"X : 1\r\n\r\n", 400, "bad_request"),
        (b"GET /models HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n", 400, "bad_request"),
        (b"FOO /models HTTP/1.1\r\n" + HOST + b"\r\n", 501, "bad_request"),
        (b"GET /models?" + b"a" * 20_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414, "head_too_large"),
        (b"GET /models HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 20_000 + b"\r\n\r\n", 400, "bad_request"),
        (b"POST /config HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400, "bad_request"),
        (b"POST /config HTTP/1.1\r\n" + HOST + b"Content-Length: +1\r\n\r\na", 400, "bad_request"),
        (b"POST /config HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\n", 400, "bad_request"),
        (b"POST /config HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, "bad_request"),
        (b"POST /config HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n", 400, "bad_request"),
    ],
    ids=lambda value: value[:40].decode("latin-1") if isinstance(value, bytes) else str(value),
)
def test_what_is_not_http_is_refused_and_ends_the_connection(plain: Place, request_: bytes, status: int, code: str) -> None:
    answers, calls = plain.send(request_ + b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n")
    assert (len(answers), calls) == (1, [])
    is_problem(answers[0], status, code)


def test_a_length_beside_chunks_counts_for_nothing_and_ends_the_connection(plain: Place) -> None:
    """RFC 9112, 6.3. What stands after the last chunk is not a second call."""
    head = b"POST /config HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
    answers, calls = plain.send(head + b"3\r\nabc\r\n0\r\n\r\nGET /models HTTP/1.1\r\n" + HOST + b"\r\n")
    assert [answer.status for answer in answers] == [200]
    assert [(call.path, call.body, call.all("transfer-encoding")) for call in calls] == [("/config", b"abc", [])]


@pytest.mark.parametrize(("path", "status"), [("/models", 200), ("/nope", 404)])
def test_http_1_0_has_one_call_a_connection(plain: Place, path: str, status: int) -> None:
    once = f"GET {path} HTTP/1.0\r\n".encode() + HOST + b"Connection: keep-alive\r\n\r\n"
    answers, _ = plain.send(once + once)
    assert [answer.status for answer in answers] == [status]


@pytest.mark.parametrize("line", ["POST /config", "POST /uploads"])
def test_a_body_above_the_rows_limit_is_not_passed_on(plain: Place, line: str) -> None:
    answer, calls = plain.call(line, body=b"a" * (JSON_BODY_LIMIT + 1))
    assert calls == []
    is_problem(answer, 413, "body_too_large")
    answer, (call,) = plain.call(line, body=b"a" * JSON_BODY_LIMIT)
    assert (answer.status, len(call.body)) == (200, JSON_BODY_LIMIT)


def test_a_body_without_a_length_is_counted_as_it_comes(plain: Place) -> None:
    head = b"POST /config HTTP/1.1\r\n" + HOST + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n"
    (answer,), _ = plain.send(head + b"10001\r\n" + b"a" * 0x10001 + b"\r\n0\r\n\r\n")
    # mod_qos says 413 too late for Apache, which calls it a bad request.
    is_problem(answer, 400, "bad_request")


@pytest.mark.parametrize("framing", [b"Content-Length: 1\r\n\r\na", b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"])
def test_a_row_without_a_body_takes_none(plain: Place, framing: bytes) -> None:
    (answer,), calls = plain.send(b"GET /models HTTP/1.1\r\n" + HOST + CLOSE + framing)
    assert calls == []
    is_problem(answer, 413, "body_too_large")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_tls_is_not_spoken(plain: Place, version: ssl.TLSVersion) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = context.maximum_version = version
    with pytest.raises((ssl.SSLError, ConnectionError)):
        wire.ask(plain.port, b"", trusted=context)


# --- Who may call, and how often


def test_only_admitted_addresses_are_answered(make: Make) -> None:
    made = make(allowed_ranges=(ip_network("127.0.0.8/29"), ip_network("2001:db8::/32")))
    answer, calls = made.call("GET /models", "X-Forwarded-For: 127.0.0.9")
    assert calls == []
    is_problem(answer, 403, "blocked")
    assert made.call("GET /models", source="127.0.0.9")[0].status == 200
    assert made.call("GET /nope", source="127.0.0.16")[0].status == 403


def test_a_row_has_its_burst_for_all_callers_together_and_then_again(make: Make) -> None:
    made = make(routes=tuple(replace(row, rate=2, burst=4) if row.name == "get-models" else row for row in ROUTES))
    began = time.monotonic()
    answers = [made.call("GET /models", source=f"127.0.0.{2 + index % 3}")[0] for index in range(8)]
    assert time.monotonic() - began < 2
    assert [answer.status for answer in answers] == [200] * 4 + [429] * 4
    is_problem(answers[-1], 429, "throttled")
    assert answers[-1].headers["retry-after"] == ["1"]
    # Other rows have rates of their own.
    assert made.call("GET /health")[0].status == 200
    time.sleep(max(0.0, began + 3.2 - time.monotonic()))
    assert made.call("GET /models")[0].status == 200


def test_callers_who_are_not_admitted_use_up_no_rows_rate(make: Make) -> None:
    rows = tuple(replace(row, rate=2, burst=4) for row in ROUTES)
    made = make(routes=rows, allowed_ranges=(ip_network("127.0.0.9/32"),))
    assert {made.call("GET /models", source="127.0.0.2")[0].status for _ in range(6)} == {403}
    assert made.call("GET /models", source="127.0.0.9")[0].status == 200


def test_an_address_has_its_calls_of_a_minute_and_a_second_rate_for_what_is_sensitive(make: Make) -> None:
    made = make(client_rate=12, sensitive_rate=3)
    posts = [made.call("POST /config", body=b"{}")[0].status for _ in range(5)]
    assert posts == [200] * 3 + [429] * 2
    # What was refused counts too, and what is no row.
    assert [made.call("GET /nope")[0].status for _ in range(3)] == [404] * 3
    assert [made.call("GET /health")[0].status for _ in range(6)] == [200] * 4 + [429] * 2
    assert made.call("POST /config", body=b"{}", source="127.0.0.2")[0].status == 200


def test_who_goes_on_when_refused_finds_no_open_door(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """mod_qos counts with 16 bits: without this, an address has a new minute after 32,767 calls."""
    monkeypatch.setattr(apache, "FLOOD", 5)
    made = make(client_rate=3)
    assert [made.call("GET /health")[0].status for _ in range(8)] == [200] * 3 + [429] * 5
    with pytest.raises((ssl.SSLError, ConnectionError)):
        made.call("GET /health")
    assert made.call("GET /health", source="127.0.0.2")[0].status == 200


def test_one_who_floods_closes_no_door_to_others_of_the_same_proxy(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apache, "FLOOD", 5)
    made = make(client_rate=3, trusted_proxies=(ip_network("127.0.0.2/32"),))
    flood = [made.call("GET /health", "X-Forwarded-For: 192.0.2.1", source="127.0.0.2")[0].status for _ in range(12)]
    assert flood == [200] * 3 + [429] * 9
    assert made.call("GET /health", "X-Forwarded-For: 192.0.2.2", source="127.0.0.2")[0].status == 200


def test_behind_a_trusted_proxy_every_caller_is_known_by_their_own_address(make: Make) -> None:
    proxies = (ip_network("127.0.0.2/32"),)
    made = make(trusted_proxies=proxies, allowed_ranges=(ip_network("192.0.2.0/24"),), client_rate=3)

    def called(forwarded: str, source: str = "127.0.0.2") -> tuple[int, list[str]]:
        answer, calls = made.call("GET /health", f"X-Forwarded-For: {forwarded}", "X-HeartMAP-Client: 192.0.2.99", source=source)
        assert not [name for call in calls for name, _ in call.headers if name == "x-heartmap-client"]
        return answer.status, [address for call in calls for address in call.all("x-forwarded-for")]

    assert called("192.0.2.1") == (200, ["192.0.2.1"])
    # What the caller says of itself stands before what the proxy says.
    assert called("192.0.2.1, 198.51.100.7") == (403, [])
    assert called("198.51.100.7, 192.0.2.1") == (200, ["192.0.2.1"])
    assert called("192.0.2.1", source="127.0.0.3") == (403, [])
    assert [called("192.0.2.1")[0] for _ in range(2)] == [200, 429]
    assert called("192.0.2.2") == (200, ["192.0.2.2"])


def test_basic_authentication_stands_in_front_and_keeps_the_services_credential_apart(make: Make, tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text(f"lab:{bcrypt.hashpw(b'secret', bcrypt.gensalt(4)).decode()}\n")
    made = make(basic_auth=True, password_file=str(passwords))
    # lab:secret, lab:wrong
    right, wrong = "Authorization: Basic bGFiOnNlY3JldA==", "Authorization: Basic bGFiOndyb25n"
    for headers in ([], [wrong], [f"{CREDENTIAL_HEADER}: Bearer t"], ["Authorization: Bearer t"]):
        answer, calls = made.call("GET /models", *headers)
        assert calls == []
        is_problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"][0].startswith('Basic realm="heartmap"')
    _, (call,) = made.call("GET /models", right)
    assert call.all("authorization") == []
    _, (call,) = made.call("GET /models", right, f"{CREDENTIAL_HEADER}: Bearer t")
    assert (call.all("authorization"), call.all(CREDENTIAL_HEADER)) == (["Bearer t"], [])
    expected = ["-"] * 4 + ["lab"] * 2
    written = runners.records(made.logs, lambda records: len(records) >= len(expected))
    assert [each["user"] for each in written] == expected


# --- Towards the service, and in the log


def test_a_service_with_another_certificate_gets_no_call(make: Make, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tls.ensure(tmp_path_factory.mktemp("other"))
    answer, calls = make(upstream_ca=str(other.ca)).call("GET /models", "Authorization: Bearer t")
    assert calls == []
    assert answer.status in {500, 502, 503}
    is_problem(answer, answer.status, problems.PROBLEMS[answer.status].code)


def test_a_service_that_is_not_there_is_said_to_be_so(make: Make) -> None:
    answer, _ = make(upstream=f"https://127.0.0.1:{runners.free_port()}").call("GET /models")
    is_problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == ["1"]


def test_the_log_is_one_document_a_line_whatever_a_caller_sends(make: Make) -> None:
    made = make()
    hostile: Sequence[bytes] = [
        b'GET /"\\x22,"status":200} HTTP/1.1\r\n' + HOST + CLOSE + b"\r\n",
        b"GET /%0a%22%5c%00 HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n",
        b"GET /\xff%01 HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n",
        b'"GET" \\/ HTTP/1.1\r\n' + HOST + CLOSE + b"\r\n",
        b"GET /models?token=secret HTTP/1.1\r\n" + HOST + CLOSE + b'Authorization: Basic Ig0KXCI6eA==\r\nUser-Agent: "\\\r\n\r\n',
    ]
    for request in hostile:
        made.send(request)
    lines = runners.records(made.logs, lambda records: len(records) >= len(hostile))
    assert len(lines) == len(hostile)
    assert (lines[-1]["route"], lines[-1]["status"], lines[-1]["method"]) == ("get-models", 200, "GET")
    assert "secret" not in json.dumps(lines)


# --- Tokens checked by the gateway


@pytest.fixture(scope="module")
def key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})


@pytest.fixture(scope="module")
def key_set(key: RSAKey, certificates: TlsFiles) -> Iterator[str]:
    """The address of the user pool's keys."""
    document = json.dumps({"keys": [key.as_dict(private=False)]}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(document)))
            self.end_headers()
            self.wfile.write(document)

        def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002  # http.server's name

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = tls.server_context(certificates).wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"https://localhost:{server.server_address[1]}/jwks.json"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def checking(certificates: TlsFiles, backend: Backend, key_set: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """An Apache that checks tokens itself."""
    directory = tmp_path_factory.mktemp("apache-tokens")
    gateway = lab_gateway(certificates, directory, backend.port, jwks_url=key_set)
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(runners.RUNNERS, "apache", partial(runners.apache, tokens=certificates.ca))
        with place(gateway, backend, certificates, directory) as made:
            yield made


def token(key: RSAKey, **changes: Any) -> str:
    now = int(time.time())
    claims = {
        "iss": example().issuer,
        "client_id": example().client_ids[0],
        "token_use": "access",
        "sub": "a person",
        "iat": now,
        "exp": now + 600,
        "cognito:groups": ["viewer"],
    }
    given = {name: value for name, value in (claims | changes).items() if value is not None}
    return jwt.encode({"alg": "RS256", "kid": "one"}, given, key)


@pytest.mark.parametrize(
    ("line", "changes"),
    [
        ("GET /models", {}),
        ("GET /", {"cognito:groups": None}),
        ("POST /analyses", {"cognito:groups": ["nobody", "analyst"]}),
        ("GET /models", {"cognito:groups": None, "scope": "openid heartmap/models:read"}),
        ("GET /models", {"client_id": example().client_ids[1]}),
    ],
)
def test_a_token_that_the_row_is_open_to_is_passed_on(checking: Place, key: RSAKey, line: str, changes: dict[str, Any]) -> None:
    sent = token(key, **changes)
    answer, (call,) = checking.call(line, f"Authorization: Bearer {sent}", *(["Content-Length: 0"] * line.startswith("POST")))
    assert answer.status == 200
    assert call.all("authorization") == [f"Bearer {sent}"]
    assert not [name for name, _ in call.headers if name.startswith("oidc")]


@pytest.mark.parametrize(
    ("line", "changes"),
    [
        ("POST /analyses", {}),
        ("GET /models", {"cognito:groups": ["viewers"]}),
        ("GET /models", {"cognito:groups": None}),
        ("GET /models", {"cognito:groups": None, "scope": "heartmap/models:reader xheartmap/models:read models:read"}),
        # On a row with requirements of its own, and on one without.
        ("GET /models", {"token_use": "id"}),
        ("GET /models", {"client_id": "other"}),
        ("GET /models", {"iss": "https://evil.example"}),
        ("GET /", {"token_use": "id"}),
        ("GET /", {"client_id": "other"}),
        ("GET /", {"iss": "https://evil.example"}),
    ],
)
def test_a_token_for_something_else_is_refused(checking: Place, key: RSAKey, line: str, changes: dict[str, Any]) -> None:
    answer, calls = checking.call(line, f"Authorization: Bearer {token(key, **changes)}")
    assert calls == []
    is_problem(answer, 403, "forbidden")


def test_what_is_no_valid_token_is_refused(checking: Place, key: RSAKey) -> None:
    other = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
    unsigned = f"{token(key).rpartition('.')[0]}."
    for sent in (token(key, exp=int(time.time()) - 3600), token(other), unsigned, "x.y.z", ""):
        answer, calls = checking.call("GET /models", f"Authorization: Bearer {sent}")
        assert calls == []
        is_problem(answer, 401, "unauthenticated")
    answer, calls = checking.call("GET /models")
    assert calls == []
    is_problem(answer, 401, "unauthenticated")


def test_a_key_is_the_services_to_judge_and_what_is_no_row_stays_none(checking: Place) -> None:
    _, (call,) = checking.call("GET /models", "Authorization: ApiKey hm_x_y_z")
    assert call.all("authorization") == ["ApiKey hm_x_y_z"]
    assert checking.call("GET /keys", "Authorization: ApiKey hm_x_y_z")[0].status == 404


# --- The rendering


def test_tokens_are_not_checked_where_basic_authentication_has_their_header() -> None:
    assert set(apache.files(replace(example(), basic_auth=True))) == {"heartmap.conf", "00-heartmap.load"}
    assert "heartmap-tokens.conf" in apache.files(replace(example(), basic_auth=False))


def test_a_certificate_for_another_name_is_refused_before_apache_would() -> None:
    with pytest.raises(GatewayError, match="--upstream-host"):
        apache.files(replace(example(), upstream_host="other.example"))


def test_a_rate_that_mod_qos_would_count_wrongly_is_refused() -> None:
    with pytest.raises(GatewayError, match="--client-rate"):
        apache.files(replace(example(), client_rate=40_000))


@pytest.mark.parametrize("pattern", [r"^/a\.b$", '^/a"$', "^/a b$", "^/a#$", "^/(a|b)$"])
def test_a_pattern_that_quotes_would_not_keep_is_refused(pattern: str) -> None:
    with pytest.raises(GatewayError, match="pattern"):
        apache.files(replace(example(), routes=(replace(ROUTES[0], pattern=pattern),)))
