"""Who may take the break-glass role, how, and what it may never do."""

import json
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import pytest

from infra.break_glass import BreakGlassArgs, role_arn, trust
from infra.iam import PolicyError
from infra.naming import Names
from infra.settings import Environment
from posture.plan import Plan, plan_of, run_program

USERS = ["arn:aws:iam::123456789012:user/people/jane", "arn:aws:iam::123456789012:user/joe"]
NAMES = Names(environment=Environment.PROD, partition="aws", region="us-east-1", account="123456789012")


@pytest.fixture(scope="module")
def plan() -> Plan:
    return run_program("prod", {"heartmap:break_glass_users": json.dumps(USERS)})


@pytest.fixture
def policy(plan: Plan) -> dict[str, Any]:
    return {one["Sid"]: one for one in json.loads(plan.one("iam/policy:Policy", "break-glass").inputs["policy"])["Statement"]}


def test_without_users_there_is_no_role() -> None:
    names = [role.inputs["name"] for role in plan_of("prod").of("iam/role:Role")]
    assert names
    assert [name for name in names if "break-glass" in name] == []


def test_the_role_is_named_as_the_alarm_expects(plan: Plan) -> None:
    role = plan.one("iam/role:Role", "break-glass").inputs
    assert role_arn(NAMES) == f"arn:aws:iam::123456789012:role/{role['name']}"
    assert role["name"] == "heartmap-prod-break-glass"
    assert role["maxSessionDuration"] == 3600
    assert json.loads(role["assumeRolePolicy"]) == json.loads(trust(USERS))


@pytest.mark.parametrize("action", ["AssumeRole", "SetSourceIdentity", "TagSession"])
def test_named_users_alone_with_a_fresh_second_factor(action: str) -> None:
    statements = {one["Sid"]: one for one in json.loads(trust(USERS))["Statement"]}
    assert set(statements) == {"AssumeRole", "SetSourceIdentity", "TagSession"}
    one = statements[action]
    assert (one["Effect"], one["Action"], one["Principal"]) == ("Allow", f"sts:{action}", {"AWS": sorted(USERS)})
    assert one["Condition"]["Bool"] == {"aws:MultiFactorAuthPresent": "true"}
    assert one["Condition"]["NumericLessThan"] == {"aws:MultiFactorAuthAge": "300"}


def test_the_session_says_who_and_why_and_nothing_else() -> None:
    conditions = {one["Sid"]: one["Condition"] for one in json.loads(trust(USERS))["Statement"]}
    own = "${aws:username}"
    assert conditions["AssumeRole"]["StringEquals"] == {"sts:RoleSessionName": own, "sts:SourceIdentity": own}
    assert conditions["SetSourceIdentity"]["StringEquals"] == {"sts:SourceIdentity": own}
    for action in ("AssumeRole", "TagSession"):
        pattern = conditions[action]["StringLike"]["aws:RequestTag/Reason"]
        assert fnmatchcase("stack is gone", pattern)
        assert not fnmatchcase("x", pattern), "a reason of a word is none"
    assert conditions["TagSession"]["ForAllValues:StringEquals"] == {"aws:TagKeys": ["Reason"]}


def test_it_reads_no_data_and_gives_no_rights_and_removes_no_trace(policy: dict[str, Any]) -> None:
    allowed = {action for one in policy.values() if one["Effect"] == "Allow" for action in one["Action"]}
    denied = policy["NeverTraces"]
    assert (denied["Effect"], denied["Resource"]) == ("Deny", ["*"])
    assert "Condition" not in denied
    for action in (
        "iam:AttachRolePolicy",
        "sts:AssumeRole",
        "s3:GetObject",
        "s3:DeleteObjectVersion",
        "kms:Decrypt",
        "kms:CreateGrant",
        "kms:ScheduleKeyDeletion",
        "secretsmanager:GetSecretValue",
        "cloudtrail:StopLogging",
        "cloudwatch:DeleteAlarms",
        "cloudwatch:DisableAlarmActions",
        "cloudwatch:PutMetricAlarm",
        "logs:DeleteLogGroup",
        "logs:DeleteMetricFilter",
        "logs:PutRetentionPolicy",
        "sns:Unsubscribe",
        "events:DisableRule",
    ):
        assert any(fnmatchcase(action, pattern) for pattern in denied["Action"]), action
        assert action not in allowed
    for action in allowed:
        assert not any(fnmatchcase(action, pattern) for pattern in denied["Action"]), f"{action} is allowed for nothing"
    assert {action.split(":")[0] for action in allowed} == {"cognito-idp", "ecs", "kms", "logs", "secretsmanager"}


def test_every_resource_is_the_stack_s_own(policy: dict[str, Any]) -> None:
    for sid, one in policy.items():
        if one["Effect"] == "Allow":
            assert "*" not in one["Resource"], sid
    assert policy["Services"]["Resource"] == [
        f"arn:aws:ecs:us-east-1:123456789012:service/heartmap-prod/heartmap-prod-{part}" for part in ("api", "worker")
    ]
    assert all("heartmap" in resource for resource in policy["Logs"]["Resource"])


@pytest.mark.parametrize("users", [[], ["arn:aws:iam::999999999999:user/eve"]])
def test_nobody_and_strangers_are_refused(users: list[str]) -> None:
    make: Callable[..., BreakGlassArgs] = BreakGlassArgs
    with pytest.raises(PolicyError, match="users of this account"):
        make(names=NAMES, users=users, user_pool_arn="a", service_arns=["b"], key_arns=["c"], secret_arn="d")
