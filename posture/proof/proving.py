"""The whole proof of one stack."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from posture.proof import data, endpoints, gateway, kinds, network, rights
from posture.proof.exported import NotUnderstood, Stack
from posture.proof.findings import Counterexample
from posture.proof.solving import Solver


@dataclass(frozen=True)
class Proof:
    """What was found: nothing, when the properties hold. ``rules`` counts rules, statements and methods that were read."""

    stack: Stack
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
_CHECKS: tuple[Callable[[Stack, Solver], Iterable[Counterexample]], ...] = (
    lambda stack, _: kinds.check(stack),
    lambda stack, _: gateway.check(stack),
    network.check,
    endpoints.check,
    rights.check,
    data.check,
)


def counterexamples(stack: Stack, solver: Solver) -> Iterator[Counterexample]:
    """Everything that breaks a property, one after the other. What is not understood breaks ``understood``."""
    for check in _CHECKS:
        try:
            yield from check(stack, solver)
        except NotUnderstood as error:
            yield Counterexample("understood", stack.name, str(error))


def prove(stack: Stack) -> Proof:
    """Prove every property, or find what breaks it."""
    began, solver = time.monotonic(), Solver()
    found = tuple(counterexamples(stack, solver))
    try:
        rules = _rules(stack)
    except NotUnderstood:
        rules = 0
    return Proof(stack, found, rules, solver.queries, time.monotonic() - began)
