"""The workflows by their rules, and the roles that AWS lets them have."""

import fnmatch
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from cfnlint.decode import cfn_yaml

from operator_cli.preflight.permissions import RESOURCES, calls
from posture.plan import ROOT, plan_of
from posture.supply import pins, workflows

ROLES = ROOT / ".github" / "aws" / "roles.yaml"
ISSUER = "token.actions.githubusercontent.com"
SHA = "abcd" * 10

GOOD = f"""
on:
  pull_request:
permissions: {{}}
jobs:
  a:
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    environment: dev
    permissions: {{contents: read, id-token: write}}
    steps:
      - uses: actions/checkout@{SHA}
        with: {{persist-credentials: false}}
      - run: echo "$NAME"
        env: {{NAME: "${{{{ github.head_ref }}}}"}}
  b:
    permissions: {{contents: read}}
    uses: ./.github/workflows/pulumi.yml
    with: {{stack: prod, command: up, environment: prod}}
"""


def test_the_workflows_of_the_repository_follow_the_rules_and_githubs_schema() -> None:
    assert workflows.findings() == []


def test_a_workflow_that_follows_them_is_accepted() -> None:
    assert list(workflows.rules("x.yml", GOOD)) == []


@pytest.mark.parametrize(
    ("text", "instead", "told"),
    [
        ("on:\n  pull_request:", "on:\n  pull_request_target:", "is started by pull_request_target"),
        ("on:\n  pull_request:", "on: [push, workflow_run]", "is started by workflow_run"),
        ("permissions: {}\n", "", "does not begin without any permission"),
        ("permissions: {}\n", "permissions: write-all\n", "does not begin without any permission"),
        ("permissions: {contents: read, id-token: write}", "env: {}", "a does not name its permissions"),
        ("permissions: {contents: read, id-token: write}", "permissions: {packages: write}", "a may write packages"),
        ("    environment: dev\n", "", "a takes a token for AWS outside of an environment"),
        ("    timeout-minutes: 5\n", "", "a has no time limit"),
        ("environment: prod}", "environment: dev}", "b deploys prod outside of the environment that is approved"),
        ('echo "$NAME"', "echo ${{ github.head_ref }}", "a puts an expression into a shell's text"),
        ("github.head_ref", "secrets.TOKEN", "uses a stored secret"),
        ("persist-credentials: false", "aws-access-key-id: AKIA", "a uses a key of AWS that lasts"),
        ("persist-credentials: false", "persist-credentials: true", "a leaves the checkout's token on the disk"),
    ],
)
def test_each_rule_is_broken_once(text: str, instead: str, told: str) -> None:
    assert text in GOOD
    assert any(told in found for found in workflows.rules("x.yml", GOOD.replace(text, instead)))


