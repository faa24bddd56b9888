"""An emulated AWS with the log groups, the audit bucket and the signing key; and chains of records, sealed without one."""

import json
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from lambda_authorizer.audit_chain import Chain
from lambda_sealing import config
from lambda_sealing.handler import Sealing

MINUTE = 60_000
"""Milliseconds, as all times here."""
# CloudWatch Logs takes no lines that are older than two weeks or of the future.
NOW = (int(time.time() * 1000) - 10 * 24 * 60 * MINUTE) // MINUTE * MINUTE
GROUPS = ("/aws/lambda/heartmap-local-authorizer", "/heartmap/local/api", "/aws/lambda/heartmap-local-sealing")
BUCKET = "heartmap-local-audit"


def record(chain: Chain, moment: int, **fields: Any) -> str:
    """The next record of a writer."""
    told = {"event": "authorization", "version": 2, "time": moment, "decision": "allow", "request_id": "r"} | fields
    return chain.close(json.dumps(told, separators=(",", ":"))[:-1])


class Cloud:
    """What the sealer sees and makes. ``run`` is one call of the function, at ``self.now``."""

    def __init__(self, aws: Callable[[str], Any], key: str, number: int) -> None:
        self.aws = aws
        self.logs, self.s3 = aws("logs"), aws("s3")
        self.groups = tuple(f"{group}-{number}" for group in GROUPS)
        self.bucket = f"{BUCKET}-{number}"
        self.now = NOW
        self.configuration = config.Configuration(self.groups, self.bucket, key)
        for group in self.groups:
            self.logs.create_log_group(logGroupName=group)
            self.logs.create_log_stream(logGroupName=group, logStreamName="s")
        self.s3.create_bucket(Bucket=self.bucket, ObjectLockEnabledForBucket=True)
        rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 365}}
        self.s3.put_object_lock_configuration(
            Bucket=self.bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
        )

    def log(self, *lines: str, ago: int = 5 * MINUTE, group: int = 0, spread: int = 0) -> None:
        """Have CloudWatch Logs take lines, as of a while ago; ``spread`` milliseconds apart."""
        events = [{"timestamp": self.now - ago + number * spread, "message": f"{line}\n"} for number, line in enumerate(lines)]
        self.logs.put_log_events(logGroupName=self.groups[group], logStreamName="s", logEvents=events)

    def sealing(self, in_time: Callable[[], bool] = lambda: True) -> Sealing:
        return Sealing(self.configuration, self.aws, in_time, lambda: self.now)

    def run(self) -> int:
        return self.sealing().run()

    def put(self) -> list[str]:
        listed = self.s3.list_object_versions(Bucket=self.bucket).get("Versions", [])
        return sorted(each["Key"] for each in listed)


_numbers = count(1)


@pytest.fixture(scope="module")
def signing_key(aws: Callable[[str], Any]) -> str:
    return aws("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]


@pytest.fixture
def cloud(aws: Callable[[str], Any], signing_key: str) -> Iterator[Cloud]:
    made = Cloud(aws, signing_key, next(_numbers))
    yield made
    for group in made.groups:
        made.logs.delete_log_group(logGroupName=group)
