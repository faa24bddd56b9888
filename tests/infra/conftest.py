"""The plan of each stack. What the recorder answers in AWS's place stands in posture/plan.py: INVOKES and COMPUTED."""

from collections.abc import Callable

import pytest

from posture.plan import STACKS, Plan, plan_of, run_program


@pytest.fixture(scope="session")
def planned() -> Callable[[str], Plan]:
    """The plan of a stack as its file stands, made once."""
    return plan_of


@pytest.fixture(params=STACKS)
def plan(request: pytest.FixtureRequest) -> Plan:
    """The plan of each stack in turn."""
    return plan_of(request.param)


@pytest.fixture
def run() -> Callable[..., Plan]:
    """Runs the program again with other settings: ``run("dev", {"heartmap:mfa": "off"})``."""
    return run_program
