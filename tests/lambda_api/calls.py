"""What the tests of the functions behind the API share: the secret, and the events that API Gateway would send."""

import base64
import json
import time
from typing import Any

from lambda_authorizer import assertion

PEPPER = bytes(range(32))
ASSERTION_KEYS = {"a1": b"a" * 32, "b2": b"b" * 32}
ADMIN = "5f0d3c1e-0c4c-4b5e-9a6e-2f4ad9f3c001"
REQUEST_ID = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
SECRET = json.dumps(
    {
        "api_key_pepper": base64.b64encode(PEPPER).decode(),
        "assertion_keys": {key_id: base64.b64encode(key).decode() for key_id, key in ASSERTION_KEYS.items()},
        "current_assertion_key": "a1",
    }
)


def event(
    method: str,
    route: str,
    body: Any = None,
    *,
    query: dict[str, Any] | None = None,
    parameters: dict[str, str] | None = None,
    said: Any = None,
    **changes: Any,
) -> dict[str, Any]:
    """The event of a call that the authorizer let through.

    ``said`` changes what the assertion says, ``changes`` the event. A body that is no text is sent as JSON; a parameter of the
    query that is a list occurs that often.
    """
    minted = {
        "keys": assertion.Keys("a1", ASSERTION_KEYS),
        "principal": ADMIN,
        "groups": ["admin"],
        "scopes": [],
        "route": route,
        "method": method,
        "request_id": REQUEST_ID,
        "now": time.time(),
    } | (said or {})
    path = route
    for name, value in (parameters or {}).items():
        path = path.replace(f"{{{name}}}", value)
    headers = {"Host": "api.example.org", "Content-Type": "application/json"}
    several = {name: value if isinstance(value, list) else [value] for name, value in (query or {}).items()}
    return {
        "resource": route,
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {name: values[-1] for name, values in several.items()} or None,
        "multiValueQueryStringParameters": several or None,
        "pathParameters": parameters,
        "stageVariables": None,
        "requestContext": {
            "resourcePath": route,
            "httpMethod": method,
            "path": f"/live{path}",
            "requestId": REQUEST_ID,
            "identity": {"sourceIp": "192.0.2.7"},
            "authorizer": {"principalId": ADMIN, "assertion": assertion.mint(**minted), "integrationLatency": 12},
        },
        "body": body if body is None or isinstance(body, str) else json.dumps(body),
        "isBase64Encoded": False,
    } | changes


def everyone_else() -> list[tuple[str, dict[str, Any], int]]:
    """Whom a function for administrators refuses: what changes of the event, by a word, and the status of the answer."""
    forged = {"keys": assertion.Keys("b2", {"b2": b"c" * 32})}
    return [
        ("a viewer", {"said": {"groups": ["viewer"]}}, 403),
        ("an analyst", {"said": {"groups": ["analyst"]}}, 403),
        ("a scope of each kind", {"said": {"groups": [], "scopes": ["config:write", "analyses:write"]}}, 403),
        ("nobody's rights", {"said": {"groups": []}}, 403),
        ("a forged assertion", {"said": forged}, 401),
        ("an old assertion", {"said": {"now": time.time() - 3600}}, 401),
        ("another request's assertion", {"said": {"request_id": "d7bf9ac6-7b61-11e6-9a41-93e8deadbeef"}}, 401),
        ("another route's assertion", {"said": {"route": "/keys", "method": "GET"}}, 403),
        (
            "no assertion",
            {"requestContext": {"requestId": REQUEST_ID, "authorizer": {"principalId": ADMIN, "groups": "admin"}}},
            401,
        ),
        ("no authorizer", {"requestContext": {"requestId": REQUEST_ID}}, 401),
    ]
