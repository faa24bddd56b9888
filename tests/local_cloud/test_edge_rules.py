"""The edge's rules by themselves: policies, rates, throttles, paths, templates."""

import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_cloud.edge import waf
from local_cloud.edge.exchange import Exchange, Template
from local_cloud.edge.policy import InvalidAnswer, arn_matches, decide
from local_cloud.edge.throttle import Limit, TokenBucket
from local_cloud.edge.waf import WebAcl

ARN = "arn:aws:execute-api:us-east-1:123456789012:api/live/GET/items/1"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# Policies


def answer(*statements: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"principalId": "x", "policyDocument": {"Version": "2012-10-17", "Statement": list(statements)}} | changes


def allow(resource: Any = ARN, action: Any = "execute-api:Invoke", effect: str = "Allow") -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource}


@pytest.mark.parametrize(
    ("statements", "allowed"),
    [
        ([allow()], True),
        ([allow("*")], True),
        ([allow([f"{ARN}/other", ARN])], True),
        ([allow("arn:aws:execute-api:us-east-1:123456789012:api/live/*")], True),
        ([allow("arn:aws:execute-api:*:*:api/*/GET/items/?")], True),
        ([allow(action="*")], True),
        ([allow(action=["s3:GetObject", "EXECUTE-API:invoke"])], True),
        ([allow(action="execute-api:*")], True),
        ([allow(effect="Deny")], False),
        ([allow(), allow(effect="Deny")], False),
        ([allow(effect="Deny"), allow()], False),
        ([allow("*"), allow("arn:aws:execute-api:*:*:*/GET/items/*", effect="Deny")], False),
        ([allow(f"{ARN}/more")], False),
        ([allow(ARN[:-1])], False),
        ([allow(ARN.replace("/GET/", "/get/"))], False),
        ([allow("arn:aws:execute-api:us-east-1:*")], None),
        ([allow(action="s3:GetObject")], False),
        ([allow(action="execute-api:Invalidate")], False),
        ([allow(ARN.replace("/items/", "/items."))], False),
    ],
)
def test_policies_mean_what_they_mean_to_iam(statements: list[dict[str, Any]], allowed: bool | None) -> None:
    if allowed is None:
        with pytest.raises(InvalidAnswer):
            decide(answer(*statements), ARN)
    else:
        assert decide(answer(*statements), ARN).allowed is allowed


