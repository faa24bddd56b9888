from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from heartmap_service.etags import ETags, etag_of, require_match
from heartmap_service.problems import Problem

SECURITY = ("x-content-type-options", "cache-control", "strict-transport-security", "x-request-id")


@pytest.mark.parametrize("path", ["/", "/health", "/models", "/config", "/config/versions", "/analyses"])
def test_an_answer_at_hand_is_not_sent_again(admin: Any, path: str) -> None:
    first = admin.call("GET", path)
    etag = first.headers["etag"]
    assert etag.startswith('"')
    again = admin.call("GET", path, headers={"If-None-Match": f'"other", W/{etag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert {name: again.headers[name] for name in SECURITY} == {name: first.headers[name] for name in SECURITY}
    assert "content-type" not in again.headers
    assert admin.call("GET", path, headers={"If-None-Match": "*"}).status_code == 304
    assert admin.call("GET", path, headers={"If-None-Match": '"other"'}).json() == first.json()


def test_another_answer_has_another_tag(admin: Any) -> None:
    before = admin.call("GET", "/config/versions").headers["etag"]
    admin.call("POST", "/config", json={"min_genes": 1})
    changed = admin.call("GET", "/config/versions", headers={"If-None-Match": before})
    assert changed.status_code == 200
    assert changed.headers["etag"] != before


def test_a_refusal_has_no_tag_and_neither_has_an_answer_to_what_changes_something(admin: Any) -> None:
    missing = admin.call("GET", "/analyses/01JD0000000000000000000000", headers={"If-None-Match": "*"})
    assert (missing.status_code, "etag" in missing.headers) == (404, False)
    assert "etag" not in admin.call("POST", "/uploads", json={}, headers={"If-None-Match": "*"}).headers


def test_a_caller_who_may_not_read_learns_nothing_by_a_tag(admin: Any, http: TestClient) -> None:
    etag = admin.call("GET", "/config").headers["etag"]
    assert http.get("/config", headers={"If-None-Match": etag}).status_code == 401


@pytest.fixture
def other() -> TestClient:
    async def stream(_: Any) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b'{"a":'
            yield b"1}"

        return StreamingResponse(pieces(), media_type="application/json")

    async def results(_: Any) -> JSONResponse:
        return JSONResponse({"url": "presigned"})

    return TestClient(ETags(Starlette(routes=[Route("/stream", stream), Route("/analyses/1/results", results)])))


@pytest.mark.parametrize("path", ["/stream", "/analyses/1/results"])
def test_a_stream_and_presigned_urls_pass_as_they_are(other: TestClient, path: str) -> None:
    answer = other.get(path, headers={"If-None-Match": "*"})
    assert (answer.status_code, "etag" in answer.headers) == (200, False)
    assert answer.json() in ({"a": 1}, {"url": "presigned"})


def test_the_tag_of_a_document_is_that_of_what_it_says() -> None:
    assert etag_of({"a": 1, "b": "é"}) == etag_of({"b": "é", "a": 1})
    assert etag_of({"a": 1}) != etag_of({"a": 2})


def test_a_condition_is_met_by_the_strong_tag_alone() -> None:
    tag = etag_of({"a": 1})
    for met in (None, "*", tag, f'"x", {tag}'):
        require_match(met, tag, code="changed", detail="It changed.")
    for unmet in ("", f"W/{tag}", tag.strip('"'), '"x"', '"*"'):
        with pytest.raises(Problem) as refused:
            require_match(unmet, tag, code="changed", detail="It changed.")
        assert (refused.value.status_code, refused.value.code) == (412, "changed")
