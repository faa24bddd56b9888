"""Against a DynamoDB whose answers a test sets; what the emulated one answers is in test_handler."""

import json
import time
from typing import Any

import pytest

from lambda_authorizer import bounded_http
from lambda_authorizer.aws import AwsError
from lambda_keys import records, store
from lambda_keys.bodies import MAX_RANGES, NewKey
from lambda_keys.store import Store

NOW = 1_790_000_000
FAR = float("inf")


class Scripted:
    """Answers in turn, and what was asked. An answer that is an exception is raised."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def call(self, service: str, operation: str, parameters: dict[str, Any], *, region: str, deadline: float) -> dict[str, Any]:
        assert (service, region) == ("dynamodb", "us-east-1")
        self.asked.append((operation.removeprefix("DynamoDB_20120810."), json.loads(json.dumps(parameters))))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def scripted(*answers: Any) -> tuple[Store, Scripted]:
    aws: Any = Scripted(*answers)
    return Store(keys="keys", use="use", aws=aws, region="us-east-1"), aws


def item(key_id: str) -> records.Item:
    return {"public_id": {"S": key_id}}


def page(first: int, count: int, *, more: bool) -> dict[str, Any]:
    items = [item(f"{n:026}") for n in range(first, first + count)]
    return {"Items": items} | ({"LastEvaluatedKey": items[-1]} if more else {})


def test_a_listing_follows_its_pages_and_is_in_order() -> None:
    kept, aws = scripted(page(5, 5, more=True), {"LastEvaluatedKey": item("x")}, page(0, 5, more=False))
    listing = kept.listed(now=NOW, scan_until=FAR, deadline=FAR)
    assert [found["public_id"]["S"] for found in listing.items] == [f"{n:026}" for n in range(10)]
    assert not listing.truncated
    assert [parameters.get("ExclusiveStartKey") for _, parameters in aws.asked] == [None, item(f"{9:026}"), item("x")]


def test_a_key_is_read_as_it_is_at_this_moment() -> None:
    kept, aws = scripted(page(0, 1, more=False), {})
    kept.listed(now=NOW, scan_until=FAR, deadline=FAR)
    assert kept.get("a", deadline=FAR) is None
    assert [(operation, parameters["ConsistentRead"]) for operation, parameters in aws.asked] == [
        ("Scan", True),
        ("GetItem", True),
    ]


def test_a_listing_ends_at_a_thousand_keys_and_says_so() -> None:
    kept, _ = scripted(*(page(100 * n, 100, more=True) for n in range(10)), page(1000, 1, more=True))
    listing = kept.listed(now=NOW, scan_until=FAR, deadline=FAR)
    assert (len(listing.items), listing.truncated) == (1000, True)


@pytest.mark.parametrize(("last", "truncated"), [(0, False), (1, True)])
def test_a_thousand_keys_are_all_there_are_unless_another_one_is_found(last: int, truncated: bool) -> None:
    kept, _ = scripted(*(page(100 * n, 100, more=True) for n in range(10)), page(1000, last, more=False))
    listing = kept.listed(now=NOW, scan_until=FAR, deadline=FAR)
    assert (len(listing.items), listing.truncated) == (1000, truncated)


def test_a_listing_whose_time_is_over_begins_no_further_page_and_says_so() -> None:
    kept, aws = scripted(page(0, 5, more=True), page(5, 5, more=False))
    listing = kept.listed(now=NOW, scan_until=time.monotonic(), deadline=FAR)
    assert (len(listing.items), listing.truncated, len(aws.asked)) == (5, True, 1)


def test_a_page_of_the_largest_keys_is_less_than_an_answer_may_be() -> None:
    ranges = frozenset(f"ffff:ffff:ffff:ffff:ffff:ffff:ffff:f{n:03x}/128" for n in range(MAX_RANGES))
    scopes = records.SCOPES
    made = records.make(
        NewKey("n" * 64, scopes, 1, ranges, "k" * 43), environment="local", pepper=b"p" * 32, by="p" * 256, now=NOW
    )
    largest = made.item | {"revoked_at": {"N": str(NOW)}, "replaced_by": {"S": "0" * 26}}
    shown = {name: value for name, value in largest.items() if name in records.READ}
    assert largest.keys() >= records.READ
    assert len(json.dumps({"Items": [shown] * store.PAGE})) < bounded_http.MAX_BYTES - 4096


def test_uses_are_asked_for_by_the_hundred_and_again_where_they_were_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(store.time, "sleep", pauses.append)
    used = [{"id": {"S": f"use#{n}"}, "last_used_at": {"N": str(NOW + n)}} for n in range(150)]
    left = [{"use": {"Keys": [{"id": used[n]["id"]} for n in left]}} for left in ((98, 99), (99,))]
    kept, aws = scripted(
        {"Responses": {"use": used[:98]}, "UnprocessedKeys": left[0]},
        {"Responses": {"use": [used[98]]}, "UnprocessedKeys": left[1]},
        {"Responses": {"use": [used[99]]}, "UnprocessedKeys": {}},
        {"Responses": {"use": used[100:]}},
    )
    assert kept.last_used(map(str, range(150)), deadline=FAR) == {str(n): NOW + n for n in range(150)}
    assert [operation for operation, _ in aws.asked] == ["BatchGetItem"] * 4
    assert len(aws.asked[0][1]["RequestItems"]["use"]["Keys"]) == 100
    assert [parameters["RequestItems"] for _, parameters in aws.asked[1:3]] == left
    assert pauses == [store.PAUSE, 2 * store.PAUSE]


def test_what_is_left_out_is_waited_for_to_the_deadline_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(store.time, "sleep", pauses.append)
    left = {"Responses": {}, "UnprocessedKeys": {"use": {"Keys": [{"id": {"S": "use#a"}}]}}}
    kept, _ = scripted(left, AwsError("no usable answer in time"))
    with pytest.raises(AwsError):
        kept.last_used(["a"], deadline=time.monotonic() - 1)
    assert pauses == [0.0]


def test_no_use_is_asked_for_where_there_is_no_key() -> None:
    kept, aws = scripted()
    assert kept.last_used([], deadline=FAR) == {}
    assert aws.asked == []


def test_a_note_of_another_form_is_no_known_use() -> None:
    kept, _ = scripted({"Responses": {"use": [{"id": {"S": "use#a"}}, {"id": {"S": "use#b"}, "last_used_at": {"S": "now"}}]}})
    assert kept.last_used(["a", "b"], deadline=FAR) == {}


@pytest.mark.parametrize("code", ["", "ThrottlingException", "InternalServerError"])
def test_what_is_no_refusal_of_a_condition_is_a_failure(code: str) -> None:
    old = records.make(NewKey("n", frozenset(), 9, None, None), environment="local", pepper=b"p" * 32, by="p", now=NOW).item
    with pytest.raises(AwsError):
        scripted(AwsError("no", code))[0].replace(old, old, ends=NOW, deadline=FAR)
    with pytest.raises(AwsError):
        scripted(AwsError("no", code))[0].revoke("0", by="p", now=NOW, deadline=FAR)
