import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

import infra.api
from infra.api import integration_parameters, method_path
from infra.gateway_responses import GATEWAY_RESPONSES, SECURITY_HEADERS
from infra.request_models import BODIES, schema
from lambda_authorizer.access_policy import ACCESS_POLICY, AUDIT, KEYS, RULES, SERVICE, STEP_UP_AGE, USERS, Rule
from lambda_authorizer.reasons import Reason

API = "RestApi/api"


def routes(plan: Any) -> dict[str, str]:
    """Resource id -> route, put together from the parts as API Gateway does it."""
    found = {f"{API}/rootResourceId": "/"}
    for resource in plan.of("apigateway/resource:Resource"):  # parents come first
        parent = found[resource.inputs["parentId"]]
        found[resource.id] = f"{parent.rstrip('/')}/{resource.inputs['pathPart']}"
    return found


def by_method(plan: Any, type_: str) -> dict[tuple[str, str], Any]:
    found: dict[tuple[str, str], Any] = {}
    for resource in plan.of(f"apigateway/{type_}"):
        key = (resource.inputs["httpMethod"], routes(plan)[resource.inputs["resourceId"]])
        assert key not in found
        found[key] = resource
    return found


TOKEN = ("POST", "/token")
FUNCTIONS = {KEYS: "key-administration", USERS: "user-administration", AUDIT: "audit-search"}
BY_FUNCTIONS = {call: FUNCTIONS[rule.answered_by] for call, rule in RULES.items() if rule.answered_by != SERVICE}
BY_THE_SERVICE = {call for call, rule in RULES.items() if rule.answered_by == SERVICE}


def test_there_is_one_method_for_each_row_of_the_access_policy_and_the_one_for_signatures(plan: Any) -> None:
    assert set(by_method(plan, "method:Method")) == {*RULES, TOKEN}
    assert set(by_method(plan, "integration:Integration")) == {*RULES, TOKEN}


def test_every_method_of_the_access_policy_asks_the_authorizer(plan: Any) -> None:
    for key, method in by_method(plan, "method:Method").items():
        if key != TOKEN:
            assert method.inputs["authorization"] == "CUSTOM", method.urn
            assert method.inputs["authorizerId"] == "Authorizer/api", method.urn
        assert not method.inputs.get("apiKeyRequired")


def test_no_credential_but_an_iam_signature_opens_post_token(plan: Any) -> None:
    method = by_method(plan, "method:Method")[TOKEN].inputs
    assert method["authorization"] == "AWS_IAM"
    assert "authorizerId" not in method
    assert TOKEN not in RULES
    integration = by_method(plan, "integration:Integration")[TOKEN].inputs
    assert (integration["type"], integration["integrationHttpMethod"]) == ("AWS_PROXY", "POST")
    assert integration["uri"] == "Function/token/invokeArn"
    # With credentials of the caller or of a role, the function's own permission would not count.
    assert "credentials" not in integration


def test_only_post_token_of_this_stage_may_invoke_the_exchange(plan: Any) -> None:
    permission = plan.one("lambda/permission:Permission", "api-POST-token").inputs
    assert permission["function"] == f"heartmap-{plan.stack}-token"
    assert permission["sourceArn"] == f"{API}/executionArn/live/POST/token"
    assert permission["sourceAccount"] == "123456789012"


def test_whoever_answers_every_row_names_one_that_there_is() -> None:
    assert {who: list(BY_FUNCTIONS.values()).count(who) for who in FUNCTIONS.values()} == {
        "key-administration": 4,
        "user-administration": 3,
        "audit-search": 2,
    }
    assert set(RULES) == BY_FUNCTIONS.keys() | BY_THE_SERVICE


