from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

POLICY = "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09"
BALANCER = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/a/b"


def of(name: str) -> str:
    """The token of a type of this service: of("RestApi")."""
    return f"aws:apigateway/{name[:1].lower()}{name[1:]}:{name}"


@pytest.fixture(scope="module")
def api(make: Callable[..., Any]) -> Any:
    return make(
        of("RestApi"),
        name="heartmap",
        description="first",
        endpointConfiguration={"types": "REGIONAL"},
        binaryMediaTypes=["multipart/form-data"],
        disableExecuteApiEndpoint=False,
        securityPolicy=POLICY,
        endpointAccessMode="STRICT",
        policy=json.dumps({"Statement": [], "Version": "2012-10-17"}),
        tags={"old": "1"},
    )


@pytest.fixture(scope="module")
def resource(make: Callable[..., Any], api: Any) -> Any:
    return make(of("Resource"), restApi=api.id, parentId=api.state["rootResourceId"], pathPart="{id}")


@pytest.fixture(scope="module")
def deploy(make: Callable[..., Any], api: Any) -> Callable[..., Any]:
    """Deploys the API, which needs at least one method for it."""
    place = {"restApi": api.id, "resourceId": api.state["rootResourceId"], "httpMethod": "GET"}
    make(of("Method"), **place, authorization="NONE")
    make(of("Integration"), **place, type="HTTP_PROXY", uri="https://internal.example/", integrationHttpMethod="GET")
    return lambda **arguments: make(of("Deployment"), restApi=api.id, **arguments)


@pytest.fixture(scope="module")
def stage(make: Callable[..., Any], api: Any, deploy: Callable[..., Any]) -> Any:
    deployment = deploy(triggers={"definition": "1"})
    logs = {"destinationArn": "arn:aws:logs:us-east-1:123456789012:log-group:access", "format": '{"id":"$context.requestId"}'}
    return make(
        of("Stage"), restApi=api.id, stageName="live", deployment=deployment.id, accessLogSettings=logs, variables={"a": "1"}
    )


def test_an_api_has_the_outputs_of_the_real_one(api: Any) -> None:
    assert api.state["arn"] == f"arn:aws:apigateway:us-east-1::/restapis/{api.id}"
    assert api.state["executionArn"] == f"arn:aws:execute-api:us-east-1:123456789012:{api.id}"
    assert api.state["rootResourceId"]
    assert api.drift() == {}


def test_an_api_can_change(make: Callable[..., Any], cloud: Any) -> None:
    made = make(
        of("RestApi"),
        name="changing",
        endpointConfiguration={"types": "REGIONAL"},
        binaryMediaTypes=["a/b"],
        disableExecuteApiEndpoint=True,
        endpointAccessMode="STRICT",
        tags={"old": "1"},
    )
    made.update(
        name="changed",
        description="second",
        binaryMediaTypes=["c/d"],
        disableExecuteApiEndpoint=False,
        endpointAccessMode="BASIC",
        endpointConfiguration={"types": "EDGE"},
        policy=json.dumps({"Version": "2012-10-17", "Statement": []}),
        tags={"new": "1"},
    )
    found = cloud.client("apigateway").get_rest_api(restApiId=made.id)
    assert (found["name"], found["description"], found["binaryMediaTypes"]) == ("changed", "second", ["c/d"])
    assert found["disableExecuteApiEndpoint"] is False
    assert found["endpointConfiguration"]["types"] == ["EDGE"]
    assert found["tags"] == {"project": "heartmap", "new": "1"}
    assert made.drift() == {}
    made.delete()
    assert made.read() is None
    made.delete()


def test_a_resource_knows_its_path(make: Callable[..., Any], api: Any, resource: Any) -> None:
    assert resource.state["path"] == "/{id}"
    child = make(of("Resource"), restApi=api.id, parentId=resource.id, pathPart="parts")
    assert child.state["path"] == "/{id}/parts"
    assert child.drift() == {}
    child.delete()
    assert child.read() is None
    child.delete()


