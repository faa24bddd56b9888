"""The solver, and what it was asked."""

from collections.abc import Iterable

import z3

from posture.proof.exported import NotUnderstood

# A query takes milliseconds; one that takes this long means that the model has grown beyond what can be proved.
MOST_MILLISECONDS = 20_000


class Solver:
    """Answers whether anything at all satisfies some constraints. ``queries`` counts the questions."""

    def __init__(self) -> None:
        self.queries = 0

    def find(self, constraints: Iterable[z3.BoolRef]) -> z3.ModelRef | None:
        """Something that satisfies them; None is the proof that nothing does. Raises NotUnderstood when it cannot be told."""
        self.queries += 1
        # Over Booleans and bit-vectors of a fixed length every question has an answer.
        solver = z3.SolverFor("QF_BV")
        solver.set("timeout", MOST_MILLISECONDS)
        solver.add(*constraints)
        answer = solver.check()
        if answer == z3.unknown:
            raise NotUnderstood(f"the solver gave no answer ({solver.reason_unknown()})")
        return solver.model() if answer == z3.sat else None
