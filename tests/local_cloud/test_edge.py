"""The edge as a process, in front of a service, as a client on the network meets it: each stage that a request passes."""

import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import psutil
import pytest

from infra.certificates import self_signed
from local_cloud.alarms import DAY

MB = 1024 * 1024
BLOCKED_ADDRESS, BUSY_ADDRESS = "127.0.0.9", "127.0.0.8"
INSPECTED_BYTES = 64 * 1024
RATE_LIMIT = 10


@contextlib.contextmanager
def running(state: Path, endpoint: str, poll: Callable[[Callable[[], Any]], Any]) -> Iterator[SimpleNamespace]:
    """The edge's process for what is deployed, once it accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }
    command = [sys.executable, "-m", "local_cloud.edge", "--state", str(state), "--port", str(port)]
    with subprocess.Popen(
        command, env=os.environ | variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        try:
            while "edge ready" not in (line := process.stdout.readline()):
                assert line, process.stderr.read()
            yield SimpleNamespace(port=port, process=process, state=state)
        finally:
            process.terminate()
            process.wait(15)


FUNCTION = """
import json

def handler(event, context):
    query = event["queryStringParameters"] or {}
    if "fail" in query:
        raise ValueError("a secret detail")
    return {"statusCode": 201, "headers": {"Content-Type": "application/json", "X-From": "function"}, "body": json.dumps(event)}
