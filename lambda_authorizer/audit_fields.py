"""What an audit record may hold, whoever writes it: the fields that all of them have, and a class for each field of any.

public      says nothing about anybody: what was asked for, and what came of it
sensitive   says who, from where, or about whose what: administrators alone see it
secret      opens something, or names a person: no record ever has it, and nothing shows it

A field without a class is treated as secret. Standard library only.
"""

import json
import time
from typing import Any

PUBLIC, SENSITIVE, SECRET = "public", "sensitive", "secret"

VERSION = 2
ALLOW, DENY, UNAUTHENTICATED, ERROR = "allow", "deny", "unauthenticated", "error"

ENVELOPE = (
    *("event", "version", "time", "decision", "reason", "action", "request_id"),
    *("principal", "source_ip", "method", "route", "resource"),
)
"""What every record begins with, in this order, null where there is nothing to say. ``time`` is the writer's, in milliseconds
since the epoch; ``request_id`` goes from the gateway with the call to all who work on it; ``resource`` is what it is about: the
id of an upload, of an analysis or of a key, or a person's subject."""
CHAINED = ("writer", "sequence", "previous", "hash")
"""What every record ends with: ``audit_chain``."""

_PUBLIC = (
    *("event", "version", "time", "decision", "reason", "action", "request_id", "method", "route"),
    *CHAINED,
    *("groups", "group", "scopes", "auth_method", "client_id", "expires_at", "enabled", "reset_mfa"),
    *("since", "until", "filters", "records"),
    *("analysis_type", "visibility", "files", "bytes", "changes", "config_version", "attempt"),
    *("gaps", "seal_sha256", "analyses", "usual_analyses", "usual_bytes"),
)
_SENSITIVE = (
    *("principal", "source_ip", "resource", "subject", "session", "token_id", "key_id", "name", "replaced_by", "upload_id"),
    "network",
)
_SECRET = (
    *("authorization", "assertion", "credential", "token", "key", "secret", "pepper", "password", "signature", "code", "cookie"),
    *("url", "urls", "body", "query", "headers", "email", "username", "filename", "metadata", "cells", "genes"),
)

CLASSES: dict[str, str] = {
    **dict.fromkeys(_PUBLIC, PUBLIC),
    **dict.fromkeys(_SENSITIVE, SENSITIVE),
    **dict.fromkeys(_SECRET, SECRET),
}
WRITTEN = tuple(name for name, of in CLASSES.items() if of != SECRET)
"""The fields that a record may have."""

# json.dumps builds a new encoder at each call that changes a separator.
_ENCODER = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))


def open_line(event: str, decision: str, reason: str, **fields: Any) -> str:
    """A record as ``audit_chain`` takes it: one line of ASCII, in which no value can begin a line of its own.

    Raises ValueError for a field that no record may have.
    """
    unknown = [name for name in fields if CLASSES.get(name, SECRET) == SECRET]
    if unknown:
        raise ValueError(f"no audit record may have the fields {', '.join(unknown)}")
    record = {
        **dict.fromkeys(ENVELOPE),
        "event": event,
        "version": VERSION,
        "time": time.time_ns() // 1_000_000,
        "decision": decision,
        "reason": reason,
        **fields,
    }
    return _ENCODER.encode(record)[:-1]
