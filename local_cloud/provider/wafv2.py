"""WAF: IP sets, the web ACL, what it protects, and where it logs."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Final

from local_cloud.provider.framework import (
    Aws,
    Failure,
    Inputs,
    ResourceType,
    Shape,
    changed,
    ignoring_gone,
    none_if_gone,
    register,
    tag_changes,
)
from local_cloud.provider.names import given, live, one, same_set, to_aws

# Keys that the API spells otherwise than with a capital first letter.
RENAMES: Final = {
    "arn": "ARN",
    "ipSetReferenceStatement": "IPSetReferenceStatement",
    "cloudwatchMetricsEnabled": "CloudWatchMetricsEnabled",
}

VISIBILITY: Final[Shape] = {"cloudwatchMetricsEnabled": None, "metricName": None, "sampledRequestsEnabled": None}
CUSTOM_RESPONSE: Final[Shape] = {
    "responseCode": None,
    "customResponseBodyKey": None,
    "responseHeaders": {"name": None, "value": None},
}
FIELD: Final[Shape] = {"uriPath": {}, "method": {}, "singleHeader": {"name": None}, "body": {"oversizeHandling": None}}
TRANSFORMATIONS: Final[Shape] = {"priority": None, "type": None}
STATEMENT: Final[dict[str, Any]] = {
    "ipSetReferenceStatement": {"arn": None},
    "rateBasedStatement": {"limit": None, "aggregateKeyType": None, "evaluationWindowSec": None},
    "byteMatchStatement": {
        "fieldToMatch": FIELD,
        "positionalConstraint": None,
        "searchString": None,
        "textTransformations": TRANSFORMATIONS,
    },
    "sizeConstraintStatement": {
        "fieldToMatch": FIELD,
        "comparisonOperator": None,
        "size": None,
        "textTransformations": TRANSFORMATIONS,
    },
    "labelMatchStatement": {"key": None, "scope": None},
    "managedRuleGroupStatement": {
        "name": None,
        "vendorName": None,
        "ruleActionOverrides": {
            "name": None,
            "actionToUse": {"allow": {}, "count": {}, "challenge": {}, "block": {"customResponse": CUSTOM_RESPONSE}},
        },
    },
}
# Statements contain statements.
STATEMENT["notStatement"] = {"statement": STATEMENT}
STATEMENT["andStatement"] = STATEMENT["orStatement"] = {"statements": STATEMENT}
STATEMENT["rateBasedStatement"]["scopeDownStatement"] = STATEMENT


# The managed rule groups that are known here, and their rules: AWS WAF refuses a name that it does not know, the emulator none.
# https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-list.html
MANAGED_GROUPS: Final[dict[str, frozenset[str]]] = {
    "AWSManagedRulesCommonRuleSet": frozenset(
        {
            *("NoUserAgent_HEADER", "UserAgent_BadBots_HEADER", "SizeRestrictions_QUERYSTRING", "SizeRestrictions_Cookie_HEADER"),
            *("SizeRestrictions_BODY", "SizeRestrictions_URIPATH", "RestrictedExtensions_URIPATH"),
            "RestrictedExtensions_QUERYARGUMENTS",
            *(f"EC2MetaDataSSRF_{part}" for part in ("BODY", "COOKIE", "URIPATH", "QUERYARGUMENTS")),
            *(f"GenericLFI_{part}" for part in ("QUERYARGUMENTS", "URIPATH", "BODY")),
            *(f"GenericRFI_{part}" for part in ("QUERYARGUMENTS", "URIPATH", "BODY")),
            *(f"CrossSiteScripting_{part}" for part in ("COOKIE", "QUERYARGUMENTS", "BODY", "URIPATH")),
        }
    ),
    "AWSManagedRulesKnownBadInputsRuleSet": frozenset(
        {
            *("Host_localhost_HEADER", "PROPFIND_METHOD", "ExploitablePaths_URIPATH", "ReactJSRCE_BODY"),
            *(f"JavaDeserializationRCE_{part}" for part in ("HEADER", "BODY", "URIPATH", "QUERYSTRING")),
            *(f"Log4JRCE_{part}" for part in ("HEADER", "BODY", "URIPATH", "QUERYSTRING")),
        }
    ),
    "AWSManagedRulesAmazonIpReputationList": frozenset(
        {"AWSManagedIPReputationList", "AWSManagedReconnaissanceList", "AWSManagedIPDDoSList"}
    ),
    "AWSManagedRulesAnonymousIpList": frozenset({"AnonymousIPList", "HostingProviderIPList"}),
}

# Pulumi's name of a kind of protected resource -> the API's.
INSPECTED: Final = {"apiGateway": "API_GATEWAY", "cognitoUserPool": "COGNITO_USER_POOL"}


def _update_tags(aws: Aws, arn: str, old: dict[str, Any], new: Inputs) -> None:
    to_set, to_remove = tag_changes(aws, old, new)
    if to_remove:
        aws.client("wafv2").untag_resource(ResourceARN=arn, TagKeys=to_remove)
    if to_set:
        aws.client("wafv2").tag_resource(ResourceARN=arn, Tags=[{"Key": key, "Value": value} for key, value in to_set.items()])


def _live_tags(aws: Aws, arn: str) -> dict[str, str]:
    tags = aws.client("wafv2").list_tags_for_resource(ResourceARN=arn)["TagInfoForResource"]["TagList"]
    return {tag["Key"]: tag["Value"] for tag in tags}


def _tags(aws: Aws, inputs: Inputs) -> dict[str, Any]:
    return given(Tags=aws.tag_list(inputs) or None)


def _place(resource_id: str, inputs: Inputs) -> dict[str, Any]:
    return {"Name": inputs["name"], "Scope": inputs["scope"], "Id": resource_id}


def _response_headers(value: Any) -> Iterator[str]:
    """The names of the headers of all custom responses in ``value``."""
    if isinstance(value, list):
        for item in value:
            yield from _response_headers(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "responseHeaders" and isinstance(item, list):
                yield from (str(header["name"]) for header in item)
            else:
                yield from _response_headers(item)


def _faults(rule: Any) -> Iterator[str]:
    """Why AWS WAF would not take a rule. https://docs.aws.amazon.com/waf/latest/APIReference/API_Rule.html"""
    if not isinstance(rule, dict) or not isinstance(rule.get("statement"), dict):
        return
    group = rule["statement"].get("managedRuleGroupStatement")
    wanted, other = ("overrideAction", "action") if group else ("action", "overrideAction")
    if not rule.get(wanted) or rule.get(other):
        yield f"the rule {rule['name']} needs {wanted} and no {other}"
    if group:
        rules = MANAGED_GROUPS.get(group["name"], frozenset()) if group["vendorName"] == "AWS" else frozenset()
        if not rules:
            yield f"the managed rule group {group['name']} is not known here: add it to MANAGED_GROUPS"
        for override in group.get("ruleActionOverrides") or [] if rules else []:
            if override["name"] not in rules:
                yield f"the managed rule group {group['name']} has no rule {override['name']}"


