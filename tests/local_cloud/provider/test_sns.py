from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

TOPIC, POLICY = "aws:sns/topic:Topic", "aws:sns/topicPolicy:TopicPolicy"
SUBSCRIPTION = "aws:sns/topicSubscription:TopicSubscription"
KEY = "arn:aws:kms:us-east-1:123456789012:key/one"


def policy(topic: str, action: str, spaces: int | None = None) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": "cloudwatch.amazonaws.com"}, "Action": action, "Resource": topic}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=spaces)


def test_a_topic_is_found_as_it_was_given_and_changes_in_place(make: Callable[..., Any], cloud: Any) -> None:
    topic = make(TOPIC, name="alarms", displayName="Alarms", kmsMasterKeyId=KEY)
    assert topic.drift() == {}
    topic.update(kmsMasterKeyId=f"{KEY}-more", displayName=None, tags={"Kind": "alarms"})
    assert topic.drift() == {}
    attributes = cloud.client("sns").get_topic_attributes(TopicArn=topic.id)["Attributes"]
    assert attributes["KmsMasterKeyId"] == f"{KEY}-more"
    topic.delete()
    assert topic.read() is None


def test_a_topic_that_somebody_stopped_encrypting_is_a_difference(make: Callable[..., Any], cloud: Any) -> None:
    topic = make(TOPIC, name="bared", kmsMasterKeyId=KEY)
    cloud.client("sns").set_topic_attributes(TopicArn=topic.id, AttributeName="KmsMasterKeyId", AttributeValue="")
    assert topic.drift() == {"kmsMasterKeyId": (KEY, None)}


def test_a_policy_that_says_the_same_is_no_difference_and_a_wider_one_is(make: Callable[..., Any], cloud: Any) -> None:
    topic = make(TOPIC, name="spoken-to")
    made = make(POLICY, arn=topic.id, policy=policy(topic.id, "sns:Publish", spaces=2))
    assert made.drift() == {}
    cloud.client("sns").set_topic_attributes(
        TopicArn=topic.id, AttributeName="Policy", AttributeValue=policy(topic.id, "sns:Subscribe")
    )
    assert set(made.drift()) == {"policy"}
    made.update(policy=policy(topic.id, "sns:Publish"))
    assert made.drift() == {}


def test_a_topic_without_its_policy_is_for_its_account_alone(make: Callable[..., Any], cloud: Any) -> None:
    topic = make(TOPIC, name="quiet")
    make(POLICY, arn=topic.id, policy=policy(topic.id, "sns:Publish")).delete()
    left = json.loads(cloud.client("sns").get_topic_attributes(TopicArn=topic.id)["Attributes"]["Policy"])
    assert [statement["Condition"] for statement in left["Statement"]] == [{"StringEquals": {"AWS:SourceOwner": cloud.account}}]


def test_an_address_hears_of_a_topic_until_it_is_taken_off(make: Callable[..., Any], cloud: Any) -> None:
    topic = make(TOPIC, name="heard")
    subscription = make(SUBSCRIPTION, topic=topic.id, protocol="email", endpoint="ops@example.org")
    assert subscription.drift() == {}
    listed = cloud.client("sns").list_subscriptions_by_topic(TopicArn=topic.id)["Subscriptions"]
    assert [one["Endpoint"] for one in listed] == ["ops@example.org"]
    subscription.delete()
    assert subscription.read() is None
