import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from pulumi import Output

from infra.iam import PolicyError, ServiceRoleArgs, Statement, document, own_account_only, tls_only


def test_a_wildcard_action_needs_a_reason() -> None:
    with pytest.raises(PolicyError, match="holds a wildcard and gives no reason"):
        Statement(sid="A", actions=("s3:Get*",), resources=("arn:aws:s3:::bucket/key",))
    Statement(sid="A", actions=("s3:Get*",), resources=("arn:aws:s3:::bucket/key",), reason="because")


def test_a_wildcard_resource_needs_a_reason() -> None:
    with pytest.raises(PolicyError, match="holds a wildcard and gives no reason"):
        Statement(sid="A", actions=("s3:GetObject",), resources=("arn:aws:s3:::bucket/*",))


@pytest.mark.parametrize("action", ["*", "*:*", "s3", "s3:", "GetObject", "s3:Get Object"])
def test_what_is_no_action_of_one_service_is_refused_whatever_the_reason(action: str) -> None:
    with pytest.raises(PolicyError, match="is no action of one service"):
        Statement(sid="A", actions=(action,), resources=("arn",), reason="because")


@pytest.mark.parametrize(("actions", "resources"), [((), ("arn",)), (("s3:GetObject",), ())])
def test_a_statement_without_action_or_resource_is_refused(actions: tuple[str, ...], resources: tuple[str, ...]) -> None:
    with pytest.raises(PolicyError, match="names no action or no resource"):
        Statement(sid="A", actions=actions, resources=resources)


@pytest.mark.parametrize("sid", ["", "a b", "a-b"])
def test_a_sid_that_iam_refuses_is_refused_here(sid: str) -> None:
    with pytest.raises(PolicyError, match="must be letters and digits"):
        Statement(sid=sid, actions=("s3:GetObject",), resources=("arn",))


def test_nobody_allows_everyone_without_a_condition() -> None:
    with pytest.raises(PolicyError, match="allows everyone without a condition"):
        Statement(sid="A", principals={"AWS": ("*",)}, actions=("s3:GetObject",), resources=("arn",))


KEY = "arn:aws:kms:us-east-1:123456789012:key"


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("kms:Decrypt", "*"),
        ("kms:Decrypt", f"{KEY}/*"),
        ("s3:GetObject", "arn:aws:s3:::*"),
        ("s3:Get*", "*"),
        ("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:us-east-1:123456789012:secret:*"),
        ("ssm:GetParameters", "arn:aws:ssm:us-east-1:123456789012:parameter/*"),
        ("dynamodb:Scan", "arn:aws:dynamodb:us-east-1:123456789012:table/*"),
    ],
)
def test_nothing_reads_everything_whatever_the_reason(action: str, resource: str) -> None:
    with pytest.raises(PolicyError, match="name what it reads"):
        Statement(sid="A", actions=(action,), resources=(resource,), reason="because")


def test_what_is_below_one_name_may_be_read_with_a_reason() -> None:
    Statement(sid="A", actions=("s3:GetObject",), resources=("arn:aws:s3:::bucket/uploads/*",), reason="because")
    Statement(sid="A", actions=("s3:GetObject",), resources=("arn:aws:s3:::bucket/*",), reason="because")
    Statement(sid="A", actions=("kms:Decrypt",), resources=(f"{KEY}/1234",))


async def test_that_it_is_everything_may_only_be_known_once_the_arn_is() -> None:
    statement = Statement(sid="A", actions=("kms:Decrypt",), resources=(Output.from_input(f"{KEY}/*"),), reason="because")
    with pytest.raises(PolicyError, match="name what it reads"):
        await document(statement).future()


@pytest.mark.parametrize("action", ["iam:AttachRolePolicy", "sts:AssumeRole", "lambda:Update*", "iam:CreatePolicyVersion"])
def test_what_gives_rights_needs_a_reason_and_exact_resources(action: str) -> None:
    exact = "arn:aws:iam::123456789012:role/one"
    for resource, reason in ((exact, ""), (f"{exact}*", "because"), ("*", "because")):
        with pytest.raises(PolicyError, match=r"which gives rights|gives no reason"):
            Statement(sid="A", actions=(action,), resources=(resource,), reason=reason)
    Statement(sid="A", actions=(action,), resources=(exact,), reason="because")


def test_a_role_is_passed_to_a_named_service_only() -> None:
    role = ("arn:aws:iam::123456789012:role/one",)
    with pytest.raises(PolicyError, match="iam:PassedToService"):
        Statement(sid="A", actions=("iam:PassRole",), resources=role, reason="because")
    condition = {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}
    Statement(sid="A", actions=("iam:PassRole",), resources=role, reason="because", conditions=condition)


def test_a_refusal_and_a_key_policy_may_name_what_an_identity_policy_may_not() -> None:
    Statement(sid="A", effect="Deny", actions=("s3:GetObject",), resources=("*",), reason="because")
    root = ("arn:aws:iam::123456789012:root",)
    Statement(sid="A", principals={"AWS": root}, actions=("kms:*",), resources=("*",), reason="because")


