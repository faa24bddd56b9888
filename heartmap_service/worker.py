"""The worker: ``python -m heartmap_service.worker`` takes one message after the other, checks uploads and runs analyses.

A message leaves the queue only when what it asked for has ended, in the table, one way or the other: see job_store. While a job
runs, its task is protected from being scaled in. At SIGTERM the job in hand goes back.
"""

import contextlib
import signal
import threading
import time

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from heartmap_service import sandbox
from heartmap_service.attempt import AnalysisRunner
from heartmap_service.checks import UploadChecker
from heartmap_service.clients import Clients, connect
from heartmap_service.job_attempts import AttemptStore
from heartmap_service.log import configure
from heartmap_service.protection import TaskProtection
from heartmap_service.queue import CheckUploads, CopyUpload, Malformed, Message, Queue, RejectUpload, RunAnalysis
from heartmap_service.sandbox import Sandbox
from heartmap_service.settings import WorkerSettings, load
from heartmap_service.storage import Results, Uploads
from heartmap_service.timing import Timing
from heartmap_service.upload_store import UploadStore
from heartmap_service.workbench import Workbench

_FAILURES = (BotoCoreError, ClientError, OSError)

_log = structlog.get_logger()


class Worker:
    """``stop`` is set from outside, by the signal handler."""

    def __init__(self, settings: WorkerSettings, clients: Clients, stop: threading.Event, timing: Timing | None = None) -> None:
        self._bench = Workbench(
            settings=settings,
            queue=Queue(clients.sqs, settings.queue_url),
            objects=Uploads(clients.s3, settings.uploads_bucket),
            sandbox=Sandbox(settings.scratch_dir, settings.numba_cache_seed, large=settings.preload_large),
            protection=TaskProtection(settings.ecs_agent_uri),
            stop=stop,
            timing=timing or Timing(),
        )
        self._uploads = UploadChecker(self._bench, UploadStore(clients.dynamodb, settings.jobs_table))
        store, results = AttemptStore(clients.dynamodb, settings.jobs_table), Results(clients.s3, settings.results_bucket)
        self._analyses = AnalysisRunner(self._bench, store, results)

    def run(self) -> None:
        """Works until ``stop`` is set."""
        removed = sandbox.sweep(self._bench.settings.scratch_dir)
        _log.info("worker started", swept_directories=removed)
        with self._bench.sandbox as prepared:
            prepared.start()
            while not self._bench.stop.is_set():
                try:
                    self.step()
                except _FAILURES:
                    _log.exception("step failed")
                    self._bench.stop.wait(self._bench.timing.pause)
        _log.info("worker stopped")

    def close(self) -> None:
        """Ends what was started for the jobs; ``run`` does so by itself."""
        self._bench.sandbox.close()

    def step(self) -> bool:
        """Handles one message; False when none came."""
        message = self._bench.queue.receive()
        if message is None:
            return False
        if self._bench.stop.is_set():
            self._bench.queue.again(message, 0)
            return True
        with structlog.contextvars.bound_contextvars(message_id=message.message_id):
            try:
                self._handle(message)
            except _FAILURES:
                # At the latest it comes when its visibility runs out.
                with contextlib.suppress(*_FAILURES):
                    self._bench.queue.again(message, self._bench.timing.retry_delay)
                raise
        return True

    def _handle(self, message: Message) -> None:
        match message.work:
            case RunAnalysis(token, request_id):
                with structlog.contextvars.bound_contextvars(request_id=request_id), self._bench.protection.held():
                    self._analyses.handle(message, token)
            case CheckUploads(upload_ids):
                with self._bench.protection.held():
                    self._uploads.check(message, upload_ids)
            case CopyUpload(upload_id):
                with self._bench.protection.held():
                    self._uploads.copy(message, upload_id, waited=time.time() - message.sent_at)
            case RejectUpload(upload_id, result):
                self._uploads.reject(message, upload_id, result)
            case Malformed():
                _log.error("malformed message, left for the dead-letter queue")
            case _:
                self._bench.queue.done(message)


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
