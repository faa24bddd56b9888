"""What the edge makes of what is deployed: all of a thing, or an error that names it."""

from collections.abc import Callable
from typing import Any

import pytest

from local_cloud.edge import rest_api, targets, waf
from local_cloud.edge.interpret import Uninterpretable
from local_cloud.edge.routes import Routes
from local_cloud.edge.throttle import Limit


@pytest.fixture
def site(make_site: Callable) -> Any:
    made = make_site()
    made.deploy()
    return made


def read(site: Any) -> rest_api.RestApi:
    """Everything that the edge reads when it starts."""
    api = rest_api.read(site.api, "live", site.stage_arn, site.aws)
    Routes(api.methods)
    waf.read(site.stage_arn, site.aws("wafv2"))
    for method in api.methods:
        targets.read(method.integration.load_balancer_arn, method.integration.port, site.aws("elbv2"))
    return api


def test_what_infra_deploys_is_understood(site: Any) -> None:
    site.throttle("GET", "/echo", rate=5, burst=20)
    api = read(site)
    (method,) = api.methods
    assert (method.http_method, method.resource, method.limit) == ("GET", "/echo", Limit(5.0, 20))
    assert (method.integration.host, method.integration.port, method.integration.path) == ("service.internal", 443, "/echo")
    assert method.integration.timeout == 29
    assert method.authorizer.identity == (("header", "Authorization"),)
    assert api.access_log
    assert api.access_log.log_group == site.access_log_group


def test_a_method_without_a_limit_of_its_own_has_the_stages(make_site: Callable) -> None:
    site = make_site()
    site.method("GET", "/")
    site.method("PATCH", "/items/{item_id}")
    site.deploy()
    site.patch({"/*/*/throttling/rateLimit": "50", "/*/*/throttling/burstLimit": "100"})
    site.throttle("PATCH", "/items/{item_id}", rate=2, burst=3)
    site.throttle("GET", "/", rate=4, burst=5)
    limits = {(method.http_method, method.resource): method.limit for method in read(site).methods}
    assert limits == {
        ("GET", "/"): Limit(4.0, 5),
        ("GET", "/echo"): Limit(50.0, 100),
        ("PATCH", "/items/{item_id}"): Limit(2.0, 3),
    }


def method_setting(**changes: Any) -> Callable[[Any], None]:
    """Puts GET /echo again, changed."""

    def change(site: Any) -> None:
        at = {"restApiId": site.api, "resourceId": site.resource("/echo"), "httpMethod": "GET"}
        integration = site.gateway.get_integration(**at)
        arguments = {"authorizationType": "CUSTOM", "authorizerId": site.authorizer} | changes
        site.gateway.put_method(**at, **{name: value for name, value in arguments.items() if value is not None})
        kept = ("type", "uri", "connectionType", "connectionId", "integrationTarget", "requestParameters")
        site.gateway.put_integration(**at, integrationHttpMethod="GET", **{name: integration[name] for name in kept})

    return change


def integration(**changes: Any) -> Callable[[Any], None]:
    """Puts GET /echo again with another integration."""
    return lambda site: site.method("GET", "/echo", **changes)


def authorizer(path: str, value: str) -> Callable[[Any], None]:
    operations = [{"op": "replace", "path": path, "value": value}]
    return lambda site: site.gateway.update_authorizer(
        restApiId=site.api, authorizerId=site.authorizer, patchOperations=operations
    )


def stage(path: str, value: str) -> Callable[[Any], None]:
    return lambda site: site.patch({path: value})


def gateway_response(**changes: Any) -> Callable[[Any], None]:
    arguments = {"responseType": "UNAUTHORIZED", "statusCode": "401"} | changes
    return lambda site: site.gateway.put_gateway_response(restApiId=site.api, **arguments)


def other_resource(route: str, method: str = "GET") -> Callable[[Any], None]:
    return lambda site: site.method(method, route)


def revoke_permission(site: Any) -> None:
    site.aws("lambda").remove_permission(FunctionName=site.function, StatementId="gateway")


def permission_for_another_api(site: Any) -> None:
    revoke_permission(site)
    site.aws("lambda").add_permission(
        FunctionName=site.function,
        StatementId="gateway",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn="arn:aws:execute-api:us-east-1:123456789012:another/authorizers/*",
    )


def validate_bodies(site: Any) -> None:
    validator = site.gateway.create_request_validator(
        restApiId=site.api, name="bodies", validateRequestBody=True, validateRequestParameters=False
    )["id"]
    method_setting(requestValidatorId=validator, requestModels={"application/json": "Document"})(site)


