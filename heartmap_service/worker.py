"""The worker: ``python -m heartmap_service.worker`` takes one message after the other, checks uploads and runs analyses.

Nothing is lost: a message leaves the queue only when what it asked for has ended, in the table, one way or the other. Nothing
runs twice at once: an analysis belongs to whoever claimed its attempt, for as long as the lease is renewed. While a job runs, its
task is protected from being scaled in. At SIGTERM the job in hand goes back.
"""

import signal
import threading
import time

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from heartmap_service import sandbox
from heartmap_service.clients import Clients, connect
from heartmap_service.job_store import JobStore
from heartmap_service.log import configure
from heartmap_service.protection import TaskProtection
from heartmap_service.queue import CheckUploads, Malformed, Message, Queue, RejectUpload, RunAnalysis
from heartmap_service.records import Analysis
from heartmap_service.sandbox import JobDirectory, JobFailed, JobStopped, KeepGoing, Limits, job_directory
from heartmap_service.settings import GIB, WorkerSettings, load
from heartmap_service.storage import DownloadStopped, ObjectTooLarge, ObjectWithheld, Results, Uploads
from heartmap_service.upload_store import UploadStore

LEASE = 90.0
"""Seconds for which an attempt owns its analysis without a sign of life. Shorter than VISIBILITY, so that a killed worker's
message comes back to an analysis that can be claimed."""
HEARTBEAT = 2.0
"""Seconds between signs of life; the longest that a cancelled analysis goes on."""
VISIBILITY = 120
"""Seconds for which the message in hand stays hidden, each time that it is renewed; the queue's own setting."""
RENEWAL = 40.0
ATTEMPTS = 3
"""After so many attempts that ended without a verdict an analysis fails; as many receives as the queue allows."""
RETRY_DELAY = 20
SCAN_LIMITS = {"cpu": 300, "wall": 600}
UPLOADING = 0.95
SCAN_PATIENCE = 900.0
"""Seconds for which a worker waits for the malware scan of the data set that it needs; GuardDuty takes some minutes at most."""
SCAN_POLL = 3.0

_log = structlog.get_logger()


