"""nginx as Debian has it, with its rendering, in front of a service that says what it was asked."""

import base64
import itertools
import re
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from gateways import model, nginx, passwords, problems
from gateways.model import Gateway, GatewayError
from gateways.render import render
from local_cloud import tls
from local_cloud.tls import TlsFiles
from tests.gateways import runners
from tests.gateways.backend import Backend
from tests.gateways.conftest import lab_gateway
from tests.gateways.runners import Running
from tests.gateways.wire import Answer
from tests.gateways.wire import ask as ask_raw

ULID = "01J8ZQ4Y7M3W5X9K2B6C1D0EFG"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

Start = Callable[..., AbstractContextManager[Running]]


def unhurried(gateway: Gateway) -> Gateway:
    """With rates that no test but those of rates gets at."""
    return replace(
        gateway,
        routes=tuple(replace(route, rate=1000, burst=1000) for route in gateway.routes),
        client_rate=60_000,
        sensitive_rate=60_000,
    )


@pytest.fixture(scope="module")
def trusted(certificates: TlsFiles) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificates.ca))


@pytest.fixture(scope="module")
def place(certificates: TlsFiles, backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One nginx for all tests that change nothing about it."""
    directory = tmp_path_factory.mktemp("nginx")
    gateway = unhurried(lab_gateway(certificates, directory, backend.port))
    with runners.run("nginx", gateway, directory) as running:
        yield running


@pytest.fixture
def ask(place: Running, trusted: ssl.SSLContext) -> Callable[..., Answer]:
    """``ask(method, path, header…, body=…)`` on a connection of its own: the one answer."""
    return lambda *words, **more: one(place.port, trusted, *words, **more)


def one(
    port: int, trusted: ssl.SSLContext, method: str, path: str, *headers: str, body: bytes = b"", source: str = "127.0.0.1"
) -> Answer:
    length = [f"Content-Length: {len(body)}"] if body and not any("Transfer-Encoding" in each for each in headers) else []
    host = [] if any(each.startswith("Host:") for each in headers) else ["Host: localhost"]
    head = "\r\n".join([f"{method} {path} HTTP/1.1", *host, "Connection: close", *length, *headers, "", ""])
    (answer,) = ask_raw(port, head.encode("latin-1") + body, trusted=trusted, source=source, head=method == "HEAD")
    return answer


def refused(answer: Answer, status: int) -> None:
    """A problem document of the gateway's own, with everything that belongs to it."""
    problem = problems.PROBLEMS[status]
    assert answer.status == status
    assert answer.problem["code"] == problem.code
    assert answer.problem["status"] == status
    assert answer.headers["content-type"] == [problems.CONTENT_TYPE]
    assert answer.headers["x-request-id"] == [answer.problem["request_id"]]
    secured(answer)


def secured(answer: Answer) -> None:
    for name, value in problems.SECURITY_HEADERS.items():
        assert answer.headers[name.lower()] == [value]
    assert answer.headers["server"] == ["nginx"]


# What passes


def test_rows_of_the_table_pass_and_nothing_else_does(ask: Any, backend: Backend, lab: Any) -> None:
    rows = {(route.method, route.template) for route in lab(1).routes}
    templates = sorted({route.template for route in (*lab(1).routes, *lab(1).elsewhere)})
    for method, template in itertools.product(METHODS, templates):
        before = len(backend.calls)
        answer = ask(method, re.sub(r"\{\w+\}", ULID, template))
        if (method, template) in rows:
            assert (answer.status, len(backend.calls)) == (200, before + 1), (method, template)
            secured(answer)
        else:
            assert (answer.status, len(backend.calls)) == (404, before), (method, template)


PATHS = [
    *("//health", "/health/", "/health/.", "/./health", "/x/../health", "/Health", "/health%20", "/%68ealth", "/health%00"),
    *("/health;x", "/health\\", "/config/../health", "/uploads/..%2fhealth", "/%2e%2e/health", "/health#x", "/health\x0b"),
    *(f"/uploads/{ULID.lower()}", f"/uploads/{ULID}0", f"/uploads/{ULID[:-1]}", f"/uploads/{ULID}%2f", f"/uploads/{ULID}/"),
    *("/uploads/%2f", "/healthz", "/docs", "/openapi.json", "/metrics", "/h\xe9alth", "/.", "/..", "/@heartmap"),
    *("/heartmap-refusal/404", "/heartmap-problem/404"),
]


@pytest.mark.parametrize("path", PATHS, ids=[ascii(path) for path in PATHS])
def test_a_path_that_only_reading_it_kindly_makes_a_route_is_none(ask: Any, backend: Backend, path: str) -> None:
    before = len(backend.calls)
    answer = ask("GET", path)
    # 400: nginx takes it for no request.
    assert answer.status in (400, 404)
    refused(answer, answer.status)
    assert len(backend.calls) == before


def test_a_query_is_passed_on_as_it_was_sent(ask: Any, backend: Backend) -> None:
    assert ask("GET", "/analyses?cursor=a%2Fb&x=../../keys").status == 200
    assert backend.calls[-1].path == "/analyses?cursor=a%2Fb&x=../../keys"


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.", "localhost.evil.example", "localhost:x", "localhost@evil", "127.0.0.1"]
)
def test_another_host_is_not_answered(ask: Any, backend: Backend, host: str) -> None:
    before = len(backend.calls)
    answer = ask("GET", "/health", f"Host: {host}")
    refused(answer, answer.status)
    assert answer.status in (400, 421)
    assert len(backend.calls) == before


