"""Analyses: submitted to the queue, listed and shown to whoever may see them, cancelled, and their results handed out by
presigned URL."""

from typing import Annotated, Any, Literal, cast

import structlog
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError
from ulid import ULID

from heartmap_service.catalogue import ANALYSIS_TYPES, DEFAULT_TYPE, PIPELINES, AnalysisType
from heartmap_service.configuration import ConfigStore, PipelineConfig
from heartmap_service.identity import Caller
from heartmap_service.job_store import JobStore
from heartmap_service.problems import Problem, field_errors
from heartmap_service.queue import ULID_PATTERN, Queue
from heartmap_service.records import Analysis, Upload, timestamp
from heartmap_service.storage import Results, Uploads

LISTED = 100
"""Analyses in one list, the newest first."""

OUR_FAULT = frozenset({"internal", "queue_unavailable", "crashed"})
"""Codes of failures that no other data set would mend."""

Principal = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[!-~]+$")]


def _as_one_rule(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    # pydantic would name each kind of value that the field could have been, in its own notation.
    try:
        return validate(value)
    except ValidationError:
        raise PydanticCustomError("visibility", "not a visibility") from None


VisibilityField = Annotated[
    Literal["private", "shared"] | Annotated[list[Principal], Field(max_length=25)], WrapValidator(_as_one_rule)
]

_log = structlog.get_logger()


class NewAnalysis(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    upload_id: Annotated[str, Field(pattern=f"^{ULID_PATTERN}$")]
    analysis_type: Annotated[str, Field(max_length=64)] = DEFAULT_TYPE
    options: Annotated[dict[str, Any], Field(max_length=32)] = {}
    visibility: VisibilityField = "private"


class AnalysisRequest(BaseModel):
    """HeartMAP's own, of its POST /analyze. HeartMAP takes ``config_overrides`` and does not apply them; here they are options.
    Of its output formats it answers in json only."""

    model_config = ConfigDict(extra="forbid", strict=True)

    analysis_type: Annotated[str, Field(max_length=64)] = DEFAULT_TYPE
    config_overrides: Annotated[dict[str, Any], Field(max_length=32)] | None = None
    output_format: Literal["json"] = "json"


class NewVisibility(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    visibility: VisibilityField


class AnalysisService:
    def __init__(self, store: JobStore, config: ConfigStore, uploads: Uploads, results: Results, queue: Queue) -> None:
        self._store = store
        self._config = config
        self._uploads = uploads
        self._results = results
        self._queue = queue

    def submit(self, caller: Caller, upload: Upload, new: NewAnalysis) -> Analysis:
        """Queues the analysis of an upload that the caller owns.

        Raises Problem 422 for an unknown type or option, 409 with the scan's code for a rejected upload, 409 upload_incomplete
        while its object is missing, 503 when the queue does not take it.
        """
        analysis_type = known_type(new.analysis_type)
        current = self._config.current()
        config = _with_options(current.config, analysis_type, new.options)
        if upload.state == "rejected":
            raise Problem(409, upload.code or "rejected", f"This upload was rejected: {upload.detail}")
        if self._uploads.size(upload.upload_id) is None:
            raise Problem(409, "upload_incomplete", "The data set has not arrived. Finish the upload first.")
        analysis = Analysis(
            analysis_id=str(ULID()),
            upload_id=upload.upload_id,
            owner=caller.principal,
            visibility=_normal(new.visibility),
            analysis_type=analysis_type,
            options=new.options,
            config_version=current.version,
            config=config.model_dump(),
            state="queued",
            created_at=timestamp(),
            request_id=caller.request_id,
        )
        self._store.add_analysis(analysis)
        try:
            self._queue.send(analysis.analysis_id, caller.request_id)
        except (BotoCoreError, ClientError):
            _log.exception("queue refused an analysis", analysis_id=analysis.analysis_id)
            detail = "The queue of analyses could not be reached. Try again."
            self._store.abandon(analysis.analysis_id, code="queue_unavailable", detail=detail)
            raise Problem(503, "queue_unavailable", detail, headers={"Retry-After": "5"}) from None
        return analysis

    def visible(self, caller: Caller) -> list[dict[str, Any]]:
        """The newest LISTED analyses that the caller may see."""
        own = ["all"] if caller.is_admin else [f"owner#{caller.principal}", "shared", f"named#{caller.principal}"]
        found = self._store.analyses(own, LISTED)
        # Again by the record itself: the index lags behind a change of visibility.
        return [overview(analysis) for analysis in found if _may_see(caller, analysis)]

    def find(self, caller: Caller, analysis_id: str) -> Analysis:
        """Raises Problem 404, the same for what does not exist and what the caller may not see."""
        analysis = self._store.analysis(analysis_id)
        if analysis is None or not _may_see(caller, analysis):
            raise Problem(404, "no_such_analysis", "There is no such analysis, or it is not shared with you.")
        return analysis

    def results(self, caller: Caller, analysis_id: str) -> dict[str, Any]:
        """Files with presigned URLs, and the summary. Raises Problem 409 for an analysis that has not succeeded."""
        analysis = self.find(caller, analysis_id)
        if analysis.state != "succeeded" or analysis.files is None:
            if analysis.state == "failed":
                raise Problem(409, "analysis_failed", f"The analysis failed and has no results: {analysis.detail}")
            raise Problem(409, "no_results", f"The analysis is {analysis.state} and has no results.")
        files = [{**file, "url": self._results.url(analysis_id, analysis.attempt, file["name"])} for file in analysis.files]
        return {"analysis_id": analysis_id, "files": files, "summary": analysis.summary or {}}

    def set_visibility(self, caller: Caller, analysis_id: str, visibility: str | list[str]) -> dict[str, Any]:
        """The owner alone decides who sees an analysis."""
        analysis = self.find(caller, analysis_id)
        if analysis.owner != caller.principal:
            raise Problem(403, "not_the_owner", "Only its owner can change who sees an analysis.")
        if not self._store.set_visibility(analysis, _normal(visibility)):
            raise Problem(409, "visibility_conflict", "The visibility was changed just now. Read it and try again.")
        return detail(self.find(caller, analysis_id))

    def cancel(self, caller: Caller, analysis_id: str) -> dict[str, Any]:
        """The owner or an administrator. Cancelling what is cancelled is no error; Problem 409 when it has ended otherwise."""
        analysis = self.find(caller, analysis_id)
        if analysis.owner != caller.principal and not caller.is_admin:
            raise Problem(403, "not_the_owner", "Only its owner or an administrator can cancel an analysis.")
        if not self._store.cancel(analysis_id):
            analysis = self.find(caller, analysis_id)
            if analysis.state != "cancelled":
                raise Problem(409, "already_ended", f"The analysis has {analysis.state} and cannot be cancelled any more.")
        return {"analysis_id": analysis_id, "state": "cancelled"}


def overview(analysis: Analysis) -> dict[str, Any]:
    """An analysis in a list."""
    error = {"code": analysis.code, "detail": analysis.detail} if analysis.code else None
    return {
        "analysis_id": analysis.analysis_id,
        "state": analysis.state,
        "stage": analysis.stage,
        "progress": analysis.progress,
        "error": error,
        "analysis_type": analysis.analysis_type,
        "owner": analysis.owner,
        "visibility": analysis.visibility,
        "created_at": analysis.created_at,
        "finished_at": analysis.finished_at,
    }


def detail(analysis: Analysis) -> dict[str, Any]:
    """An analysis by itself."""
    return overview(analysis) | {
        "upload_id": analysis.upload_id,
        "options": analysis.options,
        "config_version": analysis.config_version,
        "started_at": analysis.started_at,
        "attempt": analysis.attempt,
    }


def _may_see(caller: Caller, analysis: Analysis) -> bool:
    named = analysis.visibility if isinstance(analysis.visibility, list) else []
    return analysis.owner == caller.principal or analysis.visibility == "shared" or caller.principal in named or caller.is_admin


def known_type(name: str) -> AnalysisType:
    """Raises Problem 422 for a name that is no pipeline's."""
    if name not in PIPELINES:
        raise Problem(422, "unknown_analysis_type", f"The analysis types are {', '.join(ANALYSIS_TYPES)}.")
    return cast(AnalysisType, name)


def _with_options(config: PipelineConfig, analysis_type: AnalysisType, options: dict[str, Any]) -> PipelineConfig:
    allowed = PIPELINES[analysis_type].options
    if unknown := sorted(options.keys() - set(allowed)):
        errors = [{"field": f"options.{name[:64]}", "rule": "is not an option of this analysis"} for name in unknown]
        acting = f"The options of {analysis_type} are {', '.join(allowed)}." if allowed else f"{analysis_type} has no options."
        raise Problem(422, "unknown_option", acting, errors=errors)
    try:
        return PipelineConfig.model_validate({**config.model_dump(), **options})
    except ValidationError as error:
        errors = [{**item, "field": f"options.{item['field']}"} for item in field_errors(error.errors())]
        first = errors[0]
        raise Problem(422, "invalid_option", f"{first['field']} {first['rule']}.", errors=errors) from None


def _normal(visibility: str | list[str]) -> str | list[str]:
    return sorted(set(visibility)) if isinstance(visibility, list) else visibility
