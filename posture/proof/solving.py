"""The solver, and what it was asked."""

from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

import z3

from posture.proof.exported import NotUnderstood

_Answer = TypeVar("_Answer")

# What the solver counts of its own work, so that a slow machine changes no answer. The hardest question of a stack takes
# 10,000 of it; one that takes this much means that the model has grown beyond what can be proved.
MOST_WORK = 2_000_000


class Solver:
    """Answers whether anything at all satisfies some constraints. ``queries`` counts the questions.

    It remembers what was concluded from which policies, for whoever proves many stacks that differ in one thing.
    """

    def __init__(self) -> None:
        self.queries = 0
        self._concluded: dict[Hashable, Any] = {}

    def concluded(self, premises: Hashable, conclude: Callable[[], _Answer]) -> _Answer:
        """What follows from ``premises``, which are everything that ``conclude`` looks at."""
        if premises not in self._concluded:
            self._concluded[premises] = conclude()
        return self._concluded[premises]

    def find(self, constraints: Iterable[z3.BoolRef]) -> z3.ModelRef | None:
        """Something that satisfies them; None is the proof that nothing does. Raises NotUnderstood when it cannot be told."""
        self.queries += 1
        # Over Booleans and bit-vectors of a fixed length every question has an answer.
        solver = z3.SolverFor("QF_BV")
        solver.set("rlimit", MOST_WORK)
        solver.add(*constraints)
        answer = solver.check()
        if answer == z3.unknown:
            raise NotUnderstood(f"the solver gave no answer ({solver.reason_unknown()})")
        return solver.model() if answer == z3.sat else None
