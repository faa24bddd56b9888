"""What docs/direct-identity.md says of the service on a lab's own host, held against the stack."""

import re
from pathlib import Path

import pytest

from heartmap_service.settings import ApiSettings
from infra.network import interface_endpoints
from lambda_authorizer import config
from tests.docs.aws_cli import problems

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "direct-identity.md").read_text(encoding="utf-8").partition("\n## Beside a proxy of your own\n")[2]
EFFECTIVE = (PROJECT / "docs" / "effective" / "prod.txt").read_text(encoding="utf-8")
"""What the plan of prod allows whom; tests/posture hold it against the plan."""


def policy(name: str) -> str:
    """What the policy of this name allows, as the page of effective policies has it."""
    found = re.search(rf"^  {name}: .*\n((?:    .*\n)+)", EFFECTIVE, re.MULTILINE)
    assert found, f"the stack has no {name}"
    return found[1]


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("api-task", {"s3:PutObject", "s3:GetObject", "dynamodb:UpdateItem", "dynamodb:Query", "sqs:SendMessage", "kms:Decrypt"}),
        # lambda_authorizer's AWS: keys and lock-outs, their use, the secret.
        ("authorizer", {"dynamodb:GetItem", "dynamodb:PutItem", "secretsmanager:GetSecretValue", "kms:Decrypt"}),
        ("api-execution", {"ecr:GetAuthorizationToken", "ecr:BatchGetImage", "logs:CreateLogStream", "logs:PutLogEvents"}),
    ],
)
def test_the_policies_that_the_page_attaches_are_the_stacks_and_suffice(name: str, needed: set[str]) -> None:
    assert f"policy/heartmap-prod-{name}\n" in PAGE
    assert needed <= set(re.findall(r"^      ([a-z0-9]+:\w+)$", policy(f"heartmap-prod-{name}"), re.MULTILINE))


def test_no_policy_asks_for_the_stacks_own_network() -> None:
    assert not re.search(r"aws:(SourceVpce?|VpcSourceIp)\b", EFFECTIVE, re.IGNORECASE)


def test_the_stacks_own_network_has_no_way_to_the_secret() -> None:
    assert "secretsmanager" not in interface_endpoints(bastion=True)


def test_the_variables_of_the_page_are_read_by_the_service() -> None:
    known = {f"HEARTMAP_{name.upper()}" for name in ApiSettings.model_fields} | config.VARIABLES
    named = set(re.findall(r"HEARTMAP_[A-Z_]+", PAGE))
    assert len(named) > 8
    assert named <= known


def test_every_aws_command_of_the_page_is_one_that_the_cli_takes() -> None:
    lines = [line.replace("\\\n", " ") for line in re.findall(r"(?:^|\(|\$\()(aws [^\n)]+)", PAGE, re.MULTILINE)]
    assert len(lines) == 6
    assert [found for line in lines for found in problems(line)] == []
