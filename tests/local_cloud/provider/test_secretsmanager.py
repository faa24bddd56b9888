from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

SECRET, VERSION = "aws:secretsmanager/secret:Secret", "aws:secretsmanager/secretVersion:SecretVersion"


def test_the_newer_of_two_versions_is_the_current_one(make: Callable[..., Any], cloud: Any) -> None:
    secret = make(SECRET, name="rotated", recoveryWindowInDays=0)
    first = make(VERSION, secretId=secret.id, secretString="one")
    second = make(VERSION, secretId=secret.id, secretString="two")
    first.delete()
    manager = cloud.client("secretsmanager")
    assert manager.get_secret_value(SecretId=secret.id)["SecretString"] == "two"
    assert second.drift() == {}
    secret.delete()
    assert manager.list_secrets()["SecretList"] == []


def test_a_recovery_window_that_aws_does_not_know_is_refused(refusals: Callable[..., list[str]]) -> None:
    (reason,) = refusals(SECRET, name="x", recoveryWindowInDays=3)
    assert "0 or from 7 to 30" in reason


POLICY, ROTATION = "aws:secretsmanager/secretPolicy:SecretPolicy", "aws:secretsmanager/secretRotation:SecretRotation"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:rotation"


def policy(sid: str) -> str:
    statement = {"Sid": sid, "Effect": "Deny", "Principal": "*", "Action": "secretsmanager:*", "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_a_secret_has_the_policy_that_was_put(make: Callable[..., Any], cloud: Any) -> None:
    secret = make(SECRET, name="guarded", recoveryWindowInDays=0)
    made = make(POLICY, secretArn=secret.id, policy=policy("One"), blockPublicPolicy=True)
    assert made.drift() == {}
    made.update(policy=policy("Two"))
    assert cloud.client("secretsmanager").get_resource_policy(SecretId=secret.id)["ResourcePolicy"] == policy("Two")
    made.delete()
    assert made.read() is None


def test_a_rotation_is_configured_and_no_version_is_touched(make: Callable[..., Any], cloud: Any) -> None:
    secret = make(SECRET, name="rotating", recoveryWindowInDays=0)
    version = make(VERSION, secretId=secret.id, secretString="one")
    made = make(
        ROTATION,
        secretId=secret.id,
        rotationLambdaArn=FUNCTION,
        rotationRules={"automaticallyAfterDays": 90},
        rotateImmediately=False,
    )
    assert made.drift() == {}
    described = cloud.client("secretsmanager").describe_secret(SecretId=secret.id)
    assert described["VersionIdsToStages"] == {version.state["versionId"]: ["AWSCURRENT"]}
    made.update(rotationRules={"automaticallyAfterDays": 30})
    assert made.drift() == {}
    made.delete()
    assert made.read() is None


def test_a_rotation_at_once_is_refused_since_nothing_would_carry_it_out(refusals: Callable[..., list[str]]) -> None:
    (reason,) = refusals(ROTATION, secretId="s", rotationLambdaArn=FUNCTION, rotationRules={"automaticallyAfterDays": 90})
    assert "rotateImmediately has to be False" in reason
