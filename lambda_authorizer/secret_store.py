"""The secret that the authorizer shares: the API keys' pepper, and the keys of the assertion.

``{"api_key_pepper": base64, "assertion_keys": {key_id: base64 of 32 bytes}, "current_assertion_key": key_id}``. Of a pepper that
is being rotated, or was, it has also ``following_api_key_pepper`` or ``previous_api_key_pepper`` (base64) and
``inner_api_key_peppers`` (a list of them): ``peppers`` says what they are for.
"""

import binascii
from typing import Any, NamedTuple

from lambda_authorizer.assertion import Keys, decode_keys
from lambda_authorizer.aws import Aws, AwsError
from lambda_authorizer.encoding import json_object
from lambda_authorizer.peppers import NONE, OtherPeppers
from lambda_authorizer.reasons import Fault, Reason

MAX_AGE = 300
"""Seconds after which the secret is read again, so that a rotation arrives without a deployment."""
STALE_AGE = 3600
"""Seconds for which a secret that could not be read again is still used."""
RETRY_AFTER = 30
"""Seconds after an attempt within which a secret at hand is used without another."""

_MIN_PEPPER_BYTES = 16


class Secrets(NamedTuple):
    """The pepper of the API keys' digests, the assertion's keys, and the peppers beside that one."""

    api_key_pepper: bytes
    assertion_keys: Keys
    other_peppers: OtherPeppers = NONE


def parse(document: bytes) -> Secrets:
    """The secret's content. Raises ValueError, with nothing of the content in its text."""
    content = json_object(document)
    current = content.get("current_assertion_key")
    if not isinstance(current, str):
        raise ValueError("current_assertion_key must be a string")  # noqa: TRY004  # the document is wrong
    pepper = _pepper(content, "api_key_pepper")
    keys = decode_keys(content.get("assertion_keys"))
    if current not in keys:
        raise ValueError("current_assertion_key is not among assertion_keys")
    return Secrets(pepper, Keys(current, keys), _others(content))


def _others(content: dict[str, Any]) -> OtherPeppers:
    inner = content.get("inner_api_key_peppers", [])
    if not isinstance(inner, list):
        raise ValueError("inner_api_key_peppers must be a list")  # noqa: TRY004  # the document is wrong
    following, previous = (
        _pepper(content, name) if name in content else None for name in ("following_api_key_pepper", "previous_api_key_pepper")
    )
    others = OtherPeppers(following, previous, tuple(_decoded(each, "inner_api_key_peppers") for each in inner))
    return others if any(others) else NONE


def _pepper(content: dict[str, Any], name: str) -> bytes:
    return _decoded(content.get(name), name)


def _decoded(text: object, name: str) -> bytes:
    if not isinstance(text, str):
        raise ValueError(f"{name} must be a string")  # noqa: TRY004  # the document is wrong
    try:
        decoded = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise ValueError(f"{name} is not base64") from None
    if len(decoded) < _MIN_PEPPER_BYTES:
        raise ValueError(f"{name} must be at least {_MIN_PEPPER_BYTES} bytes")
    return decoded


class FixedSecrets:
    """Secrets that were read from a file at the start."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def get(self, now: float, deadline: float) -> Secrets:  # noqa: ARG002  # the same call as ManagedSecrets.get
        """The secrets."""
        return self._secrets


class ManagedSecrets:
    """Secrets from AWS Secrets Manager, read at the first use and again every five minutes."""

    def __init__(self, arn: str, aws: Aws) -> None:
        self._arn = arn
        self._aws = aws
        self._secrets: Secrets | None = None
        self._read_at = self._attempted_at = float("-inf")

    def get(self, now: float, deadline: float) -> Secrets:
        """The secrets. ``now`` is in seconds since the epoch, ``deadline`` on the clock of ``time.monotonic``. Raises Fault."""
        held = self._secrets if now - self._read_at <= STALE_AGE else None
        if held and (now - self._read_at <= MAX_AGE or now - self._attempted_at < RETRY_AFTER):
            return held
        self._attempted_at = now
        try:
            self._secrets, self._read_at = self._fetch(deadline), now
        except Fault:
            if held is None:
                raise
            return held
        return self._secrets

    def _fetch(self, deadline: float) -> Secrets:
        try:
            answer = self._aws.call(
                "secretsmanager",
                "secretsmanager.GetSecretValue",
                {"SecretId": self._arn},
                region=self._arn.split(":")[3],
                deadline=deadline,
            )
        except AwsError:
            raise Fault(Reason.SECRETS_UNAVAILABLE) from None
        try:
            return parse(answer["SecretString"].encode("utf-8"))
        except (KeyError, AttributeError, ValueError):
            raise Fault(Reason.SECRETS_MALFORMED) from None


SecretSource = FixedSecrets | ManagedSecrets
