"""API Gateway, AWS WAF and the functions that API Gateway calls."""

import json
from collections.abc import Iterable

from posture.controls.registry import at, control, covers, each
from posture.plan import Plan

METHOD, STAGE = "apigateway/method:Method", "apigateway/stage:Stage"
INTEGRATION, SETTINGS = "apigateway/integration:Integration", "apigateway/methodSettings:MethodSettings"
WEB_ACL, FUNCTION = "wafv2/webAcl:WebAcl", "lambda/function:Function"

TLS_POLICY = "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09"
SIGNED = "AWS_IAM"
"""The authorization of a method that an IAM signature opens."""

MANAGED_GROUPS = {
    "AWSManagedRulesCommonRuleSet",
    "AWSManagedRulesKnownBadInputsRuleSet",
    "AWSManagedRulesAmazonIpReputationList",
    "AWSManagedRulesAnonymousIpList",
}
REDACTED = {"authorization", "cookie"}
SUPPORTED_RUNTIMES = {"python3.12", "python3.13", "python3.14"}
"""Those that Lambda supports throughout 2027: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html"""


@control("1")
def every_method_has_an_authorizer(plan: Plan) -> Iterable[str]:
    authorizers = {authorizer.id for authorizer in plan.of("apigateway/authorizer:Authorizer")}
    return each(
        plan,
        METHOD,
        lambda method: (
            method.get("authorization") == SIGNED
            or (method.get("authorization") == "CUSTOM" and method.get("authorizerId") in authorizers)
        ),
        "anybody may call it",
    )


@control("2")
def execution_logs_at_error(plan: Plan) -> Iterable[str]:
    roles = {f"arn:aws:{role.id}" for role in plan.of("iam/role:Role")}
    yield from each(
        plan, "apigateway/account:Account", lambda one: one.get("cloudwatchRoleArn") in roles, "has no role to log by"
    )
    yield from each(plan, SETTINGS, lambda one: at(one, "settings.loggingLevel") == "ERROR", "errors are not logged")
    if "*/*" not in {one.inputs["methodPath"] for one in plan.of(SETTINGS)}:
        yield "no method settings stand for all methods"


@control("3")
def access_logs_in_json(plan: Plan) -> Iterable[str]:
    groups = {f"arn:aws:{group.id}" for group in plan.of("cloudwatch/logGroup:LogGroup")}

    def holds(stage: dict) -> bool:
        log_format = json.loads(at(stage, "accessLogSettings.format") or "{}")
        needed = {"$context.requestId", "$context.identity.sourceIp", "$context.status", "$context.authorizer.principalId"}
        return at(stage, "accessLogSettings.destinationArn") in groups and needed <= set(log_format.values())

    return each(plan, STAGE, holds, "has no access log that says who asked for what and got which answer")


@control("4")
def bodies_are_not_traced(plan: Plan) -> Iterable[str]:
    return each(plan, SETTINGS, lambda one: at(one, "settings.dataTraceEnabled") is False, "bodies are logged")


@control("5")
def the_stage_has_the_web_acl(plan: Plan) -> Iterable[str]:
    yield from each(plan, STAGE, lambda _: True, "")
    stages = {f"arn:aws:{stage.id}" for stage in plan.of(STAGE)}
    yield from covers(plan, "wafv2/webAclAssociation:WebAclAssociation", "resourceArn", stages, "has no web ACL")
    acls = {f"arn:aws:{acl.id}" for acl in plan.of(WEB_ACL)}
    association = "wafv2/webAclAssociation:WebAclAssociation"
    yield from each(plan, association, lambda one: one["webAclArn"] in acls, "names no web ACL of ours")


@control("6")
def the_backend_knows_the_gateway_by_its_certificate(plan: Plan) -> Iterable[str]:
    return each(plan, STAGE, lambda stage: stage.get("clientCertificateId"), "has no client certificate")


