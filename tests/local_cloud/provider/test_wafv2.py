from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

VISIBLE = {"cloudwatchMetricsEnabled": True, "metricName": "m", "sampledRequestsEnabled": True}
STAGE = "arn:aws:apigateway:us-east-1::/restapis/abc/stages/live"


def rate_rule(limit: int) -> dict[str, Any]:
    response = {"responseCode": 429, "customResponseBodyKey": "slow", "responseHeaders": [{"name": "Retry-After", "value": "60"}]}
    return {
        "name": "rate",
        "priority": 1,
        "action": {"block": {"customResponse": response}},
        "statement": {"rateBasedStatement": {"limit": limit, "aggregateKeyType": "IP", "evaluationWindowSec": 60}},
        "visibilityConfig": VISIBLE,
    }


def range_rule(arn: str) -> dict[str, Any]:
    either = {
        "orStatement": {"statements": [{"ipSetReferenceStatement": {"arn": arn}}, {"ipSetReferenceStatement": {"arn": arn}}]}
    }
    return {
        "name": "ranges",
        "priority": 0,
        "action": {"block": {}},
        "statement": {"notStatement": {"statement": either}},
        "visibilityConfig": VISIBLE,
    }


def acl_arguments(name: str, *rules: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "scope": "REGIONAL",
        "defaultAction": {"allow": {}},
        "visibilityConfig": VISIBLE,
        "customResponseBodies": [{"key": "slow", "content": "{}", "contentType": "APPLICATION_JSON"}],
        "rules": list(rules),
    }


def test_an_ip_set_can_be_made_changed_and_deleted(make: Callable[..., Any], cloud: Any) -> None:
    made = make("aws:wafv2/ipSet:IpSet", name="v4", scope="REGIONAL", ipAddressVersion="IPV4", addresses=["192.0.2.0/24"])
    assert made.drift() == {}
    first = made.state["lockToken"]
    state = made.update(addresses=["192.0.2.0/24", "198.51.100.0/24"], description="ours", tags={"a": "b"})
    assert state["lockToken"] != first
    assert made.drift() == {}
    found = cloud.client("wafv2").get_ip_set(Name="v4", Scope="REGIONAL", Id=made.id)["IPSet"]
    assert sorted(found["Addresses"]) == ["192.0.2.0/24", "198.51.100.0/24"]
    made.delete()
    assert made.read() is None
    made.delete()


def test_the_rules_reach_waf_as_its_api_spells_them(make: Callable[..., Any], cloud: Any) -> None:
    addresses = make("aws:wafv2/ipSet:IpSet", name="spelled", scope="REGIONAL", ipAddressVersion="IPV4").state["arn"]
    made = make("aws:wafv2/webAcl:WebAcl", **acl_arguments("spelled", range_rule(addresses), rate_rule(100)))
    assert made.drift() == {}
    acl = cloud.client("wafv2").get_web_acl(Name="spelled", Scope="REGIONAL", Id=made.id)["WebACL"]
    ranges, rate = acl["Rules"]
    either = ranges["Statement"]["NotStatement"]["Statement"]["OrStatement"]["Statements"]
    assert either == [{"IPSetReferenceStatement": {"ARN": addresses}}] * 2
    assert ranges["Action"] == {"Block": {}}
    assert rate["Statement"]["RateBasedStatement"] == {"Limit": 100, "AggregateKeyType": "IP", "EvaluationWindowSec": 60}
    assert rate["Action"]["Block"]["CustomResponse"]["ResponseHeaders"] == [{"Name": "Retry-After", "Value": "60"}]
    assert acl["CustomResponseBodies"]["slow"]["ContentType"] == "APPLICATION_JSON"
    assert acl["DefaultAction"] == {"Allow": {}}


def test_rules_can_change_and_all_go(make: Callable[..., Any], cloud: Any) -> None:
    made = make("aws:wafv2/webAcl:WebAcl", **acl_arguments("changing", rate_rule(100)))
    place = {"Name": "changing", "Scope": "REGIONAL", "Id": made.id}
    made.update(rules=[rate_rule(200)], tags={"a": "b"})
    (rule,) = cloud.client("wafv2").get_web_acl(**place)["WebACL"]["Rules"]
    assert rule["Statement"]["RateBasedStatement"]["Limit"] == 200
    assert made.drift() == {}
    made.update(rules=None)
    assert cloud.client("wafv2").get_web_acl(**place)["WebACL"]["Rules"] == []
    made.delete()
    assert made.read() is None
    made.delete()


