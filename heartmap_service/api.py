"""The HTTP API. ``python -m heartmap_service.api`` serves it over TLS in one process; the contract of its routes is the access
policy's.

The routes do their work in FastAPI's threads, except ``GET /`` and ``GET /health``, which answer whatever the others do.
"""

import asyncio
import hashlib
import tempfile
import threading
import time
from importlib.metadata import version
from typing import Annotated, Any

import structlog
import uvicorn
from botocore.exceptions import BotoCoreError, ClientError
from fastapi import Body, Depends, FastAPI, File, Form, Header, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from heartmap_service import analyses, audit, etags, idempotency, server
from heartmap_service.analyses import AnalysisRequest, AnalysisService, NewAnalysis, Submitted
from heartmap_service.awake import keep_awake
from heartmap_service.catalogue import DEFAULT_TYPE, PIPELINES
from heartmap_service.clients import Clients, connect
from heartmap_service.configuration import ConfigChange, ConfigStore, PipelineConfig
from heartmap_service.content_digest import ContentDigest
from heartmap_service.estimate import Estimator
from heartmap_service.etags import ETags
from heartmap_service.hdf5_signature import is_hdf5
from heartmap_service.idempotency import Idempotency
from heartmap_service.identity import Caller, FromAssertion, Gate, IdentitySource
from heartmap_service.job_store import JobStore
from heartmap_service.log import configure
from heartmap_service.pagination import MOST, Cursor, Limit
from heartmap_service.problems import AUDIT, Problem, invalid, respond
from heartmap_service.queue import Queue
from heartmap_service.quotas import Quotas
from heartmap_service.records import Analysis, Visibility
from heartmap_service.settings import ApiSettings, load
from heartmap_service.storage import Results, Uploads
from heartmap_service.time_limits import TimeLimits
from heartmap_service.upload_store import UploadStore
from heartmap_service.uploads import NewUpload, PartNumbers, SentParts, UploadService
from heartmap_service.visibility import NewVisibility

ANALYZE_SECONDS = 24.0
"""How long POST /analyze waits for its result: the answer is due within 25, and API Gateway gives up after 29."""
ANALYZE_POLL = 0.5

_log = structlog.get_logger()


def create_app(settings: ApiSettings, clients: Clients) -> Gate:
    """The application behind its gate."""
    store = JobStore(clients.dynamodb, settings.jobs_table)
    objects = Uploads(clients.s3, settings.uploads_bucket)
    config = ConfigStore(clients.dynamodb, settings.config_table)
    queue = Queue(clients.sqs, settings.queue_url)
    app = routed()
    app.state.config = config
    quotas = Quotas(
        queued_jobs=settings.quota_queued_jobs,
        jobs_per_day=settings.quota_jobs_per_day,
        upload_bytes_per_day=settings.quota_upload_bytes_per_day,
    )
    jobs = AnalysisService(
        store,
        config,
        objects,
        Results(clients.s3, settings.results_bucket),
        queue,
        quotas=quotas,
        estimator=Estimator(settings.worker_cpu, settings.worker_memory),
        job_memory_bytes=settings.job_memory_bytes,
    )
    app.state.analyses = jobs
    app.state.uploads = UploadService(
        UploadStore(clients.dynamodb, settings.jobs_table),
        objects,
        queue,
        quotas=quotas,
        max_bytes=settings.max_upload_bytes,
        # Other people's uploads and results are in these.
        sources=settings.import_buckets - {settings.uploads_bucket, settings.results_bucket},
        estimates=jobs.estimates,
    )
    # Around the whole application: FastAPI's own middleware would stand inside its handler of unforeseen errors.
    behind = TimeLimits(ContentDigest(ETags(app)))
    if settings.identity == "direct":
        return Gate(behind, identity=_direct(settings), internal_host=settings.internal_host, stage=None)
    identity = FromAssertion(settings.assertion_keys or {})
    return Gate(behind, identity=identity, internal_host=settings.internal_host, stage=settings.stage)


