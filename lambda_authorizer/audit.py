"""One JSON line on standard output for each decision: CloudWatch Logs keeps it, and nothing else is written there.

Fixed fields, absent ones null: ``event`` ("authorization"), ``version``, ``decision`` (allow, deny, unauthenticated, error),
``reason`` (see ``reasons``), ``request_id``, ``source_ip``, ``method`` and ``route`` (as the access policy spells them), and,
only once the credential is verified, ``principal``, ``groups``, ``auth_method``, ``client_id``, ``token_id`` (jti), ``key_id``.
Never a credential, nor any other text that nobody vouched for. Everything beyond printable ASCII is escaped, so no value can
begin a line of its own.
"""

import sys

from lambda_authorizer.access_policy import RULES
from lambda_authorizer.encoding import json_names, json_string
from lambda_authorizer.events import Origin, Request
from lambda_authorizer.policy import Caller
from lambda_authorizer.reasons import Reason

_NULL = "null"
_NOBODY = '"principal":null,"groups":null,"auth_method":null,"client_id":null,"token_id":null,"key_id":null'

ALLOW, DENY, UNAUTHENTICATED, ERROR = "allow", "deny", "unauthenticated", "error"


class Line:
    """The lines of one decision, which differ in the call's request id and source address alone."""

    def __init__(self, decision: str, reason: Reason, *, request: Request | None = None, caller: Caller | None = None) -> None:
        # An unknown route is whatever somebody sent, or an API that the access policy does not describe: not repeated.
        known = request is not None and (request.method, request.route) in RULES
        method, route = (_json(request.method), _json(request.route)) if request and known else (_NULL, _NULL)
        self._before = f'{{"event":"authorization","version":1,"decision":"{decision}","reason":"{reason.value}","request_id":'
        self._after = f',"method":{method},"route":{route},{_NOBODY if caller is None else _who(caller)}}}\n'

    def write(self, origin: Origin) -> None:
        """Write it for one call. Raises OSError when it cannot be written: what is not recorded must not be allowed."""
        # One write: a second thread or process on the same pipe cannot come between.
        sys.stdout.write(f'{self._before}{_json(origin.request_id)},"source_ip":{_json(origin.source_ip)}{self._after}')
        sys.stdout.flush()


def _json(text: str | None) -> str:
    return _NULL if text is None else json_string(text)


def _who(caller: Caller) -> str:
    return (
        f'"principal":{_json(caller.principal)},"groups":{json_names(caller.groups)},"auth_method":{_json(caller.auth_method)},'
        f'"client_id":{_json(caller.client_id)},"token_id":{_json(caller.token_id)},"key_id":{_json(caller.key_id)}'
    )
