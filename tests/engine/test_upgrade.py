"""A stack that the previous program made is brought up to date by this one, in place: nothing that holds data is made anew.

The previous program is the newest commit whose program differs from the files here. UPGRADE_FROM names another commit.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.engine

PROJECT = Path(__file__).resolve().parents[2]
PROGRAM = ("infra", "lambda_authorizer", "local_cloud", "Pulumi.yaml", "Pulumi.local.yaml", "Pulumi.dev.yaml")

# What holds data, or what those who use the system hold on to: sign-in, addresses, credentials.
KEPT = {
    "aws:s3/bucket:Bucket",
    "aws:dynamodb/table:Table",
    "aws:kms/key:Key",
    "aws:cognito/userPool:UserPool",
    "aws:secretsmanager/secret:Secret",
    "aws:apigateway/restApi:RestApi",
}

# What a program of the last commits made and this one takes away on purpose: the service's keys moved to a parameter.
GIVEN_UP = {"aws:secretsmanager/secret:Secret::service"}


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=PROJECT, check=True, capture_output=True, timeout=60).stdout


def differs(commit: str) -> bool:
    return (
        subprocess.run(["git", "diff", "--quiet", commit, "--", *PROGRAM], cwd=PROJECT, check=False, timeout=60).returncode == 1
    )


def has_history() -> bool:
    """Whether the program changed in any commit that is here. A git that is missing is an error, as any missing tool."""
    log = subprocess.run(
        ["git", "rev-list", "--count", "HEAD", "--", *PROGRAM], cwd=PROJECT, check=False, capture_output=True, timeout=60
    )
    return log.returncode == 0 and int(log.stdout) > 1


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the previous program. Only a checkout whose history begins or was cut off here may have none."""
    chosen = os.environ.get("UPGRADE_FROM")
    if not chosen and not has_history():
        pytest.skip("this checkout holds no earlier commit: clone it with its history, or `git fetch --deepen=50`")
    candidates = [chosen] if chosen else git("rev-list", "--max-count=50", "HEAD", "--", *PROGRAM).decode().split()
    found = next((commit for commit in candidates if differs(commit)), None)
    assert found is not None, "none of the last commits has another program than the files here"
    tree = tmp_path_factory.mktemp("previous")
    with tarfile.open(fileobj=BytesIO(git("archive", "--format=tar", found))) as archive:
        archive.extractall(tree, filter="data")
    # The Pulumi CLI is found or built once for all.
    if (PROJECT / ".tools").exists():
        (tree / ".tools").symlink_to(PROJECT / ".tools")
    return tree


def kept(resources: list[dict[str, Any]]) -> dict[str, str]:
    named = {f"{resource['type']}::{resource['urn'].rpartition('::')[2]}": resource for resource in resources}
    return {name: resource["id"] for name, resource in named.items() if resource["type"] in KEPT and name not in GIVEN_UP}


def test_the_stack_of_the_previous_program_is_upgraded_in_place(engine_of: Callable[[str], Any], previous: Path) -> None:
    engine = engine_of("local")
    here = engine.program
    engine.program = previous
    for name in ("Pulumi.yaml", "Pulumi.local.yaml"):
        shutil.copyfile(previous / name, engine.project / name)
    engine.up()
    before = kept(engine.export())
    assert before, "the previous program made nothing that is to be kept"

    engine.program = here
    for name in ("Pulumi.yaml", "Pulumi.local.yaml"):
        shutil.copyfile(here / name, engine.project / name)
    engine.up()
    after = kept(engine.export())
    assert {name: after.get(name) for name in before} == before
    changes, _ = engine.up()
    assert set(changes) == {"same"}
    engine.run("deployment.destroy()\nprint('{}')")
    assert engine.account.left() == {}