def test_what_is_not_the_services_is_answered_by_its_function_behind_the_same_authorizer(plan: Any) -> None:
    methods, integrations = by_method(plan, "method:Method"), by_method(plan, "integration:Integration")
    for call, function in BY_FUNCTIONS.items():
        assert (methods[call].inputs["authorization"], methods[call].inputs["authorizerId"]) == ("CUSTOM", "Authorizer/api")
        integration = integrations[call].inputs
        assert (integration["type"], integration["integrationHttpMethod"]) == ("AWS_PROXY", "POST")
        assert integration["uri"] == f"Function/{function}/invokeArn"
        # With credentials of the caller or of a role, the function's own permission would not count.
        assert not {"credentials", "connectionId", "requestParameters"} & set(integration)


@pytest.mark.parametrize(
    ("function", "calls"),
    [
        ("keys", ["GET/keys", "POST/keys", "POST/keys/*/rotate", "DELETE/keys/*"]),
        ("users", ["GET/users", "POST/users", "PATCH/users"]),
        ("audit", ["GET/audit", "GET/audit/seals"]),
    ],
)
def test_a_function_is_invoked_for_its_calls_alone(plan: Any, function: str, calls: list[str]) -> None:
    name = f"heartmap-{plan.stack}-{function}"
    permissions = [one.inputs for one in plan.of("lambda/permission:Permission") if one.inputs["function"] == name]
    assert {one["sourceArn"] for one in permissions} == {f"{API}/executionArn/live/{call}" for call in calls}
    assert len(permissions) == len(calls)
    assert {(one["principal"], one["sourceAccount"]) for one in permissions} == {("apigateway.amazonaws.com", "123456789012")}


def test_what_administrators_attach_to_roles_allows_that_one_call(plan: Any) -> None:
    policy = plan.one("iam/policy:Policy", "api-token-callers").inputs
    (statement,) = json.loads(policy["policy"])["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Allow", ["execute-api:Invoke"])
    assert statement["Resource"] == [f"{API}/executionArn/live/POST/token"]


def test_bodies_are_validated_by_the_models_of_the_service_whatever_their_type(plan: Any) -> None:
    models = {model.name: model.inputs for model in plan.of("apigateway/model:Model")}
    assert len(models) == len(BODIES)
    # An API has one model of a name, and its name is letters and digits.
    assert len({model["name"] for model in models.values()}) == len(models)
    assert all(model["name"].isalnum() for model in models.values())
    for key, method in by_method(plan, "method:Method").items():
        if key not in BODIES:
            assert method.inputs["requestValidatorId"] == "RequestValidator/api"
            assert "requestModels" not in method.inputs
            continue
        assert method.inputs["requestValidatorId"] == "RequestValidator/api-bodies"
        ((content_type, model),) = method.inputs["requestModels"].items()
        assert content_type == "$default"
        assert models[method.name]["name"] == model
        assert models[method.name]["schema"] == schema(BODIES[key])
    validators = {each.name: each.inputs for each in plan.of("apigateway/requestValidator:RequestValidator")}
    assert validators["api"]["validateRequestParameters"] is validators["api-bodies"]["validateRequestParameters"] is True
    assert (validators["api"]["validateRequestBody"], validators["api-bodies"]["validateRequestBody"]) == (False, True)


RANGES = {"heartmap:allowed_ipv4": '["192.0.2.0/24"]', "heartmap:allowed_ipv6": '["2001:db8::/32"]'}


def test_the_api_refuses_who_is_outside_the_allowed_ranges_and_its_policy_admits_nobody(run: Callable[..., Any]) -> None:
    plan = run("dev", RANGES)
    policy = plan.one("apigateway/restApiPolicy:RestApiPolicy")
    (statement,) = json.loads(policy.inputs["policy"])["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Principal"] == {"AWS": ["*"]}
    assert statement["Action"] == ["execute-api:Invoke"]
    assert statement["Resource"] == [f"{API}/executionArn/*"]
    assert statement["Condition"] == {"NotIpAddress": {"aws:SourceIp": ["192.0.2.0/24", "2001:db8::/32"]}}
    assert policy.urn in plan.one("apigateway/deployment:Deployment").dependencies


