from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.provider.framework import FileContent, Refused

BUCKET, OBJECT = "aws:s3/bucket:Bucket", "aws:s3/bucketObjectv2:BucketObjectv2"
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"


def asset(path: Path, content: bytes) -> FileContent:
    path.write_bytes(content)
    return FileContent(path, None, hashlib.sha256(content).hexdigest())


def test_a_bucket_has_the_outputs_of_the_real_one(make: Callable[..., Any]) -> None:
    made = make(BUCKET, bucket="named")
    assert made.id == made.state["bucket"] == "named"
    assert made.state["arn"] == "arn:aws:s3:::named"
    assert made.state["bucketRegionalDomainName"] == "named.s3.us-east-1.amazonaws.com"


def test_a_bucket_that_is_there_already_is_not_taken_over(make: Callable[..., Any]) -> None:
    make(BUCKET, bucket="twice")
    with pytest.raises(Refused, match="the bucket twice is there already"):
        make(BUCKET, bucket="twice")


def test_a_full_bucket_is_only_deleted_when_the_program_says_so(make: Callable[..., Any], cloud: Any) -> None:
    made = make(BUCKET, bucket="full")
    make(VERSIONING, bucket="full", versioningConfiguration={"status": "Enabled"})
    s3 = cloud.client("s3")
    for content in (b"first", b"second"):
        s3.put_object(Bucket="full", Key="k", Body=content)
    s3.delete_object(Bucket="full", Key="k")
    with pytest.raises(ClientError, match="BucketNotEmpty"):
        made.delete()
    made.update(forceDestroy=True)
    made.delete()
    assert made.read() is None


def test_an_object_is_the_file_and_follows_it(make: Callable[..., Any], cloud: Any, tmp_path: Path) -> None:
    make(BUCKET, bucket="code")
    make(VERSIONING, bucket="code", versioningConfiguration={"status": "Enabled"})
    made = make(OBJECT, bucket="code", key="authorizer/a.zip", source=asset(tmp_path / "a.zip", b"first"))
    first = made.state["versionId"]
    made.update(source=asset(tmp_path / "a.zip", b"second"))
    s3 = cloud.client("s3")
    assert s3.get_object(Bucket="code", Key="authorizer/a.zip")["Body"].read() == b"second"
    assert made.state["versionId"] != first

    s3.put_object(Bucket="code", Key="authorizer/a.zip", Body=b"somebody else's", ChecksumAlgorithm="SHA256")
    assert "source" in made.drift()

    made.delete()
    assert s3.list_object_versions(Bucket="code").get("Versions", []) == []


def test_an_object_has_one_content(refusals: Callable[..., list[str]]) -> None:
    for given in ({}, {"source": FileContent(Path("a"), None, "h"), "content": "text"}):
        (reason,) = refusals(OBJECT, bucket="b", key="k", **given)
        assert "either source" in reason
    (reason,) = refusals(OBJECT, bucket="b", key="k", source="/a/path")
    assert "has to be a FileAsset" in reason


LOGGING, NOTIFICATION = "aws:s3/bucketLogging:BucketLogging", "aws:s3/bucketNotification:BucketNotification"
LOCK = "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"


def test_requests_to_a_bucket_are_logged_to_another(make: Callable[..., Any], cloud: Any) -> None:
    make(BUCKET, bucket="logged")
    make(BUCKET, bucket="log-target")
    made = make(LOGGING, bucket="logged", targetBucket="log-target", targetPrefix="s3/logged/")
    assert made.drift() == {}
    s3 = cloud.client("s3")
    s3.put_bucket_logging(
        Bucket="logged", BucketLoggingStatus={"LoggingEnabled": {"TargetBucket": "logged", "TargetPrefix": "s3/logged/"}}
    )
    assert made.drift() == {"targetBucket": ("log-target", "logged")}
    made.update(targetPrefix="s3/other/")
    assert made.drift() == {}
    made.delete()
    assert made.read() is None


def test_a_locked_object_stays_whoever_deletes_it(make: Callable[..., Any], cloud: Any) -> None:
    bucket = make(BUCKET, bucket="locked", objectLockEnabled=True)
    assert bucket.drift() == {}
    made = make(LOCK, bucket="locked", rule={"defaultRetention": {"mode": "COMPLIANCE", "days": 365}})
    assert made.drift() == {}
    s3 = cloud.client("s3")
    version = s3.put_object(Bucket="locked", Key="k", Body=b"record", ChecksumAlgorithm="SHA256")["VersionId"]
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(Bucket="locked", Key="k", VersionId=version, BypassGovernanceRetention=True)
    # Also once the bucket is in use, for the objects that come after.
    made.update(rule={"defaultRetention": {"mode": "COMPLIANCE", "days": 400}})
    assert made.drift() == {}
    made.delete()
    assert made.read() is None


def test_a_bucket_without_object_lock_takes_no_retention_before_it_has_versions(make: Callable[..., Any]) -> None:
    plain = make(BUCKET, bucket="unlocked")
    assert plain.drift() == {}
    with pytest.raises(ClientError, match="InvalidBucketState"):
        make(LOCK, bucket="unlocked", rule={"defaultRetention": {"mode": "COMPLIANCE", "days": 365}})


def test_a_bucket_tells_a_queue_or_eventbridge_of_new_objects(make: Callable[..., Any], cloud: Any) -> None:
    make(BUCKET, bucket="told")
    queue = make("aws:sqs/queue:Queue", name="told")
    notice = {"id": "new", "queueArn": queue.state["arn"], "events": ["s3:ObjectCreated:*"], "filterPrefix": "uploads/"}
    made = make(NOTIFICATION, bucket="told", queues=[notice])
    assert made.drift() == {}
    made.update(queues=None, eventbridge=True)
    assert made.drift() == {}
    cloud.client("s3").put_bucket_notification_configuration(Bucket="told", NotificationConfiguration={})
    assert made.read() is None
    made.update(queues=[notice], eventbridge=None)
    assert made.drift() == {}
    made.delete()
    assert made.read() is None


def test_versioning_outlives_its_resource_where_objects_are_locked(make: Callable[..., Any], cloud: Any) -> None:
    bucket = make("aws:s3/bucket:Bucket", bucket="locked-versions", objectLockEnabled=True)
    versioning = make("aws:s3/bucketVersioning:BucketVersioning", bucket=bucket.id, versioningConfiguration={"status": "Enabled"})
    versioning.delete()
    assert cloud.client("s3").get_bucket_versioning(Bucket=bucket.id)["Status"] == "Enabled"
    bucket.delete()
