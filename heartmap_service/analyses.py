"""Analyses: submitted to the queue, listed and shown to whoever may see them, cancelled, and their results handed out by
presigned URL."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, cast

import structlog
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ulid import ULID

from heartmap_service.catalogue import ANALYSIS_TYPES, DEFAULT_TYPE, PIPELINES, AnalysisType
from heartmap_service.configuration import ConfigStore, PipelineConfig
from heartmap_service.estimate import Estimator, advice, refusal
from heartmap_service.etags import etag_of, require_match
from heartmap_service.idempotency import AlreadyMade, Idempotency
from heartmap_service.identity import Caller
from heartmap_service.job_store import JobStore, TokenVoid
from heartmap_service.pagination import decode, encode
from heartmap_service.problems import Problem, field_errors
from heartmap_service.queue import ULID_PATTERN, Queue
from heartmap_service.quotas import QuotaExceeded, Quotas
from heartmap_service.records import Analysis, Upload, Visibility, timestamp
from heartmap_service.storage import Results, Uploads
from heartmap_service.visibility import VisibilityField, is_in_charge, lists_of, may_see, normal

LIST = "analyses"
"""What cursors call the list of analyses."""
COUNTED = 1000
"""How far the analyses before a queued one are counted."""

OUR_FAULT = frozenset({"internal", "queue_unavailable", "crashed"})
"""Codes of failures that no other data set would mend."""

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


class Submitted(NamedTuple):
    """``replayed``: an earlier call with the same key submitted it."""

    analysis: Analysis
    replayed: bool


class AnalysisService:
    """``job_memory_bytes`` is the address space that one analysis may use."""

    def __init__(
        self,
        store: JobStore,
        config: ConfigStore,
        uploads: Uploads,
        results: Results,
        queue: Queue,
        *,
        quotas: Quotas,
        estimator: Estimator,
        job_memory_bytes: int,
    ) -> None:
        self._store = store
        self._config = config
        self._uploads = uploads
        self._results = results
        self._queue = queue
        self._quotas = quotas
        self._estimator = estimator
        self._job_memory_bytes = job_memory_bytes

    def earlier(self, call: Idempotency | None) -> Submitted | None:
        """What an earlier call with the same key submitted. Raises Problem 422 when that call asked for something else."""
        made_id = self._store.made(call) if call else None
        analysis = self._store.analysis(made_id) if made_id else None
        return Submitted(analysis, replayed=True) if analysis else None

    def submit(self, caller: Caller, upload: Upload, new: NewAnalysis, call: Idempotency | None = None) -> Submitted:
        """Queues the analysis of an upload that the caller may see.

        Raises Problem 422 for an unknown type or option and for what cannot fit, 409 with the scan's code for a rejected
        upload, 409 upload_incomplete while its object is missing, QuotaExceeded, 503 when the queue does not take it.
        """
        analysis_type = known_type(new.analysis_type)
        current = self._config.current()
        config = _with_options(current.config, analysis_type, new.options).model_dump()
        if upload.state == "rejected":
            raise Problem(409, upload.code or "rejected", f"This upload was rejected: {upload.detail}")
        if self._uploads.size(upload.upload_id) is None:
            raise Problem(409, "upload_incomplete", "The data set has not arrived. Finish the upload first.")
        estimate = self._fitting(analysis_type, config, upload.dataset)
        analysis = Analysis(
            analysis_id=str(ULID()),
            upload_id=upload.upload_id,
            owner=caller.principal,
            visibility=normal(new.visibility),
            analysis_type=analysis_type,
            options=new.options,
            config_version=current.version,
            config=config,
            state="queued",
            created_at=timestamp(),
            request_id=caller.request_id,
            estimate=estimate,
        )
        try:
            self._store.check_quota(caller.principal, self._quotas)
        except QuotaExceeded:
            # It may be this very call, made at the same moment, that took the last of it.
            if earlier := self.earlier(call):
                return earlier
            raise
        return self._queued(analysis, call)

    def estimates(self, dataset: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """What each type would need for a data set, with the options that it has by itself at present."""
        config = self._config.current().config.model_dump()
        return {name: self._estimator.of(name, config, dataset)._asdict() for name in PIPELINES}

    def visible(self, caller: Caller, *, limit: int, cursor: str | None) -> dict[str, Any]:
        """A page of the analyses that the caller may see, newest first. Raises Problem 422 for a cursor that is none."""
        before = decode(LIST, cursor)
        found, after = self._store.page(lists_of(caller), limit=limit, before=before)
        # Again by the record itself: the index lags behind a change of visibility.
        page: dict[str, Any] = {"analyses": [overview(analysis) for analysis in found if may_see(caller, analysis)]}
        return page if after is None else page | {"next_cursor": encode(LIST, after)}

    def find(self, caller: Caller, analysis_id: str) -> Analysis:
        """Raises Problem 404, the same for what does not exist and what the caller may not see."""
        analysis = self._store.analysis(analysis_id)
        if analysis is None or not may_see(caller, analysis):
            raise Problem(404, "no_such_analysis", "There is no such analysis, or it is not shared with you.")
        return analysis

    def document(self, analysis: Analysis) -> dict[str, Any]:
        """An analysis by itself. ``position``: how many are to be started before it, where these are fewer than COUNTED."""
        document = detail(analysis)
        if analysis.state == "queued":
            before = self._store.queued_before(analysis, COUNTED)
            if before < COUNTED:
                document["position"] = before
        return document

    def results(self, caller: Caller, analysis_id: str) -> dict[str, Any]:
        """Files with presigned URLs, and the summary. Raises Problem 409 for an analysis that has not succeeded."""
        analysis = self.find(caller, analysis_id)
        if analysis.state != "succeeded" or analysis.files is None:
            if analysis.state == "failed":
                raise Problem(409, "analysis_failed", f"The analysis failed and has no results: {analysis.detail}")
            raise Problem(409, "no_results", f"The analysis is {analysis.state} and has no results.")
        files = [{**file, "url": self._results.url(analysis_id, analysis.attempt, file["name"])} for file in analysis.files]
        return {"analysis_id": analysis_id, "files": files, "summary": analysis.summary or {}}

    def set_visibility(
        self, caller: Caller, analysis_id: str, visibility: Visibility, *, if_match: str | None = None
    ) -> dict[str, Any]:
        """The owner alone decides who sees an analysis. Raises Problem 412 when it is not what ``if_match`` says."""
        analysis = self.find(caller, analysis_id)
        if analysis.owner != caller.principal:
            raise Problem(403, "not_the_owner", "Only its owner can change who sees an analysis.")
        if if_match is not None:
            changed = "The analysis has changed since you read it. Read it again, and decide anew."
            require_match(if_match, etag_of(self.document(analysis)), code="analysis_changed", detail=changed)
        if not self._store.set_visibility(analysis, normal(visibility)):
            raise Problem(409, "visibility_conflict", "The visibility was changed just now. Read it and try again.")
        return self.document(self.find(caller, analysis_id))

    def cancel(self, caller: Caller, analysis_id: str) -> dict[str, Any]:
        """The owner or an administrator. Cancelling what is cancelled is no error; Problem 409 when it has ended otherwise."""
        analysis = self.find(caller, analysis_id)
        if not is_in_charge(caller, analysis):
            raise Problem(403, "not_the_owner", "Only its owner or an administrator can cancel an analysis.")
        if not self._store.cancel(analysis_id):
            analysis = self.find(caller, analysis_id)
            if analysis.state != "cancelled":
                raise Problem(409, "already_ended", f"The analysis has {analysis.state} and cannot be cancelled any more.")
        return {"analysis_id": analysis_id, "state": "cancelled"}

    def _fitting(
        self, analysis_type: AnalysisType, config: Mapping[str, Any], dataset: Mapping[str, Any] | None
    ) -> dict[str, Any] | None:
        """The estimate; None for a data set that was not looked at yet. Raises Problem 422 for what cannot fit."""
        if dataset is None:
            return None
        estimated = self._estimator.of(analysis_type, config, dataset)
        if refusal(estimated, self._job_memory_bytes) is not None:
            change = advice(analysis_type, config, dataset, self._job_memory_bytes)
            code, text = refusal(estimated, self._job_memory_bytes, change) or ("", "")
            raise Problem(422, code, text)
        return estimated._asdict()

    def _queued(self, analysis: Analysis, call: Idempotency | None) -> Submitted:
        """The token first, then the record: JobStore.add_analysis says why."""
        try:
            self._queue.send(analysis.analysis_id, analysis.request_id)
            return Submitted(self._store.add_analysis(analysis, quotas=self._quotas, idempotency=call), replayed=False)
        except AlreadyMade:
            earlier = self.earlier(call)
            if earlier is None:
                raise
            return earlier
        except TokenVoid:
            _log.warning("analysis came too late for its token", analysis_id=analysis.analysis_id)
        except (BotoCoreError, ClientError):
            _log.exception("analysis not queued", analysis_id=analysis.analysis_id)
        detail = "The queue of analyses could not be reached. Try again."
        raise Problem(503, "queue_unavailable", detail, headers={"Retry-After": "5"})


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
        "estimate": analysis.estimate,
    }


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
