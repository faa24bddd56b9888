"""Uploads: permission to send a data set straight to S3, in one POST or in parts that can be resumed, or to have it copied from
where it is; what became of it, and who may see and analyse it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NamedTuple

import structlog
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict, Field
from ulid import ULID

from heartmap_service.etags import etag_of, require_match
from heartmap_service.idempotency import AlreadyMade, Idempotency
from heartmap_service.identity import Caller
from heartmap_service.pagination import decode, encode
from heartmap_service.problems import Problem
from heartmap_service.queue import Queue
from heartmap_service.quotas import Quotas
from heartmap_service.records import Upload, Visibility, timestamp
from heartmap_service.settings import GIB, MIB
from heartmap_service.storage import URL_SECONDS, Part, Uploads, parse_source
from heartmap_service.upload_store import UploadStore
from heartmap_service.visibility import VisibilityField, is_in_charge, lists_of, may_see, normal

ONE_POST = 64 * MIB
"""Above this an upload goes in parts, so that a broken line costs one part only."""
LARGEST_POST = 5 * GIB
"""S3's own limit for one request."""
PART_BYTES = 16 * MIB
MAX_PARTS = 10_000
"""S3's own limit."""
LIST = "uploads"
"""What cursors call the list of uploads."""
SHOWN_FACTS = ("cells", "genes", "counts", "values", "sparse", "declared_bytes")
"""What is shown of a data set: none of the paths in its file."""

_log = structlog.get_logger()


