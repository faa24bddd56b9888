"""ECR repositories and their lifecycle policies."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

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
class Repository(ResourceType):
    token = "aws:ecr/repository:Repository"
    arguments = frozenset(
        {"name", "forceDelete", "imageTagMutability", "imageScanningConfiguration", "encryptionConfigurations", "tags"}
    )
    replaces = frozenset({"name", "encryptionConfigurations"})
    nested: ClassVar = {
        "imageScanningConfiguration": {"scanOnPush": None},
        "encryptionConfigurations": {"encryptionType": None, "kmsKey": None},
    }
    defaults: ClassVar = {"forceDelete": False, "imageTagMutability": "MUTABLE"}
    computed = frozenset({"arn", "registryId", "repositoryUrl"})
    unique = "name"
    autoname = "name"

    @staticmethod
    def _scanning(inputs: Inputs) -> dict[str, bool]:
        return {"scanOnPush": (inputs.get("imageScanningConfiguration") or {}).get("scanOnPush", False)}

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        encryption = inputs.get("encryptionConfigurations")
        optional = {"encryptionConfiguration": encryption[0]} if encryption else {}
        repository = aws.client("ecr").create_repository(
            repositoryName=inputs["name"],
            imageTagMutability=inputs["imageTagMutability"],
            imageScanningConfiguration=self._scanning(inputs),
            tags=aws.tag_list(inputs),
            **optional,
        )["repository"]
        return inputs["name"], {
            "arn": repository["repositoryArn"],
            "registryId": repository["registryId"],
            "repositoryUrl": repository["repositoryUri"],
        }

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        ecr = aws.client("ecr")
        answer = none_if_gone(ecr.describe_repositories, repositoryNames=[resource_id])
        if answer is None:
            return None
        repository = answer["repositories"][0]
        live: dict[str, Any] = {
            "imageTagMutability": repository["imageTagMutability"],
            "tagsAll": from_tag_list(ecr.list_tags_for_resource(resourceArn=state["arn"])["tags"]),
        }
        if repository["imageScanningConfiguration"] != self._scanning(state):
            live["imageScanningConfiguration"] = repository["imageScanningConfiguration"]
        return live

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        ecr, differing = aws.client("ecr"), changed(old, new, self.arguments)
        if "imageTagMutability" in differing:
            ecr.put_image_tag_mutability(repositoryName=resource_id, imageTagMutability=new["imageTagMutability"])
        if "imageScanningConfiguration" in differing:
            ecr.put_image_scanning_configuration(repositoryName=resource_id, imageScanningConfiguration=self._scanning(new))
        to_set, to_remove = tag_changes(aws, old, new)
        if to_remove:
            ecr.untag_resource(resourceArn=old["arn"], tagKeys=to_remove)
        if to_set:
            ecr.tag_resource(resourceArn=old["arn"], tags=[{"Key": key, "Value": value} for key, value in to_set.items()])
        return {}

    def delete(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("ecr").delete_repository(repositoryName=resource_id, force=state.get("forceDelete", False))


@register
class LifecyclePolicy(ResourceType):
    token = "aws:ecr/lifecyclePolicy:LifecyclePolicy"
    arguments = required = frozenset({"repository", "policy"})
    replaces = frozenset({"repository"})
    computed = frozenset({"registryId"})
    delete_before_replace = True  # a repository has one

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        answer = aws.client("ecr").put_lifecycle_policy(repositoryName=inputs["repository"], lifecyclePolicyText=inputs["policy"])
        return inputs["repository"], {"registryId": answer["registryId"]}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("ecr").get_lifecycle_policy, repositoryName=resource_id)
        return {"policy": same_json(answer["lifecyclePolicyText"], state["policy"])} if answer else None

    def update(self, aws: Aws, resource_id: str, _old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        aws.client("ecr").put_lifecycle_policy(repositoryName=resource_id, lifecyclePolicyText=new["policy"])
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("ecr").delete_lifecycle_policy(repositoryName=resource_id)
