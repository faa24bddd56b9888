"""The gateway of the tracked renderings in docs/gateways, and the writer of them: ``python -m gateways.example``."""

import sys
from pathlib import Path

from gateways.model import Gateway, Options, from_stack
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
)


def example() -> Gateway:
    """A lab's, with everything that a rendering can have."""
    return from_stack(OUTPUTS, OPTIONS)


def write(directory: Path = DIRECTORY) -> list[Path]:
    """Writes every kind's files, and removes those that are of no rendering any more."""
    written = []
    for kind in KINDS:
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
    sys.stdout.writelines(f"{file.relative_to(DIRECTORY.parents[1])}\n" for file in write())
