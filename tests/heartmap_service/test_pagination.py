import base64
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartmap_service import listing
from heartmap_service.clients import Clients
from heartmap_service.listing import Entry
from heartmap_service.pagination import decode, encode
from heartmap_service.problems import Problem
from heartmap_service.transactions import commit

AFTER = "2026-03-04T05:06:07.008Z#01JD0000000000000000000000"


def raw(document: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(document, separators=(",", ":")).encode()).decode().rstrip("=")


def test_a_cursor_is_read_back_by_its_list_alone() -> None:
    cursor = encode("uploads", AFTER)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", cursor)
    assert decode("uploads", cursor) == AFTER
    assert decode("uploads", None) is None
    with pytest.raises(Problem) as refused:
        decode("analyses", cursor)
    assert (refused.value.status_code, refused.value.code) == (422, "invalid_cursor")


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "=",
        "a",
        "\u00e9",
        "A" * 10_000,
        encode("uploads", AFTER) + "=",
        encode("uploads", AFTER) + "\n",
        raw(["uploads", AFTER[:-1]]),
        raw(["uploads", f"owner#anna{AFTER}"]),
        raw(["uploads", f"{AFTER}\n"]),
        raw(["uploads", None]),
        raw(["uploads", AFTER, 1]),
        raw({"uploads": AFTER}),
        raw(AFTER),
        base64.urlsafe_b64encode(json.dumps(["uploads", AFTER]).encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(b"[" * 150).decode(),
    ],
)
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Problem, match="Begin again without it"):
        decode("uploads", cursor)


@given(st.text(max_size=300))
def test_no_text_is_more_than_refused(text: str) -> None:
    with pytest.raises(Problem):
        decode("uploads", text)


def listed(dynamodb: Any, lists: list[str], limit: int) -> list[str]:
    """All of the lists, page by page."""
    found: list[str] = []
    before = None
    while True:
        page = listing.page(dynamodb, "jobs", lists, limit=limit, before=before)
        found += page.ids
        assert len(page.ids) <= limit
        if page.next is None:
            return found
        assert len(page.ids) == limit
        before = page.next


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 20])
def test_pages_neither_lose_nor_repeat_what_was_made_in_the_same_millisecond(
    aws: dict[str, Any], clients: Clients, limit: int
) -> None:
    made = [(f"2026-01-01T00:00:00.00{number // 5}Z", f"id{(number * 7) % 20:02}") for number in range(20)]
    for number, (when, record_id) in enumerate(made):
        visibility = ["shared", "private", ["vera", "anna"], ["omar"]][number % 4]
        commit(clients.dynamodb, listing.everywhere("jobs", Entry("", record_id, when), "anna", visibility))
        commit(clients.dynamodb, listing.everywhere("jobs", Entry("other#", record_id, when), "anna", visibility))
    newest = [record_id for _, record_id in sorted(made, reverse=True)]
    assert listed(clients.dynamodb, ["owner#anna", "shared", "named#anna"], limit) == newest
    assert listed(clients.dynamodb, ["all"], limit) == newest
    seen = {record_id for number, (_, record_id) in enumerate(made) if number % 4 in (0, 2)}
    assert listed(clients.dynamodb, ["owner#vera", "shared", "named#vera"], limit) == [each for each in newest if each in seen]


@pytest.mark.parametrize("path", ["/uploads", "/analyses"])
def test_lists_come_in_pages(analyst: Any, upload: Any, path: str) -> None:
    made = []
    for _ in range(5):
        made.append(upload(b"x"))
        if path == "/analyses":
            made[-1] = analyst.call("POST", path, json={"upload_id": made[-1]}).json()["analysis_id"]
    name, pages, query = path[1:], [], "?limit=2"
    while query:
        answer = analyst.call("GET", path, params=query[1:]).json()
        pages.append([record["upload_id" if path == "/uploads" else "analysis_id"] for record in answer[name]])
        query = f"?limit=2&cursor={answer['next_cursor']}" if "next_cursor" in answer else ""
    assert pages == [[made[4], made[3]], [made[2], made[1]], [made[0]]]


@pytest.mark.parametrize("path", ["/uploads", "/analyses"])
@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "cursor=x", "cursor="])
def test_a_page_that_is_none_is_refused(analyst: Any, path: str, query: str) -> None:
    answer = analyst.call("GET", path, params=query)
    assert answer.status_code == 422
    assert answer.json()["code"] == ("invalid_cursor" if "cursor" in query else "invalid_request")


def test_a_cursor_shows_nobody_what_they_may_not_see(analyst: Any, other_analyst: Any, upload: Any) -> None:
    for _ in range(3):
        upload(b"x")
    cursor = analyst.call("GET", "/uploads", params="limit=1").json()["next_cursor"]
    assert other_analyst.call("GET", "/uploads", params=f"cursor={cursor}").json() == {"uploads": []}