@pytest.mark.parametrize(
    ("bound", "message"),
    [
        ({}, "needs its account"),
        ({"account": "123456789012", "unbound": "because"}, "needs its account"),
        ({"source_arn": "arn:aws:ecs:us-east-1:123456789012:*", "unbound": "because"}, "without its account"),
    ],
)
def test_a_role_without_an_account_says_why(bound: dict[str, str], message: str) -> None:
    statement = Statement(sid="A", actions=("s3:ListBucket",), resources=("arn:aws:s3:::b",))
    with pytest.raises(PolicyError, match=message):
        ServiceRoleArgs(name="r", service="s.amazonaws.com", description="d", statements=(statement,), **bound)


def test_a_policy_without_statements_or_with_a_sid_twice_is_refused() -> None:
    one = Statement(sid="A", actions=("s3:GetObject",), resources=("arn",))
    with pytest.raises(PolicyError, match="needs a statement"):
        document()
    with pytest.raises(PolicyError, match="stands twice"):
        document(one, one)


async def test_a_statement_is_rendered_as_iam_writes_it() -> None:
    statement = Statement(
        sid="Read",
        principals={"Service": ("s3.amazonaws.com",)},
        actions=("sqs:SendMessage", "sqs:GetQueueUrl"),
        resources=("arn:queue",),
        conditions={"StringEquals": {"aws:SourceAccount": "123456789012"}},
    )
    assert json.loads(await document(statement).future() or "") == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Read",
                "Effect": "Allow",
                "Principal": {"Service": ["s3.amazonaws.com"]},
                "Action": ["sqs:GetQueueUrl", "sqs:SendMessage"],
                "Resource": ["arn:queue"],
                "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}},
            }
        ],
    }


async def test_a_wildcard_that_only_the_computed_arn_reveals_is_refused_when_it_is_known() -> None:
    statement = Statement(sid="A", actions=("s3:GetObject",), resources=(Output.from_input("arn:aws:s3:::bucket/*"),))
    with pytest.raises(PolicyError, match="gives no reason"):
        await document(statement).future()


async def test_tls_only_refuses_everyone_who_comes_without_tls() -> None:
    rendered = await tls_only(("arn:bucket",), "s3:*").render().future()
    assert rendered is not None
    assert (rendered["Effect"], rendered["Principal"], rendered["Condition"]) == (
        "Deny",
        {"AWS": ["*"]},
        {"Bool": {"aws:SecureTransport": "false"}},
    )


async def test_own_account_only_refuses_other_accounts_and_nobody_but_not_the_services_of_aws() -> None:
    rendered = await own_account_only("123456789012", ("arn:bucket",), "s3:*").render().future()
    assert rendered is not None
    assert (rendered["Effect"], rendered["Principal"]) == ("Deny", {"AWS": ["*"]})
    # A negated test holds where the key is missing, as for who did not sign; the other must then hold as well.
    assert rendered["Condition"] == {
        "StringNotEquals": {"aws:PrincipalAccount": "123456789012"},
        "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
    }


# What may stand in an Allow of an identity policy with a wildcard as the whole resource, and why it cannot be narrower.
WHOLE_RESOURCES = {
    "autoscaling:DescribeAutoScalingGroups",
    "ecr:GetAuthorizationToken",
    "logs:CreateLogGroup",
    "logs:CreateLogStream",
    "logs:DescribeLogGroups",
    "logs:DescribeLogStreams",
    "logs:FilterLogEvents",
    "logs:GetLogEvents",
    "logs:PutLogEvents",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}
# Policies that the stack attaches to nobody: whoever administers people and programs of this account does.
FOR_OTHERS = {"arn:aws:Policy/api-token-callers", "arn:aws:Policy/bastion-operators"}


def test_no_role_may_do_everything_of_a_service_or_something_to_everything(plan: Any) -> None:
    for policy in plan.of("iam/policy:Policy"):
        for statement in json.loads(policy.inputs["policy"])["Statement"]:
            assert statement["Effect"] == "Allow"
            assert not any("*" in action for action in statement["Action"]), policy.urn
            if "*" in statement["Resource"]:
                assert set(statement["Action"]) <= WHOLE_RESOURCES, policy.urn


def test_roles_have_neither_inline_nor_aws_managed_policies(plan: Any) -> None:
    for role in plan.of("iam/role:Role"):
        assert not {"inlinePolicies", "managedPolicyArns"} & set(role.inputs)
    policies = {f"arn:aws:{policy.id}" for policy in plan.of("iam/policy:Policy")}
    attached = {attachment.inputs["policyArn"] for attachment in plan.of("iam/rolePolicyAttachment:RolePolicyAttachment")}
    assert attached == policies - FOR_OTHERS


# Services whose trust AWS documents without a condition.
UNBOUND = {
    "apigateway.amazonaws.com",
    "cloudtrail.amazonaws.com",
    "ec2.amazonaws.com",
    "malware-protection-plan.guardduty.amazonaws.com",
}


# Services of which AWS documents also the resource that they act for.
SOURCES = {
    "ecs-tasks.amazonaws.com": "arn:aws:ecs:us-east-1:123456789012:*",
    "vpc-flow-logs.amazonaws.com": "arn:aws:ec2:us-east-1:123456789012:vpc-flow-log/*",
}


