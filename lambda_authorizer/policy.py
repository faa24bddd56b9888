"""The decision on an authenticated caller, and the IAM policy that tells API Gateway about it.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html
"""

import re
from typing import Any, NamedTuple

from lambda_authorizer.access_policy import RULES, permits
from lambda_authorizer.assertion import subject
from lambda_authorizer.encoding import json_string
from lambda_authorizer.reasons import Reason

ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")  # https://github.com/ulid/spec

TOKEN, API_KEY = "token", "api_key"  # kinds of credential
TOLERANCE = 60
"""Seconds by which the clock of who issued a token and ours may differ."""

# A named tuple's own constructor takes three times as long.
_tuple = tuple.__new__
# A member of an enumeration takes longer to look up than the rest of a line takes.
ALLOWED = Reason.ALLOWED


class Caller(NamedTuple):
    """Who a verified credential belongs to. ``groups`` and ``scopes`` hold only those that the access policy knows."""

    principal: str
    groups: frozenset[str]
    scopes: frozenset[str]
    auth_method: str
    client_id: str | None = None
    token_id: str | None = None
    key_id: str | None = None
    signed_in_at: int | None = None
    """Seconds since the epoch; None for who did not sign in."""


class Written(NamedTuple):
    """How those of a caller's names that are nobody else's are written: as JSON in a record (the ids with their members' names),
    and the principal in an assertion."""

    principal: str
    ids: str
    subject: str


NOBODY = Written("null", '"token_id":null,"key_id":null', "")


def written(caller: Caller | None) -> Written:
    """Whatever is written of it begins no line and ends no text: everything beyond printable ASCII is escaped."""
    if caller is None:
        return NOBODY
    principal, _, _, _, _, token_id, key_id, _ = caller
    token_id = "null" if token_id is None else json_string(token_id)
    key_id = "null" if key_id is None else json_string(key_id)
    ids = f'"token_id":{token_id},"key_id":{key_id}'
    return _tuple(Written, (json_string(principal), ids, subject(principal)))


def decide(caller: Caller, call: tuple[str, str], parameters: dict[str, str] | None, now: float) -> Reason:
    """ALLOWED if the access policy opens the call to the caller, else the reason for the Deny.

    ``call`` is the method and the route's template, ``parameters`` the path's parts in its place: each is a ULID, whatever the
    route. None stands for a path of a form that no route of ours has. ``now`` is in seconds since the epoch.
    """
    rule = RULES.get(call)
    if rule is None:
        return Reason.NO_SUCH_ROUTE
    if parameters is None:
        return Reason.PATH_MALFORMED
    if not permits(rule, caller.groups, caller.scopes):
        return Reason.NOT_PERMITTED
    if parameters and not all(ULID.fullmatch(value) for value in parameters.values()):
        return Reason.ID_MALFORMED
    if rule.sign_in_age is not None and caller.auth_method == TOKEN and not _signed_in_within(rule.sign_in_age, caller, now):
        return Reason.SIGN_IN_TOO_OLD
    return ALLOWED


def _signed_in_within(seconds: int, caller: Caller, now: float) -> bool:
    # The issuer's clock may be ahead of ours; a sign-in further off has not happened.
    return caller.signed_in_at is not None and -TOLERANCE <= now - caller.signed_in_at <= seconds


def context(reason: Reason, caller: Caller) -> dict[str, str]:
    """What the API's log, and its mapping to the service, learn of a decision: API Gateway takes no lists. Who called, and what
    differs from call to call, ``document`` fills in; the rest is the same for all callers with these groups and scopes."""
    common = {
        "principal": "",
        "groups": ",".join(sorted(caller.groups)),
        "scopes": ",".join(sorted(caller.scopes)),
        "auth_method": caller.auth_method,
        "key_id": "",
        "decision": "allow" if reason is ALLOWED else "deny",
        "reason": reason.value,
        "request_id": "",
    }
    return {**common, "assertion": ""} if reason is ALLOWED else common


def document(
    reason: Reason, method_arn: str, caller: Caller, common: dict[str, str], request_id: str, assertion: str = ""
) -> dict[str, Any]:
    """What API Gateway expects from an authorizer: a policy for exactly the call at hand. Only ALLOWED allows, and hands the
    assertion on. ``common`` is the ``context`` of the decision, and is left as it is."""
    principal, _, _, _, _, _, key_id, _ = caller
    # A copy with room for all members: half the price of one that grows.
    context = common.copy()
    context["principal"], context["key_id"], context["request_id"] = principal, key_id or "", request_id
    effect = "Deny"
    if reason is ALLOWED:
        effect, context["assertion"] = "Allow", assertion
    return {
        "principalId": principal,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Action": "execute-api:Invoke", "Effect": effect, "Resource": method_arn}],
        },
        "context": context,
    }
