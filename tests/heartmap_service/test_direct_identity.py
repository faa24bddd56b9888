"""The service alone, or behind a gateway that asks no authorizer: HEARTMAP_IDENTITY=direct."""

import asyncio
import base64
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from starlette.testclient import TestClient

from heartmap_service import api, direct_identity
from heartmap_service.clients import Clients
from heartmap_service.direct_aws import DirectAws
from heartmap_service.settings import ApiSettings
from lambda_authorizer import api_keys, assertion, signature
from lambda_authorizer.access_policy import ACCESS_POLICY, SERVICE, Rule
from lambda_authorizer.audit_chain import parse
from lambda_authorizer.aws import AwsError
from lambda_authorizer.encoding import b64url

ISSUER = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Example01"
CLIENT = "3n4b5urk1ft4fl3mg5e62d9ado"
HOST = "internal.heartmap.test"
ULID = "01JD0000000000000000000000"
PEPPER = bytes(range(32))
IN_THE_SECRET = {"k1": b"\x01" * 32}
OURS = [rule for rule in ACCESS_POLICY if rule.answered_by == SERVICE]


@pytest.fixture(scope="module")
def pool() -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pool: RSAPrivateKey) -> dict[str, str]:
    """The authorizer's own variables, set."""
    numbers = pool.public_key().public_numbers()
    key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "key-1"}
    key |= {"n": b64url(numbers.n.to_bytes(256, "big")), "e": b64url(b"\x01\x00\x01")}
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [key]}))
    secret = {
        "api_key_pepper": base64.b64encode(PEPPER).decode(),
        "assertion_keys": {name: base64.b64encode(value).decode() for name, value in IN_THE_SECRET.items()},
        "current_assertion_key": "k1",
    }
    (tmp_path / "secret.json").write_text(json.dumps(secret))
    variables = {
        "HEARTMAP_ENVIRONMENT": "local",
        "HEARTMAP_ISSUERS": ISSUER,
        "HEARTMAP_CLIENT_IDS": CLIENT,
        "HEARTMAP_JWKS_FILE": str(tmp_path / "jwks.json"),
        "HEARTMAP_API_KEYS_TABLE": "api-keys",
        "HEARTMAP_KEY_USE_TABLE": "key-use",
        "HEARTMAP_SECRETS_FILE": str(tmp_path / "secret.json"),
        "AWS_REGION": "eu-west-1",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


class Tables:
    """The table of keys, and that of their use, in the place of AWS."""

    def __init__(self) -> None:
        self.keys: dict[str, dict[str, Any]] = {}
        self.nonces: set[str] = set()
        self.wait = 0.0
        self.is_down = False

    def call(self, _service: str, operation: str, parameters: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        time.sleep(self.wait)
        if self.is_down:
            raise AwsError("nobody answers")
        if operation.endswith(".GetItem"):
            item = self.keys.get(parameters["Key"]["public_id"]["S"])
            return {} if item is None else {"Item": item}
        written = json.dumps(parameters.get("Item", parameters))
        if "ConditionExpression" in parameters and "nonce" in written.lower():
            if written in self.nonces:
                raise AwsError("refused", "ConditionalCheckFailedException")
            self.nonces.add(written)
        return {}


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Tables:
    made = Tables()
    monkeypatch.setattr(DirectAws, "call", lambda _, *arguments, **named: made.call(*arguments, **named))
    return made


class Program:
    """Holds an API key; signs where it has a key to sign with."""

    def __init__(self, tables: Tables, *scopes: str, signs: bool = False, **attributes: Any) -> None:
        self.public_id = secrets.token_hex(8)
        self.key = f"hm_local_{self.public_id}_{secrets.token_urlsafe(32)}"
        self.signing_key = Ed25519PrivateKey.generate() if signs else None
        item: dict[str, Any] = {
            "public_id": {"S": self.public_id},
            "digest": {"S": api_keys.digest(self.key, PEPPER)},
            "principal": {"S": "program:sequencer"},
            "scopes": {"SS": list(scopes)},
            **attributes,
        }
        if self.signing_key is not None:
            item["signing_key"] = {"S": b64url(self.signing_key.public_key().public_bytes_raw())}
        tables.keys[self.public_id] = item

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"ApiKey {self.key}"}

    def signed(self, method: str, path: str, *, query: Any = None, body: bytes = b"", host: str = HOST) -> dict[str, str]:
        assert self.signing_key is not None
        parameters = signature.parameters(created=int(time.time()), nonce=secrets.token_urlsafe(16), key_id=self.public_id)
        digest = signature.content_digest(body)
        base = signature.base(signature.Message(method, host, path, query or {}, digest), parameters)
        proof = signature.headers(parameters, self.signing_key.sign(base))
        return {**self.headers, signature.DIGEST_HEADER: digest, **proof}


@pytest.fixture
def direct(api_settings: ApiSettings, clients: Clients, environment: dict[str, str], tables: Tables) -> Callable[..., TestClient]:
    """The application with identity direct, for callers at an address."""

    def make(peer: str = "203.0.113.9", **changes: Any) -> TestClient:
        settings = ApiSettings(**{**api_settings.model_dump(), "identity": "direct", "assertion_keys": None, **changes})
        app = api.create_app(settings, clients)
        return TestClient(app, base_url=f"https://{HOST}", raise_server_exceptions=False, client=(peer, 50_000))

    return make


@pytest.fixture
def token(pool: RSAPrivateKey) -> Callable[..., dict[str, str]]:
    """The Authorization of a person with these groups."""

    def make(*groups: str, **changes: Any) -> dict[str, str]:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "client_id": CLIENT,
            "token_use": "access",
            "sub": "5f0d3c1e-0c4c-4b5e-9a6e-2f4ad9f3c001",
            "jti": secrets.token_hex(8),
            "iat": now,
            "auth_time": now,
            "exp": now + 3600,
            "cognito:groups": list(groups),
            "scope": "openid",
            **changes,
        }
        return {"Authorization": f"Bearer {jwt.encode(claims, pool, algorithm='RS256', headers={'kid': 'key-1'})}"}

    return make


