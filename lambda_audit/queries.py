"""What a search asks for, and the filter pattern that CloudWatch Logs gets of it.

A pattern is made of our own words and of values that hold no character with a meaning in one: no quotation mark, no backslash, no
asterisk. https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from lambda_api import answers, members
from lambda_api.members import Broken
from lambda_audit.lines import EVENTS
from lambda_authorizer.access_policy import ACCESS_POLICY
from lambda_authorizer.problems import Refused

MOST, DEFAULT = 1000, 100
"""Records on a page."""
DAY = 24 * 3600 * 1000
"""Milliseconds."""

FORMS = ("records", "lines")
DECISIONS = ("allow", "deny", "unauthenticated", "error")
METHODS = tuple(sorted({rule.method for rule in ACCESS_POLICY}))
ROUTES = frozenset(rule.route for rule in ACCESS_POLICY)

_EPOCH = re.compile(r"[0-9]{1,10}(\.[0-9]{1,6})?")
_CURSOR = re.compile(r"([0-9]{1,13})\.([0-9]{1,6})")
_TEXT_LENGTH = 100


class Cursor(NamedTuple):
    """Where another page ended: at ``moment``, in milliseconds since the epoch, of which ``given`` records are known already."""

    moment: int
    given: int


class Query(NamedTuple):
    """The records from ``since`` to ``until``, both in milliseconds since the epoch and inclusive, whose fields have these values
    and one of whose fields holds the text, in any case."""

    since: int
    until: int
    fields: Mapping[str, str]
    text: str | None
    limit: int
    cursor: Cursor | None
    exact: bool = False
    """Whether the lines are wanted as they were written, whatever they say."""

    def pattern(self, stream: str) -> str:
        """The filter pattern for the lines of a stream. A route has braces, as patterns have: it is left to ``matches``."""
        if self.exact:
            return "{ $.sequence > 0 }"
        events = " || ".join(f'($.event = "{event}")' for event in EVENTS[stream])
        conditions = [f"({events})" if len(EVENTS[stream]) > 1 else events]
        conditions += [f'($.{name} = "{value}")' for name, value in self.fields.items() if name != "route"]
        return "{ " + " && ".join(conditions) + " }"

    def matches(self, record: Mapping[str, Any]) -> bool:
        """Whether a record is meant, whatever the pattern let through."""
        text = (self.text or "").casefold()
        return all(record.get(name) == value for name, value in self.fields.items()) and any(
            text in str(value).casefold() for value in record.values()
        )


def query(given: dict[str, str], *, now: float) -> Query:
    """What the query of a call asks for. ``now`` is in seconds since the epoch. Raises Refused."""
    rules: members.Rules = {
        "since": _moment,
        "until": _moment,
        **_FIELDS,
        "text": _text,
        "limit": lambda value: members.count(value, MOST),
        "cursor": _cursor,
        "form": lambda value: members.one_of(value, FORMS),
    }
    read = members.read(given, rules, whole="query")
    until = read.get("until", int(now * 1000))
    since = read.get("since", until - DAY)
    if since > until:
        raise Refused(answers.invalid([("since", "must not be after until")]))
    fields = {name: read[name] for name in _FIELDS if name in read}
    exact = read.get("form") == "lines"
    if exact and (fields or "text" in read):
        raise Refused(answers.invalid([("form", "must not be lines together with a filter: a chain has no holes")]))
    return Query(since, until, fields, read.get("text"), read.get("limit", DEFAULT), read.get("cursor"), exact)


def _moment(value: str) -> int:
    try:
        if _EPOCH.fullmatch(value):
            return int(float(value) * 1000)
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not None and moment.timestamp() >= 0:
            return int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        pass
    raise Broken("must be a time such as 2026-11-30T09:00:00Z, or seconds since the epoch")


def _cursor(value: str) -> Cursor:
    match = _CURSOR.fullmatch(value)
    if match is None:
        raise Broken("must be the next_cursor of another page")
    return Cursor(int(match[1]), int(match[2]))


def _text(value: str) -> str:
    if not 1 <= len(value) <= _TEXT_LENGTH or not value.isprintable():
        raise Broken(f"must be 1 to {_TEXT_LENGTH} characters")
    return value


class _Form:
    """Reads a value that has this form."""

    def __init__(self, pattern: str, rule: str) -> None:
        self._pattern = re.compile(pattern)
        self._rule = rule

    def __call__(self, value: str) -> str:
        if not self._pattern.fullmatch(value):
            raise Broken(self._rule)
        return value


def _route(value: str) -> str:
    if value not in ROUTES:
        raise Broken("must be a route as the access policy spells it, such as /analyses/{analysis_id}")
    return value


_FIELDS: members.Rules = {
    "decision": lambda value: members.one_of(value, DECISIONS),
    "principal": _Form(r"[A-Za-z0-9:/_+=,.@-]{1,256}", "must be a subject, program:<name> or the ARN of a role"),
    "reason": _Form(r"[a-z0-9_]{1,64}", "must be lower-case letters, digits and underscores"),
    "action": _Form(r"[a-z_]{1,64}", "must be lower-case letters and underscores, such as results_read"),
    "resource": _Form(r"[A-Za-z0-9_-]{1,128}", "must be the id of an upload, of an analysis or of a key, or a subject"),
    "request_id": _Form(r"[A-Za-z0-9-]{1,128}", "must be the id of a request"),
    "method": lambda value: members.one_of(value, METHODS),
    "route": _route,
    "source_ip": _Form(r"[0-9A-Fa-f:.]{2,45}", "must be an IP address"),
    "key_id": _Form(r"[A-Za-z0-9_-]{1,64}", "must be the public id of a key"),
}
