"""What a worker does with uploads: checks them, copies what is in S3 already, and rejects what the malware scan found.

A check is counted when it begins, and no longer once it has come to a verdict or was given back: a data set that takes every
worker with it is rejected after CHECKS of them.
"""

import structlog

from heartmap_service import audit
from heartmap_service.pulse import Pulse
from heartmap_service.queue import Message
from heartmap_service.records import Upload
from heartmap_service.sandbox import JobFailed, JobStopped, Limits, job_directory
from heartmap_service.storage import ObjectTooLarge
from heartmap_service.upload_store import ChecksSpent, UploadStore
from heartmap_service.workbench import INPUT, Workbench, not_clean, too_large

CHECKS = 3
SCAN_LIMITS = {"cpu": 60, "wall": 120}
"""Seconds. A file can hold a library in an endless loop."""

_log = structlog.get_logger()


class UploadChecker:
    def __init__(self, bench: Workbench, store: UploadStore) -> None:
        self._bench = bench
        self._store = store

    def check(self, message: Message, upload_ids: tuple[str, ...]) -> None:
        """Decides over each upload, and deletes the message. Raises what botocore raises; then the message comes again."""
        with Pulse(self._bench.renewal(message).beat, self._bench.timing.heartbeat):
            for upload_id in upload_ids:
                if (upload := self._begin(upload_id)) is None:
                    continue
                with structlog.contextvars.bound_contextvars(upload_id=upload_id, request_id=upload.request_id):
                    try:
                        self._check(upload)
                    except JobStopped:
                        self._store.give_back(upload_id)
                        self._bench.queue.again(message, 0)
                        return
        self._bench.queue.done(message)

    def copy(self, message: Message, upload_id: str, *, waited: float) -> None:
        """Copies an upload's source. What is checked then is the copy, of which S3 tells.

        Its record may be written only after the message, for which ``waited`` is how long ago it was sent.
        """
        known = self._store.find(upload_id)
        if known is None and waited < self._bench.timing.token_patience:
            self._bench.queue.keep(message, self._bench.timing.token_wait)
            return
        # Copied and checked already, the message came once more.
        decided = known is not None and known.state in ("accepted", "rejected")
        upload = None if decided else self._begin(upload_id)
        if upload is not None and upload.source is not None:
            with (
                structlog.contextvars.bound_contextvars(upload_id=upload_id, request_id=upload.request_id),
                Pulse(self._bench.renewal(message).beat, self._bench.timing.heartbeat),
            ):
                self._copy(upload, upload.source)
        self._bench.queue.done(message)

    def reject(self, message: Message, upload_id: str, result: str) -> None:
        """``result`` is GuardDuty's word for what it found."""
        self._reject(upload_id, not_clean(result))
        self._bench.queue.done(message)

    def _begin(self, upload_id: str) -> Upload | None:
        try:
            upload = self._store.begin_check(upload_id, most=CHECKS)
        except ChecksSpent:
            detail = (
                "The data set could not be checked: the check broke off three times. Upload it again, with fewer cells or genes."
            )
            self._reject(upload_id, JobFailed("check_failed", detail))
            return None
        if upload is None:
            _log.warning("object without a record", upload_id=upload_id)
        return upload

    def _check(self, upload: Upload) -> None:
        def wanted() -> bool:
            return not self._bench.stop.is_set()

        limits = Limits(memory=self._bench.settings.job_memory_bytes, **SCAN_LIMITS)
        with job_directory(self._bench.settings.scratch_dir) as directory:
            try:
                if self._bench.fetch(upload.upload_id, directory, wanted) is None:
                    self._store.give_back(upload.upload_id)
                    return
                task = {"task": "scan", "input": INPUT}
                facts = self._bench.sandbox.run(task, directory, limits, lambda _stage, _progress: wanted())
            except JobFailed as failure:
                self._reject(upload.upload_id, failure)
                return
        self._store.accept(upload.upload_id, facts)
        audit.of_upload(upload, audit.UPLOAD_ACCEPTED).write()
        _log.info("upload accepted", **facts)

    def _copy(self, upload: Upload, source: str) -> None:
        try:
            found = self._bench.objects.copy_from(source, upload.upload_id, most=upload.max_bytes, request_id=upload.request_id)
        except ObjectTooLarge:
            self._reject(upload.upload_id, too_large(upload.max_bytes))
            return
        if found:
            self._store.give_back(upload.upload_id)
            return
        detail = "There is no such object in S3, or the service may not read it. Check the address, and who may read the object."
        self._reject(upload.upload_id, JobFailed("source_missing", detail))

    def _reject(self, upload_id: str, failure: JobFailed) -> None:
        self._store.reject(upload_id, failure.code, failure.detail)
        upload = self._store.find(upload_id)
        if upload is not None:
            audit.of_upload(upload, audit.UPLOAD_REJECTED, failure.code).write()
        _log.info("upload rejected", upload_id=upload_id, code=failure.code, log=failure.log)
