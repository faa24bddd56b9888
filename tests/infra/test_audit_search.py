import json
import zipfile
from typing import Any

from infra.api import INTEGRATION_TIMEOUT_MS
from lambda_audit import handler, lines
from lambda_authorizer.access_policy import AUDIT, RULES

NAME = "audit-search"


def function(plan: Any) -> dict[str, Any]:
    return plan.one("lambda/function:Function", NAME).inputs


def group_of(plan: Any, stream: str) -> str:
    """The tasks' log groups are the stack's, the functions' are Lambda's."""
    task = {"service": "api", "worker": "worker"}.get(stream)
    return f"/heartmap/{plan.stack}/{task}" if task else f"/aws/lambda/heartmap-{plan.stack}-{stream}"


def test_it_searches_the_logs_of_all_who_leave_audit_records_and_its_own(plan: Any) -> None:
    variables = function(plan)["environment"]["variables"]
    groups = json.loads(variables["HEARTMAP_AUDIT_LOG_GROUPS"])
    assert groups == {stream: group_of(plan, stream) for stream in lines.EVENTS}
    # They are there, also those that are named before they are made.
    assert set(groups.values()) <= {one.inputs["name"] for one in plan.of("cloudwatch/logGroup:LogGroup")}
    assert groups["audit"] == function(plan)["loggingConfig"]["logGroup"] == plan.outputs["audit_search_log_group"]


def test_it_reads_those_and_no_others(plan: Any) -> None:
    policy = json.loads(plan.one("iam/policy:Policy", NAME).inputs["policy"])
    found = {each["Sid"]: each for each in policy["Statement"]}
    assert found["AuditLines"]["Action"] == ["logs:FilterLogEvents"]
    start = "arn:aws:logs:us-east-1:123456789012:log-group:"
    assert sorted(found["AuditLines"]["Resource"]) == sorted(f"{start}{group_of(plan, stream)}:*" for stream in lines.EVENTS)
    assert found["Logs"]["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]


def test_it_answers_before_it_is_stopped_and_before_the_gateway_gives_up(plan: Any) -> None:
    assert handler.SEARCH_BUDGET < handler.BUDGET < function(plan)["timeout"] < INTEGRATION_TIMEOUT_MS / 1000


def test_the_package_holds_no_library_and_is_what_the_function_runs(plan: Any) -> None:
    code = plan.one("s3/bucketObjectv2:BucketObjectv2", NAME).inputs
    assert (code["key"], function(plan)["handler"]) == (function(plan)["s3Key"], "lambda_audit.handler.handler")
    with zipfile.ZipFile(code["source"].path) as archive:
        assert {name.split("/")[0] for name in archive.namelist()} == {
            *("lambda_api", "lambda_audit", "lambda_authorizer", "lambda_sealing"),
        }


def test_its_failures_are_heard_of(plan: Any) -> None:
    alarm = plan.one("cloudwatch/metricAlarm:MetricAlarm", "audit-errors").inputs
    assert alarm["dimensions"] == {"FunctionName": function(plan)["name"]}


def test_the_trail_is_for_administrators_alone() -> None:
    rules = [rule for rule in RULES.values() if rule.answered_by == AUDIT]
    assert [(rule.groups, rule.scopes, rule.any_principal) for rule in rules] == [({"admin"}, set(), False)] * 2
