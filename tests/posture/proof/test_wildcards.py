"""The classes of strings are exact: every string is in one, and each is of some string."""

import fnmatch
from typing import cast

import pytest
import z3
from hypothesis import given, settings
from hypothesis import strategies as st

from posture.proof import wildcards
from posture.proof.exported import NotUnderstood
from posture.proof.wildcards import ANY, ONE, Language, Tokens, classes, matches, tokens

PATTERNS = st.lists(st.text("ab*?", max_size=5), min_size=1, max_size=4)
ARNS = st.lists(st.lists(st.text("a*?", max_size=2), min_size=6, max_size=7).map(":".join), min_size=1, max_size=3)


def languages_of(patterns: list[str], *, arn: bool = False) -> tuple[Language, ...]:
    return tuple((tokens(pattern, arn=arn),) for pattern in patterns)


@settings(max_examples=50, deadline=None)
@given(PATTERNS, st.text("abc", max_size=7))
def test_every_string_is_of_a_class(patterns: list[str], text: str) -> None:
    matched = frozenset(number for number, pattern in enumerate(patterns) if fnmatch.fnmatchcase(text, pattern))
    assert matched in classes(languages_of(patterns))


@settings(max_examples=50, deadline=None)
@given(PATTERNS)
def test_each_class_is_of_its_example(patterns: list[str]) -> None:
    for matched, example in classes(languages_of(patterns)).items():
        found = {number for number, pattern in enumerate(patterns) if fnmatch.fnmatchcase(example, pattern)}
        assert found == matched


@settings(max_examples=50, deadline=None)
@given(ARNS, st.lists(st.text("ab", max_size=2), min_size=5, max_size=8).map(":".join))
def test_every_string_is_of_a_class_also_as_arns_are_read(patterns: list[str], text: str) -> None:
    languages = languages_of(patterns, arn=True)
    matched = frozenset(number for number, language in enumerate(languages) if matches(language, text))
    found = classes(languages)
    assert matched in found
    assert all(matches(languages[number], example) for which, example in found.items() for number in which)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.text("ab*", max_size=4), min_size=1, max_size=3), min_size=1, max_size=3), st.text("abc", max_size=6))
def test_patterns_that_stand_together_are_one(groups: list[list[str]], text: str) -> None:
    languages = tuple(tuple(map(tokens, group)) for group in groups)
    matched = frozenset(
        number for number, group in enumerate(groups) if any(fnmatch.fnmatchcase(text, pattern) for pattern in group)
    )
    assert matched in classes(languages)


def _expression(pattern: Tokens) -> z3.ReRef:
    any_char = z3.AllChar(z3.ReSort(z3.StringSort()))
    parts = [z3.Star(any_char) if one == ANY else any_char if one == ONE else z3.Re(one) for one in pattern]
    return cast(z3.ReRef, z3.Concat(*parts)) if len(parts) > 1 else parts[0]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.text("ab*", min_size=1, max_size=3), min_size=1, max_size=2))
def test_the_theory_of_strings_knows_no_string_beyond_the_classes(patterns: list[str]) -> None:
    text, languages = z3.String("text"), languages_of(patterns)
    solver = z3.Solver()
    for matched in classes(languages):
        within = [z3.InRe(text, _expression(language[0])) for language in languages]
        solver.add(z3.Not(z3.And(*(one if number in matched else z3.Not(one) for number, one in enumerate(within)))))
    assert solver.check() == z3.unsat


def test_an_asterisk_that_is_meant_is_no_wildcard() -> None:
    assert not matches((tuple("a*"),), "ab")
    assert matches((tuple("a*"),), "a*")


def test_a_wildcard_in_the_middle_of_an_arn_stays_in_its_part() -> None:
    pattern = "arn:aws:iam::*:role/*"
    assert matches((tokens(pattern, arn=True),), "arn:aws:iam::1:role/a:b")
    assert not matches((tokens(pattern, arn=True),), "arn:aws:iam::1:x:role/a")
    assert matches((tokens(pattern),), "arn:aws:iam::1:x:role/a")


def test_wildcards_beyond_telling_apart_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wildcards, "MOST_STATES", 100)
    with pytest.raises(NotUnderstood, match="simplify"):
        classes(languages_of([f"*{char}*{char}*" for char in "abcdefgh"]))
