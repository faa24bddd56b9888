"""The rows of the jobs table as records, and back: uploads and analyses."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, TypeVar

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

UploadState = Literal["pending", "checking", "accepted", "rejected"]
AnalysisState = Literal["queued", "running", "succeeded", "failed", "cancelled"]
Visibility = str | list[str]
"""``private``, ``shared`` (whoever may read analyses), or a list of principals."""

_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize

# Documents, kept as JSON text: DynamoDB has no floats, and nothing is ever looked up inside them.
_DOCUMENTS = frozenset({"visibility", "options", "config", "files", "summary", "dataset", "estimate"})


@dataclass(frozen=True, kw_only=True)
class Upload:
    """``bytes`` is the size that was declared; ``multipart_id`` is S3's, of an upload in parts of ``part_bytes``.

    ``source`` is the S3 URI of an object that is copied instead of an upload. ``checks`` counts the checks that were begun since
    the last verdict; ``dataset`` is what that one found, scan.Facts as a document. ``expires_at`` is in seconds since the epoch.
    """

    upload_id: str
    owner: str
    state: UploadState
    created_at: str
    request_id: str
    max_bytes: int
    name: str | None = None
    bytes: int | None = None
    multipart_id: str | None = None
    part_bytes: int | None = None
    parts: int | None = None
    source: str | None = None
    visibility: Visibility = "private"
    checks: int = 0
    dataset: dict[str, Any] | None = None
    code: str | None = None
    detail: str | None = None
    expires_at: int | None = None


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """``config`` is what the pipeline runs with: the version that was current at the request, and the request's options over it.

    ``attempt`` counts claims, and is the fencing token; ``lost`` counts the attempts that ended without a word. ``turn`` is its
    place in the order in which queued analyses are started. ``estimate`` is estimate.Estimate as a document.
    """

    analysis_id: str
    upload_id: str
    owner: str
    visibility: Visibility
    analysis_type: str
    options: dict[str, Any]
    config_version: int
    config: dict[str, Any]
    state: AnalysisState
    created_at: str
    request_id: str
    stage: str = "queued"
    progress: float = 0.0
    attempt: int = 0
    lost: int = 0
    turn: int = 0
    estimate: dict[str, Any] | None = None
    lease_until: float = 0.0
    started_at: str | None = None
    finished_at: str | None = None
    code: str | None = None
    detail: str | None = None
    files: list[dict[str, Any]] | None = None
    summary: dict[str, Any] | None = None


Record = TypeVar("Record", Upload, Analysis)


def timestamp() -> str:
    """Now, in UTC, as ISO 8601 with milliseconds: sorts as text."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_value(value: Any) -> Any:
    """In DynamoDB's notation; floats as they print, which boto3 refuses to do."""
    return {"N": repr(value)} if isinstance(value, float) else _serialize(value)


def to_item(pk: str, record: Upload | Analysis) -> dict[str, Any]:
    item = {"pk": to_value(pk)}
    for field in fields(record):
        value = getattr(record, field.name)
        if value is not None:
            item[field.name] = to_value(json.dumps(value) if field.name in _DOCUMENTS else value)
    return item


def from_item(kind: type[Record], item: Mapping[str, Any]) -> Record:
    values: dict[str, Any] = {}
    for field in fields(kind):
        if field.name in item:
            value = _deserialize(item[field.name])
            if field.name in _DOCUMENTS:
                value = json.loads(value)
            elif isinstance(value, Decimal):
                value = int(value) if field.type is int or field.type == int | None else float(value)
            values[field.name] = value
    return kind(**values)
