"""The peppers of the API keys' digests: one at most times, two while it is rotated, older ones beneath it afterwards.

A digest is made of a key once, and the key is not kept: it cannot be made anew under another pepper. So a rotation makes the
HMAC of each digest there is: what proves the key is then its HMAC under the pepper it was made with, under the one that came
after, and so on to the newest. Who knew an older pepper, and no newer one, can make no digest that is taken.

A record says which these are in ``peppers``: their names, the first one first, with dots between. Without it, it is the one
pepper that there was before the first rotation.
"""

import hmac
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

NAMES = r"[0-9a-f]{16}(\.[0-9a-f]{16}){0,15}"
"""The form of a record's ``peppers``."""


class OtherPeppers(NamedTuple):
    """What a secret has beside the pepper by which new digests are made.

    While that is rotated: ``following``, which will be it, or ``previous``, which was. A whole digest may be of either. What
    ``inner`` made may only lie beneath.
    """

    following: bytes | None = None
    previous: bytes | None = None
    inner: tuple[bytes, ...] = ()


NONE = OtherPeppers()


@lru_cache(maxsize=32)
def name(pepper: bytes) -> str:
    """What records call it: 64 bits of a hash, from which nothing of it can be told."""
    return sha256(b"heartmap-api-key-pepper:" + pepper).hexdigest()[:16]


def layers(names: str | None, pepper: bytes, others: OtherPeppers) -> tuple[bytes, ...]:
    """The peppers that a digest was made with, the first one first. ``names`` are a record's, None where it has none.

    Raises LookupError for a name that is unknown, and for a digest that is not whole under a pepper in use.
    """
    if names is None:
        return (others.previous or pepper,)
    whole = [each for each in (pepper, others.following, others.previous) if each is not None]
    known = {name(each): each for each in (*others.inner, *whole)}
    found = tuple(known[each] for each in names.split("."))
    if found[-1] not in whole:
        raise LookupError("the digest was made under a pepper that is no longer in use")
    return found


def digest(key: str, peppers: Iterable[bytes]) -> str:
    """HMAC-SHA256 of the key under the first pepper, of that under the next, and so on, in lower-case hex."""
    made = key
    for pepper in peppers:
        made = hmac.new(pepper, made.encode("ascii"), "sha256").hexdigest()
    return made
