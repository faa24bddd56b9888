"""Which licence each distribution has, and whether it may be there: posture/supply/licences.yaml says why."""

from collections.abc import Mapping
from email.message import Message
from pathlib import Path
from typing import Any

import yaml
from boolean import Expression
from license_expression import AND, OR, ExpressionError, get_spdx_licensing

FILE = Path(__file__).with_name("licences.yaml")
NOT_STATED = "NOASSERTION"
"""In place of a licence that a package does not state in a way that one could hold it to (SPDX)."""

# Classifiers that name one licence. The others, such as "BSD License", name several.
_CLASSIFIED = {
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
_SPDX = get_spdx_licensing()


def rules() -> dict[str, Any]:
    """The file as it stands."""
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def of(name: str, metadata: Message, by_hand: Mapping[str, str]) -> str:
    """The licence of a distribution as an SPDX expression: as it states it, by its one classifier, or as read by hand."""
    for stated in (metadata.get("License-Expression"), metadata.get("License")):
        if stated and _parsed(stated) is not None:
            return stated
    classified = {one for one in metadata.get_all("Classifier", []) if one.startswith("License :: ")}
    if len(classified) == 1 and (only := classified.pop()) in _CLASSIFIED and name not in by_hand:
        return _CLASSIFIED[only]
    return by_hand.get(name, NOT_STATED)


def refused(name: str, expression: str, allowed: Mapping[str, Mapping[str, Any]]) -> str:
    """Why a package of this licence may not be there; nothing when it may."""
    parsed = _parsed(expression)
    if parsed is None:
        return f"{name}: its licence is not known ({expression}). Read it, and put it into {FILE.name}"
    return "" if _may(name, parsed, allowed) else f"{name}: {expression} is not among the licences that may be there"


def _parsed(expression: str) -> Expression | None:
    try:
        return _SPDX.parse(expression, validate=True)
    except ExpressionError:
        return None


def _may(name: str, parsed: Any, allowed: Mapping[str, Mapping[str, Any]]) -> bool:
    if isinstance(parsed, OR):
        return any(_may(name, part, allowed) for part in parsed.args)
    if isinstance(parsed, AND):
        return all(_may(name, part, allowed) for part in parsed.args)
    rule = allowed.get(parsed.render())
    return rule is not None and name in rule.get("only", [name])
