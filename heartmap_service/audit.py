"""The service's audit records: one for each call, written before its answer leaves, and one for each end of an upload or a job.

The fields that all records have are ``lambda_authorizer.audit_fields``'. Of a call that nobody vouched for there is no principal,
and no route. Never a data set's name, an address, or anything that a body holds.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from heartmap_service.records import Analysis, Upload
from lambda_authorizer.audit_chain import PROCESS
from lambda_authorizer.audit_fields import ALLOW, DENY, ERROR, UNAUTHENTICATED, open_line

DONE, REPLAYED, NO_ANSWER = "done", "replayed", "no_answer"
"""Reasons. Of a refusal it is the code of its problem."""

ACTIONS = {
    ("GET", "/"): "version_read",
    ("GET", "/health"): "health_read",
    ("GET", "/models"): "models_read",
    ("GET", "/config"): "config_read",
    ("POST", "/config"): "config_changed",
    ("GET", "/config/versions"): "config_versions_read",
    ("GET", "/uploads"): "uploads_listed",
    ("POST", "/uploads"): "upload_begun",
    ("GET", "/uploads/{upload_id}"): "upload_read",
    ("PATCH", "/uploads/{upload_id}"): "upload_shared",
    ("POST", "/uploads/{upload_id}/parts"): "upload_continued",
    ("POST", "/uploads/{upload_id}/complete"): "upload_completed",
    ("POST", "/analyses"): "analysis_started",
    ("GET", "/analyses"): "analyses_listed",
    ("GET", "/analyses/{analysis_id}"): "analysis_read",
    ("GET", "/analyses/{analysis_id}/results"): "results_read",
    ("PATCH", "/analyses/{analysis_id}"): "analysis_shared",
    ("DELETE", "/analyses/{analysis_id}"): "analysis_cancelled",
    ("POST", "/analyze"): "analysis_started",
}
"""What a call does, whether it comes to that or not."""

UPLOAD_ACCEPTED, UPLOAD_REJECTED = "upload_accepted", "upload_rejected"
ANALYSIS_SUCCEEDED, ANALYSIS_FAILED = "analysis_succeeded", "analysis_failed"


@dataclass
class Call:
    """What is known of a call so far. ``files`` and ``bytes`` are of results whose addresses are given away; ``changes`` are the
    names of the options that another configuration has other values for; ``visibility`` is private, shared or listed."""

    EVENT: ClassVar[str] = "service"
    request_id: str
    principal: str | None = None
    method: str | None = None
    route: str | None = None
    action: str | None = None
    resource: str | None = None
    upload_id: str | None = None
    analysis_type: str | None = None
    visibility: str | None = None
    files: int | None = None
    bytes: int | None = None
    changes: list[str] | None = None
    config_version: int | None = None
    reason: str = field(default=DONE)

    def results(self, files: list[dict[str, Any]]) -> None:
        """The addresses of these files are in the answer."""
        self.files, self.bytes = len(files), sum(file["bytes"] for file in files)

    def write(self, status: int) -> None:
        """Write the record of a call that is about to be answered so. Raises OSError when it cannot be written: what is not
        recorded must not be given."""
        decision = ALLOW if status < 400 else UNAUTHENTICATED if status == 401 else DENY if status < 500 else ERROR
        PROCESS.write(open_line(self.EVENT, decision, **vars(self)))


@dataclass
class Outcome:
    """How the worker's work on an upload or an analysis ended. It belongs to whoever asked for it, and to the call that did."""

    EVENT: ClassVar[str] = "worker"
    request_id: str
    principal: str
    action: str
    resource: str
    reason: str = DONE
    upload_id: str | None = None
    analysis_type: str | None = None
    attempt: int | None = None
    files: int | None = None
    bytes: int | None = None

    def write(self) -> None:
        """Raises OSError when it cannot be written."""
        decision = {UPLOAD_REJECTED: DENY, ANALYSIS_FAILED: ERROR}.get(self.action, ALLOW)
        PROCESS.write(open_line(self.EVENT, decision, **vars(self)))


def of_upload(upload: Upload, action: str, reason: str = DONE) -> Outcome:
    """How the check of an upload ended."""
    return Outcome(upload.request_id, upload.owner, action, upload.upload_id, reason)


def of_analysis(analysis: Analysis, action: str, reason: str = DONE, files: list[dict[str, Any]] | None = None) -> Outcome:
    """How an analysis ended."""
    return Outcome(
        analysis.request_id,
        analysis.owner,
        action,
        analysis.analysis_id,
        reason,
        upload_id=analysis.upload_id,
        analysis_type=analysis.analysis_type,
        attempt=analysis.attempt,
        files=None if files is None else len(files),
        bytes=None if files is None else sum(file["bytes"] for file in files),
    )
