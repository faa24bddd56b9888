"""The plan of each stack. What the recorder answers in AWS's place stands in posture/plan.py: INVOKES and COMPUTED."""

from collections.abc import Callable

import pytest

from posture.plan import STACKS, Plan, run_program


@pytest.fixture(scope="session")
def planned() -> Callable[[str], Plan]:
    """The plan of a stack as its file stands, made once."""
    plans: dict[str, Plan] = {}

    def get(stack: str) -> Plan:
        if stack not in plans:
            plans[stack] = run_program(stack)
        return plans[stack]

    return get


@pytest.fixture(params=STACKS)
def plan(request: pytest.FixtureRequest, planned: Callable[[str], Plan]) -> Plan:
    """The plan of each stack in turn."""
    return planned(request.param)


@pytest.fixture
def run() -> Callable[..., Plan]:
    """Runs the program again with other settings: ``run("dev", {"heartmap:mfa": "off"})``."""
    return run_program
