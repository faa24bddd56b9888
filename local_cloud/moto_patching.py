"""The ways in which a fix changes moto, each of which notices that moto is no longer what the fix was written for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class FixDoesNotFit(RuntimeError):
    """The installed moto is not the one that the fixes were written for."""


def replace(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Put make(original) in the place of owner.name. Raises FixDoesNotFit when there is no such original."""
    if name not in vars(owner):
        raise FixDoesNotFit(f"moto has no {owner.__name__}.{name}: look at what changed and adapt the fix")
    setattr(owner, name, make(vars(owner)[name]))


def add(owner: Any, name: str, function: Callable[..., Any]) -> None:
    """Give moto a call that it lacks. Raises FixDoesNotFit when moto has it by now."""
    if hasattr(owner, name):
        raise FixDoesNotFit(f"moto has {owner.__name__}.{name} by now: remove the fix")
    setattr(owner, name, function)
