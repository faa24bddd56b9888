"""Break-glass and teardown as they are typed: the real program at a terminal, an emulated AWS, and the real engine."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from infra.break_glass import trust
from local_cloud import deploy
from operator_cli.operations import archive
from tests.docs.markdown import PROJECT
from tests.operator_cli.terminal import typed

ACCOUNT = "123456789012"
WHO = "import boto3; print('I am', boto3.client('sts').get_caller_identity()['Arn'])"


def documented(page: str, words: str) -> list[str]:
    """The one command of a page that has these words and is not cut short, after `heartmapctl`."""
    lines = re.findall(r"^heartmapctl (.*)$", (PROJECT / "docs" / page).read_text(encoding="utf-8"), re.MULTILINE)
    (line,) = [line for line in lines if re.search(words, line)]
    return [sys.executable, "-m", "operator_cli", *shlex.split(line)]


@pytest.fixture(scope="module")
def emergency(aws: Callable[[str], Any]) -> dict[str, str]:
    """The credentials of the user whom the role of prod names, with a second factor."""
    iam = aws("iam")
    arn = iam.create_user(UserName="emergency")["User"]["Arn"]
    device = iam.create_virtual_mfa_device(VirtualMFADeviceName="safe")["VirtualMFADevice"]["SerialNumber"]
    iam.enable_mfa_device(UserName="emergency", SerialNumber=device, AuthenticationCode1="123456", AuthenticationCode2="654321")
    may = {"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession", "iam:ListMFADevices"], "Resource": "*"}
    iam.put_user_policy(
        UserName="emergency", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [may]})
    )
    iam.create_role(RoleName="heartmap-prod-break-glass", AssumeRolePolicyDocument=trust([arn]))
    key = iam.create_access_key(UserName="emergency")["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


def variables(url: str, **more: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HEARTMAP_", "PULUMI_"))}
    return own | deploy.emulated_aws(url) | {"PYTHONPATH": str(PROJECT), "COLUMNS": "200", "TERM": "dumb"} | more


def test_break_glass_opens_a_shell_that_is_the_role(emergency: dict[str, str], moto_url: str, tmp_path: Path) -> None:
    words = documented("break-glass.md", "operate break-glass")
    code, shown = typed(
        words,
        [
            ("Open it?", "y"),
            ("Code of safe:", "123456"),
            ("it ends with `exit`.", f'PS1=; {sys.executable} -c "{WHO}"; exit 3'),
        ],
        directory=tmp_path,
        variables=variables(moto_url, SHELL="/bin/sh", **emergency),
    )
    assert f"I am arn:aws:sts::{ACCOUNT}:assumed-role/heartmap-prod-break-glass/emergency" in shown
    assert "all administrators lost their phones: OPS-12" in shown
    assert "break-glass-used" in shown
    assert emergency["AWS_SECRET_ACCESS_KEY"] not in shown
    assert code == 1, "what ran failed"


def test_break_glass_is_opened_by_nobody_who_says_no(emergency: dict[str, str], moto_url: str, tmp_path: Path) -> None:
    words = [*documented("break-glass.md", "operate break-glass"), "--", "touch", "opened"]
    code, shown = typed(words, [("Open it?", "n")], directory=tmp_path, variables=variables(moto_url, **emergency))
    assert (code, (tmp_path / "opened").exists()) == (1, False), shown


# A stack of dev that is small and has of everything that a teardown decides on: what people made, and what stays.
SMALL = """
import json
import pulumi, pulumi_aws as aws
from pathlib import Path
from local_cloud import deploy

def program():
    provider = aws.Provider("aws", region="us-east-1")
    opts = pulumi.ResourceOptions(provider=provider)
    key = aws.kms.Key("logs", description="logs", opts=opts)
    aws.kms.Alias("logs", name="alias/heartmap-dev-logs", target_key_id=key.id, opts=opts)
    aws.cloudwatch.LogGroup("api", name="/heartmap/dev/api", kms_key_id=key.arn, opts=opts)
    aws.s3.Bucket("uploads", bucket="heartmap-dev-uploads", force_destroy=True, opts=opts)
    audit = aws.s3.Bucket("audit", bucket="heartmap-dev-audit", object_lock_enabled=True, opts=opts)
    rule = {"default_retention": {"mode": "COMPLIANCE", "days": 1}}
    aws.s3.BucketObjectLockConfiguration("audit", bucket=audit.bucket, rule=rule, opts=opts)
    table = {"name": "heartmap-dev-jobs", "hash_key": "pk", "attributes": [{"name": "pk", "type": "S"}]}
    aws.dynamodb.Table("jobs", billing_mode="PAY_PER_REQUEST", **table, opts=opts)

deploy._program = program
deployment = deploy.Deployment(stack="dev", state=Path(STATE), endpoint=ENDPOINT)
deployment.up()
print(json.dumps(dict(deployment.select().workspace.env_vars)))
"""


@pytest.fixture
def small(moto_url: str, tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A checkout that holds the stack's file, and the variables of a shell that is signed in to AWS and to the engine."""
    program = f"STATE, ENDPOINT = {str(tmp_path)!r}, {moto_url!r}\n{SMALL}"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, env=variables(moto_url), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    checkout = tmp_path / "work"
    for package in ("operator_cli", "infra", "lambda_authorizer"):
        (checkout / package).symlink_to(PROJECT / package)
    return checkout, variables(moto_url) | json.loads(done.stdout.splitlines()[-1]) | {"PYTHONPATH": f"{checkout}:{PROJECT}"}


@pytest.mark.engine
def test_a_stack_is_torn_down_by_who_types_its_name(
    small: tuple[Path, dict[str, str]], aws: Callable[[str], Any], tmp_path: Path
) -> None:
    checkout, shell = small
    aws("s3").put_object(Bucket="heartmap-dev-uploads", Key="cells.h5ad", Body=b"cells")
    code, shown = typed(documented("teardown.md", "--preview$"), [], directory=checkout, variables=shell)
    assert code == 0, shown
    assert "Bucket heartmap-dev-uploads: 1 objects" in shown
    backup = tmp_path / "last"
    place = archive.Archive(archive.Directory.made(backup))
    place.write_manifest({"format": archive.FORMAT, "environment": "dev", "at": datetime.now(UTC).isoformat()})
    words = [word.replace("/backups/last", str(backup)) for word in documented("teardown.md", "teardown .*--backup")]
    code, shown = typed(words, [("> ", "heartmap-dev")], directory=checkout, variables=shell)
    assert (code, buckets(aws)) == (1, {"heartmap-dev-uploads", "heartmap-dev-audit"}), shown
    code, shown = typed(words, [("> ", f"heartmap-dev {ACCOUNT}")], directory=checkout, variables=shell)
    assert code == 0, shown
    assert shown.rstrip().splitlines()[-1].startswith("dev is gone; ")
    assert buckets(aws) == {"heartmap-dev-audit"}
    assert aws("dynamodb").list_tables()["TableNames"] == []
    assert [group["logGroupName"] for group in aws("logs").describe_log_groups()["logGroups"]] == ["/heartmap/dev/api"]


def buckets(aws: Callable[[str], Any]) -> set[str]:
    return {bucket["Name"] for bucket in aws("s3").list_buckets()["Buckets"]}
