"""What every gateway in front of the service answers to what: the table that the AWS edge, nginx and Apache are held against.

A case is a request, byte by byte, and the statuses of the answers that its connection brings. Where a gateway's answer is
another, the case says which and why; the page `docs/gateways.md` lists all of these, and
``python -m tests.gateways.acceptance`` writes it there.

In a request ``<host>`` stands for the host and port of the gateway, ``<analyst>`` for the value of Authorization of that
credential, and so for all CREDENTIALS.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from lambda_authorizer.access_policy import ACCESS_POLICY, ADMIN, ANALYST, JSON_BODY_LIMIT, SERVICE, VIEWER, Rule

AWS, NGINX, APACHE = "aws", "nginx", "apache"
GATEWAYS = (AWS, NGINX, APACHE)
BEGIN, END = "<!-- tests/gateways/acceptance.py writes what follows -->", "<!-- and this is its end -->"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "gateways.md"
ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
NARROW_RATE = 20
PASSWORD = b"correct horse battery staple"
HERE, NEXT_DOOR = "127.0.0.1", "127.0.0.2"
"""Addresses that calls come from."""

CREDENTIALS = {
    VIEWER: "an access token",
    ANALYST: "an access token",
    ADMIN: "an access token, of a sign-in just now",
    "stale-admin": "an administrator's token of a sign-in twenty minutes ago",
    "groupless": "an access token of somebody in no group",
    "key": "an API key with models:read and analyses:read",
    "key-of-here": f"an API key with models:read that opens from {HERE} alone",
    "key-of-next-door": f"an API key with models:read that opens from {NEXT_DOOR} alone",
    "key-of-elsewhere": "an API key with models:read that opens from 192.0.2.0/24 alone",
    "key-to-sign": "an API key with models:read and config:read whose calls have to be signed",
    "revoked-key": "an API key that was revoked",
    "wrong-key": "an API key of the right form with another secret",
    "other-environment": "an API key that says it is of prod",
    "strange-signature": "the viewer's claims, signed by another key",
    "no-algorithm": "the viewer's claims under alg none",
    "symmetric": "the viewer's claims under HS256, with the public key as the secret",
    "expired": "the viewer's claims, ended an hour ago",
    "early": "the viewer's claims, valid in an hour",
    "id-token": "the viewer's claims as an ID token",
    "other-issuer": "the viewer's claims from another pool",
    "other-client": "the viewer's claims for another client",
    "unknown-kid": "the viewer's claims under a key id that the pool has not",
}


class Expected(NamedTuple):
    """``statuses`` of all answers on the connection in their order: none where it ends without one, 0 for one of
    HTTP/0.9. ``code`` of the first answer's problem document, None where it is none or is not looked at."""

    statuses: tuple[int, ...]
    code: str | None = None
    early: bool = False
    """Answered before the gateway has given the request an id: none is in the answer."""


@dataclass(frozen=True)
class Difference:
    """What a gateway answers instead, and why that is right."""

    expected: Expected
    why: str


@dataclass(frozen=True, kw_only=True)
class Case:
    """``name`` is unique. ``shows`` stands in the first answer, ``never`` in none."""

    group: str
    name: str
    request: bytes
    expected: Expected
    elsewhere: Mapping[str, Difference] = field(default_factory=dict)
    source: str = HERE
    shows: bytes = b""
    never: tuple[bytes, ...] = ()
    signed: bool = False
    """Signed by the key of ``key-to-sign`` when it is sent."""
    times: int = 1
    """More than one: sent as often at once; no answer is of another status than these, and one at least is of the last."""

    def expects(self, gateway: str) -> Expected:
        """What this gateway is to answer."""
        return self.elsewhere[gateway].expected if gateway in self.elsewhere else self.expected


Elsewhere = Mapping[str, Difference]


def differs(
    gateways: str | Iterable[str], why: str, *statuses: int, code: str | None = None, early: bool = False
) -> dict[str, Difference]:
    """The same other answer of some gateways."""
    names = (gateways,) if isinstance(gateways, str) else tuple(gateways)
    return dict.fromkeys(names, Difference(Expected(statuses, code, early), why))


PROXIES = (NGINX, APACHE)
UNKNOWN = "API Gateway answers 403 to whatever it has no method for. A gateway that can say so says that it is not there: 404."
NO_REQUEST = (
    "What breaks the grammar of a request is refused as that by the one, and as a path or method that is not there by the other."
)
STRICT = "RFC 9112 lets a server refuse it or mend it; what is mended is passed on in the one spelling that has one meaning."
EDGE_HOST = (
    "Of API Gateway no other name reaches the API (TLS and its routing see to it); the local edge answers 403 in its place."
)
QUERY = "Where the service itself asks who calls (direct mode), it reads the query too, and bounds it at 32 parameters."
TWICE = "A header that may be there once is there twice: refused as no request, before anybody asks who calls."
WILDCARD = (
    "IAM reads the star in an ARN as a wildcard: the authorizer decides on no such path. Elsewhere it is no path of the table."
)
WHOLE = "RFC 9112, 3.2.2: a server takes a whole URL in the first line. The local edge does not, and nobody sends it to a server."
ZERO = "An answer in HTTP/0.9 has no head: nginx gives the refusal (misdirected_request) as its body alone."
FIRST = "nginx before 1.23 shows the first of two headers of one name, and passes no other on: there is one credential."
BOTH = (
    "RFC 9112, 6.3: chunks count, the length is taken away, and the connection ends after this one call, which is judged as any."
)
FOLDED = "RFC 9112, 5.2: a value that goes on in the next line is refused, or read with a blank in the place of the break."
OWN_METHOD = "Apache knows a fixed set of methods, and answers 501 to any other (RFC 9110, 15.6.2)."
OWN_CODING = "Apache answers 501 to a transfer coding that it does not know (RFC 9112, 6.1)."
OWN_SIZES = "Apache has answers of its own to heads: 414 for the first line, 400 for a header or for more than a hundred of them."
COUNTED = (
    "Apache counts a body in chunks while it passes it on, and can then say no more than 400; the service never has it whole."
)
PING = "Apache answers it by itself before it asks any module: it says no more than that a server is there."
EXPECTS = "Apache refuses an expectation that it does not know (RFC 9110, 10.1.1); the others leave it to the service."
MERGED = "Apache reads two headers as one; the password in it is right, and the credential behind it is missing all the same."
LINES = "RFC 9112, 2.2: a server may take a line feed alone for the end of a line. Apache does not."
HEAD = "API Gateway's own limit of 10,240 bytes is not in the local edge, and what it answers there is not documented."
FUNCTIONS = (
    "Lambda functions of the stack answer this row. They stand behind API Gateway alone: elsewhere there is no such route."
)


