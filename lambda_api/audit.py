"""One JSON line on standard output for each call, beside the authorizer's in shape: CloudWatch Logs keeps it.

Fixed fields, absent ones null: ``event`` (which function), ``version``, ``decision`` (allow, deny, error), ``reason``,
``request_id``, ``source_ip``, and what each function's own ``Call`` adds.
"""

import json
import sys
from dataclasses import dataclass
from typing import ClassVar

# json.dumps builds a new encoder at each call that changes a separator.
_ENCODER = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))

ALLOW, DENY, ERROR = "allow", "deny", "error"


@dataclass
class Call:
    """What is known of a call so far."""

    EVENT: ClassVar[str]
    request_id: str | None
    source_ip: str | None


def write(decision: str, reason: str, call: Call) -> None:
    """Write the line. Raises OSError when it cannot be written: what is not recorded must not be given."""
    line = {"event": call.EVENT, "version": 1, "decision": decision, "reason": reason, **vars(call)}
    # One write: a second thread or process on the same pipe cannot come between.
    sys.stdout.write(_ENCODER.encode(line) + "\n")
    sys.stdout.flush()
