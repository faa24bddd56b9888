"""The checks, in the order in which they are shown."""

from collections.abc import Callable, Iterable

from operator_cli.preflight.place import Line, Place

Check = Callable[[Place], Iterable[Line]]
CHECKS: dict[str, Check] = {}
"""By the name of the line that stands for a check that could not be made."""


def check(name: str) -> Callable[[Check], Check]:
    """Registers a function as a check. Raises ValueError for a name that is taken."""

    def register(function: Check) -> Check:
        if name in CHECKS:
            raise ValueError(f"there are two checks {name}")
        CHECKS[name] = function
        return function

    return register
