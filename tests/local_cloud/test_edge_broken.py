"""Stages broken on purpose, with the real authorizer: whatever it is, calls end with 500, and the service hears nothing.

Between the functions and the emulated AWS stands a gate, which can be shut for calls that say a certain word.
"""

import asyncio
import base64
import json
import secrets
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from jwt.algorithms import RSAAlgorithm

from infra.gateway_responses import GATEWAY_RESPONSES
from lambda_authorizer import api_keys, package, signature
from lambda_authorizer.access_policy import KEYS, RULES, STEP_UP_AGE
from lambda_authorizer.encoding import b64url
from lambda_authorizer.reasons import Reason
from lambda_keys import package as keys_package
from local_cloud.edge.__main__ import running_edge

HOST = "localhost:8443"
ISSUER, CLIENT, KEY_ID = "https://issuer.example/pool", "3n4b5urk1ft4fl3mg5e62d9ado", "one"
API_KEYS, KEY_USE, SECRET = "heartmap-local-api-keys", "heartmap-local-key-use", "heartmap-local/authorizer"
PLAIN, SIGNED, SPOILT = "PLAIN001", "SIGNED01", "SPOILT01"
PEPPER = b"p" * 32


class Gate:
    """An HTTP server that passes everything on. Calls that say ``word`` are met with ``how``: reset, silence, or an error."""

    def __init__(self, behind: str) -> None:
        self.word, self.how = "", ""
        self._behind, self._over = httpx.Client(base_url=behind, timeout=30, trust_env=False), threading.Event()
        gate = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if gate.word and gate.word in f"{self.headers.get('X-Amz-Target')} {body!r}":
                    self.close_connection = True
                    if gate.how == "silence":
                        gate._over.wait(10)
                    elif gate.how == "error":
                        self._answer(503, b'{"__type": "ServiceUnavailable"}', "application/x-amz-json-1.0")
                    else:
                        self.connection.shutdown(socket.SHUT_RDWR)
                    return
                headers = {name: value for name, value in self.headers.items() if name.lower() != "accept-encoding"}
                answer = gate._behind.request(self.command, self.path, headers=headers, content=body)
                self._answer(answer.status_code, answer.content, answer.headers.get("content-type", "text/plain"))

            do_POST = do_PUT = do_DELETE = do_PATCH = do_GET  # noqa: N815 - the base class calls them so

            def _answer(self, status: int, body: bytes, content_type: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its own name for it
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
        self._behind.close()


@pytest.fixture(scope="module")
def gates(aws_endpoint: str) -> Iterator[Gate]:
    made = Gate(aws_endpoint)
    yield made
    made.close()


@pytest.fixture
def gate(gates: Gate, local_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """An open gate, through which the edge and the functions reach the emulated AWS."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", gates.url)
    yield gates
    gates.word = gates.how = ""


@pytest.fixture(scope="module")
def holder(aws: Callable[[str], Any]) -> SimpleNamespace:
    """Who has credentials, which are all good: a token, a key, a key whose calls are signed, and a key of a spoilt record."""
    pool_key, signing_key = generate_private_key(65537, 2048), Ed25519PrivateKey.generate()
    now = int(time.time())
    claims = {"sub": "someone", "iss": ISSUER, "client_id": CLIENT, "token_use": "access", "cognito:groups": ["admin"]}
    claims |= {"iat": now, "exp": now + 3600, "auth_time": now}
    jwk = {"kid": KEY_ID, "use": "sig", "alg": "RS256"} | RSAAlgorithm.to_jwk(pool_key.public_key(), as_dict=True)
    jwk.pop("key_ops", None)
    held = {public_id: f"hm_local_{public_id}_{secrets.token_urlsafe(32)}" for public_id in (PLAIN, SIGNED, SPOILT)}
    dynamodb = aws("dynamodb")
    for table, hash_key in ((API_KEYS, "public_id"), (KEY_USE, "id")):
        dynamodb.create_table(
            TableName=table,
            KeySchema=[{"AttributeName": hash_key, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": hash_key, "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    more = {
        PLAIN: {},
        SIGNED: {"signing_key": {"S": b64url(signing_key.public_key().public_bytes_raw())}},
        SPOILT: {"signing_key": {"S": "none"}},
    }
    for public_id, key in held.items():
        item = {
            "digest": {"S": api_keys.digest(key, PEPPER)},
            "principal": {"S": "program:robot"},
            "scopes": {"SS": ["models:read"]},
        }
        dynamodb.put_item(TableName=API_KEYS, Item={"public_id": {"S": public_id}} | item | more[public_id])
    return SimpleNamespace(
        key_set=json.dumps({"keys": [jwk]}).encode(),
        token=jwt.encode(claims, pool_key, "RS256", {"kid": KEY_ID, "typ": None}),
        old_token=jwt.encode(claims | {"auth_time": now - STEP_UP_AGE - 60}, pool_key, "RS256", {"kid": KEY_ID, "typ": None}),
        keys=held,
        signing_key=signing_key,
    )


@pytest.fixture(scope="module")
def code(holder: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The authorizer's package, as it is deployed."""
    target = package.Target.host()
    return package.build(tmp_path_factory.mktemp("package"), key_set=holder.key_set, target=target).read_bytes()


@pytest.fixture(scope="module")
def code_of_keys(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The package of the function of keys, as it is deployed."""
    return keys_package.build(tmp_path_factory.mktemp("package"), target=package.Target.host()).read_bytes()


@pytest.fixture(scope="module")
def secret_arn(aws: Callable[[str], Any]) -> str:
    assertion_keys = {"a": base64.b64encode(b"a" * 32).decode()}
    content = {
        "api_key_pepper": base64.b64encode(PEPPER).decode(),
        "assertion_keys": assertion_keys,
        "current_assertion_key": "a",
    }
    return aws("secretsmanager").create_secret(Name=SECRET, SecretString=json.dumps(content))["ARN"]


@pytest.fixture
def stage(make_site: Callable, code: bytes, code_of_keys: bytes, secret_arn: str, gate: Gate) -> Callable[..., Any]:
    """Serves a stage with the real authorizer and the real function of keys, broken in what is given: code, or variables.

    ``keys_code`` and ``keys`` are of the function of keys, the others of the authorizer.
    """

    @asynccontextmanager
    async def serving(
        *,
        broken_code: bytes | None = None,
        handler: str = "lambda_authorizer.handler.handler",
        keys_code: bytes | None = None,
        keys: dict[str, str] | None = None,
        **changes: str,
    ) -> AsyncIterator[Any]:
        variables = {
            "HEARTMAP_ENVIRONMENT": "local",
            "HEARTMAP_ISSUERS": ISSUER,
            "HEARTMAP_CLIENT_IDS": CLIENT,
            "HEARTMAP_API_KEYS_TABLE": API_KEYS,
            "HEARTMAP_KEY_USE_TABLE": KEY_USE,
            "HEARTMAP_SECRETS": secret_arn,
        } | changes
        site = make_site(broken_code or code, Handler=handler, Timeout=5, Environment={"Variables": variables})
        site.method("GET", "/models")
        of_keys = {
            name: variables[name] for name in ("HEARTMAP_ENVIRONMENT", "HEARTMAP_API_KEYS_TABLE", "HEARTMAP_KEY_USE_TABLE")
        }
        site.behind_the_authorizer(
            "keys",
            keys_code or code_of_keys,
            *(call for call, rule in RULES.items() if rule.answered_by == KEYS),
            Handler="lambda_keys.handler.handler" if keys_code is None else "app.handler",
            Environment={"Variables": of_keys | {"HEARTMAP_SECRETS": secret_arn} | (keys or {})},
        )
        for answer in GATEWAY_RESPONSES:
            site.gateway.put_gateway_response(
                restApiId=site.api,
                responseType=answer.response_type,
                responseTemplates={"application/json": answer.template},
                responseParameters=answer.parameters,
                **({"statusCode": str(answer.status)} if answer.status else {}),
            )
        site.deploy()
        async with running_edge(site.state, 8443) as edge:
            transport = httpx.ASGITransport(app=edge, client=("127.0.0.1", 50000))  # pyright: ignore[reportArgumentType]
            async with httpx.AsyncClient(transport=transport, base_url=f"https://{HOST}", timeout=30) as client:
                client.site = site  # pyright: ignore[reportAttributeAccessIssue]
                yield client

    return serving


CREDENTIALS = ("token", "key", "signed")


async def call(client: httpx.AsyncClient, holder: SimpleNamespace, credential: str) -> httpx.Response:
    """GET /models with one of the holder's credentials."""
    if credential == "token":
        return await client.get("/models", headers={"Authorization": f"Bearer {holder.token}"})
    key_id = {"key": PLAIN, "signed": SIGNED, "spoilt": SPOILT}[credential]
    headers = {"Authorization": f"ApiKey {holder.keys[key_id]}"}
    if credential == "signed":
        digest = signature.content_digest(b"")
        parameters = signature.parameters(created=int(time.time()), nonce=secrets.token_urlsafe(16), key_id=key_id)
        base = signature.base(signature.Message("GET", HOST, "/models", {}, digest), parameters)
        headers |= signature.headers(parameters, holder.signing_key.sign(base)) | {signature.DIGEST_HEADER: digest}
    return await client.get("/models", headers=headers)


async def audit_line(client: httpx.AsyncClient, request_id: str) -> dict[str, Any]:
    """What the authorizer wrote of a call. It may come after the answer."""
    log = client.site.state / "log" / "authorizer.log"  # pyright: ignore[reportAttributeAccessIssue]
    for _ in range(250):
        if log.exists():
            for line in log.read_text().splitlines():
                if request_id in line and line.startswith("{"):
                    return json.loads(line)
        await asyncio.sleep(0.02)
    pytest.fail("there is no audit line within 5 seconds")


class Broken:
    """Sees to it that a call ends with 500 and a problem document, and that nothing of it reached the service."""

    def __init__(self, backend: SimpleNamespace, holder: SimpleNamespace) -> None:
        self._backend, self._holder = backend, holder

    async def __call__(self, client: httpx.AsyncClient, credential: str, reason: Reason | None = None) -> None:
        before = len(self._backend.requests)
        answer = await call(client, self._holder, credential)
        assert (answer.status_code, answer.json().get("code")) == (500, "internal"), credential
        assert answer.headers["content-type"] == "application/problem+json"
        assert len(self._backend.requests) == before
        if reason is not None:
            line = await audit_line(client, answer.json()["request_id"])
            assert (line["decision"], line["reason"]) == ("error", reason.value)


@pytest.fixture
def broken(backend: SimpleNamespace, holder: SimpleNamespace) -> Broken:
    return Broken(backend, holder)


async def test_a_stage_of_which_nothing_is_broken_lets_them_all_in(
    stage: Callable[..., Any], holder: SimpleNamespace, backend: SimpleNamespace
) -> None:
    async with stage() as client:
        for credential in CREDENTIALS:
            before = len(backend.requests)
            answer = await call(client, holder, credential)
            assert answer.status_code == 200, (credential, answer.text)
            assert len(backend.requests) == before + 1


@pytest.mark.parametrize(
    "module",
    [
        "def handler(event, context):\n    raise ValueError('a secret detail')",
        "import nothing_that_is_in_the_zip\n\ndef handler(event, context):\n    return {}",
        "def handler(event, context)",
        "def handler(event, context):\n    return None",
        "def handler(event, context):\n    return {'principalId': 'a', 'policyDocument': {}}",
        "import os\n\ndef handler(event, context):\n    os._exit(0)",
        "x = 1",
    ],
    ids=["raises", "imports what is not there", "is no Python", "answers nothing", "answers no policy", "ends", "has no handler"],
)
async def test_an_authorizer_that_does_not_work(
    stage: Callable[..., Any], broken: Broken, zipped: Callable[..., bytes], module: str
) -> None:
    async with stage(broken_code=zipped(app=module), handler="app.handler") as client:
        for credential in CREDENTIALS:
            await broken(client, credential)


@pytest.mark.parametrize(
    "changes",
    [{"HEARTMAP_ENVIRONMENT": "elsewhere"}, {"HEARTMAP_ISSUERS": "no url"}, {"HEARTMAP_SECRETS": ""}],
    ids=lambda changes: next(iter(changes)),
)
async def test_an_authorizer_that_is_not_configured(stage: Callable[..., Any], broken: Broken, changes: dict[str, str]) -> None:
    async with stage(**changes) as client:
        for credential in CREDENTIALS:
            await broken(client, credential)


async def test_a_secret_that_is_not_there(stage: Callable[..., Any], broken: Broken) -> None:
    gone = "arn:aws:secretsmanager:us-east-1:123456789012:secret:heartmap-local/gone-a1b2c3"
    async with stage(HEARTMAP_SECRETS=gone) as client:
        for credential in CREDENTIALS:
            await broken(client, credential, Reason.SECRETS_UNAVAILABLE)


async def test_a_secret_that_says_something_else(stage: Callable[..., Any], broken: Broken, aws: Callable[[str], Any]) -> None:
    empty = aws("secretsmanager").create_secret(Name=f"empty-{secrets.token_hex(4)}", SecretString="{}")["ARN"]
    async with stage(HEARTMAP_SECRETS=empty) as client:
        for credential in CREDENTIALS:
            await broken(client, credential, Reason.SECRETS_MALFORMED)


WAYS = ("reset", "silence", "error")


@pytest.mark.parametrize("how", WAYS)
async def test_a_secret_store_that_is_down(stage: Callable[..., Any], broken: Broken, gate: Gate, how: str) -> None:
    async with stage() as client:
        gate.word, gate.how = "secretsmanager.GetSecretValue", how
        for credential in CREDENTIALS:
            await broken(client, credential, Reason.SECRETS_UNAVAILABLE)


async def test_a_table_of_keys_that_is_not_there(stage: Callable[..., Any], broken: Broken, holder: SimpleNamespace) -> None:
    async with stage(HEARTMAP_API_KEYS_TABLE="heartmap-local-gone") as client:
        for credential in ("key", "signed"):
            await broken(client, credential, Reason.KEY_STORE_UNAVAILABLE)
        assert (await call(client, holder, "token")).status_code == 200


@pytest.mark.parametrize("how", WAYS)
async def test_a_key_store_that_is_down(stage: Callable[..., Any], broken: Broken, gate: Gate, how: str) -> None:
    async with stage() as client:
        gate.word, gate.how = "DynamoDB", how
        for credential in ("key", "signed"):
            await broken(client, credential, Reason.KEY_STORE_UNAVAILABLE)


async def test_a_record_of_a_key_that_is_not_as_we_write_it(stage: Callable[..., Any], broken: Broken) -> None:
    async with stage() as client:
        await broken(client, "spoilt", Reason.KEY_RECORD_MALFORMED)


@pytest.mark.parametrize("table", ["heartmap-local-gone", ""])
async def test_a_signed_call_whose_nonce_nobody_can_write_down(
    stage: Callable[..., Any], broken: Broken, holder: SimpleNamespace, table: str
) -> None:
    async with stage(HEARTMAP_KEY_USE_TABLE=table) as client:
        await broken(client, "signed", Reason.KEY_USE_UNAVAILABLE)
        # When a key was used last is good to know, and no reason to refuse it.
        for credential in ("token", "key"):
            assert (await call(client, holder, credential)).status_code == 200


@pytest.mark.parametrize("how", WAYS)
async def test_a_signed_call_while_the_table_of_nonces_is_down(
    stage: Callable[..., Any], broken: Broken, holder: SimpleNamespace, gate: Gate, how: str
) -> None:
    async with stage() as client:
        gate.word, gate.how = KEY_USE, how
        await broken(client, "signed", Reason.KEY_USE_UNAVAILABLE)
        assert (await call(client, holder, "key")).status_code == 200


async def test_what_was_down_and_is_there_again_lets_them_in_again(
    stage: Callable[..., Any], broken: Broken, holder: SimpleNamespace, gate: Gate
) -> None:
    async with stage() as client:
        gate.word, gate.how = "secretsmanager.GetSecretValue", "reset"
        await broken(client, "key")
        gate.word = ""
        assert (await call(client, holder, "key")).status_code == 200


async def keys_call(client: httpx.AsyncClient, holder: SimpleNamespace, method: str, path: str = "/keys") -> httpx.Response:
    """A call about keys, by an administrator who has just signed in."""
    body = {"name": "robot", "scopes": ["models:read"]} if (method, path) == ("POST", "/keys") else None
    return await client.request(method, path, json=body, headers={"Authorization": f"Bearer {holder.token}"})


NO_KEY = "01JDDY0Z4Q8R6N5V3T7W2X9YAB"
KEYS_CALLS = [("GET", "/keys"), ("POST", "/keys"), ("POST", f"/keys/{NO_KEY}/rotate"), ("DELETE", f"/keys/{NO_KEY}")]


async def test_an_administrator_makes_a_key_that_opens_the_stage_until_it_is_revoked(
    stage: Callable[..., Any], holder: SimpleNamespace
) -> None:
    async with stage() as client:
        made = await keys_call(client, holder, "POST")
        assert made.status_code == 201, made.text
        key_id, use = made.json()["key_id"], {"Authorization": f"ApiKey {made.json()['key']}"}
        assert (await client.get("/models", headers=use)).status_code == 200
        listed = (await keys_call(client, holder, "GET")).json()["keys"]
        assert next(each for each in listed if each["key_id"] == key_id)["last_used_at"] is not None
        turned = await keys_call(client, holder, "POST", f"/keys/{key_id}/rotate")
        assert (turned.status_code, turned.json()["name"]) == (201, "robot")
        ended = await keys_call(client, holder, "DELETE", f"/keys/{key_id}")
        assert (ended.status_code, ended.json()["replaced_by"]) == (200, turned.json()["key_id"])
        await asyncio.sleep(api_keys.MAX_AGE)
        refused = await client.get("/models", headers=use)
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
        assert "reason" not in refused.json()


async def test_who_signed_in_too_long_ago_is_told_to_do_it_again(stage: Callable[..., Any], holder: SimpleNamespace) -> None:
    async with stage() as client:
        answer = await client.post(
            "/keys", json={"name": "a", "scopes": ["models:read"]}, headers={"Authorization": f"Bearer {holder.old_token}"}
        )
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert answer.json()["reason"] == Reason.SIGN_IN_TOO_OLD
        assert "heartmapctl login" in answer.json()["detail"]
        # Looking asks for no fresh sign-in.
        assert (await client.get("/keys", headers={"Authorization": f"Bearer {holder.old_token}"})).status_code == 200


@pytest.mark.parametrize(
    "module",
    [
        "def handler(event, context):\n    raise ValueError",
        "import nothing_that_is_in_the_zip",
        "def handler(event, context): ...",
    ],
    ids=["raises", "imports what is not there", "answers nothing"],
)
async def test_a_function_of_keys_that_does_not_work(
    stage: Callable[..., Any], holder: SimpleNamespace, zipped: Callable[..., bytes], module: str
) -> None:
    async with stage(keys_code=zipped(app=module)) as client:
        for method, path in KEYS_CALLS:
            answer = await keys_call(client, holder, method, path)
            assert (answer.status_code, answer.json()["code"]) == (502, "bad_gateway")


@pytest.mark.parametrize(
    ("keys", "word", "calls"),
    [
        ({"HEARTMAP_API_KEYS_TABLE": "heartmap-local-gone"}, "", KEYS_CALLS),
        ({"HEARTMAP_KEY_USE_TABLE": "heartmap-local-gone"}, "", KEYS_CALLS[:1]),
        ({}, API_KEYS, KEYS_CALLS),
        ({"HEARTMAP_SECRETS": "arn:aws:secretsmanager:us-east-1:123456789012:secret:gone-a1b2c3"}, "", KEYS_CALLS),
    ],
    ids=["no table of keys", "no table of their use", "key store down", "no secret"],
)
async def test_what_is_behind_the_function_of_keys_is_down(
    stage: Callable[..., Any],
    holder: SimpleNamespace,
    gate: Gate,
    keys: dict[str, str],
    word: str,
    calls: list[tuple[str, str]],
) -> None:
    async with stage(keys=keys) as client:
        gate.word, gate.how = word, "reset"
        for method, path in calls:
            answer = await keys_call(client, holder, method, path)
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), (method, path)
