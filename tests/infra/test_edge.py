import json
from collections.abc import Callable
from typing import Any


def rules(plan: Any) -> list[dict[str, Any]]:
    found = plan.one("wafv2/webAcl:WebAcl").inputs["rules"]
    return sorted(found, key=lambda rule: rule["priority"])


def test_the_web_acl_is_associated_with_the_stage(plan: Any) -> None:
    association = plan.one("wafv2/webAclAssociation:WebAclAssociation").inputs
    assert association["resourceArn"] == "arn:aws:Stage/api"
    assert association["webAclArn"] == "arn:aws:WebAcl/edge"


def test_the_rate_rule_counts_each_address_and_answers_429_as_a_problem(plan: Any) -> None:
    rule = rules(plan)[-1]
    rate = rule["statement"]["rateBasedStatement"]
    assert (rate["aggregateKeyType"], rate["limit"], rate["evaluationWindowSec"]) == ("IP", plan.settings.requests_per_minute, 60)
    response = rule["action"]["block"]["customResponse"]
    headers = {header["name"]: header["value"] for header in response["responseHeaders"]}
    assert response["responseCode"] == 429
    assert headers["Retry-After"] == "60"
    assert headers["X-Content-Type-Options"] == "nosniff"
    # AWS WAF refuses a custom response with this header: the type is that of the body.
    assert "content-type" not in {name.lower() for name in headers}
    (body,) = plan.one("wafv2/webAcl:WebAcl").inputs["customResponseBodies"]
    assert body["key"] == response["customResponseBodyKey"]
    assert body["contentType"] == "APPLICATION_JSON"
    assert json.loads(body["content"])["code"] == "throttled"


def test_without_allowed_ranges_there_is_no_rule_about_ranges(plan: Any) -> None:
    assert [rule["name"] for rule in rules(plan)] == ["rate"]
    assert not plan.of("wafv2/ipSet:IpSet")


def test_allowed_ranges_block_everyone_else_before_the_rate_rule_and_allow_nobody_past_it(run: Callable[..., Any]) -> None:
    plan = run("dev", {"heartmap:allowed_ipv4": '["192.0.2.0/24"]'})
    first, second = rules(plan)
    assert (first["name"], second["name"]) == ("block-unless-allowed", "rate")
    assert first["action"] == {"block": {}}
    sets = first["statement"]["notStatement"]["statement"]["orStatement"]["statements"]
    assert [item["ipSetReferenceStatement"]["arn"] for item in sets] == ["arn:aws:IpSet/edge-ipv4", "arn:aws:IpSet/edge-ipv6"]
    addresses = {ip_set.inputs["ipAddressVersion"]: ip_set.inputs["addresses"] for ip_set in plan.of("wafv2/ipSet:IpSet")}
    assert addresses == {"IPV4": ["192.0.2.0/24"], "IPV6": []}
    assert not any("allow" in rule["action"] for rule in rules(plan))


def test_ipv6_ranges_alone_shut_ipv4_out(run: Callable[..., Any]) -> None:
    plan = run("dev", {"heartmap:allowed_ipv6": '["2001:db8::/32"]'})
    addresses = {ip_set.inputs["ipAddressVersion"]: ip_set.inputs["addresses"] for ip_set in plan.of("wafv2/ipSet:IpSet")}
    assert addresses == {"IPV4": [], "IPV6": ["2001:db8::/32"]}
    assert rules(plan)[0]["name"] == "block-unless-allowed"


def test_the_log_of_the_web_acl_holds_no_credentials(plan: Any) -> None:
    log = plan.one("wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration").inputs
    assert {item["singleHeader"]["name"] for item in log["redactedFields"]} == {"authorization", "cookie"}
    assert plan.one("cloudwatch/logGroup:LogGroup", "web-acl").inputs["name"].startswith("aws-waf-logs-")
    assert log["logDestinationConfigs"] == ["arn:aws:LogGroup/web-acl"]


def test_the_domain_has_its_own_certificate_and_the_tls_policy_of_the_api(planned: Any) -> None:
    plan = planned("prod")
    domain = plan.one("apigateway/domainName:DomainName").inputs
    assert domain["domainName"] == plan.settings.domain
    assert domain["securityPolicy"] == plan.one("apigateway/restApi:RestApi").inputs["securityPolicy"]
    assert domain["endpointAccessMode"] == "STRICT"
    certificates = {c.inputs["domainName"]: c.inputs["validationMethod"] for c in plan.of("acm/certificate:Certificate")}
    assert certificates == dict.fromkeys((plan.settings.domain, plan.settings.internal_host), "DNS")


def test_the_whole_domain_leads_to_the_one_stage(planned: Any) -> None:
    plan = planned("prod")
    mapping = plan.one("apigateway/basePathMapping:BasePathMapping").inputs
    assert (mapping["stageName"], mapping.get("basePath")) == ("live", None)
    names = {record.inputs["name"]: record.inputs for record in plan.of("route53/record:Record") if "aliases" in record.inputs}
    assert set(names) == {plan.settings.domain}
    assert plan.outputs["api_url"] == f"https://{plan.settings.domain}"