def routed() -> FastAPI:
    """The routes, with nothing behind them yet."""
    app = FastAPI(
        title="HeartMAP",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    _add_error_handlers(app)
    _add_routes(app)
    return app


def _direct(settings: ApiSettings) -> IdentitySource:
    # Behind API Gateway nothing of the authorizer's core has to be there.
    from heartmap_service import direct_identity

    return direct_identity.DirectIdentity(
        direct_identity.configured(), region=settings.region, trusted_proxies=settings.trusted_proxies
    )


def _caller(request: Request) -> Caller:
    return request.state.caller


def _record(request: Request) -> audit.Call:
    return getattr(request.state, AUDIT)


def _uploads(request: Request) -> UploadService:
    return request.app.state.uploads


def _analyses(request: Request) -> AnalysisService:
    return request.app.state.analyses


def _config(request: Request) -> ConfigStore:
    return request.app.state.config


As = Annotated[Caller, Depends(_caller)]
Recorded = Annotated[audit.Call, Depends(_record)]
"""The audit record of the call: what is written into it before the answer leaves is found again."""
UploadsUsed = Annotated[UploadService, Depends(_uploads)]
AnalysesUsed = Annotated[AnalysisService, Depends(_analyses)]
ConfigUsed = Annotated[ConfigStore, Depends(_config)]
IdempotencyKey = Annotated[str | None, Header(alias=idempotency.HEADER)]
IfMatch = Annotated[str | None, Header(max_length=256)]


def _add_routes(app: FastAPI) -> None:
    app.get("/")(root)
    app.get("/health")(health)
    app.get("/models")(models)
    app.get("/config")(read_config)
    app.post("/config")(change_config)
    app.get("/config/versions")(list_config_versions)
    app.get("/uploads")(list_uploads)
    app.post("/uploads", status_code=201)(begin_upload)
    app.get("/uploads/{upload_id}")(show_upload)
    app.patch("/uploads/{upload_id}")(change_upload_visibility)
    app.post("/uploads/{upload_id}/parts")(upload_parts)
    app.post("/uploads/{upload_id}/complete")(complete_upload)
    app.post("/analyses", status_code=202)(submit_analysis)
    app.get("/analyses")(list_analyses)
    app.get("/analyses/{analysis_id}")(show_analysis)
    app.get("/analyses/{analysis_id}/results")(show_results)
    app.patch("/analyses/{analysis_id}")(change_visibility)
    app.delete("/analyses/{analysis_id}")(cancel_analysis)
    app.post("/analyze")(analyze)


async def root() -> dict[str, str]:
    return {"message": "HeartMAP API", "version": version("heartmap")}


async def health() -> dict[str, str]:
    return {"status": "healthy"}


def models() -> dict[str, Any]:
    """The pipelines, each with the options that act on it."""
    schema = PipelineConfig.model_json_schema()["properties"]
    return {
        "models": [
            {
                "name": name,
                "title": pipeline.title,
                "description": pipeline.description,
                "needs": pipeline.needs,
                "options": {option: _option(schema[option]) for option in pipeline.options},
                "produces": list(pipeline.produces),
                "left_out": [{"what": item.what, "why": item.why} for item in pipeline.left_out],
            }
            for name, pipeline in PIPELINES.items()
        ]
    }


def read_config(config: ConfigUsed, response: Response) -> dict[str, Any]:
    """The configuration, with its version as its tag."""
    current = config.current()
    response.headers[etags.HEADER] = current.etag
    return current.model_dump()


def change_config(
    change: ConfigChange,
    caller: As,
    config: ConfigUsed,
    record: Recorded,
    response: Response,
    if_match: Annotated[str | None, Header(max_length=256)] = None,
) -> dict[str, Any]:
    """Changes the fields given and leaves the others, or brings the values of a version back."""
    changed = config.change(change, principal=caller.principal, request_id=caller.request_id, if_match=if_match)
    record.changes, record.config_version = changed.names, changed.version.version
    response.headers[etags.HEADER] = changed.version.etag
    return changed.version.model_dump()


def list_config_versions(config: ConfigUsed, limit: Limit = MOST, cursor: Cursor = None) -> dict[str, Any]:
    """Who changed what, when and in which call, the newest first."""
    return config.versions(limit=limit, cursor=cursor)


def list_uploads(caller: As, uploads: UploadsUsed, limit: Limit = MOST, cursor: Cursor = None) -> dict[str, Any]:
    """The uploads that the caller may see, newest first. A page may hold fewer than ``limit``, and more may follow."""
    return uploads.visible(caller, limit=limit, cursor=cursor)


def begin_upload(
    caller: As,
    uploads: UploadsUsed,
    record: Recorded,
    response: Response,
    new: Annotated[NewUpload | None, Body()] = None,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Permission to send a data set straight to S3, or, with ``source``, to have it copied from where it is."""
    asked = new or NewUpload()
    begun = uploads.begin(caller, asked, idempotency.of_call(caller.principal, idempotency_key, "POST /uploads", asked))
    record.resource, record.visibility = begun.ticket["upload_id"], _in_a_word(asked.visibility)
    record.reason = audit.REPLAYED if begun.replayed else audit.DONE
    response.headers.update(idempotency.REPLAYED if begun.replayed else {})
    return begun.ticket


def show_upload(upload_id: str, caller: As, uploads: UploadsUsed, response: Response) -> dict[str, Any]:
    """What became of an upload, what it holds, and what analysing it would take."""
    return _tagged(response, uploads.document(caller, uploads.find(caller, upload_id)))


def change_upload_visibility(
    upload_id: str,
    new: NewVisibility,
    caller: As,
    uploads: UploadsUsed,
    record: Recorded,
    response: Response,
    if_match: IfMatch = None,
) -> dict[str, Any]:
    """Who may see an upload and analyse it."""
    record.visibility = _in_a_word(new.visibility)
    return _tagged(response, uploads.set_visibility(caller, upload_id, new.visibility, if_match=if_match))


def upload_parts(upload_id: str, wanted: PartNumbers, caller: As, uploads: UploadsUsed) -> dict[str, Any]:
    """URLs to PUT parts to, again for a part that has to be sent again."""
    return uploads.part_urls(caller, upload_id, wanted.numbers)


def complete_upload(upload_id: str, sent: SentParts, caller: As, uploads: UploadsUsed) -> dict[str, Any]:
    """Makes one object of the parts."""
    return uploads.complete(caller, upload_id, sent.parts)


def submit_analysis(
    new: NewAnalysis,
    caller: As,
    uploads: UploadsUsed,
    jobs: AnalysesUsed,
    record: Recorded,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Queues an analysis of an upload that the caller may see."""
    record.upload_id = new.upload_id
    call = idempotency.of_call(caller.principal, idempotency_key, "POST /analyses", new)
    submitted = jobs.earlier(call) or jobs.submit(caller, uploads.find(caller, new.upload_id), new, call)
    _note_analysis(submitted, record)
    response.headers.update(idempotency.REPLAYED if submitted.replayed else {})
    analysis = submitted.analysis
    return {"analysis_id": analysis.analysis_id, "state": analysis.state, "estimate": analysis.estimate}


def list_analyses(caller: As, jobs: AnalysesUsed, limit: Limit = MOST, cursor: Cursor = None) -> dict[str, Any]:
    """The analyses that the caller may see, newest first. A page may hold fewer than ``limit``, and more may follow."""
    return jobs.visible(caller, limit=limit, cursor=cursor)


def show_analysis(analysis_id: str, caller: As, jobs: AnalysesUsed, response: Response) -> dict[str, Any]:
    """How far an analysis is, and what it runs with."""
    return _tagged(response, jobs.document(jobs.find(caller, analysis_id)))


def show_results(analysis_id: str, caller: As, jobs: AnalysesUsed, record: Recorded) -> dict[str, Any]:
    """The files, each with a URL that holds for some minutes, and the summary."""
    results = jobs.results(caller, analysis_id)
    record.results(results["files"])
    return results


def change_visibility(
    analysis_id: str,
    new: NewVisibility,
    caller: As,
    jobs: AnalysesUsed,
    record: Recorded,
    response: Response,
    if_match: IfMatch = None,
) -> dict[str, Any]:
    """Who may see an analysis."""
    record.visibility = _in_a_word(new.visibility)
    return _tagged(response, jobs.set_visibility(caller, analysis_id, new.visibility, if_match=if_match))


def cancel_analysis(analysis_id: str, caller: As, jobs: AnalysesUsed) -> dict[str, Any]:
    return jobs.cancel(caller, analysis_id)


async def analyze(
    caller: As,
    uploads: UploadsUsed,
    jobs: AnalysesUsed,
    record: Recorded,
    file: Annotated[UploadFile, File()],
    request: Annotated[str | None, Form()] = None,
    analysis_type: Annotated[str | None, Form(max_length=64)] = None,
    idempotency_key: IdempotencyKey = None,
) -> JSONResponse:
    """HeartMAP's own call: a data set in, and its result, or 202 when that takes longer than ANALYZE_SECONDS.

    ``request`` is HeartMAP's AnalysisRequest as JSON; ``analysis_type`` by itself is for those who need no more of it.
    """
    deadline = time.monotonic() + ANALYZE_SECONDS
    asked = _analysis_request(request, analysis_type)
    analyses.known_type(asked.analysis_type)
    if not is_hdf5(file.file):
        raise Problem(422, "not_hdf5", "The file is not HDF5. Save the AnnData object with write_h5ad and send that file.")
    call = await run_in_threadpool(_analyze_call, caller, idempotency_key, asked, file)
    submitted = await run_in_threadpool(_submit_file, caller, uploads, jobs, asked, file, call)
    _note_analysis(submitted, record)
    analysis = submitted.analysis
    while analysis.state in ("queued", "running") and time.monotonic() < deadline:
        await asyncio.sleep(ANALYZE_POLL)
        analysis = await run_in_threadpool(jobs.find, caller, analysis.analysis_id)
    answer = await run_in_threadpool(_analyze_answer, caller, jobs, analysis, record)
    answer.headers.update(idempotency.REPLAYED if submitted.replayed else {})
    return answer


def _analyze_call(caller: Caller, key: str | None, asked: AnalysisRequest, file: UploadFile) -> Idempotency | None:
    if key is None:
        return None
    digest = hashlib.file_digest(file.file, "sha256").hexdigest()  # pyright: ignore[reportArgumentType]  # it is one
    return idempotency.of_call(caller.principal, key, "POST /analyze", [asked, digest])


def _submit_file(
    caller: Caller,
    uploads: UploadService,
    jobs: AnalysisService,
    asked: AnalysisRequest,
    file: UploadFile,
    call: Idempotency | None,
) -> Submitted:
    if earlier := jobs.earlier(call):
        return earlier
    size = file.file.seek(0, 2)
    file.file.seek(0)
    name = (file.filename or "").strip()[:255]
    upload = uploads.receive(
        caller, name if name.isprintable() and name else None, file.file, size, call.part("upload") if call else None
    )
    new = NewAnalysis(upload_id=upload.upload_id, analysis_type=asked.analysis_type, options=asked.config_overrides or {})
    return jobs.submit(caller, upload, new, call)


def _analysis_request(text: str | None, analysis_type: str | None) -> AnalysisRequest:
    if text is None:
        return AnalysisRequest(analysis_type=analysis_type or DEFAULT_TYPE)
    if analysis_type is not None:
        raise Problem(422, "invalid_request", "Send analysis_type or request, which holds it, but not both.")
    try:
        return AnalysisRequest.model_validate_json(text)
    except ValidationError as error:
        raise invalid([{**item, "loc": ("request", *item["loc"])} for item in error.errors()]) from None


def _analyze_answer(caller: Caller, jobs: AnalysisService, analysis: Analysis, record: audit.Call) -> JSONResponse:
    """In the shape of HeartMAP's AnalysisResponse, with ``analysis_id`` and ``state`` added."""
    known = {"analysis_id": analysis.analysis_id, "state": analysis.state}
    if analysis.state in ("queued", "running"):
        where = f"/analyses/{analysis.analysis_id}"
        document = {"status": "running", "message": f"The analysis goes on. Ask GET {where} for it.", **known}
        return JSONResponse(document, 202, {"Location": where, "Retry-After": "5"})
    if analysis.state != "succeeded":
        code = analysis.code or analysis.state
        status = 409 if analysis.state == "cancelled" else 500 if code in analyses.OUR_FAULT else 422
        raise Problem(status, code, analysis.detail or f"The analysis was {analysis.state}.")
    results = jobs.results(caller, analysis.analysis_id)
    record.results(results["files"])
    document = {
        "status": "success",
        "message": "Analysis completed successfully",
        "results": {"summary": {"n_cells": results["summary"].get("cells"), "analysis_completed": True, **results["summary"]}},
        "output_files": [file["url"] for file in results["files"]],
        **known,
    }
    return JSONResponse(document)


def _note_analysis(submitted: Submitted, record: audit.Call) -> None:
    analysis = submitted.analysis
    record.resource, record.upload_id = analysis.analysis_id, analysis.upload_id
    record.analysis_type, record.config_version = analysis.analysis_type, analysis.config_version
    record.reason = audit.REPLAYED if submitted.replayed else audit.DONE


def _in_a_word(visibility: Visibility) -> str:
    """Whom it names is in the record of the upload or the analysis."""
    return visibility if isinstance(visibility, str) else "listed"


def _tagged(response: Response, document: dict[str, Any]) -> dict[str, Any]:
    """A document that a later change may be conditional on."""
    response.headers[etags.HEADER] = etags.etag_of(document)
    return document


def _option(schema: dict[str, Any]) -> dict[str, Any]:
    alternatives = schema.get("anyOf", [schema])
    ranged = alternatives[0]
    return {
        "type": ranged["type"],
        "minimum": ranged.get("minimum"),
        "maximum": ranged.get("maximum"),
        "nullable": len(alternatives) > 1,
        "default": schema.get("default"),
        "description": schema["description"],
    }


def _add_error_handlers(app: FastAPI) -> None:
    def answer(request: Request, problem: Problem) -> JSONResponse:
        return respond(problem, request.state.caller.request_id)

    @app.exception_handler(RequestValidationError)
    async def invalid_request(request: Request, error: RequestValidationError) -> JSONResponse:
        return answer(request, invalid(error.errors()))

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        if isinstance(error, Problem):
            return answer(request, error)
        # Starlette's and FastAPI's own: a body that cannot be parsed, mostly.
        return answer(
            request, Problem(error.status_code, "bad_request", "The request could not be read. Check its body and Content-Type.")
        )

    @app.exception_handler(BotoCoreError)
    @app.exception_handler(ClientError)
    async def aws_error(request: Request, error: Exception) -> JSONResponse:
        _log.error("AWS refused or failed", exc_info=error)
        problem = Problem(
            503, "unavailable", "A service behind this one did not answer. Try again.", headers={"Retry-After": "5"}
        )
        return answer(request, problem)

    @app.exception_handler(Exception)
    async def our_fault(request: Request, error: Exception) -> JSONResponse:
        _log.error("call failed", exc_info=error)
        return answer(request, Problem(500, "internal", "The service failed. Tell an administrator the request_id."))


def main() -> None:
    """Serves until SIGTERM, then ends the calls in hand."""
    settings = load(ApiSettings)
    configure("api", settings.log_level)
    # Bodies above 1 MB are spooled to a file; the root file system is read-only.
    tempfile.tempdir = str(settings.scratch_dir)
    clients, stop = connect(settings), threading.Event()
    app = create_app(settings, clients)
    config = server.listening(app, settings)
    # A daemon: a call that hangs must not keep the process from ending.
    threading.Thread(target=keep_awake, args=(clients.sqs, settings.queue_url, stop), daemon=True).start()
    uvicorn.Server(config).run()
    stop.set()


if __name__ == "__main__":
    main()
