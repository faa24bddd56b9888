"""The rules of the web ACL, read from the plan, and enforced on requests by the edge's own evaluation of them."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from infra import waf_rules
from lambda_authorizer.access_policy import ACCESS_POLICY, GATEWAY_BODY_LIMIT, JSON_BODY_LIMIT
from local_cloud.edge import waf
from local_cloud.provider.names import to_aws
from local_cloud.provider.wafv2 import RENAMES
from posture.plan import run_program

RANGES = {"heartmap:allowed_ipv4": '["192.0.2.0/24"]', "heartmap:allowed_ipv6": '["2001:db8::/32"]'}
OPEN = {"heartmap:allowed_ipv4": "[]", "heartmap:allowed_ipv6": "[]"}
ULID = "01JDDY0Z4Q8R6N5V3T7W2X9YAB"
INSIDE, INSIDE_6, OUTSIDE = "192.0.2.7", "2001:db8::7", "198.51.100.7"
KEY_SET = "/UserPool/identity/.well-known/jwks.json"

OWN_RULES = ["rate", "sensitive-rate", "bodies"]
MANAGED_RULES = ["reputation", "anonymous", "known-bad-inputs", "common", "common-bodies"]

# https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-list.html, as of November 2026
GROUP_CAPACITY = {
    "AWSManagedRulesCommonRuleSet": 700,
    "AWSManagedRulesKnownBadInputsRuleSet": 200,
    "AWSManagedRulesAmazonIpReputationList": 25,
    "AWSManagedRulesAnonymousIpList": 50,
}
# What a web ACL may have without a further charge. https://aws.amazon.com/waf/pricing/
INCLUDED_CAPACITY = 1500


def rules(plan: Any) -> dict[str, dict[str, Any]]:
    found = plan.one("wafv2/webAcl:WebAcl").inputs["rules"]
    return {rule["name"]: rule for rule in sorted(found, key=lambda rule: rule["priority"])}


def group(rule: dict[str, Any]) -> dict[str, Any]:
    return rule["statement"]["managedRuleGroupStatement"]


def overrides(rule: dict[str, Any]) -> dict[str, str]:
    (*found,) = group(rule).get("ruleActionOverrides") or []
    return {override["name"]: next(iter(override["actionToUse"])) for override in found}


def encoded(value: Any) -> Any:
    """Search strings as the API gives them back."""
    if isinstance(value, dict):
        return {key: item.encode() if key == "SearchString" else encoded(item) for key, item in value.items()}
    return [encoded(item) for item in value] if isinstance(value, list) else value


class Enforced:
    """The rules of a plan that need nothing from AWS, as they meet requests."""

    def __init__(self, plan: Any) -> None:
        acl = plan.one("wafv2/webAcl:WebAcl").inputs
        own = [rule for name, rule in rules(plan).items() if name not in MANAGED_RULES]
        (limits,) = acl["associationConfig"]["requestBodies"]
        self._acl = waf.WebAcl(
            {
                "Name": acl["name"],
                "ARN": "arn",
                "DefaultAction": to_aws(acl["defaultAction"]),
                "Rules": encoded(to_aws(own, RENAMES)),
                "CustomResponseBodies": {b["key"]: to_aws(b) for b in acl["customResponseBodies"]},
                "AssociationConfig": {"RequestBody": {"API_GATEWAY": to_aws(limits["apiGateway"])}},
            },
            {f"arn:aws:IpSet/{s.name}": s.inputs["addresses"] for s in plan.of("wafv2/ipSet:IpSet")}.__getitem__,
            lambda: 1000.0,
        )

    def status(self, method: str, path: str, source_ip: str = INSIDE, *, body: int = 0, headers: Any = ()) -> int:
        request = waf.Request(source_ip=source_ip, method=method, path=path, headers=headers, body_bytes=body)
        verdict = self._acl.evaluate(request)
        return 200 if verdict.allowed else verdict.response.status if verdict.response else 403


@pytest.fixture(scope="module")
def dev() -> Callable[..., Any]:
    """The plan of dev with some settings changed, made once for each."""
    made: dict[str, Any] = {}

    def plan(changes: dict[str, str]) -> Any:
        key = json.dumps(changes, sort_keys=True)
        if key not in made:
            made[key] = run_program("dev", {"heartmap:sensitive_requests_per_minute": "10", **changes})
        return made[key]

    return plan


@pytest.fixture
def enforced(dev: Callable[..., Any]) -> Callable[..., Enforced]:
    """The rules of dev with some settings changed, which have met no request yet."""
    return lambda changes: Enforced(dev(changes))


def test_no_rule_allows_because_an_allow_would_switch_off_those_after_it(plan: Any) -> None:
    assert not [name for name, rule in rules(plan).items() if "allow" in rule.get("action", {})]
    assert not [name for name, rule in rules(plan).items() if name in MANAGED_RULES and "allow" in overrides_or_none(rule)]


def overrides_or_none(rule: dict[str, Any]) -> set[str]:
    return set(overrides(rule).values()) if "managedRuleGroupStatement" in rule["statement"] else set()


def test_the_order_is_cheap_rules_first_and_the_labels_after_the_group_that_leaves_them(dev: Callable[..., Any]) -> None:
    assert list(rules(dev(OPEN))) == [*OWN_RULES, *MANAGED_RULES]
    assert list(rules(dev(RANGES))) == ["block-unless-allowed", *OWN_RULES, *MANAGED_RULES]


def test_an_emulated_aws_gets_the_rules_that_it_can_enforce(planned: Callable[[str], Any]) -> None:
    local = planned("local")
    assert list(rules(local)) == OWN_RULES
    assert Enforced(local).status("GET", "/models") == 200


def test_every_rule_is_measured_and_sampled(plan: Any) -> None:
    visible = [rule["visibilityConfig"] for rule in rules(plan).values()]
    assert all(config["cloudwatchMetricsEnabled"] and config["sampledRequestsEnabled"] for config in visible)
    metrics = [config["metricName"] for config in visible]
    assert len(set(metrics)) == len(metrics)


def capacity(statement: dict[str, Any]) -> int:
    """In web ACL capacity units, by the page of each kind of statement."""
    ((kind, body),) = statement.items()
    base = {"ipSetReferenceStatement": 1, "labelMatchStatement": 1, "byteMatchStatement": 2, "sizeConstraintStatement": 1}
    base["rateBasedStatement"] = 2
    if kind == "managedRuleGroupStatement":
        return GROUP_CAPACITY[body["name"]]
    inner = [*body.get("statements", []), *(body[key] for key in ("statement", "scopeDownStatement") if key in body)]
    transformations = [item for item in body.get("textTransformations", []) if item["type"] != "NONE"]
    assert kind in base or (inner and not transformations), f"the capacity of {kind} is not known"
    return base.get(kind, 0) + 10 * len(transformations) + sum(capacity(part) for part in inner)


@pytest.mark.parametrize("changes", [OPEN, RANGES | {"heartmap:anonymous_networks": "challenge"}])
def test_the_rules_cost_no_more_capacity_than_is_included(dev: Callable[..., Any], changes: dict[str, str]) -> None:
    total = sum(capacity(rule["statement"]) for rule in rules(dev(changes)).values())
    assert sum(GROUP_CAPACITY.values()) < total <= INCLUDED_CAPACITY


# Addresses


def test_the_ranges_shut_everyone_else_out_everywhere(enforced: Callable[..., Enforced]) -> None:
    acl = enforced(RANGES)
    for path in ("/live/models", "/models", "/oauth2/token", "/login"):
        assert acl.status("GET", path, INSIDE) == 200
        assert acl.status("GET", path, INSIDE_6) == 200
        assert acl.status("GET", path, OUTSIDE) == 403
        assert acl.status("GET", path, "2001:db9::7") == 403


def test_the_public_keys_of_the_pool_are_open_to_the_authorizer_and_nothing_beside_them(
    enforced: Callable[..., Enforced],
) -> None:
    acl = enforced(RANGES)
    assert acl.status("GET", KEY_SET, OUTSIDE) == 200
    for path in (f"/live{KEY_SET}", f"{KEY_SET}/", f"/models{KEY_SET}", "/.well-known/jwks.json", "/live/models"):
        assert acl.status("GET", path, OUTSIDE) == 403


def test_ranges_of_one_family_shut_the_other_out(enforced: Callable[..., Enforced]) -> None:
    acl = enforced(OPEN | {"heartmap:allowed_ipv6": '["2001:db8::/32"]'})
    assert (acl.status("GET", "/models", INSIDE_6), acl.status("GET", "/models", INSIDE)) == (200, 403)


def test_without_ranges_everyone_is_admitted(enforced: Callable[..., Enforced]) -> None:
    assert enforced(OPEN).status("GET", "/models", OUTSIDE) == 200


# Rates


def test_an_address_that_asks_too_often_gets_a_429_as_a_problem(enforced: Callable[..., Enforced]) -> None:
    acl = enforced({"heartmap:requests_per_minute": "20"})
    assert [acl.status("GET", "/models", INSIDE_6) for _ in range(21)] == [200] * 20 + [429]
    assert acl.status("GET", "/models", INSIDE) == 200


@pytest.mark.parametrize(
    ("path", "target"),
    [
        *(
            (path, None)
            for path in (
                "/live/token",
                "/token",
                "/live/config",
                "/config",
                "/analyze",
                "/live/keys",
                "/keys",
                f"/live/keys/{ULID}/rotate",
            )
        ),
        *((path, None) for path in ("/login", "/oauth2/token", "/forgotPassword", "/live/%74oken", "/live/confi%67")),
        *(("/", call) for call in ("InitiateAuth", "RespondToAuthChallenge", "ForgotPassword", "ConfirmForgotPassword")),
    ],
)
def test_credentials_configuration_and_sign_ins_have_a_rate_of_their_own(
    enforced: Callable[..., Enforced], path: str, target: str | None
) -> None:
    acl = enforced({})
    headers = [("X-Amz-Target", f"AWSCognitoIdentityProviderService.{target}")] if target else []
    assert [acl.status("POST", path, headers=headers) for _ in range(11)] == [200] * 10 + [429]
    assert acl.status("GET", path, headers=headers) == 200, "reading is not counted"
    assert acl.status("POST", path, INSIDE_6, headers=headers) == 200, "each address has a count of its own"


def test_the_sensitive_routes_share_one_count_and_others_are_not_in_it(enforced: Callable[..., Enforced]) -> None:
    acl = enforced({})
    assert all(acl.status("POST", "/live/analyses") == 200 for _ in range(20))
    assert [acl.status("POST", path) for path in ("/live/token", "/live/config") for _ in range(5)] == [200] * 10
    assert acl.status("POST", "/oauth2/token") == 429
    assert acl.status("POST", "/live/analyses") == 200


def test_every_sensitive_route_of_the_api_is_one_that_exists() -> None:
    posted = {f"/{rule.route.rpartition('/')[2]}" for rule in ACCESS_POLICY if rule.method == "POST"} | {"/token"}
    assert {"/token", "/keys", "/rotate", "/users", "/config", "/analyze"} == posted & set(waf_rules.SENSITIVE_PATHS)


def test_whatever_asks_for_a_fresh_sign_in_and_is_posted_is_sensitive() -> None:
    posted = {rule.route for rule in ACCESS_POLICY if rule.method == "POST" and rule.sign_in_age is not None}
    assert posted
    assert all(route.endswith(waf_rules.SENSITIVE_PATHS) for route in posted)


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [("rate", 429, "throttled"), ("sensitive-rate", 429, "throttled"), ("bodies", 413, "body_too_large")],
)
def test_what_is_refused_is_told_as_a_problem_with_security_headers(plan: Any, name: str, status: int, code: str) -> None:
    response = rules(plan)[name]["action"]["block"]["customResponse"]
    headers = {header["name"]: header["value"] for header in response["responseHeaders"]}
    assert response["responseCode"] == status
    assert (headers.get("Retry-After") == "60") is (status == 429)
    assert headers["X-Content-Type-Options"] == "nosniff"
    # AWS WAF refuses a custom response with this header: the type is that of the body.
    assert "content-type" not in {header.lower() for header in headers}
    bodies = {body["key"]: body for body in plan.one("wafv2/webAcl:WebAcl").inputs["customResponseBodies"]}
    body = bodies[response["customResponseBodyKey"]]
    assert body["contentType"] == "APPLICATION_JSON"
    document = json.loads(body["content"])
    assert (document["status"], document["code"]) == (status, code)


# Bodies


def test_no_route_takes_a_body_above_its_own_limit_through_the_web_acl(enforced: Callable[..., Enforced]) -> None:
    acl = enforced({})
    for stage in ("", "/live"):
        for rule in ACCESS_POLICY:
            path = stage + rule.route.replace("{upload_id}", "01J").replace("{analysis_id}", "01J")
            large = rule.body > JSON_BODY_LIMIT
            assert acl.status(rule.method, path, body=JSON_BODY_LIMIT) in (200, 429)
            acl = enforced({})
            assert acl.status(rule.method, path, body=JSON_BODY_LIMIT + 1) == (200 if large else 413)
    assert acl.status("POST", "/live/analyze", body=GATEWAY_BODY_LIMIT) == 200
    assert acl.status("POST", "/live/config%2Fanalyze", body=JSON_BODY_LIMIT + 1) == 413
    assert acl.status("POST", "/login", body=JSON_BODY_LIMIT + 1) == 413


def test_what_a_data_set_may_hold_is_looked_for_everywhere_but_where_data_sets_arrive(dev: Callable[..., Any]) -> None:
    found = rules(dev({}))
    counted = {name for name, action in overrides(found["common"]).items() if action == "count"}
    assert counted == {*waf_rules.LABELLED, "SizeRestrictions_BODY", "EC2MetaDataSSRF_QUERYARGUMENTS"}
    assert found["common-bodies"]["action"] == {"block": {}}
    labels, exceptions = found["common-bodies"]["statement"]["andStatement"]["statements"]
    keys = {label["labelMatchStatement"]["key"] for label in labels["orStatement"]["statements"]}
    # The label of a rule is its name in this spelling.
    assert keys == {
        f"awswaf:managed:aws:core-rule-set:{name}"
        for name in ("CrossSiteScripting_Body", "EC2MetaDataSSRF_Body", "GenericLFI_Body", "GenericRFI_Body")
    }
    paths = exceptions["notStatement"]["statement"]["orStatement"]["statements"]
    assert {path["byteMatchStatement"]["searchString"] for path in paths} == {"/analyze", "/oauth2/token"}
    assert overrides(found["known-bad-inputs"]) == {}, "no data set needs an exploit"


# Managed groups


def test_the_managed_groups_block_but_where_a_setting_says_otherwise(dev: Callable[..., Any]) -> None:
    found = rules(dev({"heartmap:waf_mode": "block"}))
    for name in ("reputation", "known-bad-inputs", "common"):
        assert found[name]["overrideAction"] == {"none": {}}
        assert group(found[name])["vendorName"] == "AWS"
    assert {group(found[name])["name"] for name in MANAGED_RULES[:4]} == set(GROUP_CAPACITY)


def test_the_mode_count_counts_what_is_managed_and_still_enforces_the_rest(dev: Callable[..., Any]) -> None:
    plan = dev(RANGES | {"heartmap:waf_mode": "count"})
    found = rules(plan)
    assert [found[name]["overrideAction"] for name in MANAGED_RULES[:4]] == [{"count": {}}] * 4
    assert found["common-bodies"]["action"] == {"count": {}}
    assert all("block" in found[name]["action"] for name in ["block-unless-allowed", *OWN_RULES])
    assert Enforced(plan).status("GET", "/models", OUTSIDE) == 403


@pytest.mark.parametrize(
    ("setting", "group_action", "rule_actions"),
    [
        ("allow", "count", {}),
        ("challenge", "none", {"AnonymousIPList": "challenge", "HostingProviderIPList": "challenge"}),
        ("block", "none", {}),
    ],
)
def test_anonymous_networks_meet_what_the_setting_says(
    dev: Callable[..., Any], setting: str, group_action: str, rule_actions: dict[str, str]
) -> None:
    rule = rules(dev({"heartmap:anonymous_networks": setting}))["anonymous"]
    assert rule["overrideAction"] == {group_action: {}}
    assert overrides(rule) == rule_actions
