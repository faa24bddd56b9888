"""A user pool with real RSA keys, the events that API Gateway would send, and an authorizer with both."""

import base64
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from lambda_authorizer import config, encoding, events, tokens
from lambda_authorizer.encoding import b64url
from lambda_authorizer.handler import Authorizer

ISSUER = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Example01"
CLIENT_ID = "3n4b5urk1ft4fl3mg5e62d9ado"
SUBJECT = "5f0d3c1e-0c4c-4b5e-9a6e-2f4ad9f3c001"
PEPPER = bytes(range(32))
ASSERTION_KEYS = {"a1": b"a" * 32, "b2": b"b" * 32}


class Pool:
    """A user pool: a key pair, its JWKS, and tokens signed with it."""

    def __init__(self, key_id: str) -> None:
        self.key_id = key_id
        self.private_key = rsa.generate_private_key(65537, 2048)
        self.public_key = self.private_key.public_key()
        numbers = self.public_key.public_numbers()
        self.jwk = {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": key_id,
            "n": b64url(numbers.n.to_bytes(256, "big")),
            "e": b64url(numbers.e.to_bytes(3, "big")),
        }
        self.jwks = json.dumps({"keys": [self.jwk]}).encode()

    def claims(self, **changes: Any) -> dict[str, Any]:
        """The claims of a Cognito access token, with changes; a change to ... removes the claim."""
        now = int(time.time())
        claims = {
            "sub": SUBJECT,
            "iss": ISSUER,
            "client_id": CLIENT_ID,
            "token_use": "access",
            "scope": "openid",
            "auth_time": now,
            "iat": now,
            "exp": now + 3600,
            "jti": "8f1f0f6c-7c0e-4a5e-9d6d-1f2e3d4c5b6a",
            "username": "someone",
            "version": 2,
            "origin_jti": "0b6a2b6e-2d6d-4f0e-8a55-1a7d6f2f9f3e",
        } | changes
        return {name: value for name, value in claims.items() if value is not ...}

    def header(self, **changes: Any) -> dict[str, Any]:
        header = {"kid": self.key_id, "alg": "RS256"} | changes
        return {name: value for name, value in header.items() if value is not ...}

    def sign(self, head: bytes, payload: bytes) -> str:
        """A token of these bytes, with a valid signature."""
        signed = f"{b64url(head)}.{b64url(payload)}"
        return f"{signed}.{b64url(self.private_key.sign(signed.encode(), padding.PKCS1v15(), SHA256()))}"

    def token(self, **changes: Any) -> str:
        """A valid token; ``groups`` stands for ``cognito:groups``."""
        if "groups" in changes:
            changes["cognito:groups"] = changes.pop("groups")
        return self.sign(json.dumps(self.header()).encode(), json.dumps(self.claims(**changes)).encode())


def _event(method: str, route: str, authorization: str | None, **changes: Any) -> dict[str, Any]:
    path = route
    parameters: dict[str, str] = {}
    for name in ("upload_id", "analysis_id", "key_id"):
        if f"{{{name}}}" in route:
            parameters[name] = "01JDDY0Z4Q8R6N5V3T7W2X9YAB"
            path = path.replace(f"{{{name}}}", parameters[name])
    headers = {"Host": "api.example.org", "X-Forwarded-For": "192.0.2.7"}
    if authorization is not None:
        headers["Authorization"] = authorization
    return {
        "type": "REQUEST",
        "methodArn": f"arn:aws:execute-api:us-east-1:123456789012:a1b2c3d4e5/live/{method}{path}",
        "resource": route,
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": parameters or None,
        "stageVariables": None,
        "requestContext": {
            "resourceId": "abc123",
            "resourcePath": route,
            "httpMethod": method,
            "path": f"/live{path}",
            "accountId": "123456789012",
            "stage": "live",
            "apiId": "a1b2c3d4e5",
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            "identity": {"sourceIp": "192.0.2.7"},
        },
    } | changes


@pytest.fixture(autouse=True)
def _nothing_is_known_yet() -> None:
    """What a module found out once and keeps is found out anew by each test."""
    for known in (
        *(events._agreed, events._parsed, events._address, events._authorization_among),
        *(tokens._kind, encoding.json_names),
    ):
        known.cache_clear()


@pytest.fixture(scope="session")
def pool() -> Pool:
    return Pool("key-1")


@pytest.fixture(scope="session")
def other_pool() -> Pool:
    """A pool that is not ours; its key has another id."""
    return Pool("key-2")


@pytest.fixture(scope="session")
def make_event() -> Callable[..., dict[str, Any]]:
    """``make_event(method, route, authorization, **changes)``: a REQUEST authorizer event as API Gateway sends it."""
    return _event


@pytest.fixture(scope="session")
def names() -> SimpleNamespace:
    """What the pool, the secret and the tokens hold."""
    return SimpleNamespace(
        issuer=ISSUER, client_id=CLIENT_ID, subject=SUBJECT, pepper=PEPPER, assertion_keys=ASSERTION_KEYS, secret=_secret()
    )


def _secret() -> dict[str, Any]:
    return {
        "api_key_pepper": base64.b64encode(PEPPER).decode(),
        "assertion_keys": {key_id: base64.b64encode(key).decode() for key_id, key in ASSERTION_KEYS.items()},
        "current_assertion_key": "b2",
    }


@pytest.fixture(scope="session")
def environ(pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment variables of an authorizer that has no AWS. Copy before changing."""
    folder: Path = tmp_path_factory.mktemp("authorizer")
    (folder / "jwks.json").write_bytes(pool.jwks)
    (folder / "secrets.json").write_text(json.dumps(_secret()))
    return {
        "HEARTMAP_ENVIRONMENT": "local",
        "HEARTMAP_ISSUERS": f"{ISSUER},https://issuer-cognito-idp.us-east-1.amazonaws.com/us-east-1_Example01",
        "HEARTMAP_CLIENT_IDS": CLIENT_ID,
        "HEARTMAP_JWKS_FILE": str(folder / "jwks.json"),
        "HEARTMAP_SECRETS_FILE": str(folder / "secrets.json"),
        "AWS_REGION": "us-east-1",
    }


@pytest.fixture
def authorizer(environ: dict[str, str]) -> Authorizer:
    return Authorizer(config.load(environ))


@pytest.fixture
def aws_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what many tests are about."""


class Server:
    """An HTTP server whose answers a test sets. It records what it was sent."""

    def __init__(self) -> None:
        self.answer: Callable[[BaseHTTPRequestHandler], None] = lambda request: self.reply(request, b"{}")
        self.requests: list[SimpleNamespace] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                server.requests.append(
                    SimpleNamespace(method=self.command, path=self.path, headers=dict(self.headers.items()), body=body)
                )
                server.answer(self)

            do_GET = do_POST = _serve  # noqa: N815  # the names that http.server calls

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # http.server's own name
                """Quiet."""

        self._http = _QuietServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @staticmethod
    def reply(request: BaseHTTPRequestHandler, body: bytes, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        request.send_response(status)
        for name, value in (headers or {}).items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def secure(self, context: ssl.SSLContext) -> None:
        """Speak TLS from now on."""
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()
