"""The seals that administrators fetch, and lines as they were written."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from lambda_audit.handler import Trail
from lambda_authorizer.audit_chain import Chain
from lambda_sealing.seals import RECORDS_PREFIX, SEALS_PREFIX, name_of
from tests.lambda_api.calls import everyone_else
from tests.lambda_audit.conftest import BUCKET, PUBLIC_KEY, Logs
from tests.lambda_audit.test_handler import SECOND, Api
from tests.lambda_sealing.conftest import record

ROUTE = "/audit/seals"


@pytest.fixture
def api(trail: Trail, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Api:
    return Api(trail, monkeypatch, capsys)


@pytest.fixture
def bucket(aws: Callable[[str], Any]) -> Iterator[Callable[[str, bytes], None]]:
    s3 = aws("s3")
    s3.create_bucket(Bucket=BUCKET)
    yield lambda key, data: s3.put_object(Bucket=BUCKET, Key=key, Body=data)
    for each in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        s3.delete_object(Bucket=BUCKET, Key=each["Key"])
    s3.delete_bucket(Bucket=BUCKET)


def test_seals_come_with_addresses_page_by_page(api: Api, bucket: Callable[[str, bytes], None]) -> None:
    for number in (1, 2, 3, 5):
        bucket(name_of(SEALS_PREFIX, number), f"seal {number}".encode())
        bucket(f"{RECORDS_PREFIX}{number:012}-aa.jsonl.gz", f"records {number}".encode())
    # What a sealer left that died, and what is no seal.
    bucket(f"{RECORDS_PREFIX}{2:012}-bb.jsonl.gz", b"")
    bucket(f"{SEALS_PREFIX}other", b"")
    first = api(200, {"limit": "2"}, route=ROUTE)
    assert ([one["sequence"] for one in first["seals"]], first["latest"], first["public_key"]) == ([1, 2], 5, PUBLIC_KEY)
    assert sorted(first["seals"][1]["records"]) == ["000000000002-aa.jsonl.gz", "000000000002-bb.jsonl.gz"]
    assert (api.line["action"], api.line["reason"], api.line["records"]) == ("list_seals", "listed", 2)
    rest = api(200, {"after": "2"}, route=ROUTE)
    assert ([one["sequence"] for one in rest["seals"]], "latest" in rest) == ([3, 5], False)
    for url, content in ((rest["seals"][0]["url"], b"seal 3"), (*rest["seals"][1]["records"].values(), b"records 5")):
        assert "X-Amz-Expires=900" in url
        assert httpx.get(url).content == content


def test_there_may_be_no_seals_yet(api: Api, bucket: Callable[[str, bytes], None]) -> None:
    answer = api(200, route=ROUTE)
    assert (answer["seals"], answer["latest"]) == ([], 0)


@pytest.mark.parametrize("query", [{"after": "x"}, {"after": "-1"}, {"limit": "0"}, {"limit": "101"}, {"since": "1"}])
def test_what_is_no_such_query_is_refused(api: Api, query: dict[str, str]) -> None:
    assert api(400, query, route=ROUTE)["code"] == "invalid_request"


@pytest.mark.parametrize(("who", "changes", "status"), everyone_else(), ids=[who for who, *_ in everyone_else()])
def test_nobody_else_is_given_seals(
    api: Api, bucket: Callable[[str, bytes], None], who: str, changes: dict[str, Any], status: int
) -> None:
    bucket(name_of(SEALS_PREFIX, 1), b"seal")
    assert "seals" not in api(status, route=ROUTE, **changes)


def test_lines_come_as_they_were_written(api: Api, logs: Logs) -> None:
    chain = Chain()
    lines = [record(chain, logs.now - 10 * SECOND + number, event="anything", principal="ä") for number in range(3)]
    logs.raw("keys", *((10 * SECOND - number, line) for number, line in enumerate(lines)), (9 * SECOND, "START"))
    logs.write("keys", 5, decision="allow", reason="not chained")
    found = api(200, {"form": "lines"})["records"]
    assert [one["line"] for one in found] == lines[::-1]
    assert set(found[0]) == {"time", "stream", "line"}
    assert api(400, {"form": "lines", "decision": "allow"})["code"] == "invalid_request"
    assert api(400, {"form": "other"})["code"] == "invalid_request"
