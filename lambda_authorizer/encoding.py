"""Base64url and JSON with exactly one accepted spelling for each value, for whatever an attacker may have written.

Two spellings of one value are two readings of one document: the verifier and whoever reads next may then disagree.
Standard library only.
"""

import binascii
import json
from functools import lru_cache
from typing import Any

# Base64url's alphabet (RFC 4648, section 5) to the one that the decoder knows; what is in the decoder's alone becomes what is in
# none.
_TO_STANDARD = bytes.maketrans(b"-_+/=", b"+/!!!")
_TO_URL = bytes.maketrans(b"+/", b"-_")
# By the length of a text modulo 4: how it is padded, and which last characters leave no bit set after the last byte.
_ENDINGS = {0: (b"", None), 2: (b"==", frozenset(b"AQgw")), 3: (b"=", frozenset(b"AEIMQUYcgkosw048"))}


def b64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515, section 2)."""
    return binascii.b2a_base64(data, newline=False).rstrip(b"=").translate(_TO_URL).decode("ascii")


def from_b64url(text: str | bytes) -> bytes:
    """The bytes of a canonical, unpadded base64url text.

    Raises ValueError for padding, for characters outside the alphabet (which Python's decoder skips) and for set bits
    after the last byte (RFC 4648, section 3.5).
    """
    try:
        data = (text if isinstance(text, bytes) else text.encode("ascii")).translate(_TO_STANDARD)
        padding, last = _ENDINGS[len(data) % 4]
        if last is None or data[-1] in last:
            return binascii.a2b_base64(data + padding, strict_mode=True)
    except (ValueError, KeyError):
        pass
    raise ValueError("not canonical base64url")


def is_printable(text: str, most: int) -> bool:
    """Whether it is 1 to ``most`` characters of printable ASCII without the space: a pattern says so at three times the price."""
    return text.isascii() and text.isprintable() and " " not in text and 0 < len(text) <= most


json_string = json.encoder.encode_basestring_ascii
"""A text as JSON's string literal, with everything beyond printable ASCII escaped."""


@lru_cache(maxsize=256)
def json_names(names: frozenset[str]) -> str:
    """A set of names as JSON's array, in their order. A policy has few of them, and they come again and again."""
    return f"[{','.join(map(json_string, sorted(names)))}]"


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a JSON key occurs twice")
    return found


def _no_constant(_name: str) -> None:
    raise ValueError("NaN and Infinity are not JSON")


# json.loads builds a new decoder at each call that passes a hook.
_DECODER = json.JSONDecoder(object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
# What decode() does, without the regular expressions for white space before and after.
_scan = _DECODER.scan_once  # pyright: ignore[reportAttributeAccessIssue]  # its stub has no methods of its own


def json_object(data: bytes) -> dict[str, Any]:
    """The JSON object in UTF-8 ``data``.

    Raises ValueError for anything else: other encodings, other values, a key that occurs twice at any depth (RFC 8259, section 4,
    leaves their meaning open), NaN, Infinity, and nesting deeper than the interpreter's stack.
    """
    try:
        text = data.decode("utf-8")
        value, end = _scan(text, 0) if text[:1] == "{" else (None, -1)
        # White space around it, or something that is not JSON.
        if end != len(text):
            value = _DECODER.decode(text)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError, StopIteration):
        raise ValueError("not JSON in UTF-8") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004  # it is the document that is wrong, not the caller's type
    return value
