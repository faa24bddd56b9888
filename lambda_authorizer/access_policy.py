"""Who may call what: the one table that drives the API, the authorizer, the service's own checks, the docs and the tests.

A row is a method of a route. It names the Cognito groups and the API-key scopes that open it, how often it may be called,
and the largest body it takes. A route that is not in the table does not exist. Standard library only, and no imports that a
cold start does not need.

Scopes are named ``resource:action``. In an OAuth2 access token they carry the resource server's prefix, ``heartmap/``.
"""

from typing import NamedTuple

VIEWER, ANALYST, ADMIN = "viewer", "analyst", "admin"
GROUPS = frozenset({VIEWER, ANALYST, ADMIN})

MODELS_READ = "models:read"
CONFIG_READ, CONFIG_WRITE = "config:read", "config:write"
UPLOADS_READ, UPLOADS_WRITE = "uploads:read", "uploads:write"
ANALYSES_READ, ANALYSES_WRITE = "analyses:read", "analyses:write"
SCOPES = frozenset({MODELS_READ, CONFIG_READ, CONFIG_WRITE, UPLOADS_READ, UPLOADS_WRITE, ANALYSES_READ, ANALYSES_WRITE})

RESOURCE_SERVER = "heartmap"

# API Gateway's own limit, which cannot be raised: larger bodies never reach a method.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
GATEWAY_BODY_LIMIT = 10 * 1024 * 1024
JSON_BODY_LIMIT = 64 * 1024

STEP_UP_AGE = 15 * 60
"""Seconds."""

SERVICE, KEYS, USERS, AUDIT = "service", "keys", "users", "audit"
"""What answers a call: the service behind the load balancer, or the Lambda function of keys, of users or of the audit trail."""


class Rule(NamedTuple):
    """One row. ``rate`` is in requests a second for all callers together, ``burst`` in requests, ``body`` in bytes."""

    method: str
    route: str
    groups: frozenset[str]
    scopes: frozenset[str]
    rate: float
    burst: int
    body: int
    any_principal: bool = False
    """Open to whoever is authenticated, with or without a group or a scope of ours."""
    sign_in_age: int | None = None
    """Seconds since a person signed in, at most, for the row to open to them (RFC 9470's ``max_age``). Signing in takes a second
    factor where the user pool asks for one, and in prod it does. A program's credential has no sign-in to speak of."""
    answered_by: str = SERVICE


_EVERYONE = GROUPS
_ANALYSTS = frozenset({ANALYST, ADMIN})
_ADMINS = frozenset({ADMIN})


def _rule(
    method: str,
    route: str,
    groups: frozenset[str],
    scope: str | None,
    *,
    rate: float,
    burst: int,
    body: int = 0,
    any_principal: bool = False,
    sign_in_age: int | None = None,
    answered_by: str = SERVICE,
) -> Rule:
    scopes = frozenset({scope} if scope else ())
    return Rule(method, route, groups, scopes, rate, burst, body, any_principal, sign_in_age, answered_by)


ACCESS_POLICY: tuple[Rule, ...] = (
    _rule("GET", "/", _EVERYONE, None, rate=20, burst=40, any_principal=True),
    _rule("GET", "/health", _EVERYONE, None, rate=20, burst=40, any_principal=True),
    _rule("GET", "/models", _EVERYONE, MODELS_READ, rate=20, burst=40),
    _rule("GET", "/config", _EVERYONE, CONFIG_READ, rate=20, burst=40),
    _rule("POST", "/config", _ADMINS, CONFIG_WRITE, rate=2, burst=10, body=JSON_BODY_LIMIT, sign_in_age=STEP_UP_AGE),
    _rule("GET", "/config/versions", _EVERYONE, CONFIG_READ, rate=20, burst=40),
    _rule("GET", "/uploads", _ANALYSTS, UPLOADS_READ, rate=20, burst=40),
    _rule("POST", "/uploads", _ANALYSTS, UPLOADS_WRITE, rate=5, burst=20, body=JSON_BODY_LIMIT),
    _rule("GET", "/uploads/{upload_id}", _ANALYSTS, UPLOADS_READ, rate=20, burst=40),
    _rule("PATCH", "/uploads/{upload_id}", _ANALYSTS, UPLOADS_WRITE, rate=5, burst=20, body=JSON_BODY_LIMIT),
    _rule("POST", "/uploads/{upload_id}/parts", _ANALYSTS, UPLOADS_WRITE, rate=20, burst=40, body=JSON_BODY_LIMIT),
    _rule("POST", "/uploads/{upload_id}/complete", _ANALYSTS, UPLOADS_WRITE, rate=5, burst=20, body=1024 * 1024),
    _rule("POST", "/analyses", _ANALYSTS, ANALYSES_WRITE, rate=5, burst=20, body=JSON_BODY_LIMIT),
    _rule("GET", "/analyses", _EVERYONE, ANALYSES_READ, rate=20, burst=40),
    _rule("GET", "/analyses/{analysis_id}", _EVERYONE, ANALYSES_READ, rate=20, burst=40),
    _rule("GET", "/analyses/{analysis_id}/results", _EVERYONE, ANALYSES_READ, rate=20, burst=40),
    _rule("PATCH", "/analyses/{analysis_id}", _ANALYSTS, ANALYSES_WRITE, rate=5, burst=20, body=JSON_BODY_LIMIT),
    _rule("DELETE", "/analyses/{analysis_id}", _ANALYSTS, ANALYSES_WRITE, rate=5, burst=20),
    _rule("POST", "/analyze", _ANALYSTS, ANALYSES_WRITE, rate=2, burst=10, body=GATEWAY_BODY_LIMIT),
    _rule("GET", "/keys", _ADMINS, None, rate=5, burst=20, answered_by=KEYS),
    _rule("POST", "/keys", _ADMINS, None, rate=2, burst=10, body=JSON_BODY_LIMIT, sign_in_age=STEP_UP_AGE, answered_by=KEYS),
    _rule(
        "POST",
        "/keys/{key_id}/rotate",
        _ADMINS,
        None,
        rate=2,
        burst=10,
        body=JSON_BODY_LIMIT,
        sign_in_age=STEP_UP_AGE,
        answered_by=KEYS,
    ),
    _rule("DELETE", "/keys/{key_id}", _ADMINS, None, rate=5, burst=20, sign_in_age=STEP_UP_AGE, answered_by=KEYS),
    # A username may be an e-mail address: it stands in a body, where no log of requests has it.
    _rule("GET", "/users", _ADMINS, None, rate=5, burst=20, answered_by=USERS),
    _rule("POST", "/users", _ADMINS, None, rate=2, burst=10, body=JSON_BODY_LIMIT, sign_in_age=STEP_UP_AGE, answered_by=USERS),
    _rule("PATCH", "/users", _ADMINS, None, rate=2, burst=10, body=JSON_BODY_LIMIT, sign_in_age=STEP_UP_AGE, answered_by=USERS),
    _rule("GET", "/audit", _ADMINS, None, rate=5, burst=20, answered_by=AUDIT),
    _rule("GET", "/audit/seals", _ADMINS, None, rate=5, burst=20, answered_by=AUDIT),
)

RULES: dict[tuple[str, str], Rule] = {(rule.method, rule.route): rule for rule in ACCESS_POLICY}


def permits(rule: Rule, groups: frozenset[str], scopes: frozenset[str]) -> bool:
    """Whether a principal with these groups and scopes may use the row."""
    return rule.any_principal or not rule.groups.isdisjoint(groups) or not rule.scopes.isdisjoint(scopes)
