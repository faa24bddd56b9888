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
from lambda_authorizer.encoding import json_string
from lambda_authorizer.events import Origin, Request
from lambda_authorizer.policy import Caller
from lambda_authorizer.reasons import Reason

# json.dumps builds a new encoder at each call that changes a separator.
_ENCODER = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))

ALLOW, DENY, UNAUTHENTICATED, ERROR = "allow", "deny", "unauthenticated", "error"


class Line:
    """The lines of one decision, which differ in the call's request id and source address alone."""

    def __init__(self, decision: str, reason: Reason, *, request: Request | None = None, caller: Caller | None = None) -> None:
        # An unknown route is whatever somebody sent, or an API that the access policy does not describe: not repeated.
        known = request is not None and (request.method, request.route) in RULES
        before = {"event": "authorization", "version": 1, "decision": decision, "reason": reason.value}
        after = {
            "method": request.method if request and known else None,
            "route": request.route if request and known else None,
            "principal": caller and caller.principal,
            "groups": caller and sorted(caller.groups),
            "auth_method": caller and caller.auth_method,
            "client_id": caller and caller.client_id,
            "token_id": caller and caller.token_id,
            "key_id": caller and caller.key_id,
        }
        self._before, self._after = _ENCODER.encode(before)[:-1], _ENCODER.encode(after)[1:]

    def write(self, origin: Origin) -> None:
        """Write it for one call. Raises OSError when it cannot be written: what is not recorded must not be allowed."""
        request_id = "null" if origin.request_id is None else json_string(origin.request_id)
        source_ip = "null" if origin.source_ip is None else json_string(origin.source_ip)
        # One write: a second thread or process on the same pipe cannot come between.
        sys.stdout.write(f'{self._before},"request_id":{request_id},"source_ip":{source_ip},{self._after}\n')
        sys.stdout.flush()
