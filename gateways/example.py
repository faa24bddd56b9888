"""The gateway of the tracked renderings in docs/gateways, and the writer of them: ``python -m gateways.example [KIND…]``."""

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

# Moduli of keys that were made for this and thrown away.
MODULI = {
    "exampleKeyOne=": (
        "iG4zL3-BA-UPotVx1Ya5e8T7wJJggRheLbcTKtL5eDhBXJN4kDEDETHXDiBIsvQ4Rv1EFbwt0pN_LXWQtfVxTu85nl9TTs6MSdTL"
        "EDBUnxrH_FtVyCWa-Sjc1fS_MEBSCedmShR2aKeCfj0ZdekZAcRtl6CKZAb36u3BHOAt-4WHi3C8Mnx7HLNGDLqTMg_zmFaU0l7J"
        "SVs1OJg1k0jn0F7VzGO_u61eFiVaV3jKJm15YZPV1QOpJJjhEczzPPR8igFMePlyKWNwy1Ur1tMBANKhB8KgyR3UAPmVFMHuuFGd"
        "15cNIxukmhf3J_w2w6NdxAASuFk9AMai6Z_QRvHJSQ"
    ),
    "exampleKeyTwo=": (
        "4soAaqO2oda4np7B9W42EqbBpg-ba4ZkyGsYt7giqZj0Itl8HIinAOqIJx41BRqb1XnXHQBObUG2U5YyBFOWZcxPqzStcbpPOHZ_"
        "7usSvXsqlh7FdJ7ZzjtAhdrvdVSzf_-penfXyvmxTYFvBcpqafqw2cYlpyW4AA-rQ6vXWmV12dvxjQkQxWj7pEpTStAhfMcr8wCG"
        "cTT2mXeNLDzSA1tnohkKU6n75f541JcIePMHoxZIc1eIJl2DL0f1EBCIADz1X-fMpzmvZg2TCLqAhL9TSuyLbZJwdyXd-l7BzbDu"
        "nHl-5qg2dwa_z__C9OhSxf1mLyzQuuJb4QubYROOCQ"
    ),
}
PROGRAM = Program(
    name="pipeline", scopes=("analyses:read", "analyses:write", "uploads:write"), digest=hashlib.sha256(b"an example").hexdigest()
)


def example() -> Gateway:
    """A lab's, with everything that a rendering can have."""
    keys = [{"kty": "RSA", "use": "sig", "alg": "RS256", "e": "AQAB", "kid": kid, "n": n} for kid, n in MODULI.items()]
    document = json.dumps({"keys": keys}).encode()
    return replace(from_stack(OUTPUTS, OPTIONS), signing_keys=signing_keys(document), programs=(PROGRAM,))


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
