"""The client credentials grant: a program that proves itself by its secret gets a token for itself. RFC 6749, 2.3.1 and 4.4.

https://docs.aws.amazon.com/cognito/latest/developerguide/token-endpoint.html
"""

import base64
import binascii
import hmac
import time
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

from local_cloud.login.pool import ProgramClient, signed


class Refused(Exception):
    """``error`` is one of RFC 6749, 5.2."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


def credential(form: Mapping[str, str], authorization: str | None) -> tuple[str, str]:
    """The client's id and secret, out of the header or the form; empty where there is none. Raises Refused for both at once."""
    posted = form.get("client_id", ""), form.get("client_secret", "")
    if authorization is None:
        return posted
    scheme, _, text = authorization.partition(" ")
    try:
        client_id, separator, secret = base64.b64decode(text, validate=True).decode("ascii").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise Refused("invalid_client") from None
    given = unquote_plus(client_id), unquote_plus(secret)
    if scheme.lower() != "basic" or not separator or posted[1] or posted[0] not in ("", given[0]):
        raise Refused("invalid_client")
    return given


def grant(form: Mapping[str, str], secret: str, client: ProgramClient, issuer: str) -> dict[str, Any]:
    """The answer of the token endpoint. Raises Refused."""
    if not hmac.compare_digest(secret.encode(), client.secret.encode()):
        raise Refused("invalid_client")
    if form.get("grant_type") != "client_credentials":
        raise Refused("unauthorized_client")
    scopes = tuple(dict.fromkeys(form.get("scope", "").split())) or client.scopes
    if not set(scopes) <= set(client.scopes):
        raise Refused("invalid_scope")
    now = int(time.time())
    claims = {
        "sub": client.id,
        "token_use": "access",
        "scope": " ".join(scopes),
        "auth_time": now,
        "iss": issuer,
        "exp": now + client.seconds,
        "iat": now,
        "version": 2,
        "jti": str(uuid.uuid4()),
        "client_id": client.id,
    }
    return {"access_token": signed(claims), "expires_in": client.seconds, "token_type": "Bearer"}