@register
class IpSet(ResourceType):
    token = "aws:wafv2/ipSet:IpSet"
    arguments = frozenset({"name", "scope", "ipAddressVersion", "addresses", "description", "tags"})
    required = frozenset({"scope", "ipAddressVersion"})
    replaces = frozenset({"name", "scope", "ipAddressVersion"})
    computed = frozenset({"arn", "lockToken"})
    volatile = frozenset({"lockToken"})
    unique = "name"
    autoname = "name"

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        made = aws.client("wafv2").create_ip_set(
            Name=inputs["name"],
            Scope=inputs["scope"],
            IPAddressVersion=inputs["ipAddressVersion"],
            **self._settings(inputs),
            **_tags(aws, inputs),
        )["Summary"]
        return made["Id"], {"arn": made["ARN"], "lockToken": made["LockToken"]}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("wafv2").get_ip_set, **_place(resource_id, state))
        if answer is None:
            return None
        found = answer["IPSet"]
        arguments = live(state, description=found.get("Description"), addresses=same_set(state, "addresses", found["Addresses"]))
        return arguments | {
            "arn": found["ARN"],
            "lockToken": answer["LockToken"],
            "tagsAll": _live_tags(aws, found["ARN"]),
        }

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        client, place = aws.client("wafv2"), _place(resource_id, new)
        if changed(old, new, {"addresses", "description"}):
            client.update_ip_set(**place, LockToken=client.get_ip_set(**place)["LockToken"], **self._settings(new))
        _update_tags(aws, old["arn"], old, new)
        return {"lockToken": client.get_ip_set(**place)["LockToken"]}

    def delete(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> None:
        client, place = aws.client("wafv2"), _place(resource_id, state)
        with ignoring_gone():
            client.delete_ip_set(**place, LockToken=client.get_ip_set(**place)["LockToken"])

    def _settings(self, inputs: Inputs) -> dict[str, Any]:
        return given(Addresses=inputs.get("addresses") or [], Description=inputs.get("description"))


@register
class WebAcl(ResourceType):
    token = "aws:wafv2/webAcl:WebAcl"
    arguments = frozenset(
        {
            "name",
            "scope",
            "description",
            "defaultAction",
            "rules",
            "customResponseBodies",
            "associationConfig",
            "visibilityConfig",
            "tags",
        }
    )
    required = frozenset({"scope", "defaultAction", "visibilityConfig"})
    replaces = frozenset({"name", "scope"})
    nested: ClassVar = {
        "defaultAction": {"allow": {}, "block": {"customResponse": CUSTOM_RESPONSE}},
        "visibilityConfig": VISIBILITY,
        "customResponseBodies": {"key": None, "content": None, "contentType": None},
        "associationConfig": {"requestBodies": {name: {"defaultSizeInspectionLimit": None} for name in INSPECTED}},
        "rules": {
            "name": None,
            "priority": None,
            "action": {"allow": {}, "count": {}, "block": {"customResponse": CUSTOM_RESPONSE}},
            "overrideAction": {"count": {}, "none": {}},
            "statement": STATEMENT,
            "visibilityConfig": VISIBILITY,
        },
    }
    computed = frozenset({"arn", "capacity", "lockToken"})
    volatile = frozenset({"capacity", "lockToken"})
    unique = "name"
    autoname = "name"

    def check(self, inputs: Inputs, /) -> list[Failure]:
        # What AWS refuses and the emulator takes.
        rules = inputs.get("rules")
        reasons = [reason for rule in rules for reason in _faults(rule)] if isinstance(rules, list) else []
        # https://docs.aws.amazon.com/waf/latest/APIReference/API_CustomResponse.html
        if "content-type" in {name.lower() for name in _response_headers([inputs.get("defaultAction"), rules])}:
            reasons.append("a custom response cannot have the header content-type: its body's contentType says it")
        priorities = [rule["priority"] for rule in rules or [] if isinstance(rule, dict)] if isinstance(rules, list) else []
        if len(set(priorities)) < len(priorities):
            reasons.append("two rules have the same priority: give each its own")
        return [Failure("rules", reason) for reason in reasons]

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        made = aws.client("wafv2").create_web_acl(
            Name=inputs["name"], Scope=inputs["scope"], **self._settings(inputs), **_tags(aws, inputs)
        )["Summary"]
        return made["Id"], self._outputs(aws.client("wafv2").get_web_acl(**_place(made["Id"], inputs)))

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("wafv2").get_web_acl, **_place(resource_id, state))
        if answer is None:
            return None
        found = live(state, description=answer["WebACL"].get("Description"))
        return found | self._outputs(answer) | {"tagsAll": _live_tags(aws, answer["WebACL"]["ARN"])}

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        client, place = aws.client("wafv2"), _place(resource_id, new)
        if changed(old, new, self.arguments - {"tags"}):
            client.update_web_acl(**place, LockToken=client.get_web_acl(**place)["LockToken"], **self._settings(new))
        _update_tags(aws, old["arn"], old, new)
        return self._outputs(client.get_web_acl(**place))

    def delete(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> None:
        client, place = aws.client("wafv2"), _place(resource_id, state)
        with ignoring_gone():
            client.delete_web_acl(**place, LockToken=client.get_web_acl(**place)["LockToken"])

    def _settings(self, inputs: Inputs) -> dict[str, Any]:
        """What both creating and updating a web ACL take."""
        bodies = {
            body["key"]: {"ContentType": body["contentType"], "Content": body["content"]}
            for body in inputs.get("customResponseBodies") or []
        }
        limits = one((one(inputs.get("associationConfig")) or {}).get("requestBodies")) or {}
        return given(
            AssociationConfig={"RequestBody": {INSPECTED[name]: to_aws(limit) for name, limit in limits.items()}}
            if limits
            else None,
            DefaultAction=to_aws(one(inputs["defaultAction"]), RENAMES),
            VisibilityConfig=to_aws(one(inputs["visibilityConfig"]), RENAMES),
            Rules=to_aws(inputs.get("rules") or [], RENAMES),
            Description=inputs.get("description"),
            CustomResponseBodies=bodies or None,
        )

    def _outputs(self, answer: dict[str, Any]) -> dict[str, Any]:
        acl = answer["WebACL"]
        return {"arn": acl["ARN"], "capacity": acl["Capacity"], "lockToken": answer["LockToken"]}


@register
class WebAclAssociation(ResourceType):
    """A resource has one web ACL: another association replaces it, so that the old one has to go first."""

    token = "aws:wafv2/webAclAssociation:WebAclAssociation"
    arguments = frozenset({"resourceArn", "webAclArn"})
    required = arguments
    replaces = arguments
    unique = "resourceArn"

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        aws.client("wafv2").associate_web_acl(WebACLArn=inputs["webAclArn"], ResourceArn=inputs["resourceArn"])
        return f"{inputs['webAclArn']},{inputs['resourceArn']}", {}

    def read(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("wafv2").get_web_acl_for_resource, ResourceArn=state["resourceArn"]) or {}
        return {"webAclArn": answer["WebACL"]["ARN"]} if answer.get("WebACL") else None

    def delete(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("wafv2").disassociate_web_acl(ResourceArn=state["resourceArn"])


@register
class WebAclLoggingConfiguration(ResourceType):
    token = "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration"
    arguments = frozenset({"resourceArn", "logDestinationConfigs", "redactedFields"})
    required = frozenset({"resourceArn", "logDestinationConfigs"})
    replaces = frozenset({"resourceArn"})
    nested: ClassVar = {"redactedFields": {"singleHeader": {"name": None}, "method": {}, "queryString": {}, "uriPath": {}}}

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        self._put(aws, inputs)
        return inputs["resourceArn"], {}

    def read(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("wafv2").get_logging_configuration, ResourceArn=resource_id)
        return {"logDestinationConfigs": answer["LoggingConfiguration"]["LogDestinationConfigs"]} if answer else None

    def update(self, aws: Aws, _resource_id: str, _old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        self._put(aws, new)
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("wafv2").delete_logging_configuration(ResourceArn=resource_id)

    def _put(self, aws: Aws, inputs: Inputs) -> None:
        configuration = given(
            ResourceArn=inputs["resourceArn"],
            LogDestinationConfigs=inputs["logDestinationConfigs"],
            RedactedFields=to_aws(inputs.get("redactedFields")),
        )
        aws.client("wafv2").put_logging_configuration(LoggingConfiguration=configuration)
