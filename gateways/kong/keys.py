"""What Kong has to be given besides the access policy: the user pool's public keys, and the gateway keys of programs.

A gateway key opens the gateway and nothing behind it: the service asks for a program's own credential all the same. Kong's
key-auth compares keys as they are written in its configuration. So that none is written anywhere, the file of gateway keys and
Kong's configuration hold SHA-256 of each, and Kong is given the digest of what a caller sent (``rewrite.lua.j2``). A key has 256
random bits: its digest needs neither salt nor stretching.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateways import writing
from gateways.model import GatewayError, Program, SigningKey
from lambda_authorizer.access_policy import SCOPES
from lambda_authorizer.keys import parse_key_set

PREFIX = "hmg_"
KEY_BYTES = 32

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_KEY_ID = re.compile(r"[A-Za-z0-9+/=_.-]{1,128}", re.ASCII)


def signing_keys(document: bytes) -> tuple[SigningKey, ...]:
    """The keys of a JWKS document that verify RS256, by their ids. Raises GatewayError when there is none."""
    try:
        found = parse_key_set(document)
    except ValueError:
        found = {}
    keys = sorted((key_id, key) for key_id, key in found.items() if _KEY_ID.fullmatch(key_id))
    if not keys:
        raise GatewayError("The key set holds no RSA key for RS256: give the file that the user pool's jwks_url answers with.")
    return tuple(
        SigningKey(kid=key_id, pem=key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())
        for key_id, key in keys
    )


def programs(document: str) -> tuple[Program, ...]:
    """What ``add`` wrote, by name. Raises GatewayError for anything else."""
    try:
        read = tuple(_program(name, entry) for name, entry in sorted(json.loads(document).items()))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise GatewayError("The file of gateway keys is not one that heartmapctl gateway key wrote: make it anew.") from None
    if len({program.digest for program in read}) != len(read):
        raise GatewayError("Two names of the file of gateway keys have the same key: make one of them anew.")
    return read


def add(file: Path, name: str, scopes: Sequence[str]) -> str:
    """A new key for the program of this name, which ends the one that it had. The file holds its digest. Returns the
    key, which nothing keeps. Raises GatewayError for a name or a scope that is none, and what ``writing.replace`` does."""
    if not _NAME.fullmatch(name):
        raise GatewayError(f"The name must be small letters, digits and hyphens, at most 63, and is {name[:100]!r}.")
    unknown = sorted(set(scopes) - SCOPES)
    if unknown or not scopes:
        raise GatewayError(
            f"--scope must be of {', '.join(sorted(SCOPES))}" + (f", and is {unknown[0][:100]!r}." if unknown else ".")
        )
    key = PREFIX + secrets.token_urlsafe(KEY_BYTES)
    held = {each.name: each for each in programs(writing.read(file) or "{}")}
    held[name] = Program(name=name, scopes=tuple(sorted(set(scopes))), digest=hashlib.sha256(key.encode()).hexdigest())
    document = {each.name: {"sha256": each.digest, "scopes": list(each.scopes)} for each in held.values()}
    writing.replace(file, json.dumps(document, indent=1, sort_keys=True) + "\n")
    return key


def _program(name: str, entry: dict[str, Any]) -> Program:
    digest, scopes = entry["sha256"], entry["scopes"]
    if not (_NAME.fullmatch(name) and _DIGEST.fullmatch(digest) and scopes and SCOPES.issuperset(scopes)):
        raise ValueError(name)
    return Program(name=name, scopes=tuple(sorted(set(scopes))), digest=digest)
