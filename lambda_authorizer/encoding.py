"""Base64url and JSON with exactly one accepted spelling for each value, for whatever an attacker may have written.

Two spellings of one value are two readings of one document: the verifier and whoever reads next may then disagree.
Standard library only.
"""

import base64
import json
from typing import Any


def b64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def from_b64url(text: str) -> bytes:
    """The bytes of a canonical, unpadded base64url text.

    Raises ValueError for padding, for characters outside the alphabet (which Python's decoder skips) and for set bits
    after the last byte (RFC 4648, section 3.5).
    """
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise ValueError("not base64url") from None
    if b64url(data) != text:
        raise ValueError("not canonical base64url")
    return data


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a JSON key occurs twice")
    return found


def _no_constant(_name: str) -> None:
    raise ValueError("NaN and Infinity are not JSON")


# json.loads builds a new decoder at each call that passes a hook.
_DECODER = json.JSONDecoder(object_pairs_hook=_no_duplicates, parse_constant=_no_constant)


def json_object(data: bytes) -> dict[str, Any]:
    """The JSON object in UTF-8 ``data``.

    Raises ValueError for anything else: other encodings, other values, a key that occurs twice at any depth (RFC 8259, section 4,
    leaves their meaning open), NaN, Infinity, and nesting deeper than the interpreter's stack.
    """
    try:
        value = _DECODER.decode(data.decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise ValueError("not JSON in UTF-8") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004  # it is the document that is wrong, not the caller's type
    return value