def test_a_method_and_its_integration_can_change_apart(make: Callable[..., Any], api: Any, resource: Any, cloud: Any) -> None:
    place = {"restApi": api.id, "resourceId": resource.id, "httpMethod": "GET"}
    uri = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/x/invocations"
    one, two = (
        make(of("Authorizer"), restApi=api.id, name=name, type="REQUEST", authorizerUri=uri).id for name in ("one", "two")
    )
    validator = make(of("RequestValidator"), restApi=api.id, name="validator").id
    method = make(
        of("Method"), **place, authorization="CUSTOM", authorizerId=one, requestParameters={"method.request.path.id": True}
    )
    integration = make(
        of("Integration"),
        **place,
        type="HTTP_PROXY",
        integrationHttpMethod="GET",
        uri="https://internal.example/{id}",
        connectionType="VPC_LINK",
        connectionId="link",
        integrationTarget=BALANCER,
        requestParameters={"integration.request.header.Authorization": "'redacted'"},
        timeoutMilliseconds=29000,
        tlsConfig={"insecureSkipVerification": True},
    )
    assert method.drift() == integration.drift() == {}

    method.update(authorizerId=two, requestValidatorId=validator, requestParameters={"method.request.querystring.a/b": False})
    integration.update(uri="https://other.example/{id}", timeoutMilliseconds=10000, tlsConfig=None)
    found = cloud.client("apigateway").get_method(restApiId=api.id, resourceId=resource.id, httpMethod="GET")
    assert (found["authorizerId"], found["requestValidatorId"]) == (two, validator)
    assert found["methodIntegration"]["uri"] == "https://other.example/{id}"
    assert found["methodIntegration"]["connectionId"] == "link"
    assert found["methodIntegration"]["integrationTarget"] == BALANCER
    assert "tlsConfig" not in found["methodIntegration"]
    assert method.drift() == integration.drift() == {}

    for made in (integration, method):
        made.delete()
        assert made.read() is None
        made.delete()


SCHEMA = {"$schema": "http://json-schema.org/draft-04/schema#", "type": "object"}


def test_a_model_can_be_made_changed_and_deleted(make: Callable[..., Any], api: Any, cloud: Any) -> None:
    made = make(of("Model"), restApi=api.id, name="NewUpload", contentType="application/json", schema=json.dumps(SCHEMA))
    assert made.drift() == {}
    made.update(schema=json.dumps(SCHEMA | {"additionalProperties": False}), description="d")
    assert made.drift() == {}
    found = cloud.client("apigateway").get_model(restApiId=api.id, modelName="NewUpload")
    assert json.loads(found["schema"])["additionalProperties"] is False
    made.delete()
    assert made.read() is None
    made.delete()


@pytest.mark.parametrize(("name", "schema"), [("New-Upload", "{}"), ("Broken", "{"), ("List", "[]")])
def test_a_model_that_api_gateway_would_refuse_is_refused(make: Callable[..., Any], api: Any, name: str, schema: str) -> None:
    with pytest.raises(ClientError, match="BadRequestException"):
        make(of("Model"), restApi=api.id, name=name, contentType="application/json", schema=schema)


def test_a_method_names_its_models(make: Callable[..., Any], api: Any, cloud: Any) -> None:
    place = {"restApi": api.id, "resourceId": api.state["rootResourceId"], "httpMethod": "POST"}
    for name in ("One", "Two"):
        make(of("Model"), restApi=api.id, name=name, contentType="application/json", schema="{}")
    made = make(of("Method"), **place, authorization="AWS_IAM", requestModels={"$default": "One"})
    assert made.drift() == {}
    made.update(requestModels={"application/json": "Two"})
    found = cloud.client("apigateway").get_method(restApiId=api.id, resourceId=api.state["rootResourceId"], httpMethod="POST")
    assert (found["requestModels"], found["authorizationType"]) == ({"application/json": "Two"}, "AWS_IAM")
    assert made.drift() == {}
    made.delete()


