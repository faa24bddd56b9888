"""What is fuzzed: bytes in, and whatever must hold of the answer is asserted.

Nothing here needs a fuzzer: a target is a function of bytes, and raises when something does not hold. Only Refused, Unauthorized
and Fault may come out of the authorizer, never a defect of its own, and nothing is accepted without a signature that holds.
"""

import base64
import binascii
import contextlib
import hashlib
import io
import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, cast
from unittest import mock
from urllib.parse import unquote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lambda_authorizer import aws, signature
from lambda_authorizer.access_policy import RULES
from lambda_authorizer.api_keys import digest
from lambda_authorizer.assertion import Keys
from lambda_authorizer.config import Configuration
from lambda_authorizer.encoding import b64url
from lambda_authorizer.handler import Authorizer, Unauthorized
from lambda_authorizer.keys import KeySource
from lambda_authorizer.reasons import Fault, Reason, Refused
from lambda_authorizer.secret_store import Secrets
from lambda_authorizer.tokens import TokenVerifier

NOW = 1_800_000_000
ISSUER, CLIENT_ID, TOKEN_KEY = "https://issuer.example/pool", "client", "k"
DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
"""In front of a SHA-256 in a signature: RFC 8017, section 9.2, note 1."""
PEPPER = bytes(32)
KEY_ID, SIGNED_KEY_ID = "01JDDY0Z4Q8R6N5V3T7W2X9YAB", "01JDDY0Z4Q8R6N5V3T7W2X9YAC"
SIGNER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def api_key(key_id: str) -> str:
    return f"hm_local_{key_id}_{'s' * 43}"


class Hashed:
    """Stands in for a pool's RSA key: its signature is the SHA-256 of what is signed, which costs a fuzzer a thousandth.

    The arithmetic of RSA is `cryptography`'s; what is fuzzed is what is made of its answer.
    """

    def recover_data_from_signature(self, proof: bytes, *_: Any) -> bytes:
        if len(proof) != hashlib.sha256().digest_size:
            raise InvalidSignature
        return DIGEST_INFO + proof


KEYS = {TOKEN_KEY: cast(Any, Hashed())}
HEADER = {"alg": "RS256", "kid": TOKEN_KEY}
CLAIMS = {
    "sub": "someone",
    "iss": ISSUER,
    "client_id": CLIENT_ID,
    "token_use": "access",
    "iat": NOW,
    "exp": NOW + 600,
    "auth_time": NOW,
    "cognito:groups": ["admin"],
}


def token_of(header: bytes, payload: bytes) -> str:
    """A token of these bytes whose signature holds."""
    signed = f"{b64url(header)}.{b64url(payload)}"
    return f"{signed}.{b64url(hashlib.sha256(signed.encode()).digest())}"


GOOD_HEADER, GOOD_CLAIMS = json.dumps(HEADER).encode(), json.dumps(CLAIMS).encode()
GOOD_TOKEN = token_of(GOOD_HEADER, GOOD_CLAIMS)


# ---- Tokens ----


def token(data: bytes) -> None:
    """The first byte says what the rest is: R the token itself, H its header, P its payload, B both, parted by a null."""
    kind, rest = data[:1], data[1:]
    match kind:
        case b"R":
            text = rest.decode("utf-8", "surrogateescape")
        case b"H":
            text = token_of(rest, GOOD_CLAIMS)
        case b"P":
            text = token_of(GOOD_HEADER, rest)
        case b"B":
            header, _, payload = rest.partition(b"\0")
            text = token_of(header, payload)
        case _:
            return
    verifier = TokenVerifier(KeySource(KEYS, None, now=0), issuers=frozenset({ISSUER}), client_ids=frozenset({CLIENT_ID}))
    try:
        caller = verifier.verify(text, now=NOW, deadline=1).caller
    except Refused:
        return
    claims = _believable(text)
    assert caller.principal == claims["sub"]
    assert caller.groups == {"viewer", "analyst", "admin"} & set(claims.get("cognito:groups", []))
    assert verifier.verify(text, now=NOW, deadline=1).caller == caller
    assert len(text) <= 4096


def _believable(text: str) -> dict[str, Any]:
    """The claims of an accepted token, read in another way; whatever would make them unbelievable fails."""
    head, payload, proof = text.split(".")
    decoded = [base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True) for part in (head, payload, proof)]
    assert [b64url(part) for part in decoded] == [head, payload, proof]
    assert decoded[2] == hashlib.sha256(f"{head}.{payload}".encode()).digest()
    header, claims = json.loads(decoded[0]), json.loads(decoded[1])
    assert header["alg"] == "RS256"
    assert header["kid"] == TOKEN_KEY
    assert header.keys() <= {"alg", "kid", "typ"}
    assert (claims["iss"], claims["client_id"], claims["token_use"]) == (ISSUER, CLIENT_ID, "access")
    assert CLIENT_ID in (claims.get("aud", CLIENT_ID), *(claims["aud"] if isinstance(claims.get("aud"), list) else ()))
    times = [claims[name] for name in ("iat", "exp", "nbf", "auth_time") if name in claims]
    assert all(type(moment) is int for moment in times)
    assert claims["exp"] + 60 > NOW
    assert max(claims["iat"], claims.get("nbf", 0)) <= NOW + 60
    assert 0 < claims["exp"] - claims["iat"] <= 86400
    assert re.fullmatch(r"[!-~]{1,256}", claims["sub"])
    return claims


