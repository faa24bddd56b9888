"""The picture in the documents is that of the plan, and nothing in it lies on anything else."""

import copy
from itertools import combinations

import pytest

from posture.diagram import LETTER, PAGE, STACK, Box, Plan, flows, picture, render, uses
from posture.plan import plan_of

Rectangle = tuple[float, float, float, float]


def texts(plan: Plan) -> list[str]:
    return [text for box in picture(plan).boxes for text in (box.title, *box.wrapped)]


def changed(type_: str) -> Plan:
    """The plan without the last resource of a type."""
    plan = copy.copy(plan_of(STACK))
    gone = plan.of(type_)[-1]
    plan.resources = [one for one in plan.resources if one is not gone]
    return plan


def test_the_picture_is_not_stale() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(plan_of(STACK)), "run make docs"


def test_what_holds_data_and_every_function_is_in_it() -> None:
    shown, plan = " ".join(texts(plan_of(STACK))), plan_of(STACK)
    prefix = f"heartmap-{STACK}-"
    named = [
        one.inputs["name"].removeprefix(prefix)
        for type_ in ("lambda/function:Function", "sqs/queue:Queue")
        for one in plan.of(type_)
    ]
    named += [one.inputs["name"].removeprefix(prefix) for one in plan.of("dynamodb/table:Table")]
    named += [one.name for one in plan.of("s3/bucket:Bucket")]
    assert [name for name in named if name not in shown] == []


@pytest.mark.parametrize(
    "type_",
    [
        "lambda/function:Function",
        "dynamodb/table:Table",
        "ec2/vpcEndpoint:VpcEndpoint",
        "autoscaling/group:Group",
        "s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration",
        "cloudtrail/trail:Trail",
        "iam/rolePolicyAttachment:RolePolicyAttachment",
    ],
)
def test_what_the_plan_loses_the_picture_loses(type_: str) -> None:
    assert render(changed(type_)) != render(plan_of(STACK))


def test_the_arrows_of_the_network_are_the_rules_of_the_security_groups() -> None:
    assert ("link", "balancer", "443") in flows(plan_of(STACK))
    assert not any(target == "worker" for _, target, _ in flows(plan_of(STACK)))
    assert len([arrow for arrow in picture(plan_of(STACK)).arrows if "443" in arrow.said]) == 3
    without = changed("vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    assert flows(without) < flows(plan_of(STACK))


def test_a_box_says_what_its_role_reads_and_writes() -> None:
    assert uses(plan_of(STACK), "authorizer") == ["reads: secret authorizer, table api-keys", "writes: table key-use"]


@pytest.mark.parametrize("stack", [STACK, "local"])
def test_nothing_lies_on_anything_else(stack: str) -> None:
    drawn = picture(plan_of(stack))
    boxes = [(box.title, (box.x, box.y, box.width, box.height)) for box in drawn.boxes]
    frames = [(frame.title, frame.around()) for frame in drawn.frames]
    assert [pair for pair in combinations(boxes, 2) if _meet(pair[0][1], pair[1][1])] == []
    assert [pair for pair in combinations(frames, 2) if _meet(pair[0][1], pair[1][1])] == []


@pytest.mark.parametrize("stack", [STACK, "local"])
def test_no_line_is_longer_than_its_box(stack: str) -> None:
    drawn = picture(plan_of(stack))
    assert [line for box in drawn.boxes for line in box.wrapped if len(line) * LETTER > box.width - 12] == []


def test_a_long_line_is_wrapped() -> None:
    assert Box("title", ["one two three four"], width=80).wrapped == ["one two", "  three", "  four"]


def _meet(one: Rectangle, other: Rectangle) -> bool:
    (left, top, width, height), (x, y, wide, tall) = one, other
    return left < x + wide and x < left + width and top < y + tall and y < top + height
