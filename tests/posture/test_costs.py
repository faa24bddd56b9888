"""Prices: everything that is planned has one, and the stacks stay within their limits."""

import copy
import dataclasses
import datetime
import re

import pytest

from posture import cost_page, costs
from posture.plan import IN_AWS, Plan, plan_of


def added(stack: str, type_: str, inputs: dict) -> Plan:
    plan = copy.copy(plan_of(stack))
    more = dataclasses.replace(plan.resources[-1], type=type_, name="more", inputs=inputs)
    plan.resources = [*plan.resources, more]
    return plan


@pytest.mark.parametrize("stack", IN_AWS)
def test_a_month_costs_no_more_than_it_may(stack: str) -> None:
    assert costs.total(plan_of(stack)) <= costs.LIMITS[stack]


def test_the_limits_are_those_that_were_agreed() -> None:
    assert costs.LIMITS == {"dev": 80.0, "prod": 265.0}


def test_the_page_is_what_the_plans_come_to() -> None:
    expected = cost_page.render([plan_of(stack) for stack in IN_AWS])
    assert cost_page.PAGE.read_text(encoding="utf-8") == expected, "stale: run `make docs`"


def test_a_type_without_a_price_is_refused() -> None:
    with pytest.raises(costs.CostError, match="aws:redshift/cluster:Cluster has no price"):
        costs.lines(added("dev", "aws:redshift/cluster:Cluster", {}))


def test_an_endpoint_costs_by_zone_and_hour() -> None:
    inputs = {"vpcEndpointType": "Interface", "subnetIds": ["one", "two"]}
    more = costs.total(added("prod", "aws:ec2/vpcEndpoint:VpcEndpoint", inputs)) - costs.total(plan_of("prod"))
    assert more == pytest.approx(14.60)


def test_a_gateway_endpoint_costs_nothing() -> None:
    inputs = {"vpcEndpointType": "Gateway"}
    assert costs.total(added("prod", "aws:ec2/vpcEndpoint:VpcEndpoint", inputs)) == costs.total(plan_of("prod"))


def test_nothing_is_both_priced_and_free() -> None:
    free = [type_ for types in costs.book()["free"].values() for type_ in types]
    assert not set(free) & set(costs.PRICED)
    assert len(free) == len(set(free))


def test_every_price_has_a_page_of_aws_and_a_date() -> None:
    assert datetime.date.fromisoformat(f"{costs.book()['as_of']}-01") >= datetime.date(2026, 11, 1)
    for key, price in costs.book()["prices"].items():
        assert re.fullmatch(r"https://aws\.amazon\.com/[a-z0-9/-]+/", price["source"]), key
        assert price["usd"] > 0
        assert price["unit"]


def test_working_hours_are_fifty_a_week_in_dev_and_all_in_prod() -> None:
    assert costs.use_of(plan_of("dev")).working_hours == pytest.approx(50 * 730 / 168)
    assert costs.use_of(plan_of("prod")).working_hours == 730


def test_an_hour_of_a_worker_costs_its_cpu_memory_and_disk() -> None:
    # 4 vCPU, 30 GB of memory and 75 GB of disk, of which 20 come with every task.
    settings = plan_of("prod").settings
    assert (settings.worker_cpu, settings.worker_memory) == (4096, 30720)
    assert costs.job_hour(plan_of("prod")) == pytest.approx(4 * 0.03238 + 30 * 0.00356 + 55 * 0.000111, rel=0.01)