def request(
    line: str, *headers: str, credential: str | None = None, body: bytes | None = None, host: str = "<host>", close: bool = True
) -> bytes:
    """A request in HTTP/1.1, spelled as a client would but for what is given."""
    fields = [f"Host: {host}"] if host else []
    fields += [f"Authorization: <{credential}>"] if credential else []
    fields += headers
    fields += [f"Content-Length: {len(body)}"] if body is not None else []
    fields += ["Connection: close"] if close else []
    return "\r\n".join([f"{line} HTTP/1.1", *fields, "", ""]).encode("latin-1") + (body or b"")


def json_request(line: str, body: bytes, *headers: str, credential: str | None = None) -> bytes:
    """The same with a JSON body."""
    return request(line, *headers, "Content-Type: application/json", credential=credential, body=body)


# Every row with every role: what answers a call that is let through tells that it was.

FORM = (
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="cells.h5ad"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\nthis is not HDF5\r\n--x--\r\n"
)
BODIES: dict[tuple[str, str], bytes] = {
    ("POST", "/config"): b"{}",
    ("POST", "/uploads"): b"{}",
    ("PATCH", "/uploads/{upload_id}"): b'{"visibility": "private"}',
    ("POST", "/uploads/{upload_id}/parts"): b'{"numbers": [1]}',
    ("POST", "/uploads/{upload_id}/complete"): b'{"parts": [{"number": 1, "etag": "x"}]}',
    ("POST", "/analyses"): f'{{"upload_id": "{ULID}", "analysis_type": "basic"}}'.encode(),
    ("PATCH", "/analyses/{analysis_id}"): b'{"visibility": "private"}',
    ("POST", "/keys"): b'{"name": "nobody", "scopes": []}',
    ("POST", "/keys/{key_id}/rotate"): b"{}",
    ("POST", "/users"): b"{}",
    ("PATCH", "/users"): b"{}",
}
LET_THROUGH: dict[tuple[str, str], Expected] = {
    ("POST", "/config"): Expected((422,), "nothing_to_change"),
    ("POST", "/analyses"): Expected((404,), "no_such_upload"),
    ("POST", "/uploads"): Expected((201,)),
    ("POST", "/analyze"): Expected((422,), "not_hdf5"),
    ("POST", "/keys"): Expected((400,), "bad_request"),
    ("POST", "/users"): Expected((400,), "bad_request"),
    ("PATCH", "/users"): Expected((400,), "bad_request"),
}
NOT_FOUND = {
    "upload_id": Expected((404,), "no_such_upload"),
    "analysis_id": Expected((404,), "no_such_analysis"),
    "key_id": Expected((404,), "key_not_found"),
}
UNAUTHENTICATED = Expected((401,), "unauthenticated")
FORBIDDEN = Expected((403,), "forbidden")
NO_SUCH_ROUTE = Expected((403,), "no_such_route")
BAD = Expected((400,), "bad_request")
OK = Expected((200,))


def _row_request(rule: Rule, credential: str | None) -> bytes:
    line = f"{rule.method} {re.sub(r'{.*?}', ULID, rule.route)}"
    if rule.route == "/analyze":
        return request(line, "Content-Type: multipart/form-data; boundary=x", credential=credential, body=FORM)
    body = BODIES.get((rule.method, rule.route))
    return request(line, credential=credential) if body is None else json_request(line, body, credential=credential)


def _let_through(rule: Rule) -> Expected:
    parameter = re.search(r"{(\w+)}", rule.route)
    return LET_THROUGH.get((rule.method, rule.route)) or (NOT_FOUND[parameter[1]] if parameter else OK)


def rows() -> Iterator[Case]:
    """Each row of the access policy with no credential and with each role."""
    for rule in ACCESS_POLICY:
        gone = {} if rule.answered_by == SERVICE else differs(PROXIES, FUNCTIONS, 404, code="no_such_route")
        for who in (None, VIEWER, ANALYST, ADMIN):
            if rule.answered_by != SERVICE and who in (VIEWER, ANALYST):
                continue
            expected = UNAUTHENTICATED if who is None else _let_through(rule) if who in rule.groups else FORBIDDEN
            name = f"{rule.method} {rule.route} as {who or 'nobody'}"
            yield Case(group="row", name=name, request=_row_request(rule, who), expected=expected, elsewhere=gone)


def _case(group: str, name: str, sent: bytes, expected: Expected, elsewhere: Elsewhere | None = None, **more: object) -> Case:
    return Case(group=group, name=name, request=sent, expected=expected, elsewhere=elsewhere or {}, **more)  # type: ignore[arg-type]


