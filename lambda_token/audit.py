"""One JSON line on standard output for each exchange, beside the authorizer's in shape: CloudWatch Logs keeps it.

Fixed fields, absent ones null: ``event`` ("token"), ``version``, ``decision`` (allow, deny, error), ``reason``, ``request_id``,
``source_ip`` and, only for a role that is known, ``principal`` (its ARN), ``session``, ``groups``, ``key_id`` (the credential's
public id) and ``expires_at`` (seconds since the epoch). Never a credential.
"""

import json
import sys
from dataclasses import dataclass

# json.dumps builds a new encoder at each call that changes a separator.
_ENCODER = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))

ALLOW, DENY, ERROR = "allow", "deny", "error"


@dataclass
class Call:
    """What is known of a call so far."""

    request_id: str | None
    source_ip: str | None
    principal: str | None = None
    session: str | None = None
    groups: list[str] | None = None
    key_id: str | None = None
    expires_at: int | None = None


def write(decision: str, reason: str, call: Call) -> None:
    """Write the line. Raises OSError when it cannot be written: what is not recorded must not be given."""
    line = {"event": "token", "version": 1, "decision": decision, "reason": reason, **vars(call)}
    # One write: a second thread or process on the same pipe cannot come between.
    sys.stdout.write(_ENCODER.encode(line) + "\n")
    sys.stdout.flush()
