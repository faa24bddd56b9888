"""The process that decides for a gateway, and the service in assertion mode behind that gateway."""

import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from heartmap_service import forward_auth
from heartmap_service.settings import DecisionSettings, load
from heartmap_service.tls import self_signed
from lambda_authorizer import assertion
from tests.heartmap_service import test_direct_identity as direct
from tests.heartmap_service.conftest import KEYS
from tests.heartmap_service.test_direct_identity import BOUND, HOST, OURS, ULID, Program, Tables, outcome, path_of

# The keys, tables and tokens are those of the service that decides for itself.
pool, environment, tables, token = direct.pool, direct.environment, direct.tables, direct.token

GATEWAY = "10.0.0.7"


class Decisions:
    """The process, asked by a gateway at ``peer`` about calls from ``caller``."""

    def __init__(self, app: forward_auth.ForwardAuth, peer: str = GATEWAY) -> None:
        self.client = TestClient(app, base_url="https://decisions.test", raise_server_exceptions=False, client=(peer, 50_000))

    def ask(self, method: str, uri: Any, headers: Any = (), *, host: str = HOST, caller: str = "203.0.113.9") -> Any:
        described = {"X-Forwarded-Method": method, "X-Forwarded-Uri": uri, "X-Forwarded-Host": host, "X-Forwarded-For": caller}
        return self.client.get("/authorize", headers=[*dict(headers).items(), *described.items()])


@pytest.fixture
def decisions(environment: dict[str, str], tables: Tables) -> Callable[..., Decisions]:
    settings = DecisionSettings(region="eu-west-1", internal_host=HOST, trusted_proxies="10.0.0.0/8")  # pyright: ignore[reportArgumentType]  # split
    return lambda peer=GATEWAY: Decisions(forward_auth.create_app(settings), peer)


def said(answer: Any) -> assertion.Assertion:
    assert (answer.status_code, answer.content) == (204, b"")
    return assertion.verify(answer.headers[assertion.HEADER], KEYS.keys, now=time.time())


@pytest.mark.parametrize("group", ["viewer", "analyst", "admin", None])
def test_the_access_policy_decides_for_every_role_on_every_route(decisions: Any, token: Any, group: str | None) -> None:
    asked, headers = decisions(), token(*([group] if group else []))
    for rule in OURS:
        answer = asked.ask(rule.method, path_of(rule), headers)
        if rule.any_principal or group in rule.groups:
            granted = said(answer)
            assert (granted.method, granted.route) == (rule.method, rule.route)
            assert granted.request_id == answer.headers["x-request-id"]
        else:
            assert outcome(answer) == (403, "forbidden"), rule.route
            assert assertion.HEADER not in answer.headers


def test_without_a_credential_nothing_is_let_through_and_a_refusal_is_a_problem_document(decisions: Any) -> None:
    for rule in OURS:
        answer = decisions().ask(rule.method, path_of(rule))
        assert outcome(answer) == (401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_nobody_but_a_trusted_gateway_may_ask(decisions: Any, token: Any) -> None:
    for peer in ("203.0.113.9", "::1", "testclient"):
        answer = decisions(peer).ask("GET", "/health", token("admin"))
        assert outcome(answer) == (403, "forbidden")
        assert assertion.HEADER not in answer.headers
        assert decisions(peer).client.get("/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize("name", ["X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host", "X-Forwarded-For"])
def test_a_call_that_is_not_described_or_described_twice_is_refused(decisions: Any, token: Any, name: str) -> None:
    described = {
        "X-Forwarded-Method": "GET",
        "X-Forwarded-Uri": "/health",
        "X-Forwarded-Host": HOST,
        "X-Forwarded-For": "192.0.2.1",
    }
    client, headers = decisions().client, [*token("admin").items(), *described.items()]
    assert client.get("/authorize", headers=headers).status_code == 204
    without = [pair for pair in headers if pair[0] != name]
    assert outcome(client.get("/authorize", headers=without)) == (400, "bad_request")
    if name != "X-Forwarded-For":
        assert outcome(client.get("/authorize", headers=[*headers, (name, described[name])])) == (400, "bad_request")


@pytest.mark.parametrize(
    "uri",
    [
        "/heal%74h",
        "/health/",
        "//health",
        "/x/../health",
        "/live/health",
        "/HEALTH",
        "health",
        "*",
        "",
        "https://internal.heartmap.test/health",
        "/health#x",
        "/health\xe9",
        "/analyses/..%2fconfig",
        f"/analyses/{ULID.lower()}x",
        # The stack's functions answer these, behind API Gateway.
        "/keys",
        "/users",
        "/audit",
        f"/keys/{ULID}",
    ],
)
def test_the_path_is_taken_as_it_was_sent(decisions: Any, token: Any, uri: str) -> None:
    answer = decisions().ask("GET", uri.encode("latin-1"), token("admin"))
    assert answer.status_code in (401, 403), answer.text
    assert assertion.HEADER not in answer.headers


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "get", "GET ", "PUT"])
def test_no_other_method_opens_a_route(decisions: Any, token: Any, method: str) -> None:
    assert decisions().ask(method, "/config", token("admin")).status_code in (401, 403)


