"""An emulated AWS with the log groups, and one more that nobody may read."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lambda_audit import config, lines
from lambda_audit.handler import Trail
from tests.lambda_api.calls import SECRET

GROUPS = {stream: f"/aws/lambda/heartmap-local-{stream}" for stream in lines.EVENTS}
OTHER = "/heartmap/local/other"
BUCKET, PUBLIC_KEY = "heartmap-local-audit", "-----BEGIN PUBLIC KEY-----"


@pytest.fixture(scope="module")
def secret_arn(aws: Callable[[str], Any]) -> str:
    return aws("secretsmanager").create_secret(Name="heartmap-local/authorizer", SecretString=SECRET)["ARN"]


class Logs:
    """The log groups, empty; a line of a stream is said to be of so many milliseconds ago."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.now = int(time.time() * 1000)
        for group in (*GROUPS.values(), OTHER):
            client.create_log_group(logGroupName=group)
            client.create_log_stream(logGroupName=group, logStreamName="2026/11/30/[$LATEST]a")

    def write(self, stream: str, ago: int, **line: Any) -> None:
        self.raw(stream, (ago, json.dumps({"event": lines.EVENTS[stream][0], "version": 2} | line)))

    def raw(self, stream: str, *entries: tuple[int, str]) -> None:
        events = [{"timestamp": self.now - ago, "message": f"{message}\n"} for ago, message in sorted(entries, reverse=True)]
        group = GROUPS.get(stream, stream)
        self._client.put_log_events(logGroupName=group, logStreamName="2026/11/30/[$LATEST]a", logEvents=events)

    def remove(self) -> None:
        for group in (*GROUPS.values(), OTHER):
            self._client.delete_log_group(logGroupName=group)


@pytest.fixture
def logs(aws: Callable[[str], Any]) -> Iterator[Logs]:
    made = Logs(aws("logs"))
    yield made
    made.remove()


@pytest.fixture
def environ(moto_url: str, secret_arn: str) -> dict[str, str]:
    """The function's environment."""
    return {
        "HEARTMAP_ENVIRONMENT": "local",
        "HEARTMAP_SECRETS": secret_arn,
        "HEARTMAP_AUDIT_LOG_GROUPS": json.dumps(GROUPS),
        "HEARTMAP_AUDIT_BUCKET": BUCKET,
        "HEARTMAP_AUDIT_PUBLIC_KEY": PUBLIC_KEY,
        "HEARTMAP_AUDIT_KEPT_DAYS": "30",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": moto_url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }


@pytest.fixture
def trail(environ: dict[str, str], logs: Logs, monkeypatch: pytest.MonkeyPatch) -> Trail:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return Trail(config.load(environ))
