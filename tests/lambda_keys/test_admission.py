"""Whose call is let in: every part of the assertion, and nothing else, decides."""

import base64
import json
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_authorizer import assertion
from lambda_authorizer.access_policy import ACCESS_POLICY, KEYS
from lambda_authorizer.signature import content_digest
from lambda_keys import calls
from lambda_keys.handler import Keys

OTHER = assertion.Keys("b2", {"b2": b"c" * 32})
ULID = "01K2B3C4D5E6F7G8H9JKMNPQRS"
BODY = {"name": "nightly", "scopes": ["models:read"]}
Event = Callable[..., dict[str, Any]]


@pytest.fixture
def refused(keys: Keys, tables: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> Callable[[Any], tuple[int, str]]:
    """The status and the code of a refusal, which leaves no key and one line without a principal."""

    def refuse(event: Any) -> tuple[int, str]:
        answer = keys.answer(event)
        code = json.loads(answer["body"])["code"]
        (text,) = capsys.readouterr().out.splitlines()
        line = json.loads(text)
        assert (line["decision"], line["reason"], line["principal"], line["key_id"]) == ("deny", code, None, None)
        assert tables.rows() == []
        return answer["statusCode"], code

    return refuse


def with_authorizer(event: dict[str, Any], authorizer: Any) -> dict[str, Any]:
    return event | {"requestContext": event["requestContext"] | {"authorizer": authorizer}}


def test_every_row_of_the_policy_that_is_answered_here_has_an_action() -> None:
    assert {(rule.method, rule.route) for rule in ACCESS_POLICY if rule.answered_by == KEYS} == calls.ACTIONS.keys()


@pytest.mark.parametrize(
    "authorizer",
    [
        *(
            None,
            {},
            "assertion",
            {"assertion": None},
            {"assertion": ["v2"]},
            {"assertion": ""},
            {"assertion": "v2.a1.e30.1.r.AAAA"},
        ),
        {"principalId": "5f0d3c1e", "groups": "admin", "decision": "allow"},
        {"assertion": "ä" * 20},
    ],
)
def test_without_an_assertion_nobody_is_let_in(refused: Callable[[Any], Any], make_event: Event, authorizer: Any) -> None:
    assert refused(with_authorizer(make_event("POST", "/keys", BODY), authorizer)) == (401, "unauthenticated")


@pytest.mark.parametrize("event", [None, "event", [], {}, {"requestContext": None}, {"requestContext": []}])
def test_an_event_of_something_else_is_refused(refused: Callable[[Any], Any], event: Any) -> None:
    assert refused(event) == (401, "unauthenticated")


@pytest.mark.parametrize(
    "said",
    [
        {"request_id": "d7bf9ac6-7b61-11e6-9a41-93e8deadbeef"},
        {"keys": OTHER},
        {"keys": assertion.Keys("zz", {"zz": b"a" * 32})},
        {"now": time.time() - 3600},
        {"now": time.time() + 3600},
    ],
)
def test_anothers_or_another_times_assertion_is_refused(refused: Callable[[Any], Any], make_event: Event, said: Any) -> None:
    assert refused(make_event("POST", "/keys", BODY, said=said)) == (401, "unauthenticated")


def test_an_event_without_a_request_id_is_refused(refused: Callable[[Any], Any], make_event: Event) -> None:
    event = make_event("POST", "/keys", BODY)
    del event["requestContext"]["requestId"]
    assert refused(event) == (401, "unauthenticated")


@pytest.mark.parametrize(
    "said",
    [
        {"method": "GET"},
        {"route": "/keys/{key_id}/rotate"},
        {"method": "POST", "route": "/config"},
        {"method": "PUT"},
        {"route": "/nowhere"},
    ],
)
def test_another_routes_assertion_is_refused(refused: Callable[[Any], Any], make_event: Event, said: Any) -> None:
    assert refused(make_event("POST", "/keys", BODY, said=said)) == (403, "wrong_route")


def test_what_the_service_answers_is_not_answered_here(refused: Callable[[Any], Any], make_event: Event) -> None:
    assert refused(make_event("GET", "/models")) == (403, "wrong_route")


@pytest.mark.parametrize(("groups", "scopes"), [(["viewer"], []), (["analyst"], []), ([], []), ([], ["config:write"])])
@pytest.mark.parametrize(
    ("method", "route", "key_id"),
    [
        ("GET", "/keys", None),
        ("POST", "/keys", None),
        ("POST", "/keys/{key_id}/rotate", ULID),
        ("DELETE", "/keys/{key_id}", ULID),
    ],
)
def test_whoever_is_no_administrator_is_refused(
    refused: Callable[[Any], Any], make_event: Event, groups: Any, scopes: Any, method: str, route: str, key_id: str | None
) -> None:
    event = make_event(method, route, BODY, key_id=key_id, said={"groups": groups, "scopes": scopes})
    assert refused(event) == (403, "forbidden")


def test_nothing_beside_the_assertion_makes_an_administrator(refused: Callable[[Any], Any], make_event: Event) -> None:
    event = make_event("POST", "/keys", BODY, said={"groups": ["viewer"]}, queryStringParameters={"groups": "admin"})
    event["requestContext"]["authorizer"] |= {"groups": "admin", "scopes": "config:write", "principal": "root"}
    assert refused(event) == (403, "forbidden")


@pytest.mark.parametrize(
    "parameters", [None, {}, {"key_id": None}, {"key_id": "role0123456789"}, {"key_id": ULID.lower()}, {"key_id": f"{ULID}\n"}]
)
def test_what_is_no_ulid_is_no_key(refused: Callable[[Any], Any], make_event: Event, parameters: Any) -> None:
    assert refused(make_event("DELETE", "/keys/{key_id}", pathParameters=parameters)) == (403, "wrong_route")


@pytest.mark.parametrize(("method", "route", "key_id"), [("GET", "/keys", None), ("DELETE", "/keys/{key_id}", ULID)])
def test_a_body_where_none_belongs_is_refused(
    refused: Callable[[Any], Any], make_event: Event, method: str, route: str, key_id: str | None
) -> None:
    assert refused(make_event(method, route, {}, key_id=key_id)) == (413, "body_too_large")


def test_a_body_of_more_than_64_kilobytes_is_refused(refused: Callable[[Any], Any], make_event: Event) -> None:
    text = json.dumps(BODY)
    assert refused(make_event("POST", "/keys", text.ljust(64 * 1024 + 1))) == (413, "body_too_large")
    # Bytes are counted, not characters.
    assert refused(make_event("POST", "/keys", "é" * (32 * 1024 + 1))) == (413, "body_too_large")


@pytest.mark.parametrize("body", ["%%%", "e30", "e30=\n", "é", "e3 0="])
def test_what_is_not_base64_where_it_should_be_is_refused(refused: Callable[[Any], Any], make_event: Event, body: str) -> None:
    assert refused(make_event("POST", "/keys", body, isBase64Encoded=True)) == (400, "invalid_request")


@pytest.mark.parametrize("body", [b"x", {}, 5, "\ud800"])
def test_a_body_that_is_no_text_is_refused(refused: Callable[[Any], Any], make_event: Event, body: Any) -> None:
    assert refused(make_event("POST", "/keys") | {"body": body}) == (400, "invalid_request")


def digested(event: dict[str, Any], *values: str, name: str = "Content-Digest") -> dict[str, Any]:
    return event | {"multiValueHeaders": event["multiValueHeaders"] | {name: list(values)}}


@pytest.mark.parametrize("name", ["Content-Digest", "content-digest"])
def test_a_body_that_is_not_what_its_sender_made_a_digest_of_is_refused(
    refused: Callable[[Any], Any], make_event: Event, name: str
) -> None:
    event = make_event("POST", "/keys", BODY)
    other = content_digest(json.dumps(BODY | {"scopes": ["analyses:write"]}).encode())
    assert refused(digested(event, other, name=name)) == (400, "content_digest_mismatch")
    assert refused(digested(event, "", name=name)) == (400, "content_digest_mismatch")
    right = content_digest(event["body"].encode())
    assert refused(digested(event, right, right, name=name)) == (400, "content_digest_invalid")


def test_a_body_with_its_digest_or_in_base64_is_taken(keys: Keys, make_event: Event) -> None:
    event = make_event("POST", "/keys", BODY)
    assert keys.answer(digested(event, content_digest(event["body"].encode())))["statusCode"] == 201
    encoded = base64.b64encode(event["body"].encode()).decode()
    assert keys.answer(event | {"body": encoded, "isBase64Encoded": True, "multiValueHeaders": None})["statusCode"] == 201
    assert keys.answer(make_event("POST", "/keys", event["body"].ljust(64 * 1024)))["statusCode"] == 201


def rotate(aws: Callable[[str], Any], arn: str, current: str, keys: dict[str, bytes]) -> None:
    content = json.loads(aws("secretsmanager").get_secret_value(SecretId=arn)["SecretString"])
    content["assertion_keys"] = {key_id: base64.b64encode(key).decode() for key_id, key in keys.items()}
    content["current_assertion_key"] = current
    aws("secretsmanager").put_secret_value(SecretId=arn, SecretString=json.dumps(content))


def test_what_is_signed_with_the_key_before_a_rotation_is_taken_until_the_next_one(
    keys: Keys, make_event: Event, aws: Callable[[str], Any], secret_arn: str
) -> None:
    before = {"a1": b"a" * 32, "b2": b"b" * 32}
    try:
        rotate(aws, secret_arn, "b2", {"b2": b"b" * 32, "c3": b"c" * 32})
        # An authorizer that has the secret from before, or from after.
        for current in ("a1", "b2"):
            assert keys.answer(make_event(said={"keys": assertion.Keys(current, before)}))["statusCode"] == 200
        forged = make_event(said={"keys": assertion.Keys("a1", {"a1": b"x" * 32})})
        assert keys.answer(forged)["statusCode"] == 401
        rotate(aws, secret_arn, "c3", {"c3": b"c" * 32, "d4": b"d" * 32})
        assert keys.answer(make_event(said={"keys": assertion.Keys("a1", before)}))["statusCode"] == 401
    finally:
        rotate(aws, secret_arn, "a1", before)


def test_of_the_secret_before_only_the_key_that_signed_counts(
    keys: Keys, make_event: Event, aws: Callable[[str], Any], secret_arn: str
) -> None:
    before = {"a1": b"a" * 32, "b2": b"b" * 32}
    try:
        rotate(aws, secret_arn, "c3", {"c3": b"c" * 32})
        assert keys.answer(make_event(said={"keys": assertion.Keys("a1", before)}))["statusCode"] == 200
        assert keys.answer(make_event(said={"keys": assertion.Keys("b2", before)}))["statusCode"] == 401
    finally:
        rotate(aws, secret_arn, "a1", before)


def test_where_the_secret_before_cannot_be_read_the_call_has_to_be_made_again(
    keys: Keys, make_event: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert keys.answer(make_event())["statusCode"] == 200
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    answer = keys.answer(make_event(said={"keys": assertion.Keys("zz", {"zz": b"a" * 32})}))
    assert answer["statusCode"] == 503