# ---- Events ----


class Stored:
    """The tables: one key that signs nothing, one whose calls are signed. No nonce was used."""

    def __init__(self) -> None:
        public = SIGNER.public_key().public_bytes_raw()
        self.items = {
            KEY_ID: self._item(KEY_ID),
            SIGNED_KEY_ID: self._item(SIGNED_KEY_ID)
            | {"signing_key": {"S": b64url(public)}, "source_ranges": {"SS": ["192.0.2.0/24"]}},
        }

    @staticmethod
    def _item(key_id: str) -> dict[str, Any]:
        return {
            "digest": {"S": digest(api_key(key_id), PEPPER)},
            "principal": {"S": f"program:{key_id}"},
            "scopes": {"SS": ["config:write", "analyses:read"]},
        }

    def call(self, _: str, operation: str, parameters: dict[str, Any], **__: Any) -> dict[str, Any]:
        if operation.endswith(".GetItem"):
            item = self.items.get(parameters["Key"]["public_id"]["S"])
            return {"Item": item} if item else {}
        assert operation.endswith(".PutItem")
        assert re.fullmatch(r"(use|nonce)#[A-Za-z0-9]{8,32}(#[A-Za-z0-9_-]{16,64})?", parameters["Item"]["id"]["S"])
        return {}


CONFIGURATION = Configuration(
    environment="local",
    issuers=frozenset({ISSUER}),
    client_ids=frozenset({CLIENT_ID}),
    keys=KEYS,
    jwks_url=None,
    api_keys_table="keys",
    lock_outs_table=None,
    key_use_table="key-use",
    secrets=Secrets(PEPPER, Keys("a", {"a": bytes(32)})),
    region="us-east-1",
    endpoint=None,
)
CREDENTIALS = (f"Bearer {GOOD_TOKEN}", f"ApiKey {api_key(KEY_ID)}", f"ApiKey {api_key(SIGNED_KEY_ID)}")


def _moment() -> float:
    # No Mock: that keeps each call, and there are millions.
    return NOW


@contextlib.contextmanager
def world() -> Iterator[None]:
    """The moment, and the AWS, in which the targets run."""
    stored = Stored()
    with (
        mock.patch.object(aws.Aws, "call", lambda _, *args, **kwargs: stored.call(*args, **kwargs)),
        mock.patch.object(time, "time", _moment),
    ):
        yield


