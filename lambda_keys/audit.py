"""One JSON line on standard output for each call, beside the authorizer's in shape: CloudWatch Logs keeps it.

Fixed fields, absent ones null: ``event`` ("keys"), ``version``, ``decision`` (allow, deny, error), ``reason``, ``request_id``,
``source_ip``, ``action`` (create, list, rotate, revoke) and, once the caller is known to be an administrator, ``principal``,
``key_id`` (the public id of the key that is made, rotated or revoked), ``name``, ``replaced_by`` (the public id of the key that a
rotation makes) and, of a key that is made, ``scopes`` and ``expires_at`` (seconds since the epoch). Never a key.

A line with the decision error names the key that was about to be made: where AWS's answer got lost there is one, and nobody holds
it.
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
    action: str | None = None
    principal: str | None = None
    key_id: str | None = None
    name: str | None = None
    replaced_by: str | None = None
    scopes: list[str] | None = None
    expires_at: int | None = None


def write(decision: str, reason: str, call: Call) -> None:
    """Write the line. Raises OSError when it cannot be written: what is not recorded must not be given."""
    line = {"event": "keys", "version": 1, "decision": decision, "reason": reason, **vars(call)}
    # One write: a second thread or process on the same pipe cannot come between.
    sys.stdout.write(_ENCODER.encode(line) + "\n")
    sys.stdout.flush()
