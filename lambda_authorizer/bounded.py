"""What is remembered from call to call is bounded: no caller can fill the memory."""

from collections import OrderedDict
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def remember(known: OrderedDict[K, V], name: K, value: V, limit: int) -> None:
    """Keep ``value`` under ``name``, in the place of the oldest where there are ``limit`` already."""
    known[name] = value
    if len(known) > limit:
        # Of a plain dict the first is found by walking over all that was deleted before it.
        known.popitem(last=False)