def listener_rule(site: Any) -> None:
    site.aws("elbv2").create_rule(
        ListenerArn=site.listener,
        Priority=1,
        Conditions=[{"Field": "path-pattern", "Values": ["/x"]}],
        Actions=[{"Type": "forward", "TargetGroupArn": site.group}],
    )


def internet_facing(site: Any) -> None:
    elb = site.aws("elbv2")
    balancer = elb.describe_load_balancers(LoadBalancerArns=[site.balancer])["LoadBalancers"][0]
    subnets = [zone["SubnetId"] for zone in balancer["AvailabilityZones"]]
    public = elb.create_load_balancer(Name=f"public-{site.api}", Subnets=subnets, Scheme="internet-facing")["LoadBalancers"][0]
    integration(integrationTarget=public["LoadBalancerArn"])(site)


def acl(*rules: dict[str, Any], **changes: Any) -> Callable[[Any], Any]:
    return lambda site: site.web_acl(*rules, **changes)


BLOCK = {"Action": {"Block": {}}}


def text(**changes: Any) -> dict[str, Any]:
    plain = {"FieldToMatch": {"UriPath": {}}, "PositionalConstraint": "EXACTLY", "SearchString": b"/"}
    return {"ByteMatchStatement": {**plain, "TextTransformations": [{"Priority": 0, "Type": "NONE"}], **changes}}


def size(field: dict[str, Any], transformation: str = "NONE") -> dict[str, Any]:
    how = {"ComparisonOperator": "GT", "Size": 1, "TextTransformations": [{"Priority": 0, "Type": transformation}]}
    return {"SizeConstraintStatement": {"FieldToMatch": field, **how}}


