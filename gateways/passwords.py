"""The password file of basic authentication, which nginx and Apache read: a line for each name, ``name:hash``.

The hash is bcrypt's, which both know: Apache by itself, nginx by the system's crypt (libxcrypt, or musl).
"""

import re
import secrets
from pathlib import Path

import bcrypt

from gateways import writing
from gateways.model import GatewayError

GENERATED_BYTES = 20
GENERATED_COST = 5
"""For a password of 160 random bits, which nobody guesses however fast the hash is. Each call is a hash, for which a process of
nginx makes all others wait: 2 ms, and 60 ms with the cost below."""
TYPED_COST = 10
"""OWASP's least for what a person thought of.
https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html"""
SHORTEST = 14
"""Characters of what a person thought of. It is guessed as fast as the rate of an address allows, or a thief of the file."""
LONGEST = 72
"""Bytes, of which bcrypt sees no more."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)


def generate() -> str:
    """A password of 27 letters, digits, hyphens and underscores."""
    return secrets.token_urlsafe(GENERATED_BYTES)


def line(name: str, password: str, *, cost: int) -> str:
    """``name:hash``. Raises GatewayError for a name or a password that will not do; the text does not quote the password."""
    if not _NAME.fullmatch(name):
        raise GatewayError(f"USER must be at most 64 letters, digits and ._@-, a letter or a digit first, and is {name[:100]!r}.")
    if len(password) < SHORTEST or len(password.encode()) > LONGEST or not password.isprintable():
        raise GatewayError(f"The password must have at least {SHORTEST} characters and at most {LONGEST} bytes, all printable.")
    digest = bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost, prefix=b"2b")).decode("ascii")
    # The same algorithm by the name that Apache looks for: https://en.wikipedia.org/wiki/Bcrypt#Versioning_history
    return f"{name}:$2y${digest.removeprefix('$2b$')}"


def change(file: Path, name: str, password: str, *, cost: int) -> bool:
    """Adds a line to the file, or puts it in the place of the name's. Says whether there was one. Raises what ``line``,
    ``writing.read`` and ``writing.replace`` do."""
    made = line(name, password, cost=cost)
    lines = writing.read(file).splitlines()
    kept = [each for each in lines if each.partition(":")[0] != name]
    writing.replace(file, "".join(f"{each}\n" for each in (*kept, made)))
    return len(kept) < len(lines)
