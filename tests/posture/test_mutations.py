"""Every control, removed from the source: something has to notice, and what notices is the check that is there for it."""

import os
from collections import Counter

import pytest

from posture.controls import CHECKS, findings
from posture.controls.page import PAGE, read
from posture.invariants import INVARIANTS
from posture.mutation_list import MUTATIONS
from posture.mutations import BY_THE_PROGRAM, Mutation, NoSuchPlaceError, attempt, attempt_all, mutated
from posture.plan import plan_of

SOURCE = """
def make(args):
    aws.lb.LoadBalancer("a", internal=True, drop=True)
    aws.s3.Block("b", closed=True)
    return [Statement(sid="One", actions=("a:B",)), Statement(sid="Two", actions=("a:C",))]
"""


def changed(**what: str) -> str:
    return mutated(Mutation(**{"module": "any", "noticed_by": "1", **what}), SOURCE)


@pytest.mark.timeout(1800)
def test_no_mutation_survives() -> None:
    results = attempt_all(MUTATIONS, os.cpu_count() or 1)
    survivors = [
        f"{one.mutation.name}: not noticed by {one.mutation.noticed_by}. {one.problem}" for one in results if one.survived
    ]
    assert survivors == []


def test_there_are_enough_of_them_and_no_two_alike() -> None:
    assert len(MUTATIONS) >= 60
    assert [one for one, times in Counter(MUTATIONS).items() if times > 1] == []


def test_every_control_that_production_meets_is_removed_once() -> None:
    """But for what only forbids, where there is nothing to remove, and what the program refuses before there is a plan."""
    met = {number for number, row in read(PAGE.read_text(encoding="utf-8")).controls.items() if "prod" in row.stacks}
    untried = met - {one.noticed_by for one in MUTATIONS}
    assert untried <= WITHOUT_A_MUTATION


WITHOUT_A_MUTATION = {"6", "35", "50", "72", "77", "80", "107", "110", "141"}


def test_the_checks_pass_where_nothing_is_removed() -> None:
    plan = plan_of("prod")
    for name in {one.noticed_by for one in MUTATIONS} - {BY_THE_PROGRAM}:
        assert list(findings(name, plan) if name in CHECKS else INVARIANTS[name](plan)) == []


def test_an_argument_is_left_out() -> None:
    assert "aws.lb.LoadBalancer('a', drop=True)" in changed(call="lb.LoadBalancer", argument="internal")


def test_an_argument_is_set() -> None:
    assert "internal=False, drop=True" in changed(call="lb.LoadBalancer", argument="internal", value="False")


def test_a_call_is_left_out() -> None:
    assert "aws.s3.Block" not in changed(call="s3.Block")


def test_a_statement_is_left_out_of_its_list() -> None:
    assert "return [Statement(sid='Two'" in changed(call="Statement", sid="One")


def test_a_text_is_replaced_once() -> None:
    assert changed(text="drop=True", value="drop=False").count("drop=False") == 1


@pytest.mark.parametrize(
    "what",
    [
        {"call": "lb.LoadBalancer", "argument": "external"},
        {"call": "lb.Listener"},
        {"call": "Statement", "sid": "Three"},
        {"text": "nowhere"},
    ],
)
def test_a_mutation_that_no_longer_applies_is_an_error(what: dict[str, str]) -> None:
    with pytest.raises(NoSuchPlaceError):
        changed(**what)


def test_a_mutation_that_changes_nothing_survives() -> None:
    nothing = Mutation(module="compute", noticed_by="66", text="IMAGES_KEPT = 20", value="IMAGES_KEPT = 20")
    assert [one.survived for one in attempt_all([nothing], 1)] == [True]


def test_a_program_that_fails_for_another_reason_counts_as_survived() -> None:
    broken = Mutation(module="compute", noticed_by="66", text="IMAGES_KEPT = 20", value="IMAGES_KEPT = nothing")
    result = attempt_all([broken], 1)[0]
    assert result.survived
    assert "NameError" in result.problem


def test_one_that_is_not_found_is_told() -> None:
    assert "does not say" in attempt(Mutation(module="compute", noticed_by="66", text="nowhere")).problem
