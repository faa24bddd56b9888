"""Signing the calls of a program with its Ed25519 key: RFC 9421 in the form that `lambda_authorizer.signature` takes.

The private key is a PEM file (PKCS#8, RFC 8410), as `openssl genpkey -algorithm ed25519` writes it too.
"""

import os
import secrets
import time
from pathlib import Path
from urllib.parse import parse_qs

import httpx
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from lambda_authorizer import signature
from lambda_authorizer.encoding import b64url
from operator_cli.errors import WrongUse

NONCE_BYTES = 16
# An Ed25519 key in PEM has 119 bytes; comments may stand before it.
LARGEST_FILE = 16 * 1024
HOW_TO_MAKE_ONE = "openssl genpkey -algorithm ed25519 writes one; so does `heartmapctl keys create --sign-with FILE`."


def load(file: Path) -> Ed25519PrivateKey:
    """The private key in a file. Raises WrongUse, which never tells what the file holds."""
    try:
        with file.open("rb") as stream:
            text = stream.read(LARGEST_FILE)
    except OSError as error:
        raise WrongUse(f"The signing key {file} cannot be read: {error.strerror}.") from None
    try:
        key = load_pem_private_key(text, password=None)
    except TypeError:
        raise WrongUse(
            f"The signing key {file} is encrypted. Programs have nobody who types a password.",
            next_step="Keep it without one, readable by its user alone.",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise WrongUse(f"{file} is not a private key in PEM (PKCS#8).", next_step=HOW_TO_MAKE_ONE) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise WrongUse(f"The private key in {file} is not an Ed25519 key.", next_step=HOW_TO_MAKE_ONE)
    return key


def load_or_make(file: Path) -> tuple[Ed25519PrivateKey, bool]:
    """The private key in a file, and whether it was made there just now, for its owner alone. What is there is never replaced.

    Raises WrongUse.
    """
    key = Ed25519PrivateKey.generate()
    try:
        # O_EXCL decides who makes it, and does not follow a link to somewhere else.
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return load(file), False
    except OSError as error:
        raise WrongUse(f"The signing key {file} cannot be written: {error.strerror}.") from None
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        file.unlink(missing_ok=True)
        raise WrongUse(f"The signing key {file} cannot be written: {error.strerror}.") from None
    return key, True


def public_text(key: Ed25519PrivateKey) -> str:
    """The public half as the service registers it: base64url of its 32 bytes."""
    return b64url(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def sign(request: httpx.Request, key: Ed25519PrivateKey, key_id: str) -> None:
    """Sign a request whose body was read, for one sending within a minute. Its query is put into the spelling that is signed.

    Raises WrongUse for a query that is not UTF-8.
    """
    path, _, query = request.url.raw_path.decode("ascii").partition("?")
    try:
        values = parse_qs(query, keep_blank_values=True, errors="strict")
    except ValueError:
        raise WrongUse("The query of a signed call must be text in UTF-8.") from None
    written = signature.query(values).removeprefix("?")
    request.url = request.url.copy_with(query=written.encode("ascii") if written else None)
    digest = signature.content_digest(request.content)
    parameters = signature.parameters(created=int(time.time()), nonce=secrets.token_urlsafe(NONCE_BYTES), key_id=key_id)
    message = signature.Message(request.method, request.headers["Host"], path, values, digest)
    proof = key.sign(signature.base(message, parameters))
    request.headers[signature.DIGEST_HEADER] = digest
    request.headers.update(signature.headers(parameters, proof))
