from __future__ import annotations

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
