"""What holds for every planned resource, in every stack, and in previews."""

from typing import Any

import pytest

from posture.invariants import INVARIANTS


@pytest.mark.parametrize("name", INVARIANTS)
def test_holds_for_every_planned_resource(name: str, plan: Any) -> None:
    assert list(INVARIANTS[name](plan)) == []
