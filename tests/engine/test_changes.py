"""A change of one setting touches what the setting is about and nothing else; what holds data is not made anew for anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.engine

STACK = "dev"
API_ROLLOUT = {"replace aws:ecs/taskDefinition:TaskDefinition", "update aws:ecs/service:Service"}
WEB_ACL = {"update aws:wafv2/webAcl:WebAcl"}

# Setting -> another value than the stack has, and every operation that this may lead to.
CHANGES: dict[str, tuple[Any, set[str]]] = {
    "mfa": ("required", {"update aws:cognito/userPool:UserPool"}),
    "log_retention_days": (
        60,
        {
            "update aws:cloudwatch/logGroup:LogGroup",
            # The search tells how far back there are records.
            "update aws:lambda/function:Function",
            "update aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        },
    ),
    "requests_per_minute": (77, WEB_ACL),
    "sensitive_requests_per_minute": (11, WEB_ACL),
    "waf_mode": ("count", WEB_ACL),
    "anonymous_networks": ("block", WEB_ACL),
    # A resource policy acts only once the API is deployed again.
    "allowed_ipv4": (
        ["192.0.2.0/24"],
        {
            "create aws:apigateway/restApiPolicy:RestApiPolicy",
            "create aws:wafv2/ipSet:IpSet",
            "replace aws:apigateway/deployment:Deployment",
            "update aws:apigateway/stage:Stage",
            *WEB_ACL,
        },
    ),
    "api_memory": (512, API_ROLLOUT),
    "max_upload_bytes": (1_048_576, API_ROLLOUT),
    # A third quota reaches the tasks by the same way: tests/infra/test_compute.py.
    "quota_queued_jobs": (5, API_ROLLOUT),
    "quota_jobs_per_day": (50, API_ROLLOUT),
    # Who may read what, and the tasks that are told of it.
    "import_buckets": (["atlas"], {"update aws:iam/policy:Policy", "update aws:ec2/vpcEndpoint:VpcEndpoint", *API_ROLLOUT}),
    "worker_tasks_max": (3, {"update aws:appautoscaling/target:Target"}),
    "working_hours": (
        "MON-FRI 7-19",
        {"update aws:appautoscaling/scheduledAction:ScheduledAction", "update aws:autoscaling/schedule:Schedule"},
    ),
    "endpoint_zones": (2, {"update aws:ec2/vpcEndpoint:VpcEndpoint"}),
    "runbook": (
        "https://example.org/runbook",
        {"update aws:cloudwatch/metricAlarm:MetricAlarm", "update aws:cloudwatch/dashboard:Dashboard"},
    ),
    "monthly_budget_usd": (50, {"update aws:budgets/budget:Budget"}),
    "alarm_email": ("operator@example.org", {"create aws:sns/topicSubscription:TopicSubscription"}),
    "deletion_protection": (
        True,
        {
            "update aws:cognito/userPool:UserPool",
            "update aws:dynamodb/table:Table",
            "update aws:ecr/repository:Repository",
            "update aws:lb/loadBalancer:LoadBalancer",
            "update aws:s3/bucket:Bucket",
            "update aws:secretsmanager/secret:Secret",
        },
    ),
}


def _together() -> list[list[str]]:
    """The settings in groups within which no operation belongs to two: one plan a group tells of each what it touches."""
    groups: list[list[str]] = []
    for key, (_, operations) in CHANGES.items():
        for group in groups:
            if all(operations.isdisjoint(CHANGES[other][1]) for other in group):
                group.append(key)
                break
        else:
            groups.append([key])
    return groups


GROUPS = _together()

HOLDS_DATA = {
    "aws:s3/bucket:Bucket",
    "aws:dynamodb/table:Table",
    "aws:kms/key:Key",
    "aws:cognito/userPool:UserPool",
    "aws:secretsmanager/secret:Secret",
}


@pytest.fixture(scope="module")
def engine(engine_of: Callable[[str], Any]) -> Any:
    made = engine_of(STACK)
    file = made.project / f"Pulumi.{STACK}.yaml"
    # With everything that a setting may speak of.
    lines = [line for line in file.read_text().splitlines() if not line.startswith("  heartmap:bastion:")]
    file.write_text("\n".join([*lines, "  heartmap:bastion: true"]) + "\n")
    made.up()
    return made


@pytest.fixture(scope="module")
def planned(engine: Any) -> dict[str, set[str]]:
    """What the engine would do for each group of changes, by its keys, and for none ("")."""
    file = engine.project / f"Pulumi.{STACK}.yaml"
    lines = file.read_text().splitlines()

    def with_settings(keys: list[str]) -> str:
        kept = [line for line in lines if line.strip().removeprefix("heartmap:").partition(":")[0] not in keys]
        return "\n".join([*kept, *(f"  heartmap:{key}: {json.dumps(CHANGES[key][0])}" for key in keys)]) + "\n"

    files = {" ".join(keys): with_settings(keys) for keys in [*GROUPS, []]}
    steps = engine.previews(files)
    return {
        key: {f"{operation} {kind}" for operation, kind in found if kind.startswith("aws:") and "-" not in operation}
        for key, found in steps.items()
    }


@pytest.mark.parametrize("group", GROUPS, ids=" ".join)
def test_a_change_of_a_setting_touches_only_what_it_should(planned: dict[str, set[str]], group: list[str]) -> None:
    found = planned[" ".join(group)]
    for key in group:
        assert CHANGES[key][1] <= found, key
        found = found - CHANGES[key][1]
    assert found == set()


def test_without_a_change_there_is_nothing_to_do(planned: dict[str, set[str]]) -> None:
    assert planned[""] == set()


def test_what_holds_data_is_protected_and_the_engine_refuses_to_replace_it(engine: Any) -> None:
    engine.setting("deletion_protection: false", "deletion_protection: true")
    engine.up()
    resources = [resource for resource in engine.export() if resource["type"] in HOLDS_DATA]
    assert {resource["type"] for resource in resources} == HOLDS_DATA
    assert [resource["urn"] for resource in resources if not resource.get("protect")] == []

    buckets = [bucket["Name"] for bucket in engine.client("s3").list_buckets()["Buckets"]]
    refused = engine.run(
        "from infra.naming import Names\n"
        "original = Names.bucket\n"
        "Names.bucket = lambda self, purpose: original(self, purpose) + '-2'\n"
        "try:\n    deployment.up()\n"
        "except deploy.DeployFailed as error:\n    print(json.dumps(str(error)))\n"
        "else:\n    print('null')"
    )
    assert refused is not None, "the buckets were made anew"
    assert "marked for protection" in refused
    assert [bucket["Name"] for bucket in engine.client("s3").list_buckets()["Buckets"]] == buckets
