"""Lists that the service gives a page at a time."""

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlencode

from pydantic import BaseModel

from operator_cli.api import Api

PAGE = 100
"""The most that the service gives at once."""
EMPTY_PAGES = 100
"""Pages in a row that may hold nothing which this user may see."""

Page = TypeVar("Page", bound=BaseModel)
Item = TypeVar("Item")


def pages(
    api: Api,
    path: str,
    kind: type[Page],
    items: Callable[[Page], list[Item]],
    limit: int,
    wanted: Callable[[Item], bool] | None = None,
) -> list[Item]:
    """The first ``limit`` of a list that are wanted. A page may hold fewer than were asked for, and more may follow."""
    found: list[Item] = []
    cursor: Any = None
    for _ in range(EMPTY_PAGES + limit):
        # Where some are left out nobody knows how many it takes.
        asked = {"limit": PAGE if wanted else min(PAGE, limit - len(found))} | ({"cursor": cursor} if cursor else {})
        page = api.call("GET", f"{path}?{urlencode(asked)}", kind)
        found += filter(wanted, items(page)) if wanted else items(page)
        cursor = getattr(page, "next_cursor", None)
        if cursor is None or len(found) >= limit:
            break
    return found[:limit]
