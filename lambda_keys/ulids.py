"""ULIDs, which sort by the time at which they were made: https://github.com/ulid/spec."""

import re
import secrets

PATTERN = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH = 26
_RANDOM_BITS = 80


def new(now: float) -> str:
    """A new one. ``now`` is in seconds since the epoch."""
    value = int(now * 1000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    return "".join(_ALPHABET[value >> 5 * place & 31] for place in reversed(range(_LENGTH)))
