"""The HTTP API. ``python -m heartmap_service.api`` serves it over TLS in one process; the contract of its routes is the access
policy's.

The routes do their work in FastAPI's threads, except ``GET /`` and ``GET /health``, which answer whatever the others do.
"""

import asyncio
import tempfile
import threading
import time
from importlib.metadata import version
from typing import Annotated, Any

import structlog
import uvicorn
from botocore.exceptions import BotoCoreError, ClientError
from fastapi import Body, Depends, FastAPI, File, Form, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from heartmap_service import analyses
from heartmap_service.analyses import AnalysisRequest, AnalysisService, NewAnalysis, NewVisibility
from heartmap_service.awake import keep_awake
from heartmap_service.catalogue import DEFAULT_TYPE, PIPELINES
from heartmap_service.clients import Clients, connect
from heartmap_service.configuration import ConfigChange, ConfigStore, PipelineConfig
from heartmap_service.content_digest import ContentDigest
from heartmap_service.hdf5_signature import is_hdf5
from heartmap_service.identity import Caller, Gate
from heartmap_service.job_store import JobStore
from heartmap_service.log import configure
from heartmap_service.problems import Problem, invalid, respond
from heartmap_service.queue import Queue
from heartmap_service.records import Analysis
from heartmap_service.settings import ApiSettings, load
from heartmap_service.storage import Results, Uploads
from heartmap_service.tls import self_signed
from heartmap_service.upload_store import UploadStore
from heartmap_service.uploads import NewUpload, PartNumbers, SentParts, UploadService

ANALYZE_SECONDS = 24.0
"""How long POST /analyze waits for its result: the answer is due within 25, and API Gateway gives up after 29."""
ANALYZE_POLL = 0.5
DRAIN_SECONDS = 20
"""From SIGTERM to the end of the calls in hand. ECS kills after 30."""
KEEP_ALIVE = 75
"""Above the load balancer's idle time-out of 60 s, or it would reuse connections that this side has just closed."""

_log = structlog.get_logger()