@pytest.mark.parametrize("host", ["localhost:8443", "LOCALHOST"])
def test_the_host_is_passed_on_as_it_was_sent(ask: Any, backend: Backend, host: str) -> None:
    assert ask("GET", "/health", f"Host: {host}").status == 200
    assert backend.calls[-1].all("host") == [host]


@pytest.mark.parametrize(
    "request_",
    [
        b"GET https://evil.example/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"GET /health HTTP/1.0\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        b"GET /health HTTP/2.0\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"TRACE /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"G\x00T /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
    ids=["whole-url", "no-host", "http10", "two-hosts", "http2-line", "http2", "connect", "trace", "options", "nul", "nonsense"],
)
def test_what_is_no_request_of_ours_is_a_problem_document(
    place: Running, trusted: Any, backend: Backend, request_: bytes
) -> None:
    before = len(backend.calls)
    (answer,) = ask_raw(place.port, request_, trusted=trusted)
    refused(answer, answer.status)
    assert len(backend.calls) == before


def test_what_has_no_host_at_all_does_not_pass(place: Running, trusted: Any, backend: Backend) -> None:
    """HTTP/0.9: $status is not 000 there."""
    before = len(backend.calls)
    (answer,) = ask_raw(place.port, b"GET /health\r\n", trusted=trusted)
    assert b"misdirected_request" in answer.body
    assert len(backend.calls) == before


def test_plain_http_is_told_that_it_is(place: Running) -> None:
    with socket.create_connection(("127.0.0.1", place.port)) as plain:
        plain.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert plain.recv(65536).startswith(b"HTTP/1.1 400 ")


# Headers


@pytest.mark.parametrize("name", [*model.STRIPPED_HEADERS, model.CREDENTIAL_HEADER])
def test_a_header_that_speaks_for_a_call_is_not_passed_on(ask: Any, backend: Backend, name: str) -> None:
    assert ask("GET", "/health", f"{name}: 127.0.0.1", f"{name.lower()}: again", f"{name.replace('-', '_')}: 1").status == 200
    # An underscore and a hyphen are one to who reads headers as CGI does.
    assert not [each for each, _ in backend.calls[-1].headers if each.replace("_", "-") == name.lower()]


@pytest.mark.parametrize(
    "connection", ["close", "X-Forwarded-For, X-Request-Id, Host, Authorization, close"], ids=["plain", "as-hops"]
)
def test_where_a_call_is_from_and_its_id_are_made_here(ask: Any, backend: Backend, connection: str) -> None:
    """As single hops too: a proxy that honours that drops what it has just set (CVE-2022-31813)."""
    answer = ask(
        "GET",
        "/health",
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-For: 192.0.2.2",
        "X-Request-Id: mine",
        f"Connection: {connection}",
    )
    (request_id,) = answer.headers["x-request-id"]
    call = backend.calls[-1]
    assert call.all("x-forwarded-for") == ["127.0.0.1"]
    assert call.all("x-request-id") == [request_id]
    assert re.fullmatch(r"[0-9a-f]{32}", request_id)


def test_a_credential_is_passed_on_as_it_was_sent(ask: Any, backend: Backend) -> None:
    ask("GET", "/health", "Authorization: Bearer a.b.c", "X-Api-Key: k", "Signature: sig1=:x:")
    call = backend.calls[-1]
    assert (call.all("authorization"), call.all("x-api-key"), call.all("signature")) == (["Bearer a.b.c"], ["k"], ["sig1=:x:"])


def test_two_credentials_do_not_become_one(ask: Any, backend: Backend) -> None:
    before = len(backend.calls)
    answer = ask("GET", "/health", "Authorization: Bearer a", "Authorization: Bearer b")
    assert answer.status == 400 or backend.calls[before].all("authorization") == ["Bearer a", "Bearer b"]


@pytest.mark.parametrize(
    "request_",
    ["A: " + "a" * 17_000, "\r\n".join(f"A{index}: {'a' * 8000}" for index in range(5)), None],
    ids=["header", "headers", "line"],
)
def test_a_head_is_bounded(ask: Any, backend: Backend, request_: str | None) -> None:
    before = len(backend.calls)
    answer = ask("GET", "/health?" + "a" * 17_000) if request_ is None else ask("GET", "/health", request_)
    refused(answer, 431)
    assert len(backend.calls) == before


# Bodies


def test_each_path_takes_what_its_rows_take(ask: Any, backend: Backend, lab: Any) -> None:
    for route in lab(1).routes:
        path = re.sub(r"\{\w+\}", ULID, route.template)
        if route.body:
            assert ask(route.method, path, body=b"x" * route.body).status == 200
            assert len(backend.calls[-1].body) == route.body
        before = len(backend.calls)
        refused(ask(route.method, path, body=b"x" * (route.body + 1)), 413)
        chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (route.body + 1, b"x" * (route.body + 1))
        refused(ask(route.method, path, "Transfer-Encoding: chunked", body=chunk), 413)
        assert len(backend.calls) == before, route.name


SMUGGLED = b"GET /models HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([f"Content-Length: {len(SMUGGLED)}", "Transfer-Encoding: chunked"], b"0\r\n\r\n" + SMUGGLED),
        (["Transfer-Encoding: chunked", "Content-Length: 5"], b"0\r\n\r\n" + SMUGGLED),
        (["Content-Length: 0", f"Content-Length: {len(SMUGGLED)}"], SMUGGLED),
        (["Content-Length: 0, 43"], SMUGGLED),
        (["Content-Length: +0"], SMUGGLED),
        (["Content-Length: 0x0"], SMUGGLED),
        (["Content-Length: -1"], SMUGGLED),
        (["Transfer-Encoding: xchunked"], b"0\r\n\r\n" + SMUGGLED),
        (["Transfer-Encoding: chunked, identity"], b"0\r\n\r\n" + SMUGGLED),
        (["Transfer-Encoding: chunked", "Transfer-Encoding: identity"], b"0\r\n\r\n" + SMUGGLED),
        (["Transfer-Encoding:\x0bchunked"], b"0\r\n\r\n" + SMUGGLED),
        (["Transfer-Encoding : chunked"], b"0\r\n\r\n" + SMUGGLED),
        (["Content-Length : 5"], SMUGGLED),
        (["Transfer-Encoding: chunked"], b"-1\r\n" + SMUGGLED),
        (["Transfer-Encoding: chunked"], b"0x2\r\nab\r\n0\r\n\r\n"),
        (["Transfer-Encoding: chunked"], b"fffffffffffffffff\r\n" + SMUGGLED),
    ],
    ids=range(16),
)
@pytest.mark.parametrize("path", ["/config", "/nowhere"])
def test_a_body_whose_end_is_in_doubt_is_refused_with_the_rest(
    place: Running, trusted: Any, backend: Backend, path: str, headers: list[str], body: bytes
) -> None:
    before = len(backend.calls)
    head = "\r\n".join([f"POST {path} HTTP/1.1", "Host: localhost", *headers, "", ""])
    answers = ask_raw(place.port, head.encode("latin-1") + body, trusted=trusted)
    (answer,) = answers
    refused(answer, 400)
    assert len(backend.calls) == before


