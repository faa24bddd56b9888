"""The calls that are answered here, and which key they are about."""

from typing import Any

from lambda_api import answers
from lambda_authorizer.problems import Refused
from lambda_keys import ulids

CREATE, LIST, ROTATE, REVOKE = "create", "list", "rotate", "revoke"
# The rows of the access policy that are answered here.
ACTIONS = {
    ("POST", "/keys"): CREATE,
    ("GET", "/keys"): LIST,
    ("POST", "/keys/{key_id}/rotate"): ROTATE,
    ("DELETE", "/keys/{key_id}"): REVOKE,
}


def key_id(event: dict[str, Any], route: str) -> str:
    """The ULID in the path, empty on routes without one. Raises Refused."""
    if "{key_id}" not in route:
        return ""
    parameters = event.get("pathParameters")
    value = parameters.get("key_id") if isinstance(parameters, dict) else None
    # The authorizer opens the route for a ULID alone.
    if not isinstance(value, str) or not ulids.PATTERN.fullmatch(value):
        raise Refused(answers.WRONG_ROUTE)
    return value
