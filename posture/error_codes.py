"""The codes that the code base answers with, read from its sources: who raises an error writes its code there."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
NAMED: Mapping[str, int] = MappingProxyType({})


class Raised(NamedTuple):
    """An error as a source writes it. ``code`` is None where an expression makes it that only the program can evaluate.

    ``text`` and ``step`` are what it says and what to do about it, with … where something is filled in.
    """

    file: str
    code: str | None
    expression: str
    text: str
    step: str


def raised(pattern: str, places: Mapping[str, int] = NAMED) -> Iterator[Raised]:
    """Every error in the files of a pattern. ``places`` are its kinds, and which of their arguments is the code.

    Without, every call with an argument that is named `code` makes an error.
    """
    for path in sorted(ROOT.glob(pattern)):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield from _of_call(path.relative_to(ROOT).as_posix(), node, places)


def _of_call(file: str, node: ast.Call, places: Mapping[str, int]) -> Iterator[Raised]:
    named = {each.arg: each.value for each in node.keywords}
    if not places and "code" in named:
        yield from _each(file, named["code"], _text(node.args[0] if node.args else None), _text(named.get("next_step")))
    place = places.get(ast.unparse(node.func).rpartition(".")[2], len(node.args))
    if place < len(node.args):
        yield from _each(file, node.args[place], _text(node.args[place + 1] if place + 1 < len(node.args) else None), "")


def _each(file: str, code: ast.expr, text: str, step: str) -> Iterator[Raised]:
    for constant in list(_constants(code)) or [None]:
        yield Raised(file, constant, ast.unparse(code), text, step)


def _constants(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from (*_constants(node.body), *_constants(node.orelse))
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from _constants(value)


def _text(node: ast.expr | None) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return ""
