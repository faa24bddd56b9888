"""NAME=VALUE, as it is typed."""

import json
from collections.abc import Sequence
from typing import Any

from operator_cli.errors import WrongUse


def parse(texts: Sequence[str], what: str, example: str) -> dict[str, Any]:
    """Names and values; a value that reads as JSON (a number, true, null) is that, any other is text. Raises WrongUse.

    `what` is how the command line calls them, `example` one of them.
    """
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise WrongUse(f"{what} {text}: write it as NAME=VALUE, as in {example}")
        if name in values:
            raise WrongUse(f"{what} {name} is given twice.")
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value
    return values
