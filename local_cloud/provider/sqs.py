"""SQS queues and their policies."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

from typing import Any, ClassVar

from local_cloud.provider.framework import (
    Aws,
    Inputs,
    ResourceType,
    changed,
    ignoring_gone,
    none_if_gone,
    register,
    same_json,
    tag_changes,
)


@register
class Queue(ResourceType):
    token = "aws:sqs/queue:Queue"
    _attributes: ClassVar = {
        "delaySeconds": "DelaySeconds",
        "kmsMasterKeyId": "KmsMasterKeyId",
        "kmsDataKeyReusePeriodSeconds": "KmsDataKeyReusePeriodSeconds",
        "maxMessageSize": "MaximumMessageSize",
        "messageRetentionSeconds": "MessageRetentionPeriod",
        "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
        "redrivePolicy": "RedrivePolicy",
        "visibilityTimeoutSeconds": "VisibilityTimeout",
    }
    arguments = frozenset({"name", "tags", *_attributes})
    replaces = frozenset({"name"})
    # SetQueueAttributes documents these as what a queue has when nothing is said.
    defaults: ClassVar = {
        "delaySeconds": 0,
        "messageRetentionSeconds": 345600,
        "receiveWaitTimeSeconds": 0,
        "visibilityTimeoutSeconds": 30,
    }
    computed = frozenset({"arn", "url"})
    unique = "name"
    autoname = "name"

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        attributes = {key: str(inputs[name]) for name, key in self._attributes.items() if name in inputs}
        url = aws.client("sqs").create_queue(QueueName=inputs["name"], Attributes=attributes, tags=aws.tags(inputs))["QueueUrl"]
        return url, {"url": url, "arn": aws.arn("sqs", inputs["name"])}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        sqs = aws.client("sqs")
        answer = none_if_gone(sqs.get_queue_attributes, QueueUrl=resource_id, AttributeNames=["All"])
        if answer is None:
            return None
        attributes, live = answer["Attributes"], {}
        for name, key in self._attributes.items():
            value = attributes.get(key)
            if name == "redrivePolicy":
                live[name] = same_json(value, state.get(name)) if value else None
            elif name in state or name in self.defaults:
                live[name] = int(value) if value and value.isdigit() else value
        tags = sqs.list_queue_tags(QueueUrl=resource_id).get("Tags", {})
        return {**live, "arn": attributes["QueueArn"], "tagsAll": tags}

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        sqs, differing = aws.client("sqs"), changed(old, new, set(self._attributes))
        if differing:
            # An empty text removes an attribute.
            attributes = {self._attributes[name]: str(new.get(name, "")) for name in differing}
            sqs.set_queue_attributes(QueueUrl=resource_id, Attributes=attributes)
        to_set, to_remove = tag_changes(aws, old, new)
        if to_remove:
            sqs.untag_queue(QueueUrl=resource_id, TagKeys=to_remove)
        if to_set:
            sqs.tag_queue(QueueUrl=resource_id, Tags=to_set)
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("sqs").delete_queue(QueueUrl=resource_id)


class _QueueDocument(ResourceType):
    """A JSON document that is one attribute of a queue."""

    replaces = frozenset({"queueUrl"})
    delete_before_replace = True  # a queue has one
    _argument: ClassVar[str]
    _attribute: ClassVar[str]

    def _put(self, aws: Aws, url: str, document: str) -> None:
        aws.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={self._attribute: document})

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        self._put(aws, inputs["queueUrl"], inputs[self._argument])
        return inputs["queueUrl"], {}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("sqs").get_queue_attributes, QueueUrl=resource_id, AttributeNames=["All"])
        document = answer["Attributes"].get(self._attribute) if answer else None
        return {self._argument: same_json(document, state[self._argument])} if document else None

    def update(self, aws: Aws, resource_id: str, _old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        self._put(aws, resource_id, new[self._argument])
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            self._put(aws, resource_id, "")


@register
class QueuePolicy(_QueueDocument):
    token = "aws:sqs/queuePolicy:QueuePolicy"
    arguments = required = frozenset({"queueUrl", "policy"})
    _argument, _attribute = "policy", "Policy"


@register
class RedriveAllowPolicy(_QueueDocument):
    token = "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy"
    arguments = required = frozenset({"queueUrl", "redriveAllowPolicy"})
    _argument, _attribute = "redriveAllowPolicy", "RedriveAllowPolicy"
