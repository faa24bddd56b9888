"""Long lists in pages: ``limit`` and an opaque ``cursor``, which says after what the page begins.

A cursor is no secret and opens nothing: who may see what is decided by each record, whatever page it is on.
"""

import base64
import json
import re
from typing import Annotated, Any

from fastapi import Query

from heartmap_service.problems import Problem
from heartmap_service.queue import ULID_PATTERN

MOST = 100
"""Records on one page."""

Limit = Annotated[int, Query(ge=1, le=MOST)]
Cursor = Annotated[str | None, Query()]

RECORD = re.compile(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z#{ULID_PATTERN}", re.ASCII)
"""listing.Entry's sort key: when a record was made, and its id."""

_LONGEST = 256


def encode(name: str, after: str) -> str:
    """The cursor of a list's page that begins after ``after``, in ASCII."""
    return base64.urlsafe_b64encode(json.dumps([name, after], separators=(",", ":")).encode("ascii")).decode("ascii").rstrip("=")


def decode(name: str, cursor: str | None, shape: re.Pattern[str] = RECORD) -> str | None:
    """What a page begins after; None for None. ``shape`` is what that looks like in this list.

    Raises Problem 422 for what ``encode`` did not make for this list.
    """
    if cursor is None:
        return None
    try:
        after = _after(name, cursor, shape)
    except (ValueError, RecursionError):
        after = None
    if after is None:
        detail = "This cursor is not one that this list gave. Begin again without it."
        raise Problem(422, "invalid_cursor", detail)
    return after


def _after(name: str, cursor: str, shape: re.Pattern[str]) -> str | None:
    if len(cursor) > _LONGEST:
        return None
    padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
    document: Any = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    after = document[1] if isinstance(document, list) and len(document) == 2 else None
    # Of this list, and there is one way to write it.
    return after if isinstance(after, str) and shape.fullmatch(after) and encode(name, after) == cursor else None