def create_app(settings: ApiSettings, clients: Clients) -> Gate:
    """The application behind its gate."""
    store = JobStore(clients.dynamodb, settings.jobs_table)
    objects = Uploads(clients.s3, settings.uploads_bucket)
    config = ConfigStore(clients.dynamodb, settings.config_table)
    queue = Queue(clients.sqs, settings.queue_url)
    app = FastAPI(title="HeartMAP", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.config = config
    app.state.uploads = UploadService(
        UploadStore(clients.dynamodb, settings.jobs_table), objects, max_bytes=settings.max_upload_bytes
    )
    app.state.analyses = AnalysisService(store, config, objects, Results(clients.s3, settings.results_bucket), queue)
    _add_error_handlers(app)
    _add_routes(app)
    # Around the whole application: FastAPI's own middleware would stand inside its handler of unforeseen errors.
    return Gate(ContentDigest(app), keys=settings.assertion_keys, internal_host=settings.internal_host, stage=settings.stage)


def _caller(request: Request) -> Caller:
    return request.state.caller


def _uploads(request: Request) -> UploadService:
    return request.app.state.uploads


def _analyses(request: Request) -> AnalysisService:
    return request.app.state.analyses


def _config(request: Request) -> ConfigStore:
    return request.app.state.config


As = Annotated[Caller, Depends(_caller)]
UploadsUsed = Annotated[UploadService, Depends(_uploads)]
AnalysesUsed = Annotated[AnalysisService, Depends(_analyses)]
ConfigUsed = Annotated[ConfigStore, Depends(_config)]


def _add_routes(app: FastAPI) -> None:
    app.get("/")(root)
    app.get("/health")(health)
    app.get("/models")(models)
    app.get("/config")(read_config)
    app.post("/config")(change_config)
    app.post("/uploads", status_code=201)(begin_upload)
    app.get("/uploads/{upload_id}")(show_upload)
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


def read_config(config: ConfigUsed) -> dict[str, Any]:
    return config.current().model_dump()


def change_config(change: ConfigChange, caller: As, config: ConfigUsed) -> dict[str, Any]:
    """Changes the fields given and leaves the others."""
    if not change.model_fields_set:
        raise Problem(422, "nothing_to_change", f"Give at least one of {', '.join(PipelineConfig.model_fields)}.")
    return config.change(change, principal=caller.principal, request_id=caller.request_id).model_dump()


def begin_upload(caller: As, uploads: UploadsUsed, new: Annotated[NewUpload | None, Body()] = None) -> dict[str, Any]:
    return uploads.begin(caller, new or NewUpload())


def show_upload(upload_id: str, caller: As, uploads: UploadsUsed) -> dict[str, Any]:
    return uploads.status(caller, upload_id)


def upload_parts(upload_id: str, wanted: PartNumbers, caller: As, uploads: UploadsUsed) -> dict[str, Any]:
    return uploads.part_urls(caller, upload_id, wanted.numbers)


def complete_upload(upload_id: str, sent: SentParts, caller: As, uploads: UploadsUsed) -> dict[str, Any]:
    return uploads.complete(caller, upload_id, sent.parts)


def submit_analysis(new: NewAnalysis, caller: As, uploads: UploadsUsed, jobs: AnalysesUsed) -> dict[str, Any]:
    analysis = jobs.submit(caller, uploads.owned(caller, new.upload_id), new)
    return {"analysis_id": analysis.analysis_id, "state": analysis.state}


def list_analyses(caller: As, jobs: AnalysesUsed) -> dict[str, Any]:
    return {"analyses": jobs.visible(caller)}


def show_analysis(analysis_id: str, caller: As, jobs: AnalysesUsed) -> dict[str, Any]:
    return analyses.detail(jobs.find(caller, analysis_id))


def show_results(analysis_id: str, caller: As, jobs: AnalysesUsed) -> dict[str, Any]:
    return jobs.results(caller, analysis_id)


def change_visibility(analysis_id: str, new: NewVisibility, caller: As, jobs: AnalysesUsed) -> dict[str, Any]:
    return jobs.set_visibility(caller, analysis_id, new.visibility)


def cancel_analysis(analysis_id: str, caller: As, jobs: AnalysesUsed) -> dict[str, Any]:
    return jobs.cancel(caller, analysis_id)


async def analyze(
    caller: As,
    uploads: UploadsUsed,
    jobs: AnalysesUsed,
    file: Annotated[UploadFile, File()],
    request: Annotated[str | None, Form()] = None,
    analysis_type: Annotated[str | None, Form(max_length=64)] = None,
) -> JSONResponse:
    """HeartMAP's own call: a data set in, and its result, or 202 when that takes longer than ANALYZE_SECONDS.

    ``request`` is HeartMAP's AnalysisRequest as JSON; ``analysis_type`` by itself is for those who need no more of it.
    """
    deadline = time.monotonic() + ANALYZE_SECONDS
    asked = _analysis_request(request, analysis_type)
    analyses.known_type(asked.analysis_type)
    if not is_hdf5(file.file):
        raise Problem(422, "not_hdf5", "The file is not HDF5. Save the AnnData object with write_h5ad and send that file.")
    size = file.file.seek(0, 2)
    file.file.seek(0)
    name = (file.filename or "").strip()[:255]
    upload = await run_in_threadpool(uploads.receive, caller, name if name.isprintable() and name else None, file.file, size)
    new = NewAnalysis(upload_id=upload.upload_id, analysis_type=asked.analysis_type, options=asked.config_overrides or {})
    analysis = await run_in_threadpool(jobs.submit, caller, upload, new)
    while analysis.state in ("queued", "running") and time.monotonic() < deadline:
        await asyncio.sleep(ANALYZE_POLL)
        analysis = await run_in_threadpool(jobs.find, caller, analysis.analysis_id)
    return await run_in_threadpool(_analyze_answer, caller, jobs, analysis)


def _analysis_request(text: str | None, analysis_type: str | None) -> AnalysisRequest:
    if text is None:
        return AnalysisRequest(analysis_type=analysis_type or DEFAULT_TYPE)
    if analysis_type is not None:
        raise Problem(422, "invalid_request", "Send analysis_type or request, which holds it, but not both.")
    try:
        return AnalysisRequest.model_validate_json(text)
    except ValidationError as error:
        raise invalid([{**item, "loc": ("request", *item["loc"])} for item in error.errors()]) from None


def _analyze_answer(caller: Caller, jobs: AnalysisService, analysis: Analysis) -> JSONResponse:
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
    document = {
        "status": "success",
        "message": "Analysis completed successfully",
        "results": {"summary": {"n_cells": results["summary"].get("cells"), "analysis_completed": True, **results["summary"]}},
        "output_files": [file["url"] for file in results["files"]],
        **known,
    }
    return JSONResponse(document)


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
    with self_signed(settings.internal_host) as certificate:
        config = uvicorn.Config(
            create_app(settings, clients),
            host=settings.bind_address,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=DRAIN_SECONDS,
            ssl_certfile=certificate.certificate,
            ssl_keyfile=certificate.key,
        )
        config.load()
    # A daemon: a call that hangs must not keep the process from ending.
    threading.Thread(target=keep_awake, args=(clients.sqs, settings.queue_url, stop), daemon=True).start()
    uvicorn.Server(config).run()
    stop.set()


if __name__ == "__main__":
    main()
