"""Wildcard patterns over all strings, as a finite number of cases: exact, not a sample.

The policies of a stack name finitely many patterns. Two strings that match the same of these patterns get the same answer from
every policy. So all strings fall into finitely many classes, one for each set of patterns that some string matches and no other
of them. Patterns that always stand together (the actions of one statement) count as one, a language. ``classes`` finds these
sets, each with a shortest string of it, by walking the product of the patterns' automata. A solver that chooses among the classes
has chosen among all strings. tests/posture/proof/test_wildcards.py holds it to that.
"""

import functools
import re
from collections.abc import Iterator, Mapping

from posture.proof.exported import NotUnderstood

# Wildcards are tokens of more than one character, so that a literal asterisk is none.
ANY, ONE = "any", "one"
# In the first five parts of an ARN a wildcard does not reach beyond its part.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_ARN
ANY_INSIDE, ONE_INSIDE = "any in the part", "one in the part"
_ARN_PARTS = 5

# Far above what any stack of this project needs; a policy that is made to be confusing is refused.
MOST_STATES = 200_000
# What stands in an example for a character that no pattern names.
_FILLERS = "x0123456789abcdefghijklmnopqrstuvwyz_"

Tokens = tuple[str, ...]
Language = tuple[Tokens, ...]
"""The strings that match one of some patterns."""
_Position = tuple[int, int, int]
"""How far a pattern has come: its language, its number in it, and its next token."""


def tokens(pattern: str, *, arn: bool = False) -> Tokens:
    """A pattern of IAM as tokens; with ``arn``, as ArnLike reads it. A literal text is ``tuple(text)``."""
    everywhere, inside = {"*": ANY, "?": ONE}, {"*": ANY_INSIDE, "?": ONE_INSIDE}
    if not arn or pattern.count(":") < _ARN_PARTS:
        return tuple(everywhere.get(char, char) for char in pattern)
    *head, last = pattern.split(":", _ARN_PARTS)
    in_parts = (inside.get(char, char) for part in head for char in part + ":")
    return (*in_parts, *(everywhere.get(char, char) for char in last))


class _Product:
    """The automata of languages side by side."""

    def __init__(self, languages: tuple[Language, ...]) -> None:
        self._languages = languages

    def start(self) -> frozenset[_Position]:
        """Where all patterns begin."""
        pairs = [(one, two) for one, language in enumerate(self._languages) for two in range(len(language))]
        return frozenset(position for one, two in pairs for position in self._reached((one, two, 0)))

    def _next(self, position: _Position) -> str | None:
        language, pattern, at = position
        found = self._languages[language][pattern]
        return found[at] if at < len(found) else None

    def _reached(self, position: _Position) -> Iterator[_Position]:
        """A position, and those that its wildcards reach without a character."""
        yield position
        while self._next(position) in (ANY, ANY_INSIDE):
            position = (*position[:2], position[2] + 1)
            yield position

    def after(self, positions: frozenset[_Position], char: str) -> frozenset[_Position]:
        """Where the patterns are after one more character."""
        moved: set[_Position] = set()
        for position in positions:
            token = self._next(position)
            if token == ANY or (token == ANY_INSIDE and char != ":"):
                moved.add(position)
                moved.update(self._reached(position))
            elif token in (char, ONE) or (token == ONE_INSIDE and char != ":"):
                moved.update(self._reached((*position[:2], position[2] + 1)))
        return frozenset(moved)

    def alphabet(self, positions: frozenset[_Position]) -> list[str]:
        """The characters that make a difference here, and one that stands for all others."""
        named = {token for position in positions if (token := self._next(position)) is not None}
        chars = {":" if token in (ANY_INSIDE, ONE_INSIDE) else token for token in named if token not in (ANY, ONE)}
        other = next((filler for filler in _FILLERS if filler not in chars), "\N{BULLET}")
        return [other, *sorted(chars)]

    def matched(self, positions: frozenset[_Position]) -> frozenset[int]:
        """The languages that what was read so far is of."""
        return frozenset(position[0] for position in positions if self._next(position) is None)


@functools.lru_cache(maxsize=4096)
def classes(languages: tuple[Language, ...]) -> Mapping[frozenset[int], str]:
    """For each set of languages that some string is of, and of no other: a shortest such string. Raises NotUnderstood."""
    product = _Product(languages)
    start = product.start()
    found: dict[frozenset[int], str] = {}
    seen, row = {start}, [(start, "")]
    while row:
        following: list[tuple[frozenset[_Position], str]] = []
        for positions, text in row:
            found.setdefault(product.matched(positions), text)
            for char in product.alphabet(positions):
                reached = product.after(positions, char)
                if reached not in seen:
                    seen.add(reached)
                    following.append((reached, text + char))
        if len(seen) > MOST_STATES:
            raise NotUnderstood("the wildcards of the policies overlap in more ways than can be told apart: simplify them")
        row = following
    return found


_EXPRESSIONS = {ANY: ".*", ONE: ".", ANY_INSIDE: "[^:]*", ONE_INSIDE: "[^:]"}


@functools.lru_cache(maxsize=4096)
def _expression(pattern: Tokens) -> re.Pattern[str]:
    return re.compile("".join(_EXPRESSIONS.get(token) or re.escape(token) for token in pattern), re.DOTALL)


def matches(language: Language, text: str) -> bool:
    """Whether one string is of a language."""
    return any(_expression(pattern).fullmatch(text) for pattern in language)
