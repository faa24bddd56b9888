"""One JSON line on standard output for each decision: CloudWatch Logs keeps it, and nothing else is written there.

Fixed fields, absent ones null: ``event`` ("authorization"), ``version``, ``decision`` (allow, deny, unauthenticated, error),
``reason`` (see ``reasons``), ``request_id``, ``source_ip``, ``method`` and ``route`` (as the access policy spells them), and,
only once the credential is verified, ``principal``, ``groups``, ``auth_method``, ``client_id``, ``token_id`` (jti), ``key_id``.
Never a credential, nor any other text that nobody vouched for. Everything beyond printable ASCII is escaped, so no value can
begin a line of its own.
"""

import json
import sys

from lambda_authorizer.access_policy import RULES
from lambda_authorizer.events import Origin, Request
from lambda_authorizer.policy import Caller
from lambda_authorizer.reasons import Reason

# json.dumps builds a new encoder at each call that changes a separator.
_ENCODER = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))

ALLOW, DENY, UNAUTHENTICATED, ERROR = "allow", "deny", "unauthenticated", "error"


def write(
    decision: str,
    reason: Reason,
    *,
    origin: Origin,
    request: Request | None = None,
    caller: Caller | None = None,
) -> None:
    """Write the line of one decision. Raises OSError when it cannot be written: what is not recorded must not be allowed."""
    # An unknown route is whatever somebody sent, or an API that the access policy does not describe: not repeated.
    known = request is not None and (request.method, request.route) in RULES
    line = {
        "event": "authorization",
        "version": 1,
        "decision": decision,
        "reason": reason.value,
        "request_id": origin.request_id,
        "source_ip": origin.source_ip,
        "method": request.method if request and known else None,
        "route": request.route if request and known else None,
        "principal": caller and caller.principal,
        "groups": caller and sorted(caller.groups),
        "auth_method": caller and caller.auth_method,
        "client_id": caller and caller.client_id,
        "token_id": caller and caller.token_id,
        "key_id": caller and caller.key_id,
    }
    # One write: a second thread or process on the same pipe cannot come between.
    sys.stdout.write(_ENCODER.encode(line) + "\n")
    sys.stdout.flush()
