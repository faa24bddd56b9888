"""`heartmapctl audit verify` with the functions as they are: the sealer and the trail's, in an emulated AWS."""

import json
import time
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from lambda_audit import config as audit_config
from lambda_audit import lines as streams
from lambda_audit.handler import Trail
from lambda_authorizer.audit_chain import Chain
from lambda_sealing import config as sealing_config
from lambda_sealing.handler import Sealing
from operator_cli.api import Api
from operator_cli.audit_verify import Report
from operator_cli.storage import Storage
from operator_cli.verifying import online
from tests.lambda_api.calls import SECRET, event
from tests.lambda_sealing.conftest import MINUTE, record

GROUPS = {stream: f"/aws/lambda/heartmap-local-{stream}" for stream in streams.EVENTS}
BUCKET = "heartmap-local-audit"


class Environment:
    """A stack with a log of the last hours, sealed up to now."""

    def __init__(self, aws: Callable[[str], Any], moto_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.aws, self.s3, self.logs, kms = aws, aws("s3"), aws("logs"), aws("kms")
        self.s3.create_bucket(Bucket=BUCKET)
        for group in GROUPS.values():
            self.logs.create_log_group(logGroupName=group)
            for stream in ("s", "other"):
                self.logs.create_log_stream(logGroupName=group, logStreamName=stream)
        key = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
        pem = load_der_public_key(kms.get_public_key(KeyId=key)["PublicKey"]).public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        environ = {
            "HEARTMAP_ENVIRONMENT": "local",
            "HEARTMAP_SECRETS": aws("secretsmanager").create_secret(Name="heartmap-local/authorizer", SecretString=SECRET)["ARN"],
            "HEARTMAP_AUDIT_LOG_GROUPS": json.dumps(GROUPS),
            "HEARTMAP_AUDIT_BUCKET": BUCKET,
            "HEARTMAP_AUDIT_PUBLIC_KEY": pem.decode(),
            "HEARTMAP_AUDIT_KEPT_DAYS": "30",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": moto_url,
        }
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        self._trail = Trail(audit_config.load(environ))
        self._sealing = sealing_config.Configuration(tuple(GROUPS.values()), BUCKET, key)
        self.now = int(time.time() * 1000)
        self.chain = Chain()

    def write(self, ago: int, *lines: str, stream: str = "s") -> None:
        entries = [{"timestamp": self.now - ago, "message": line} for line in lines]
        self.logs.put_log_events(logGroupName=GROUPS["keys"], logStreamName=stream, logEvents=entries)

    def seal(self, ago: int = 0) -> None:
        Sealing(self._sealing, self.aws, lambda: True, lambda: self.now - ago).run()

    def call(self, _method: str, path: str, kind: Any) -> Any:
        """What the API's client does: a page of the trail's function."""
        parts = urlsplit(path)
        answer = self._trail.answer(event("GET", parts.path, query=dict(parse_qsl(parts.query))))
        assert answer["statusCode"] == 200, answer["body"]
        return kind.model_validate_json(answer["body"])

    def content(self, url: str, most: int) -> bytes:
        return httpx.get(url).content[:most]

    def verify(self, since: int | None = None) -> Report:
        return online(cast(Api, self), cast(Storage, self), None, since, None, note=lambda _: None)


def test_the_trail_is_verified_through_the_service_and_each_deed_is_named(
    aws: Callable[[str], Any], moto_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = Environment(aws, moto_url, monkeypatch)
    lines = [record(environment.chain, environment.now) for _ in range(12)]
    for number in range(4):
        environment.write((20 - number * 5) * MINUTE, *lines[number * 3 : number * 3 + 3])
        environment.seal(ago=(16 - number * 5) * MINUTE if number < 3 else 0)
    report = environment.verify()
    assert report.problems == []
    assert (report.last, report.records, report.waiting) == (4, 12, 0)
    assert report.compared_since is not None
    part = environment.verify(since=environment.now - 9 * MINUTE)
    assert (part.problems, part.seals < 4) == ([], True)

    # The first seal is deleted: the retention is no excuse yet.
    key = "application-audit/seals/000000000001.json"
    kept = environment.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    environment.s3.delete_object(Bucket=BUCKET, Key=key)
    assert [(one.where, one.what, one.seal) for one in environment.verify().problems] == [("seals", "removed", 1)]
    environment.s3.put_object(Bucket=BUCKET, Key=key, Body=kept)

    # A record is slipped into the live log: the log stream of another process is where anybody would put it.
    environment.write(15 * MINUTE, lines[4].replace('"allow"', '"deny"'), stream="other")
    assert {(one.where, one.what, one.sequence) for one in environment.verify().problems} == {("live log", "inserted", 5)}
    environment.logs.delete_log_stream(logGroupName=GROUPS["keys"], logStreamName="other")
    assert environment.verify().problems == []

    # The stream with the records is deleted: all that was sealed of it is missed.
    environment.logs.delete_log_stream(logGroupName=GROUPS["keys"], logStreamName="s")
    gone = environment.verify().problems
    assert {(one.where, one.what, one.sequence) for one in gone} == {("live log", "removed", number) for number in range(1, 13)}