def test_an_association_can_be_read_back_and_moves(make: Callable[..., Any]) -> None:
    first = make("aws:wafv2/webAcl:WebAcl", **acl_arguments("one"))
    second = make("aws:wafv2/webAcl:WebAcl", **acl_arguments("two"))
    token = "aws:wafv2/webAclAssociation:WebAclAssociation"
    made = make(token, resourceArn=STAGE, webAclArn=first.state["arn"])
    assert made.read() == {"webAclArn": first.state["arn"]}
    other = make(token, resourceArn=STAGE, webAclArn=second.state["arn"])
    assert other.read() == {"webAclArn": second.state["arn"]}
    other.delete()
    assert other.read() is None
    other.delete()


def test_a_logging_configuration_redacts_what_it_is_told(make: Callable[..., Any], cloud: Any) -> None:
    acl = make("aws:wafv2/webAcl:WebAcl", **acl_arguments("logged"))
    log_group = "arn:aws:logs:us-east-1:123456789012:log-group:aws-waf-logs-x"
    made = make(
        "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration",
        resourceArn=acl.state["arn"],
        logDestinationConfigs=[log_group],
        redactedFields=[{"singleHeader": {"name": "authorization"}}],
    )
    assert made.drift() == {}
    waf = cloud.client("wafv2")
    found = waf.get_logging_configuration(ResourceArn=acl.state["arn"])["LoggingConfiguration"]
    assert found["RedactedFields"] == [{"SingleHeader": {"Name": "authorization"}}]
    made.update(redactedFields=[{"method": {}}])
    found = waf.get_logging_configuration(ResourceArn=acl.state["arn"])["LoggingConfiguration"]
    assert found["RedactedFields"] == [{"Method": {}}]
    made.delete()
    assert made.read() is None
    made.delete()


def managed_rule(name: str, **changes: Any) -> dict[str, Any]:
    override = {"name": "HostingProviderIPList", "actionToUse": {"challenge": {}}}
    group = {"vendorName": "AWS", "name": name, "ruleActionOverrides": [override]}
    rule = {"name": "managed", "priority": 2, "overrideAction": {"none": {}}, "statement": {"managedRuleGroupStatement": group}}
    return rule | {"visibilityConfig": VISIBLE} | changes


def post_to(ending: str) -> dict[str, Any]:
    none = [{"priority": 0, "type": "NONE"}]
    method = {
        "fieldToMatch": {"method": {}},
        "positionalConstraint": "EXACTLY",
        "searchString": "POST",
        "textTransformations": none,
    }
    path = {
        "fieldToMatch": {"uriPath": {}},
        "positionalConstraint": "ENDS_WITH",
        "searchString": ending,
        "textTransformations": [{"priority": 0, "type": "URL_DECODE"}],
    }
    return {"andStatement": {"statements": [{"byteMatchStatement": method}, {"byteMatchStatement": path}]}}


