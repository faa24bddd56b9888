from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from local_cloud.provider.framework import Refused

RULE, TARGET = "aws:cloudwatch/eventRule:EventRule", "aws:cloudwatch/eventTarget:EventTarget"
PATTERN = json.dumps({"source": ["aws.guardduty"]})


def test_an_event_that_matches_the_rule_reaches_its_target_and_others_do_not(make: Callable[..., Any], cloud: Any) -> None:
    queue = make("aws:sqs/queue:Queue", name="events")
    pattern = json.dumps({"source": ["test"], "detail": {"key": [{"prefix": "uploads/"}]}})
    rule = make(RULE, name="results", description="Results", eventPattern=pattern)
    target = make(TARGET, rule="results", targetId="work", arn=queue.state["arn"])
    assert rule.drift() == target.drift() == {}
    for key in ("uploads/1", "results/1"):
        entry = {"Source": "test", "DetailType": "Result", "Detail": json.dumps({"key": key})}
        cloud.client("events").put_events(Entries=[entry])
    messages = cloud.client("sqs").receive_message(QueueUrl=queue.id, MaxNumberOfMessages=10)["Messages"]
    assert [json.loads(message["Body"])["detail"] for message in messages] == [{"key": "uploads/1"}]


def test_a_rule_follows_the_program_and_keeps_its_targets(make: Callable[..., Any]) -> None:
    queue = make("aws:sqs/queue:Queue", name="kept")
    rule = make(RULE, name="changed", eventPattern=PATTERN, tags={"a": "1"})
    target = make(TARGET, rule="changed", targetId="work", arn=queue.state["arn"])
    rule.update(eventPattern=json.dumps({"source": ["other"]}), tags={"b": "2"}, description="Other")
    assert rule.drift() == target.drift() == {}
    other = make("aws:sqs/queue:Queue", name="other")
    target.update(arn=other.state["arn"])
    assert target.drift() == {}
    target.delete()
    assert target.read() is None
    rule.delete()
    assert rule.read() is None


def test_a_rule_that_is_there_already_is_not_taken_over(make: Callable[..., Any]) -> None:
    make(RULE, name="twice", eventPattern=PATTERN)
    with pytest.raises(Refused, match="the rule twice is there already"):
        make(RULE, name="twice", eventPattern=PATTERN)


def test_a_rule_may_be_a_schedule_and_needs_to_be_something(make: Callable[..., Any], cloud: Any) -> None:
    rule = make(RULE, name="often", scheduleExpression="rate(5 minutes)")
    assert rule.drift() == {}
    rule.update(scheduleExpression="rate(1 hour)", description="Seldom")
    assert rule.drift() == {}
    assert cloud.client("events").describe_rule(Name="often")["ScheduleExpression"] == "rate(1 hour)"
    with pytest.raises(AssertionError, match="needs an eventPattern or a scheduleExpression"):
        make(RULE, name="never")
