"""Uploaded and resulting objects in S3, and the URLs by which callers move the bytes themselves.

A URL dies with the credentials that signed it. botocore renews a task's credentials 15 minutes before they end, so no URL lives
longer.
"""

import base64
import contextlib
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import structlog
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

_log = structlog.get_logger()

URL_SECONDS = 900
CHUNK = 4 * 1024 * 1024

SCAN_TAG, SCAN_CLEAN = "GuardDutyMalwareScanStatus", "NO_THREATS_FOUND"
"""The tag that GuardDuty puts on an object that it scanned, and the one value of it that opens the object."""


class ObjectTooLarge(Exception):  # what it is, not an error of ours
    """The object is larger than it may be."""


class ObjectWithheld(Exception):  # what it is, not an error of ours
    """The bucket's policy opens no object that the malware scan did not find clean.

    ``result`` is GuardDuty's word for what it found instead, None while it has not looked yet.
    """

    def __init__(self, result: str | None) -> None:
        super().__init__(result)
        self.result = result


class DownloadStopped(Exception):
    """The caller no longer wants the object."""


class PresignedPost(NamedTuple):
    url: str
    fields: dict[str, str]


class Downloaded(NamedTuple):
    """What a download wrote. ``sha256`` in hex."""

    bytes: int
    sha256: str


class Part(NamedTuple):
    number: int
    etag: str
    bytes: int


class Source(NamedTuple):
    """An object that is already in S3."""

    bucket: str
    key: str


class StoredFile(NamedTuple):
    """A published result. ``sha256`` in hex."""

    name: str
    bytes: int
    sha256: str


# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html. S3 takes any key of 1 to 1,024 bytes; what cannot
# be printed is left out, so that a log shows all of it.
_SOURCE = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(.+)", re.ASCII)
LONGEST_KEY = 1024


def parse_source(uri: str) -> Source:
    """The object of an S3 URI, ``s3://bucket/key``. Raises ValueError for what is none."""
    match = _SOURCE.fullmatch(uri)
    if match is None or not match[2].isprintable() or len(match[2].encode("utf-8")) > LONGEST_KEY:
        raise ValueError("not an S3 URI")
    return Source(match[1], match[2])


