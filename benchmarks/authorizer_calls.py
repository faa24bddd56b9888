"""What the authorizer's benchmarks share: a configured authorizer, and calls for it to decide on."""

import base64
import json
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from lambda_authorizer import api_keys, signature

ISSUER = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_benchmark"
CLIENT, KID = "benchmark-client", "benchmark-key"
HOST, PATH = "abcdef1234.execute-api.us-east-1.amazonaws.com", "/live/models"
_REQUEST_ID = "0f9f1d1c-2f0b-4a53-9a38-6a4d0a3d7c11"


def b64(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def key_set(key: RSAPrivateKey) -> bytes:
    """The user pool's JWKS document."""
    numbers = key.public_key().public_numbers()
    size = (numbers.n.bit_length() + 7) // 8
    public = {
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": KID,
        "n": b64(numbers.n.to_bytes(size)),
        "e": b64(b"\x01\x00\x01"),
    }
    return json.dumps({"keys": [public]}).encode()


def environment(directory: Path, key: RSAPrivateKey, pepper: bytes) -> dict[str, str]:
    """The variables of a configured authorizer, with its key set and its secrets in files."""
    (directory / "jwks.json").write_bytes(key_set(key))
    secret = {
        "api_key_pepper": base64.b64encode(pepper).decode(),
        "assertion_keys": {"k1": base64.b64encode(os.urandom(32)).decode()},
        "current_assertion_key": "k1",
    }
    (directory / "secrets.json").write_text(json.dumps(secret))
    return {
        "HEARTMAP_ENVIRONMENT": "local",
        "HEARTMAP_ISSUERS": ISSUER,
        "HEARTMAP_CLIENT_IDS": CLIENT,
        "HEARTMAP_JWKS_FILE": str(directory / "jwks.json"),
        "HEARTMAP_API_KEYS_TABLE": "benchmark-api-keys",
        "HEARTMAP_KEY_USE_TABLE": "benchmark-key-use",
        "HEARTMAP_SECRETS_FILE": str(directory / "secrets.json"),
    }


def token(key: RSAPrivateKey, number: int) -> str:
    """An access token of its own person, as Cognito makes them."""
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "client_id": CLIENT,
        "token_use": "access",
        "sub": f"person-{number}",
        "jti": f"{number}",
        "iat": now,
        "auth_time": now,
        "exp": now + 3600,
        "cognito:groups": ["analyst"],
        "scope": "openid",
        "version": 2,
    }
    return jwt.encode(claims, key, algorithm="RS256", headers={"kid": KID})


def event(authorization: str, more: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The authorizer's event for ``GET /models`` with this ``Authorization``, and more headers."""
    headers = {"Authorization": authorization, "Host": HOST, "User-Agent": "benchmark", **(more or {})}
    return {
        "type": "REQUEST",
        "methodArn": "arn:aws:execute-api:us-east-1:123456789012:abcdef1234/live/GET/models",
        "resource": "/models",
        "path": "/models",
        "httpMethod": "GET",
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "requestContext": {
            "requestId": _REQUEST_ID,
            "stage": "live",
            "apiId": "abcdef1234",
            "accountId": "123456789012",
            "httpMethod": "GET",
            "resourcePath": "/models",
            "path": PATH,
            "identity": {"sourceIp": "192.0.2.1"},
        },
    }


def bearer(credential: str) -> dict[str, Any]:
    """The event of a call with an access token."""
    return event(f"Bearer {credential}")


class Program(NamedTuple):
    """A program with an API key; with a signing key, it signs each of its calls."""

    public_id: str
    key: str
    signing_key: Ed25519PrivateKey | None

    @classmethod
    def make(cls, public_id: str, *, signs: bool) -> "Program":
        """One with a new key under this id, 8 to 32 letters and digits."""
        key = f"hm_local_{public_id}_{secrets.token_urlsafe(32)}"
        return cls(public_id, key, Ed25519PrivateKey.generate() if signs else None)

    def item(self, pepper: bytes) -> dict[str, Any]:
        """What the table of API keys holds of it."""
        item: dict[str, Any] = {
            "public_id": {"S": self.public_id},
            "digest": {"S": api_keys.digest(self.key, pepper)},
            "principal": {"S": "program:benchmark"},
            "scopes": {"SS": ["models:read"]},
            "expires_at": {"N": str(int(time.time()) + 90 * 24 * 3600)},
        }
        if self.signing_key is not None:
            item["signing_key"] = {"S": b64(self.signing_key.public_key().public_bytes_raw())}
        return item

    def call(self) -> dict[str, Any]:
        """The event of a call."""
        if self.signing_key is None:
            return event(f"ApiKey {self.key}")
        digest = signature.content_digest(b"")
        parameters = signature.parameters(created=int(time.time()), nonce=secrets.token_urlsafe(16), key_id=self.public_id)
        signed = signature.base(signature.Message("GET", HOST, PATH, {}, digest), parameters)
        proof = signature.headers(parameters, self.signing_key.sign(signed))
        return event(f"ApiKey {self.key}", {signature.DIGEST_HEADER: digest, **proof})
