"""And, or, not and if: z3's own, which type checkers cannot tell apart from those of its tactics."""

from typing import cast

import z3


def all_of(*terms: z3.BoolRef) -> z3.BoolRef:
    """Every term holds; of none, yes."""
    return cast(z3.BoolRef, z3.And(*terms))


def any_of(*terms: z3.BoolRef) -> z3.BoolRef:
    """A term holds; of none, no."""
    return cast(z3.BoolRef, z3.Or(*terms))


def none_of(*terms: z3.BoolRef) -> z3.BoolRef:
    """No term holds."""
    return cast(z3.BoolRef, z3.Not(any_of(*terms)))


def implies(term: z3.BoolRef, then: z3.BoolRef) -> z3.BoolRef:
    """Where one holds, the other does."""
    return cast(z3.BoolRef, z3.Implies(term, then))


def chosen(term: z3.BoolRef, then: z3.BoolRef, otherwise: z3.BoolRef) -> z3.BoolRef:
    """One of two, by a third."""
    return cast(z3.BoolRef, z3.If(term, then, otherwise))


def same(one: z3.ExprRef, other: z3.ExprRef | int) -> z3.BoolRef:
    """They are equal."""
    return cast(z3.BoolRef, one == other)