def credentials() -> Iterator[Case]:
    """Who says what they are, in which way."""
    good = ("key", "groupless at /health", "key-of-here")
    for name in ("strange-signature", "no-algorithm", "symmetric", "expired", "early", "id-token", "other-issuer"):
        yield _case("credential", name, request("GET /models", credential=name), UNAUTHENTICATED)
    for name in ("other-client", "unknown-kid", "revoked-key", "wrong-key", "other-environment"):
        yield _case("credential", name, request("GET /models", credential=name), UNAUTHENTICATED)
    for name in good:
        credential, _, path = name.partition(" at ")
        yield _case("credential", f"{name} is let through", request(f"GET {path or '/models'}", credential=credential), OK)
    yield _case("credential", "groupless at /models", request("GET /models", credential="groupless"), FORBIDDEN)
    yield _case("credential", "a key beyond its scopes", request("GET /config", credential="key"), FORBIDDEN)
    yield _case("credential", "a key at what asks for a group", json_request("POST /config", b"{}", credential="key"), FORBIDDEN)
    stale = json_request("POST /config", b"{}", credential="stale-admin")
    yield _case("credential", "a sign-in of long ago at what asks for a recent one", stale, FORBIDDEN)
    yield _case("credential", "a sign-in of long ago elsewhere", request("GET /models", credential="stale-admin"), OK)
    for name, value in {
        "empty": "",
        "a scheme without a value": "Bearer",
        "a scheme and a space": "Bearer ",
        "nonsense": "Bearer nonsense",
        "basic": "Basic dmlld2VyOnZpZXdlcg==",
        "a token without a scheme": "a.b.c",
        "a digest": 'Digest username="viewer", response="0"',
        "negotiate": "Negotiate YIIJvwYGKwYBBQUCoIIJszCC",
        "5,000 characters": "Bearer " + "a" * 5000,
        "a signature of AWS": f"AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/execute-api/aws4_request, Signature={'0' * 40}",
    }.items():
        yield _case("credential", f"Authorization: {name}", request("GET /models", f"Authorization: {value}"), UNAUTHENTICATED)
    lower = request("GET /models", "authorization: <lower-viewer>")
    yield _case("credential", "the scheme and the name in lower case", lower, OK)
    for name, header in {
        "Authorization twice": "Authorization: <admin>",
        "a second credential in X-Api-Key": "X-Api-Key: key",
        "a second credential in Proxy-Authorization": "Proxy-Authorization: Basic dmlld2VyOnZpZXdlcg==",
    }.items():
        elsewhere = differs(NGINX, TWICE, 400, code="bad_request") if name == "Authorization twice" else {}
        yield _case("credential", name, request("GET /models", header, credential=VIEWER), UNAUTHENTICATED, elsewhere)
    for name in ("access_token", "Authorization", "X-Amz-Signature"):
        sent = request(f"GET /models?{name}=x", credential=VIEWER)
        yield _case("credential", f"a second credential in the query: {name}", sent, UNAUTHENTICATED)
    yield _case("credential", "the token in the query alone", request("GET /models?access_token=x"), UNAUTHENTICATED)
    yield _case("credential", "the token in a cookie", request("GET /models", "Cookie: Authorization=<viewer>"), UNAUTHENTICATED)
    yield _case("credential", "a signed call", request("GET /config", credential="key-to-sign"), OK, signed=True)
    query = request("GET /config?b=2%203&a=%C3%A9&b=", credential="key-to-sign")
    yield _case("credential", "a signed call with a query", query, OK, signed=True)
    unsigned = request("GET /config", credential="key-to-sign")
    yield _case("credential", "a call that should be signed and is not", unsigned, UNAUTHENTICATED)
    token = request("GET /config", "Signature-Input: sig1=()", "Signature: sig1=:AA==:", credential=VIEWER)
    yield _case("credential", "a token with a signature", token, UNAUTHENTICATED)


def addresses() -> Iterator[Case]:
    """Where a call comes from is what the connection says, and nothing that its headers say."""
    key = "key-of-next-door"
    yield _case("address", "a key from its address", request("GET /models", credential=key), OK, source=NEXT_DOOR)
    yield _case("address", "a key from another address", request("GET /models", credential=key), FORBIDDEN)
    other = request("GET /models", credential="key-of-here")
    yield _case("address", "the other key from the other address", other, FORBIDDEN, source=NEXT_DOOR)
    for header in (
        f"X-Forwarded-For: {NEXT_DOOR}",
        f"X-Forwarded-For: {NEXT_DOOR}, 127.0.0.1",
        f"x-forwarded-for: 127.0.0.1, {NEXT_DOOR}",
        f"X-Forwarded-For: {NEXT_DOOR}\r\nX-Forwarded-For: {NEXT_DOOR}",
        f"X_Forwarded_For: {NEXT_DOOR}",
        f"Forwarded: for={NEXT_DOOR}",
        f"X-Real-IP: {NEXT_DOOR}",
        f"X-Client-IP: {NEXT_DOOR}",
        f"True-Client-IP: {NEXT_DOOR}",
        f"CF-Connecting-IP: {NEXT_DOOR}",
        f"X-Cluster-Client-IP: {NEXT_DOOR}",
        "Connection: X-Forwarded-For",
    ):
        name = f"it says {header}".replace("\r\n", ", ")
        close = "Connection" not in header
        yield _case("address", name, request("GET /models", header, credential=key, close=close), FORBIDDEN)
    # A gateway that drops what it has just set itself would have the call come from its own address, which is HERE.
    for dropped in ("X-Forwarded-For", "close, X-Forwarded-For, X-Request-Id", "x-forwarded-for, keep-alive"):
        sent = request("GET /models", f"Connection: {dropped}", credential="key-of-here", close=False)
        yield _case("address", f"Connection names {dropped}, from the other address", sent, FORBIDDEN, source=NEXT_DOOR)
    elsewhere = request("GET /models", "X-Forwarded-For: 192.0.2.1", credential="key-of-elsewhere")
    yield _case("address", "a key of no address of ours, and it says it is there", elsewhere, FORBIDDEN)


