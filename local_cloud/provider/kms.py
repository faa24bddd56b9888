"""KMS keys and their aliases."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

from typing import Any, ClassVar

from local_cloud.provider.framework import (
    Aws,
    Failure,
    Inputs,
    ResourceType,
    changed,
    ignoring_gone,
    none_if_gone,
    register,
    same_json,
    tag_changes,
    undoing,
)

DEFAULT_DELETION_DAYS = 30
SYMMETRIC = "SYMMETRIC_DEFAULT"
"""The one kind of key that KMS rotates."""


@register
class Key(ResourceType):
    token = "aws:kms/key:Key"
    arguments = frozenset(
        {
            *("description", "policy", "enableKeyRotation", "deletionWindowInDays", "isEnabled", "tags"),
            *("keyUsage", "customerMasterKeySpec"),
        }
    )
    replaces = frozenset({"keyUsage", "customerMasterKeySpec"})
    defaults: ClassVar = {
        "description": "",
        "enableKeyRotation": False,
        "isEnabled": True,
        "keyUsage": "ENCRYPT_DECRYPT",
        "customerMasterKeySpec": SYMMETRIC,
    }
    computed = frozenset({"arn", "keyId", "policy"})

    def check(self, inputs: Inputs, /) -> list[Failure]:
        days = inputs.get("deletionWindowInDays")
        if isinstance(days, int) and not 7 <= days <= 30:
            return [Failure("deletionWindowInDays", f"{self.token}: deletionWindowInDays has to be from 7 to 30")]
        if inputs["enableKeyRotation"] is True and inputs["customerMasterKeySpec"] != SYMMETRIC:
            return [Failure("enableKeyRotation", f"{self.token}: KMS rotates no key of another kind than {SYMMETRIC}")]
        return []

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        kms = aws.client("kms")
        tags = [{"TagKey": key, "TagValue": value} for key, value in aws.tags(inputs).items()]
        policy = {"Policy": inputs["policy"]} if "policy" in inputs else {}
        kind = {"KeyUsage": inputs["keyUsage"], "KeySpec": inputs["customerMasterKeySpec"]}
        key = kms.create_key(Description=inputs["description"], Tags=tags, **kind, **policy)["KeyMetadata"]
        with undoing(lambda: self.delete(aws, key["KeyId"], inputs)):
            self._set_state(aws, key["KeyId"], inputs, {"enableKeyRotation", "isEnabled"})
            return key["KeyId"], {"arn": key["Arn"], "keyId": key["KeyId"], "policy": self._policy(aws, key["KeyId"], inputs)}

    @staticmethod
    def _policy(aws: Aws, key_id: str, inputs: Inputs) -> str:
        live = aws.client("kms").get_key_policy(KeyId=key_id, PolicyName="default")["Policy"]
        return same_json(live, inputs.get("policy"))

    @staticmethod
    def _set_state(aws: Aws, key_id: str, inputs: Inputs, arguments: set[str]) -> None:
        kms = aws.client("kms")
        if "enableKeyRotation" in arguments and inputs["customerMasterKeySpec"] == SYMMETRIC:
            (kms.enable_key_rotation if inputs["enableKeyRotation"] else kms.disable_key_rotation)(KeyId=key_id)
        if "isEnabled" in arguments:
            (kms.enable_key if inputs["isEnabled"] else kms.disable_key)(KeyId=key_id)

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        kms = aws.client("kms")
        answer = none_if_gone(kms.describe_key, KeyId=resource_id)
        if answer is None or answer["KeyMetadata"]["KeyState"] == "PendingDeletion":
            return None
        tags = kms.list_resource_tags(KeyId=resource_id).get("Tags", [])
        return {
            "arn": answer["KeyMetadata"]["Arn"],
            "keyId": resource_id,
            "description": answer["KeyMetadata"]["Description"],
            "isEnabled": answer["KeyMetadata"]["Enabled"],
            "keyUsage": answer["KeyMetadata"]["KeyUsage"],
            "customerMasterKeySpec": answer["KeyMetadata"]["KeySpec"],
            "enableKeyRotation": answer["KeyMetadata"]["KeySpec"] == SYMMETRIC
            and kms.get_key_rotation_status(KeyId=resource_id)["KeyRotationEnabled"],
            "policy": self._policy(aws, resource_id, state),
            "tagsAll": {tag["TagKey"]: tag["TagValue"] for tag in tags},
        }

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        kms, differing = aws.client("kms"), changed(old, new, self.arguments)
        if "description" in differing:
            kms.update_key_description(KeyId=resource_id, Description=new["description"])
        if "policy" in differing and "policy" in new:
            kms.put_key_policy(KeyId=resource_id, PolicyName="default", Policy=new["policy"])
        self._set_state(aws, resource_id, new, differing)
        to_set, to_remove = tag_changes(aws, old, new)
        if to_remove:
            kms.untag_resource(KeyId=resource_id, TagKeys=to_remove)
        if to_set:
            kms.tag_resource(KeyId=resource_id, Tags=[{"TagKey": key, "TagValue": value} for key, value in to_set.items()])
        return {"policy": self._policy(aws, resource_id, new)}

    def delete(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> None:
        # AWS keeps a key for days before it is gone; so does the emulation.
        days = state.get("deletionWindowInDays", DEFAULT_DELETION_DAYS)
        with ignoring_gone():
            aws.client("kms").schedule_key_deletion(KeyId=resource_id, PendingWindowInDays=days)


@register
class Alias(ResourceType):
    token = "aws:kms/alias:Alias"
    arguments = frozenset({"name", "targetKeyId"})
    required = frozenset({"name", "targetKeyId"})
    replaces = frozenset({"name"})
    computed = frozenset({"arn", "targetKeyArn"})
    volatile = frozenset({"targetKeyArn"})
    unique = "name"

    def check(self, inputs: Inputs, /) -> list[Failure]:
        name = inputs["name"]
        if isinstance(name, str) and not name.startswith("alias/"):
            return [Failure("name", f'{self.token}: the name has to begin with "alias/"')]
        return []

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        aws.client("kms").create_alias(AliasName=inputs["name"], TargetKeyId=inputs["targetKeyId"])
        return inputs["name"], self._outputs(aws, inputs)

    @staticmethod
    def _outputs(aws: Aws, inputs: Inputs) -> dict[str, Any]:
        key = aws.client("kms").describe_key(KeyId=inputs["targetKeyId"])["KeyMetadata"]
        return {"arn": aws.arn("kms", inputs["name"]), "targetKeyArn": key["Arn"]}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        pages = aws.client("kms").get_paginator("list_aliases").paginate()
        found = next((alias for page in pages for alias in page["Aliases"] if alias["AliasName"] == resource_id), None)
        if found is None:
            return None
        target = found["TargetKeyId"]
        # The program may give the key by its ARN.
        return {"name": resource_id, "targetKeyId": state["targetKeyId"] if state["targetKeyId"].endswith(target) else target}

    def update(self, aws: Aws, _resource_id: str, _old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        aws.client("kms").update_alias(AliasName=new["name"], TargetKeyId=new["targetKeyId"])
        return self._outputs(aws, new)

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("kms").delete_alias(AliasName=resource_id)