def event(data: bytes) -> None:
    """An event in JSON, in which ``$0``, ``$1`` and ``$2`` as a whole value stand for good credentials."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return
    value = _filled(value)
    printed, complained = io.StringIO(), io.StringIO()
    answer, refusal = None, None
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complained):
        try:
            answer = Authorizer(CONFIGURATION).decide(value)
        except (Unauthorized, Fault) as error:
            refusal = error
    if isinstance(refusal, Fault):
        assert refusal.reason is not Reason.INTERNAL, complained.getvalue()
    else:
        assert refusal is None or refusal.args == ("Unauthorized",)
    line = json.loads(printed.getvalue())
    assert printed.getvalue().count("\n") == 1
    assert printed.getvalue().isascii()
    if answer is None:
        assert line["decision"] in ("unauthenticated", "error")
        return
    (statement,) = answer["policyDocument"]["Statement"]
    assert line["decision"] == statement["Effect"].lower() == answer["context"]["decision"]
    assert statement["Resource"] == value["methodArn"]
    assert not set("*?$") & set(statement["Resource"])
    assert all(isinstance(said, str) for said in answer["context"].values())
    if statement["Effect"] == "Allow":
        _check_allowed(value, answer["principalId"])


def _filled(value: Any) -> Any:
    match value:
        case "$0" | "$1" | "$2":
            return CREDENTIALS[int(value[1])]
        case dict():
            return {name: _filled(item) for name, item in value.items()}
        case list():
            return [_filled(item) for item in value]
        case _:
            return value


def _check_allowed(event: dict[str, Any], principal: str) -> None:
    method, route, path = event["httpMethod"], event["resource"], event["path"]
    assert (method, route) in RULES
    assert re.fullmatch(re.sub(r"\{[a-z_]+\}", "[0-7][0-9A-HJKMNP-TV-Z]{25}", route), path)
    arn = r"arn:aws:execute-api:us-east-1:[0-9]{12}:[A-Za-z0-9-]+/[A-Za-z0-9_-]+/" + re.escape(method + path)
    assert re.fullmatch(arn, event["methodArn"])
    assert event.get("type", "REQUEST") == "REQUEST"
    assert event.get("authorizationToken") is None
    given = [value for name, value in event["headers"].items() if name.lower() == "authorization"]
    given += [
        value
        for name, values in (event.get("multiValueHeaders") or {}).items()
        if name.lower() == "authorization"
        for value in values
    ]
    assert len(set(given)) == 1
    scheme, credential = given[0].split(" ")
    known = [held.split(" ") for held in CREDENTIALS]
    assert [scheme.lower(), credential] in [[kind.lower(), held] for kind, held in known]
    # The third key's calls have to be signed, and no signature in a corpus holds for long: none was seen to get here unsigned.
    if credential == api_key(SIGNED_KEY_ID):
        assert {"signature", "signature-input", "content-digest"} <= {name.lower() for name in event["headers"]}
    assert principal in ("someone", f"program:{KEY_ID}", f"program:{SIGNED_KEY_ID}")


# ---- Signatures ----

_FORM = re.compile(
    r'sig1=\("@method" "@authority" "@path" "@query" "content-digest"\)'
    r';created=(\d+);keyid="(\w+)";alg="ed25519";nonce="([\w-]+)"',
    re.ASCII,
)


def signed(data: bytes) -> None:
    """Fields parted by nulls: mode, method, host, path, query, digest, Signature-Input, Signature.

    In the mode V the signature is made anew, by the right key over what is there, so that the form alone is left to refuse it.
    """
    try:
        fields = data.decode("utf-8", "surrogatepass").split("\0")
    except UnicodeDecodeError:
        return
    if len(fields) != 8:
        return
    mode, method, host, path, text, content_digest, said, proof = fields
    query = _query(text)
    # What an event's reader lets through.
    if not re.fullmatch(r"[A-Z]+", method) or not re.fullmatch(r"/[A-Za-z0-9._~!&'()+,;=:@%/-]*", path):
        return
    if mode == "V":
        proof = _made(signature.Message(method, host, path, query, content_digest), said.partition("=")[2])
    headers = {"host": [host], "content-digest": [content_digest], "signature-input": [said], "signature": [proof]}
    try:
        read = signature.read(headers, method=method, path=path, parameters=query)
        signature.verify(read, key_id=SIGNED_KEY_ID, public_key=SIGNER.public_key().public_bytes_raw(), now=NOW)
    except Refused:
        return
    found = _FORM.fullmatch(said)
    assert found is not None
    created, key_id, nonce = found.groups()
    assert abs(NOW - int(created)) <= 60
    assert (int(created), nonce, key_id) == (read.created, read.nonce, read.key_id)
    assert 16 <= len(nonce) <= 64
    assert key_id == SIGNED_KEY_ID
    SIGNER.public_key().verify(binascii.a2b_base64(proof.split(":")[1]), read.base)
    _check_base(read.base, method, host, path, query, content_digest)


def _made(message: signature.Message, parameters: str) -> str:
    try:
        base = signature.base(message, parameters)
    except UnicodeEncodeError:
        # Nobody can sign that. It is to be refused, not to break what reads it.
        base = b""
    return f"sig1=:{base64.b64encode(SIGNER.sign(base)).decode()}:"


def _query(text: str) -> dict[str, list[str]]:
    query: dict[str, list[str]] = {}
    for pair in filter(None, text.split("&")):
        name, _, value = pair.partition("=")
        query.setdefault(unquote(name), []).append(unquote(value))
    return query


def _check_base(base: bytes, method: str, host: str, path: str, query: dict[str, list[str]], content_digest: str) -> None:
    """Two calls that differ are never signed in the same text: it can be read back, line by line."""
    lines = base.decode().split("\n")
    assert [line.partition(": ")[0] for line in lines] == [
        f'"{name}"' for name in ("@method", "@authority", "@path", "@query", "content-digest", "@signature-params")
    ]
    values = [line.partition(": ")[2] for line in lines]
    assert values[:3] == [method, host.lower().removesuffix(":443"), path]
    assert values[4] == content_digest
    assert re.fullmatch(r"sha-256=:[A-Za-z0-9+/]{43}=:", content_digest)
    pairs = [pair.split("=") for pair in values[3].removeprefix("?").split("&")] if values[3] != "?" else []
    read = sorted((unquote(name), unquote(value)) for name, value in pairs)
    assert read == sorted((name, value) for name, several in query.items() for value in several)


TARGETS: dict[str, Callable[[bytes], None]] = {"token": token, "event": event, "signature": signed}
