from __future__ import annotations

from typing import Any

import pytest

from local_cloud.provider.framework import FUNCTIONS, Refused


@pytest.fixture
def secret_version(cloud: Any) -> Any:
    handler = FUNCTIONS["aws:secretsmanager/getSecretVersion:getSecretVersion"]
    return lambda name: handler.invoke(cloud, {"secretId": name})


def test_a_secret_that_others_keep_can_be_read(cloud: Any, secret_version: Any) -> None:
    made = cloud.client("secretsmanager").create_secret(Name="of-the-identity-provider", SecretString="value")
    answer = secret_version(made["ARN"])
    assert (answer["secretString"], answer["arn"], answer["versionId"]) == ("value", made["ARN"], made["VersionId"])
    assert answer["versionStages"] == ["AWSCURRENT"]


def test_a_secret_that_is_not_there_or_empty_is_told(cloud: Any, secret_version: Any) -> None:
    cloud.client("secretsmanager").create_secret(Name="empty")
    for name in ("absent", "empty"):
        with pytest.raises(Refused, match=f"no secret {name}, or it has no value"):
            secret_version(name)