def headers() -> Iterator[Case]:
    """What a caller may put into the head."""
    forged = "v2.eyJncm91cHMiOlsiYWRtaW4iXX0.1.AAAA"
    for name in ("X-HeartMAP-Assertion", "x-heartmap-assertion", "X_HeartMAP_Assertion"):
        change = json_request("POST /config", b"{}", f"{name}: {forged}", credential=VIEWER)
        yield _case("header", f"{name}, and a viewer changes the configuration", change, FORBIDDEN)
        yield _case("header", f"{name}, and no credential", request("GET /models", f"{name}: {forged}"), UNAUTHENTICATED)
    also = request("GET /models", f"X-HeartMAP-Assertion: {forged}", credential=VIEWER)
    yield _case("header", "X-HeartMAP-Assertion, and a credential that does", also, OK)
    for header in (
        "X-Original-URL: /config",
        "X-Rewrite-URL: /config",
        "X-Original-URI: /config",
        "X-Forwarded-Uri: /health",
        "X-Forwarded-Method: GET",
        "X-Forwarded-Prefix: /config",
        "X-Forwarded-Host: evil.example",
        "X-Host: evil.example",
        "X-HTTP-Method-Override: GET",
        "X-Method-Override: GET",
    ):
        name = f"{header}, and a viewer changes the configuration"
        change = json_request("POST /config", b"{}", header, credential=VIEWER)
        yield _case("header", name, change, FORBIDDEN, never=(b"evil.example",))
    named = request("GET /nothing", "X-Request-Id: of-the-caller", credential=VIEWER)
    yield _case("header", "X-Request-Id of the caller", named, NO_SUCH_ROUTE, _unknown(), never=(b"of-the-caller",))
    named = request("GET /models", "X-Request-Id: of-the-caller", credential=VIEWER)
    yield _case("header", "X-Request-Id of the caller, and a good call", named, OK, never=(b"of-the-caller",))
    traced = request("GET /models", "X-Amzn-Trace-Id: Root=1-5759e988-bd862e3fe1be46a994272793", credential=VIEWER)
    yield _case("header", "a trace id", traced, OK)
    origin = request("GET /models", "Origin: https://evil.example", credential=VIEWER)
    yield _case("header", "an Origin", origin, OK, never=(b"ccess-control-", b"ccess-Control-", b"evil.example"))
    dropped = request("GET /models", "Connection: close, Authorization", credential=VIEWER, close=False)
    yield _case("header", "Connection names Authorization", dropped, OK)
    dropped = request("GET /models", "Connection: close, X-HeartMAP-Assertion, X-Request-Id", credential=VIEWER, close=False)
    yield _case("header", "Connection names what the gateway adds", dropped, OK)
    injected = request("GET /models?x=%0d%0aX-Injected:%20yes", credential=VIEWER)
    yield _case("header", "an escaped line break in the query", injected, OK, never=(b"x-injected",))
    crlf = request("GET /models", "X-A: b\rX-HeartMAP-Assertion: c", credential=VIEWER)
    yield _case("header", "a carriage return in a value", crlf, BAD)
    yield _case("header", "a NUL in a value", request("GET /models", "X-A: b\0c", credential=VIEWER), BAD)
    yield _case("header", "a space before the colon", request("GET /models", "Authorization : <viewer>"), BAD)
    yield _case("header", "a name with a space", request("GET /models", "X A: b", credential=VIEWER), BAD)
    lines = request("GET /models", "nothing", credential=VIEWER)
    yield _case("header", "a line without a colon", lines, BAD, differs(NGINX, STRICT, 200))
    yield _case("header", "no name", request("GET /models", ": b", credential=VIEWER), BAD)
    folded = request("GET /models", "X-A: b\r\n c", credential=VIEWER)
    yield _case("header", "a value that goes on in the next line", folded, OK, differs(NGINX, FOLDED, 400, code="bad_request"))
    high = request("GET /models", "X-A: \xe9\xff", credential=VIEWER)
    yield _case("header", "bytes beyond ASCII in a value", high, OK)
    expect = json_request("POST /config", b"{}", "Expect: 200-ok", credential=VIEWER)
    refused = differs(APACHE, EXPECTS, 417, code="bad_request", early=True)
    yield _case("header", "an expectation that nobody has", expect, FORBIDDEN, refused)
    upgrade = request("GET /models", "Upgrade: websocket", "Connection: Upgrade, close", credential=VIEWER, close=False)
    yield _case("header", "an upgrade to a websocket", upgrade, OK)