def outcome(answer: Any) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    return answer.status_code, answer.json()["code"]


def path_of(rule: Rule) -> str:
    return re.sub(r"\{\w+\}", ULID, rule.route)


def test_no_route_answers_without_a_credential_or_to_an_assertion(direct: Any) -> None:
    client = direct()
    keys = assertion.Keys("k1", IN_THE_SECRET)
    for rule in OURS:
        forged = assertion.mint(
            keys,
            principal="ada",
            groups=["admin"],
            scopes=[],
            route=rule.route,
            method=rule.method,
            request_id="request-1",
            now=time.time(),
        )
        for headers in ({}, {assertion.HEADER: forged, "X-Request-Id": "request-1"}, {"Authorization": f"Bearer {forged}"}):
            answer = client.request(rule.method, path_of(rule), headers=headers)
            assert outcome(answer) == (401, "unauthenticated"), rule.route
            assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("group", ["viewer", "analyst", "admin", None])
def test_the_access_policy_decides_for_every_role_on_every_route(direct: Any, token: Any, group: str | None) -> None:
    client, headers = direct(), token(*([group] if group else []))
    for rule in OURS:
        answer = client.request(rule.method, path_of(rule), headers=headers)
        if rule.any_principal or group in rule.groups:
            assert answer.status_code not in (401, 403), rule.route
        else:
            assert outcome(answer) == (403, "forbidden"), rule.route


def test_a_person_signs_in_by_token_and_is_who_changed_something(direct: Any, token: Any) -> None:
    changed = direct().post("/config", json={"min_genes": 5}, headers=token("admin"))
    assert changed.status_code == 200
    assert changed.json()["changed_by"] == "5f0d3c1e-0c4c-4b5e-9a6e-2f4ad9f3c001"


