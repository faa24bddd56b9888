"""The credentials of the acceptance table, made in a local environment as people and programs get theirs, and spoilt ones."""

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import RSAKey
from moto.utilities.utils import load_resource

from lambda_authorizer.access_policy import ADMIN, ANALYST, VIEWER
from lambda_authorizer.encoding import b64url, from_b64url
from operator_cli import signing
from tests.gateways.acceptance import HERE, NEXT_DOOR

Claims = dict[str, Any]


class Callers:
    """The values of Authorization by the table's names, and the key that signs."""

    def __init__(self, headers: Mapping[str, str], key_id: str, signing_key: Ed25519PrivateKey) -> None:
        self._headers, self._key_id, self._signing_key = headers, key_id, signing_key

    def fill_in(self, request: bytes, host: str, *, signed: bool) -> bytes:
        """The request for this gateway, with whoever calls in it."""
        sent = request.replace(b"<host>", host.encode())
        for name, value in self._headers.items():
            sent = sent.replace(f"<{name}>".encode(), value.encode())
        return self._signed(sent, host) if signed else sent

    def _signed(self, sent: bytes, host: str) -> bytes:
        line, _, rest = sent.partition(b"\r\n")
        method, path, _ = line.decode().split(" ")
        message = httpx.Request(method, f"https://{host}{path}")
        message.read()
        signing.sign(message, self._signing_key, self._key_id)
        line = f"{method} {message.url.raw_path.decode()} HTTP/1.1".encode()
        names = ("Content-Digest", "Signature-Input", "Signature")
        return b"\r\n".join([line, *(f"{name}: {message.headers[name]}".encode() for name in names), rest])


def make(token_of: Callable[[str], str], administrator: httpx.Client) -> Callers:
    """Everybody.

    Args:
        token_of: an access token of a role, of a sign-in just now.
        administrator: an administrator's client of the API behind API Gateway, where keys are made.
    """
    tokens = {role: token_of(role) for role in (VIEWER, ANALYST, ADMIN)}
    signing_key = Ed25519PrivateKey.generate()
    keys, key_id = _keys(administrator, signing_key)
    headers = {name: f"Bearer {token}" for name, token in {**tokens, **_spoilt(tokens)}.items()}
    headers |= {name: f"ApiKey {key}" for name, key in keys.items()} | {"lower-viewer": f"bearer {tokens[VIEWER]}"}
    return Callers(headers, key_id, signing_key)


def _keys(administrator: httpx.Client, signing_key: Ed25519PrivateKey) -> tuple[dict[str, str], str]:
    def new(name: str, *more_scopes: str, **more: object) -> dict[str, str]:
        body = {"name": name, "scopes": ["models:read", *more_scopes], **more}
        made = administrator.post("/keys", json=body)
        assert made.status_code == 201, made.text
        return made.json()

    key, signs = (
        new("gateways", "analyses:read")["key"],
        new("signs", "config:read", signing_key=signing.public_text(signing_key)),
    )
    prefix, _, secret = key.rpartition("_")
    revoked = new("revoked")
    assert administrator.delete(f"/keys/{revoked['key_id']}").is_success
    keys = {
        "key": key,
        "key-of-here": new("here", source_ranges=[f"{HERE}/32"])["key"],
        "key-of-next-door": new("next-door", source_ranges=[f"{NEXT_DOOR}/32"])["key"],
        "key-of-elsewhere": new("elsewhere", source_ranges=["192.0.2.0/24"])["key"],
        "key-to-sign": signs["key"],
        "revoked-key": revoked["key"],
        "wrong-key": f"{prefix}_{secrets.token_urlsafe(len(secret))[: len(secret)]}",
        "other-environment": key.replace("hm_local_", "hm_prod_"),
    }
    return keys, signs["key_id"]


def _spoilt(tokens: Mapping[str, str]) -> dict[str, str]:
    """Tokens that are no good, or not good enough. moto signs those of every pool with a key that stands in its source."""
    pool = RSAKey.import_key(load_resource("cognitoidp/resources/jwks-private.json")).private_key
    if not isinstance(pool, rsa.RSAPrivateKey):
        raise TypeError("moto's key is another")
    stranger, now = rsa.generate_private_key(65537, 2048), int(time.time())
    claims, of_admin, kid = _claims(tokens[VIEWER]), _claims(tokens[ADMIN]), "dummy"
    alone = {name: value for name, value in claims.items() if name != "cognito:groups"}
    ended = {"iat": now - 7200, "auth_time": now - 7200, "exp": now - 3600}

    def signed(changed: Claims, key: rsa.RSAPrivateKey = pool, key_id: str = kid) -> str:
        text = _text({"alg": "RS256", "kid": key_id}, changed)
        return f"{text}.{b64url(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    public = pool.public_key().public_numbers()
    symmetric = _text({"alg": "HS256", "kid": kid}, claims)
    as_secret = public.n.to_bytes(256, "big")
    return {
        "stale-admin": signed(of_admin | {"auth_time": now - 20 * 60}),
        "groupless": signed(alone),
        "strange-signature": signed(claims, stranger),
        "no-algorithm": f"{_text({'alg': 'none', 'kid': kid}, claims)}.",
        "symmetric": f"{symmetric}.{b64url(hmac.digest(as_secret, symmetric.encode(), hashlib.sha256))}",
        "expired": signed(claims | ended),
        "early": signed(claims | {"iat": now + 3600, "auth_time": now + 3600, "exp": now + 7200}),
        "id-token": signed(claims | {"token_use": "id", "aud": claims["client_id"]}),
        "other-issuer": signed(claims | {"iss": f"{claims['iss']}0"}),
        "other-client": signed(claims | {"client_id": "another"}),
        "unknown-kid": signed(claims, key_id="unknown"),
    }


def _text(header: Claims, claims: Claims) -> str:
    return ".".join(b64url(json.dumps(part).encode()) for part in (header, claims))


def _claims(token: str) -> Claims:
    return json.loads(from_b64url(token.split(".")[1]))