ANYBODY = {"RateBasedStatement": {"Limit": 100, "AggregateKeyType": "IP"}}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (integration(type="HTTP"), "is of the type HTTP"),
        (integration(type="MOCK"), "is of the type MOCK"),
        (integration(connectionType="INTERNET"), "does not go through a VPC link"),
        (integration(connectionId="gone"), "a VPC link that does not exist"),
        (integration(uri="http://service.internal/echo"), "not plain https"),
        (integration(uri="https://service.internal/{other}"), "unmapped path parameters other"),
        (integration(requestTemplates={"application/json": "{}"}), "sets requestTemplates"),
        (integration(contentHandling="CONVERT_TO_TEXT"), "sets contentHandling"),
        (integration(credentials="arn:aws:iam::123456789012:role/x"), "sets credentials"),
        (integration(responseTransferMode="STREAM"), "streams responses"),
        (integration(requestParameters={"integration.request.header.X": "stageVariables.x"}), "uses stageVariables.x"),
        (integration(requestParameters={"integration.request.header.X": "method.request.body"}), "uses method.request.body"),
        (
            integration(requestParameters={"integration.request.header.X": "context.identity.caller"}),
            "uses $context.identity.caller",
        ),
        (integration(requestParameters={"integration.request.cookie.X": "'1'"}), "maps integration.request.cookie.X"),
        (method_setting(authorizationType="NONE", authorizerId=None), "has the authorization NONE"),
        (method_setting(authorizationType="AWS_IAM", authorizerId=None), "has the authorization AWS_IAM"),
        (method_setting(authorizerId="gone"), "names an authorizer that the REST API does not have"),
        (method_setting(apiKeyRequired=True), "sets apiKeyRequired"),
        (method_setting(authorizationScopes=["a/b"]), "sets authorizationScopes"),
        (validate_bodies, "validates bodies by a model"),
        (authorizer("/type", "TOKEN"), "is of the type TOKEN"),
        (authorizer("/authorizerResultTtlInSeconds", "300"), "caches its answers"),
        (authorizer("/authorizerUri", "arn:aws:apigateway:us-east-1:sqs:path/x"), "does not name a Lambda function"),
        (authorizer("/identitySource", "method.request.header.A, context.stage"), "uses context.stage"),
        (authorizer("/identityValidationExpression", ".*"), "sets identityValidationExpression"),
        (revoke_permission, "does not permit this REST API"),
        (permission_for_another_api, "does not permit this REST API"),
        (stage("/cacheClusterEnabled", "true"), "sets cacheCluster"),
        (stage("/variables/x", "1"), "sets variables"),
        (stage("/*/*/caching/enabled", "true"), "sets cachingEnabled"),
        (stage("/*/*/logging/dataTrace", "true"), "sets dataTraceEnabled"),
        (
            stage("/accessLogSettings/destinationArn", "arn:aws:firehose:us-east-1:123456789012:deliverystream/x"),
            "access log goes",
        ),
        (stage("/accessLogSettings/format", "$context.identity.caller"), "uses $context.identity.caller"),
        (stage("/accessLogSettings/format", "$input.body"), "more than $context variables"),
        (gateway_response(responseTemplates={"application/json": "{}", "text/html": "x"}), "several content types"),
        (gateway_response(responseTemplates={"application/json": "#set($x = 1)"}), "more than $context variables"),
        (
            gateway_response(responseParameters={"gatewayresponse.header.X": "method.request.body.x"}),
            "uses method.request.body.x",
        ),
        (gateway_response(responseParameters={"gatewayresponse.cookie.X": "'1'"}), "which is not a header"),
        (other_resource("/{proxy+}"), "{proxy+}, which the local edge does not match"),
        (other_resource("/anything", "ANY"), "takes every method"),
        (listener_rule, "does more than forward"),
        (internet_facing, "is not an internal application one"),
        (integration(uri="https://service.internal:444/echo"), "no HTTPS listener on the port 444"),
        (acl({"Statement": {"GeoMatchStatement": {"CountryCodes": ["US"]}}, **BLOCK}), "the statement GeoMatchStatement"),
        (
            acl({"Statement": {"NotStatement": {"Statement": {"GeoMatchStatement": {"CountryCodes": ["US"]}}}}, **BLOCK}),
            "GeoMatch",
        ),
        (
            acl(
                {
                    "Statement": {"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": "AWSManagedRulesCommonRuleSet"}},
                    "OverrideAction": {"None": {}},
                }
            ),
            "OverrideAction",
        ),
        (acl({"Statement": {"LabelMatchStatement": {"Scope": "LABEL", "Key": "a:b"}}, **BLOCK}), "the statement LabelMatch"),
        (acl({"Statement": text(FieldToMatch={"QueryString": {}}), **BLOCK}), "inspects QueryString"),
        (acl({"Statement": text(PositionalConstraint="CONTAINS_WORD"), **BLOCK}), "at CONTAINS_WORD"),
        (acl({"Statement": text(TextTransformations=[{"Priority": 0, "Type": "CMD_LINE"}]), **BLOCK}), "by CMD_LINE"),
        (acl({"Statement": size({"UriPath": {}}), **BLOCK}), "something else than the body"),
        (acl({"Statement": size({"Body": {}}, "LOWERCASE"), **BLOCK}), "something else than the body"),
        (acl({"Statement": {"RateBasedStatement": {"Limit": 100, "AggregateKeyType": "CONSTANT"}}, **BLOCK}), "something else"),
        (
            acl(
                {
                    "Statement": {
                        "RateBasedStatement": {
                            "Limit": 100,
                            "AggregateKeyType": "IP",
                            "ForwardedIPConfig": {"HeaderName": "X-Forwarded-For", "FallbackBehavior": "MATCH"},
                        }
                    },
                    **BLOCK,
                }
            ),
            "sets ForwardedIPConfig",
        ),
        (acl({"Statement": ANYBODY, "Action": {"Captcha": {}}}), "an action other than"),
        (acl({"Statement": ANYBODY, **BLOCK, "RuleLabels": [{"Name": "x"}]}), "sets RuleLabels"),
        (
            acl(
                {
                    "Statement": ANYBODY,
                    "Action": {"Allow": {"CustomRequestHandling": {"InsertHeaders": [{"Name": "a", "Value": "b"}]}}},
                }
            ),
            "sets CustomRequestHandling",
        ),
        (
            acl(
                {
                    "Statement": ANYBODY,
                    "Action": {"Block": {"CustomResponse": {"ResponseCode": 429, "CustomResponseBodyKey": "missing"}}},
                }
            ),
            "the response body missing",
        ),
    ],
)
def test_what_cannot_be_enforced_is_named(site: Any, change: Callable[[Any], Any], sentence: str) -> None:
    read(site)
    change(site)
    with pytest.raises(Uninterpretable) as caught:
        read(site)
    assert sentence in str(caught.value)


def test_a_private_api_is_refused(site: Any) -> None:
    operations = [{"op": "replace", "path": "/endpointConfiguration/types/REGIONAL", "value": "PRIVATE"}]
    site.gateway.update_rest_api(restApiId=site.api, patchOperations=operations)
    with pytest.raises(Uninterpretable, match="not a regional one"):
        read(site)


def test_a_resource_policy_is_refused(site: Any) -> None:
    operations = [{"op": "replace", "path": "/policy", "value": '{"Version": "2012-10-17", "Statement": []}'}]
    site.gateway.update_rest_api(restApiId=site.api, patchOperations=operations)
    with pytest.raises(Uninterpretable, match="sets policy"):
        read(site)


def test_a_stage_without_web_acl_has_none(site: Any) -> None:
    assert waf.read(site.stage_arn, site.aws("wafv2")) is None