def test_other_ranges_ask_for_a_new_deployment_and_none_for_no_policy(planned: Any, run: Callable[..., Any]) -> None:
    assert planned("dev").of("apigateway/restApiPolicy:RestApiPolicy") == []
    triggers = {
        trigger(planned("dev")),
        trigger(run("dev", RANGES)),
        trigger(run("dev", {"heartmap:allowed_ipv4": '["192.0.2.0/25"]'})),
    }
    assert len(triggers) == 3


def test_the_api_is_reached_over_ipv6_as_well(plan: Any) -> None:
    api = plan.one("apigateway/restApi:RestApi").inputs
    assert api["endpointConfiguration"] == {"types": "REGIONAL", "ipAddressType": "dualstack"}
    assert "policy" not in api


def test_the_stage_traces_and_shows_a_client_certificate(plan: Any) -> None:
    stage = plan.one("apigateway/stage:Stage").inputs
    assert stage["xrayTracingEnabled"] is True
    assert stage["clientCertificateId"] == "ClientCertificate/api"
    assert not stage.get("cacheClusterEnabled")


def test_the_usage_plan_of_the_stage_has_the_limits_of_the_access_policy(plan: Any) -> None:
    usage = plan.one("apigateway/usagePlan:UsagePlan").inputs
    (stage,) = usage["apiStages"]
    assert (stage["apiId"], stage["stage"]) == (API, "live")
    limits = {each["path"]: (each["rateLimit"], each["burstLimit"]) for each in stage["throttles"]}
    assert limits == {f"{rule.route}/{rule.method}": (rule.rate, rule.burst) for rule in ACCESS_POLICY}
    assert usage["throttleSettings"] == {"rateLimit": infra.api.STAGE_RATE, "burstLimit": infra.api.STAGE_BURST}


def test_the_authorizer_reads_one_header_and_its_answers_are_never_cached(plan: Any) -> None:
    authorizer = plan.one("apigateway/authorizer:Authorizer").inputs
    assert authorizer["type"] == "REQUEST"
    assert authorizer["identitySource"] == "method.request.header.Authorization"
    assert authorizer["authorizerResultTtlInSeconds"] == 0
    assert authorizer["authorizerUri"] == "Function/authorizer/invokeArn"


def test_only_this_authorizer_of_this_api_may_invoke_the_function(plan: Any) -> None:
    permission = plan.one("lambda/permission:Permission", "api").inputs
    assert permission["principal"] == "apigateway.amazonaws.com"
    assert permission["sourceArn"] == f"{API}/executionArn/authorizers/Authorizer/api"
    assert permission["sourceAccount"] == "123456789012"


def test_what_the_service_answers_goes_by_the_vpc_link_to_the_load_balancer_over_https(plan: Any) -> None:
    for method, route in BY_THE_SERVICE:
        inputs = by_method(plan, "integration:Integration")[method, route].inputs
        assert (inputs["type"], inputs["integrationHttpMethod"]) == ("HTTP_PROXY", method)
        assert (inputs["connectionType"], inputs["connectionId"]) == ("VPC_LINK", "VpcLink/api")
        assert inputs["integrationTarget"] == "arn:aws:LoadBalancer/balancer"
        assert inputs["uri"] == f"https://{plan.settings.internal_host}{route}"
        assert "cacheKeyParameters" not in inputs


def test_the_service_gets_the_assertion_and_never_the_credential(plan: Any) -> None:
    for key, integration in by_method(plan, "integration:Integration").items():
        if key not in BY_THE_SERVICE:
            continue
        parameters = integration.inputs["requestParameters"]
        assert parameters["integration.request.header.X-HeartMAP-Assertion"] == "context.authorizer.assertion"
        assert parameters["integration.request.header.Authorization"] == "'redacted'"
        assert parameters["integration.request.header.X-Request-Id"] == "context.requestId"
        assert not any("header.Authorization" in value for value in parameters.values())


def test_path_parameters_are_declared_and_passed_on() -> None:
    rule = RULES["GET", "/uploads/{upload_id}"]
    assert integration_parameters(rule)["integration.request.path.upload_id"] == "method.request.path.upload_id"


