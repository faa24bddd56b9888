"""The decision on an authenticated caller, and the IAM policy that tells API Gateway about it.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html
"""

import re
from functools import lru_cache
from typing import Any, NamedTuple

from lambda_authorizer.access_policy import RULES, permits
from lambda_authorizer.reasons import Reason

ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")  # https://github.com/ulid/spec

TOKEN, API_KEY = "token", "api_key"  # kinds of credential
TOLERANCE = 60
"""Seconds by which the clock of who issued a token and ours may differ."""

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
    """What the API's log, and its mapping to the service, learn of a decision. API Gateway takes no lists."""
    principal, groups, scopes, auth_method, _, _, key_id, _ = caller
    return {
        "principal": principal,
        "groups": _listed(groups),
        "scopes": _listed(scopes),
        "auth_method": auth_method,
        "key_id": key_id or "",
        "decision": "allow" if reason is ALLOWED else "deny",
        "reason": "allowed" if reason is ALLOWED else reason.value,
    }


# There are few sets of groups and scopes, and they come again and again.
@lru_cache(maxsize=256)
def _listed(names: frozenset[str]) -> str:
    return ",".join(sorted(names))


def document(reason: Reason, method_arn: str, context: dict[str, str]) -> dict[str, Any]:
    """What API Gateway expects from an authorizer: a policy for exactly the call at hand. Only ALLOWED allows."""
    effect = "Allow" if reason is ALLOWED else "Deny"
    return {
        "principalId": context["principal"],
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Action": "execute-api:Invoke", "Effect": effect, "Resource": method_arn}],
        },
        "context": context,
    }