@pytest.mark.parametrize(
    "changes", [{"exp": 1}, {"iss": "https://evil.example"}, {"client_id": "another"}, {"token_use": "id"}], ids=str
)
def test_a_token_that_the_authorizer_refuses_is_refused(direct: Any, token: Any, changes: dict[str, Any]) -> None:
    assert outcome(direct().get("/health", headers=token("admin", **changes))) == (401, "unauthenticated")


def test_a_change_asks_for_a_recent_sign_in(direct: Any, token: Any) -> None:
    answer = direct().post("/config", json={"min_genes": 5}, headers=token("admin", auth_time=int(time.time()) - 3600))
    assert outcome(answer) == (403, "forbidden")
    assert "sign in again" in answer.json()["detail"]


def test_a_program_has_its_scopes_and_no_more(direct: Any, tables: Tables) -> None:
    client, program = direct(), Program(tables, "uploads:write")
    assert client.post("/uploads", json={}, headers=program.headers).status_code == 201
    assert outcome(client.get("/analyses", headers=program.headers)) == (403, "forbidden")


def test_a_key_that_is_wrong_or_revoked_or_used_with_a_token_is_refused(direct: Any, tables: Tables, token: Any) -> None:
    client, program = direct(), Program(tables, "models:read")
    revoked = Program(tables, "models:read", revoked_at={"N": "1"})
    for headers in (
        {"Authorization": program.headers["Authorization"][:-1] + "!"},
        {"Authorization": f"ApiKey hm_local_{program.public_id}_{'x' * 43}"},
        revoked.headers,
        {**program.headers, "X-Api-Key": "x"},
    ):
        assert outcome(client.get("/models", headers=headers)) == (401, "unauthenticated")
    both = [("Authorization", program.headers["Authorization"]), ("Authorization", token("admin")["Authorization"])]
    assert outcome(client.get("/models", headers=both)) == (401, "unauthenticated")
    assert outcome(client.get("/models?access_token=x", headers=program.headers)) == (401, "unauthenticated")
    assert client.get("/models", headers=program.headers).status_code == 200


BOUND: dict[str, Any] = {"source_ranges": {"SS": ["198.51.100.0/24", "2001:db8::/32"]}}
PROXIES = "10.0.0.0/8, 192.0.2.1/32, fd00::/8"


@pytest.mark.parametrize(
    ("peer", "forwarded", "opens"),
    [
        ("198.51.100.7", [], True),
        ("2001:db8::7", [], True),
        ("::ffff:198.51.100.7", [], True),
        ("203.0.113.9", [], False),
        # Not of a trusted proxy: not believed.
        ("203.0.113.9", ["198.51.100.7"], False),
        ("198.51.100.7", ["203.0.113.9"], True),
        ("10.1.2.3", ["198.51.100.7"], True),
        ("fd00::1", ["198.51.100.7"], True),
        ("10.1.2.3", ["203.0.113.9"], False),
        # What the caller wrote stands before what the proxy saw.
        ("10.1.2.3", ["198.51.100.7, 203.0.113.9"], False),
        ("10.1.2.3", ["198.51.100.7", "203.0.113.9"], False),
        ("10.1.2.3", ["203.0.113.9, 198.51.100.7"], True),
        # Two proxies in a row.
        ("10.1.2.3", ["203.0.113.9, 198.51.100.7, 192.0.2.1"], True),
        ("10.1.2.3", ["198.51.100.7, 203.0.113.9, 192.0.2.1"], False),
        ("10.1.2.3", ["198.51.100.7, unknown"], False),
        ("10.1.2.3", ["198.51.100.7,"], False),
        ("10.1.2.3", [], False),
        ("testclient", [], False),
    ],
)
def test_a_key_bound_to_addresses_opens_from_them_and_nobody_else_says_where_a_call_came_from(
    direct: Any, tables: Tables, peer: str, forwarded: list[str], opens: bool
) -> None:
    program = Program(tables, "models:read", **BOUND)
    headers = [*program.headers.items(), *(("X-Forwarded-For", line) for line in forwarded)]
    answer = direct(peer, trusted_proxies=PROXIES).get("/models", headers=headers)
    assert answer.status_code == (200 if opens else 403)
    if not opens:
        assert "address" in answer.json()["detail"]


