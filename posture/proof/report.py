"""What a proof found, as text."""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from posture.proof import assumptions, clients, endpoints, taking
from posture.proof import specification as spec
from posture.proof.findings import PROPERTIES, Counterexample
from posture.proof.proving import Proof

_WIDTH = 2


def lines(proof: Proof) -> Iterator[str]:
    """A line for each property, and under it what breaks it."""
    stack = proof.stack
    yield (
        f"{stack.name}: {len(stack.resources)} resources, {proof.rules} rules, statements and methods, "
        f"{proof.queries} questions to the solver, {proof.seconds:.1f} s"
    )
    # What is not understood may break any of them.
    otherwise = "open   " if any(one.property == "understood" for one in proof.counterexamples) else "proved "
    for number, (name, meaning) in enumerate(PROPERTIES.items(), 1):
        broken = [one for one in proof.counterexamples if one.property == name]
        yield f"{' ' * _WIDTH}{number} {'REFUSED' if broken else otherwise} {meaning}"
        for one in broken:
            yield from _counterexample(one)
    meant = [*taking.told(stack), *clients.told(stack)]
    yield from (f"{' ' * _WIDTH}meant: {line}" for line in meant)
    yield from (f"{' ' * _WIDTH}assumed, and not proved: {line}" for line in assumptions.told(proof.assumed))
    read = [name for name in endpoints.named_beside(stack) if not fnmatchcase(name, spec.IMAGE_LAYERS.format(partition="*"))]
    if read:
        yield f"{' ' * _WIDTH}named to be read beside this account: {', '.join(read)}"


def _counterexample(one: Counterexample) -> Iterator[str]:
    indent = " " * (_WIDTH + 4)
    yield f"{indent}{one.offender}: {one.what}"
    if one.path:
        yield f"{indent}  way: {' -> '.join(one.path)}"
    if one.example:
        shown = ", ".join(f"{key} {value}" for key, value in one.example.items() if value)
        yield f"{indent}  for example: {shown}"
