"""The whole proof of one stack."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from posture.proof import assumptions, clients, data, endpoints, gateway, kinds, network, rights, taking
from posture.proof.assumptions import NOTHING, Assumed
from posture.proof.exported import NotUnderstood, Stack
from posture.proof.findings import Counterexample
from posture.proof.solving import Solver


@dataclass(frozen=True)
class Proof:
    """What was found: nothing, when the properties hold. ``rules`` counts rules, statements and methods that were read."""

    stack: Stack
    assumed: Assumed
    counterexamples: tuple[Counterexample, ...]
    rules: int
    queries: int
    seconds: float


def _rules(stack: Stack) -> int:
    statements = sum(map(len, data.policies(stack))) + sum(len(one.statements) for one in rights.identities(stack))
    acls = [*stack.of("ec2/networkAcl:NetworkAcl"), *stack.of("ec2/defaultNetworkAcl:DefaultNetworkAcl")]
    entries = sum(len(acl.list("ingress")) + len(acl.list("egress")) for acl in acls)
    return statements + entries + len(network.rules(stack)) + len(stack.of("apigateway/method:Method"))


# Those that take least time come first.
_CHECKS: tuple[Callable[[Stack, Assumed, Solver], Iterable[Counterexample]], ...] = (
    lambda stack, assumed, _: assumptions.check(stack, assumed),
    lambda stack, *_: kinds.check(stack),
    lambda stack, *_: gateway.check(stack),
    lambda stack, assumed, _: clients.check(stack, assumed),
    network.check,
    lambda stack, _, solver: endpoints.check(stack, solver),
    lambda stack, _, solver: rights.check(stack, solver),
    lambda stack, _, solver: taking.check(stack, solver),
    lambda stack, _, solver: data.check(stack, solver),
)


def counterexamples(stack: Stack, solver: Solver, assumed: Assumed = NOTHING) -> Iterator[Counterexample]:
    """Everything that breaks a property, one after the other. What is not understood breaks ``understood``."""
    for check in _CHECKS:
        try:
            yield from check(stack, assumed, solver)
        except NotUnderstood as error:
            yield Counterexample("understood", stack.name, str(error))


def prove(stack: Stack, assumed: Assumed = NOTHING) -> Proof:
    """Prove every property, or find what breaks it."""
    began, solver = time.monotonic(), Solver()
    found = tuple(counterexamples(stack, solver, assumed))
    try:
        rules = _rules(stack)
    except NotUnderstood:
        rules = 0
    return Proof(stack, assumed, found, rules, solver.queries, time.monotonic() - began)