def test_the_query_belongs_to_the_call(decisions: Any, token: Any) -> None:
    assert said(decisions().ask("GET", "/analyses?limit=5", token("viewer"))).route == "/analyses"
    assert outcome(decisions().ask("GET", "/analyses?access_token=x", token("viewer"))) == (401, "unauthenticated")
    assert outcome(decisions().ask("GET", "/analyses?a=%ff", token("viewer"))) == (400, "bad_request")


def test_nothing_else_is_served(decisions: Any, token: Any) -> None:
    described = {
        "X-Forwarded-Method": "GET",
        "X-Forwarded-Uri": "/health",
        "X-Forwarded-Host": HOST,
        "X-Forwarded-For": "192.0.2.1",
    }
    for method, path in (
        ("GET", "/"),
        ("GET", "/health"),
        ("GET", "/authorize/"),
        ("GET", "/%61uthorize"),
        ("POST", "/authorize"),
    ):
        answer = decisions().client.request(method, path, headers={**described, **token("admin")})
        assert outcome(answer) == (403, "no_such_route"), path


def test_another_host_is_refused_and_who_calls_does_not_name_the_call(decisions: Any, token: Any) -> None:
    assert outcome(decisions().ask("GET", "/health", token("admin"), host="evil.example")) == (421, "misdirected_request")
    named = {**token("admin"), "X-Request-Id": "chosen-by-the-caller", assertion.HEADER: "x"}
    answer = decisions().ask("GET", "/health", named, host=f"{HOST}:443")
    assert said(answer).request_id == answer.headers["x-request-id"] != "chosen-by-the-caller"


def test_a_key_that_is_bound_to_addresses_opens_from_them_alone(decisions: Any, tables: Tables) -> None:
    program = Program(tables, "models:read", **BOUND)
    assert said(decisions().ask("GET", "/models", program.headers, caller="198.51.100.7")).principal == "program:sequencer"
    for caller in ("203.0.113.9", "198.51.100.7, 203.0.113.9", "unknown"):
        assert outcome(decisions().ask("GET", "/models", program.headers, caller=caller)) == (403, "forbidden")


def test_a_table_that_does_not_answer_lets_nobody_through(decisions: Any, tables: Tables) -> None:
    program = Program(tables, "models:read")
    tables.is_down = True
    assert outcome(decisions().ask("GET", "/models", program.headers)) == (503, "unavailable")


def test_more_calls_at_once_than_can_be_decided_in_time_are_refused(
    decisions: Any, token: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward_auth, "MOST_CALLS", 0)
    assert outcome(decisions().ask("GET", "/health", token("admin"))) == (503, "overloaded")


def test_a_signed_call_goes_through_gateway_and_service_once_and_with_its_own_body(
    decisions: Any, tables: Tables, http: TestClient
) -> None:
    asked, program = decisions(), Program(tables, "config:write", "config:read", signs=True)

    def through(method: str, uri: str, headers: dict[str, str], body: bytes | None = None) -> Any:
        """What a gateway does: it asks with the headers, and passes the call on with those of the answer."""
        allowed = asked.ask(method, uri, headers)
        if allowed.status_code != 204:
            return allowed
        passed = {name: allowed.headers[name] for name in (assertion.HEADER, "X-Request-Id")}
        return http.request(method, uri, headers=headers | passed | {"Content-Type": "application/json"}, content=body)

    body = b'{"min_genes": 7}'
    signed = program.signed("POST", "/config", body=body)
    answer = through("POST", "/config", signed, body)
    assert (answer.status_code, answer.json()["changed_by"]) == (200, "program:sequencer")
    # The nonce is used up; the service itself never looked at it.
    assert outcome(through("POST", "/config", signed, body)) == (401, "unauthenticated")
    altered = through("POST", "/config", program.signed("POST", "/config", body=body), b'{"min_genes": 8}')
    assert outcome(altered) == (400, "content_digest_mismatch")
    large = b'{"min_genes": 7}' + b" " * 70_000
    assert outcome(through("POST", "/config", program.signed("POST", "/config", body=large), large)) == (413, "body_too_large")
    query = program.signed("GET", "/config/versions", query={"limit": ["1"]})
    assert outcome(through("GET", "/config/versions?limit=2", query)) == (401, "unauthenticated")
    assert through(
        "GET", "/config/versions?limit=1", program.signed("GET", "/config/versions", query={"limit": ["1"]})
    ).is_success


