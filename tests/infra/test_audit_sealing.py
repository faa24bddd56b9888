import json
import zipfile
from typing import Any

import pytest

from infra import audit_sealing
from lambda_sealing import config, seals

NAME = "sealing"
ROLE = "arn:aws:iam::123456789012:role/heartmap-{stack}-sealing"


def function(plan: Any) -> dict[str, Any]:
    return plan.one("lambda/function:Function", NAME).inputs


def statements(plan: Any, type_: str, name: str) -> dict[str, dict[str, Any]]:
    return {each["Sid"]: each for each in json.loads(plan.one(type_, name).inputs["policy"])["Statement"]}


def test_it_seals_every_log_group_that_somebody_searches(plan: Any) -> None:
    variables = function(plan)["environment"]["variables"]
    key = "arn:aws:kms:us-east-1:123456789012:key/5b7c0f1e"
    loaded = config.load(variables | {"HEARTMAP_SIGNING_KEY": key, "HEARTMAP_AUDIT_BUCKET": "audit"})
    searched = plan.one("lambda/function:Function", "audit-search").inputs["environment"]["variables"]
    assert set(loaded.log_groups) == set(json.loads(searched["HEARTMAP_AUDIT_LOG_GROUPS"]).values())
    assert set(loaded.log_groups) <= {one.inputs["name"] for one in plan.of("cloudwatch/logGroup:LogGroup")}
    assert function(plan)["loggingConfig"]["logGroup"] in loaded.log_groups
    assert variables["HEARTMAP_SIGNING_KEY"] == "arn:aws:Key/signing"


def test_one_at_a_time_is_called_by_the_schedule_alone(plan: Any) -> None:
    rule = plan.one("cloudwatch/eventRule:EventRule", NAME)
    assert (rule.inputs["scheduleExpression"], "eventPattern" in rule.inputs) == ("rate(5 minutes)", False)
    target = plan.one("cloudwatch/eventTarget:EventTarget", NAME)
    assert (target.inputs["arn"], target.inputs["rule"]) == ("arn:aws:Function/sealing", rule.inputs["name"])
    permission = plan.one("lambda/permission:Permission", NAME)
    assert permission.urn in target.dependencies
    told = {name: permission.inputs[name] for name in ("principal", "action", "sourceArn", "sourceAccount")}
    assert told == {
        "principal": "events.amazonaws.com",
        "action": "lambda:InvokeFunction",
        "sourceArn": "arn:aws:EventRule/sealing",
        "sourceAccount": "123456789012",
    }
    assert function(plan)["reservedConcurrentExecutions"] == 1
    assert function(plan)["timeout"] < 300


def test_it_reads_logs_puts_seals_and_signs_and_may_do_nothing_else(plan: Any) -> None:
    found = statements(plan, "iam/policy:Policy", NAME)
    of = {sid: (each["Action"], each["Resource"]) for sid, each in found.items() if sid not in ("AuditRecords", "Logs", "Traces")}
    objects = "arn:aws:Bucket/audit/application-audit/*"
    assert of == {
        "Seals": (["s3:GetObject", "s3:PutObject"], [objects]),
        "LastSeal": (["s3:ListBucket"], ["arn:aws:Bucket/audit"]),
        "Signature": (["kms:Sign", "kms:Verify"], ["arn:aws:Key/signing"]),
        "BucketsKey": (["kms:Decrypt", "kms:GenerateDataKey"], ["arn:aws:Key/logs"]),
        "Variables": (["kms:Decrypt"], ["arn:aws:Key/data"]),
    }
    assert found["BucketsKey"]["Condition"] == {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}
    assert found["LastSeal"]["Condition"] == {"StringLike": {"s3:prefix": "application-audit/*"}}
    assert found["AuditRecords"]["Action"] == ["logs:FilterLogEvents"]
    groups = json.loads(function(plan)["environment"]["variables"]["HEARTMAP_AUDIT_LOG_GROUPS"])
    start = "arn:aws:logs:us-east-1:123456789012:log-group:"
    assert sorted(found["AuditRecords"]["Resource"]) == sorted(f"{start}{group}:*" for group in groups)


def test_the_key_signs_for_the_sealer_alone_and_encrypts_nothing(plan: Any) -> None:
    key = plan.one("kms/key:Key", "signing").inputs
    assert (key["keyUsage"], key["customerMasterKeySpec"]) == ("SIGN_VERIFY", "ECC_NIST_P256")
    refusal = statements(plan, "kms/key:Key", "signing")["OnlyTheSealerSigns"]
    assert (refusal["Effect"], refusal["Action"], refusal["Principal"]) == ("Deny", ["kms:Sign"], {"AWS": ["*"]})
    role = ROLE.format(stack=plan.stack)
    assert refusal["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": role}}
    assert plan.one("iam/role:Role", NAME).inputs["name"] == role.rpartition("/")[2]
    assert plan.outputs["audit_public_key"] == "the public key"


def test_nobody_else_puts_anything_where_the_seals_are(plan: Any) -> None:
    refusal = statements(plan, "s3/bucketPolicy:BucketPolicy", "audit")["OnlyTheSealerSeals"]
    bucket = plan.one("s3/bucket:Bucket", "audit").inputs["bucket"]
    assert (refusal["Effect"], refusal["Action"], refusal["Principal"]) == ("Deny", ["s3:PutObject"], {"AWS": ["*"]})
    assert refusal["Resource"] == [f"arn:aws:s3:::{bucket}/{seals.PREFIX}*"]
    assert refusal["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": ROLE.format(stack=plan.stack)}}


def test_the_function_and_the_policies_mean_the_same_place() -> None:
    assert audit_sealing.SEALS_PREFIX == seals.PREFIX


def test_administrators_get_seals_and_put_none(plan: Any) -> None:
    found = statements(plan, "iam/policy:Policy", "audit-search")
    assert found["Seals"]["Action"] == ["s3:GetObject"]
    assert found["Seals"]["Resource"] == ["arn:aws:Bucket/audit/application-audit/*"]
    assert found["ListSeals"]["Condition"] == {"StringLike": {"s3:prefix": "application-audit/*"}}
    variables = plan.one("lambda/function:Function", "audit-search").inputs["environment"]["variables"]
    assert variables["HEARTMAP_AUDIT_PUBLIC_KEY"] == "the public key"
    assert variables["HEARTMAP_AUDIT_KEPT_DAYS"] == str(plan.settings.log_retention_days)


@pytest.mark.parametrize("stack", ["prod"])
def test_the_package_holds_no_library(planned: Any, stack: str) -> None:
    code = planned(stack).one("s3/bucketObjectv2:BucketObjectv2", NAME).inputs
    assert function(planned(stack))["handler"] == "lambda_sealing.handler.handler"
    with zipfile.ZipFile(code["source"].path) as archive:
        assert {name.split("/")[0] for name in archive.namelist()} == {"lambda_sealing", "lambda_authorizer"}
