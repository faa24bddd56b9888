"""An environment that heartmapctl can talk to: a sign-in service, an API and a bucket, each answering over real sockets."""

import base64
import hashlib
import json
import secrets
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from operator_cli import api, polling, sign_in
from operator_cli.environments import Environment, load
from operator_cli.tokens import Tokens
from operator_cli.vocabulary import EnvironmentName

ISSUER = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Test"
CLIENT_ID = "client"
PASSWORD = "correct horse"
UPLOAD_ID = "01J8ZQ4Y7M3W5X9K2B6C1D0EFG"
ANALYSIS_ID = "01J8ZQ4Y7M3W5X9K2B6C1D0EFH"


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def jwt(**claims: Any) -> str:
    """A token in form only: this program never checks signatures, the service does."""
    return f"{_part({'alg': 'RS256'})}.{_part(claims)}.c2ln"


class Request(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Reply(NamedTuple):
    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = MappingProxyType({})


class Server:
    """Answers with what `routes` holds: one reply for ever, a deque of replies in turn, or a function of the request."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self.routes: dict[tuple[str, str], Reply | deque[Reply] | Callable[[Request], Reply]] = {}
        self.seen: list[Request] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                reply = outer._reply(Request(self.command, self.path, headers, body))
                content = (
                    reply.body
                    if isinstance(reply.body, bytes)
                    else b""
                    if reply.body is None
                    else json.dumps(reply.body).encode()
                )
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815  (the names that http.server calls)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (http.server's own name)
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.scheme = "http" if context is None else "https"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def _reply(self, request: Request) -> Reply:
        self.seen.append(request)
        route = self.routes.get((request.method, urlsplit(request.path).path))
        if route is None:
            return problem(404, "not_found", "There is no such thing.")
        if isinstance(route, Reply):
            return route
        if isinstance(route, deque):
            return route.popleft() if len(route) > 1 else route[0]
        return route(request)

    @property
    def url(self) -> str:
        host = "localhost" if self.scheme == "https" else "127.0.0.1"
        return f"{self.scheme}://{host}:{self._server.server_address[1]}"

    def requests(self, method: str, path: str) -> list[Request]:
        return [request for request in self.seen if (request.method, urlsplit(request.path).path) == (method, path)]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def problem(status: int, code: str, detail: str, request_id: str = "req-1") -> Reply:
    body = {"status": status, "title": "Refused", "detail": detail, "code": code, "request_id": request_id}
    return Reply(status, body, {"Content-Type": "application/problem+json"})


class Pool:
    """A user pool's sign-in: authorize, a login page with a hidden field and a cookie, tokens with PKCE, refresh, revoke."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.lifetime = 3600
        self.username, self.groups = "analyst-1", ["analyst"]
        self.refresh_tokens: set[str] = set()
        self.refuse_refresh = False
        self.id_claims: dict[str, Any] = {}
        self.access_claims: dict[str, Any] = {}
        self._pending: dict[str, dict[str, str]] = {}
        self._codes: dict[str, dict[str, str]] = {}
        server.routes |= {
            ("GET", "/oauth2/authorize"): self._authorize,
            ("GET", "/login"): self._page,
            ("POST", "/login"): self._login,
            ("POST", "/oauth2/token"): self._token,
            ("POST", "/oauth2/revoke"): self._revoke,
        }

    def _authorize(self, request: Request) -> Reply:
        query = {name: values[0] for name, values in parse_qs(urlsplit(request.path).query).items()}
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        mark = secrets.token_hex(8)
        self._pending[mark] = query
        return Reply(302, headers={"Location": f"/login?mark={mark}", "Set-Cookie": f"csrf={mark}; Path=/; Secure; HttpOnly"})

    def _page(self, request: Request) -> Reply:
        mark = parse_qs(urlsplit(request.path).query)["mark"][0]
        return Reply(200, self._form(mark), {"Content-Type": "text/html"})

    def _form(self, mark: str) -> bytes:
        return (
            '<form action="/search"><input name="q"></form>'
            f'<form method="post" action="/login?mark={mark}"><input type="hidden" name="_csrf" value="{mark}">'
            '<input name="username"><input type="password" name="password"></form>'
        ).encode()

    def _login(self, request: Request) -> Reply:
        mark = parse_qs(urlsplit(request.path).query)["mark"][0]
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if form["_csrf"] != mark or f"csrf={mark}" not in request.headers.get("cookie", ""):
            return Reply(403, b"csrf")
        if (form["username"], form["password"]) != (self.username, PASSWORD):
            return Reply(200, self._form(mark), {"Content-Type": "text/html"})
        query, code = self._pending.pop(mark), secrets.token_hex(8)
        self._codes[code] = query
        location = f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"
        return Reply(302, headers={"Location": location})

    def issue(self, nonce: str | None = None, refresh_token: str | None = None) -> dict[str, Any]:
        now = int(time.time())
        common = {"iss": ISSUER, "sub": "subject", "exp": now + self.lifetime, "jti": secrets.token_hex(4)}
        access = {
            **common,
            "client_id": CLIENT_ID,
            "token_use": "access",
            "username": self.username,
            "cognito:groups": self.groups,
        }
        identity = {**common, "aud": CLIENT_ID, "token_use": "id", "nonce": nonce}
        answer = {"access_token": jwt(**access | self.access_claims), "id_token": jwt(**identity | self.id_claims)}
        if refresh_token:
            self.refresh_tokens.add(refresh_token)
            answer["refresh_token"] = refresh_token
        return answer

    def _token(self, request: Request) -> Reply:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if form["client_id"] != CLIENT_ID:
            return Reply(400, {"error": "invalid_client"})
        if form["grant_type"] == "refresh_token":
            if self.refuse_refresh or form["refresh_token"] not in self.refresh_tokens:
                return Reply(400, {"error": "invalid_grant"})
            self.refresh_tokens.discard(form["refresh_token"])
            return Reply(200, self.issue(refresh_token=secrets.token_hex(8)))
        query = self._codes.pop(form["code"], None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        if query is None or query["code_challenge"] != challenge or query["redirect_uri"] != form["redirect_uri"]:
            return Reply(400, {"error": "invalid_grant"})
        return Reply(200, self.issue(nonce=query["nonce"], refresh_token=secrets.token_hex(8)))

    def _revoke(self, request: Request) -> Reply:
        self.refresh_tokens.discard(parse_qs(request.body.decode())["token"][0])
        return Reply(200)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A certificate authority, and a server context with a certificate of it for localhost."""
    directory = tmp_path_factory.mktemp("tls")
    now = datetime.now(UTC)

    def certify(name: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey, *, ca: bool) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])
        builder = (
            x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
        )
        if not ca:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        return builder.sign(signer, hashes.SHA256())

    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    bundle, chain = directory / "ca.pem", directory / "server.pem"
    authority = certify("Test CA", authority_key, authority_key, ca=True)
    bundle.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    chain.write_bytes(
        certify("localhost", key, authority_key, ca=False).public_bytes(pem)
        + key.private_bytes(pem, form, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return bundle, context


@pytest.fixture
def server(certificates: tuple[Path, ssl.SSLContext]) -> Iterator[Server]:
    """The API and the sign-in service, over TLS."""
    started = Server(certificates[1])
    yield started
    started.close()


@pytest.fixture
def bucket() -> Iterator[Server]:
    """The storage, over plain HTTP on the loopback, as in the local environment."""
    started = Server(None)
    yield started
    started.close()


@pytest.fixture
def pool(server: Server) -> Pool:
    return Pool(server)


@pytest.fixture
def state(tmp_path: Path, server: Server, pool: Pool, certificates: tuple[Path, ssl.SSLContext], monkeypatch: Any) -> Path:
    """The state directory of a local environment that runs on the fake servers."""
    directory = tmp_path / "local-state"
    directory.mkdir()
    users = {role: {"username": f"{role}-1", "password": PASSWORD} for role in ("viewer", "analyst", "admin")}
    description = {
        "api": server.url,
        "issuer": ISSUER,
        "client_id": CLIENT_ID,
        "authorize_url": f"{server.url}/oauth2/authorize",
        "token_url": f"{server.url}/oauth2/token",
        "ca_bundle": str(certificates[0]),
        "users": users,
    }
    (directory / "environment.json").write_text(json.dumps(description))
    monkeypatch.setenv("HEARTMAP_LOCAL_STATE", str(directory))
    return directory


@pytest.fixture
def environment(state: Path) -> Environment:
    return load(EnvironmentName.LOCAL)


@pytest.fixture
def signed_in(environment: Environment, pool: Pool) -> Tokens:
    """A session in the local environment's file."""
    from operator_cli.session import Session

    answer = pool.issue(refresh_token="refresh-1")
    tokens = Tokens(access_token=answer["access_token"], refresh_token="refresh-1", expires_at=time.time() + pool.lifetime)
    Session(environment).start(tokens)
    return tokens


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of its own, no keyring, no proxies, short pauses."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    # A test that forgets `state` must not find the checkout's own environment, and sign in or out of it.
    monkeypatch.setenv("HEARTMAP_LOCAL_STATE", str(tmp_path / "no-local-state"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    monkeypatch.setattr(polling, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(polling, "LONGEST_PAUSE", 0.01)
    monkeypatch.setattr(api, "LONGEST_PAUSE", 0.01)
    monkeypatch.setattr("operator_cli.storage.LONGEST_PAUSE", 0.01)


@pytest.fixture
def callback_ports(monkeypatch: pytest.MonkeyPatch) -> tuple[int, ...]:
    """Three free ports in place of the registered ones, which another test or a person may be using."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    ports = tuple(each.getsockname()[1] for each in sockets)
    for each in sockets:
        each.close()
    monkeypatch.setattr(sign_in, "CALLBACK_PORTS", ports)
    return ports


@pytest.fixture
def upload_id() -> str:
    return UPLOAD_ID


@pytest.fixture
def analysis_id() -> str:
    return ANALYSIS_ID


@pytest.fixture
def refuse() -> Callable[..., Reply]:
    """A problem document with a status, a code and a detail."""
    return problem


@pytest.fixture
def reply() -> type[Reply]:
    return Reply


@pytest.fixture
def form_of() -> Callable[[Request], dict[str, bytes]]:
    """The fields of a multipart form."""

    def parse(request: Request) -> dict[str, bytes]:
        head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
        message = BytesParser().parsebytes(head + request.body)
        parts: list[Any] = message.get_payload()  # pyright: ignore[reportAssignmentType]  (a multipart body is a list of parts)
        return {part.get_param("name", header="content-disposition"): part.get_payload(decode=True) for part in parts}

    return parse


class Service:
    """The routes of the main job, with one upload and one analysis, on the fake servers."""

    def __init__(self, server: Server, bucket: Server) -> None:
        self.server, self.bucket = server, bucket
        self.contents = {
            "umap_clusters.png": b"\x89PNG" * 1000,
            "summary.json": b'{"cells": 559}',
            "annotated.h5ad": b"h5" * 5000,
        }
        self.analysis: dict[str, Any] = {
            "analysis_id": ANALYSIS_ID,
            "state": "queued",
            "stage": None,
            "progress": None,
            "error": None,
        }
        running = {**self.analysis, "state": "running", "stage": "clustering", "progress": 0.4}
        self.ended = {**self.analysis, "state": "succeeded", "stage": "done", "progress": 1.0}
        ticket = {
            "upload_id": UPLOAD_ID,
            "url": f"{bucket.url}/uploads",
            "fields": {"key": f"uploads/{UPLOAD_ID}"},
            "max_bytes": 10**9,
        }
        upload = {"upload_id": UPLOAD_ID, "state": "pending", "code": None, "detail": None}
        bucket.routes["POST", "/uploads"] = Reply(204)
        server.routes |= {
            ("POST", "/uploads"): Reply(201, ticket),
            ("GET", f"/uploads/{UPLOAD_ID}"): deque([Reply(200, upload), Reply(200, {**upload, "state": "accepted"})]),
            ("POST", "/analyses"): Reply(202, {"analysis_id": ANALYSIS_ID, "state": "queued"}),
            ("GET", "/analyses"): Reply(
                200, {"analyses": [{**self.ended, "analysis_type": "basic", "created_at": "2026-11-24"}]}
            ),
            ("GET", f"/analyses/{ANALYSIS_ID}"): deque([Reply(200, running), Reply(200, self.ended)]),
            ("DELETE", f"/analyses/{ANALYSIS_ID}"): self._cancel,
            ("GET", f"/analyses/{ANALYSIS_ID}/results"): lambda _: Reply(200, self.results()),
            ("GET", "/models"): Reply(200, {"models": ["basic"]}),
        }
        for name, content in self.contents.items():
            bucket.routes["GET", f"/results/{name}"] = Reply(200, content)

    def _cancel(self, _: Request) -> Reply:
        self.server.routes["GET", f"/analyses/{ANALYSIS_ID}"] = Reply(200, {**self.analysis, "state": "cancelled"})
        return Reply(204)

    def results(self) -> dict[str, Any]:
        return {"files": [self.file(name, content) for name, content in self.contents.items()], "summary": {"cells": 559}}

    def file(self, name: str, content: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        return {"name": name, "bytes": len(content), "sha256": digest, "url": f"{self.bucket.url}/results/{name}"}


@pytest.fixture
def service_routes(server: Server, bucket: Server, state: Path) -> Service:
    """The service, and nobody signed in."""
    return Service(server, bucket)


@pytest.fixture
def service(service_routes: Service, signed_in: Tokens) -> Service:
    """A signed-in analyst's service."""
    return service_routes