def sizes() -> Iterator[Case]:
    """Heads and bodies."""
    large = Expected((413,), "body_too_large")
    most = b'{"resolution": 0.5}'.ljust(JSON_BODY_LIMIT)
    yield _case(
        "size",
        "a JSON body of 64 KB",
        json_request("POST /uploads", b"{}".ljust(JSON_BODY_LIMIT), credential=ANALYST),
        Expected((201,)),
    )
    for line, who in (("POST /config", ADMIN), ("POST /analyses", ANALYST), (f"PATCH /analyses/{ULID}", ANALYST)):
        yield _case("size", f"a byte more: {line}", json_request(line, most + b" ", credential=who), large)
    yield _case("size", "a byte more, and nobody sends it", json_request("POST /config", most + b" "), large)
    complete = f"POST /uploads/{ULID}/complete"
    parts = b'{"parts": [{"number": 1, "etag": "x"}]}'.ljust(1024 * 1024)
    yield _case("size", "1 MB where it may be", json_request(complete, parts, credential=ANALYST), NOT_FOUND["upload_id"])
    yield _case("size", "a byte more than 1 MB there", json_request(complete, parts + b" ", credential=ANALYST), large)
    mb = 1024 * 1024
    form = "Content-Type: multipart/form-data; boundary=x"
    ten = FORM.replace(b"this is not HDF5", b"this is not HDF5".ljust(10 * mb - len(FORM) + 16))
    whole = request("POST /analyze", form, credential=ANALYST, body=ten)
    yield _case("size", "a form of 10 MB", whole, Expected((422,), "not_hdf5"))
    more = request("POST /analyze", form, credential=ANALYST, body=ten + b"x")
    yield _case("size", "a form of 10 MB and a byte", more, large)
    said = request("POST /analyze", form, "Content-Length: 1000000000000", credential=ANALYST, close=False)
    yield _case("size", "a form that says it has 1 TB", said, large)
    waits = request("POST /analyze", form, "Content-Length: 20000000", "Expect: 100-continue", credential=ANALYST, close=False)
    yield _case("size", "20 MB that wait for 100 Continue", waits, large)
    with_body = json_request("GET /models", b"{}", credential=VIEWER)
    yield _case("size", "a body where there is none", with_body, large)
    chunks = chunked("POST /config", b"".join(b"1000\r\n" + b" " * 4096 + b"\r\n" for _ in range(17)) + b"0\r\n\r\n", ADMIN)
    yield _case("size", "68 KB in chunks", chunks, large, differs(APACHE, COUNTED, 400, code="bad_request"))
    few = chunked("POST /config", b"2\r\n{}\r\n0\r\n\r\n", ADMIN)
    yield _case("size", "a body in chunks", few, LET_THROUGH["POST", "/config"])
    head = request("GET /models", "X-A: " + "a" * 7000, credential=VIEWER)
    yield _case("size", "a header of 7 KB", head, OK)
    head = request("GET /models", "X-A: " + "a" * 17_000, credential=VIEWER)
    too_long = differs(NGINX, HEAD, 431, code="head_too_large")
    own = differs(APACHE, OWN_SIZES, 400, code="bad_request", early=True)
    yield _case("size", "a header of 17 KB", head, OK, too_long | own)
    many = request("GET /models", *(f"X-{number}: {number}" for number in range(300)), credential=VIEWER)
    yield _case("size", "300 headers", many, OK, own)
    yield _case("size", "a query of 4 KB", request(f"GET /models?x={'a' * 4096}", credential=VIEWER), OK)
    line = request(f"GET /{'a' * 17_000}", credential=VIEWER)
    own = differs(APACHE, OWN_SIZES, 414, code="head_too_large", early=True)
    yield _case("size", "a path of 17 KB", line, NO_SUCH_ROUTE, too_long | own)
    fields = "&".join(f"x{number}=1" for number in range(33))
    yield _case(
        "size",
        "a query of 33 parameters",
        request(f"GET /models?{fields}", credential=VIEWER),
        OK,
        differs(PROXIES, QUERY, 400, code="bad_request"),
    )


def chunked(line: str, body: bytes, credential: str | None, *headers: str) -> bytes:
    """A JSON body as it is given, which is said to be in chunks."""
    sent = ("Content-Type: application/json", "Transfer-Encoding: chunked", *headers)
    return request(line, *sent, credential=credential) + body


def _unknown() -> dict[str, Difference]:
    return differs(PROXIES, UNKNOWN, 404, code="no_such_route")


def methods() -> Iterator[Case]:
    """Methods that the table does not have there."""
    for line in (
        *("DELETE /config", "PUT /config", "PATCH /models", "POST /models", f"PUT /analyses/{ULID}"),
        *("TRACE /models", "PROPFIND /"),
    ):
        yield _case("method", line, request(line, credential=ADMIN), NO_SUCH_ROUTE, _unknown())
    unknown = _unknown() | differs(APACHE, OWN_METHOD, 501, code="bad_request", early=True)
    for line in ("BREW /models", "DEBUG /models"):
        yield _case("method", line, request(line, credential=ADMIN), NO_SUCH_ROUTE, unknown)
    preflight = request("OPTIONS /models", "Origin: https://evil.example", "Access-Control-Request-Method: GET", credential=ADMIN)
    yield _case("method", "a preflight", preflight, NO_SUCH_ROUTE, _unknown(), never=(b"ccess-control-", b"ccess-Control-"))
    yield _case(
        "method", "HEAD /models", request("HEAD /models", credential=ADMIN), Expected((403,)), differs(PROXIES, UNKNOWN, 404)
    )
    connect = b"CONNECT localhost:443 HTTP/1.1\r\nHost: <host>\r\nAuthorization: <admin>\r\nConnection: close\r\n\r\n"
    no_request = differs(PROXIES, NO_REQUEST, 400, code="bad_request", early=True)
    for line in ("get /models", "Get /models"):
        unknown = no_request | differs(APACHE, OWN_METHOD, 501, code="bad_request", early=True)
        yield _case("method", line, request(line, credential=ADMIN), NO_SUCH_ROUTE, unknown)
    yield _case("method", "CONNECT", connect, NO_SUCH_ROUTE, no_request)
    ping = no_request | differs(APACHE, PING, 200, early=True)
    yield _case("method", "OPTIONS *", request("OPTIONS *", credential=ADMIN), NO_SUCH_ROUTE, ping)


def _path(path: str, expected: Expected, elsewhere: Elsewhere) -> Case:
    sent = request(f"GET {path}", credential=ADMIN)
    return _case("path", path, sent, expected, elsewhere, never=(b"root:", b"njected: "))


