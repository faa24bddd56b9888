"""The scheduled rules of an emulated AWS, with the sealing function itself as what one of them calls."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lambda_authorizer.audit_chain import Chain
from lambda_authorizer.building.target import Target
from lambda_sealing import package, seals
from lambda_sealing.seals import SEALS_PREFIX, name_of
from local_cloud import scheduler
from local_cloud.edge.interpret import Uninterpretable
from tests.lambda_sealing.conftest import MINUTE, record

NAME, GROUP, BUCKET = "heartmap-local-sealing", "/aws/lambda/heartmap-local-sealing", "audit"


@pytest.fixture
def rule(aws: Callable[[str], Any], tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Deploys the sealing function, as the stack does, and a rule that calls it."""

    def make(schedule: str = "rate(5 minutes)", *, admitted: bool = True, **target: Any) -> str:
        iam, s3, functions, events = aws("iam"), aws("s3"), aws("lambda"), aws("events")
        role = iam.create_role(RoleName="sealing", AssumeRolePolicyDocument='{"Version":"2012-10-17","Statement":[]}')["Role"]
        for bucket in ("artifacts", BUCKET):
            s3.create_bucket(Bucket=bucket)
        key = aws("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
        aws("logs").create_log_group(logGroupName=GROUP)
        s3.put_object(Bucket="artifacts", Key="z", Body=package.build(tmp_path / "zip", target=Target.host()).read_bytes())
        variables = {
            "HEARTMAP_AUDIT_LOG_GROUPS": json.dumps([GROUP]),
            "HEARTMAP_AUDIT_BUCKET": BUCKET,
            "HEARTMAP_SIGNING_KEY": key,
        }
        made = functions.create_function(
            FunctionName=NAME,
            Role=role["Arn"],
            Code={"S3Bucket": "artifacts", "S3Key": "z"},
            Runtime="python3.13",
            Handler="lambda_sealing.handler.handler",
            Timeout=240,
            MemorySize=512,
            Environment={"Variables": variables},
        )
        arn = events.put_rule(Name=NAME, ScheduleExpression=schedule)["RuleArn"]
        events.put_rule(Name="no-schedule", EventPattern='{"source":["x"]}')
        events.put_targets(Rule=NAME, Targets=[{"Id": "sealing", "Arn": made["FunctionArn"], **target}])
        if admitted:
            functions.add_permission(
                FunctionName=NAME,
                StatementId="s",
                Action="lambda:InvokeFunction",
                Principal="events.amazonaws.com",
                SourceArn=arn,
            )
        return arn

    yield make
    for clean in (
        lambda: aws("events").remove_targets(Rule=NAME, Ids=["sealing"]),
        lambda: aws("events").delete_rule(Name=NAME),
        lambda: aws("lambda").delete_function(FunctionName=NAME),
        lambda: aws("logs").delete_log_group(logGroupName=GROUP),
        lambda: aws("iam").delete_role(RoleName="sealing"),
    ):
        clean()


async def test_a_scheduled_function_runs_from_its_zip_and_seals(
    rule: Callable[..., str], aws: Callable[[str], Any], local_environment: dict[str, str], tmp_path: Path
) -> None:
    rule()
    logs, now = aws("logs"), int(time.time() * 1000)
    logs.create_log_stream(logGroupName=GROUP, logStreamName="s")
    line = record(Chain(), now - 5 * MINUTE)
    events = [{"timestamp": now - 5 * MINUTE, "message": line}]
    logs.put_log_events(logGroupName=GROUP, logStreamName="s", logEvents=events)
    assert await scheduler.schedule(tmp_path, once=True)
    data = aws("s3").get_object(Bucket=BUCKET, Key=name_of(SEALS_PREFIX, 1))["Body"].read()
    assert seals.read_seal(data).seal.records.lines == 1
    # What it printed is in its own log group, where the next seal finds it.
    printed = [each["message"] for each in logs.filter_log_events(logGroupName=GROUP)["events"]]
    assert any('"event":"seal"' in each for each in printed)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"schedule": "cron(0 12 * * ? *)"}, "not a rate"),
        ({"admitted": False}, "does not admit the rule"),
        ({"RoleArn": "arn:aws:iam::123456789012:role/x"}, "RoleArn"),
    ],
)
def test_what_is_not_understood_or_not_allowed_is_refused(
    rule: Callable[..., str], aws: Callable[[str], Any], arguments: dict[str, Any], why: str
) -> None:
    rule(**arguments)
    with pytest.raises(Uninterpretable, match=why):
        scheduler.calls(aws("events"), aws("lambda"))


@pytest.mark.parametrize(("text", "every"), [("rate(1 minute)", 60), ("rate(5 minutes)", 300), ("rate(2 hours)", 7200)])
def test_a_rate_is_so_many_seconds(text: str, every: float) -> None:
    assert scheduler.seconds(text) == every


def test_the_event_is_eventbridges_unless_the_target_says_another() -> None:
    call = scheduler.Call("r", "arn:aws:events:us-east-1:123456789012:rule/r", 300, "arn:aws:lambda:…", None)
    event = call.event()
    assert (event["source"], event["detail-type"], event["resources"]) == ("aws.events", "Scheduled Event", [call.rule_arn])
    assert scheduler.Call("r", "arn", 300, "arn", '{"a":1}').event() == {"a": 1}