class Uploads:
    """The bucket in which each upload is the one object ``uploads/<upload_id>``."""

    def __init__(self, s3: "S3Client", bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def presigned_post(self, upload_id: str, *, least: int, most: int, request_id: str) -> PresignedPost:
        """One POST of exactly this key, of ``least`` to ``most`` bytes, within URL_SECONDS."""
        fields = {"x-amz-meta-request-id": request_id}
        conditions: list[Any] = [["content-length-range", least, most], *({name: value} for name, value in fields.items())]
        post = self._s3.generate_presigned_post(
            self._bucket, self.key(upload_id), Fields=dict(fields), Conditions=conditions, ExpiresIn=URL_SECONDS
        )
        return PresignedPost(post["url"], post["fields"])

    def put(self, upload_id: str, body: IO[bytes], *, request_id: str) -> None:
        self._s3.upload_fileobj(body, self._bucket, self.key(upload_id), ExtraArgs={"Metadata": {"request-id": request_id}})

    def start_multipart(self, upload_id: str, *, request_id: str) -> str:
        """S3's id of the new multipart upload."""
        answer = self._s3.create_multipart_upload(
            Bucket=self._bucket, Key=self.key(upload_id), Metadata={"request-id": request_id}
        )
        return answer["UploadId"]

    def part_url(self, upload_id: str, multipart_id: str, number: int, length: int) -> str:
        """The URL to PUT one part of exactly ``length`` bytes to."""
        return self._s3.generate_presigned_url(
            "upload_part",
            Params={
                "Bucket": self._bucket,
                "Key": self.key(upload_id),
                "UploadId": multipart_id,
                "PartNumber": number,
                "ContentLength": length,
            },
            ExpiresIn=URL_SECONDS,
        )

    def parts(self, upload_id: str, multipart_id: str) -> list[Part] | None:
        """The parts that S3 holds; None when the multipart upload is over."""
        pages = self._s3.get_paginator("list_parts").paginate(Bucket=self._bucket, Key=self.key(upload_id), UploadId=multipart_id)
        try:
            return [
                Part(part.get("PartNumber", 0), part.get("ETag", "").strip('"'), part.get("Size", 0))
                for page in pages
                for part in page.get("Parts", [])
            ]
        except ClientError as error:
            if _code(error) == "NoSuchUpload":
                return None
            raise

    def complete_multipart(self, upload_id: str, multipart_id: str, parts: Iterable[Part]) -> None:
        """Nothing happens when another call was first."""
        try:
            self._s3.complete_multipart_upload(
                Bucket=self._bucket,
                Key=self.key(upload_id),
                UploadId=multipart_id,
                MultipartUpload={"Parts": [{"PartNumber": part.number, "ETag": part.etag} for part in parts]},
            )
        except ClientError as error:
            if _code(error) != "NoSuchUpload":
                raise

    def abort_multipart(self, upload_id: str, multipart_id: str) -> None:
        """Gives up a multipart upload that is not used. What is left of one goes by the bucket's lifecycle."""
        try:
            self._s3.abort_multipart_upload(Bucket=self._bucket, Key=self.key(upload_id), UploadId=multipart_id)
        except (BotoCoreError, ClientError):
            _log.warning("unused multipart upload not aborted", upload_id=upload_id, exc_info=True)

    def size(self, upload_id: str) -> int | None:
        """Bytes of the object; None when there is none. The bucket lists also an object that nobody may read yet."""
        key = self.key(upload_id)
        listed = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=key, MaxKeys=1).get("Contents", [])
        return next((found.get("Size", 0) for found in listed if found.get("Key") == key), None)

    def copy_from(self, source: str, upload_id: str, *, most: int, request_id: str) -> bool:
        """Copies the object at the S3 URI ``source`` within S3; False when there is none that the service may read.

        Raises ObjectTooLarge for one of more than ``most`` bytes, before anything is copied.
        """
        origin = parse_source(source)
        try:
            head = self._s3.head_object(Bucket=origin.bucket, Key=origin.key)
        except ClientError as error:
            if _code(error) in _MISSING or _code(error) in _UNREADABLE:
                return False
            raise
        if head["ContentLength"] > most:
            raise ObjectTooLarge
        try:
            self._s3.copy(
                {"Bucket": origin.bucket, "Key": origin.key},
                self._bucket,
                self.key(upload_id),
                ExtraArgs={
                    # What was just measured, and no other.
                    "CopySourceIfMatch": head["ETag"],
                    "MetadataDirective": "REPLACE",
                    "Metadata": {"request-id": request_id},
                    # The tags of an upload are the malware scan's word.
                    "TaggingDirective": "REPLACE",
                },
            )
        except ClientError as error:
            if _code(error) in _MISSING or _code(error) == "InvalidObjectState":
                return False
            raise
        return True

    def download(self, upload_id: str, destination: Path, *, most: int, wanted: Callable[[], bool]) -> Downloaded | None:
        """None when there is no such object. ``wanted`` is asked every CHUNK bytes.

        Raises ObjectTooLarge before the first byte when there are more than ``most``, ObjectWithheld, and DownloadStopped when
        it is no longer wanted.
        """
        answer = self._open(upload_id)
        if answer is None:
            return None
        digest, written = hashlib.sha256(), 0
        with contextlib.closing(answer["Body"]) as body, destination.open("wb") as file:
            if answer["ContentLength"] > most:
                raise ObjectTooLarge
            for chunk in body.iter_chunks(CHUNK):
                file.write(chunk)
                digest.update(chunk)
                written += len(chunk)
                if not wanted():
                    raise DownloadStopped
        return Downloaded(written, digest.hexdigest())

    def _open(self, upload_id: str) -> "GetObjectOutputTypeDef | None":
        """The object; None when there is none. Raises ObjectWithheld."""
        bucket, key = self._bucket, self.key(upload_id)
        try:
            return self._s3.get_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if _code(error) in _MISSING:
                return None
            if _code(error) != "AccessDenied":
                raise
        try:
            tags = self._s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
        except ClientError as error:
            # What is not there has no tag, and is refused for that.
            if _code(error) in _MISSING:
                return None
            raise
        result = next((tag["Value"] for tag in tags if tag["Key"] == SCAN_TAG), None)
        if result != SCAN_CLEAN:
            raise ObjectWithheld(result)
        # Tagged since: open by now. Or it was another refusal, which comes again.
        return self._s3.get_object(Bucket=bucket, Key=key)

    @staticmethod
    def key(upload_id: str) -> str:
        return f"uploads/{upload_id}"


class Results:
    """The bucket of ``results/<analysis_id>/<attempt>/<name>``: no attempt overwrites another's objects."""

    def __init__(self, s3: "S3Client", bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def put(self, analysis_id: str, attempt: int, file: Path, *, metadata: Mapping[str, str]) -> StoredFile:
        """Stores one file under its name. S3 compares the SHA-256 with the bytes that it received."""
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256")
            stream.seek(0)
            self._s3.put_object(
                Bucket=self._bucket,
                Key=self.key(analysis_id, attempt, file.name),
                Body=stream,
                ChecksumSHA256=base64.b64encode(digest.digest()).decode("ascii"),
                ContentType=_CONTENT_TYPES.get(file.suffix, "application/octet-stream"),
                Metadata={**metadata, "sha256": digest.hexdigest()},
            )
        return StoredFile(file.name, file.stat().st_size, digest.hexdigest())

    def url(self, analysis_id: str, attempt: int, name: str) -> str:
        return self._s3.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": self._bucket,
                "Key": self.key(analysis_id, attempt, name),
                "ResponseContentDisposition": f'attachment; filename="{name}"',
            },
            ExpiresIn=URL_SECONDS,
        )

    @staticmethod
    def key(analysis_id: str, attempt: int, name: str) -> str:
        return f"results/{analysis_id}/{attempt}/{name}"


_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
# A HEAD has no body, and with it no better code than its status.
_UNREADABLE = frozenset({"403", "AccessDenied", "Forbidden"})
_CONTENT_TYPES = {
    ".png": "image/png",
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".h5ad": "application/x-hdf5",
}


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")
