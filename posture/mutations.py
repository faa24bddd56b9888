"""Removes one control at a time from the source of infra/ and sees whether the checks notice.

A mutation names the place by what it says (a call, an argument, a statement's sid), not by its line, and the check that has to
notice: the number of a control, or the name of an invariant. The mutated module lives in this process alone; no file is changed.
"""

import ast
import gc
import importlib
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType

from posture.controls import CHECKS, findings
from posture.invariants import INVARIANTS
from posture.plan import ROOT, Plan, plan_of

MUTATED_PACKAGES = ("infra",)

BY_THE_PROGRAM = "program"
"""In place of a check: the program itself refuses to run."""


class NoSuchPlaceError(LookupError):
    """A mutation no longer applies: what it removes is not in the source."""


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """One change of one module of infra/.

    ``call`` is the end of the called name (``lb.LoadBalancer``). What happens to it:
    with ``argument``, the argument is set to ``value`` (Python text), or left out when that is None;
    with ``sid``, the ``Statement`` of that sid is left out of the list that it stands in;
    with neither, the call is left out: as a statement, or as an element of a list.
    With ``text`` instead of a call, the first place that says ``text`` says ``value``.
    ``noticed_by`` is the check that has to fail in the plan of ``stack``.
    """

    module: str
    noticed_by: str
    call: str = ""
    argument: str = ""
    value: str | None = None
    sid: str = ""
    text: str = ""
    stack: str = "prod"

    @property
    def name(self) -> str:
        """What is changed, for people."""
        place = f"{self.module}.py: {self.call or self.text.strip().splitlines()[0]}"
        if self.sid:
            return f"{place} {self.sid} is gone"
        if self.text or self.argument:
            return f"{place} {self.argument} {'is gone' if self.value is None else f'= {self.value}'}"
        return f"{place} is gone"


@dataclass(frozen=True)
class Result:
    """What became of a mutation: what its check said, or why it could not be tried. Neither: it survived."""

    mutation: Mutation
    noticed: tuple[str, ...] = ()
    problem: str = ""

    @property
    def survived(self) -> bool:
        return not self.noticed


class _Changer(ast.NodeTransformer):
    def __init__(self, mutation: Mutation) -> None:
        self.mutation, self.places = mutation, 0

    def _is_meant(self, node: ast.AST | None) -> bool:
        if not isinstance(node, ast.Call):
            return False
        called = ast.unparse(node.func)
        if called != self.mutation.call and not called.endswith(f".{self.mutation.call}"):
            return False
        if not self.mutation.sid:
            return True
        sids = [keyword.value for keyword in node.keywords if keyword.arg == "sid"]
        return any(isinstance(sid, ast.Constant) and sid.value == self.mutation.sid for sid in sids)

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        if not self.mutation.argument and self._is_meant(node.value):
            self.places += 1
            return ast.Pass()
        return self.generic_visit(node)

    def visit_List(self, node: ast.List) -> ast.AST:
        return self._without(node)

    def visit_Tuple(self, node: ast.Tuple) -> ast.AST:
        return self._without(node)

    def _without(self, node: ast.List | ast.Tuple) -> ast.AST:
        if not self.mutation.argument:
            kept = [element for element in node.elts if not self._is_meant(element)]
            self.places += len(node.elts) - len(kept)
            node.elts = kept
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if self.mutation.argument and self._is_meant(node):
            node.keywords = list(self._keywords(node.keywords))
        elif not self.mutation.argument:
            kept = [argument for argument in node.args if not self._is_meant(argument)]
            self.places += len(node.args) - len(kept)
            node.args = kept
        return self.generic_visit(node)

    def _keywords(self, keywords: Sequence[ast.keyword]) -> Iterator[ast.keyword]:
        there = False
        for keyword in keywords:
            if keyword.arg != self.mutation.argument:
                yield keyword
                continue
            there = True
            if self.mutation.value is not None:
                yield ast.keyword(keyword.arg, ast.parse(self.mutation.value, mode="eval").body)
        if there:
            self.places += 1


def mutated(mutation: Mutation, source: str) -> str:
    """The source of a module with the mutation in it. Raises NoSuchPlaceError."""
    if mutation.text:
        if mutation.text not in source:
            raise NoSuchPlaceError(f"{mutation.module}.py does not say {mutation.text!r}")
        return source.replace(mutation.text, mutation.value or "", 1)
    changer = _Changer(mutation)
    tree = changer.visit(ast.parse(source))
    if not changer.places:
        raise NoSuchPlaceError(f"{mutation.module}.py has no {mutation.call} {mutation.argument}{mutation.sid}")
    return ast.unparse(ast.fix_missing_locations(tree))


def source_of(module: str) -> str:
    """The source of a module of infra/ as it stands."""
    return (ROOT / "infra" / f"{module}.py").read_text(encoding="utf-8")


def plan_with(mutation: Mutation) -> Plan:
    """The plan of the program with the mutation in it. To be called in a process of its own: it loads infra/ anew."""
    changed = mutated(mutation, source_of(mutation.module))
    for name in [name for name in sys.modules if name.split(".")[0] in MUTATED_PACKAGES]:
        del sys.modules[name]
    module = ModuleType(f"infra.{mutation.module}")
    module.__file__ = str(ROOT / "infra" / f"{mutation.module}.py")
    sys.modules[module.__name__] = module
    setattr(importlib.import_module("infra"), mutation.module, module)
    exec(compile(changed, module.__file__, "exec"), module.__dict__)  # noqa: S102 - our own source
    recorder = importlib.reload(importlib.import_module("posture.plan"))
    return recorder.run_program(mutation.stack)


def attempt(mutation: Mutation) -> Result:
    """Try one mutation. That the program itself refuses it counts only where that is what should notice."""
    try:
        plan = plan_with(mutation)
    except NoSuchPlaceError as error:
        return Result(mutation, problem=str(error))
    except Exception as error:  # noqa: BLE001 - whatever the mutated program does
        told = f"{type(error).__name__}: {error}"
        return Result(mutation, (told,)) if mutation.noticed_by == BY_THE_PROGRAM else Result(mutation, problem=told)
    check = INVARIANTS.get(mutation.noticed_by)
    found = findings(mutation.noticed_by, plan) if mutation.noticed_by in CHECKS else check(plan) if check else ()
    return Result(mutation, noticed=tuple(found))


def attempt_all(mutations: Sequence[Mutation], processes: int) -> list[Result]:
    """Try mutations, each in a fork of this process, so that none sees another's modules."""
    # What the plan needs is loaded once, and not in each fork.
    plan_of("prod")
    gc.freeze()
    context = multiprocessing.get_context("fork")
    # A process that ends after one plan gives all its memory back by that.
    with context.Pool(processes, initializer=gc.disable, maxtasksperchild=1) as pool:
        return pool.map(attempt, mutations, chunksize=1)
