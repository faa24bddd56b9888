"""Against S3 as boto3 presigns and moto serves it: the forms and parts are what a bucket takes."""

import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config

from local_cloud.moto_server import running_moto
from operator_cli.answers import ResultFile
from operator_cli.environments import Environment
from operator_cli.storage import Storage

BUCKET = "bucket"
MIB = 1024 * 1024


@pytest.fixture
def s3() -> Iterator[Any]:
    with running_moto() as url:
        client = boto3.client("s3", endpoint_url=url, config=Config(signature_version="s3v4"))
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture
def storage(environment: Environment) -> Iterator[Storage]:
    with httpx.Client() as http:
        yield Storage(environment, http)


def ignore(_: int) -> None:
    pass


def test_a_presigned_form_stores_the_file_whole(s3: Any, storage: Storage) -> None:
    content = os.urandom(MIB + 17)
    post = s3.generate_presigned_post(
        BUCKET,
        "uploads/x",
        Fields={"x-amz-meta-request-id": "r"},
        Conditions=[["content-length-range", len(content), len(content)], {"x-amz-meta-request-id": "r"}],
    )
    storage.post(post["url"], post["fields"], io.BytesIO(content), len(content), ignore)
    assert s3.get_object(Bucket=BUCKET, Key="uploads/x")["Body"].read() == content


def test_presigned_parts_store_the_file_whole(s3: Any, storage: Storage) -> None:
    content, size = os.urandom(11 * MIB), 5 * MIB
    upload_id = s3.create_multipart_upload(Bucket=BUCKET, Key="uploads/y")["UploadId"]
    parts = []
    for number, offset in enumerate(range(0, len(content), size), start=1):
        length = min(size, len(content) - offset)
        wanted = {"Bucket": BUCKET, "Key": "uploads/y", "UploadId": upload_id, "PartNumber": number, "ContentLength": length}
        url = s3.generate_presigned_url("upload_part", Params=wanted)
        parts.append({"PartNumber": number, "ETag": storage.put(url, io.BytesIO(content), offset, length, ignore)})
    s3.complete_multipart_upload(Bucket=BUCKET, Key="uploads/y", UploadId=upload_id, MultipartUpload={"Parts": parts})
    assert s3.get_object(Bucket=BUCKET, Key="uploads/y")["Body"].read() == content


def test_a_presigned_result_is_fetched(s3: Any, storage: Storage, tmp_path: Path) -> None:
    content = os.urandom(MIB)
    s3.put_object(Bucket=BUCKET, Key="results/z", Body=content)
    url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "results/z"})
    file = ResultFile(name="z.h5ad", bytes=len(content), sha256=hashlib.sha256(content).hexdigest(), url=url)
    assert storage.fetch(file, tmp_path, ignore).read_bytes() == content
