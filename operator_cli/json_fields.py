"""What `--json` prints, verb by verb: the names that `--fields` takes and that the help of a verb tells.

A document may hold more than is named here: a newer service tells more. What is named is there, or null.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lambda_authorizer.audit_fields import ENVELOPE, WRITTEN


class Document(NamedTuple):
    """The fields of a document, or of each item of its list `each`."""

    fields: tuple[str, ...]
    each: str | None = None

    @property
    def told(self) -> str:
        """What a verb's help says."""
        of = f" of each of {self.each}" if self.each else ""
        return f"JSON fields{of}: {', '.join(self.fields)}"

    def select(self, names: Sequence[str], document: Any) -> Any:
        """The document with these fields only."""
        if self.each is None:
            return _only(names, document)
        return {self.each: [_only(names, item) for item in document[self.each]]}


def _only(names: Sequence[str], document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: document.get(name) for name in names}


def _of(names: str, each: str | None = None) -> Document:
    return Document(tuple(names.split()), each)


_SESSION = _of("environment api username email groups subject signed_in_at expires_at stored_in missing")
_OVERVIEW = "analysis_id state stage progress error analysis_type owner visibility created_at finished_at"
_ANALYSIS = _of(f"{_OVERVIEW} upload_id options config_version started_at attempt estimate position")
_UPLOAD = "upload_id state code detail name bytes owner visibility created_at expires_at estimates"
_KEY = "key_id name principal scopes source_ranges signed created_at created_by expires_at revoked_at replaced_by last_used_at"
_USER = "username subject email groups enabled status mfa created_at changed_at"
_RECORD = " ".join(("stream", *ENVELOPE, *(name for name in WRITTEN if name not in ENVELOPE)))
_CONFIG = "version config changed_by changed_at"

DOCUMENTS: Mapping[str, Document] = {
    "login": _SESSION,
    "logout": _of("environment signed_out"),
    "whoami": _SESSION,
    "token": _of("access_token expires_at"),
    "upload": _of("upload_id state"),
    "uploads list": _of(_UPLOAD, each="uploads"),
    "uploads share": _of(f"{_UPLOAD} dataset source part_bytes parts parts_received"),
    "analyze": _of(f"{' '.join(_ANALYSIS.fields)} files summary"),
    "results": _of("analysis_id files summary"),
    "jobs list": _of(_OVERVIEW, each="analyses"),
    "jobs show": _ANALYSIS,
    "jobs watch": _ANALYSIS,
    "jobs share": _ANALYSIS,
    "jobs cancel": _ANALYSIS,
    "config show": _of(_CONFIG),
    "config set": _of(f"{_CONFIG} changes"),
    "config history": _of("version changed_by changed_at request_id changes restored_from", each="versions"),
    "config restore": _of(_CONFIG),
    "keys create": _of(f"key {_KEY}"),
    "keys list": _of(f"{_KEY} state", each="keys"),
    "keys rotate": _of(f"key {_KEY}"),
    "keys revoke": _of(_KEY),
    "users add": _of(_USER),
    "users list": _of(_USER, each="users"),
    "users disable": _of(_USER),
    "users enable": _of(_USER),
    "users set-group": _of(_USER),
    "users reset-mfa": _of(_USER),
    "audit search": _of(_RECORD, each="records"),
    "audit tail": _of(_RECORD),
    "audit ask": _of(_RECORD, each="records"),
    "audit verify": _of("first last since until seals records waiting compared_since problems"),
    "doctor": _of("name state detail next_step", each="checks"),
    "preflight": _of("name state detail next_step items", each="checks"),
    "vpn setup": _of("authority certificate ends renewed settings"),
    "vpn profile": _of("profile name serial ends"),
    "vpn revoke": _of("name serials listed"),
    "operate break-glass": _of("role user reason expires_at exit_code"),
    "operate teardown": _of("environment account destroyed data_destroyed holds kept told done"),
    "operate backup-key": _of("recipient identity"),
    "operate backup": _of("at files encrypted output"),
    "operate verify": _of("files at faults"),
    "operate restore": _of("restored people not_restored"),
    "operate rotate": _of("rotated changed before certificates keys version"),
    "operate lock-out": _of("who subject keys within_seconds"),
    "gateway render": _of("kind files"),
    "gateway password": _of("user file changed password"),
    "gateway key": _of("name file key"),
    "help": _of("topic entries"),
}
"""`api` is not here: its document is the service's answer as it is."""
