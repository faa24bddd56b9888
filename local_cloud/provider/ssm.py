"""Systems Manager: parameters and documents."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

import json
from typing import Any, ClassVar

from botocore.exceptions import ClientError

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


def _is_gone_document(error: ClientError) -> bool:
    """Systems Manager has a name of its own for a document that does not exist."""
    return error.response.get("Error", {}).get("Code") == "InvalidDocument"


@register
class Document(ResourceType):
    """A document of JSON. Each change is a new version, which becomes the one that is used."""

    token = "aws:ssm/document:Document"
    arguments = frozenset({"name", "documentType", "documentFormat", "content", "tags"})
    required = frozenset({"documentType", "content"})
    replaces = frozenset({"name", "documentType", "documentFormat"})
    defaults: ClassVar = {"documentFormat": "JSON"}
    computed = frozenset({"arn", "latestVersion", "defaultVersion"})
    volatile = frozenset({"latestVersion", "defaultVersion"})
    unique = "name"
    autoname = "name"

    def check(self, inputs: Inputs, /) -> list[Failure]:
        if inputs["documentFormat"] != "JSON":
            return [Failure("documentFormat", f"{self.token}: the local cloud takes JSON only")]
        if isinstance(inputs["content"], str):
            try:
                json.loads(inputs["content"])
            except ValueError:
                return [Failure("content", f"{self.token}: the content is no JSON")]
        return []

    @staticmethod
    def _outputs(aws: Aws, document: dict[str, Any]) -> dict[str, Any]:
        return {
            "arn": aws.arn("ssm", f"document/{document['Name']}"),
            "latestVersion": document["LatestVersion"],
            "defaultVersion": document["DefaultVersion"],
        }

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        made = aws.client("ssm").create_document(
            Name=inputs["name"],
            DocumentType=inputs["documentType"],
            DocumentFormat=inputs["documentFormat"],
            Content=inputs["content"],
            Tags=aws.tag_list(inputs),
        )["DocumentDescription"]
        return inputs["name"], self._outputs(aws, made)

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        ssm = aws.client("ssm")
        try:
            described = ssm.describe_document(Name=resource_id)["Document"]
        except ClientError as error:
            if not _is_gone_document(error):
                raise
            return None
        return {
            "documentType": described["DocumentType"],
            "documentFormat": described["DocumentFormat"],
            "content": same_json(ssm.get_document(Name=resource_id)["Content"], state["content"]),
            "tagsAll": _tags_of(aws, "Document", resource_id),
            **self._outputs(aws, described),
        }

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        ssm = aws.client("ssm")
        _update_tags(aws, "Document", resource_id, old, new)
        if changed(old, new, {"content"}):
            made = ssm.update_document(
                Name=resource_id, Content=new["content"], DocumentFormat=new["documentFormat"], DocumentVersion="$LATEST"
            )["DocumentDescription"]
            ssm.update_document_default_version(Name=resource_id, DocumentVersion=made["LatestVersion"])
        return self._outputs(aws, ssm.describe_document(Name=resource_id)["Document"])

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        try:
            aws.client("ssm").delete_document(Name=resource_id)
        except ClientError as error:
            if not _is_gone_document(error):
                raise
