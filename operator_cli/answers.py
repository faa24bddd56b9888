"""What the service answers, as far as this program uses it; more fields than these are let through, and states that it does not
know are shown as they are: the service may be newer.

Errors are problem documents (RFC 9457) with `code` and `request_id`.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

# ULIDs: https://github.com/ulid/spec
ULID_PATTERN = r"[0-7][0-9A-HJKMNP-TV-Z]{25}"

Ulid = Annotated[str, StringConstraints(pattern=rf"^{ULID_PATTERN}$")]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="allow")

    def document(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


class FieldFault(_Answer):
    field: str
    rule: str


class Problem(_Answer):
    title: str | None = None
    detail: str | None = None
    code: str | None = None
    reason: str | None = None
    request_id: str | None = None
    errors: list[FieldFault] = []


class Estimate(_Answer):
    """What an analysis will take: ``memory_bytes`` of address space, ``seconds`` of a worker, and their price."""

    memory_bytes: int
    seconds: int
    usd: float


class UploadTicket(_Answer):
    """How to send a data set: one form (`url`, `fields`), or, for a large one, parts. A copy has neither."""

    upload_id: Ulid
    url: str | None = None
    fields: dict[str, str] | None = None
    max_bytes: int | None = None
    part_bytes: int | None = Field(default=None, gt=0)
    parts: int | None = Field(default=None, gt=0)


class PartAddress(_Answer):
    number: int
    url: str


class PartAddresses(_Answer):
    parts: list[PartAddress]


class UploadState(_Answer):
    upload_id: Ulid
    state: str
    code: str | None = None
    detail: str | None = None
    name: str | None = None
    visibility: str | list[str] | None = None
    created_at: str | None = None
    estimates: dict[str, Estimate] = {}


class Uploads(_Answer):
    uploads: list[UploadState]
    next_cursor: str | None = None


class JobError(_Answer):
    code: str | None = None
    detail: str | None = None


class Analysis(_Answer):
    """``position`` is how many are to be started before a queued one, where that is few enough to be counted."""

    analysis_id: Ulid
    state: str
    stage: str | None = None
    progress: float | None = None
    error: JobError | None = None
    estimate: Estimate | None = None
    analysis_type: str | None = None
    owner: str | None = None
    visibility: str | list[str] | None = None
    created_at: str | None = None
    finished_at: str | None = None
    position: int | None = None

    @property
    def ended(self) -> bool:
        """Also of a state that only a newer service knows."""
        return self.state in ("succeeded", "failed", "cancelled") or self.finished_at is not None


class Analyses(_Answer):
    analyses: list[Analysis]
    next_cursor: str | None = None


class Configuration(_Answer):
    """The pipelines' configuration as it stands. Version 0 is HeartMAP's own."""

    version: int
    config: dict[str, Any] = {}
    changed_by: str | None = None
    changed_at: str | None = None


class FieldChange(BaseModel):
    model_config = ConfigDict(extra="allow", populate_by_name=True)

    field: str
    before: Any = Field(default=None, alias="from")
    after: Any = Field(default=None, alias="to")


class ConfigVersion(_Answer):
    version: int
    changed_by: str | None = None
    changed_at: str | None = None
    changes: list[FieldChange] = []
    restored_from: int | None = None

    def document(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True)


class ConfigVersions(_Answer):
    versions: list[ConfigVersion]
    next_cursor: str | None = None


class ResultFile(_Answer):
    name: str
    bytes: int = Field(ge=0)
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    url: str


class Results(_Answer):
    files: list[ResultFile]
    summary: dict[str, Any] = {}


class KeyRecord(_Answer):
    """An API key, without its secret. Times are in seconds since the epoch.

    What is not known of a key that was not made by `POST /keys` is None, its name for one; an end that is None never comes.
    """

    key_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{8,32}$")]
    name: str | None = None
    scopes: list[str]
    source_ranges: list[str] = []
    signed: bool
    expires_at: int | None = None
    revoked_at: int | None = None
    replaced_by: str | None = None
    last_used_at: int | None = None


class NewKey(KeyRecord):
    """With the key itself, which no later answer holds."""

    key: str = Field(repr=False)


class KeyRecords(_Answer):
    keys: list[KeyRecord]