@control("7")
def requests_are_traced(plan: Plan) -> Iterable[str]:
    return each(plan, STAGE, lambda stage: stage.get("xrayTracingEnabled") is True, "X-Ray is off")


@control("8")
def nothing_is_cached(plan: Plan) -> Iterable[str]:
    yield from each(plan, STAGE, lambda stage: not stage.get("cacheClusterEnabled"), "has a cache")
    yield from each(plan, SETTINGS, lambda one: not at(one, "settings.cachingEnabled"), "caches answers")
    yield from each(
        plan,
        "apigateway/authorizer:Authorizer",
        lambda one: one.get("authorizerResultTtlInSeconds") == 0,
        "a cached answer knows neither the next route nor the token's expiry",
    )


@control("9")
def modern_tls_at_the_gateway(plan: Plan) -> Iterable[str]:
    def holds(inputs: dict) -> bool:
        return inputs.get("securityPolicy") == TLS_POLICY and inputs.get("endpointAccessMode") == "STRICT"

    yield from each(plan, "apigateway/restApi:RestApi", holds, "accepts weaker TLS")
    if plan.settings.domain:
        yield from each(plan, "apigateway/domainName:DomainName", holds, "accepts weaker TLS")


@control("10")
def the_domain_is_the_only_address(plan: Plan) -> Iterable[str]:
    return each(
        plan,
        "apigateway/restApi:RestApi",
        lambda api: api.get("disableExecuteApiEndpoint") is True,
        "answers at the address that AWS made up",
    )


@control("11")
def the_way_to_the_backend_is_encrypted(plan: Plan) -> Iterable[str]:
    functions = {f"{function.id}/invokeArn" for function in plan.of(FUNCTION)}
    return each(
        plan,
        INTEGRATION,
        lambda one: str(one.get("uri", "")).startswith("https://") or (one["type"] == "AWS_PROXY" and one["uri"] in functions),
        "calls the service in plain text",
    )


@control("12")
def requests_are_validated(plan: Plan) -> Iterable[str]:
    validators = {validator.id: validator.inputs for validator in plan.of("apigateway/requestValidator:RequestValidator")}
    yield from each(plan, METHOD, lambda _: True, "")
    for method in plan.of(METHOD):
        validator = validators.get(method.inputs.get("requestValidatorId", ""))
        if validator is None or not validator.get("validateRequestParameters"):
            yield f"{method.id}: nothing validates its parameters"
        elif method.inputs.get("requestModels") and not validator.get("validateRequestBody"):
            yield f"{method.id}: nothing validates its body"


@control("13")
def every_method_is_throttled(plan: Plan) -> Iterable[str]:
    yield from each(
        plan,
        SETTINGS,
        lambda one: (at(one, "settings.throttlingRateLimit") or 0) > 0 and (at(one, "settings.throttlingBurstLimit") or 0) > 0,
        "has no limit",
    )
    paths = {one.inputs["methodPath"] for one in plan.of(SETTINGS)}
    if "*/*" not in paths:
        yield "no limit holds for what has none of its own"
    if len(plan.of(METHOD)) > len(paths) - 1:
        yield f"{len(plan.of(METHOD))} methods share {len(paths) - 1} limits"


@control("18")
def managed_rule_groups(plan: Plan) -> Iterable[str]:
    def groups(acl: dict) -> set[str]:
        return {at(rule, "statement.managedRuleGroupStatement.name") for rule in acl.get("rules", [])} - {None}

    yield from each(plan, WEB_ACL, lambda acl: groups(acl) >= MANAGED_GROUPS, "lacks a managed rule group")
    if str(plan.settings.waf_mode) == "block":
        known_bad = "AWSManagedRulesKnownBadInputsRuleSet"
        yield from each(
            plan,
            WEB_ACL,
            lambda acl: all(
                "none" in (at(rule, "overrideAction") or {})
                for rule in acl["rules"]
                if at(rule, "statement.managedRuleGroupStatement.name") == known_bad
            ),
            f"{known_bad} only counts",
        )