def test_what_a_request_says_and_how_large_it_is_reach_waf_as_its_api_spells_them(make: Callable[..., Any], cloud: Any) -> None:
    size = {
        "fieldToMatch": {"body": {"oversizeHandling": "MATCH"}},
        "comparisonOperator": "GT",
        "size": 65536,
        "textTransformations": [{"priority": 0, "type": "NONE"}],
    }
    rate = rate_rule(100)["statement"]["rateBasedStatement"] | {"scopeDownStatement": post_to("/token")}
    scoped = rate_rule(100) | {"priority": 3, "statement": {"rateBasedStatement": rate}}
    body = {"name": "body", "priority": 1, "action": {"block": {}}, "visibilityConfig": VISIBLE}
    label = {**body, "name": "label", "priority": 4}
    made = make(
        "aws:wafv2/webAcl:WebAcl",
        **acl_arguments(
            "content",
            body | {"statement": {"sizeConstraintStatement": size}},
            managed_rule("AWSManagedRulesAnonymousIpList"),
            scoped,
            label | {"statement": {"labelMatchStatement": {"scope": "LABEL", "key": "awswaf:managed:aws:x:y"}}},
        ),
        associationConfig={
            "requestBodies": [
                {
                    "apiGateway": {"defaultSizeInspectionLimit": "KB_64"},
                    "cognitoUserPool": {"defaultSizeInspectionLimit": "KB_16"},
                }
            ]
        },
    )
    assert made.drift() == {}
    acl = cloud.client("wafv2").get_web_acl(Name="content", Scope="REGIONAL", Id=made.id)["WebACL"]
    rules = {rule["Name"]: rule for rule in acl["Rules"]}
    assert rules["body"]["Statement"]["SizeConstraintStatement"]["FieldToMatch"] == {"Body": {"OversizeHandling": "MATCH"}}
    method, path = rules["rate"]["Statement"]["RateBasedStatement"]["ScopeDownStatement"]["AndStatement"]["Statements"]
    assert method["ByteMatchStatement"]["SearchString"] == b"POST"
    assert path["ByteMatchStatement"]["TextTransformations"] == [{"Priority": 0, "Type": "URL_DECODE"}]
    group = rules["managed"]["Statement"]["ManagedRuleGroupStatement"]
    assert rules["managed"]["OverrideAction"] == {"None": {}}
    assert group["RuleActionOverrides"] == [{"Name": "HostingProviderIPList", "ActionToUse": {"Challenge": {}}}]
    assert rules["label"]["Statement"]["LabelMatchStatement"] == {"Scope": "LABEL", "Key": "awswaf:managed:aws:x:y"}
    limits = acl["AssociationConfig"]["RequestBody"]
    assert limits == {
        "API_GATEWAY": {"DefaultSizeInspectionLimit": "KB_64"},
        "COGNITO_USER_POOL": {"DefaultSizeInspectionLimit": "KB_16"},
    }
    made.update(associationConfig=None)
    acl = cloud.client("wafv2").get_web_acl(Name="content", Scope="REGIONAL", Id=made.id)["WebACL"]
    assert not acl.get("AssociationConfig")


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (managed_rule("AWSManagedRulesAnonymousIPList"), "AWSManagedRulesAnonymousIPList is not known"),
        (managed_rule("AWSManagedRulesCommonRuleSet"), "has no rule HostingProviderIPList"),
        (managed_rule("AWSManagedRulesAnonymousIpList", overrideAction={}), "needs overrideAction and no action"),
        (managed_rule("AWSManagedRulesAnonymousIpList", action={"block": {}}), "needs overrideAction and no action"),
        (rate_rule(100) | {"overrideAction": {"none": {}}}, "needs action and no overrideAction"),
        (rate_rule(100) | {"priority": 7}, "same priority"),
    ],
)
def test_a_rule_that_aws_would_not_take_is_refused(refusals: Callable[..., list[str]], rule: dict[str, Any], words: str) -> None:
    (reason,) = refusals("aws:wafv2/webAcl:WebAcl", **acl_arguments("refused", rule, rate_rule(100) | {"priority": 7}))
    assert words in reason


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"statement": {"geoMatchStatement": {"countryCodes": ["DE"]}}}, "rules[0].statement.geoMatchStatement"),
        ({"action": {"captcha": {}}}, "rules[0].action.captcha"),
        ({"ruleLabels": [{"name": "x"}]}, "rules[0].ruleLabels"),
    ],
)
def test_a_rule_that_the_edge_would_not_know_is_refused(
    refusals: Callable[..., list[str]], change: dict[str, Any], words: str
) -> None:
    (reason,) = refusals("aws:wafv2/webAcl:WebAcl", **acl_arguments("refused", rate_rule(100) | change))
    assert words in reason


def test_a_custom_response_that_sets_its_own_content_type_is_refused_as_by_aws(refusals: Callable[..., list[str]]) -> None:
    rule = rate_rule(100)
    headers = rule["action"]["block"]["customResponse"]["responseHeaders"]
    assert refusals("aws:wafv2/webAcl:WebAcl", **acl_arguments("allowed", rule)) == []
    headers.append({"name": "Content-Type", "value": "application/problem+json"})
    (reason,) = refusals("aws:wafv2/webAcl:WebAcl", **acl_arguments("refused", rule))
    assert "content-type" in reason
