"""One audit record for each decision, on standard output: CloudWatch Logs keeps it, and nothing else is written there.

``audit_fields`` names the fields that it has in common with all other records. ``event`` is "authorization", ``reason`` one of
``reasons``; ``method`` and ``route`` are as the access policy spells them, ``resource`` is the id in the path and, only once the
credential is verified, there are ``principal``, ``groups``, ``auth_method``, ``client_id``, ``token_id`` (jti) and ``key_id``.
Never a credential, nor any other text that nobody vouched for. Everything beyond printable ASCII is escaped, so no value can
begin a line of its own.
"""

from time import time_ns

from lambda_authorizer.access_policy import RULES
from lambda_authorizer.audit_chain import PROCESS
from lambda_authorizer.encoding import json_names, json_string
from lambda_authorizer.events import Origin, Request
from lambda_authorizer.policy import NOBODY, ULID, Caller, Written
from lambda_authorizer.reasons import Reason

_NULL = "null"
_NO_CALL = ',"method":null,"route":null,"resource":'
# An unknown route is whatever somebody sent, or an API that the access policy does not describe: it is not repeated.
_CALLS = {call: f',"method":{json_string(call[0])},"route":{json_string(call[1])},"resource":' for call in RULES}
# Written out: a decision takes a few microseconds, and audit_fields, which writes any field, as many more.
_BEGINNING = '{"event":"authorization","version":2,"time":'

ALLOW, DENY, UNAUTHENTICATED, ERROR = "allow", "deny", "unauthenticated", "error"


class Line:
    """The records of one decision on one route about all callers of one kind: they differ in who it is, in when and where from it
    was asked for, and in the id in the path, alone."""

    __slots__ = ("_call", "_decided", "_kind")

    def __init__(self, decision: str, reason: Reason, *, request: Request | None = None, caller: Caller | None = None) -> None:
        self._decided = _ALLOWED if reason is _ALLOW else _decided(decision, reason)
        self._call = _NO_CALL if request is None else _CALLS.get(request.call, _NO_CALL)
        self._kind = _kind(caller)

    def write(self, origin: Origin, request: Request | None = None, written: Written = NOBODY) -> None:
        """Write it for one call. Raises OSError when it cannot be written: what is not recorded must not be allowed."""
        request_id, source_ip = origin
        principal, ids, _ = written
        PROCESS.write(
            f"{_BEGINNING}{time_ns() // 1_000_000}{self._decided}{_NULL if request_id is None else json_string(request_id)}"
            f',"principal":{principal},"source_ip":{_NULL if source_ip is None else json_string(source_ip)}'
            f"{self._call}{_resource(request.parameters) if request and request.parameters else _NULL}{self._kind}{ids}"
        )


def _resource(parameters: dict[str, str]) -> str:
    # What is no id is whatever somebody sent.
    return next((f'"{value}"' for value in parameters.values() if ULID.fullmatch(value)), _NULL)


def _decided(decision: str, reason: Reason) -> str:
    return f',"decision":"{decision}","reason":"{reason.value}","action":null,"request_id":'


_ALLOW = Reason.ALLOWED
_ALLOWED = _decided(ALLOW, _ALLOW)


def _kind(caller: Caller | None) -> str:
    groups, auth_method, client_id = _NULL, _NULL, _NULL
    if caller is not None:
        groups, auth_method = json_names(caller.groups), json_string(caller.auth_method)
        client_id = _NULL if caller.client_id is None else json_string(caller.client_id)
    return f',"groups":{groups},"auth_method":{auth_method},"client_id":{client_id},'
