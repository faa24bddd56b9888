"""What is taken from others is pinned, and what is not is named."""

import json

import pytest
import yaml

from posture.supply import pins

SHA = "abcd" * 10
DIGEST = "sha256:" + "a" * 64


def test_everything_in_the_repository_is_pinned() -> None:
    assert pins.findings() == []
    assert len(pins.workflows()) >= 5


@pytest.mark.parametrize(
    "uses", ["actions/checkout@v7", "actions/checkout@main", "actions/checkout", f"actions/checkout@{SHA[:7]}"]
)
def test_an_action_without_the_sha_of_a_commit_is_named(uses: str) -> None:
    found = list(pins.actions("x.yml", yaml.safe_load(f"jobs: {{a: {{steps: [{{uses: {uses}}}]}}}}")))
    assert found == [f"x.yml: {uses} is not pinned by the SHA of a commit"]


@pytest.mark.parametrize(
    "uses", [f"actions/checkout@{SHA}", f"github/codeql-action/upload-sarif@{SHA}", "./.github/workflows/a.yml"]
)
def test_a_pinned_action_and_a_file_of_this_repository_are_not(uses: str) -> None:
    assert list(pins.actions("x.yml", {"jobs": {"a": {"steps": [{"uses": uses}]}}})) == []


@pytest.mark.parametrize("container", ["python:3.11", {"image": "python:3.11"}])
def test_a_container_without_a_digest_is_named(container: object) -> None:
    assert next(pins.actions("x.yml", {"jobs": {"a": {"container": container}}})).startswith("x.yml: python:3.11 is not pinned")
    assert list(pins.actions("x.yml", {"jobs": {"a": {"container": f"python:3.11@{DIGEST}"}}})) == []


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("FROM python:3.11 AS base", True),
        ("FROM --platform=linux/arm64 python:3.11@sha256:abc", True),
        (f"FROM python:3.11@{DIGEST} AS base\nFROM base\nCOPY --from=base /a /a", False),
        (f"FROM python:3.11@{DIGEST}\nCOPY --from=busybox /a /a", True),
    ],
)
def test_a_base_without_a_digest_is_named(line: str, named: bool) -> None:
    assert bool(list(pins.images(line))) is named


def test_a_requirement_without_a_hash_or_a_version_is_named() -> None:
    good = "a[x]==1 ; python_version > '3' \\\n    --hash=sha256:00\n    # via b\n"
    assert list(pins.requirements("r", good)) == []
    assert list(pins.requirements("r", good + "b==2\n")) == ["r: b==2 is not pinned with a hash"]
    assert list(pins.requirements("r", "c>=2 --hash=sha256:00\n")) == ["r: c>=2 is not pinned with a hash"]


def test_an_npm_package_without_a_hash_is_named() -> None:
    lock = {"packages": {"": {}, "node_modules/a": {"integrity": "sha512-x"}, "node_modules/b": {"version": "1"}}}
    assert list(pins.packages("lock", json.dumps(lock))) == ["lock: node_modules/b has no hash"]