class NewUpload(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")] | None = None
    """For people only; it names no object."""
    bytes: Annotated[int, Field(ge=1)] | None = None
    source: Annotated[str, Field(min_length=1, max_length=1100)] | None = None
    """The S3 URI of an object to copy instead; ``bytes`` is then the most that it may have."""
    visibility: VisibilityField = "private"


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


class Begun(NamedTuple):
    """The answer to a call that begins an upload. ``replayed``: an earlier call with the same key began it."""

    ticket: dict[str, Any]
    replayed: bool


class UploadService:
    """``max_bytes`` is the largest data set that this environment takes; ``sources`` are the buckets whose objects it may
    copy. ``estimates`` makes, of the facts of a data set, what each type of analysis would need."""

    def __init__(
        self,
        store: UploadStore,
        objects: Uploads,
        queue: Queue,
        *,
        quotas: Quotas,
        max_bytes: int,
        sources: frozenset[str],
        estimates: Callable[[Mapping[str, Any]], dict[str, Any]],
    ) -> None:
        self._store = store
        self._objects = objects
        self._queue = queue
        self._quotas = quotas
        # Nobody could ever send more than a day's bytes.
        self._max_bytes = min(max_bytes, quotas.upload_bytes_per_day)
        self._sources = sources
        self._estimates = estimates

    def begin(self, caller: Caller, new: NewUpload, call: Idempotency | None = None) -> Begun:
        """Lets a data set be sent, or has it copied. A repeated call gets permission for the same upload again.

        Raises Problem 422 for a size above what this environment takes and for a source that it does not, QuotaExceeded, 503
        when the queue does not take the copy, and 409 for a repeated call whose data set has arrived.
        """
        upload, replayed = self._made_once(caller, new, call)
        if upload.source is not None:
            self._have_copied(upload)
        elif replayed and upload.multipart_id is None and upload.state != "pending":
            detail = f"The data set of this call has arrived already: ask GET /uploads/{upload.upload_id}."
            raise Problem(409, "upload_arrived", detail)
        return Begun(self._ticket(upload), replayed)

    def receive(self, caller: Caller, name: str | None, body: Any, size: int, call: Idempotency | None = None) -> Upload:
        """Takes a data set that came through the gateway. Raises QuotaExceeded."""
        upload, replayed = self._made_once(caller, NewUpload(name=name, bytes=size), call)
        if not replayed or upload.state == "pending":
            self._objects.put(upload.upload_id, body, request_id=upload.request_id)
        return upload

    def part_urls(self, caller: Caller, upload_id: str, numbers: list[int]) -> dict[str, Any]:
        """Raises Problem 409 when the upload does not go in parts or is complete, 422 for a number that it does not have."""
        upload = self._in_charge(caller, upload_id)
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
        upload = self._in_charge(caller, upload_id)
        multipart_id, _, parts, _ = _multipart(upload)
        held = self._objects.parts(upload_id, multipart_id)
        if held is not None:
            named = {part.number: part.etag.strip('"') for part in sent}
            whole = {part.number for part in _whole(upload, held) if part.etag == named.get(part.number)}
            expected = set(range(1, parts + 1))
            if wrong := sorted(expected - whole) or sorted(named.keys() ^ expected):
                listed = ", ".join(map(str, wrong[:20]))
                detail = f"Send these parts again, each at its full size, and then complete: {listed}."
                raise Problem(409, "parts_incomplete", detail)
            self._objects.complete_multipart(upload_id, multipart_id, sorted(held))
        if self._objects.size(upload_id) is None:
            raise Problem(409, "upload_expired", "The parts of this upload are gone. Begin a new upload.")
        return self.document(caller, self.find(caller, upload_id))

    def find(self, caller: Caller, upload_id: str) -> Upload:
        """Raises Problem 404, the same for what does not exist and what the caller may not see."""
        upload = self._store.find(upload_id)
        if upload is None or not may_see(caller, upload):
            raise Problem(404, "no_such_upload", "There is no such upload, or it is not shared with you.")
        return upload

    def visible(self, caller: Caller, *, limit: int, cursor: str | None) -> dict[str, Any]:
        """A page of the uploads that the caller may see, newest first. Raises Problem 422 for a cursor that is none."""
        before = decode(LIST, cursor)
        found, after = self._store.page(lists_of(caller), limit=limit, before=before)
        # Again by the record itself: the index lags behind a change of visibility.
        page: dict[str, Any] = {"uploads": [overview(upload) for upload in found if may_see(caller, upload)]}
        return page if after is None else page | {"next_cursor": encode(LIST, after)}

    def set_visibility(
        self, caller: Caller, upload_id: str, visibility: Visibility, *, if_match: str | None = None
    ) -> dict[str, Any]:
        """The owner alone decides who sees an upload, and with that who may analyse it. Raises Problem 412 when it is not what
        ``if_match`` says."""
        upload = self.find(caller, upload_id)
        if upload.owner != caller.principal:
            raise Problem(403, "not_the_owner", "Only its owner can change who sees an upload.")
        if if_match is not None:
            changed = "The upload has changed since you read it. Read it again, and decide anew."
            require_match(if_match, etag_of(self.document(caller, upload)), code="upload_changed", detail=changed)
        if not self._store.set_visibility(upload, normal(visibility)):
            raise Problem(409, "visibility_conflict", "The visibility was changed just now. Read it and try again.")
        return self.document(caller, self.find(caller, upload_id))

    def document(self, caller: Caller, upload: Upload) -> dict[str, Any]:
        """An upload by itself. What only concerns who sends it is shown to those in charge of it."""
        document = overview(upload)
        if upload.dataset is not None:
            document["dataset"] = {name: upload.dataset[name] for name in SHOWN_FACTS if name in upload.dataset}
            document["estimates"] = self._estimates(upload.dataset)
        if not is_in_charge(caller, upload):
            return document
        if upload.source is not None:
            document["source"] = upload.source
        if upload.multipart_id is not None:
            document |= {"part_bytes": upload.part_bytes, "parts": upload.parts}
            held = self._objects.parts(upload.upload_id, upload.multipart_id) if upload.state == "pending" else None
            if held is not None:
                document["parts_received"] = sorted(part.number for part in _whole(upload, held))
        return document

    def _in_charge(self, caller: Caller, upload_id: str) -> Upload:
        upload = self.find(caller, upload_id)
        if not is_in_charge(caller, upload):
            raise Problem(403, "not_the_owner", "Only its owner or an administrator can go on with an upload.")
        return upload

    def _made_once(self, caller: Caller, new: NewUpload, call: Idempotency | None) -> tuple[Upload, bool]:
        """A new upload, or the one that an earlier call with the same key made, and whether it is that."""
        if earlier := self._store.made(call):
            return earlier, True
        upload = self._record(caller, new)
        try:
            return self._store.add(upload, quotas=self._quotas, idempotency=call), False
        except Problem as refused:
            if upload.multipart_id is not None:
                self._objects.abort_multipart(upload.upload_id, upload.multipart_id)
            if isinstance(refused, AlreadyMade) and (earlier := self._store.made(call)):
                return earlier, True
            raise

    def _record(self, caller: Caller, new: NewUpload) -> Upload:
        if new.bytes is not None and new.bytes > self._max_bytes:
            detail = f"A data set may have at most {self._max_bytes:,} bytes here. Upload fewer cells or genes."
            raise Problem(422, "upload_too_large", detail)
        if new.source is not None:
            self._check_source(new.source)
        upload = Upload(
            upload_id=str(ULID()),
            owner=caller.principal,
            state="pending",
            created_at=timestamp(),
            request_id=caller.request_id,
            max_bytes=new.bytes or min(self._max_bytes, LARGEST_POST),
            name=new.name,
            bytes=new.bytes,
            source=new.source,
            visibility=normal(new.visibility),
        )
        if new.source is not None or new.bytes is None or new.bytes <= ONE_POST:
            return upload
        part_bytes = max(PART_BYTES, -(-new.bytes // MAX_PARTS))
        multipart_id = self._objects.start_multipart(upload.upload_id, request_id=caller.request_id)
        return replace(upload, multipart_id=multipart_id, part_bytes=part_bytes, parts=-(-new.bytes // part_bytes))

    def _check_source(self, source: str) -> None:
        try:
            bucket = parse_source(source).bucket
        except ValueError:
            detail = "A source is written s3://BUCKET/KEY, with a key of at most 1,024 bytes that can be printed."
            raise Problem(422, "invalid_source", detail) from None
        if bucket not in self._sources:
            allowed = f"These are: {', '.join(sorted(self._sources))}." if self._sources else "There is none here."
            detail = f"Data sets are copied from the buckets that this environment allows alone. {allowed}"
            raise Problem(422, "source_not_allowed", detail)

    def _have_copied(self, upload: Upload) -> None:
        """Asks a worker for the copy, again for one that a repeated call finds undone."""
        if upload.state != "pending":
            return
        try:
            self._queue.send_copy(upload.upload_id)
        except (BotoCoreError, ClientError):
            _log.exception("queue refused a copy", upload_id=upload.upload_id)
            detail = "The queue of work could not be reached. Try again."
            raise Problem(503, "queue_unavailable", detail, headers={"Retry-After": "5"}) from None

    def _ticket(self, upload: Upload) -> dict[str, Any]:
        if upload.source is not None:
            return {"upload_id": upload.upload_id, "state": upload.state, "expires_at": _expiry(upload)}
        known = {"upload_id": upload.upload_id, "expires_at": _url_expiry()}
        if upload.multipart_id is not None:
            return known | {"part_bytes": upload.part_bytes, "parts": upload.parts}
        post = self._objects.presigned_post(
            upload.upload_id, least=upload.bytes or 1, most=upload.max_bytes, request_id=upload.request_id
        )
        return known | {"url": post.url, "fields": post.fields, "max_bytes": upload.max_bytes}


def overview(upload: Upload) -> dict[str, Any]:
    """An upload in a list."""
    return {
        "upload_id": upload.upload_id,
        "state": upload.state,
        "code": upload.code,
        "detail": upload.detail,
        "name": upload.name,
        "bytes": upload.bytes,
        "owner": upload.owner,
        "visibility": upload.visibility,
        "created_at": upload.created_at,
        "expires_at": _expiry(upload),
    }


def _multipart(upload: Upload) -> tuple[str, int, int, int]:
    if upload.multipart_id is None or upload.part_bytes is None or upload.parts is None or upload.bytes is None:
        raise Problem(409, "not_in_parts", "This upload goes in one POST, not in parts.")
    return upload.multipart_id, upload.part_bytes, upload.parts, upload.bytes


def _part_length(number: int, part_bytes: int, total: int) -> int:
    return min(part_bytes, total - (number - 1) * part_bytes)


def _whole(upload: Upload, held: list[Part]) -> list[Part]:
    """The parts that S3 holds in full."""
    _, part_bytes, parts, total = _multipart(upload)
    return [part for part in held if part.number <= parts and part.bytes == _part_length(part.number, part_bytes, total)]


def _url_expiry() -> str:
    return _in_utc(datetime.now(UTC) + timedelta(seconds=URL_SECONDS))


def _expiry(upload: Upload) -> str | None:
    return None if upload.expires_at is None else _in_utc(datetime.fromtimestamp(upload.expires_at, UTC))


def _in_utc(time: datetime) -> str:
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")