def test_each_role_is_taken_by_one_service_and_only_for_this_account(plan: Any) -> None:
    for role in plan.of("iam/role:Role"):
        (trust,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
        assert trust["Action"] == "sts:AssumeRole"
        service = trust["Principal"]["Service"]
        assert re.fullmatch(r"[a-z0-9.-]+\.amazonaws\.com", service)
        account = trust.get("Condition", {}).get("StringEquals", {}).get("aws:SourceAccount")
        assert account == "123456789012" or service in UNBOUND, role.urn
        source = trust.get("Condition", {}).get("ArnLike", {}).get("aws:SourceArn")
        assert source == SOURCES.get(service), role.urn


def statements(plan: Any, role: str) -> dict[str, dict[str, Any]]:
    policy = plan.one("iam/policy:Policy", role)
    return {statement["Sid"]: statement for statement in json.loads(policy.inputs["policy"])["Statement"]}


def test_the_worker_can_neither_read_secrets_nor_write_uploads_nor_the_configuration(plan: Any) -> None:
    worker = statements(plan, "worker-task")
    actions = {action for statement in worker.values() for action in statement["Action"]}
    assert worker["Uploads"]["Action"] == ["s3:GetObject", "s3:GetObjectTagging"]
    writing = [one["Resource"] for one in worker.values() if "s3:PutObject" in one["Action"]]
    assert writing == [["arn:aws:Bucket/results/results/*"]]
    assert not any(action.startswith("secretsmanager:") for action in actions)
    resources = [resource for statement in worker.values() for resource in statement["Resource"]]
    assert not any("config" in resource or "api-keys" in resource for resource in resources)
    assert "Secrets" not in statements(plan, "worker-execution")


def test_only_the_worker_reads_what_is_imported_and_it_writes_there_nothing(run: Callable[..., Any]) -> None:
    plan = run("prod", {"heartmap:import_buckets": '["atlas.example.org", "labdata"]'})
    buckets = ["arn:aws:s3:::atlas.example.org", "arn:aws:s3:::labdata"]
    worker = statements(plan, "worker-task")
    assert worker["Imports"]["Action"] == ["s3:GetObject"]
    assert worker["Imports"]["Resource"] == [f"{bucket}/*" for bucket in buckets]
    assert (worker["MissingImports"]["Action"], worker["MissingImports"]["Resource"]) == (["s3:ListBucket"], buckets)
    # A tag of an upload is the scanner's word on it, and no copy brings one along.
    assert worker["Copies"]["Action"] == ["s3:AbortMultipartUpload", "s3:PutObject"]
    assert worker["Copies"]["Resource"] == ["arn:aws:Bucket/uploads/uploads/*"]
    naming = {policy.name for policy in plan.of("iam/policy:Policy") if "labdata" in policy.inputs["policy"]}
    assert naming == {"worker-task"}
    assert [sid for sid, one in worker.items() if "labdata" in str(one)] == ["Imports", "MissingImports"]
    # No bucket of the stack becomes more open by it.
    assert not [policy.name for policy in plan.of("s3/bucketPolicy:BucketPolicy") if "labdata" in policy.inputs["policy"]]


def test_both_tasks_change_the_jobs_table_in_transactions_and_query_its_index_alone(plan: Any) -> None:
    for task, further in (("api-task", {"dynamodb:BatchGetItem"}), ("worker-task", set())):
        jobs, listing = statements(plan, task)["Jobs"], statements(plan, task)["Listing"]
        rows = {f"dynamodb:{part}Item" for part in ("ConditionCheck", "Delete", "Get", "Put", "Update")}
        assert (set(jobs["Action"]), jobs["Resource"]) == (rows | further, ["arn:aws:Table/jobs"])
        assert (listing["Action"], listing["Resource"]) == (["dynamodb:Query"], ["arn:aws:Table/jobs/index/listing"])
    configuration = statements(plan, "api-task")["Configuration"]
    assert configuration["Action"] == [f"dynamodb:{name}" for name in ("ConditionCheckItem", "GetItem", "PutItem", "Query")]


def test_only_the_functions_touch_api_keys_and_the_pepper(plan: Any) -> None:
    touching = {
        text: {policy.name for policy in plan.of("iam/policy:Policy") if f'"{text}"' in policy.inputs["policy"]}
        for text in ("arn:aws:Table/api-keys", "arn:aws:Table/key-use", "arn:aws:Secret/authorizer")
    }
    rotation = {"rotation"} if plan.settings.secret_rotation_days else set()
    assert touching == {
        "arn:aws:Table/api-keys": {"authorizer", "token", "key-administration", "user-administration"},
        "arn:aws:Table/key-use": {"authorizer", "key-administration"},
        "arn:aws:Secret/authorizer": {
            *("authorizer", "token", "key-administration", "user-administration", "audit-search"),
            *rotation,
        },
    }
    assert statements(plan, "authorizer")["Keys"]["Action"] == ["dynamodb:GetItem"]
