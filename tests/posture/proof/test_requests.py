"""Which requests from outside a policy lets through: each operator, each kind of principal, a missing key."""

import json
from typing import Any

import pytest
import z3

from posture.proof.exported import NotUnderstood, Stack, parse
from posture.proof.outsiders import KINDS, Outside, outside
from posture.proof.policies import parse as policy_of
from posture.proof.requests import TLS, Kind, Request, Situation, allowed
from posture.proof.solving import Solver

OWN, OTHER = "123456789012", "999988887777"
ROLE = {
    "urn": "urn:pulumi:test::heartmap::aws:iam/role:Role::any",
    "type": "aws:iam/role:Role",
    "id": "any",
    "inputs": {},
    "outputs": {"arn": f"arn:aws:iam::{OWN}:role/any"},
}


@pytest.fixture
def stack() -> Stack:
    return parse(json.dumps({"deployment": {"resources": [ROLE]}}))


def allow(principal: Any = "*", **parts: Any) -> dict[str, Any]:
    return {"Sid": "A", "Effect": "Allow", "Principal": principal, "Action": "s3:GetObject", "Resource": "*", **parts}


def deny(**parts: Any) -> dict[str, Any]:
    return {**allow(**parts), "Sid": "D", "Effect": "Deny"}


def let_in(stack: Stack, *statements: dict[str, Any]) -> set[Kind]:
    """Which kinds of outsiders a policy lets in."""
    policy = policy_of("Policy", {"Statement": list(statements)})
    return {kind for kind in KINDS if list(allowed(policy, Request(kind), outside(stack), Solver()))}


def anything(_: Request) -> tuple[()]:
    """The situation of every request."""
    return ()


EVERYBODY = set(KINDS)


def test_everyone_is_everyone(stack: Stack) -> None:
    assert let_in(stack, allow()) == EVERYBODY


@pytest.mark.parametrize(
    ("principal", "kinds"),
    [
        ({"AWS": f"arn:aws:iam::{OWN}:root"}, set()),
        ({"AWS": OWN}, set()),
        ({"AWS": f"arn:aws:iam::{OWN}:role/any"}, set()),
        ({"AWS": OTHER}, {"aws"}),
        ({"AWS": f"arn:aws:iam::{OTHER}:user/mallory"}, {"aws"}),
        ({"AWS": "AIDAEXAMPLEOFNOBODY"}, {"aws"}),
        ({"Service": "events.amazonaws.com"}, {"service"}),
        ({"Federated": "accounts.google.com"}, {"federated"}),
    ],
)
def test_principals(stack: Stack, principal: Any, kinds: set[str]) -> None:
    assert let_in(stack, allow(principal)) == kinds