def test_what_is_not_githubs_form_is_told(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yml"
    bad.write_text(GOOD.replace("    steps:", "    stepps:"))
    (told,) = workflows.schema("github-workflows", str(bad))
    assert "stepps" in told


def test_zizmor_looks_and_finds_what_is_planted(tmp_path: Path) -> None:
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    planted = tmp_path / ".github" / "workflows" / "x.yml"
    planted.write_text(GOOD.replace("pull_request:", "pull_request_target:").replace('"$NAME"', "${{ github.head_ref }}"))
    assert {one.check for one in workflows.zizmor(str(planted))} >= {"dangerous-triggers", "template-injection"}


def test_prod_waits_for_its_preview_and_for_dev() -> None:
    jobs = yaml.safe_load((pins.WORKFLOWS / "deploy.yml").read_text())["jobs"]
    assert (jobs["prod"]["needs"], jobs["prod-preview"]["needs"]) == ("prod-preview", "dev")
    assert jobs["prod-preview"]["with"] == {"stack": "prod", "environment": "prod-preview", "command": "preview"}


def test_the_engine_in_ci_is_the_one_that_the_stacks_are_tried_with() -> None:
    pinned = re.search(r"pkg/v3 v([\d.]+)", (ROOT / "local_cloud/pulumi_cli/go.mod").read_text())
    assert pinned
    assert f"pulumi-version: {pinned[1]}\n" in (pins.WORKFLOWS / "pulumi.yml").read_text()


def template(**parameters: str) -> dict[str, Any]:
    """The resources of the template with its parameters put in, as CloudFormation does."""
    values = {"Repository": "us/heartmap", "Environment": "prod", "StateBucket": "state", "StateKey": "KEY"}
    values |= {"AWS::Partition": "aws", "AWS::AccountId": "1" * 12, **parameters}

    def put(value: Any) -> Any:
        if isinstance(value, dict) and set(value) == {"Fn::Sub"}:
            return re.sub(r"\$\{([^}]+)\}", lambda match: values[match[1]], value["Fn::Sub"])
        if isinstance(value, dict) and set(value) == {"Ref"}:
            return values.get(value["Ref"], value["Ref"])
        if isinstance(value, dict):
            return {str(key): put(item) for key, item in value.items()}
        return [put(item) for item in value] if isinstance(value, list) else value

    return put(json.loads(json.dumps(cfn_yaml.load(str(ROLES)))))["Resources"]


def admits(role: dict[str, Any], subject: str, audience: str = "sts.amazonaws.com") -> bool:
    """Whether a token of GitHub's with this subject may have the role."""
    (statement,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert statement["Condition"].keys() == {"StringEquals"}
    wanted = statement["Condition"]["StringEquals"]
    assert wanted.keys() == {f"{ISSUER}:aud", f"{ISSUER}:sub"}
    return wanted == {f"{ISSUER}:aud": audience, f"{ISSUER}:sub": subject}


@pytest.mark.parametrize(
    ("subject", "previews", "deploys"),
    [
        ("repo:us/heartmap:environment:prod", False, True),
        ("repo:us/heartmap:environment:prod-preview", True, False),
        ("repo:us/heartmap:environment:dev", False, False),
        ("repo:us/heartmap:pull_request", False, False),
        ("repo:us/heartmap:ref:refs/heads/main", False, False),
        ("repo:them/heartmap:environment:prod", False, False),
        ("repo:us/heartmap-fork:environment:prod", False, False),
        ("repo:us/*:environment:prod", False, False),
    ],
)
def test_a_role_is_for_one_environment_of_one_repository(subject: str, previews: bool, deploys: bool) -> None:
    resources = template()
    assert (admits(resources["Preview"], subject), admits(resources["Deploy"], subject)) == (previews, deploys)
    assert not admits(resources["Deploy"], subject, audience="https://github.com/us")


def test_a_preview_reads_the_state_and_nothing_else() -> None:
    (policy,) = template()["Preview"]["Properties"]["Policies"]
    may = {
        (action, where)
        for one in policy["PolicyDocument"]["Statement"]
        for action in listed(one["Action"])
        for where in listed(one["Resource"])
    }
    assert may == {
        ("s3:ListBucket", "arn:aws:s3:::state"),
        ("s3:GetBucketLocation", "arn:aws:s3:::state"),
        ("s3:GetObject", "arn:aws:s3:::state/.pulumi/*"),
        ("kms:Decrypt", "KEY"),
    }
    assert "ManagedPolicyArns" not in template()["Preview"]["Properties"]


def listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def may(action: str, resource: str) -> bool:
    """Whether the role that deploys may do this to that: an Allow, and no Deny."""
    statements = template()["DeployPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    effects = {
        one["Effect"]
        for one in statements
        if any(fnmatch.fnmatchcase(action, pattern) for pattern in listed(one["Action"]))
        and any(fnmatch.fnmatchcase(resource, pattern) or pattern == "*" for pattern in listed(one["Resource"]))
    }
    return effects == {"Allow"}


ANYWHERE = {"iam:ListRoles", "iam:ListPolicies"}
WITHOUT_A_RESOURCE = {"sts:GetCallerIdentity"}
"""Everyone may."""


def test_the_role_that_deploys_may_do_what_the_stacks_take() -> None:
    types = {resource.type for resource in plan_of("prod").resources}
    actions = {action for type_, needed in calls().items() if type_ in types for action in needed} - WITHOUT_A_RESOURCE
    names = {"partition": "aws", "region": "us-east-1", "account": "1" * 12, "prefix": "heartmap-prod", "environment": "prod"}
    assert len(actions) > 200
    resources = {
        action: "*" if action in ANYWHERE else RESOURCES.get(action.split(":")[0], "*").format(**names) for action in actions
    }
    assert sorted(action for action, resource in resources.items() if not may(action, resource)) == []


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("iam:CreateUser", "arn:aws:iam::111111111111:user/heartmap-prod-me"),
        ("iam:CreateAccessKey", "arn:aws:iam::111111111111:user/me"),
        ("iam:UpdateAssumeRolePolicy", "arn:aws:iam::111111111111:role/ci-heartmap-prod-deploy"),
        ("iam:CreatePolicyVersion", "arn:aws:iam::111111111111:policy/ci-heartmap-prod-deploy"),
        ("iam:PassRole", "arn:aws:iam::111111111111:role/somebody-elses"),
        ("iam:UpdateAssumeRolePolicy", "arn:aws:iam::111111111111:role/heartmap-dev-authorizer"),
        ("s3:GetObject", "arn:aws:s3:::somebody-elses/secret"),
        ("organizations:LeaveOrganization", "*"),
        ("sts:AssumeRole", "arn:aws:iam::222222222222:role/any"),
    ],
)
def test_it_may_not_make_itself_lasting_nor_touch_what_is_not_the_stacks(action: str, resource: str) -> None:
    assert not may(action, resource)
