"""What the API answers, as models: for the OpenAPI document, and for the tests that hold the answers against it.

A member that is MAYBE is not always there. The answers themselves are made where their facts are.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from heartmap_service.catalogue import AnalysisType
from heartmap_service.configuration import FieldChange, PipelineConfig
from heartmap_service.queue import ULID_PATTERN
from heartmap_service.records import AnalysisState, UploadState

Id = Annotated[str, Field(pattern=f"^{ULID_PATTERN}$", description="A ULID.")]
When = Annotated[str, Field(description="ISO 8601, in UTC.")]
Visible = Annotated[
    Literal["private", "shared"] | list[str],
    Field(description="private; shared, with whoever may read analyses; or with the principals that are listed."),
]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Cursor = Annotated[str, Field(description="For the next page; not there on the last.")]


def _sometimes(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


MAYBE: Any = Field(default=None, json_schema_extra=_sometimes)


class FieldError(BaseModel):
    field: str
    rule: str


class ProblemDocument(BaseModel):
    """RFC 9457. ``code`` is for programs and stays as it is; ``detail`` is for people."""

    type: Literal["about:blank"]
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldError] = MAYBE


class Root(BaseModel):
    message: str
    version: Annotated[str, Field(description="HeartMAP's.")]


class Health(BaseModel):
    status: Literal["healthy"]


class Option(BaseModel):
    type: str
    minimum: float | None
    maximum: float | None
    nullable: bool
    default: float | None
    description: str


class LeftOut(BaseModel):
    what: str
    why: str


class Model(BaseModel):
    name: AnalysisType
    title: str
    description: str
    needs: str
    options: dict[str, Option]
    produces: list[str]
    left_out: list[LeftOut]


class Models(BaseModel):
    models: list[Model]


class Configuration(BaseModel):
    version: Annotated[int, Field(ge=0, description="0: HeartMAP's own values, written by nobody.")]
    config: PipelineConfig
    changed_by: str | None
    changed_at: When | None


class Version(BaseModel):
    version: Annotated[int, Field(ge=1)]
    changed_by: str
    changed_at: When
    request_id: str | None
    changes: list[FieldChange]
    restored_from: int | None


class Versions(BaseModel):
    versions: list[Version]
    next_cursor: Cursor = MAYBE


class Estimate(BaseModel):
    memory_bytes: int
    seconds: int
    usd: float


class UploadTicket(BaseModel):
    """One POST of a form: ``url`` with ``fields``. In parts: ``parts`` of ``part_bytes`` each. A copy: neither."""

    upload_id: Id
    state: UploadState = MAYBE
    url: str = MAYBE
    fields: dict[str, str] = MAYBE
    max_bytes: int = MAYBE
    part_bytes: int = MAYBE
    parts: int = MAYBE
    expires_at: When = MAYBE


class UploadOverview(BaseModel):
    """``code`` and ``detail`` say why an upload was rejected."""

    upload_id: Id
    state: UploadState
    code: str | None
    detail: str | None
    name: str | None
    bytes: int | None
    owner: str
    visibility: Visible
    created_at: When
    expires_at: When | None


class Dataset(BaseModel):
    """What the check found."""

    cells: int
    genes: int
    values: int = MAYBE
    sparse: bool = MAYBE
    counts: bool = MAYBE
    declared_bytes: int = MAYBE


class Upload(UploadOverview):
    """``estimates`` is what each type of analysis takes with its default options; ``source`` where a copy came from; the last
    three are of an upload in parts."""

    dataset: Dataset = MAYBE
    estimates: dict[AnalysisType, Estimate] = MAYBE
    source: str = MAYBE
    part_bytes: int = MAYBE
    parts: int = MAYBE
    parts_received: list[int] = MAYBE


class Uploads(BaseModel):
    uploads: list[UploadOverview]
    next_cursor: Cursor = MAYBE


class PartUrl(BaseModel):
    number: int
    url: str


class PartUrls(BaseModel):
    upload_id: Id
    parts: list[PartUrl]
    expires_at: When


class Submitted(BaseModel):
    analysis_id: Id
    state: AnalysisState
    estimate: Estimate | None


class AnalysisError(BaseModel):
    code: str
    detail: str | None


class Overview(BaseModel):
    analysis_id: Id
    state: AnalysisState
    stage: str
    progress: Annotated[float, Field(ge=0, le=1)]
    error: AnalysisError | None
    analysis_type: AnalysisType
    owner: str
    visibility: Visible
    created_at: When
    finished_at: When | None


class Overviews(BaseModel):
    analyses: list[Overview]
    next_cursor: Cursor = MAYBE


class Analysis(Overview):
    """``options`` are those of the request, over the configuration of ``config_version``. ``position``, of what is queued: how
    many are to be started before it, where these are few."""

    upload_id: Id
    options: dict[str, Any]
    config_version: int
    started_at: When | None
    attempt: int
    estimate: Estimate | None
    position: Annotated[int, Field(ge=0)] = MAYBE


class ResultFile(BaseModel):
    name: str
    bytes: int
    sha256: Sha256
    url: Annotated[str, Field(description="Presigned, for some minutes.")]


class Results(BaseModel):
    analysis_id: Id
    files: list[ResultFile]
    summary: dict[str, Any]


class Cancelled(BaseModel):
    analysis_id: Id
    state: Literal["cancelled"]


class AnalyzeAnswer(BaseModel):
    """HeartMAP's own AnalysisResponse, with the analysis that it came to."""

    status: Literal["success", "running"]
    message: str
    results: dict[str, Any] = MAYBE
    output_files: list[str] = MAYBE
    analysis_id: Id
    state: AnalysisState
