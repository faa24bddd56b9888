"""Secrets, their versions, policies and rotation."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

from typing import Any, ClassVar

from local_cloud.provider.framework import (
    Aws,
    Failure,
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
class Secret(ResourceType):
    token = "aws:secretsmanager/secret:Secret"
    arguments = frozenset({"name", "description", "kmsKeyId", "recoveryWindowInDays", "tags"})
    replaces = frozenset({"name"})
    defaults: ClassVar = {"recoveryWindowInDays": 30}
    computed = frozenset({"arn"})
    unique = "name"
    autoname = "name"

    def check(self, inputs: Inputs, /) -> list[Failure]:
        days = inputs["recoveryWindowInDays"]
        if isinstance(days, int) and days != 0 and not 7 <= days <= 30:
            return [Failure("recoveryWindowInDays", f"{self.token}: recoveryWindowInDays has to be 0 or from 7 to 30")]
        return []

    @staticmethod
    def _settings(inputs: Inputs) -> dict[str, str]:
        settings = {"Description": inputs.get("description"), "KmsKeyId": inputs.get("kmsKeyId")}
        return {key: value for key, value in settings.items() if value is not None}

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        settings = self._settings(inputs)
        answer = aws.client("secretsmanager").create_secret(Name=inputs["name"], Tags=aws.tag_list(inputs), **settings)
        return answer["ARN"], {"arn": answer["ARN"]}

    def read(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("secretsmanager").describe_secret, SecretId=resource_id)
        if answer is None or answer.get("DeletedDate"):
            return None
        return {
            "name": answer["Name"],
            "description": answer.get("Description"),
            "kmsKeyId": answer.get("KmsKeyId"),
            "tagsAll": from_tag_list(answer.get("Tags")),
        }

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        manager = aws.client("secretsmanager")
        if changed(old, new, {"description", "kmsKeyId"}):
            manager.update_secret(SecretId=resource_id, **{"Description": "", **self._settings(new)})
        to_set, to_remove = tag_changes(aws, old, new)
        if to_remove:
            manager.untag_resource(SecretId=resource_id, TagKeys=to_remove)
        if to_set:
            tags = [{"Key": key, "Value": value} for key, value in to_set.items()]
            manager.tag_resource(SecretId=resource_id, Tags=tags)
        return {}

    def delete(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> None:
        days = state["recoveryWindowInDays"]
        how = {"RecoveryWindowInDays": days} if days else {"ForceDeleteWithoutRecovery": True}
        with ignoring_gone():
            aws.client("secretsmanager").delete_secret(SecretId=resource_id, **how)


@register
class SecretVersion(ResourceType):
    """One value of a secret. Another value is another version, which becomes the current one."""

    token = "aws:secretsmanager/secretVersion:SecretVersion"
    arguments = required = frozenset({"secretId", "secretString"})
    replaces = arguments
    computed = frozenset({"arn", "versionId", "versionStages"})
    secret_outputs = frozenset({"secretString"})

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        answer = aws.client("secretsmanager").put_secret_value(SecretId=inputs["secretId"], SecretString=inputs["secretString"])
        outputs = {"arn": answer["ARN"], "versionId": answer["VersionId"], "versionStages": answer["VersionStages"]}
        return f"{inputs['secretId']}|{answer['VersionId']}", outputs

    def read(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        where = {"SecretId": state["secretId"], "VersionId": state["versionId"]}
        answer = none_if_gone(aws.client("secretsmanager").get_secret_value, **where)
        return {"secretString": answer["SecretString"], "versionStages": answer["VersionStages"]} if answer else None

    def delete(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> None:
        # A version goes when it has no stage any more; AWSCURRENT cannot be taken away, it goes with the secret.
        manager, secret = aws.client("secretsmanager"), state["secretId"]
        with ignoring_gone():
            stages = manager.describe_secret(SecretId=secret).get("VersionIdsToStages", {}).get(state["versionId"], [])
            for stage in stages:
                if stage != "AWSCURRENT":
                    manager.update_secret_version_stage(
                        SecretId=secret, VersionStage=stage, RemoveFromVersionId=state["versionId"]
                    )


@register
class SecretPolicy(ResourceType):
    token = "aws:secretsmanager/secretPolicy:SecretPolicy"
    arguments = frozenset({"secretArn", "policy", "blockPublicPolicy"})
    required = frozenset({"secretArn", "policy"})
    replaces = frozenset({"secretArn"})
    defaults: ClassVar = {"blockPublicPolicy": False}
    delete_before_replace = True  # a secret has one

    @staticmethod
    def _put(aws: Aws, inputs: Inputs) -> None:
        aws.client("secretsmanager").put_resource_policy(
            SecretId=inputs["secretArn"], ResourcePolicy=inputs["policy"], BlockPublicPolicy=inputs["blockPublicPolicy"]
        )

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        self._put(aws, inputs)
        return inputs["secretArn"], {}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("secretsmanager").get_resource_policy, SecretId=resource_id)
        policy = answer.get("ResourcePolicy") if answer else None
        return {"policy": same_json(policy, state["policy"])} if policy else None

    def update(self, aws: Aws, _resource_id: str, _old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        self._put(aws, new)
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("secretsmanager").delete_resource_policy(SecretId=resource_id)


@register
class SecretRotation(ResourceType):
    """The schedule of a secret's rotation, and the function that does it. Nothing here rotates a secret at once."""

    token = "aws:secretsmanager/secretRotation:SecretRotation"
    arguments = frozenset({"secretId", "rotationLambdaArn", "rotationRules", "rotateImmediately"})
    required = frozenset({"secretId", "rotationLambdaArn", "rotationRules"})
    replaces = frozenset({"secretId"})
    nested: ClassVar = {"rotationRules": {"automaticallyAfterDays": None}}
    computed = frozenset({"rotationEnabled"})
    defaults: ClassVar = {"rotateImmediately": True}
    delete_before_replace = True  # a secret has one

    def check(self, inputs: Inputs, /) -> list[Failure]:
        if inputs["rotateImmediately"] is not False:
            return [
                Failure("rotateImmediately", f"{self.token}: the local cloud runs no rotation: rotateImmediately has to be False")
            ]
        return []

    @staticmethod
    def _put(aws: Aws, inputs: Inputs) -> None:
        aws.client("secretsmanager").rotate_secret(
            SecretId=inputs["secretId"],
            RotationLambdaARN=inputs["rotationLambdaArn"],
            RotationRules={"AutomaticallyAfterDays": inputs["rotationRules"]["automaticallyAfterDays"]},
            RotateImmediately=False,
        )

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        self._put(aws, inputs)
        return inputs["secretId"], {"rotationEnabled": True}

    def read(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("secretsmanager").describe_secret, SecretId=resource_id)
        if answer is None or not answer.get("RotationEnabled"):
            return None
        days = answer["RotationRules"]["AutomaticallyAfterDays"]
        return {"rotationLambdaArn": answer["RotationLambdaARN"], "rotationRules": {"automaticallyAfterDays": days}}

    def update(self, aws: Aws, _resource_id: str, _old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        self._put(aws, new)
        return {"rotationEnabled": True}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("secretsmanager").cancel_rotate_secret(SecretId=resource_id)