def paths() -> Iterator[Case]:
    """Spellings that a gateway could take for a path of the table, and does not."""
    for path in (
        "//models",
        "/models//",
        "///",
        "/./models",
        "/models/.",
        "/models/..",
        "/config/../models",
        "/config/%2e%2e/models",
        "/config/.%2E/models",
        "/config/%252e%252e/models",
        "/config%2fversions",
        "/config%2Fversions",
        "/config%5cversions",
        "/config\\versions",
        "/config/versions/..",
        "/%6dodels",
        "/model%73",
        "/MODELS",
        "/Models",
        "/models.",
        "/models%2e",
        "/models.json",
        "/models;x=1",
        "/models;/",
        "/models%3b",
        "/models%20",
        "/models%0d%0aX-Injected:yes",
        "/models%09",
        "/models%c0%af",
        "/models%ff",
        "/models%3Fx",
        "/models%23",
        "/models*",
        "/models/extra",
        "/live/models",
        "/healthz",
        "/health%7a",
        "/authorize",
        "/docs",
        "/openapi.json",
        "/metrics",
        "/server-status",
        "/server-info",
        "/nginx_status",
        "/icons/",
        "/cgi-bin/",
        "/.git/config",
        "/.well-known/security.txt",
        "/favicon.ico",
        "/index.html",
        "/etc/passwd",
        f"/analyses//{ULID}",
        f"/analyses/{ULID}/results/..",
        f"/analyses/{ULID}/../{ULID}",
        "/analyses/..",
    ):
        yield _path(path, NO_SUCH_ROUTE, _unknown())
    # API Gateway finds a method for these, and the authorizer denies them.
    for path in (
        "/models/",
        "/health/",
        f"/analyses/{ULID.lower()}",
        f"/analyses/{ULID[:-1]}",
        f"/analyses/{ULID}0",
        f"/analyses/{ULID}/",
        f"/analyses/{ULID}/results/",
        f"/analyses/{ULID}%2fresults",
        f"/analyses/%30{ULID[1:]}",
        f"/analyses/{ULID};a=b",
        "/analyses/8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
        "/analyses/00000000-0000-0000-0000-000000000000",
    ):
        yield _path(path, FORBIDDEN, _unknown())
    yield _path("/analyses/*", UNAUTHENTICATED, differs(PROXIES, WILDCARD, 404, code="no_such_route"))
    yield _path("/mod\xe9ls", BAD, differs(PROXIES, NO_REQUEST, 404, code="no_such_route"))
    broken = differs(PROXIES, NO_REQUEST, 400, code="bad_request", early=True)
    for path in ("/../models", "/models%", "/models%zz"):
        yield _path(path, NO_SUCH_ROUTE, broken)
    for path in ("/models%00", "/models%00.json", "/..%2f..%2f..%2fetc%2fpasswd"):
        yield _path(path, NO_SUCH_ROUTE, broken | differs(APACHE, NO_REQUEST, 404, code="no_such_route", early=True))
    fragment = request("GET /models#fragment", credential=VIEWER)
    yield _case("path", "/models#fragment", fragment, NO_SUCH_ROUTE, _unknown() | differs(APACHE, NO_REQUEST, 400, early=True))
    yield _case("path", "/models?..", request("GET /models?../config", credential=VIEWER), OK)
    yield _case("path", "/models?", request("GET /models?", credential=VIEWER), OK)
    absolute = request("GET https://<host>/models", credential=VIEWER)
    yield _case("path", "the whole URL", absolute, NO_SUCH_ROUTE, differs(NGINX, WHOLE, 200) | differs(APACHE, UNKNOWN, 404))
    other = request("GET https://evil.example/models", credential=VIEWER)
    yield _case("path", "the whole URL of another host", other, NO_SUCH_ROUTE, _misdirected())
    nobody = request("GET /nothing")
    yield _case("path", "a path that is not there, and no credential", nobody, NO_SUCH_ROUTE, _unknown())


def _misdirected() -> dict[str, Difference]:
    return differs(PROXIES, EDGE_HOST, 421, code="misdirected_request")


def hosts() -> Iterator[Case]:
    """Names that the gateway is called by."""
    for name in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example:443"):
        yield _case("host", name, request("GET /models", credential=VIEWER, host=name), FORBIDDEN, _misdirected())
    no_request = differs(APACHE, NO_REQUEST, 400, code="bad_request")
    for name in ("evil.example#localhost", "localhost@evil"):
        sent = request("GET /models", credential=VIEWER, host=name)
        yield _case("host", name, sent, FORBIDDEN, _misdirected() | no_request)
    dot = request("GET /models", credential=VIEWER, host="localhost.")
    yield _case("host", "a dot at its end", dot, FORBIDDEN, _misdirected())
    twice = request("GET /models", "Host: evil.example", credential=VIEWER)
    yield _case("host", "two of them", twice, BAD)
    yield _case("host", "none", request("GET /models", credential=VIEWER, host=""), BAD)
    empty = b"GET /models HTTP/1.1\r\nHost:\r\nAuthorization: <viewer>\r\nConnection: close\r\n\r\n"
    yield _case("host", "an empty one", empty, FORBIDDEN, differs(PROXIES, EDGE_HOST, 400, code="bad_request"))
    old = b"GET /models HTTP/1.0\r\nAuthorization: <viewer>\r\n\r\n"
    yield _case("host", "HTTP/1.0 without one", old, FORBIDDEN, _misdirected() | no_request)


HIDDEN = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: "
"""A request that no gateway lets through and the service answers to everybody: what is smuggled in."""
_SEEN = b'"status":"ok"'


