"""Jinja2 as every kind of gateway uses it: nothing undefined, nothing guessed, and a filter that quotes for its language."""

from collections.abc import Callable
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from gateways.model import GatewayError

Quote = Callable[[Any], str]


@cache
def environment(kind: str, **filters: Quote) -> Environment:
    """Loads ``gateways/<kind>/*.j2``. ``filters`` are the languages' quoting filters and what else the templates need."""
    made = Environment(
        loader=PackageLoader("gateways", kind),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # no HTML: each language has a filter that quotes, and refuses what it cannot
    )
    made.filters.update(filters)
    return made


def double_quoted(text: object, *, special: str = '"\\$') -> str:
    """In double quotes. Raises GatewayError for a text with a character that would mean something inside them, or no ASCII."""
    value = str(text)
    if not value.isascii() or not value.isprintable() or any(character in value for character in special):
        raise GatewayError(f"This cannot be written into the configuration: {value[:200]!r}.")
    return f'"{value}"'
