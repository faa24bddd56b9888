import json
import zipfile
from typing import Any

from infra.api import INTEGRATION_TIMEOUT_MS
from lambda_audit import config, handler, lines
from lambda_authorizer.access_policy import AUDIT, RULES

NAME = "audit-search"


def function(plan: Any) -> dict[str, Any]:
    return plan.one("lambda/function:Function", NAME).inputs


def test_it_searches_the_logs_of_all_functions_that_leave_audit_lines_and_its_own(plan: Any) -> None:
    variables = function(plan)["environment"]["variables"]
    assert variables.keys() == {"HEARTMAP_ENVIRONMENT", "HEARTMAP_SECRETS", "HEARTMAP_AUDIT_LOG_GROUPS"}
    secret = f"arn:aws:secretsmanager:us-east-1:123456789012:secret:heartmap-{plan.stack}/authorizer-a1b2c3"
    groups = config.load(variables | {"HEARTMAP_SECRETS": secret, "AWS_REGION": "us-east-1"}).log_groups
    assert groups == {stream: f"/aws/lambda/heartmap-{plan.stack}-{stream}" for stream in lines.EVENTS}
    # They are there, also the one that is named before it is made.
    assert set(groups.values()) <= {one.inputs["name"] for one in plan.of("cloudwatch/logGroup:LogGroup")}
    assert groups["audit"] == function(plan)["loggingConfig"]["logGroup"] == plan.outputs["audit_search_log_group"]


def test_it_reads_those_and_nothing_else(plan: Any) -> None:
    policy = json.loads(plan.one("iam/policy:Policy", NAME).inputs["policy"])
    found = {each["Sid"]: each for each in policy["Statement"]}
    assert set(found) == {"AuditLines", "Secret", "Decryption", "Logs", "Traces"}
    assert found["AuditLines"]["Action"] == ["logs:FilterLogEvents"]
    start = f"arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/heartmap-{plan.stack}"
    assert sorted(found["AuditLines"]["Resource"]) == sorted(f"{start}-{stream}:*" for stream in lines.EVENTS)
    assert found["Logs"]["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]


def test_it_answers_before_it_is_stopped_and_before_the_gateway_gives_up(plan: Any) -> None:
    assert handler.SEARCH_BUDGET < handler.BUDGET < function(plan)["timeout"] < INTEGRATION_TIMEOUT_MS / 1000


def test_the_package_holds_no_library_and_is_what_the_function_runs(plan: Any) -> None:
    code = plan.one("s3/bucketObjectv2:BucketObjectv2", NAME).inputs
    assert (code["key"], function(plan)["handler"]) == (function(plan)["s3Key"], "lambda_audit.handler.handler")
    with zipfile.ZipFile(code["source"].path) as archive:
        assert {name.split("/")[0] for name in archive.namelist()} == {"lambda_api", "lambda_audit", "lambda_authorizer"}


def test_its_failures_are_heard_of(plan: Any) -> None:
    alarm = plan.one("cloudwatch/metricAlarm:MetricAlarm", "audit-errors").inputs
    assert alarm["dimensions"] == {"FunctionName": function(plan)["name"]}


def test_the_trail_is_for_administrators_alone() -> None:
    (rule,) = [rule for rule in RULES.values() if rule.answered_by == AUDIT]
    assert (rule.groups, rule.scopes, rule.any_principal) == ({"admin"}, set(), False)
