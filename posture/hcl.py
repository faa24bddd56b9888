"""A plan written down as Terraform's HCL, for scanners that read nothing else.

Resources refer to each other as they do in the program, so that what a scanner checks across resources can be seen. The text is
for reading: nothing is ever deployed from it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pulumi.runtime import rpc

from posture.plan import Plan, Registration

# Where Terraform's name of a type is not its module and its own name in snake case.
PREFIXES = {
    "apigateway": "api_gateway_",
    "cloudtrail": "",
    "ec2": "",
    "ec2clientvpn": "ec2_client_vpn_",
    "lb": "lb_",
    "s3": "s3_",
    "vpc": "vpc_",
}
NAMES = {
    "apigateway/response:Response": "aws_api_gateway_gateway_response",
    "cloudtrail/trail:Trail": "aws_cloudtrail",
    "lb/loadBalancer:LoadBalancer": "aws_lb",
    "s3/bucketObjectv2:BucketObjectv2": "aws_s3_object",
    "appautoscaling/scheduledAction:ScheduledAction": "aws_appautoscaling_scheduled_action",
}
ARGUMENTS = {
    "restApi": "rest_api_id",
    "deployment": "deployment_id",
    "function": "function_name",
    "key": "key",
}
FUNCTION_NAME = {"lambda/function:Function": {"name": "function_name"}}
# What others refer to by a name that the program gives itself.
NAMED_BY = {"aws:s3/bucket:Bucket": "bucket", "aws:apigateway/stage:Stage": "stageName"}
# Values that are maps, and not nested blocks.
MAPS = {
    "tags", "variables", "requestParameters", "responseParameters", "responseTemplates", "requestModels", "triggers",
    "dimensions", "providerDetails", "attributeMapping", "defaultTags",
}  # fmt: skip
# Lists of blocks that Terraform calls by the plural as well.
PLURAL_BLOCKS = {
    "blockDeviceMappings", "networkInterfaces", "tagSpecifications", "ingress", "egress", "redactedFields", "apiStages",
}  # fmt: skip


def type_name(resource: Registration) -> str:
    """Terraform's name of the type: ``aws_s3_bucket``."""
    token = resource.type.removeprefix("aws:")
    if token in NAMES:
        return NAMES[token]
    module, _, type_ = token.partition("/")
    return f"aws_{PREFIXES.get(module, module + '_')}{snake(type_.partition(':')[0])}"


def snake(name: str) -> str:
    """``kmsKeyId`` as ``kms_key_id``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def singular(name: str) -> str:
    """The name of one of a list of blocks."""
    if name in PLURAL_BLOCKS:
        return snake(name)
    for ending, short in (("ies", "y"), ("iases", "ias"), ("xes", "x"), ("s", "")):
        if name.endswith(ending) and not name.endswith("ss"):
            return snake(name.removesuffix(ending) + short)
    return snake(name)


def label(resource: Registration) -> str:
    """The name of a resource within its type."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", resource.name)


def render(plan: Plan) -> str:
    """The whole plan. Secrets are left out."""
    writer = _Writer(plan)
    return "\n".join(writer.block(resource) for resource in plan.resources if resource.type.startswith("aws:"))


class _Writer:
    def __init__(self, plan: Plan) -> None:
        self._references: dict[str, str] = {}
        self._names: dict[str, str] = {}
        for resource in plan.resources:
            if resource.type.startswith("aws:"):
                name = f"{type_name(resource)}.{label(resource)}"
                self._references |= {resource.id: f"{name}.id", f"arn:aws:{resource.id}": f"{name}.arn"}
                if argument := NAMED_BY.get(resource.type):
                    self._names[resource.inputs[argument]] = f"{name}.{snake(argument)}"

    def block(self, resource: Registration) -> str:
        renamed = FUNCTION_NAME.get(resource.type.removeprefix("aws:"), {})
        inputs = {
            renamed.get(key, ARGUMENTS.get(key, key)): value
            for key, value in resource.inputs.items()
            if not rpc.is_rpc_secret(resource.raw[key])
        }
        own = NAMED_BY.get(resource.type) and resource.inputs[NAMED_BY[resource.type]]
        lines = "\n".join(self._lines(inputs, "  ", own))
        return f'resource "{type_name(resource)}" "{label(resource)}" {{\n{lines}\n}}\n'

    def _lines(self, inputs: Mapping[str, Any], indent: str, own: str | None = None) -> Iterator[str]:
        for key, value in inputs.items():
            if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
                for item in value:
                    yield from self._nested(singular(key), item, indent)
            elif isinstance(value, dict) and key not in MAPS:
                yield from self._nested(snake(key), value, indent)
            elif value is not None and _is_plain(value):
                yield f"{indent}{snake(key)} = {self._value(value, own)}"

    def _nested(self, name: str, value: Mapping[str, Any], indent: str) -> Iterator[str]:
        yield f"{indent}{name} {{"
        yield from self._lines(value, indent + "  ")
        yield f"{indent}}}"

    def _value(self, value: Any, own: str | None = None) -> str:
        if isinstance(value, list):
            return "[" + ", ".join(self._value(item) for item in value) + "]"
        if isinstance(value, dict):
            return "{" + ", ".join(f"{json.dumps(key)} = {self._value(item)}" for key, item in value.items()) + "}"
        if isinstance(value, str) and value != own and (reference := self._reference(value)):
            return reference
        # HCL reads "${" as an expression.
        return json.dumps(value).replace("${", "$${").replace("%{", "%%{")

    def _reference(self, value: str) -> str | None:
        """What a text refers to: a resource, its ARN, all of its streams (``:*``), or another attribute of it."""
        if value in self._names:
            return self._names[value]
        if value in self._references:
            return self._references[value]
        if value.removesuffix(":*") in self._references:
            return f'"${{{self._references[value.removesuffix(":*")]}}}:*"'
        owner, _, attribute = value.rpartition("/")
        if owner in self._references:
            return f"{self._references[owner].removesuffix('.id')}.{snake(attribute)}"
        return None


def _is_plain(value: Any) -> bool:
    """Whether a value can be written down: not so what holds an asset."""
    if isinstance(value, dict | list):
        return all(_is_plain(item) for item in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, str | int | float | bool) or value is None