def test_a_signed_call_opens_once_and_only_what_it_signed(direct: Any, tables: Tables) -> None:
    client, program = direct(), Program(tables, "models:read", "config:write", "config:read", signs=True)
    signed = program.signed("GET", "/models")
    assert client.get("/models", headers=signed).status_code == 200
    assert outcome(client.get("/models", headers=signed)) == (401, "unauthenticated")
    assert outcome(client.get("/models", headers=program.headers)) == (401, "unauthenticated")
    assert outcome(client.get("/config", headers=program.signed("GET", "/models"))) == (401, "unauthenticated")
    assert outcome(client.get("/models", headers=program.signed("GET", "/models", host="other.test"))) == (401, "unauthenticated")


def test_a_signature_covers_the_body_and_the_query(direct: Any, tables: Tables) -> None:
    client, program = direct(), Program(tables, "config:write", "config:read", signs=True)
    body = b'{"min_genes": 7}'
    json_headers = {"Content-Type": "application/json"}
    altered = client.post(
        "/config", content=b'{"min_genes": 8}', headers=json_headers | program.signed("POST", "/config", body=body)
    )
    assert outcome(altered) == (400, "content_digest_mismatch")
    sent = client.post("/config", content=body, headers=json_headers | program.signed("POST", "/config", body=body))
    assert sent.status_code == 200
    query = {"limit": ["1"], "cursor": ["a b+c/é"]}
    signed = program.signed("GET", "/config/versions", query=query)
    assert (
        client.get("/config/versions", params={"limit": "1", "cursor": "a b+c/é"}, headers=signed).json()["code"]
        == "invalid_cursor"
    )
    signed = program.signed("GET", "/config/versions", query={"limit": ["1"]})
    assert outcome(client.get("/config/versions?limit=2", headers=signed)) == (401, "unauthenticated")


@pytest.mark.parametrize(
    "path",
    [
        *("/heal%74h", "/%68ealth", "/health/", "/health//", "/nothing", "/live/health", "/analyses/1", "/analyses/..%2fconfig"),
        *("/keys", "/users", "/audit"),
    ],
)
def test_a_path_has_one_spelling_and_there_is_no_stage(direct: Any, token: Any, path: str) -> None:
    answer = direct().get(path, headers=token("admin"))
    assert answer.status_code in (401, 403), answer.text


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "PROPFIND"])
def test_no_other_method_opens_a_route(direct: Any, token: Any, method: str) -> None:
    assert direct().request(method, "/config", headers=token("admin")).status_code == 403


@pytest.mark.parametrize("query", ["&".join(f"a{number}=1" for number in range(40)), "a=%ff"])
def test_a_query_that_cannot_be_read_is_refused(direct: Any, token: Any, query: str) -> None:
    assert outcome(direct().get(f"/health?{query}", headers=token("admin"))) == (400, "bad_request")


def test_the_request_id_is_ours_unless_a_trusted_proxy_gave_it(direct: Any, token: Any) -> None:
    given = {**token("viewer"), "X-Request-Id": "chosen-by-the-caller"}
    assert direct().get("/health", headers=given).headers["x-request-id"] != "chosen-by-the-caller"
    behind = direct("10.0.0.1", trusted_proxies="10.0.0.0/8").get("/health", headers=given)
    assert (behind.status_code, behind.headers["x-request-id"]) == (200, "chosen-by-the-caller")


def test_a_foreign_host_is_refused(direct: Any, token: Any) -> None:
    answer = direct().get("/health", headers={**token("admin"), "Host": "evil.example"})
    assert outcome(answer) == (421, "misdirected_request")


def test_a_table_of_keys_that_does_not_answer_is_not_the_callers_fault(direct: Any, tables: Tables, token: Any) -> None:
    client, program = direct(), Program(tables, "models:read")
    tables.is_down = True
    answer = client.get("/models", headers=program.headers)
    assert outcome(answer) == (503, "unavailable")
    assert answer.headers["retry-after"] == "5"
    assert client.get("/health", headers=token("viewer")).status_code == 200


