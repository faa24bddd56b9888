"""Who takes a role: AWS's services do, and of people those whom its trust policy names, bound as the specification says."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import z3

from posture.proof import specification as spec
from posture.proof.exported import Resource, Stack
from posture.proof.findings import Counterexample
from posture.proof.logic import all_of, any_of, none_of
from posture.proof.policies import Statement, read
from posture.proof.requests import ACCOUNT, ACTION, ARN, Request, allowed, numbered
from posture.proof.solving import Solver

USER = "aws:username"
_AGE = "aws:multifactorauthage"
_TAKES = "sts:assumerole*"


def named(stack: Stack, role: Resource) -> list[str]:
    """The IAM users of the account whom a role's trust policy names, by their ARNs."""
    users = f"arn:{stack.partition}:iam::{stack.account}:user/"
    statements = read(role, "assumeRolePolicy")
    return sorted({who for one in statements if one.allow for _, who in one.principals or () if who.startswith(users)})


@dataclass(frozen=True)
class _Anybody:
    """The situation of whoever takes the role."""

    def __call__(self, request: Request) -> Iterator[z3.BoolRef]:
        yield request.like(ACTION, "*")


@dataclass(frozen=True)
class _Unbound:
    """The situation of who is not named, or whose request lacks what the specification binds it to."""

    meant: spec.Taking
    users: tuple[str, ...]

    def __call__(self, request: Request) -> Iterator[z3.BoolRef]:
        who = all_of(request.present(ARN), request.equal(ARN, *self.users))
        fresh = all_of(request.present(_AGE), z3.ULT(request.number(_AGE), numbered(self.meant.factor_seconds)))
        factor = request.is_value("aws:multifactorauthpresent", "true")
        said = all_of(*(all_of(request.present(key), request.like(key, pattern)) for key, pattern in self.meant.bound))
        yield any_of(none_of(all_of(who, factor, fresh)), all_of(request.like(ACTION, _TAKES), none_of(said)))


@dataclass(frozen=True)
class _UnderAnotherName:
    """The situation of a user who takes the role and is not called by their own name in it."""

    keys: tuple[str, ...]
    name: str

    def __call__(self, request: Request) -> Iterator[z3.BoolRef]:
        yield request.like(ACTION, _TAKES)
        yield none_of(all_of(*(request.is_value(key, self.name) for key in self.keys)))


def _unmeant(
    stack: Stack, role: Resource, statements: Sequence[Statement], solver: Solver
) -> Iterator[tuple[str, Statement, dict[str, str]]]:
    meant = spec.TAKEN.get(role.name)
    request = Request("aws")
    request.fix(ACCOUNT, stack.account)
    if meant is None:
        for statement, example in allowed(statements, request, _Anybody(), solver):
            yield "it lets principals of the account take the role, which no purpose needs", statement, {**example}
        return
    users = named(stack, role)
    for statement, example in allowed(statements, request, _Unbound(meant, tuple(users)), solver):
        yield "it lets the role be taken by who is not named, or without what that needs", statement, {**example}
    for user in users:
        request = Request("aws")
        request.fix(ACCOUNT, stack.account)
        request.fix(ARN, user)
        request.fix(USER, user.rsplit("/", 1)[-1])
        situation = _UnderAnotherName(meant.named_by, user.rsplit("/", 1)[-1])
        for statement, example in allowed(statements, request, situation, solver):
            yield "it lets who takes the role be called by another name", statement, {**example}


def check(stack: Stack, solver: Solver) -> Iterator[Counterexample]:
    """No principal of the account takes a role of the stack, but for what the specification means."""
    for role in stack.of("iam/role:Role"):
        for what, statement, example in _unmeant(stack, role, read(role, "assumeRolePolicy"), solver):
            yield Counterexample("rights", statement.title, what, ("a principal of the account", role.title), example)


def told(stack: Stack) -> Iterator[str]:
    """Which roles people may take, who they are and what they need, for the report."""
    for role in stack.of("iam/role:Role"):
        meant = spec.TAKEN.get(role.name)
        if meant:
            who = ", ".join(named(stack, role)) or "nobody"
            yield f"{role.name} may be taken by {who}: {meant.needs}"