def smuggling() -> Iterator[Case]:
    """Requests whose end two servers could see at different places. After each, others' calls are answered as ever."""
    whole = b"0\r\n\r\n" + HIDDEN + b"b\r\n\r\n"

    def both(name: str, *fields: str, body: bytes = whole, expected: Expected = BAD, elsewhere: Elsewhere | None = None) -> Case:
        sent = request("POST /config", *fields, credential=VIEWER, close=False) + body
        return _case("smuggling", name, sent, expected, elsewhere, never=(_SEEN,))

    chunks = "Transfer-Encoding: chunked"
    length = f"Content-Length: {len(whole)}"
    judged = differs(APACHE, BOTH, 403, code="forbidden")
    yield both("a length and chunks", length, chunks, elsewhere=judged)
    yield both("chunks and a length", chunks, length, elsewhere=judged)
    yield both("chunks and a length of the first chunk", chunks, "Content-Length: 5", elsewhere=judged)
    for encoding in (
        "xchunked",
        "identity",
        "chunked, identity",
        "chunked;q=1",
        '"chunked"',
        "\x0bchunked",
        "",
        "cow",
    ):
        yield both(f"Transfer-Encoding: {encoding!r}, and a length", length, f"Transfer-Encoding: {encoding}")
    for encoding in ("identity, chunked", "gzip, chunked", "chunked, chunked"):
        unknown = differs(APACHE, OWN_CODING, 501, code="bad_request")
        yield both(f"Transfer-Encoding: {encoding}, and a length", length, f"Transfer-Encoding: {encoding}", elsewhere=unknown)
    yield both("Transfer-Encoding twice", chunks, "Transfer-Encoding: cow", length)
    yield both("Transfer-Encoding before its colon", "Transfer-Encoding : chunked", length)
    yield both("Transfer-Encoding with a tab", "Transfer-Encoding\t: chunked", length)
    yield both("a line break before the encoding", "Transfer-Encoding:\r\n chunked", length, elsewhere=judged)
    yield both("Transfer-Encoding after a lone line feed", f"X-A: b\n{chunks}", length)
    yield both(
        "chunks, and another call after them",
        chunks,
        expected=Expected((403, 403)),
        elsewhere=differs(PROXIES, UNKNOWN, 403, 404),
    )
    old = request("POST /config", chunks, credential=VIEWER, close=False).replace(b"HTTP/1.1", b"HTTP/1.0") + whole
    yield _case(
        "smuggling", "chunks in HTTP/1.0", old, FORBIDDEN, differs(NGINX, STRICT, 400, code="bad_request"), never=(_SEEN,)
    )
    huge = differs(PROXIES, NO_REQUEST, 400, code="bad_request")
    yield both(
        "a length of twenty digits",
        "Content-Length: 99999999999999999999",
        expected=Expected((413,), "body_too_large"),
        elsewhere=huge,
    )
    for value in ("-1", "+5", "0x5", "5, 6", "5 6", "5a", "1e1", "", "\xb2"):
        yield both(f"Content-Length: {value!r}", f"Content-Length: {value}")
    yield both("two lengths", "Content-Length: 5", length)
    yield both(
        "the same length twice", length, length, expected=FORBIDDEN, elsewhere=differs(PROXIES, STRICT, 400, code="bad_request")
    )
    for name, body in {
        "a chunk of a negative size": b"-1\r\n",
        "a chunk of no size": b"\r\n",
        "a chunk's size in hexadecimal twice": b"0x2\r\n{}\r\n",
        "a chunk that is longer than it says": b"2\r\n{}XX\r\n",
        "a chunk's size with a plus sign": b"+2\r\n{}\r\n",
        "a chunk's size with an underscore": b"0_2\r\n{}\r\n",
    }.items():
        yield both(name, chunks, body=body + whole)
    overflow = b"10000000000000000000000002\r\n{}\r\n" + whole
    large = differs(APACHE, NO_REQUEST, 413, code="body_too_large")
    yield both("a chunk's size that overflows", chunks, body=overflow, elsewhere=large)
    two = request("GET /models", credential=VIEWER, close=False) + request("GET /healthz", host="localhost")
    yield _case(
        "smuggling",
        "two calls in one go, the second without a credential",
        two,
        Expected((200, 403)),
        differs(PROXIES, UNKNOWN, 200, 404),
        never=(_SEEN,),
    )
    trailer = chunked("POST /config", b"2\r\n{}\r\n0\r\nAuthorization: <admin>\r\n\r\n", None, "Trailer: Authorization")
    yield _case("smuggling", "a credential in the trailer", trailer, UNAUTHENTICATED)
    trailer = chunked("POST /config", b"2\r\n{}\r\n0\r\nX-HeartMAP-Assertion: x\r\n\r\n", VIEWER)
    yield _case("smuggling", "an assertion in the trailer", trailer, FORBIDDEN)
    h2c = request(
        "GET /models",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAAQAAP__",
        "Connection: Upgrade, HTTP2-Settings, close",
        credential=VIEWER,
        close=False,
    )
    yield _case("smuggling", "an upgrade to HTTP/2", h2c, OK)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    elsewhere = differs(PROXIES, NO_REQUEST, 400, code="bad_request")
    own = differs(APACHE, OWN_METHOD, 501, code="bad_request", early=True)
    yield _case("smuggling", "HTTP/2 on a connection of HTTP/1.1", preface, Expected((403, 400)), elsewhere | own)
    yield _case("smuggling", "HTTP/0.9", b"GET /healthz\r\n\r\n", BAD, differs(NGINX, ZERO, 0), never=(_SEEN,))
    yield _case(
        "smuggling",
        "HTTP/2.0 in the first line",
        b"GET /healthz HTTP/2.0\r\nHost: <host>\r\n\r\n",
        NO_SUCH_ROUTE,
        elsewhere | differs(APACHE, UNKNOWN, 404, code="no_such_route"),
        never=(_SEEN,),
    )
    yield _case(
        "smuggling",
        "HTTP/1.2 in the first line",
        b"GET /healthz HTTP/1.2\r\nHost: <host>\r\nConnection: close\r\n\r\n",
        NO_SUCH_ROUTE,
        _unknown(),
        never=(_SEEN,),
    )
    yield _case(
        "smuggling",
        "two spaces in the first line",
        b"GET  /healthz HTTP/1.1\r\nHost: <host>\r\nConnection: close\r\n\r\n",
        BAD,
        differs(NGINX, NO_REQUEST, 404, code="no_such_route"),
        never=(_SEEN,),
    )
    yield _case(
        "smuggling",
        "a request in the first line",
        b"GET /models HTTP/1.1 HTTP/1.1\r\nHost: <host>\r\nConnection: close\r\n\r\n",
        BAD,
    )
    yield _case(
        "smuggling",
        "lines that end in a line feed alone",
        b"GET /models HTTP/1.1\nHost: <host>\nAuthorization: <viewer>\nConnection: close\n\n",
        OK,
        differs(APACHE, LINES, 400, code="bad_request", early=True),
    )
    yield _case("smuggling", "a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n", BAD)