def test_a_single_statement_need_not_be_a_list() -> None:
    assert decide(answer(policyDocument={"Version": "2012-10-17", "Statement": allow()}), ARN).allowed


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [],
        "Allow",
        {},
        answer(),
        answer(allow(), principalId=""),
        answer(allow(), principalId=7),
        answer(allow(), principalId=None),
        answer(allow(), policyDocument=None),
        answer(allow(), policyDocument={"Statement": [allow()]}),
        answer(allow(), policyDocument={"Version": "2012-10-17"}),
        answer(allow(effect="allow")),
        answer(allow(resource=[])),
        answer(allow(resource=None)),
        answer(allow(resource=["*", 7])),
        answer(allow(resource=["*", "nonsense"])),
        answer(allow(action=None)),
        answer(allow() | {"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}),
        answer({"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}),
        answer({"Effect": "Allow", "Action": "*", "NotResource": "x"}),
        answer(allow(), context={"groups": ["viewer"]}),
        answer(allow(), context={"nothing": None}),
        answer(allow(), context={"more": {}}),
        answer(allow(), context="text"),
    ],
)
def test_an_answer_that_api_gateway_would_not_take_is_invalid(bad: Any) -> None:
    with pytest.raises(InvalidAnswer):
        decide(bad, ARN)


def test_context_values_become_text() -> None:
    decision = decide(answer(allow(), context={"text": "a", "number": 7, "real": 1.5, "yes": True}), ARN)
    assert decision.context == {"text": "a", "number": "7", "real": "1.5", "yes": "true"}


def test_a_pattern_of_many_wildcards_is_answered_at_once() -> None:
    began = time.process_time()
    assert not arn_matches(f"{ARN}{'*' * 14}!", f"{ARN}{'x' * 20}")
    assert not arn_matches(f"arn:aws:execute-api:us-east-1:123456789012:{'*?' * 12}!", ARN)
    assert arn_matches(f"arn:aws:execute-api:us-east-1:123456789012:{'*?' * 12}", ARN)
    assert time.process_time() - began < 0.5


@given(st.text(alphabet="ab", max_size=6), st.text(alphabet="ab*?", max_size=6))
def test_a_star_stands_for_any_text_and_a_question_mark_for_one_character(text: str, pattern: str) -> None:
    plain = pattern.replace("*", ".*").replace("?", ".")
    assert arn_matches(f"arn:::::{pattern}", f"arn:::::{text}") == bool(re.fullmatch(plain, text))


@given(st.text(alphabet="abc*?./-+()[]$^\\", max_size=12))
def test_no_pattern_without_wildcards_matches_anything_but_itself(text: str) -> None:
    other = f"{ARN}/{text}x"
    if "*" not in text and "?" not in text:
        assert not arn_matches(f"{ARN}/{text}", other)
    assert arn_matches(f"{ARN}/{text}", f"{ARN}/{text}")


# Rates


def web_acl(*rules: dict[str, Any], clock: Clock, default: str = "Allow") -> WebAcl:
    sets = {"private": ["10.0.0.0/8"], "one": ["203.0.113.7/32"], "six": ["2001:db8::/32"], "none": []}
    numbered = [{"Name": f"rule-{n}", "Priority": n, **rule} for n, rule in enumerate(rules)]
    return WebAcl({"Name": "acl", "ARN": "arn", "DefaultAction": {default: {}}, "Rules": numbered[::-1]}, sets.__getitem__, clock)


def request(source_ip: str = "10.0.0.1", **changes: Any) -> waf.Request:
    return waf.Request(**{"source_ip": source_ip, "method": "GET", "path": "/", "headers": [], "body_bytes": 0, **changes})


def member(name: str) -> dict[str, Any]:
    return {"IPSetReferenceStatement": {"ARN": name}}


def rate(limit: int, window: int = 60) -> dict[str, Any]:
    return {"RateBasedStatement": {"Limit": limit, "EvaluationWindowSec": window, "AggregateKeyType": "IP"}}


BLOCK, ALLOW, COUNT = {"Action": {"Block": {}}}, {"Action": {"Allow": {}}}, {"Action": {"Count": {}}}


def test_a_rate_is_counted_for_each_address_over_its_window() -> None:
    clock = Clock()
    acl = web_acl({"Statement": rate(3), **BLOCK}, clock=clock)
    assert [acl.evaluate(request("10.0.0.1")).allowed for _ in range(5)] == [True, True, True, False, False]
    assert acl.evaluate(request("10.0.0.2")).allowed
    clock.now += 59
    assert not acl.evaluate(request("10.0.0.1")).allowed
    clock.now += 1
    assert acl.evaluate(request("10.0.0.1")).allowed


def test_the_window_is_five_minutes_when_none_is_deployed() -> None:
    clock = Clock()
    acl = web_acl({"Statement": {"RateBasedStatement": {"Limit": 1, "AggregateKeyType": "IP"}}, **BLOCK}, clock=clock)
    acl.evaluate(request("10.0.0.1"))
    clock.now += 299
    assert not acl.evaluate(request("10.0.0.1")).allowed


def test_the_number_of_counted_addresses_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waf, "TRACKED_ADDRESSES", 10)
    counter = waf.RateCounter(1, 60, Clock())
    for n in range(100):
        counter.exceeded(waf.ipaddress.ip_address(n))
    assert len(counter._requests) == 10


def test_an_allow_ends_the_evaluation_and_a_count_does_not() -> None:
    allowing = web_acl({"Statement": member("private"), **ALLOW}, {"Statement": rate(1), **BLOCK}, clock=Clock())
    assert all(allowing.evaluate(request("10.0.0.1")).allowed for _ in range(5))
    counting = web_acl({"Statement": member("private"), **COUNT}, {"Statement": rate(1), **BLOCK}, clock=Clock())
    assert [counting.evaluate(request("10.0.0.1")).allowed for _ in range(2)] == [True, False]


def test_rules_go_by_their_priority_and_the_default_comes_last() -> None:
    acl = web_acl({"Statement": member("one"), **BLOCK}, {"Statement": member("one"), **ALLOW}, clock=Clock(), default="Block")
    assert not acl.evaluate(request("203.0.113.7")).allowed
    assert not acl.evaluate(request("203.0.113.8")).allowed


@pytest.mark.parametrize(
    ("address", "allowed"), [("10.1.2.3", True), ("2001:db8::1", True), ("203.0.113.7", False), ("2001:db9::1", False)]
)
def test_block_unless_in_a_set_of_either_family(address: str, allowed: bool) -> None:
    sets = {"OrStatement": {"Statements": [member("private"), member("six")]}}
    acl = web_acl({"Statement": {"NotStatement": {"Statement": sets}}, **BLOCK}, clock=Clock())
    assert acl.evaluate(request(address)).allowed is allowed


def test_all_parts_of_an_and_have_to_match() -> None:
    both = {"AndStatement": {"Statements": [member("private"), {"NotStatement": {"Statement": member("one")}}]}}
    acl = web_acl({"Statement": both, **BLOCK}, clock=Clock())
    assert not acl.evaluate(request("10.0.0.1")).allowed
    assert acl.evaluate(request("203.0.113.7")).allowed


# What a request says

NONE = [{"Priority": 0, "Type": "NONE"}]


def says(field: dict[str, Any], position: str, text: str, *transformations: str) -> dict[str, Any]:
    kinds = [{"Priority": n, "Type": kind} for n, kind in enumerate(transformations or ("NONE",))]
    where = {"FieldToMatch": field, "PositionalConstraint": position, "TextTransformations": kinds}
    return {"ByteMatchStatement": {"SearchString": text.encode(), **where}}


@pytest.mark.parametrize(
    ("statement", "matching", "other"),
    [
        (says({"Method": {}}, "EXACTLY", "POST"), {"method": "POST"}, {"method": "GET"}),
        (says({"UriPath": {}}, "EXACTLY", "/token"), {"path": "/token"}, {"path": "/live/token"}),
        (says({"UriPath": {}}, "ENDS_WITH", "/token"), {"path": "/live/token"}, {"path": "/token/"}),
        (says({"UriPath": {}}, "STARTS_WITH", "/live"), {"path": "/live/token"}, {"path": "/a/live"}),
        (says({"UriPath": {}}, "CONTAINS", "up"), {"path": "/uploads"}, {"path": "/u/p"}),
        (says({"UriPath": {}}, "EXACTLY", "/token"), {"path": "/token"}, {"path": "/%74oken"}),
        (says({"UriPath": {}}, "EXACTLY", "/token", "URL_DECODE"), {"path": "/%74oken"}, {"path": "/%2574oken"}),
        (says({"UriPath": {}}, "EXACTLY", "/token", "URL_DECODE", "LOWERCASE"), {"path": "/%54OKEN"}, {"path": "/tokens"}),
        (
            says({"SingleHeader": {"Name": "X-Amz-Target"}}, "ENDS_WITH", "Auth"),
            {"headers": [("x-amz-target", "Service.InitiateAuth")]},
            {"headers": [("x-other", "Auth")]},
        ),
    ],
)
def test_a_string_is_looked_for_where_the_statement_says(
    statement: dict[str, Any], matching: dict[str, Any], other: dict[str, Any]
) -> None:
    acl = web_acl({"Statement": statement, **BLOCK}, clock=Clock())
    assert not acl.evaluate(request(**matching)).allowed
    assert acl.evaluate(request(**other)).allowed


def test_a_rate_counts_only_what_is_in_its_scope() -> None:
    scoped = rate(1)
    scoped["RateBasedStatement"]["ScopeDownStatement"] = says({"UriPath": {}}, "EXACTLY", "/token")
    acl = web_acl({"Statement": scoped, **BLOCK}, clock=Clock())
    assert all(acl.evaluate(request(path="/models")).allowed for _ in range(5))
    assert [acl.evaluate(request(path="/token")).allowed for _ in range(2)] == [True, False]
    assert acl.evaluate(request(path="/models")).allowed


KB = 1024


@pytest.mark.parametrize(
    ("oversize", "limit", "size", "blocked"),
    [
        ("MATCH", "KB_64", 64 * KB, False),
        ("MATCH", "KB_64", 64 * KB + 1, True),
        ("MATCH", None, 16 * KB + 1, True),
        ("NO_MATCH", "KB_64", 64 * KB + 1, False),
        # AWS WAF compares what it was given, which is never more than the limit.
        ("CONTINUE", "KB_64", 10**6, False),
    ],
)
def test_a_body_beyond_what_is_inspected_is_what_the_statement_says(
    oversize: str, limit: str | None, size: int, blocked: bool
) -> None:
    field = {"Body": {"OversizeHandling": oversize}}
    body = {"FieldToMatch": field, "ComparisonOperator": "GT", "Size": 64 * KB, "TextTransformations": NONE}
    association = {"RequestBody": {"API_GATEWAY": {"DefaultSizeInspectionLimit": limit}}} if limit else None
    rule = {"Name": "body", "Priority": 0, "Statement": {"SizeConstraintStatement": body}, **BLOCK}
    acl = WebAcl(
        {"Name": "acl", "ARN": "arn", "DefaultAction": {"Allow": {}}, "Rules": [rule], "AssociationConfig": association},
        {}.__getitem__,
    )
    assert acl.evaluate(request(body_bytes=size)).allowed is not blocked


def test_a_smaller_body_is_compared_as_the_statement_says() -> None:
    body = {"FieldToMatch": {"Body": {}}, "ComparisonOperator": "GE", "Size": 100, "TextTransformations": NONE}
    acl = web_acl({"Statement": {"SizeConstraintStatement": body}, **BLOCK}, clock=Clock())
    assert acl.evaluate(request(body_bytes=99)).allowed
    assert not acl.evaluate(request(body_bytes=100)).allowed


# Throttles


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    clock = Clock()
    bucket = TokenBucket(Limit(2.0, 3), clock)
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    clock.now += 0.5
    assert [bucket.take() for _ in range(2)] == [True, False]
    clock.now += 100
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]


def test_a_limit_of_nothing_lets_nothing_through() -> None:
    assert not TokenBucket(Limit(0.0, 0), Clock()).take()


# Templates


def test_values_in_a_template_cannot_leave_their_string() -> None:
    exchange = Exchange(
        method="GET",
        path='/x","status":"200',
        query="",
        headers=[("User-Agent", "a\nb\\")],
        source_ip="127.0.0.1",
        protocol="HTTP/1.1",
        api=None,  # pyright: ignore[reportArgumentType] # no variable of the API is used
    )
    exchange.error_message = 'say "no"'
    template = Template('{"p":"$context.path","u":"$context.identity.userAgent","m":$context.error.messageString}', "test")
    assert template.render(exchange) == '{"p":"/x\\",\\"status\\":\\"200","u":"a\\nb\\\\","m":"say \\"no\\""}'
