"""The codes that the code base answers with, read from its sources: who raises an error writes its code there."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
_CODE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


class Raised(NamedTuple):
    """An error as a source writes it. ``code`` is None where an expression makes it that only the program can evaluate.

    ``text`` and ``step`` are what it says and what to do about it, with … where something is filled in.
    """

    file: str
    code: str | None
    expression: str
    text: str
    step: str


def raised(pattern: str, *names: str) -> Iterator[Raised]:
    """Every error of these kinds in the files of a pattern. A kind takes its code by its place, after a status and a title.

    Without names, every call that has an argument named `code` makes an error.
    """
    for path in sorted(ROOT.glob(pattern)):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield from _of_call(path.relative_to(ROOT).as_posix(), node, names)


def _of_call(file: str, node: ast.Call, names: tuple[str, ...]) -> Iterator[Raised]:
    named = {each.arg: each.value for each in node.keywords}
    step = _text(named.get("next_step"))
    if not names and "code" in named:
        yield from _each(file, named["code"], _text(node.args[0] if node.args else None), step)
    elif ast.unparse(node.func).rpartition(".")[2] in names:
        place = next((index for index, each in enumerate(node.args) if _may_be_code(each)), None)
        if place is not None:
            text = node.args[place + 1] if len(node.args) > place + 1 else None
            yield from _each(file, node.args[place], _text(text), step)


def _may_be_code(node: ast.expr) -> bool:
    """A status is a number, and a title begins with a capital."""
    return not isinstance(node, ast.Constant) or (isinstance(node.value, str) and _CODE.fullmatch(node.value) is not None)


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