class Worker:
    """``stop`` is set from outside, by the signal handler."""

    def __init__(self, settings: WorkerSettings, clients: Clients, stop: threading.Event) -> None:
        self._settings = settings
        self._store = JobStore(clients.dynamodb, settings.jobs_table)
        self._uploads = UploadStore(clients.dynamodb, settings.jobs_table)
        self._objects = Uploads(clients.s3, settings.uploads_bucket)
        self._results = Results(clients.s3, settings.results_bucket)
        self._queue = Queue(clients.sqs, settings.queue_url)
        self._protection = TaskProtection(settings.ecs_agent_uri)
        self._stop = stop
        self._limits = Limits(memory=settings.job_memory_bytes)

    def run(self) -> None:
        """Works until ``stop`` is set."""
        removed = sandbox.sweep(self._settings.scratch_dir)
        _log.info("worker started", swept_directories=removed)
        while not self._stop.is_set():
            try:
                self.step()
            except (BotoCoreError, ClientError, OSError):
                _log.exception("step failed")
                self._stop.wait(5)
        _log.info("worker stopped")

    def step(self) -> bool:
        """Handles one message; False when none came."""
        message = self._queue.receive()
        if message is None:
            return False
        if self._stop.is_set():
            self._queue.keep(message, 0)
            return True
        with structlog.contextvars.bound_contextvars(message_id=message.message_id):
            match message.work:
                case RunAnalysis(analysis_id, request_id):
                    with (
                        structlog.contextvars.bound_contextvars(analysis_id=analysis_id, request_id=request_id),
                        self._protection.held(),
                    ):
                        self._run_analysis(message, analysis_id)
                case CheckUploads(upload_ids):
                    with self._protection.held():
                        self._check_uploads(message, upload_ids)
                case RejectUpload(upload_id, result):
                    self._reject_upload(upload_id, result)
                    self._queue.done(message)
                case Malformed():
                    _log.error("malformed message, left for the dead-letter queue")
                case _:
                    self._queue.done(message)
        return True

    # Uploads

    def _check_uploads(self, message: Message, upload_ids: tuple[str, ...]) -> None:
        renewal = _Renewal(self._queue, message, self._protection)

        def keep_going(_stage: str, _progress: float) -> bool:
            renewal.renew()
            return not self._stop.is_set()

        try:
            for upload_id in upload_ids:
                self._check_upload(upload_id, keep_going)
        except JobStopped:
            self._queue.keep(message, 0)
            return
        self._queue.done(message)

    def _check_upload(self, upload_id: str, keep_going: KeepGoing) -> None:
        upload = self._uploads.find(upload_id)
        if upload is None:
            _log.warning("object without a record", upload_id=upload_id)
            return
        with (
            structlog.contextvars.bound_contextvars(upload_id=upload_id, request_id=upload.request_id),
            job_directory(self._settings.scratch_dir) as directory,
        ):
            self._uploads.set_state(upload_id, "checking")
            try:
                if not self._download(upload_id, directory, keep_going):
                    self._uploads.set_state(upload_id, "pending")
                    return
                facts = sandbox.run({"task": "scan", "input": "input.h5ad"}, directory, self._scan_limits(), keep_going)
            except JobFailed as failure:
                self._uploads.set_state(upload_id, "rejected", code=failure.code, detail=failure.detail)
                _log.info("upload rejected", code=failure.code, log=failure.log)
                return
            self._uploads.set_state(upload_id, "accepted")
            _log.info("upload accepted", **facts)

    def _reject_upload(self, upload_id: str, result: str) -> None:
        failure = _not_clean(result)
        self._uploads.set_state(upload_id, "rejected", code=failure.code, detail=failure.detail)
        _log.warning("upload rejected", upload_id=upload_id, code=failure.code, scan_result=result)

    def _scan_limits(self) -> Limits:
        return Limits(memory=self._settings.job_memory_bytes, **SCAN_LIMITS)

    # Analyses

    def _run_analysis(self, message: Message, analysis_id: str) -> None:
        analysis = self._store.claim(analysis_id, now=time.time(), lease_seconds=LEASE)
        if analysis is None:
            self._set_aside(message, analysis_id)
            return
        _log.info("analysis claimed", attempt=analysis.attempt, analysis_type=analysis.analysis_type)
        try:
            self._attempt(message, analysis)
        except JobStopped:
            if self._stop.is_set():
                _log.info("analysis given back")
                self._store.release(analysis)
                self._queue.keep(message, 0)
            else:
                _log.info("analysis cancelled, or taken over")
                self._queue.done(message)
            return
        except JobFailed as failure:
            _log.info("analysis failed", code=failure.code, log=failure.log)
            self._store.fail(analysis, code=failure.code, detail=failure.detail)
        except (BotoCoreError, ClientError, OSError):
            self._retry_later(message, analysis)
            return
        self._queue.done(message)

    def _attempt(self, message: Message, analysis: Analysis) -> None:
        beat = _Heartbeat(self._store, analysis, _Renewal(self._queue, message, self._protection), self._stop)
        with job_directory(self._settings.scratch_dir, self._settings.numba_cache_seed) as directory:
            if not self._download(analysis.upload_id, directory, beat):
                raise JobFailed("upload_missing", "The data set is gone. Upload it again.")
            task = {"task": "analysis", "input": "input.h5ad", "analysis_type": analysis.analysis_type, "config": analysis.config}
            summary = sandbox.run(task, directory, self._limits, beat)
            files = []
            metadata = {"request-id": analysis.request_id, "analysis-id": analysis.analysis_id}
            for path in sandbox.results(directory):
                if not beat.now("uploading", UPLOADING):
                    raise JobStopped
                files.append(self._results.put(analysis.analysis_id, analysis.attempt, path, metadata=metadata)._asdict())
            if not self._store.succeed(analysis, files=files, summary=summary):
                raise JobStopped
        _log.info("analysis succeeded", files=len(files), bytes=sum(file["bytes"] for file in files))

    def _set_aside(self, message: Message, analysis_id: str) -> None:
        """A message whose analysis cannot be claimed: it has ended, or another worker's lease still runs."""
        analysis = self._store.analysis(analysis_id)
        if analysis is not None and analysis.state == "running":
            self._queue.keep(message, max(1, int(analysis.lease_until - time.time()) + 1))
            return
        _log.info("nothing to do", state=analysis and analysis.state)
        self._queue.done(message)

    def _retry_later(self, message: Message, analysis: Analysis) -> None:
        _log.exception("attempt failed", attempt=analysis.attempt)
        if analysis.attempt >= ATTEMPTS:
            self._store.fail(
                analysis, code="internal", detail="The service failed three times. Tell an administrator the request_id."
            )
            self._queue.done(message)
            return
        self._store.release(analysis)
        self._queue.keep(message, RETRY_DELAY)

    # Both

    def _download(self, upload_id: str, directory: JobDirectory, keep_going: KeepGoing) -> bool:
        """False when there is no such object. Waits for the malware scan where the bucket withholds the object until then."""
        patience = time.monotonic() + SCAN_PATIENCE
        while True:
            try:
                return self._download_now(upload_id, directory, keep_going)
            except ObjectWithheld as withheld:
                if withheld.result is not None or time.monotonic() > patience:
                    raise _not_clean(withheld.result or "not scanned") from None
            if not keep_going("downloading", 0.01):
                raise JobStopped
            self._stop.wait(SCAN_POLL)

    def _download_now(self, upload_id: str, directory: JobDirectory, keep_going: KeepGoing) -> bool:
        def wanted() -> bool:
            return keep_going("downloading", 0.01)

        try:
            return self._objects.download(
                upload_id, directory.work / "input.h5ad", most=self._settings.max_upload_bytes, wanted=wanted
            )
        except ObjectTooLarge:
            detail = (
                f"A data set may have at most {self._settings.max_upload_bytes / GIB:.1f} GiB here. Upload fewer cells or genes."
            )
            raise JobFailed("upload_too_large", detail) from None
        except DownloadStopped:
            raise JobStopped from None