def test_declared_parameters_of_a_method_are_those_of_its_route(plan: Any) -> None:
    for (_, route), method in by_method(plan, "method:Method").items():
        declared = method.inputs.get("requestParameters", {})
        assert set(declared) == {f"method.request.path.{part[1:-1]}" for part in route.split("/") if part.startswith("{")}
        assert all(declared.values())


def test_certificates_go_unverified_only_where_there_is_no_domain(plan: Any) -> None:
    for key, integration in by_method(plan, "integration:Integration").items():
        expected = None if plan.settings.domain or key not in BY_THE_SERVICE else {"insecureSkipVerification": True}
        assert integration.inputs.get("tlsConfig") == expected


def test_the_address_that_aws_makes_up_is_off_exactly_where_there_is_a_domain(plan: Any) -> None:
    api = plan.one("apigateway/restApi:RestApi").inputs
    assert api["disableExecuteApiEndpoint"] is bool(plan.settings.domain)
    assert api["securityPolicy"] == "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09"
    assert api["endpointAccessMode"] == "STRICT"
    assert api["binaryMediaTypes"] == ["multipart/form-data"]


def test_a_deployment_waits_for_everything_that_it_takes_a_snapshot_of(plan: Any) -> None:
    deployment = plan.one("apigateway/deployment:Deployment")
    parts = {
        resource.urn
        for type_ in (
            "resource:Resource",
            "method:Method",
            "integration:Integration",
            "authorizer:Authorizer",
            "model:Model",
            "response:Response",
        )
        for resource in plan.of(f"apigateway/{type_}")
    }
    assert parts <= set(deployment.dependencies)


def trigger(plan: Any) -> str:
    return plan.one("apigateway/deployment:Deployment").inputs["triggers"]["definition"]


def test_the_same_program_asks_for_the_same_deployment(planned: Any, run: Callable[..., Any]) -> None:
    assert trigger(run("dev")) == trigger(planned("dev"))


