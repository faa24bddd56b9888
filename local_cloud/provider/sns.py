"""SNS topics, their policies and who hears of what they say."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

import json
from typing import Any, ClassVar

from local_cloud.provider.framework import (
    Aws,
    Inputs,
    ResourceType,
    changed,
    from_tag_list,
    ignoring_gone,
    none_if_gone,
    register,
    same_json,
    tag_changes,
)


@register
class Topic(ResourceType):
    token = "aws:sns/topic:Topic"
    _attributes: ClassVar = {"displayName": "DisplayName", "kmsMasterKeyId": "KmsMasterKeyId"}
    arguments = frozenset({"name", "tags", *_attributes})
    replaces = frozenset({"name"})
    computed = frozenset({"arn", "owner"})
    unique = "name"
    autoname = "name"

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        attributes = {key: inputs[name] for name, key in self._attributes.items() if name in inputs}
        arn = aws.client("sns").create_topic(Name=inputs["name"], Attributes=attributes, Tags=aws.tag_list(inputs))["TopicArn"]
        return arn, {"arn": arn, "owner": aws.account}

    def read(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> dict[str, Any] | None:
        sns = aws.client("sns")
        answer = none_if_gone(sns.get_topic_attributes, TopicArn=resource_id)
        if answer is None:
            return None
        live = {name: answer["Attributes"].get(key) or None for name, key in self._attributes.items()}
        tags = sns.list_tags_for_resource(ResourceArn=resource_id)["Tags"]
        return {**live, "arn": resource_id, "owner": answer["Attributes"]["Owner"], "tagsAll": from_tag_list(tags)}

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        sns = aws.client("sns")
        for name in sorted(changed(old, new, set(self._attributes))):
            # An empty text takes the attribute away.
            sns.set_topic_attributes(TopicArn=resource_id, AttributeName=self._attributes[name], AttributeValue=new.get(name, ""))
        to_set, to_remove = tag_changes(aws, old, new)
        if to_remove:
            sns.untag_resource(ResourceArn=resource_id, TagKeys=to_remove)
        if to_set:
            sns.tag_resource(ResourceArn=resource_id, Tags=[{"Key": key, "Value": value} for key, value in to_set.items()])
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("sns").delete_topic(TopicArn=resource_id)


@register
class TopicPolicy(ResourceType):
    token = "aws:sns/topicPolicy:TopicPolicy"
    arguments = required = frozenset({"arn", "policy"})
    replaces = frozenset({"arn"})
    computed = frozenset({"owner"})
    delete_before_replace = True  # a topic has one

    @staticmethod
    def _put(aws: Aws, arn: str, policy: str) -> None:
        aws.client("sns").set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=policy)

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        self._put(aws, inputs["arn"], inputs["policy"])
        return inputs["arn"], {"owner": aws.account}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("sns").get_topic_attributes, TopicArn=resource_id)
        if answer is None:
            return None
        return {"arn": resource_id, "policy": same_json(answer["Attributes"]["Policy"], state.get("policy"))}

    def update(self, aws: Aws, resource_id: str, _old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        self._put(aws, resource_id, new["policy"])
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        # A topic is never without a policy: what is left is the one that a new topic gets, which is for its account alone.
        statement = {
            "Sid": "__default_statement_ID",
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": ["SNS:Publish", "SNS:Subscribe", "SNS:GetTopicAttributes", "SNS:SetTopicAttributes", "SNS:DeleteTopic"],
            "Resource": resource_id,
            "Condition": {"StringEquals": {"AWS:SourceOwner": aws.account}},
        }
        with ignoring_gone():
            self._put(aws, resource_id, json.dumps({"Version": "2008-10-17", "Statement": [statement]}))


@register
class TopicSubscription(ResourceType):
    token = "aws:sns/topicSubscription:TopicSubscription"
    arguments = required = frozenset({"topic", "protocol", "endpoint"})
    replaces = arguments
    computed = frozenset({"arn", "ownerId", "pendingConfirmation"})

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        arn = aws.client("sns").subscribe(
            TopicArn=inputs["topic"], Protocol=inputs["protocol"], Endpoint=inputs["endpoint"], ReturnSubscriptionArn=True
        )["SubscriptionArn"]
        live = self._live(aws, arn)
        return arn, {name: live[name] for name in self.computed}

    @staticmethod
    def _live(aws: Aws, arn: str) -> dict[str, Any]:
        attributes = aws.client("sns").get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
        return {
            "arn": arn,
            "topic": attributes["TopicArn"],
            "protocol": attributes["Protocol"],
            "endpoint": attributes["Endpoint"],
            "ownerId": attributes["Owner"],
            "pendingConfirmation": attributes["PendingConfirmation"] == "true",
        }

    def read(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> dict[str, Any] | None:
        return none_if_gone(self._live, aws=aws, arn=resource_id)

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("sns").unsubscribe(SubscriptionArn=resource_id)