def narrow() -> Iterator[Case]:
    """Of a gateway that admits HERE alone, and each address NARROW_RATE times a minute."""
    blocked = Expected((403,), "blocked")
    yield _case("range", "an address that is admitted", request("GET /models", credential=VIEWER), OK)
    for name, sent in {
        "another address": request("GET /models", credential=VIEWER),
        "another address without a credential": request("GET /models"),
        "another address at a path that is not there": request("GET /nothing"),
        "another address that says it is here": request("GET /models", f"X-Forwarded-For: {HERE}", credential=VIEWER),
        "another address that says it is here in other words": request(
            "GET /models", f"Forwarded: for={HERE}", credential=VIEWER
        ),
    }.items():
        yield _case("range", name, sent, blocked, source=NEXT_DOOR)
    often = request("GET /models")
    yield _case("range", "more calls than an address may make", often, Expected((401, 429)), times=NARROW_RATE + 10)
    # nginx gives a call back every three seconds.
    then = request("GET /health", credential=VIEWER)
    yield _case("range", "and of another row then", then, Expected((200, 429)), times=8)


def behind_a_password() -> Iterator[Case]:
    """Of nginx and Apache with basic authentication: user `lab`, password `correct horse battery staple`."""
    password, wrong = (f"Authorization: Basic {b64encode(text).decode()}" for text in (b"lab:" + PASSWORD, b"lab:wrong"))
    own = Expected((401,), "unauthenticated")

    def passes(who: str) -> str:
        return f"X-HeartMAP-Authorization: <{who}>"

    for name, sent, expected in (
        ("password and credential", request("GET /models", password, passes(VIEWER)), OK),
        ("password alone", request("GET /models", password), own),
        ("credential alone", request("GET /models", passes(VIEWER)), own),
        ("credential in the place of the password", request("GET /models", credential=VIEWER), own),
        ("a wrong password", request("GET /models", wrong, passes(VIEWER)), own),
        ("nothing", request("GET /models"), own),
        ("nothing, at a path that is not there", request("GET /nothing"), own),
        ("a user who is not there", request("GET /models", "Authorization: Basic eDp4", passes(VIEWER)), own),
        ("a password that is not in base64", request("GET /models", "Authorization: Basic ???", passes(VIEWER)), own),
        ("a viewer at what an administrator may", json_request("POST /config", b"{}", password, passes(VIEWER)), FORBIDDEN),
        ("a wrong credential", request("GET /models", password, passes("expired")), own),
        ("a path that is not there", request("GET /nothing", password), Expected((404,), "no_such_route")),
        ("the probe of the service", request("GET /healthz", password), Expected((404,), "no_such_route")),
    ):
        yield _case("password", name, sent, expected)
    twice = request("GET /models", password, password)
    merged = differs(APACHE, MERGED, 401, code="unauthenticated")
    yield _case("password", "the password twice", twice, Expected((400,), "bad_request"), merged)
    two = request("GET /models", password, passes(VIEWER), passes("expired"))
    yield _case("password", "two credentials", two, own, differs(NGINX, FIRST, 200))


def rates() -> Iterator[Case]:
    """More than a row's rate and burst together. After all others: what is spent is spent for a while."""
    for line, times in (("POST /config", 60), ("POST /analyze", 60), ("POST /uploads", 120)):
        sent = json_request(line, b"{}")
        yield _case("rate", f"{times} calls at once: {line}", sent, Expected((401, 429)), times=times)
    again = request("GET /config", credential=VIEWER)
    yield _case("rate", "another row meanwhile", again, OK)


CASES: tuple[Case, ...] = (
    *rows(),
    *credentials(),
    *addresses(),
    *headers(),
    *sizes(),
    *methods(),
    *paths(),
    *hosts(),
    *smuggling(),
    *rates(),
)


NARROW: tuple[Case, ...] = tuple(narrow())
BEHIND_A_PASSWORD: tuple[Case, ...] = tuple(behind_a_password())


def differences() -> str:
    """The table of docs/gateways.md: what is answered differently, where, and why."""
    found: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for case in (*CASES, *NARROW):
        if case.elsewhere:
            answers = tuple(_told(case.expects(gateway)) for gateway in GATEWAYS)
            whys = " ".join(dict.fromkeys(difference.why for difference in case.elsewhere.values()))
            found.setdefault((case.group, whys, answers), []).append(case.name)
    lines = [f"| Cases | {' | '.join(GATEWAYS)} | Why |", f"|---|{'---|' * len(GATEWAYS)}---|"]
    for (group, whys, answers), names in found.items():
        shown = ", ".join(f"`{name}`" for name in names)
        lines.append(f"| {group}: {shown} | {' | '.join(answers)} | {whys} |")
    return "\n".join(lines) + "\n"


def _told(expected: Expected) -> str:
    statuses = ", ".join(str(status) for status in expected.statuses) or "no answer"
    return f"{statuses} `{expected.code}`" if expected.code else statuses


def page(text: str) -> str:
    """The page with the table of today."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{differences()}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
