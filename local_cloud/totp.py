"""Codes of authenticator apps (TOTP), as Cognito takes them: 6 digits, SHA-1, a new one every 30 seconds.

RFC 6238; https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-mfa-totp.html
"""

import base64
import hmac
import secrets
from urllib.parse import quote, urlencode

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

DIGITS = 6
STEP_SECONDS = 30
# The clocks of two machines differ, and a person types for a while: one step either way, and no more (RFC 6238, 5.2).
STEPS_AROUND = 1
# RFC 4226, 4, R6 recommends 160 bits.
SECRET_BYTES = 20


def new_secret() -> str:
    """A random secret in base32, as people type it."""
    return base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()


def matching_step(secret: str, code: str, now: float) -> int | None:
    """The number of the step whose code this is, None for a code of no step around ``now`` (seconds since the epoch).

    The caller keeps the step, and takes no code of that step or an earlier one again (RFC 6238, 5.2).
    """
    current, found = int(now // STEP_SECONDS), None
    for step in range(current - STEPS_AROUND, current + STEPS_AROUND + 1):
        if hmac.compare_digest(code_of(secret, step).encode(), code.encode()):
            found = step
    return found


def code_of(secret: str, step: int) -> str:
    """The code of a step."""
    totp = TOTP(base64.b32decode(secret), DIGITS, SHA1(), STEP_SECONDS)  # noqa: S303 - what authenticator apps compute
    return totp.generate(step * STEP_SECONDS).decode()


def address(secret: str, *, issuer: str, account: str) -> str:
    """What a QR code for authenticator apps holds. https://github.com/google/google-authenticator/wiki/Key-Uri-Format"""
    query = urlencode({"secret": secret, "issuer": issuer}, quote_via=quote)
    return f"otpauth://totp/{quote(issuer, safe='')}:{quote(account, safe='')}?{query}"
