"""Launch templates: what the instances of a group are."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from local_cloud.provider.ec2 import Ec2Type, live_tags, tag_specification
from local_cloud.provider.framework import MAP, Aws, Inputs, Refused, ignoring_gone, none_if_gone, register
from local_cloud.provider.names import given, one, to_aws

# Settings that are true or false in AWS and texts in Pulumi, where none stands for AWS's default.
SWITCHES = frozenset({"ebsOptimized", "encrypted", "deleteOnTermination", "associatePublicIpAddress"})


def _switched(value: Any, name: str = "") -> Any:
    if isinstance(value, Mapping):
        return {key: _switched(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_switched(item) for item in value]
    return value == "true" if name in SWITCHES and isinstance(value, str) else value


@register
class LaunchTemplate(Ec2Type):
    """Each change is a new version. AWS keeps the old ones, and does not change them."""

    token = "aws:ec2/launchTemplate:LaunchTemplate"
    _data = frozenset({"imageId", "instanceType", "ebsOptimized", "disableApiTermination", "userData"})
    nested: ClassVar = {
        "iamInstanceProfile": {"arn": None, "name": None},
        "metadataOptions": {
            "httpEndpoint": None,
            "httpTokens": None,
            "httpPutResponseHopLimit": None,
            "instanceMetadataTags": None,
        },
        "monitoring": {"enabled": None},
        "blockDeviceMappings": {
            "deviceName": None,
            "ebs": {"encrypted": None, "volumeSize": None, "volumeType": None, "deleteOnTermination": None},
        },
        "networkInterfaces": {
            "deviceIndex": None,
            "associatePublicIpAddress": None,
            "securityGroups": None,
            "deleteOnTermination": None,
        },
        "tagSpecifications": {"resourceType": None, "tags": MAP},
    }
    arguments = frozenset({"name", "updateDefaultVersion", "tags", *_data, *nested})
    replaces = frozenset({"name"})
    defaults: ClassVar = {"updateDefaultVersion": False}
    computed = frozenset({"arn", "latestVersion", "defaultVersion"})
    volatile = frozenset({"latestVersion", "defaultVersion"})
    unique = "name"
    autoname = "name"

    def _template(self, inputs: Inputs) -> dict[str, Any]:
        single = {name: one(inputs.get(name)) for name in ("iamInstanceProfile", "metadataOptions", "monitoring")}
        interfaces = to_aws(_switched(inputs.get("networkInterfaces")), {"securityGroups": "Groups"})
        tagged = [
            {
                "ResourceType": kind["resourceType"],
                "Tags": [{"Key": key, "Value": value} for key, value in (kind.get("tags") or {}).items()],
            }
            for kind in inputs.get("tagSpecifications") or []
        ]
        plain = {name: inputs.get(name) for name in self._data}
        return given(
            **to_aws(_switched({**plain, **single})),
            BlockDeviceMappings=to_aws(_switched(inputs.get("blockDeviceMappings"))),
            NetworkInterfaces=interfaces,
            TagSpecifications=tagged or None,
        )

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        template = aws.client("ec2").create_launch_template(
            LaunchTemplateName=inputs["name"],
            LaunchTemplateData=self._template(inputs),
            TagSpecifications=tag_specification(aws, "launch-template", inputs),
        )["LaunchTemplate"]
        return template["LaunchTemplateId"], self._outputs(aws, template)

    @staticmethod
    def _outputs(aws: Aws, template: dict[str, Any]) -> dict[str, Any]:
        return {
            "arn": aws.arn("ec2", f"launch-template/{template['LaunchTemplateId']}"),
            "latestVersion": template["LatestVersionNumber"],
            "defaultVersion": template["DefaultVersionNumber"],
        }

    @staticmethod
    def _describe(aws: Aws, template_id: str) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("ec2").describe_launch_templates, LaunchTemplateIds=[template_id])
        return answer["LaunchTemplates"][0] if answer and answer["LaunchTemplates"] else None

    def _modify(self, aws: Aws, resource_id: str, differing: set[str], _old: dict[str, Any], new: Inputs, /) -> None:
        if differing - {"updateDefaultVersion"}:
            version = aws.client("ec2").create_launch_template_version(
                LaunchTemplateId=resource_id, LaunchTemplateData=self._template(new)
            )["LaunchTemplateVersion"]["VersionNumber"]
            if new["updateDefaultVersion"]:
                aws.client("ec2").modify_launch_template(LaunchTemplateId=resource_id, DefaultVersion=str(version))

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        super().update(aws, resource_id, old, new)
        template = self._describe(aws, resource_id)
        if template is None:
            raise Refused("is gone: run a refresh")
        return self._outputs(aws, template)

    def read(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> dict[str, Any] | None:
        template = self._describe(aws, resource_id)
        if template is None:
            return None
        return {"name": template["LaunchTemplateName"], **self._outputs(aws, template), **live_tags(template)}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("ec2").delete_launch_template(LaunchTemplateId=resource_id)