@control("19")
def the_web_acl_logs_without_credentials(plan: Plan) -> Iterable[str]:
    acls = {f"arn:aws:{acl.id}" for acl in plan.of(WEB_ACL)}
    logging = "wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration"
    yield from covers(plan, logging, "resourceArn", acls, "has no log")
    yield from each(
        plan,
        logging,
        lambda one: {at(part, "singleHeader.name") for part in one.get("redactedFields", [])} >= REDACTED,
        "credentials stand in the log",
    )


@control("20")
def the_web_acl_is_measured(plan: Plan) -> Iterable[str]:
    def holds(acl: dict) -> bool:
        return all(at(part, "visibilityConfig.cloudwatchMetricsEnabled") is True for part in (acl, *acl["rules"]))

    return each(plan, WEB_ACL, holds, "a rule has no metric")


@control("22")
def rates_and_bodies_are_limited(plan: Plan) -> Iterable[str]:
    def rates(acl: dict) -> list[dict]:
        rules = [rule for rule in acl["rules"] if at(rule, "statement.rateBasedStatement")]
        return [rule for rule in rules if "block" in (at(rule, "action") or {})]

    yield from each(
        plan,
        WEB_ACL,
        lambda acl: any(not at(rule, "statement.rateBasedStatement.scopeDownStatement") for rule in rates(acl)),
        "no rule limits how often an address may ask",
    )
    yield from each(
        plan,
        WEB_ACL,
        lambda acl: any(at(rule, "statement.rateBasedStatement.scopeDownStatement") for rule in rates(acl)),
        "no rule limits how often an address may ask for what is sensitive",
    )

    def inspected(acl: dict, source: str) -> set[str]:
        bodies = at(acl, "associationConfig.requestBodies") or []
        return {at(body, f"{source}.defaultSizeInspectionLimit") for body in bodies} - {None}

    for source in ("apiGateway", "cognitoUserPool"):
        wrong = f"inspects 16 KB of a body from {source}"
        yield from each(plan, WEB_ACL, lambda acl, source=source: inspected(acl, source) == {"KB_64"}, wrong)


@control("37")
def functions_are_called_by_what_is_named_only(plan: Plan) -> Iterable[str]:
    yield from each(
        plan,
        "lambda/permission:Permission",
        lambda one: one.get("sourceArn") and one.get("sourceAccount") and one["principal"].endswith(".amazonaws.com"),
        "is not bound to a source and an account",
    )
    yield from (f"{one.id}: has an address of its own" for one in plan.of("lambda/functionUrl:FunctionUrl"))


@control("38")
def functions_run_on_what_is_supported(plan: Plan) -> Iterable[str]:
    return each(plan, FUNCTION, lambda one: one.get("runtime") in SUPPORTED_RUNTIMES, "its runtime is or will be unsupported")


@control("39")
def functions_are_in_the_network(plan: Plan) -> Iterable[str]:
    return each(plan, FUNCTION, lambda one: len(at(one, "vpcConfig.subnetIds") or []) > 1, "runs outside the VPC")


@control("40")
def functions_are_traced(plan: Plan) -> Iterable[str]:
    return each(plan, FUNCTION, lambda one: at(one, "tracingConfig.mode") == "Active", "X-Ray is off")


@control("41")
def functions_take_no_more_than_their_share(plan: Plan) -> Iterable[str]:
    return each(plan, FUNCTION, lambda one: one.get("reservedConcurrentExecutions", -1) > 0, "its concurrency is not bound")


@control("42")
def function_settings_are_encrypted(plan: Plan) -> Iterable[str]:
    keys = {f"arn:aws:{key.id}" for key in plan.of("kms/key:Key")}
    return each(plan, FUNCTION, lambda one: one.get("kmsKeyArn") in keys, "its environment is under AWS's key")


@control("43")
def function_code_is_signed(plan: Plan) -> Iterable[str]:
    return each(plan, FUNCTION, lambda one: one.get("codeSigningConfigArn"), "its code is not signed")
