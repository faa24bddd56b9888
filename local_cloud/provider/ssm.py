"""Systems Manager: parameters."""
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
    tag_changes,
)
from local_cloud.provider.names import given, live

PARAMETER_TYPES = ("String", "StringList", "SecureString")


def _tags_of(aws: Aws, kind: str, name: str) -> dict[str, str]:
    return from_tag_list(aws.client("ssm").list_tags_for_resource(ResourceType=kind, ResourceId=name)["TagList"])


def _update_tags(aws: Aws, kind: str, name: str, old: dict[str, Any], new: Inputs) -> None:
    ssm, (to_set, to_remove) = aws.client("ssm"), tag_changes(aws, old, new)
    if to_remove:
        ssm.remove_tags_from_resource(ResourceType=kind, ResourceId=name, TagKeys=to_remove)
    if to_set:
        tags = [{"Key": key, "Value": value} for key, value in to_set.items()]
        ssm.add_tags_to_resource(ResourceType=kind, ResourceId=name, Tags=tags)


@register
class Parameter(ResourceType):
    """A value under a name. An update writes a new version, as AWS does, with the value that the program gives."""

    token = "aws:ssm/parameter:Parameter"
    arguments = frozenset({"name", "type", "value", "description", "keyId", "tier", "tags"})
    required = frozenset({"type", "value"})
    replaces = frozenset({"name", "type"})
    defaults: ClassVar = {"tier": "Standard"}
    computed = frozenset({"arn", "version"})
    volatile = frozenset({"version"})
    secret_outputs = frozenset({"value"})
    unique = "name"
    autoname = "name"

    def check(self, inputs: Inputs, /) -> list[Failure]:
        kind = inputs["type"]
        if isinstance(kind, str) and kind not in PARAMETER_TYPES:
            return [Failure("type", f"{self.token}: the type has to be one of {', '.join(PARAMETER_TYPES)}")]
        if isinstance(kind, str) and kind != "SecureString" and "keyId" in inputs:
            return [Failure("keyId", f"{self.token}: only a SecureString has a keyId")]
        return []

    @staticmethod
    def _settings(inputs: Inputs) -> dict[str, Any]:
        return given(
            Name=inputs["name"],
            Type=inputs["type"],
            Value=inputs["value"],
            Description=inputs.get("description"),
            KeyId=inputs.get("keyId"),
            Tier=inputs["tier"],
        )

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        # Without Overwrite AWS refuses a name that is taken, instead of putting another value into somebody's parameter.
        made = aws.client("ssm").put_parameter(**self._settings(inputs), Tags=aws.tag_list(inputs))
        return inputs["name"], {"arn": self._arn(aws, inputs["name"]), "version": made["Version"]}

    @staticmethod
    def _arn(aws: Aws, name: str) -> str:
        return aws.arn("ssm", f"parameter/{name.removeprefix('/')}")

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        ssm = aws.client("ssm")
        answer = none_if_gone(ssm.get_parameter, Name=resource_id, WithDecryption=True)
        if answer is None:
            return None
        parameter, named = answer["Parameter"], [{"Key": "Name", "Option": "Equals", "Values": [resource_id]}]
        described = ssm.describe_parameters(ParameterFilters=named)["Parameters"][0]
        return {
            "arn": self._arn(aws, resource_id),
            "name": parameter["Name"],
            "type": parameter["Type"],
            "value": parameter["Value"],
            "version": parameter["Version"],
            "tagsAll": _tags_of(aws, "Parameter", resource_id),
            **live(state, description=described.get("Description"), keyId=described.get("KeyId"), tier=described.get("Tier")),
        }

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        _update_tags(aws, "Parameter", resource_id, old, new)
        if not changed(old, new, self.arguments - {"tags"}):
            return {}
        # What is left out stays as it is: an empty description has to be said.
        settings = {"Description": "", **self._settings(new)}
        return {"version": aws.client("ssm").put_parameter(**settings, Overwrite=True)["Version"]}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("ssm").delete_parameter(Name=resource_id)
