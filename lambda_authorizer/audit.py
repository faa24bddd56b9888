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
_NO_CALL = '"method":null,"route":null'
# An unknown route is whatever somebody sent, or an API that the access policy does not describe: it is not repeated.
_CALLS = {call: f'"method":{json_string(call[0])},"route":{json_string(call[1])}' for call in RULES}
_NOBODY = '"principal":null,"groups":null,"auth_method":null,"client_id":null,"token_id":null,"key_id":null'

ALLOW, DENY, UNAUTHENTICATED, ERROR = "allow", "deny", "unauthenticated", "error"


class Line:
    """The lines of one decision, which differ in the call's request id and source address alone."""

    __slots__ = ("_after", "_before")

    def __init__(self, decision: str, reason: Reason, *, request: Request | None = None, caller: Caller | None = None) -> None:
        self._before = _ALLOWED if reason is _ALLOW else _before(decision, reason)
        call = _NO_CALL if request is None else _CALLS.get(request.call, _NO_CALL)
        self._after = f",{call},{_NOBODY if caller is None else _who(caller)}}}\n"

    def write(self, origin: Origin) -> None:
        """Write it for one call. Raises OSError when it cannot be written: what is not recorded must not be allowed."""
        # One write: a second thread or process on the same pipe cannot come between.
        request_id, source_ip = origin
        out = sys.stdout
        out.write(
            f"{self._before}{_NULL if request_id is None else json_string(request_id)}"
            f',"source_ip":{_NULL if source_ip is None else json_string(source_ip)}{self._after}'
        )
        out.flush()


def _before(decision: str, reason: Reason) -> str:
    return f'{{"event":"authorization","version":1,"decision":"{decision}","reason":"{reason.value}","request_id":'


_ALLOW = Reason.ALLOWED
_ALLOWED = _before(ALLOW, _ALLOW)


def _json(text: str | None) -> str:
    return _NULL if text is None else json_string(text)


def _who(caller: Caller) -> str:
    principal, groups, _, auth_method, client_id, token_id, key_id, _ = caller
    return (
        f'"principal":{json_string(principal)},"groups":{json_names(groups)},"auth_method":{json_string(auth_method)},'
        f'"client_id":{_json(client_id)},"token_id":{_json(token_id)},"key_id":{_json(key_id)}'
    )
