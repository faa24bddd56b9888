"""The audit records as the log groups have them, and as the API shows them."""

import json
import time
from typing import Any

from lambda_authorizer import audit_chain
from lambda_authorizer.audit_fields import ENVELOPE, WRITTEN

EVENTS: dict[str, tuple[str, ...]] = {
    "authorizer": ("authorization",),
    "token": ("token",),
    "keys": ("keys",),
    "users": ("users",),
    "audit": ("audit",),
    "service": ("service",),
    "worker": ("worker",),
    "sealing": ("seal", "suspicion"),
}
"""The streams: one for each writer's log group, with what its records say as ``event``. What else is in a log group, such as the
lines in which a process tells how it is, is no audit record."""

FIELDS = (*ENVELOPE, *(name for name in WRITTEN if name not in ENVELOPE))
"""What is ever shown: nothing secret, and nothing that has no class."""


def record(stream: str, message: str, moment: int) -> dict[str, Any] | None:
    """The record of a line, None where it is none; ``moment`` is in milliseconds since the epoch, and is when the log had it."""
    try:
        line = json.loads(message)
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict) or line.get("event") not in EVENTS[stream]:
        return None
    # Not the writer's clock: a page ends, and the next one begins, where the log says.
    return {name: line[name] for name in FIELDS if name in line} | {"time": rfc3339(moment), "stream": stream}


def exact(stream: str, message: str, moment: int) -> dict[str, Any] | None:
    """A record as it was written, None where a line is none: for whoever checks its place in the chain of its writer."""
    line = message.removesuffix("\n")
    return None if audit_chain.parse(line) is None else {"time": rfc3339(moment), "stream": stream, "line": line}


def rfc3339(moment: int) -> str:
    """Milliseconds since the epoch as RFC 3339 writes them, in UTC."""
    seconds, milliseconds = divmod(moment, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{milliseconds:03}Z"
