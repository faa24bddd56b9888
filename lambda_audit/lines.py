"""The audit lines as the log groups have them, and as the API shows them."""

import json
import time
from typing import Any

EVENTS = {"authorizer": "authorization", "token": "token", "keys": "keys", "users": "users", "audit": "audit"}
"""The streams: one a function, with what its lines say as ``event``. What else is in a log group is no line of the audit."""

FIELDS = (
    *("event", "version", "decision", "reason", "request_id", "source_ip", "method", "route", "action", "principal", "session"),
    *("groups", "auth_method", "client_id", "token_id", "key_id", "name", "replaced_by", "scopes", "expires_at"),
    *("subject", "group", "enabled", "reset_mfa", "since", "until", "filters", "records"),
)
"""Whatever a line of any function has. Nothing else is ever shown."""


def record(stream: str, message: str, moment: int) -> dict[str, Any] | None:
    """The record of a line, None where it is none; ``moment`` is in milliseconds since the epoch."""
    try:
        line = json.loads(message)
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict) or line.get("event") != EVENTS[stream]:
        return None
    return {"time": rfc3339(moment), "stream": stream} | {name: line[name] for name in FIELDS if name in line}


def rfc3339(moment: int) -> str:
    """Milliseconds since the epoch as RFC 3339 writes them, in UTC."""
    seconds, milliseconds = divmod(moment, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{milliseconds:03}Z"