def test_a_chunked_body_reaches_the_service_with_its_length(ask: Any, backend: Backend) -> None:
    assert (
        ask("POST", "/config", "Transfer-Encoding: chunked", "TE: trailers", body=b"3\r\nabc\r\n0\r\nX: y\r\n\r\n").status == 200
    )
    call = backend.calls[-1]
    assert (call.body, call.all("content-length"), call.all("transfer-encoding"), call.all("te")) == (b"abc", ["3"], [], [])


def test_an_upgrade_is_not_passed_on(ask: Any, backend: Backend) -> None:
    assert ask("GET", "/health", "Upgrade: h2c", "HTTP2-Settings: x").status == 200
    assert backend.calls[-1].all("upgrade") == []
    assert backend.calls[-1].all("connection") == []


# TLS


def handshake(port: int, *, most: ssl.TLSVersion, ciphers: str | None = None) -> str | None:
    """The version that is agreed on."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    # The library itself would refuse older versions otherwise.
    context.set_ciphers(ciphers or "ALL:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, most
    with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain, server_hostname="localhost") as made:
        return made.version()


@pytest.mark.filterwarnings("ignore:.*TLSv1.* is deprecated:DeprecationWarning")
def test_tls_is_1_2_or_1_3(place: Running) -> None:
    assert handshake(place.port, most=ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    assert handshake(place.port, most=ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    with pytest.raises(ssl.SSLError):
        handshake(place.port, most=ssl.TLSVersion.TLSv1_1)


@pytest.mark.filterwarnings("ignore:.*TLSv1.* is deprecated:DeprecationWarning")
@pytest.mark.parametrize(
    "ciphers", ["AES128-SHA", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "aNULL", "AES256-GCM-SHA384"]
)
def test_a_cipher_without_forward_secrecy_or_authentication_of_data_is_not_agreed_on(place: Running, ciphers: str) -> None:
    with pytest.raises(ssl.SSLError):
        handshake(place.port, most=ssl.TLSVersion.TLSv1_2, ciphers=f"{ciphers}:@SECLEVEL=0")


def test_http_2_is_not_offered(place: Running, certificates: TlsFiles) -> None:
    context = ssl.create_default_context(cafile=str(certificates.ca))
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", place.port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as made,
    ):
        assert made.selected_alpn_protocol() == "http/1.1"


@pytest.mark.parametrize("change", ["authority", "name", "down"])
def test_a_service_that_does_not_prove_who_it_is_gets_nothing(
    running: Start, lab: Any, trusted: Any, backend: Backend, tmp_path: Path, change: str
) -> None:
    changes: dict[str, Any] = {
        "authority": {"upstream_ca": str(tls.ensure(tmp_path / "another").ca)},
        "name": {"upstream_host": "service.example.org"},
        "down": {"upstream": f"https://127.0.0.1:{runners.free_port()}"},
    }[change]
    before = len(backend.calls)
    with running("nginx", lab(backend.port, **changes)) as place:
        refused(one(place.port, trusted, "GET", "/health", "Authorization: Bearer a"), 502)
    assert len(backend.calls) == before


# Who, and how often


def test_who_is_outside_of_the_ranges_is_blocked_before_all_else(
    running: Start, lab: Any, trusted: Any, backend: Backend
) -> None:
    ranges = (ip_network("127.0.0.2/32"), ip_network("2001:db8::/32"))
    with running("nginx", lab(backend.port, allowed_ranges=ranges)) as place:
        assert one(place.port, trusted, "GET", "/health", source="127.0.0.2").status == 200
        for words in (
            ("GET", "/health"),
            ("GET", "/nowhere"),
            ("GET", "/health", "Host: evil"),
            ("GET", "/health", "X-Forwarded-For: 127.0.0.2"),
        ):
            refused(one(place.port, trusted, *words), 403)


def test_what_stands_in_front_is_believed_about_the_address(running: Start, lab: Any, trusted: Any, backend: Backend) -> None:
    changes = {"trusted_proxies": (ip_network("127.0.0.1/32"),), "allowed_ranges": (ip_network("192.0.2.0/24"),)}
    with running("nginx", lab(backend.port, **changes)) as place:
        assert one(place.port, trusted, "GET", "/health", "X-Forwarded-For: 203.0.113.1, 192.0.2.9").status == 200
        assert backend.calls[-1].all("x-forwarded-for") == ["192.0.2.9"]
        refused(one(place.port, trusted, "GET", "/health", "X-Forwarded-For: 192.0.2.9, 203.0.113.1"), 403)
        refused(one(place.port, trusted, "GET", "/health", "X-Forwarded-For: 192.0.2.9", source="127.0.0.2"), 403)


def test_a_row_has_a_burst_for_all_callers_together(running: Start, lab: Any, trusted: Any, backend: Backend) -> None:
    gateway = lab(backend.port)
    slow = tuple(
        replace(route, rate=1 / 60 if route.name == "delete-analyses-analysis-id" else route.rate, burst=3)
        for route in gateway.routes
    )
    with running("nginx", replace(gateway, routes=slow)) as place:
        answers = [one(place.port, trusted, "DELETE", f"/analyses/{ULID}", source=f"127.0.0.{1 + index}") for index in range(5)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
        refused(answers[-1], 429)
        assert answers[-1].headers["retry-after"] == ["1"]
        # Another method of the path is another row.
        assert one(place.port, trusted, "GET", f"/analyses/{ULID}").status == 200


def test_an_address_has_a_rate_whatever_it_asks_for(running: Start, lab: Any, trusted: Any, backend: Backend) -> None:
    with running("nginx", lab(backend.port, client_rate=10)) as place:
        paths = ["/health", "/models", "/nowhere"] * 4
        statuses = [one(place.port, trusted, "GET", path).status for path in paths]
        assert statuses == [200, 200, 404, 200, 200, 404, 200, 200, 404, 200, 429, 429]
        assert one(place.port, trusted, "GET", "/health", source="127.0.0.2").status == 200


def test_posts_to_what_is_worth_guessing_have_a_lower_rate(running: Start, lab: Any, trusted: Any, backend: Backend) -> None:
    gateway = unhurried(lab(backend.port))
    with running("nginx", replace(gateway, sensitive_rate=10)) as place:
        statuses = [one(place.port, trusted, "POST", path, body=b"{}").status for path in ("/config", "/analyze") * 6]
        assert statuses == [200] * 10 + [429] * 2
        assert one(place.port, trusted, "GET", "/config").status == 200
        assert one(place.port, trusted, "POST", "/uploads", body=b"{}").status == 200


# A password in front


def basic(name: str, password: str) -> str:
    return f"Authorization: Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


def test_a_password_stands_in_front_and_goes_no_further(running: Start, lab: Any, trusted: Any, backend: Backend) -> None:
    gateway = unhurried(lab(backend.port, basic_auth=True))
    word = passwords.generate()
    passwords.change(Path(gateway.password_file), "alice", word, cost=passwords.GENERATED_COST)
    before = len(backend.calls)
    with running("nginx", gateway) as place:

        def call(*headers: str, path: str = "/health") -> Answer:
            return one(place.port, trusted, "GET", path, *headers)

        for headers in (
            [],
            [basic("alice", "another password")],
            [basic("bob", word)],
            [basic("alice", "")],
            ["Authorization: Bearer a"],
            ["X-HeartMAP-Authorization: Bearer a"],
            [f"Proxy-{basic('alice', word)}"],
        ):
            for path in ("/health", "/nowhere"):
                answer = call(*headers, path=path)
                refused(answer, 401)
                assert answer.headers["www-authenticate"] == ['Basic realm="heartmap"']
        assert len(backend.calls) == before
        assert call(basic("alice", word), "X-HeartMAP-Authorization: Bearer a").status == 200
        assert backend.calls[-1].all("authorization") == ["Bearer a"]
        assert call(basic("alice", word)).status == 200
        assert backend.calls[-1].all("authorization") == []
        assert not [value for _, value in backend.calls[-1].headers if "Basic" in value]
        refused(call(basic("\xe9", word)), 401)
        refused(call(basic("alice", word), path="/nowhere"), 404)
    expected = {"", "alice", "bob", "not ASCII"}
    written = runners.records(place.logs, lambda records: {each["user"] for each in records} == expected)
    assert {each["user"] for each in written} == expected
    assert word not in "".join(file.read_text() for file in place.logs.glob("heartmap.*"))


def test_guesses_at_passwords_count_in_the_rate(running: Start, lab: Any, trusted: Any, backend: Backend) -> None:
    gateway = lab(backend.port, basic_auth=True, client_rate=30)
    passwords.change(Path(gateway.password_file), "alice", passwords.generate(), cost=passwords.GENERATED_COST)
    with running("nginx", gateway) as place:
        statuses = [
            one(place.port, trusted, "GET", "/health", basic("alice", f"a guess of many {index}")).status for index in range(5)
        ]
    assert statuses == [401] * 3 + [429] * 2


# What is written down


def test_a_call_is_one_line_of_json_with_its_id_and_without_secrets(place: Running, ask: Any) -> None:
    answer = ask("GET", "/analyses?cursor=private", "Authorization: Bearer secret-of-mine", 'User-Agent: "}\\')
    line = runners.record(place.logs, answer.headers["x-request-id"][0])
    assert {name: line[name] for name in ("address", "method", "route", "path", "status")} == {
        "address": "127.0.0.1",
        "method": "GET",
        "route": "get-analyses",
        "path": "/analyses",
        "status": 200,
    }
    log = (place.logs / "heartmap.access.json").read_text()
    assert "secret-of-mine" not in log
    assert "private" not in log


def test_whatever_a_path_holds_the_log_is_json(place: Running, ask: Any) -> None:
    for path in ("/\xe9\xff", '/"}', "/\\x"):
        answer = ask("GET", path)
        assert runners.record(place.logs, answer.problem["request_id"])["status"] == answer.status


def test_a_refusal_is_logged_as_what_was_asked(place: Running, ask: Any) -> None:
    answer = ask("POST", "/config", body=b"x" * (model.HEAD_BYTES * 5))
    line = runners.record(place.logs, answer.problem["request_id"])
    asked = {"method": "POST", "route": "post-config", "path": "/config", "status": 413}
    assert {name: line[name] for name in asked} == asked


# The rendering itself


def test_the_example_is_a_configuration(certificates: TlsFiles, lab: Any, tmp_path: Path) -> None:
    """All that a rendering can have, but for the addresses, paths and names of this machine."""
    gateway = replace(
        lab(1), basic_auth=True, allowed_ranges=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")),
        trusted_proxies=(ip_network("10.0.0.0/8"),), upstream_ca=None, log_directory=None,
    )  # fmt: skip
    text = render("nginx", replace(gateway, log_directory=str(tmp_path), upstream_ca=str(certificates.ca)))
    command = runners.nginx(text, tmp_path)
    tested = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stderr
    assert "warn" not in tested.stderr
    assert nginx.SYSTEM_CA in render("nginx", gateway)[nginx.FILE]
    assert f"{nginx.LOG_DIRECTORY}/heartmap.access.json" in render("nginx", gateway)[nginx.FILE]


def test_a_policy_that_nginx_cannot_keep_is_refused(lab: Any) -> None:
    gateway = lab(1)
    (patch,) = (route for route in gateway.routes if route.name == "patch-analyses-analysis-id")
    routes = (*gateway.routes, replace(patch, method="PUT", body=patch.body + 1))
    with pytest.raises(GatewayError, match="several"):
        render("nginx", replace(gateway, routes=routes))
    with pytest.raises(GatewayError, match="whole numbers"):
        render("nginx", replace(gateway, routes=(replace(patch, rate=0.001),)))


@pytest.mark.parametrize("pattern", ['^/a"$', "^/a\\$", "^/a;$", "^/a'$", "^/a\n$", "^/$x$"], ids=range(6))
def test_a_pattern_that_quotes_would_not_keep_is_refused(lab: Any, pattern: str) -> None:
    gateway = lab(1)
    with pytest.raises(GatewayError, match="pattern"):
        render("nginx", replace(gateway, routes=(replace(gateway.routes[0], pattern=pattern),)))
