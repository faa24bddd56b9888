"""The objects of a bucket as they were at one moment, which its versions tell, and back."""

from collections.abc import Iterator
from datetime import datetime
from typing import IO, Any, NamedTuple


class Object(NamedTuple):
    """One version of an object. ``bytes`` is its size."""

    key: str
    version: str
    bytes: int


def at(s3: Any, bucket: str, moment: datetime) -> Iterator[Object]:
    """What was there at that moment, by the keys' order."""
    newest: tuple[datetime, Object | None] | None = None
    current: str | None = None
    # Of one key S3 lists versions and delete markers apart, each with the newest first.
    for key, modified, found in sorted(_versions(s3, bucket), key=lambda entry: (entry[0], entry[1])):
        if key != current:
            if newest and newest[1]:
                yield newest[1]
            current, newest = key, None
        if modified <= moment:
            newest = (modified, found)
    if newest and newest[1]:
        yield newest[1]


def _versions(s3: Any, bucket: str) -> Iterator[tuple[str, datetime, Object | None]]:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for found in page.get("Versions", []):
            yield found["Key"], found["LastModified"], Object(found["Key"], found["VersionId"], found["Size"])
        for found in page.get("DeleteMarkers", []):
            yield found["Key"], found["LastModified"], None


def described(s3: Any, bucket: str, found: Object) -> dict[str, Any] | None:
    """The content type and the metadata of a version; None for one that the bucket's policy opens to nobody."""
    from botocore.exceptions import ClientError

    try:
        answer = s3.head_object(Bucket=bucket, Key=found.key, VersionId=found.version)
    except ClientError as error:
        # HEAD has no body that would say AccessDenied.
        if error.response.get("Error", {}).get("Code") in ("403", "AccessDenied"):
            return None
        raise
    return {"ContentType": answer["ContentType"], "Metadata": answer["Metadata"]}


def is_empty(s3: Any, bucket: str) -> bool:
    """Whether there is no object."""
    return not s3.list_objects_v2(Bucket=bucket, MaxKeys=1).get("Contents")


def write(s3: Any, bucket: str, key: str, content: IO[bytes], described: dict[str, Any]) -> None:
    """Put an object. ``described`` are its content type and its metadata."""
    s3.upload_fileobj(content, bucket, key, ExtraArgs=described)
