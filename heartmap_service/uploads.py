"""Uploads: permission to send a data set straight to S3, in one POST or in parts that can be resumed, and what became of it."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from ulid import ULID

from heartmap_service.identity import Caller
from heartmap_service.problems import Problem
from heartmap_service.records import Upload, timestamp
from heartmap_service.settings import GIB, MIB
from heartmap_service.storage import URL_SECONDS, Part, Uploads
from heartmap_service.upload_store import UploadStore

ONE_POST = 64 * MIB
"""Above this an upload goes in parts, so that a broken line costs one part only."""
LARGEST_POST = 5 * GIB
"""S3's own limit for one request."""
PART_BYTES = 16 * MIB
MAX_PARTS = 10_000
"""S3's own limit."""


class NewUpload(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")] | None = None
    """For people only; it names no object."""
    bytes: Annotated[int, Field(ge=1)] | None = None


class PartNumbers(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    numbers: Annotated[list[Annotated[int, Field(ge=1, le=MAX_PARTS)]], Field(min_length=1, max_length=100)]


class SentPart(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    number: Annotated[int, Field(ge=1, le=MAX_PARTS)]
    etag: Annotated[str, Field(min_length=1, max_length=128, pattern=r'^"?[0-9A-Za-z+/=_-]+"?$')]


class SentParts(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    parts: Annotated[list[SentPart], Field(min_length=1, max_length=MAX_PARTS)]


class UploadService:
    """``max_bytes`` is the largest data set that this environment takes."""

    def __init__(self, store: UploadStore, objects: Uploads, *, max_bytes: int) -> None:
        self._store = store
        self._objects = objects
        self._max_bytes = max_bytes

    def begin(self, caller: Caller, new: NewUpload) -> dict[str, Any]:
        """Raises Problem 422 for a size above what this environment takes."""
        if new.bytes is not None and new.bytes > self._max_bytes:
            detail = f"A data set may have at most {self._max_bytes:,} bytes here. Upload fewer cells or genes."
            raise Problem(422, "upload_too_large", detail)
        if new.bytes is not None and new.bytes > ONE_POST:
            return self._begin_parts(caller, new.name, new.bytes)
        upload = self._record(caller, new)
        post = self._objects.presigned_post(
            upload.upload_id, least=new.bytes or 1, most=upload.max_bytes, request_id=caller.request_id
        )
        self._store.add(upload)
        return {
            "upload_id": upload.upload_id,
            "url": post.url,
            "fields": post.fields,
            "max_bytes": upload.max_bytes,
            "expires_at": _url_expiry(),
        }

    def receive(self, caller: Caller, name: str | None, body: Any, size: int) -> Upload:
        """Takes a data set that came through the gateway."""
        upload = self._record(caller, NewUpload(name=name, bytes=size))
        self._store.add(upload)
        self._objects.put(upload.upload_id, body, request_id=caller.request_id)
        return upload

    def part_urls(self, caller: Caller, upload_id: str, numbers: list[int]) -> dict[str, Any]:
        """Raises Problem 409 when the upload does not go in parts or is complete, 422 for a number that it does not have."""
        upload = self.owned(caller, upload_id)
        multipart_id, part_bytes, parts, total = _multipart(upload)
        if max(numbers) > parts:
            raise Problem(422, "no_such_part", f"This upload has the parts 1 to {parts}.")
        if self._objects.parts(upload_id, multipart_id) is None:
            raise Problem(409, "upload_complete", "This upload is complete.")
        urls = [
            {
                "number": number,
                "url": self._objects.part_url(upload_id, multipart_id, number, _part_length(number, part_bytes, total)),
            }
            for number in sorted(set(numbers))
        ]
        return {"upload_id": upload_id, "parts": urls, "expires_at": _url_expiry()}

    def complete(self, caller: Caller, upload_id: str, sent: list[SentPart]) -> dict[str, Any]:
        """Puts the parts together once S3 holds them all, each at its size. Completing twice is no error.

        Raises Problem 409, and leaves the parts as they are, when one is missing or of another size.
        """
        upload = self.owned(caller, upload_id)
        multipart_id, part_bytes, parts, total = _multipart(upload)
        held = self._objects.parts(upload_id, multipart_id)
        if held is None:
            if self._objects.size(upload_id) is None:
                raise Problem(409, "upload_expired", "The parts of this upload are gone. Begin a new upload.")
            return self.status(caller, upload_id)
        named = {part.number: part.etag.strip('"') for part in sent}
        expected = {number: _part_length(number, part_bytes, total) for number in range(1, parts + 1)}
        wrong = sorted(expected.keys() - {part.number for part in held if _matches(part, named, expected)})
        if wrong or named.keys() != expected.keys():
            listed = ", ".join(map(str, wrong[:20] or sorted(named.keys() ^ expected.keys())[:20]))
            raise Problem(409, "parts_incomplete", f"Send these parts again, each at its full size, and then complete: {listed}.")
        self._objects.complete_multipart(upload_id, multipart_id, sorted(held))
        return self.status(caller, upload_id)

    def status(self, caller: Caller, upload_id: str) -> dict[str, Any]:
        """An upload is its owner's only, and the administrators'."""
        upload = self.owned(caller, upload_id)
        return {"upload_id": upload_id, "state": upload.state, "code": upload.code, "detail": upload.detail}

    def owned(self, caller: Caller, upload_id: str) -> Upload:
        """Raises Problem 404, the same for what does not exist and what is someone else's."""
        upload = self._store.find(upload_id)
        if upload is None or (upload.owner != caller.principal and not caller.is_admin):
            raise Problem(404, "no_such_upload", "There is no such upload, or it is not yours.")
        return upload

    def _begin_parts(self, caller: Caller, name: str | None, size: int) -> dict[str, Any]:
        part_bytes = max(PART_BYTES, -(-size // MAX_PARTS))
        parts = -(-size // part_bytes)
        upload_id = str(ULID())
        upload = Upload(
            upload_id=upload_id,
            owner=caller.principal,
            state="pending",
            created_at=timestamp(),
            request_id=caller.request_id,
            max_bytes=size,
            name=name,
            bytes=size,
            multipart_id=self._objects.start_multipart(upload_id, request_id=caller.request_id),
            part_bytes=part_bytes,
            parts=parts,
        )
        self._store.add(upload)
        return {"upload_id": upload_id, "part_bytes": part_bytes, "parts": parts, "expires_at": _url_expiry()}

    def _record(self, caller: Caller, new: NewUpload) -> Upload:
        return Upload(
            upload_id=str(ULID()),
            owner=caller.principal,
            state="pending",
            created_at=timestamp(),
            request_id=caller.request_id,
            max_bytes=new.bytes or min(self._max_bytes, LARGEST_POST),
            name=new.name,
            bytes=new.bytes,
        )


def _multipart(upload: Upload) -> tuple[str, int, int, int]:
    if upload.multipart_id is None or upload.part_bytes is None or upload.parts is None or upload.bytes is None:
        raise Problem(409, "not_in_parts", "This upload goes in one POST, not in parts.")
    return upload.multipart_id, upload.part_bytes, upload.parts, upload.bytes


def _part_length(number: int, part_bytes: int, total: int) -> int:
    return min(part_bytes, total - (number - 1) * part_bytes)


def _matches(part: Part, named: dict[int, str], expected: dict[int, int]) -> bool:
    return part.bytes == expected.get(part.number) and part.etag == named.get(part.number)


def _url_expiry() -> str:
    return (datetime.now(UTC) + timedelta(seconds=URL_SECONDS)).isoformat(timespec="seconds").replace("+00:00", "Z")
