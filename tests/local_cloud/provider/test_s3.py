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