def test_a_changed_row_or_answer_asks_for_a_new_deployment(
    planned: Any, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = Rule("GET", "/about", frozenset({"viewer"}), frozenset(), 1, 1, 0)
    with monkeypatch.context() as patch:
        patch.setattr(infra.api, "ACCESS_POLICY", (*ACCESS_POLICY, extra))
        assert trigger(run("dev")) != trigger(planned("dev"))
    changed = GATEWAY_RESPONSES[0]._replace(detail="Other words.")
    monkeypatch.setattr(infra.api, "GATEWAY_RESPONSES", (changed, *GATEWAY_RESPONSES[1:]))
    assert trigger(run("dev")) != trigger(planned("dev"))


def test_throttles_are_those_of_the_access_policy_and_bodies_are_never_logged(plan: Any) -> None:
    settings = {setting.inputs["methodPath"]: setting.inputs for setting in plan.of("apigateway/methodSettings:MethodSettings")}
    rules = (*ACCESS_POLICY, infra.api.TOKEN_RULE)
    assert set(settings) == {"*/*"} | {method_path(rule) for rule in rules}
    for rule in rules:
        limits = settings[method_path(rule)]["settings"]
        assert (limits["throttlingRateLimit"], limits["throttlingBurstLimit"]) == (rule.rate, rule.burst)
    for setting in settings.values():
        assert setting["settings"]["dataTraceEnabled"] is False
        assert setting["settings"]["loggingLevel"] == "ERROR"
        assert setting["settings"]["throttlingRateLimit"] > 0


@pytest.mark.parametrize(
    ("method", "route", "path"),
    [
        ("GET", "/", "~1/GET"),
        ("POST", "/uploads", "~1uploads/POST"),
        ("GET", "/uploads/{upload_id}", "~1uploads~1{upload_id}/GET"),
    ],
)
def test_a_method_is_named_as_the_settings_of_a_stage_name_it(method: str, route: str, path: str) -> None:
    assert method_path(RULES[method, route]) == path


def test_changes_of_the_stage_come_one_after_the_other(plan: Any) -> None:
    settings = plan.of("apigateway/methodSettings:MethodSettings")
    for earlier, later in pairwise(settings):
        assert earlier.urn in later.dependencies


def test_the_stage_waits_for_the_log_groups_that_api_gateway_would_make_itself_otherwise(plan: Any) -> None:
    groups = {plan.one("cloudwatch/logGroup:LogGroup", f"api-{purpose}").urn for purpose in ("execution", "access")}
    assert groups <= set(plan.one("apigateway/stage:Stage").dependencies)


def test_the_access_log_is_json_with_the_request_id_and_without_credentials(plan: Any) -> None:
    log = plan.one("apigateway/stage:Stage").inputs["accessLogSettings"]
    fields = json.loads(log["format"])
    assert fields["request_id"] == "$context.requestId"
    assert fields["decision"] == "$context.authorizer.decision"
    assert fields["reason"] == "$context.authorizer.reason"
    assert fields["role"] == "$context.identity.userArn"
    assert not any("header" in value.lower() or "authorizer.assertion" in value for value in fields.values())
    assert plan.one("cloudwatch/logGroup:LogGroup", "api-execution").inputs["name"] == f"API-Gateway-Execution-Logs_{API}/live"


REQUIRED = {
    "UNAUTHORIZED": (401, "unauthenticated"),
    "ACCESS_DENIED": (403, "forbidden"),
    "INVALID_SIGNATURE": (403, "invalid_signature"),
    "EXPIRED_TOKEN": (403, "invalid_signature"),
    "MISSING_AUTHENTICATION_TOKEN": (403, "no_such_route"),
    "WAF_FILTERED": (403, "blocked"),
    "THROTTLED": (429, "throttled"),
    "REQUEST_TOO_LARGE": (413, "body_too_large"),
    "BAD_REQUEST_BODY": (400, "bad_request"),
    "BAD_REQUEST_PARAMETERS": (400, "bad_request"),
    "AUTHORIZER_FAILURE": (500, "internal"),
    "AUTHORIZER_CONFIGURATION_ERROR": (500, "internal"),
    "API_CONFIGURATION_ERROR": (500, "internal"),
    "INTEGRATION_FAILURE": (502, "bad_gateway"),
    "INTEGRATION_TIMEOUT": (504, "timeout"),
    "DEFAULT_4XX": (None, "bad_request"),
    "DEFAULT_5XX": (None, "internal"),
}


@pytest.mark.parametrize("response_type", REQUIRED)
def test_what_the_gateway_answers_by_itself_is_a_problem_document(planned: Any, response_type: str) -> None:
    plan = planned("dev")
    (response,) = [r.inputs for r in plan.of("apigateway/response:Response") if r.inputs["responseType"] == response_type]
    status, code = REQUIRED[response_type]
    assert response.get("statusCode") == (None if status is None else str(status))
    problem = json.loads(response["responseTemplates"]["application/json"])
    assert problem["code"] == code
    assert problem.get("status") == status
    assert problem["request_id"] == "$context.requestId"
    assert "$context.error" not in response["responseTemplates"]["application/json"]
    # Where somebody may not do something he learns why; who is not known learns nothing.
    assert problem.get("reason") == ("$context.authorizer.reason" if response_type == "ACCESS_DENIED" else None)
    headers = response["responseParameters"]
    assert headers["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
    for name, value in SECURITY_HEADERS.items():
        assert headers[f"gatewayresponse.header.{name}"] == f"'{value}'"


def test_a_refusal_says_that_a_fresh_sign_in_may_help() -> None:
    (answer,) = [answer for answer in GATEWAY_RESPONSES if answer.response_type == "ACCESS_DENIED"]
    assert Reason.SIGN_IN_TOO_OLD in answer.detail
    assert f"{STEP_UP_AGE // 60} minutes" in answer.detail
    assert "heartmapctl login" in answer.detail


def test_a_body_too_large_says_how_to_upload_instead() -> None:
    (answer,) = [answer for answer in GATEWAY_RESPONSES if answer.response_type == "REQUEST_TOO_LARGE"]
    assert "heartmapctl upload" in answer.detail
