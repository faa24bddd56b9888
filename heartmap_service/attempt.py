"""What a worker does with a token: runs an analysis, and publishes its results or its error.

The token's message is deleted only when what it owes is known to have ended (job_store says why); in every other case it comes
again, at the latest when its visibility runs out.
"""

import contextlib
import tempfile
import time
from pathlib import Path

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from heartmap_service import manifest, sandbox
from heartmap_service.job_attempts import AttemptStore, Busy, Claimed, Ended, Unknown
from heartmap_service.pulse import Lease, Pulse
from heartmap_service.queue import Message
from heartmap_service.records import Analysis
from heartmap_service.sandbox import JobFailed, JobStopped, Limits, job_directory
from heartmap_service.storage import Results, StoredFile
from heartmap_service.workbench import INPUT, Workbench

UPLOADING = 0.95
MANIFEST = "manifest.json"

_log = structlog.get_logger()


class AnalysisRunner:
    def __init__(self, bench: Workbench, store: AttemptStore, results: Results) -> None:
        self._bench = bench
        self._store = store
        self._results = results
        self._limits = Limits(memory=bench.settings.job_memory_bytes)

    def handle(self, message: Message, token: str) -> None:
        """Does what the token is good for. Raises what botocore raises; then the message comes again."""
        match self._store.claim(token, now=time.time(), lease_seconds=self._bench.timing.lease):
            case Claimed(analysis):
                self._run(message, token, analysis)
            case Busy(until):
                self._bench.queue.again(message, min(900, max(1, int(until - time.time()) + 1)))
            case Ended():
                _log.info("nothing to do")
                self._bench.queue.done(message)
            case Unknown():
                self._wait_or_void(message, token)

    def _wait_or_void(self, message: Message, token: str) -> None:
        if time.time() - message.sent_at < self._bench.timing.token_patience:
            self._bench.queue.keep(message, self._bench.timing.token_wait)
        elif self._store.void(token):
            _log.warning("token without an analysis given up", token=token)
            self._bench.queue.done(message)
        else:
            self._bench.queue.keep(message, 0)

    def _run(self, message: Message, token: str, analysis: Analysis) -> None:
        with structlog.contextvars.bound_contextvars(analysis_id=analysis.analysis_id, request_id=analysis.request_id):
            _log.info("analysis claimed", attempt=analysis.attempt, analysis_type=analysis.analysis_type, turn=analysis.turn)
            lease = Lease(self._store, analysis, self._bench.renewal(message), self._bench.timing)
            try:
                ended = self._attempt(analysis, lease)
            except JobFailed as failure:
                _log.info("analysis failed", code=failure.code, log=failure.log)
                ended = self._store.fail(analysis, code=failure.code, detail=failure.detail)
            except JobStopped:
                self._stopped(message, token, analysis, lease)
                return
            except (BotoCoreError, ClientError, OSError):
                _log.exception("attempt broke off", attempt=analysis.attempt)
                self._lost(message, token, analysis)
                return
            if ended:
                self._bench.queue.done(message)
            else:
                self._taken(message, token)

    def _stopped(self, message: Message, token: str, analysis: Analysis, lease: Lease) -> None:
        if lease.taken:
            self._taken(message, token)
        elif self._bench.stop.is_set():
            _log.info("analysis given back")
            self._store.release(analysis)
            self._bench.queue.again(message, 0)
        else:
            _log.warning("lease ran out", attempt=analysis.attempt)
            self._lost(message, token, analysis)

    def _lost(self, message: Message, token: str, analysis: Analysis) -> None:
        self._store.lose(analysis)
        if self._store.has_ended(token):
            self._bench.queue.done(message)
        else:
            self._bench.queue.again(message, self._bench.timing.retry_delay)

    def _taken(self, message: Message, token: str) -> None:
        """Cancelled, or taken over by a worker that may be in need of the message."""
        _log.info("analysis cancelled, or taken over")
        if self._store.has_ended(token):
            self._bench.queue.done(message)

    def _attempt(self, analysis: Analysis, lease: Lease) -> bool:
        """False when the analysis is no longer this attempt's. Raises JobFailed, JobStopped, and what AWS and the disk raise."""

        def wanted() -> bool:
            return lease.held and not self._bench.stop.is_set()

        def keep_going(stage: str, progress: float) -> bool:
            lease.tell(stage, progress)
            return wanted()

        with job_directory(self._bench.settings.scratch_dir) as directory:
            # Not while the analysis ends: two writes at once at one row refuse each other.
            with Pulse(lease.beat, self._bench.timing.heartbeat):
                dataset = self._bench.fetch(analysis.upload_id, directory, wanted)
                if dataset is None:
                    raise JobFailed("upload_missing", "The data set is gone. Upload it again.")
                task = {
                    "task": "analysis",
                    "input": INPUT,
                    "analysis_type": analysis.analysis_type,
                    "config": analysis.config,
                    "estimate": analysis.estimate,
                }
                summary = self._bench.sandbox.run(task, directory, self._limits, keep_going)
                # It may have been cancelled since the last beat: then nothing of it goes to S3. One that fails is like any other.
                with contextlib.suppress(BotoCoreError, ClientError):
                    lease.beat()
                paths = [path for path in sandbox.results(directory) if path.name != MANIFEST]
                files = [self._store_file(analysis, path, keep_going) for path in paths]
                document = manifest.build(analysis, dataset=dataset, summary=summary, files=files)
                # A new directory, into which the job has put nothing.
                last = Path(tempfile.mkdtemp(dir=directory.root)) / MANIFEST
                last.write_bytes(document)
                files.append(self._store_file(analysis, last, keep_going))
            ended = self._store.succeed(analysis, files=[file._asdict() for file in files], summary=summary)
        if ended:
            _log.info("analysis succeeded", files=len(files), bytes=sum(file.bytes for file in files))
        return ended

    def _store_file(self, analysis: Analysis, path: Path, keep_going: sandbox.KeepGoing) -> StoredFile:
        if not keep_going("uploading", UPLOADING):
            raise JobStopped
        metadata = {"request-id": analysis.request_id, "analysis-id": analysis.analysis_id}
        return self._results.put(analysis.analysis_id, analysis.attempt, path, metadata=metadata)
