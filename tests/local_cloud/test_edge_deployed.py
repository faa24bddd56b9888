"""What the edge makes of what is deployed: all of a thing, or an error that names it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

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
        if isinstance(method.integration, rest_api.Integration):
            targets.read(method.integration.load_balancer_arn, method.integration.port, site.aws)
    return api


def test_what_infra_deploys_is_understood(site: Any) -> None:
    site.throttle("GET", "/echo", rate=5, burst=20)
    api = read(site)
    (method,) = api.methods
    assert method.authorizer
    assert isinstance(method.integration, rest_api.Integration)
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


def delete_authorizer(site: Any) -> None:
    site.gateway.delete_authorizer(restApiId=site.api, authorizerId=site.authorizer)


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


def validate_bodies(schema: str | None = None) -> Callable[[Any], None]:
    """Puts GET /echo again with a model; where no schema is given, with one that is not there."""

    def change(site: Any) -> None:
        validator = site.gateway.create_request_validator(
            restApiId=site.api, name="bodies", validateRequestBody=True, validateRequestParameters=False
        )["id"]
        name = "Document" if schema else "Empty"
        if schema:
            site.gateway.create_model(restApiId=site.api, name=name, contentType="application/json", schema=schema)
        method_setting(requestValidatorId=validator, requestModels={"application/json": name})(site)
        if schema is None:
            # No call of AWS takes away a model that is in use; the emulation takes this one.
            patch = [{"op": "replace", "path": "/requestModels/application~1json", "value": "Document"}]
            at = {"restApiId": site.api, "resourceId": site.resource("/echo"), "httpMethod": "GET"}
            site.gateway.update_method(**at, patchOperations=patch)

    return change


def policy(**changes: Any) -> Callable[[Any], None]:
    """Gives the API a policy that refuses other addresses, changed."""

    def change(site: Any) -> None:
        statement = {
            "Effect": "Deny",
            "Principal": {"AWS": ["*"]},
            "Action": ["execute-api:Invoke"],
            "Resource": [f"arn:aws:execute-api:us-east-1:123456789012:{site.api}/*"],
            "Condition": {"NotIpAddress": {"aws:SourceIp": ["192.0.2.0/24", "2001:db8::/32"]}},
        } | changes
        document = json.dumps({"Version": "2012-10-17", "Statement": [{k: v for k, v in statement.items() if v}]})
        operations = [{"op": "replace", "path": "/policy", "value": document}]
        site.gateway.update_rest_api(restApiId=site.api, patchOperations=operations)

    return change


def function_integration(*, permit: bool = True, source_account: str = "123456789012", **changes: Any) -> Callable[[Any], None]:
    """Adds POST /function, which asks for a signature and invokes the site's function."""

    def change(site: Any) -> None:
        at = {"restApiId": site.api, "resourceId": site.resource("/function"), "httpMethod": "POST"}
        site.gateway.put_method(**at, authorizationType="AWS_IAM")
        arn = f"arn:aws:lambda:us-east-1:123456789012:function:{site.function}"
        arguments = {
            "type": "AWS_PROXY",
            "integrationHttpMethod": changes.get("httpMethod", "POST"),
            "uri": f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations",
        }
        site.gateway.put_integration(
            **at, **arguments, **{name: value for name, value in changes.items() if name != "httpMethod"}
        )
        if permit:
            site.aws("lambda").add_permission(
                FunctionName=site.function,
                StatementId="method",
                Action="lambda:InvokeFunction",
                Principal="apigateway.amazonaws.com",
                SourceArn=f"arn:aws:execute-api:us-east-1:123456789012:{site.api}/live/POST/function",
                SourceAccount=source_account,
            )

    return change


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
        (method_setting(authorizationType="AWS_IAM"), "has an authorizer beside the authorization AWS_IAM"),
        (method_setting(authorizationType="COGNITO_USER_POOLS"), "has the authorization COGNITO_USER_POOLS"),
        (delete_authorizer, "names an authorizer that the REST API does not have"),
        (method_setting(apiKeyRequired=True), "sets apiKeyRequired"),
        (method_setting(authorizationScopes=["a/b"]), "sets authorizationScopes"),
        (validate_bodies(), "names the models Document, which the REST API does not have"),
        (validate_bodies('{"$schema": "http://json-schema.org/draft-07/schema#"}'), "not of JSON Schema draft 4"),
        (validate_bodies('{"type": "nothing"}'), "a model that is no JSON Schema"),
        (validate_bodies('{"exclusiveMinimum": 0}'), "a model that is no JSON Schema"),
        (policy(Effect="Allow"), "admits callers"),
        (policy(Principal={"AWS": "arn:aws:iam::123456789012:root"}), "is not about everyone"),
        (policy(Action="execute-api:*"), "is about something else"),
        (policy(Condition={"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}), "another condition"),
        (policy(Condition=None), "another condition"),
        (policy(NotResource="*"), "sets NotResource"),
        (function_integration(httpMethod="GET"), "does not invoke its function by POST"),
        (function_integration(permit=False), "does not permit this method"),
        (function_integration(source_account="210987654321"), "does not permit this method"),
        (function_integration(credentials="arn:aws:iam::123456789012:role/x"), "sets credentials"),
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


def test_a_policy_refuses_every_address_but_those_that_it_names(site: Any) -> None:
    assert read(site).policy is None
    policy()(site)
    api = read(site)
    assert api.policy
    arn = api.method_arn("GET", "/echo")
    for address, refused in (("192.0.2.1", False), ("192.0.3.1", True), ("2001:db8::1", False), ("2001:db9::1", True)):
        assert api.policy.refuses(address, arn) is refused
    assert not api.policy.refuses("192.0.3.1", arn.replace(site.api, "another"))


def test_a_method_for_signatures_invokes_its_function(site: Any) -> None:
    function_integration()(site)
    (method,) = [method for method in rest_api.read(site.api, "live", site.stage_arn, site.aws).methods if not method.authorizer]
    assert (method.http_method, method.resource) == ("POST", "/function")
    assert isinstance(method.integration, rest_api.FunctionIntegration)
    assert method.integration.function_arn.endswith(site.function)


def test_a_client_certificate_that_is_gone_stops_the_edge(site: Any) -> None:
    certificate = site.gateway.generate_client_certificate()["clientCertificateId"]
    site.patch({"/clientCertificateId": certificate})
    read(site)
    site.gateway.delete_client_certificate(clientCertificateId=certificate)
    with pytest.raises(ClientError):
        read(site)


def test_a_stage_without_web_acl_has_none(site: Any) -> None:
    assert waf.read(site.stage_arn, site.aws("wafv2")) is None