def test_each_decision_is_a_record_of_the_audit(decisions: Any, token: Any, capfd: pytest.CaptureFixture[str]) -> None:
    asked = decisions()
    capfd.readouterr()
    answer = asked.ask("GET", "/health", token("viewer"))
    [line] = [json.loads(text) for text in capfd.readouterr().out.splitlines() if text.startswith('{"event":"authorization"')]
    assert (line["decision"], line["source_ip"], line["route"]) == ("allow", "203.0.113.9", "/health")
    assert line["request_id"] == answer.headers["x-request-id"]


def test_a_rotated_key_signs_without_a_new_start(
    decisions: Any, token: Any, environment: dict[str, str], tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = json.loads(Path(environment["HEARTMAP_SECRETS_FILE"]).read_text())
    call, clock = tables.call, [time.time()]

    def answering(service: str, operation: str, parameters: Any, **named: Any) -> Any:
        if service == "secretsmanager":
            return {"SecretString": json.dumps(secret)}
        return call(service, operation, parameters, **named)

    monkeypatch.setattr(tables, "call", answering)
    monkeypatch.delenv("HEARTMAP_SECRETS_FILE")
    monkeypatch.setenv("HEARTMAP_SECRETS", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:heartmap")
    monkeypatch.setattr(time, "time", lambda: clock[0])
    monkeypatch.setattr("heartmap_service.direct_identity.THREADS", 1)
    asked = decisions()
    assert asked.ask("GET", "/health", token("viewer")).headers[assertion.HEADER].startswith("v2.k1.")
    secret["assertion_keys"]["k2"], secret["current_assertion_key"] = secret["assertion_keys"]["k1"], "k2"
    clock[0] += 301
    assert asked.ask("GET", "/health", token("viewer")).headers[assertion.HEADER].startswith("v2.k2.")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HEARTMAP_TRUSTED_PROXIES", None),
        ("HEARTMAP_TRUSTED_PROXIES", ""),
        ("HEARTMAP_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("HEARTMAP_INTERNAL_HOST", None),
        ("AWS_REGION", None),
        ("HEARTMAP_ISSUERS", None),
        ("HEARTMAP_SECRETS_FILE", "/nowhere"),
    ],
)
def test_a_missing_or_malformed_setting_refuses_the_start(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, name: str, value: str | None
) -> None:
    monkeypatch.setenv("HEARTMAP_TRUSTED_PROXIES", "10.0.0.0/8")
    monkeypatch.setenv("HEARTMAP_INTERNAL_HOST", HOST)
    forward_auth.create_app(load(DecisionSettings))
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=name):
        forward_auth.create_app(load(DecisionSettings))


def test_the_process_serves_by_tls_until_it_is_told_to_end(environment: dict[str, str], token: Any, tmp_path: Path) -> None:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with self_signed("localhost") as made:
        files = {"HEARTMAP_TLS_CERTIFICATE": str(made.certificate), "HEARTMAP_TLS_KEY": str(made.key)}
        own = {"HEARTMAP_TRUSTED_PROXIES": "127.0.0.0/8", "HEARTMAP_INTERNAL_HOST": HOST, "HEARTMAP_PORT": str(port)}
        started = {"PATH": os.environ["PATH"], **environment, **files, **own}
        # No credentials of AWS: a token is verified without a call.
        process = subprocess.Popen([sys.executable, "-m", "heartmap_service.forward_auth"], env=started, stdout=subprocess.PIPE)
        try:
            with httpx.Client(
                base_url=f"https://localhost:{port}", verify=ssl.create_default_context(cafile=made.certificate)
            ) as http:
                _wait(http)
                described = {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/health", "X-Forwarded-Host": HOST}
                answer = http.get("/authorize", headers={**described, "X-Forwarded-For": "192.0.2.1", **token("viewer")})
                said(answer)
                assert answer.headers["cache-control"] == "no-store"
        finally:
            process.terminate()
            written = process.communicate(timeout=30)[0].decode()
    assert [json.loads(line)["event"] for line in written.splitlines()] == ["authorization", "decision"]


def _wait(http: httpx.Client) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            assert http.get("/healthz").json() == {"status": "ok"}
        except httpx.ConnectError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("it does not answer")