"""


@pytest.fixture(scope="module")
def edge(make_site: Callable, aws_endpoint: str, poll: Callable, zipped: Callable[..., bytes]) -> Iterator[SimpleNamespace]:
    """An edge with every kind of method and rule."""
    site = make_site()
    site.method("GET", "/")
    site.method("POST", "/echo")
    site.method("PATCH", "/items/{item_id}")
    site.method("GET", "/items/{item_id}/results")
    site.method("GET", "/items/fixed")
    site.method("GET", "/validated", required=("method.request.querystring.page",))
    site.method("GET", "/limited")
    site.method("GET", "/hasty", timeoutInMillis=300)
    site.behind_the_authorizer(
        "things", zipped(things=FUNCTION), ("POST", "/things/{thing_id}/turn"), ("GET", "/things"), Handler="things.handler"
    )
    for response_type, status, code in (
        ("UNAUTHORIZED", 401, "unauthenticated"),
        ("ACCESS_DENIED", 403, "forbidden"),
        ("MISSING_AUTHENTICATION_TOKEN", 403, "no_such_route"),
        ("WAF_FILTERED", 403, "blocked"),
        ("THROTTLED", 429, "throttled"),
        ("REQUEST_TOO_LARGE", 413, "body_too_large"),
        ("BAD_REQUEST_PARAMETERS", 400, "bad_request"),
        ("INTEGRATION_FAILURE", 502, "bad_gateway"),
        ("INTEGRATION_TIMEOUT", 504, "timeout"),
        ("DEFAULT_4XX", None, "refused"),
        ("DEFAULT_5XX", None, "internal"),
    ):
        more = {"reason": "$context.authorizer.reason"} if response_type == "ACCESS_DENIED" else {}
        site.gateway_response(response_type, status, code, **more)
    fields = ("requestId", "status", "httpMethod", "resourcePath", "authorizer.principalId", "error.responseType", "waf.status")
    site.deploy(log_format=json.dumps({name: f"$context.{name}" for name in (*fields, "path", "identity.userAgent")}))
    site.throttle("GET", "/limited", rate=0.001, burst=3)
    custom = {
        "ResponseCode": 429,
        "CustomResponseBodyKey": "slow",
        "ResponseHeaders": [
            {"Name": "Retry-After", "Value": "60"},
            {"Name": "Content-Type", "Value": "application/problem+json"},
        ],
    }
    allowed = {
        "OrStatement": {
            "Statements": [site.statement("IPV4", "127.0.0.0/29", f"{BUSY_ADDRESS}/32"), site.statement("IPV6", "::1/128")]
        }
    }
    busy = site.statement("IPV4", f"{BUSY_ADDRESS}/32")
    rate = {"Limit": RATE_LIMIT, "EvaluationWindowSec": 60, "AggregateKeyType": "IP", "ScopeDownStatement": busy}
    oversize = {
        "SizeConstraintStatement": {
            "FieldToMatch": {"Body": {"OversizeHandling": "MATCH"}},
            "ComparisonOperator": "GT",
            "Size": INSPECTED_BYTES,
            "TextTransformations": [{"Priority": 0, "Type": "NONE"}],
        }
    }
    small = {
        "ByteMatchStatement": {
            "FieldToMatch": {"UriPath": {}},
            "PositionalConstraint": "ENDS_WITH",
            "SearchString": b"/limited-body",
            "TextTransformations": [{"Priority": 0, "Type": "URL_DECODE"}],
        }
    }
    site.web_acl(
        {"Statement": {"NotStatement": {"Statement": allowed}}, "Action": {"Block": {}}},
        {"Statement": {"AndStatement": {"Statements": [oversize, small]}}, "Action": {"Block": {}}},
        {"Statement": {"RateBasedStatement": rate}, "Action": {"Block": {"CustomResponse": custom}}},
        AssociationConfig={"RequestBody": {"API_GATEWAY": {"DefaultSizeInspectionLimit": "KB_64"}}},
        CustomResponseBodies={"slow": {"ContentType": "APPLICATION_JSON", "Content": '{"code": "throttled"}'}},
    )
    with running(site.state, aws_endpoint, poll) as serving:
        serving.site = site
        yield serving


@pytest.fixture(scope="module")
def client(edge: SimpleNamespace) -> Iterator[Callable[..., httpx.Response]]:
    """Sends a request; ``word`` is the credential, and the authorizer does what it says."""
    context = ssl.create_default_context(cafile=str(edge.state / "tls" / "ca.pem"))
    with contextlib.ExitStack() as stack:
        clients: dict[str, httpx.Client] = {}

        def send(
            method: str, path: str, word: str | None = "allow", *, address: str = "127.0.0.1", **arguments: Any
        ) -> httpx.Response:
            if address not in clients:
                transport = httpx.HTTPTransport(verify=context, local_address=address)
                base = f"https://localhost:{edge.port}"
                clients[address] = stack.enter_context(
                    httpx.Client(base_url=base, transport=transport, timeout=30, trust_env=False)
                )
            headers = httpx.Headers(arguments.pop("headers", None))
            if word is not None:
                headers["Authorization"] = f"Bearer {word}"
            return clients[address].request(method, path, headers=headers, **arguments)

        yield send


def raw(edge: SimpleNamespace, request: bytes) -> tuple[int, bytes]:
    """Sends these bytes over TLS and gives the status and everything that came until the connection closed."""
    context = ssl.create_default_context(cafile=str(edge.state / "tls" / "ca.pem"))
    with (
        socket.create_connection(("127.0.0.1", edge.port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(request)
        received = b""
        with contextlib.suppress(ssl.SSLEOFError, TimeoutError):
            while chunk := connection.recv(65536):
                received += chunk
        return int(received.split()[1]), received


def request_bytes(edge: SimpleNamespace, line: str, *headers: str, word: str = "allow", body: bytes = b"") -> bytes:
    lines = [f"{line} HTTP/1.1", f"Host: localhost:{edge.port}", "Connection: close", f"Authorization: Bearer {word}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def header(got: dict[str, Any], name: str) -> list[str]:
    return [value for header, value in got["headers"] if header == name]


# What an allowed request becomes


def test_an_allowed_request_reaches_the_service_with_the_assertion_and_without_the_credential(client: Callable) -> None:
    answer = client("GET", "/echo?a=1&a=2&b=%2F")
    got = answer.json()
    assert answer.status_code == 200
    assert got["target"] == "/live/echo?a=1&a=2&b=%2F"
    assert header(got, "x-heartmap-assertion") == [f"minted.{answer.headers['x-amzn-requestid']}"]
    assert header(got, "x-request-id") == [answer.headers["x-amzn-requestid"]]
    assert header(got, "authorization") == ["redacted"]
    assert header(got, "host") == ["service.internal"]


@pytest.mark.parametrize("name", ["X-HeartMAP-Assertion", "x-heartmap-assertion", "X-HEARTMAP-ASSERTION"])
def test_an_assertion_of_the_client_never_passes(client: Callable, name: str) -> None:
    got = client("GET", "/echo", headers=[(name, "forged"), (name, "forged again")]).json()
    assert len(header(got, "x-heartmap-assertion")) == 1
    assert "forged" not in json.dumps(got)


def test_an_assertion_of_the_client_does_not_pass_either_when_the_authorizer_gives_none(client: Callable) -> None:
    got = client("GET", "/echo", "no assertion", headers={"X-HeartMAP-Assertion": "forged"}).json()
    assert header(got, "x-heartmap-assertion") == []


def test_a_connection_header_cannot_take_the_assertion_away(edge: SimpleNamespace, backend: SimpleNamespace) -> None:
    line = request_bytes(edge, "GET /echo").replace(
        b"Connection: close", b"Connection: close, X-HeartMAP-Assertion, X-Request-Id"
    )
    assert raw(edge, line)[0] == 200
    assert len(header(backend.requests[-1], "x-heartmap-assertion")) == 1
    assert len(header(backend.requests[-1], "x-request-id")) == 1


def test_hop_by_hop_headers_are_dropped_and_the_address_is_appended(client: Callable) -> None:
    sent = {
        "X-Forwarded-For": "203.0.113.7",
        "X-Forwarded-Proto": "http",
        "TE": "trailers",
        "Connection": "X-Secret",
        "X-Secret": "1",
    }
    got = client("GET", "/echo", headers=sent | {"X-Kept": "1"}).json()
    names = {name for name, _ in got["headers"]}
    assert not names & {"te", "connection", "x-secret", "transfer-encoding"}
    assert header(got, "x-kept") == ["1"]
    assert header(got, "x-forwarded-for") == ["203.0.113.7, 127.0.0.1"]
    assert header(got, "x-forwarded-proto") == ["https"]


@pytest.mark.parametrize("status", [200, 304, 412, 429])
def test_conditions_and_keys_of_idempotency_pass_and_so_does_what_is_answered_to_them(client: Callable, status: int) -> None:
    sent = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324", "If-Match": '"6"', "If-None-Match": '"7", W/"8"'}
    answer = client("GET", f"/echo?conditional={status}", headers=sent)
    assert (answer.status_code, answer.headers["etag"], answer.headers["retry-after"]) == (status, '"7"', "60")
    if status == 304:
        # A length would be that of the body which the client has.
        assert answer.content == b""
        assert "content-length" not in answer.headers
    else:
        got = answer.json()
        assert {name: header(got, name.lower()) for name in sent} == {name: [value] for name, value in sent.items()}


def test_a_path_parameter_arrives_as_it_was_sent(client: Callable) -> None:
    assert client("PATCH", "/items/a%2Fb%20c").json()["target"] == "/live/items/a%2Fb%20c"
    assert client("GET", "/items/01ARZ/results").json()["target"] == "/live/items/01ARZ/results"
    assert client("GET", "/items/fixed").json()["target"] == "/live/items/fixed"


def test_the_answer_of_the_service_comes_back_whole(client: Callable) -> None:
    answer = client("GET", "/echo?teapot")
    assert answer.status_code == 418
    assert answer.headers["x-from"] == "service"
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert "x-hop" not in answer.headers
    assert len(answer.headers.get_list("x-amzn-requestid")) == 1


def test_the_authorizer_gets_the_event_of_a_rest_api(client: Callable, edge: SimpleNamespace) -> None:
    sent = [("X-Twice", "1"), ("X-Twice", "2"), ("User-Agent", "tester")]
    answer = client("PATCH", "/items/a%2Fb?x=1&x=2&y=", "event", headers=sent)
    event = json.loads(header(answer.json(), "x-event")[0])
    api = edge.site.api
    assert event["type"] == "REQUEST"
    assert event["methodArn"] == f"arn:aws:execute-api:us-east-1:123456789012:{api}/live/PATCH/items/a%2Fb"
    assert (event["resource"], event["path"], event["httpMethod"]) == ("/items/{item_id}", "/items/a%2Fb", "PATCH")
    assert event["pathParameters"] == {"item_id": "a/b"}
    assert event["queryStringParameters"] == {"x": "2", "y": ""}
    assert event["multiValueQueryStringParameters"] == {"x": ["1", "2"], "y": [""]}
    assert event["headers"]["x-twice"] == "2"
    assert event["multiValueHeaders"]["x-twice"] == ["1", "2"]
    context = event["requestContext"]
    assert context["requestId"] == answer.headers["x-amzn-requestid"]
    assert (context["stage"], context["apiId"], context["httpMethod"]) == ("live", api, "PATCH")
    assert (context["path"], context["resourcePath"]) == ("/items/a%2Fb", "/items/{item_id}")
    assert context["identity"]["sourceIp"] == "127.0.0.1"
    assert context["identity"]["userAgent"] == "tester"


SIGNED = {
    "Signature-Input": 'sig1=("@method" "@authority");created=1764000000;keyid="KEY";alg="ed25519";nonce="abc_-0123456789"',
    "Signature": "sig1=:" + "A/+a" * 21 + "AA==:",
    "Content-Digest": "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
}


def test_what_signs_a_request_reaches_authorizer_and_service_as_it_was_sent(client: Callable) -> None:
    got = client("GET", "/echo?b=2&a=%2F", "event", headers=SIGNED).json()
    event = json.loads(header(got, "x-event")[0])
    for name, value in SIGNED.items():
        assert header(got, name.lower()) == [value]
        assert event["headers"][name.lower()] == value
        assert event["multiValueHeaders"][name.lower()] == [value]
    # What else is signed: the method, the host, the path and the query.
    assert event["headers"]["host"] == event["requestContext"]["domainName"]
    assert (event["httpMethod"], event["requestContext"]["path"]) == ("GET", "/echo")
    assert event["multiValueQueryStringParameters"] == {"b": ["2"], "a": ["/"]}


@pytest.mark.parametrize("name", SIGNED)
def test_a_header_of_a_signature_that_comes_twice_is_seen_twice(client: Callable, name: str) -> None:
    got = client("GET", "/echo", "event", headers=[*SIGNED.items(), (name, "another")]).json()
    event = json.loads(header(got, "x-event")[0])
    assert event["multiValueHeaders"][name.lower()] == [SIGNED[name], "another"]


# What a function answers


def test_a_function_behind_the_authorizer_gets_what_the_authorizer_said(client: Callable, edge: SimpleNamespace) -> None:
    answer = client("POST", "/things/01ARZ/turn?x=1&x=2", json={"a": 1}, headers={"X-Twice": "1"} | SIGNED)
    assert (answer.status_code, answer.headers["x-from"]) == (201, "function")
    event = answer.json()
    assert not {"type", "methodArn"} & event.keys()
    assert (event["httpMethod"], event["resource"], event["path"]) == ("POST", "/things/{thing_id}/turn", "/things/01ARZ/turn")
    assert event["pathParameters"] == {"thing_id": "01ARZ"}
    assert (json.loads(event["body"]), event["isBase64Encoded"]) == ({"a": 1}, False)
    assert {event["headers"][name.lower()] for name in SIGNED} == set(SIGNED.values())
    context = event["requestContext"]
    assert (context["requestId"], context["apiId"]) == (answer.headers["x-amzn-requestid"], edge.site.api)
    said = context["authorizer"]
    assert 0 <= said.pop("integrationLatency") < 5000
    # As texts: API Gateway passes numbers and truth values on so.
    assert said == {
        "principalId": "someone",
        "assertion": f"minted.{context['requestId']}",
        "number": "7",
        "flag": "true",
    }


def test_the_authorizer_itself_is_told_of_no_authorizer(client: Callable) -> None:
    event = json.loads(header(client("GET", "/echo", "event").json(), "x-event")[0])
    assert "authorizer" not in event["requestContext"]


def test_what_a_client_says_in_the_authorizers_name_is_none_of_it(client: Callable) -> None:
    sent = {"X-HeartMAP-Assertion": "forged", "X-Amzn-Authorizer": "forged"}
    event = client("GET", "/things?assertion=forged", headers=sent).json()
    assert event["requestContext"]["authorizer"]["assertion"] == f"minted.{event['requestContext']['requestId']}"


@pytest.mark.parametrize(
    ("word", "status", "code"),
    [
        (None, 401, "unauthenticated"),
        ("unauthorized", 401, "unauthenticated"),
        ("deny", 403, "forbidden"),
        ("broken", 500, "internal"),
        ("exit", 500, "internal"),
        ("nested", 500, "internal"),
    ],
)
def test_whoever_is_not_let_in_reaches_no_function(client: Callable, word: str | None, status: int, code: str) -> None:
    answer = client("GET", "/things", word)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "x-from" not in answer.headers


def test_a_function_that_fails_is_a_502_and_tells_nothing(client: Callable) -> None:
    answer = client("GET", "/things?fail=1")
    assert (answer.status_code, answer.json()["code"]) == (502, "bad_gateway")
    assert "secret detail" not in answer.text


# Who is let in


def test_why_somebody_may_not_is_told_from_what_the_authorizer_said(client: Callable) -> None:
    denied = client("GET", "/echo", "deny").json()
    assert denied["reason"] == 'too "old"'
    # Where nobody asked it, there is none.
    assert client("GET", "/echo", headers={"Host": "example.com"}).json()["reason"] == "-"
    assert "reason" not in client("GET", "/echo", None).json()


@pytest.mark.parametrize(
    ("word", "status", "code"),
    [
        (None, 401, "unauthenticated"),
        ("unauthorized", 401, "unauthenticated"),
        ("deny", 403, "forbidden"),
        ("other route", 403, "forbidden"),
        ("broken", 500, "internal"),
        ("nearly", 500, "internal"),
        ("slow", 500, "internal"),
        ("exit", 500, "internal"),
        ("nested", 500, "internal"),
        ("nameless", 500, "internal"),
        ("header injection", 500, "internal"),
    ],
)
def test_whoever_is_not_let_in_gets_the_deployed_response_and_the_service_hears_nothing(
    client: Callable, backend: SimpleNamespace, word: str | None, status: int, code: str
) -> None:
    before = len(backend.requests)
    answer = client("GET", "/echo", word)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == answer.headers["x-amzn-requestid"]
    assert "secret detail" not in answer.text
    assert len(backend.requests) == before


def test_the_authorizer_serves_again_after_a_crash(client: Callable) -> None:
    assert client("GET", "/echo", "exit").status_code == 500
    assert client("GET", "/echo").status_code == 200


def test_a_missing_credential_is_refused_without_asking_the_authorizer(client: Callable, edge: SimpleNamespace) -> None:
    log = edge.state / "log" / "authorizer.log"
    client("GET", "/echo")
    before = log.read_text().count("audit")
    assert client("GET", "/echo", None).status_code == 401
    assert client("GET", "/echo", None, headers={"Authorization": ""}).status_code == 401
    assert log.read_text().count("audit") == before


@pytest.mark.parametrize("host", ["example.com", "localhost", "localhost:1", "127.0.0.1.nip.io", ""])
def test_a_foreign_host_is_refused(client: Callable, backend: SimpleNamespace, host: str) -> None:
    before = len(backend.requests)
    answer = client("GET", "/echo", headers={"Host": host})
    assert (answer.status_code, answer.json().get("code")) == (403, "forbidden")
    assert len(backend.requests) == before


def test_both_names_of_this_machine_are_served(client: Callable, edge: SimpleNamespace) -> None:
    assert client("GET", "/echo", headers={"Host": f"127.0.0.1:{edge.port}"}).status_code == 200


# Routes


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nothing"),
        ("DELETE", "/echo"),
        ("HEAD", "/echo"),
        ("OPTIONS", "/echo"),
        ("TRACE", "/echo"),
        ("get", "/echo"),
        ("GET", "/echo/more"),
        ("GET", "//echo"),
        ("GET", "/echo//"),
        ("GET", "/ECHO"),
        ("GET", "/%65cho"),
        ("GET", "/live/echo"),
        ("PATCH", "/items/"),
        ("PATCH", "/items/.."),
        ("PATCH", "/items/%2e%2e"),
        ("PATCH", "/items/%2E."),
        ("PATCH", "/items/."),
        ("PATCH", "/items/../echo"),
        ("PATCH", "/items/%ff"),
        ("PATCH", "/items/%zz"),
        ("PATCH", "/items/a\\b"),
        ("PATCH", "/items/{item_id}"),
        ("GET", "https://localhost/echo"),
        ("OPTIONS", "*"),
    ],
)
def test_what_is_not_deployed_is_refused_before_anybody_is_asked(
    edge: SimpleNamespace, backend: SimpleNamespace, method: str, path: str
) -> None:
    before = len(backend.requests)
    status, answer = raw(edge, request_bytes(edge, f"{method} {path}"))
    assert status == 403
    assert method == "HEAD" or b"no_such_route" in answer
    assert len(backend.requests) == before


def test_one_slash_at_the_end_is_overlooked_as_api_gateway_does(client: Callable) -> None:
    assert client("GET", "/echo/").json()["target"] == "/live/echo"
    assert client("GET", "/").json()["target"] == "/live/"


def test_a_missing_required_parameter_is_named(client: Callable) -> None:
    answer = client("GET", "/validated")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert client("GET", "/validated?page=1").status_code == 200


# Bodies


def test_ten_megabytes_pass_unchanged(client: Callable) -> None:
    got = client("POST", "/echo", content=b"x" * (10 * MB)).json()
    assert got["bytes"] == 10 * MB


def test_a_binary_body_passes_under_a_binary_media_type_and_is_spoilt_under_another(client: Callable) -> None:
    body = bytes(range(256))
    types = ("multipart/form-data; boundary=x", "application/octet-stream")
    got = [client("POST", "/echo", content=body, headers={"Content-Type": kind}).json() for kind in types]
    assert got[0]["bytes"] == len(body)
    assert got[1]["bytes"] > len(body)


def _chunks(size: int) -> Iterator[bytes]:
    for _ in range(size // MB):
        yield b"x" * MB


@pytest.mark.parametrize("chunked", [False, True])
def test_eleven_megabytes_are_refused_and_say_what_to_do(client: Callable, backend: SimpleNamespace, chunked: bool) -> None:
    before = len(backend.requests)
    answer = client("POST", "/echo", content=_chunks(11 * MB) if chunked else b"x" * (11 * MB))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert len(backend.requests) == before


def test_an_endless_body_is_cut_off_without_filling_the_memory(edge: SimpleNamespace) -> None:
    process = psutil.Process(edge.process.pid)
    before = process.memory_info().rss
    chunk = b"%x\r\n" % MB + b"x" * MB + b"\r\n"
    grown: list[int] = []

    def send_for_ever(connection: ssl.SSLSocket) -> None:
        for _ in range(1000):
            connection.sendall(chunk)
            grown.append(process.memory_info().rss - before)

    context = ssl.create_default_context(cafile=str(edge.state / "tls" / "ca.pem"))
    with (
        socket.create_connection(("127.0.0.1", edge.port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(request_bytes(edge, "POST /echo", "Transfer-Encoding: chunked"))
        with pytest.raises(OSError):  # noqa: PT011 - reset, broken pipe or TLS alert: the edge hangs up
            send_for_ever(connection)
    assert max(grown) < 60 * MB


def test_who_asks_before_sending_too_much_is_told_at_once(edge: SimpleNamespace) -> None:
    status, _ = raw(edge, request_bytes(edge, "POST /echo", f"Content-Length: {11 * MB}", "Expect: 100-continue"))
    assert status == 413


def test_a_body_that_would_take_for_ever_is_not_waited_for(edge: SimpleNamespace) -> None:
    status, _ = raw(edge, request_bytes(edge, "POST /echo", f"Content-Length: {10**12}"))
    assert status == 413


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: 4", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 4"),
        ("Content-Length: 4", "Content-Length: 5"),
        ("Content-Length: -1",),
        ("Content-Length: 0x4",),
        ("Transfer-Encoding: gzip, chunked",),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: xchunked",),
        ("Host: evil.example",),
        ("X-Bad : 1",),
        ("X-Null: \0",),
    ],
)
def test_a_request_that_two_servers_could_read_in_two_ways_reaches_nobody(
    edge: SimpleNamespace, backend: SimpleNamespace, headers: tuple[str, ...]
) -> None:
    before = len(backend.requests)
    body = b"0\r\n\r\nGET /echo HTTP/1.1\r\nHost: smuggled\r\n\r\n"
    status, answer = raw(edge, request_bytes(edge, "POST /echo", *headers, body=body))
    assert 400 <= status < 600
    assert answer.count(b"HTTP/1.1 ") == 1
    assert len(backend.requests) == before


def test_what_is_no_http_gets_a_problem_document_too(edge: SimpleNamespace) -> None:
    status, answer = raw(edge, b"NONSENSE\r\n\r\n")
    assert status == 400
    assert b"application/problem+json" in answer
    assert b'"refused"' in answer
    assert b"nosniff" in answer


# Limits


def test_a_method_beyond_its_burst_is_throttled_before_the_authorizer_is_asked(client: Callable, edge: SimpleNamespace) -> None:
    answers = [client("GET", "/limited") for _ in range(3)]
    before = (edge.state / "log" / "authorizer.log").read_text().count("audit")
    late = client("GET", "/limited")
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert (late.status_code, late.json()["code"]) == (429, "throttled")
    assert (edge.state / "log" / "authorizer.log").read_text().count("audit") == before
    assert client("GET", "/echo").status_code == 200


def test_an_address_outside_the_sets_is_blocked_on_every_path(client: Callable, backend: SimpleNamespace) -> None:
    before = len(backend.requests)
    for path in ("/echo", "/nothing"):
        answer = client("GET", path, address=BLOCKED_ADDRESS)
        assert (answer.status_code, answer.json().get("code")) == (403, "blocked")
    assert len(backend.requests) == before


def test_an_address_beyond_its_rate_gets_the_custom_response_and_others_do_not(client: Callable) -> None:
    statuses = [client("GET", "/echo", None, address=BUSY_ADDRESS).status_code for _ in range(RATE_LIMIT)]
    late = client("GET", "/echo", address=BUSY_ADDRESS)
    assert statuses == [401] * RATE_LIMIT
    assert (late.status_code, late.json()) == (429, {"code": "throttled"})
    assert (late.headers["retry-after"], late.headers["content-type"]) == ("60", "application/problem+json")
    assert client("GET", "/echo").status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_is_measured_on_the_paths_that_the_rule_names(client: Callable, chunked: bool) -> None:
    def send(path: str, size: int) -> str | None:
        body = b"x" * size
        return client("POST", path, content=iter([body]) if chunked else body).json().get("code")

    assert send("/limited-body", INSPECTED_BYTES + 1) == "blocked"
    assert send("/limited%2Dbody", INSPECTED_BYTES + 1) == "blocked"
    assert send("/limited-body", INSPECTED_BYTES) != "blocked"
    assert send("/echo", INSPECTED_BYTES + 1) != "blocked"


def test_a_forged_forwarding_header_does_not_change_the_address(client: Callable) -> None:
    answer = client(
        "GET", "/echo", address=BLOCKED_ADDRESS, headers={"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1"}
    )
    assert answer.status_code == 403


# The service is slow, gone or says too much


def test_a_service_that_is_too_slow_is_answered_504(client: Callable) -> None:
    answer = client("GET", "/hasty?hang")
    assert (answer.status_code, answer.json()["code"]) == (504, "timeout")


def test_an_answer_above_ten_megabytes_is_refused(client: Callable) -> None:
    answer = client("GET", "/echo?large")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")


def test_targets_come_and_go_while_the_edge_runs(
    client: Callable, edge: SimpleNamespace, backend: SimpleNamespace, poll: Callable
) -> None:
    elb, group = edge.site.aws("elbv2"), edge.site.group
    # The emulated AWS keeps one target an address, and the service listens on 127.0.0.1 only.
    good, gone = ({"Id": address, "Port": backend.port} for address in ("127.0.0.1", "127.0.0.2"))
    try:
        elb.register_targets(TargetGroupArn=group, Targets=[gone])
        elb.deregister_targets(TargetGroupArn=group, Targets=[good])
        poll(lambda: client("GET", "/echo").status_code == 502)
        elb.register_targets(TargetGroupArn=group, Targets=[good])
        # The one that is gone is still there: each request finds the other.
        assert [client("GET", "/echo").status_code for _ in range(4)] == [200] * 4
    finally:
        elb.register_targets(TargetGroupArn=group, Targets=[good])
        elb.deregister_targets(TargetGroupArn=group, Targets=[gone])


def test_a_load_balancer_whose_certificate_has_expired_gets_nothing(
    client: Callable, edge: SimpleNamespace, poll: Callable
) -> None:
    acm, elb = edge.site.aws("acm"), edge.site.aws("elbv2")
    (listener,) = elb.describe_listeners(LoadBalancerArn=edge.site.balancer)["Listeners"]

    def put(days: float) -> None:
        certificate, key = self_signed("service.internal", days)
        arn = listener["Certificates"][0]["CertificateArn"]
        acm.import_certificate(CertificateArn=arn, Certificate=certificate.encode(), PrivateKey=key.encode())

    # ACM takes none that has expired already.
    put(2 / DAY)
    try:
        assert client("GET", "/echo").status_code == 200
        poll(lambda: client("GET", "/echo").status_code == 502)
    finally:
        put(1)
    poll(lambda: client("GET", "/echo").status_code == 200)


# What is written down


def test_every_request_leaves_a_line_in_the_deployed_access_log(client: Callable, edge: SimpleNamespace, poll: Callable) -> None:
    agent = 'x", "status": "200\\'
    request_id = client("GET", "/nothing", headers={"User-Agent": agent}).headers["x-amzn-requestid"]
    allowed = client("GET", "/echo").headers["x-amzn-requestid"]
    logs = edge.site.aws("logs")

    def lines() -> dict[str, dict[str, str]]:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=edge.site.access_log_group)
        found = [json.loads(event["message"]) for page in pages for event in page["events"]]
        return {line["requestId"]: line for line in found}

    poll(lambda: {request_id, allowed} <= lines().keys())
    refused, passed = lines()[request_id], lines()[allowed]
    assert (refused["status"], refused["error.responseType"]) == ("403", "MISSING_AUTHENTICATION_TOKEN")
    assert refused["identity.userAgent"] == agent
    assert refused["authorizer.principalId"] == "-"
    assert (passed["status"], passed["authorizer.principalId"], passed["resourcePath"]) == ("200", "someone", "/echo")
    assert request_id in (edge.state / "log" / "edge-access.log").read_text()


def test_what_the_authorizer_prints_reaches_its_log_group(client: Callable, edge: SimpleNamespace, poll: Callable) -> None:
    request_id = client("GET", "/echo").headers["x-amzn-requestid"]
    logs = edge.site.aws("logs")

    def messages() -> str:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=edge.site.audit_log_group)
        return "\n".join(event["message"] for page in pages for event in page["events"])

    poll(lambda: request_id in messages())
    assert (edge.state / "log" / "authorizer.log").stat().st_mode & 0o777 == 0o600


def test_a_hundred_requests_a_second_pass(client: Callable) -> None:
    client("GET", "/echo")
    started = time.perf_counter()
    for _ in range(100):
        assert client("GET", "/echo").status_code == 200
    # Far from what it takes on an idle machine (about 0.4 s), near enough to notice a call of AWS in the path of a request.
    assert time.perf_counter() - started < 5


# Starting and ending


def test_a_busy_port_is_named(edge: SimpleNamespace, aws_endpoint: str) -> None:
    done = _start(edge.state, aws_endpoint, edge.port)
    assert done.returncode == 1
    assert f"Port {edge.port} is in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_deployed_stack_the_edge_says_what_to_do(tmp_path: Path, aws_endpoint: str) -> None:
    done = _start(tmp_path, aws_endpoint, 0)
    assert done.returncode == 1
    assert "Run make local" in done.stderr


def test_a_stack_that_is_gone_is_told_in_one_sentence(tmp_path: Path, aws_endpoint: str) -> None:
    stage = "arn:aws:apigateway:us-east-1::/restapis/gone/stages/live"
    (tmp_path / "outputs.json").write_text(json.dumps({"rest_api_id": "gone", "stage_name": "live", "stage_arn": stage}))
    done = _start(tmp_path, aws_endpoint, 0)
    assert done.returncode == 1
    assert "does not hold what outputs.json names" in done.stderr


def _start(state: Path, endpoint: str, port: int) -> subprocess.CompletedProcess[str]:
    variables = {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "us-east-1"}
    command = [sys.executable, "-m", "local_cloud.edge", "--state", str(state), "--port", str(port)]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, timeout=60, check=False)


def test_the_end_of_the_edge_ends_the_authorizer_too(make_site: Callable, aws_endpoint: str, poll: Callable) -> None:
    site = make_site()
    site.deploy()
    with running(site.state, aws_endpoint, poll) as serving:
        children = psutil.Process(serving.process.pid).children(recursive=True)
        assert children
        serving.process.terminate()
        assert serving.process.wait(15) == 0
    assert not [child for child in children if child.is_running()]


def test_an_authorizer_that_refuses_to_start_lets_nobody_in(
    make_site: Callable, aws_endpoint: str, poll: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site()
    site.deploy()
    site.aws("lambda").update_function_configuration(FunctionName=site.function, Handler="app.missing")
    with running(site.state, aws_endpoint, poll) as serving:
        status, answer = raw(serving, request_bytes(serving, "GET /echo"))
    assert status == 500
    assert b"AuthorizerFailure" in answer
