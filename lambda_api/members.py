"""The members of a body or of a query, read by hand: a library for it would cost more of a cold start than all the rest.

A refusal names the member and the rule that it breaks, never what was sent.
"""

from collections.abc import Callable, Mapping
from typing import Any

from lambda_api import answers
from lambda_authorizer.encoding import json_object
from lambda_authorizer.problems import Refused

Rules = Mapping[str, Callable[[Any], Any]]
"""What reads each member that may be there; it raises Broken."""


class Broken(Exception):
    """A member breaks this rule."""


def of_body(data: bytes, rules: Rules, *, required: tuple[str, ...] = ()) -> dict[str, Any]:
    """The members of a JSON object. Raises Refused."""
    try:
        given = json_object(data)
    except ValueError:
        raise Refused(answers.invalid([("body", "must be one JSON object in UTF-8, in which no member occurs twice")])) from None
    return read(given, rules, whole="body", required=required)


def read(given: Mapping[str, Any], rules: Rules, *, whole: str, required: tuple[str, ...] = ()) -> dict[str, Any]:
    """Those members that are there, each by its rule; ``whole`` is what they are members of. Raises Refused."""
    members: dict[str, Any] = {}
    errors = [(name, "is required") for name in required if name not in given]
    for name, rule in rules.items():
        try:
            if name in given:
                members[name] = rule(given[name])
        except Broken as broken:
            errors.append((name, str(broken)))
    if not given.keys() <= rules.keys():
        errors.append((whole, f"must have no other members than {', '.join(rules)}"))
    if errors:
        raise Refused(answers.invalid(errors))
    return members


def whole_number(value: object, least: int, most: int) -> int:
    """A whole number within bounds."""
    # Not isinstance: true is an int.
    if type(value) is not int or not least <= value <= most:
        raise Broken(f"must be a whole number from {least} to {most}")
    return value


def count(value: str, most: int) -> int:
    """A whole number from 1 on, as a query writes it."""
    if not (value.isascii() and value.isdigit() and len(value) <= 9 and 1 <= int(value) <= most):
        raise Broken(f"must be a whole number from 1 to {most}")
    return int(value)


def one_of(value: object, values: tuple[str, ...]) -> str:
    """One of some texts."""
    if not isinstance(value, str) or value not in values:
        raise Broken(f"must be one of {', '.join(values)}")
    return value


def need_one_of(given: Mapping[str, Any], names: tuple[str, ...]) -> None:
    """Raises Refused when none of these members is there."""
    if given.keys().isdisjoint(names):
        raise Refused(answers.invalid([("body", f"must have at least one of {', '.join(names)}")]))