@pytest.mark.parametrize(
    ("condition", "kinds"),
    [
        ({"StringEquals": {"aws:PrincipalAccount": OWN}}, {"federated"}),
        ({"StringEquals": {"aws:PrincipalAccount": [OWN, OTHER]}}, {"aws", "federated"}),
        ({"StringLike": {"aws:PrincipalAccount": "1234*"}}, {"aws", "federated"}),
        ({"StringEqualsIfExists": {"aws:PrincipalAccount": OWN}}, {"anonymous", "service", "federated"}),
        ({"StringNotEquals": {"aws:PrincipalAccount": OTHER}}, EVERYBODY),
        ({"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{OWN}:role/*"}}, {"federated"}),
        ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/*"}}, {"aws", "federated"}),
        ({"StringEquals": {"AWS:SourceAccount": OWN}}, set()),
        ({"ArnLike": {"aws:SourceArn": f"arn:aws:sns:*:{OWN}:*"}}, set()),
        ({"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:*:*"}}, {"service"}),
        ({"Bool": {"aws:PrincipalIsAWSService": "true"}}, {"service", "federated"}),
        ({"Null": {"aws:PrincipalArn": "true"}}, {"anonymous", "service", "federated"}),
        ({"Null": {"aws:PrincipalArn": "false"}}, {"aws", "federated"}),
        ({"StringEquals": {"aws:ResourceAccount": OWN}}, EVERYBODY),
        ({"StringEquals": {"aws:ResourceAccount": OTHER}}, set()),
        # What an outsider says of themselves binds nobody.
        ({"StringEquals": {"aws:UserAgent": "secret"}}, EVERYBODY),
        ({"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}, EVERYBODY),
        ({"NumericLessThan": {"aws:MultiFactorAuthAge": "60"}}, EVERYBODY),
        ({"ForAllValues:StringEquals": {"aws:PrincipalAccount": OWN}}, EVERYBODY),
        ({"StringEquals": {"aws:PrincipalAccount": "${aws:ResourceAccount}"}}, EVERYBODY),
    ],
)
def test_conditions_of_what_allows(stack: Stack, condition: Any, kinds: set[str]) -> None:
    assert let_in(stack, allow(Condition=condition)) == kinds


@pytest.mark.parametrize(
    ("statement", "kinds"),
    [
        (deny(), set()),
        (deny(Action="s3:*"), set()),
        (deny(Action="s3:Put*"), EVERYBODY),
        (deny(Resource="arn:aws:s3:::one/*"), EVERYBODY),
        (deny(NotPrincipal={"AWS": OWN}), EVERYBODY),
        (deny(Condition={"StringNotEquals": {"aws:PrincipalAccount": OWN}}), {"federated"}),
        (
            deny(
                Condition={
                    "StringNotEquals": {"aws:PrincipalAccount": OWN},
                    "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
                }
            ),
            {"service", "federated"},
        ),
        (deny(Condition={"StringEquals": {"aws:PrincipalAccount": OTHER}}), EVERYBODY),
        # Not known, so not counted on.
        (deny(Condition={"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}), EVERYBODY),
        (deny(Condition={"Bool": {"aws:SecureTransport": "false"}}), EVERYBODY),
    ],
)
def test_what_refuses(stack: Stack, statement: dict[str, Any], kinds: set[str]) -> None:
    if "NotPrincipal" in statement:
        del statement["Principal"]
    assert let_in(stack, allow(), statement) == kinds


AGE = "aws:MultiFactorAuthAge"


@pytest.mark.parametrize(
    ("conditions", "possible"),
    [
        ({"NumericLessThan": {AGE: "300"}, "NumericGreaterThan": {AGE: "299"}}, True),
        ({"NumericLessThan": {AGE: "300"}, "NumericGreaterThanEquals": {AGE: "300"}}, False),
        ({"NumericLessThanEquals": {AGE: "300"}, "NumericGreaterThanEquals": {AGE: "300"}}, True),
        ({"NumericLessThan": {AGE: "0"}}, True),
        ({"NumericEquals": {AGE: ["1", "2"]}, "NumericGreaterThan": {AGE: "2"}}, False),
        ({"NumericEquals": {AGE: "1"}, "NumericNotEquals": {AGE: "1"}}, False),
        ({"NumericNotEquals": {AGE: "1"}, "Null": {AGE: "true"}}, True),
        ({"NumericLessThan": {AGE: "300"}, "Null": {AGE: "true"}}, False),
        # Of what is no whole number nothing is known.
        ({"NumericLessThan": {AGE: "1.5"}, "NumericGreaterThan": {AGE: "2"}}, True),
        ({"NumericLessThan": {AGE: "1"}, "NumericGreaterThan": {AGE: "9" * 30}}, True),
    ],
)
def test_numbers_are_told_apart(stack: Stack, conditions: Any, possible: bool) -> None:
    assert bool(let_in(stack, allow(Condition=conditions))) == possible


@pytest.mark.parametrize(
    ("name", "possible"), [("jane", True), ("mary", False), ("j*", True)], ids=["their own", "another's", "one that may be any"]
)
def test_a_policy_variable_is_what_is_known_of_the_request(name: str, possible: bool) -> None:
    owned = {"StringEquals": {"sts:RoleSessionName": "${AWS:UserName}"}}
    request = Request("aws")
    request.fix("aws:username", name)
    request.fix("sts:rolesessionname", "jane")
    assert (
        bool(list(allowed(policy_of("Policy", {"Statement": [allow(Condition=owned)]}), request, anything, Solver()))) == possible
    )


def test_what_was_concluded_is_remembered_for_the_same_premises_alone(stack: Stack) -> None:
    solver, situation = Solver(), outside(stack)

    def questions(*statements: dict[str, Any], kind: Kind = "aws", situation: Situation = situation) -> int:
        before = solver.queries
        list(allowed(policy_of("Policy", {"Statement": list(statements)}), Request(kind), situation, solver))
        return solver.queries - before

    assert questions(allow()) > 0
    assert questions(allow()) == 0
    assert questions(allow(), situation=outside(stack)) == 0
    assert questions(allow(Action="s3:*")) > 0
    assert questions(allow(), kind="service") > 0
    assert questions(allow(), deny()) > 0
    assert questions(allow(), situation=Outside(OTHER, ())) > 0


def test_two_conditions_bind_one_request(stack: Stack) -> None:
    both = {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}, "NotIpAddress": {"aws:SourceIp": "192.0.0.0/16"}}
    assert let_in(stack, allow(Condition=both)) == set()


def test_two_keys_are_two_addresses(stack: Stack) -> None:
    both = {"IpAddress": {"aws:SourceIp": "192.0.2.0/24", "aws:VpcSourceIp": "10.0.0.0/8"}}
    assert let_in(stack, allow(Condition=both)) == EVERYBODY


def test_a_request_without_tls_is_told_from_one_with_it() -> None:
    policy = policy_of("Policy", {"Statement": [allow(), deny(Condition={"Bool": {"aws:SecureTransport": "false"}})]})
    for value, found in (("true", 1), ("false", 0)):
        request = Request("anonymous")
        request.fix(TLS, value)
        assert len(list(allowed(policy, request, anything, Solver()))) == found


def test_an_action_that_is_written_in_another_case_is_the_same(stack: Stack) -> None:
    assert let_in(stack, allow(), deny(Action="S3:GETOBJECT")) == set()


def test_the_example_is_such_a_request(stack: Stack) -> None:
    policy = policy_of("Policy", {"Statement": [allow({"AWS": OTHER}, Action="s3:Get*", Resource="arn:aws:s3:::b/*")]})
    ((statement, example),) = allowed(policy, Request("aws"), outside(stack), Solver())
    assert statement.title == "Policy [A]"
    assert (example["action"], example["resource"], example["aws:principalaccount"]) == ("s3:get", "arn:aws:s3:::b/", OTHER)


@pytest.mark.parametrize(
    "statement",
    [
        allow(Condition={"StringSounds": {"aws:PrincipalAccount": OWN}}),
        allow({"Person": "mallory"}),
        allow(Effect="Maybe"),
        allow(Unless={}),
        {"Effect": "Allow"},
    ],
)
def test_what_is_not_known_is_refused(stack: Stack, statement: dict[str, Any]) -> None:
    with pytest.raises(NotUnderstood):
        let_in(stack, statement)


def test_a_solver_without_an_answer_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(z3.Solver, "check", lambda self: z3.unknown)
    with pytest.raises(NotUnderstood, match="no answer"):
        Solver().find([])
