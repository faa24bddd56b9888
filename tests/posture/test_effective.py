"""docs/effective/ against the plans: a change of a policy shows in a diff that people read."""

import copy

import pytest

from posture import effective
from posture.plan import STACKS, plan_of


@pytest.mark.parametrize("stack", STACKS)
def test_the_kept_text_is_what_the_policies_of_the_plan_come_to(stack: str) -> None:
    assert effective.path(stack).read_text(encoding="utf-8") == effective.render(plan_of(stack)), "stale: run `make docs`"


def test_there_is_a_text_for_each_stack_and_no_other() -> None:
    assert {path.name for path in effective.DIRECTORY.iterdir()} == {f"{stack}.txt" for stack in STACKS}


@pytest.mark.parametrize(
    ("type_", "argument", "value"),
    [
        ("iam/role:Role", "assumeRolePolicy", '{"Statement":[{"Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}'),
        ("iam/policy:Policy", "policy", '{"Statement":[{"Sid":"All","Effect":"Allow","Action":"s3:*","Resource":"*"}]}'),
        ("kms/key:Key", "policy", '{"Statement":[{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}]}'),
        ("wafv2/webAcl:WebAcl", "rules", []),
        ("wafv2/webAclAssociation:WebAclAssociation", "webAclArn", "another"),
        ("wafv2/ipSet:IpSet", "addresses", ["10.0.0.0/8"]),
        ("apigateway/method:Method", "authorization", "NONE"),
        ("lambda/permission:Permission", "sourceArn", "arn:aws:execute-api:other"),
        ("vpc/securityGroupIngressRule:SecurityGroupIngressRule", "fromPort", 0),
        ("vpc/securityGroupEgressRule:SecurityGroupEgressRule", "toPort", 65535),
        ("ec2/networkAcl:NetworkAcl", "ingress", []),
        ("cognito/userPoolClient:UserPoolClient", "callbackUrls", ["https://elsewhere.example.org"]),
    ],
)
def test_whatever_a_policy_says_shows_in_the_text(type_: str, argument: str, value: object) -> None:
    changed = copy.deepcopy(plan_of("prod"))
    changed.of(type_)[0].inputs[argument] = value
    assert effective.render(changed) != effective.render(plan_of("prod"))


def test_a_method_without_a_limit_of_its_own_is_shown_with_the_common_one() -> None:
    changed = copy.deepcopy(plan_of("prod"))
    changed.resources = [one for one in changed.resources if one.inputs.get("methodPath") != "~1config/POST"]
    before, after = (
        next(line for line in effective.render(plan).splitlines() if line.split()[:2] == ["POST", "/config"])
        for plan in (plan_of("prod"), changed)
    )
    assert before.endswith("2/s, burst 10")
    assert after.endswith("50/s, burst 100")
