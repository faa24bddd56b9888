"""What the calls ask for."""

import re
from typing import NamedTuple

from lambda_api import members
from lambda_api.members import Broken
from lambda_authorizer.access_policy import ADMIN, ANALYST, VIEWER

ROLES = (VIEWER, ANALYST, ADMIN)
MOST, DEFAULT = 60, 25
"""Users on a page. Cognito gives no more at a time:
https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_ListUsers.html."""
EMAIL_LENGTH, USERNAME_LENGTH = 128, 128
"""Characters. A username has no more, and the address is the username of whoever is invited."""
EMAIL = r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+"
"""As browsers have it (https://html.spec.whatwg.org/multipage/input.html#valid-e-mail-address), with a dot in the domain. There
is no quotation mark in it, which would end the text in a filter of Cognito's."""

_EMAIL = re.compile(EMAIL)
_CURSOR = re.compile(r"[!-~]{1,4096}")


class Page(NamedTuple):
    """``GET /users``: at most so many, after where another page ended."""

    limit: int
    cursor: str | None


class NewUser(NamedTuple):
    """``POST /users``. The address is in lower case: Cognito's usernames are the same in any."""

    email: str
    group: str


class Change(NamedTuple):
    """``PATCH /users``. What is None stays as it is; ``no_group`` takes the group away."""

    username: str
    group: str | None
    no_group: bool
    enabled: bool | None
    reset_mfa: bool


def page(query: dict[str, str]) -> Page:
    """What the query asks for. Raises Refused."""
    given = members.read(query, {"limit": lambda value: members.count(value, MOST), "cursor": _cursor}, whole="query")
    return Page(given.get("limit", DEFAULT), given.get("cursor"))


def new_user(data: bytes) -> NewUser:
    """What the body of ``POST /users`` asks for. Raises Refused."""
    given = members.of_body(data, {"email": _email, "group": _role}, required=("email", "group"))
    return NewUser(given["email"], given["group"])


def change(data: bytes) -> Change:
    """What the body of ``PATCH /users`` asks for. Raises Refused."""
    rules: members.Rules = {"username": _username, "group": _role_or_none, "enabled": _flag, "reset_mfa": _reset}
    given = members.of_body(data, rules, required=("username",))
    members.need_one_of(given, ("group", "enabled", "reset_mfa"))
    group = given.get("group")
    return Change(
        given["username"], group, "group" in given and group is None, given.get("enabled"), given.get("reset_mfa", False)
    )


def _cursor(value: str) -> str:
    if not _CURSOR.fullmatch(value):
        raise Broken("must be the next_cursor of another page")
    return value


def _email(value: object) -> str:
    if isinstance(value, str) and value.isascii() and len(value) <= EMAIL_LENGTH and _EMAIL.fullmatch(value.lower()):
        return value.lower()
    raise Broken(f"must be an e-mail address of at most {EMAIL_LENGTH} characters")


def _role(value: object) -> str:
    return members.one_of(value, ROLES)


def _role_or_none(value: object) -> str | None:
    return None if value is None else _role(value)


def _username(value: object) -> str:
    if isinstance(value, str) and 1 <= len(value) <= USERNAME_LENGTH and value.isprintable() and not value.isspace():
        return value
    raise Broken(f"must be the username of somebody, of at most {USERNAME_LENGTH} characters")


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise Broken("must be true or false")
    return value


def _reset(value: object) -> bool:
    if value is not True:
        raise Broken("must be true where it is there")
    return value
