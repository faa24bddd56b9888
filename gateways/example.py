"""The gateway of the tracked renderings in docs/gateways, and the writer of them: ``python -m gateways.example [KIND…]``."""

import base64
import hashlib
import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from gateways.kong.keys import signing_keys
from gateways.model import Gateway, Options, Program, from_stack
from gateways.render import KINDS, render

DIRECTORY = Path(__file__).parents[1] / "docs" / "gateways"

OUTPUTS = {
    "region": "us-east-1",
    "issuer": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Example00",
    "client_id": "1example23456789",
    "program_client_id": "2example23456789",
    "authorize_url": "https://auth.heartmap.example.org/oauth2/authorize",
    "token_url": "https://auth.heartmap.example.org/oauth2/token",
    "requests_per_minute": 600,
    "sensitive_requests_per_minute": 120,
}
OPTIONS = Options(
    server_name="heartmap.example.org",
    upstream="https://127.0.0.1:8443",
    upstream_ca="/etc/heartmap/service-ca.pem",
    upstream_host="heartmap.example.org",
    certificate="/etc/heartmap/certificate.pem",
    key="/etc/heartmap/key.pem",
    environment="prod",
    allow=("192.0.2.0/24", "2001:db8::/32"),
    basic_auth=True,
    decision="https://127.0.0.1:8444",
)

KEY_IDS = ("exampleKeyOne=", "exampleKeyTwo=")
# The digest of no key.
PROGRAM = Program(name="pipeline", scopes=("analyses:read", "analyses:write", "uploads:write"), digest="0" * 64)


def example() -> Gateway:
    """A lab's, with everything that a rendering can have."""
    return replace(from_stack(OUTPUTS, OPTIONS), signing_keys=signing_keys(key_set()), programs=(PROGRAM,))


def key_set() -> bytes:
    """A user pool's, as its address gives it (RFC 7517)."""
    keys = [{"kty": "RSA", "use": "sig", "alg": "RS256", "e": "AQAB", "kid": each, "n": _modulus(each)} for each in KEY_IDS]
    return json.dumps({"keys": keys}).encode()


def _modulus(key_id: str) -> str:
    """Of a key's form, and of no key: nobody has the factors."""
    odd = bytearray(hashlib.shake_256(key_id.encode()).digest(256))
    odd[0] |= 0x80
    odd[-1] |= 1
    return base64.urlsafe_b64encode(odd).rstrip(b"=").decode()


def write(directory: Path = DIRECTORY, kinds: Iterable[str] = KINDS) -> list[Path]:
    """Writes the files of kinds, and removes those that are of no rendering any more."""
    written = []
    for kind in kinds:
        (directory / kind).mkdir(parents=True, exist_ok=True)
        for name, text in render(kind, example()).items():
            file = directory / kind / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            written.append(file)
        for old in sorted((directory / kind).rglob("*")):
            if old.is_file() and old not in written:
                old.unlink()
    return written


if __name__ == "__main__":
    sys.stdout.writelines(f"{file.relative_to(DIRECTORY.parents[1])}\n" for file in write(kinds=sys.argv[1:] or KINDS))
