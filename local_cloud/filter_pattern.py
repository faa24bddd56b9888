"""Filter patterns of CloudWatch Logs for records in JSON: whether a pattern is one, and which records it matches.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html#matching-terms-json-log-events
What that page leaves open, and what nobody here needs, is refused rather than guessed: `&&` beside `||` without parentheses, an
array index, IS NULL and its like, a regular expression.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

Matcher = Callable[[Mapping[str, Any]], bool]

_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<mark>[(){}]|&&|\|\||!=|>=|<=|=|>|<)
      | (?P<field>\$(?:\.[A-Za-z_][\w-]*)+)
      | "(?P<text>[^"]*)"
      | (?P<word>[\w.*/:-]+)
    )""",
    re.VERBOSE,
)
_ABSENT: Final = object()


class PatternError(ValueError):
    """This is no pattern for records in JSON; the text says from where on."""


def parse(pattern: str) -> Matcher:
    """A function that tells whether a record matches. Raises PatternError."""
    return _Parser(pattern).whole()


def matches(pattern: str, record: str) -> bool:
    """Whether a pattern matches a line of a log, as TestMetricFilter tells it; a line without a JSON object never does.

    Raises PatternError.
    """
    matcher = parse(pattern)
    try:
        value = json.loads(record)
    except ValueError:
        return False
    return isinstance(value, dict) and matcher(value)


class _Parser:
    """One pass over a pattern, by recursive descent."""

    def __init__(self, pattern: str) -> None:
        self._pattern, self._tokens, place = pattern, list[tuple[str, str]](), 0
        while place < len(pattern.rstrip()):
            found = _TOKEN.match(pattern, place)
            if found is None:
                raise PatternError(f"not a filter pattern from {pattern[place : place + 20]!r} on")
            self._tokens.append((str(found.lastgroup), str(found[str(found.lastgroup)])))
            place = found.end()
        self._next = 0

    def whole(self) -> Matcher:
        self._expect("{")
        matcher = self._compound()
        self._expect("}")
        if self._next != len(self._tokens):
            raise PatternError("a filter pattern ends with its brace")
        return matcher

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._next] if self._next < len(self._tokens) else ("end", "")

    def _take(self, *kinds: str) -> str:
        kind, value = self._peek()
        if kind not in kinds:
            raise PatternError(f"{value or 'the end'!r} stands where {' or '.join(kinds)} was expected")
        self._next += 1
        return value

    def _expect(self, mark: str) -> None:
        if self._take("mark") != mark:
            raise PatternError(f"{mark!r} is missing")

    def _compound(self) -> Matcher:
        parts, joint = [self._one()], ""
        while self._peek() in (("mark", "&&"), ("mark", "||")):
            mark = self._take("mark")
            if joint not in ("", mark):
                raise PatternError("&& and || stand side by side: put parentheses around what belongs together")
            joint = mark
            parts.append(self._one())
        return (
            (lambda record: any(part(record) for part in parts))
            if joint == "||"
            else (lambda record: all(part(record) for part in parts))
        )

    def _one(self) -> Matcher:
        if self._peek() == ("mark", "("):
            self._expect("(")
            matcher = self._compound()
            self._expect(")")
            return matcher
        path = self._take("field")[2:].split(".")
        if self._peek()[0] == "word":
            return self._existence(path)
        return _comparison(path, self._take("mark"), self._peek()[0], self._take("text", "word"))

    def _existence(self, path: list[str]) -> Matcher:
        word = self._take("word")
        if word == "EXISTS":
            return lambda record: _at(record, path) is not _ABSENT
        if word == "NOT" and self._take("word") == "EXISTS":
            return lambda record: _at(record, path) is _ABSENT
        raise PatternError(f"{word} is not among EXISTS and NOT EXISTS")


def _at(record: Any, path: list[str]) -> Any:
    for name in path:
        if not isinstance(record, Mapping) or name not in record:
            return _ABSENT
        record = record[name]
    return record


def _comparison(path: list[str], operator: str, kind: str, value: str) -> Matcher:
    """A field compared with a number, or with a text in which * stands for anything. Without the field, no record matches."""
    number = float(value) if kind == "word" and re.fullmatch(r"-?\d+(\.\d+)?", value) else None
    if number is not None:
        return _number_comparison(path, operator, number)
    if operator not in ("=", "!="):
        raise PatternError(f"{operator} compares numbers, and {value!r} is none")
    expected = re.compile(".*".join(map(re.escape, value.split("*"))), re.DOTALL)

    def match(record: Mapping[str, Any]) -> bool:
        found = _at(record, path)
        return isinstance(found, str) and bool(expected.fullmatch(found)) == (operator == "=")

    return match


def _number_comparison(path: list[str], operator: str, number: float) -> Matcher:
    compare: dict[str, Callable[[float], bool]] = {
        "=": lambda found: found == number,
        "!=": lambda found: found != number,
        ">": lambda found: found > number,
        "<": lambda found: found < number,
        ">=": lambda found: found >= number,
        "<=": lambda found: found <= number,
    }
    if operator not in compare:
        raise PatternError(f"{operator!r} is no comparison")

    def match(record: Mapping[str, Any]) -> bool:
        found = _at(record, path)
        return isinstance(found, int | float) and not isinstance(found, bool) and compare[operator](found)

    return match
