"""Requests signed by the holder of an API key: HTTP Message Signatures (RFC 9421) with Ed25519, in the one form taken here.

::

    Content-Digest: sha-256=:<base64>:
    Signature-Input: sig1=("@method" "@authority" "@path" "@query" "content-digest");created=<seconds>;\
keyid="<public id>";alg="ed25519";nonce="<random>"
    Signature: sig1=:<base64 of 64 bytes>:

Both headers stand in one line each. The program keeps the private key and the table of API keys holds the public one, so that
neither the table nor a recorded call is enough to make another. A signature opens one call within a minute of ``created``: its
nonce is taken once. What the body is, ``Content-Digest`` says (RFC 9530), of an empty one as well; the service compares.

API Gateway tells an authorizer the query decoded, so that the text of ``@query`` has to follow from that: names and values
percent-encoded but for RFC 3986's unreserved characters, sorted by name and then by value, as in Signature Version 4.

Standard library only: `cryptography` is imported where a signature is verified.
"""

import binascii
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

from lambda_authorizer.reasons import Reason, Refused

WINDOW = 60
"""Seconds by which ``created`` may lie before or after the verifier's time."""

INPUT_HEADER, HEADER, DIGEST_HEADER = "Signature-Input", "Signature", "Content-Digest"

_LABEL = "sig1"
_COMPONENTS = '("@method" "@authority" "@path" "@query" "content-digest")'
# Not compiled: nearly no call is signed, and a start pays for none that is not.
_INPUT = (
    rf'{_LABEL}=(?P<parameters>\("@method" "@authority" "@path" "@query" "content-digest"\)'
    r';created=(?P<created>[1-9][0-9]{0,11});keyid="(?P<key_id>[A-Za-z0-9]{8,32})";alg="ed25519"'
    r';nonce="(?P<nonce>[A-Za-z0-9_-]{16,64})")'
)
_SIGNATURE = rf"{_LABEL}=:(?P<signature>[A-Za-z0-9+/]{{86}}==):"
# What a Host header can say of us (RFC 3986, section 3.2.2): a name or an address, and a port.
_AUTHORITY = r"[A-Za-z0-9._:\[\]-]{1,255}"
_DIGEST = r"sha-256=:[A-Za-z0-9+/]{43}=:"


class Message(NamedTuple):
    """What of a request is signed. ``path`` begins with the URL's first slash; ``query`` has all values of each name, decoded."""

    method: str
    authority: str
    path: str
    query: Mapping[str, Sequence[str]]
    content_digest: str


class Signed(NamedTuple):
    """A signature and what it is said to be over, of the right form, not verified. ``created`` is in seconds since the epoch."""

    base: bytes
    signature: bytes
    key_id: str
    created: int
    nonce: str


def content_digest(body: bytes) -> str:
    """The value of ``Content-Digest`` for this body: RFC 9530, section 2."""
    return f"sha-256=:{_b64(sha256(body).digest())}:"


def parameters(*, created: int, nonce: str, key_id: str) -> str:
    """The signature's parameters: RFC 9421, section 2.3. ``nonce`` is 16 to 64 characters of base64url, new for each call."""
    return f'{_COMPONENTS};created={created};keyid="{key_id}";alg="ed25519";nonce="{nonce}"'


def base(message: Message, parameters: str) -> bytes:
    """What is signed: RFC 9421, section 2.5."""
    lines = (
        f'"@method": {message.method}',
        f'"@authority": {_authority(message.authority)}',
        f'"@path": {message.path}',
        f'"@query": {query(message.query)}',
        f'"content-digest": {message.content_digest}',
        f'"@signature-params": {parameters}',
    )
    return "\n".join(lines).encode("utf-8")


def query(values: Mapping[str, Sequence[str]]) -> str:
    """The query in the one spelling that is signed, with its question mark, which stands alone where there is no query."""
    if not values:
        return "?"
    # A tenth of a cold start, for the few calls that are signed and have a query.
    from urllib.parse import quote

    pairs = sorted((quote(name, safe=""), quote(value, safe="")) for name in values for value in values[name])
    return "?" + "&".join(f"{name}={value}" for name, value in pairs)


def headers(parameters: str, signature: bytes) -> dict[str, str]:
    """The two headers of a signature over ``base``."""
    return {
        INPUT_HEADER: f"{_LABEL}={parameters}",
        HEADER: f"{_LABEL}=:{_b64(signature)}:",
    }


def is_signed(headers: Mapping[str, Sequence[str]]) -> bool:
    """Whether a request, of headers by their lower-case names, claims to be signed."""
    return INPUT_HEADER.lower() in headers or HEADER.lower() in headers


def read(headers: Mapping[str, Sequence[str]], *, method: str, path: str, parameters: Mapping[str, Sequence[str]]) -> Signed:
    """The one signature of a request, of headers by their lower-case names. Raises Refused."""
    found = re.fullmatch(_INPUT, _only(headers, INPUT_HEADER))
    proof = re.fullmatch(_SIGNATURE, _only(headers, HEADER))
    digest, authority = _only(headers, DIGEST_HEADER), _only(headers, "Host")
    if found is None or proof is None or not re.fullmatch(_DIGEST, digest) or not re.fullmatch(_AUTHORITY, authority):
        raise Refused(Reason.SIGNATURE_MALFORMED)
    message = Message(method, authority, path, parameters, digest)
    try:
        signed = base(message, found["parameters"])
    except UnicodeEncodeError:
        # Half of a pair of surrogates in the query: no text that anybody can have signed.
        raise Refused(Reason.SIGNATURE_MALFORMED) from None
    return Signed(
        signed,
        binascii.a2b_base64(proof["signature"]),
        found["key_id"],
        int(found["created"]),
        found["nonce"],
    )


def verify(signed: Signed, *, key_id: str, public_key: bytes, now: float) -> None:
    """Raises Refused unless the key of this id made the signature within a minute of ``now``, in seconds since the epoch.

    Whether its nonce was seen before is for the caller to find out.
    """
    # Nearly no key signs its calls: the others do not pay for the import.
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if signed.key_id != key_id:
        raise Refused(Reason.SIGNATURE_KEY)
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signed.signature, signed.base)
    except InvalidSignature:
        raise Refused(Reason.SIGNATURE_INVALID) from None
    if abs(now - signed.created) > WINDOW:
        raise Refused(Reason.SIGNATURE_TIME)


def _b64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def _only(headers: Mapping[str, Sequence[str]], name: str) -> str:
    values = headers.get(name.lower(), ())
    if len(values) != 1:
        raise Refused(Reason.SIGNATURE_MALFORMED)
    return values[0]


def _authority(host: str) -> str:
    """RFC 9421, section 2.2.3: in lower case, without the scheme's own port."""
    return host.lower().removesuffix(":443")