def _not_clean(result: str) -> JobFailed:
    """Why a data set is not read, by GuardDuty's word for what it found."""
    if result == "THREATS_FOUND":
        return JobFailed("malware", "The data set holds malware and was not opened. Check the machine that it came from.")
    return JobFailed("unscanned", "The data set could not be scanned for malware and was not opened. Upload it again.")


class _Renewal:
    """Keeps the message in hand hidden from other workers, and this worker's task from being scaled in."""

    def __init__(self, queue: Queue, message: Message, protection: TaskProtection) -> None:
        self._queue = queue
        self._message = message
        self._protection = protection
        self._renewed = time.monotonic()

    def renew(self) -> None:
        self._protection.renew()
        now = time.monotonic()
        if now - self._renewed >= RENEWAL:
            self._queue.keep(self._message, VISIBILITY)
            self._renewed = now


class _Heartbeat:
    """Renews the lease and the message, shows progress, and hears of a cancellation."""

    def __init__(self, store: JobStore, analysis: Analysis, renewal: _Renewal, stop: threading.Event) -> None:
        self._store = store
        self._analysis = analysis
        self._renewal = renewal
        self._stop = stop
        self._beaten = time.monotonic()

    def __call__(self, stage: str, progress: float) -> bool:
        """False when the job is to end."""
        if self._stop.is_set():
            return False
        return time.monotonic() - self._beaten < HEARTBEAT or self.now(stage, progress)

    def now(self, stage: str, progress: float) -> bool:
        if self._stop.is_set():
            return False
        self._beaten = time.monotonic()
        self._renewal.renew()
        return self._store.heartbeat(self._analysis, stage=stage, progress=progress, lease_until=time.time() + LEASE)


def main() -> None:
    """Works until SIGTERM or SIGINT."""
    settings = load(WorkerSettings)
    configure("worker", settings.log_level)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    Worker(settings, connect(settings), stop).run()


if __name__ == "__main__":
    main()