def test_the_event_loop_does_not_wait_for_the_table(direct: Any, tables: Tables) -> None:
    app, program = direct().app, Program(tables, "models:read")
    tables.wait = 0.3
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def longest_pause() -> float:
        headers = [(b"host", HOST.encode()), (b"authorization", program.headers["Authorization"].encode())]
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/models",
            "raw_path": b"/models",
            "query_string": b"",
            "headers": headers,
        }
        call = asyncio.create_task(app({**scope, "client": ("203.0.113.9", 1), "app": None}, receive, send))
        pause, before = 0.0, time.monotonic()
        while not call.done():
            await asyncio.sleep(0.005)
            pause, before = max(pause, time.monotonic() - before), time.monotonic()
        await call
        return pause

    assert asyncio.run(longest_pause()) < 0.2
    assert sent[0]["status"] == 200


def test_each_decision_is_one_line_of_the_audit(direct: Any, token: Any, capfd: pytest.CaptureFixture[str]) -> None:
    client = direct()
    capfd.readouterr()
    client.get("/health", headers=token("viewer"))
    [line] = [json.loads(text) for text in capfd.readouterr().out.splitlines() if text.startswith('{"event":"authorization"')]
    assert (line["decision"], line["source_ip"], line["route"]) == ("allow", "203.0.113.9", "/health")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HEARTMAP_ISSUERS", ""),
        ("HEARTMAP_CLIENT_IDS", "a b"),
        ("HEARTMAP_JWKS_FILE", "/nowhere"),
        ("HEARTMAP_SECRETS_FILE", ""),
        ("HEARTMAP_SECRETS_FILE", "/nowhere"),
    ],
)
def test_without_the_authorizers_environment_nothing_is_served(
    direct: Any, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=name) as refused:
        direct()
    assert "nowhere" not in str(refused.value)


def test_a_secret_that_cannot_be_read_at_the_start_is_the_end_of_it(
    direct: Any, monkeypatch: pytest.MonkeyPatch, tables: Tables
) -> None:
    monkeypatch.delenv("HEARTMAP_SECRETS_FILE")
    monkeypatch.setenv("HEARTMAP_SECRETS", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:heartmap")
    tables.is_down = True
    with pytest.raises(SystemExit, match="HEARTMAP_SECRETS: "):
        direct()


def test_the_keys_of_assertions_are_of_this_process_alone(direct: Any) -> None:
    one, other = direct().app._identity, direct().app._identity
    assert one._keys != other._keys
    assert not set(one._keys.values()) & set(IN_THE_SECRET.values())
    assert isinstance(one, direct_identity.DirectIdentity)


def test_the_records_of_all_threads_are_one_chain_in_which_every_call_has_two(
    direct: Callable[..., TestClient], tables: Tables, capsys: pytest.CaptureFixture[str]
) -> None:
    # A call waits for the table, so that the others come in between.
    tables.wait = 0.01
    http, programs = direct(), [Program(tables, "models:read") for _ in range(8)]
    capsys.readouterr()

    def call(program: Program) -> list[int]:
        return [http.get("/models", headers=program.headers).status_code for _ in range(5)]

    with ThreadPoolExecutor(8) as threads:
        assert {status for statuses in threads.map(call, programs) for status in statuses} == {200}
    lines = [line for line in capsys.readouterr().out.splitlines() if parse(line)]
    links = [link for line in lines if (link := parse(line))]
    assert [link.sequence for link in links] == list(range(links[0].sequence, links[0].sequence + 80))
    assert [link.previous for link in links[1:]] == [link.hash for link in links[:-1]]
    assert all(link.computed == link.hash for link in links)
    of_each: dict[str, list[str]] = {}
    for record in map(json.loads, lines):
        of_each.setdefault(record["request_id"], []).append(record["event"])
    assert set(map(tuple, of_each.values())) == {("authorization", "service")}
    assert len(of_each) == 40
