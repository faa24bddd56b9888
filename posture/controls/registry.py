"""What a control is here: a row of docs/controls.md with a check that reads a plan and tells what does not hold in it."""

from collections.abc import Callable, Iterable
from typing import Any

from posture.plan import Plan

Check = Callable[[Plan], Iterable[str]]
"""Yields one finding for each thing that breaks the control: the resource, and what is wrong with it. Without one it is met."""

CHECKS: dict[str, Check] = {}
"""The checks by the number of their row."""


def control(number: str) -> Callable[[Check], Check]:
    """Registers a function as the check of a row. Raises ValueError for a row that has one."""

    def register(check: Check) -> Check:
        if number in CHECKS:
            raise ValueError(f"control {number} has two checks")
        CHECKS[number] = check
        return check

    return register


def findings(number: str, plan: Plan) -> list[str]:
    """What breaks a control in a plan. Raises KeyError for a row that there is not."""
    return list(CHECKS[number](plan))


def each(plan: Plan, type_: str, holds: Callable[[dict[str, Any]], Any], wrong: str) -> list[str]:
    """A finding for every resource of a type whose inputs do not hold; one, too, when there is no such resource at all."""
    found = plan.of(type_)
    if not found:
        return [f"there is no {type_.split(':')[-1]}"]
    return [f"{resource.id}: {wrong}" for resource in found if not holds(resource.inputs)]


def at(inputs: Any, path: str) -> Any:
    """The value at a dotted path such as ``settings.0.name``; None where there is nothing."""
    for part in path.split("."):
        if isinstance(inputs, list):
            inputs = inputs[int(part)] if part.isdigit() and int(part) < len(inputs) else None
        elif isinstance(inputs, dict):
            inputs = inputs.get(part)
        else:
            return None
    return inputs


def covers(plan: Plan, type_: str, argument: str, targets: set[str], wrong: str) -> list[str]:
    """A finding for every target that no resource of a type names in ``argument``."""
    named = {resource.inputs.get(argument) for resource in plan.of(type_)}
    return [f"{target}: {wrong}" for target in sorted(targets - named)]
