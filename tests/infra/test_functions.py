"""What holds for every Lambda function of the stack."""

import json
from typing import Any

from infra.api import STAGE_BURST
from infra.authorizer import CONCURRENCY


def test_every_function_traces_is_bounded_and_has_its_variables_under_a_key_of_ours(plan: Any) -> None:
    functions = plan.of("lambda/function:Function")
    assert {function.name for function in functions} >= {
        "authorizer",
        "token",
        "key-administration",
        "user-administration",
        "audit-search",
    }
    for function in functions:
        assert function.inputs["tracingConfig"] == {"mode": "Active"}, function.urn
        assert function.inputs["reservedConcurrentExecutions"] > 0, function.urn
        assert function.inputs["kmsKeyArn"].startswith("arn:aws:Key/"), function.urn
        assert function.inputs["runtime"] == "python3.13", function.urn


def test_the_authorizer_takes_as_many_calls_at_once_as_the_stage_lets_through() -> None:
    assert CONCURRENCY >= STAGE_BURST


def test_every_function_logs_into_its_own_group_under_the_key_for_logs(plan: Any) -> None:
    for function in plan.of("lambda/function:Function"):
        group = plan.one("cloudwatch/logGroup:LogGroup", function.name)
        assert group.inputs["name"] == function.inputs["loggingConfig"]["logGroup"] == f"/aws/lambda/{function.inputs['name']}"
        assert group.inputs["kmsKeyId"] == "arn:aws:Key/logs"
        assert group.inputs["retentionInDays"] == plan.settings.log_retention_days


def test_nobody_but_a_service_for_a_resource_of_this_account_may_invoke_a_function(plan: Any) -> None:
    for permission in plan.of("lambda/permission:Permission"):
        assert permission.inputs["principal"].endswith(".amazonaws.com"), permission.urn
        assert permission.inputs["sourceArn"], permission.urn
        assert permission.inputs["sourceAccount"] == "123456789012", permission.urn


def test_the_traces_go_to_x_ray_and_nothing_else_is_open_to_every_resource(plan: Any) -> None:
    for name in ("authorizer", "token", "key-administration", "user-administration", "audit-search"):
        statements = json.loads(plan.one("iam/policy:Policy", name).inputs["policy"])["Statement"]
        everywhere = [statement["Action"] for statement in statements if statement["Resource"] == ["*"]]
        assert everywhere == [["xray:PutTelemetryRecords", "xray:PutTraceSegments"]]