def test_an_api_has_one_policy_which_can_change_and_go(make: Callable[..., Any], cloud: Any) -> None:
    api = make(of("RestApi"), name="guarded", endpointConfiguration={"types": "REGIONAL"})
    statement = {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "execute-api:Invoke", "Resource": "*"}
    made = make(of("RestApiPolicy"), restApiId=api.id, policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    assert made.drift() == {}
    changed = json.dumps({"Version": "2012-10-17", "Statement": [statement | {"Sid": "Ranges"}]})
    made.update(policy=changed)
    assert made.drift() == {}
    assert "Ranges" in cloud.client("apigateway").get_rest_api(restApiId=api.id)["policy"]
    made.delete()
    assert made.read() is None
    assert not cloud.client("apigateway").get_rest_api(restApiId=api.id).get("policy")
    made.delete()


def test_an_api_and_a_domain_are_reached_at_the_addresses_that_they_say(make: Callable[..., Any], cloud: Any) -> None:
    endpoint = {"types": "REGIONAL", "ipAddressType": "dualstack"}
    api = make(of("RestApi"), name="both", endpointConfiguration=endpoint)
    domain = make(of("DomainName"), domainName="both.example.org", regionalCertificateArn="arn:1", endpointConfiguration=endpoint)
    client = cloud.client("apigateway")

    def found() -> list[dict[str, Any]]:
        answers = client.get_rest_api(restApiId=api.id), client.get_domain_name(domainName=domain.id)
        return [answer["endpointConfiguration"] for answer in answers]

    assert found() == [{"types": ["REGIONAL"], "ipAddressType": "dualstack"}] * 2
    assert api.drift() == domain.drift() == {}
    for made in (api, domain):
        made.update(endpointConfiguration={"types": "REGIONAL", "ipAddressType": "ipv4"})
        assert made.drift() == {}
    assert found() == [{"types": ["REGIONAL"], "ipAddressType": "ipv4"}] * 2


def test_a_stage_shows_a_client_certificate_that_is_there(make: Callable[..., Any], stage: Any, api: Any, cloud: Any) -> None:
    made = make(of("ClientCertificate"), description="first", tags={"a": "b"})
    assert made.state["arn"] == f"arn:aws:apigateway:us-east-1::/clientcertificates/{made.id}"
    assert made.state["pemEncodedCertificate"].startswith("-----BEGIN CERTIFICATE-----")
    assert made.drift() == {}
    made.update(description="second", tags={"c": "d"})
    assert made.drift() == {}
    stage.update(clientCertificateId=made.id)
    found = cloud.client("apigateway").get_stage(restApiId=api.id, stageName="live")
    assert found["clientCertificateId"] == made.id
    assert stage.drift() == {}
    with pytest.raises(ClientError, match="BadRequestException"):
        stage.update(clientCertificateId="nobody")
    stage.update(clientCertificateId=None)
    assert "clientCertificateId" not in cloud.client("apigateway").get_stage(restApiId=api.id, stageName="live")
    made.delete()
    assert made.read() is None
    made.delete()


def test_a_usage_plan_has_limits_for_its_stages_and_their_methods(make: Callable[..., Any], stage: Any, cloud: Any) -> None:
    place = {"apiId": stage.state["restApi"], "stage": "live"}
    throttles = [
        {"path": "/uploads/POST", "rateLimit": 0.5, "burstLimit": 20},
        {"path": "/config/POST", "rateLimit": 2, "burstLimit": 10},
    ]
    made = make(
        of("UsagePlan"),
        name="live",
        description="first",
        apiStages=[place | {"throttles": throttles}],
        throttleSettings={"rateLimit": 50, "burstLimit": 100},
    )
    assert made.state["arn"] == f"arn:aws:apigateway:us-east-1::/usageplans/{made.id}"
    assert made.drift() == {}

    def found() -> dict[str, Any]:
        return cloud.client("apigateway").get_usage_plan(usagePlanId=made.id)

    assert found()["apiStages"][0]["throttle"]["/uploads/POST"] == {"rateLimit": 0.5, "burstLimit": 20}
    made.update(
        name="renamed",
        apiStages=[place | {"throttles": [{"path": "/uploads/POST", "rateLimit": 1.5, "burstLimit": 3}]}],
        throttleSettings={"rateLimit": 12.5, "burstLimit": 7},
        tags={"a": "b"},
    )
    assert made.drift() == {}
    assert found()["apiStages"][0]["throttle"] == {"/uploads/POST": {"rateLimit": 1.5, "burstLimit": 3}}
    assert (found()["name"], found()["throttle"]) == ("renamed", {"rateLimit": 12.5, "burstLimit": 7})
    assert found()["tags"] == {"project": "heartmap", "a": "b"}
    made.update(apiStages=None, throttleSettings=None)
    assert (found()["apiStages"], found().get("throttle")) == ([], None)
    made.update(apiStages=[place])
    with pytest.raises(ClientError, match="associated stages"):
        cloud.client("apigateway").delete_usage_plan(usagePlanId=made.id)
    made.delete()
    assert made.read() is None
    made.delete()


def test_an_authorizers_ttl_of_zero_stays_zero(make: Callable[..., Any], api: Any, cloud: Any) -> None:
    made = make(
        of("Authorizer"),
        restApi=api.id,
        name="heartmap",
        type="REQUEST",
        identitySource="method.request.header.Authorization",
        authorizerResultTtlInSeconds=0,
        authorizerUri="arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/f/invocations",
    )
    assert made.state["arn"] == f"arn:aws:apigateway:us-east-1::/restapis/{api.id}/authorizers/{made.id}"
    found = cloud.client("apigateway").get_authorizer(restApiId=api.id, authorizerId=made.id)
    assert found["authorizerResultTtlInSeconds"] == 0
    assert found["type"] == "REQUEST"
    made.update(authorizerResultTtlInSeconds=60, name="renamed")
    assert made.read()["authorizerResultTtlInSeconds"] == 60
    assert made.drift() == {}
    made.delete()
    assert made.read() is None
    made.delete()


def test_a_request_validator_can_be_made_changed_and_deleted(make: Callable[..., Any], api: Any) -> None:
    made = make(
        of("RequestValidator"), restApi=api.id, name="parameters", validateRequestParameters=True, validateRequestBody=False
    )
    assert made.drift() == {}
    made.update(validateRequestBody=True, validateRequestParameters=False)
    assert made.read() == {"name": "parameters", "validateRequestBody": True, "validateRequestParameters": False}
    made.delete()
    assert made.read() is None
    made.delete()


def test_a_gateway_response_can_be_made_changed_and_deleted(make: Callable[..., Any], api: Any, cloud: Any) -> None:
    made = make(
        of("Response"),
        restApiId=api.id,
        responseType="UNAUTHORIZED",
        statusCode="401",
        responseTemplates={"application/json": "{}"},
        responseParameters={"gatewayresponse.header.Cache-Control": "'no-store'"},
    )
    assert made.drift() == {}
    made.update(statusCode=None, responseTemplates={"application/json": '{"a": 1}'})
    found = cloud.client("apigateway").get_gateway_response(restApiId=api.id, responseType="UNAUTHORIZED")
    assert "statusCode" not in found
    assert found["responseTemplates"] == {"application/json": '{"a": 1}'}
    made.delete()
    assert made.read() is None
    made.delete()


def test_another_trigger_needs_another_deployment(deploy: Callable[..., Any]) -> None:
    made = deploy(triggers={"definition": "1"}, description="first")
    assert "triggers" in made.handler.replaces
    assert made.drift() == {}
    made.update(description="second")
    assert made.drift() == {}
    made.delete()
    assert made.read() is None
    made.delete()


def test_a_stage_has_the_outputs_of_the_real_one(api: Any, stage: Any) -> None:
    assert stage.state["arn"] == f"arn:aws:apigateway:us-east-1::/restapis/{api.id}/stages/live"
    assert stage.state["executionArn"] == f"arn:aws:execute-api:us-east-1:123456789012:{api.id}/live"
    assert stage.state["invokeUrl"] == f"https://{api.id}.execute-api.us-east-1.amazonaws.com/live"
    assert stage.drift() == {}


def test_a_stage_can_change(deploy: Callable[..., Any], api: Any, stage: Any, cloud: Any) -> None:
    newer = deploy(triggers={"definition": "2"})
    stage.update(
        deployment=newer.id,
        description="d",
        xrayTracingEnabled=True,
        variables={"b": "2"},
        accessLogSettings=None,
        tags={"a": "b"},
    )
    found = cloud.client("apigateway").get_stage(restApiId=api.id, stageName="live")
    assert (found["deploymentId"], found["description"], found["tracingEnabled"]) == (newer.id, "d", True)
    assert found["variables"] == {"b": "2"}
    assert "accessLogSettings" not in found
    assert found["tags"] == {"project": "heartmap", "a": "b"}
    assert stage.drift() == {}


def test_method_settings_override_and_go_back_to_the_default(make: Callable[..., Any], api: Any, stage: Any, cloud: Any) -> None:
    place = {"restApi": api.id, "stageName": stage.state["stageName"]}
    make(of("MethodSettings"), **place, methodPath="*/*", settings={"throttlingRateLimit": 50, "loggingLevel": "ERROR"})
    made = make(
        of("MethodSettings"),
        **place,
        methodPath="~1analyses~1{analysis_id}/GET",
        settings={"throttlingRateLimit": 5.5, "throttlingBurstLimit": 10, "metricsEnabled": True, "dataTraceEnabled": False},
    )
    assert made.drift() == {}

    def found() -> dict[str, Any]:
        return cloud.client("apigateway").get_stage(restApiId=api.id, stageName="live")["methodSettings"]

    assert found()["~1analyses~1{analysis_id}/GET"]["throttlingRateLimit"] == 5.5
    made.update(settings={"throttlingBurstLimit": 20})
    assert found()["~1analyses~1{analysis_id}/GET"]["throttlingBurstLimit"] == 20
    assert found()["~1analyses~1{analysis_id}/GET"]["metricsEnabled"] is False
    made.delete()
    assert made.read() is None
    assert found()["*/*"]["throttlingRateLimit"] == 50


def test_settings_of_methods_that_the_edge_would_not_know_are_refused(refusals: Callable[..., list[str]]) -> None:
    (reason,) = refusals(of("MethodSettings"), restApi="a", stageName="b", methodPath="*/*", settings={"cacheTtlInSeconds": 1})
    assert "settings.cacheTtlInSeconds" in reason


def test_the_account_loses_its_role_again(make: Callable[..., Any], cloud: Any) -> None:
    role = "arn:aws:iam::123456789012:role/logs"
    made = make(of("Account"), cloudwatchRoleArn=role)
    assert made.drift() == {}
    made.update(cloudwatchRoleArn=f"{role}-2")
    assert cloud.client("apigateway").get_account()["cloudwatchRoleArn"] == f"{role}-2"
    made.delete()
    assert not cloud.client("apigateway").get_account().get("cloudwatchRoleArn")


def test_a_domain_leads_to_a_stage(make: Callable[..., Any], api: Any, stage: Any, cloud: Any) -> None:
    certificate = "arn:aws:acm:us-east-1:123456789012:certificate/1"
    domain = make(
        of("DomainName"),
        domainName="api.example.org",
        regionalCertificateArn=certificate,
        endpointConfiguration={"types": "REGIONAL"},
        securityPolicy=POLICY,
        endpointAccessMode="STRICT",
    )
    assert domain.state["regionalDomainName"].endswith(".execute-api.us-east-1.amazonaws.com")
    assert domain.state["regionalZoneId"]
    assert domain.drift() == {}
    domain.update(regionalCertificateArn=certificate.replace("/1", "/2"), tags={"a": "b"})
    assert domain.drift() == {}

    mapping = make(of("BasePathMapping"), domainName=domain.id, restApi=api.id, stageName=stage.state["stageName"])
    assert mapping.drift() == {}
    (found,) = cloud.client("apigateway").get_base_path_mappings(domainName="api.example.org")["items"]
    assert (found["restApiId"], found["stage"], found["basePath"]) == (api.id, "live", "(none)")
    mapping.update(stageName=None)
    for made in (mapping, domain):
        made.delete()
        assert made.read() is None
        made.delete()


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("RestApi", {"name": "x", "body": "{}"}, '"body"'),
        ("RestApi", {"name": "x", "endpointConfiguration": {"vpcEndpointIds": ["v"]}}, "endpointConfiguration.vpcEndpointIds"),
        ("Stage", {"restApi": "a", "stageName": "b", "deployment": "c", "canarySettings": {}}, '"canarySettings"'),
        (
            "Integration",
            {"restApi": "a", "resourceId": "b", "httpMethod": "GET", "type": "MOCK", "credentials": "x"},
            "credentials",
        ),
    ],
)
def test_an_argument_that_nobody_would_carry_out_is_refused(
    refusals: Callable[..., list[str]], name: str, arguments: dict[str, Any], words: str
) -> None:
    (reason,) = refusals(of(name), **arguments)
    assert words in reason
