"""Every block of code of README and docs: its commands are run by a test, or named here as not run, with the reason.

- ``heartmapctl``: each line is parsed to its end by tests/operator_cli/test_documented.py; each verb and each option is typed by
  tests/e2e/test_documented_commands.py.
- ``aws``: tests/docs/test_aws_commands.py holds each to the CLI's options.
- ``make``: the target is there. README's lines are tests/docs/test_readme.py's.
- What else is in a block: ``RUN`` and ``NOT_RUN`` say of each.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from infra.settings import load_stack_file
from tests.docs.markdown import PROJECT, page, pages
from tests.docs.test_aws_commands import ALL as AWS
from tests.operator_cli.test_documented import WRITTEN as CTL

RECIPES, BESIDE = "tests/operator_cli/test_access_recipes.py", "tests/gateways/test_beside_a_proxy.py"
KEYS, DEVELOPMENT = "tests/operator_cli/test_document.py", "tests/heartmap_service/test_development.py"
TYPED = "tests/e2e/test_documented_commands.py"

RUN = {
    (
        "docs/access.md",
        "url      https://localhost:9443",
    ): "tests/operator_cli/test_tunnel.py::test_people_are_told_where_it_is",
    ("docs/access.md", "instance=$(aws"): f"{RECIPES}::test_the_port_by_session_manager",
    ("docs/access.md", "Host i-*"): f"{RECIPES}::test_the_port_by_ssh",
    ("docs/access.md", "ssh-keygen"): f"{RECIPES}::test_the_port_by_ssh",
    ("docs/access.md", "ssh -N"): f"{RECIPES}::test_the_port_over_a_machine_of_ones_own",
    ("docs/api-keys.md", "Authorization: ApiKey"): f"{KEYS}::test_the_headers_are_in_the_form_that_is_taken",
    ("docs/api-keys.md", '"@method": POST'): f"{KEYS}::test_the_headers_are_in_the_form_that_is_taken",
    ("docs/api-keys.md", "import base64"): f"{KEYS}::test_the_recipe_in_python_is_what_the_authorizer_takes",
    ("docs/api-keys.md", "method=POST"): f"{KEYS}::test_the_recipe_with_curl_is_what_the_authorizer_takes",
    (
        "docs/break-glass.md",
        "heartmap:break_glass_users:",
    ): "tests/docs/test_blocks.py::test_the_setting_of_break_glass_is_taken_as_written",
    (
        "docs/development.md",
        "HEARTMAP_ENVIRONMENT=local .venv",
    ): f"{DEVELOPMENT}::test_the_command_serves_api_and_worker_to_who_has_the_key",
    ("docs/development.md", "curl -H"): f"{DEVELOPMENT}::test_the_command_serves_api_and_worker_to_who_has_the_key",
    ("docs/development.md", "openssl req"): f"{DEVELOPMENT}::test_with_certificates_it_is_uvicorn_with_tls",
    (
        "docs/direct-identity.md",
        "GET /authorize",
    ): "tests/heartmap_service/test_forward_auth.py::test_the_access_policy_decides_for_every_role_on_every_route",
    ("docs/gateways.md", "curl --user"): "tests/e2e/test_gateways.py::test_a_password_in_front_and_the_credential_behind",
    (
        "docs/operations.md",
        ".venv/bin/python -m local_cloud game-day",
    ): "tests/e2e/test_outages.py::test_what_is_broken_shows_as_it_is_said_and_is_mended_as_it_is_said",
    ("docs/operators.md", "upload=$(heartmapctl"): f"{TYPED}::test_the_recipes_for_a_shell_run_as_written",
    ("docs/proof.md", "pulumi stack export"): "tests/engine/test_stacks.py::test_isolation_is_proved_of_what_was_deployed",
    (
        "docs/proof.md",
        "make prove EXPORT=",
    ): "tests/posture/proof/test_assumptions.py::test_the_command_of_the_page_assumes_what_it_says",
    (
        "docs/scaling.md",
        "python benchmarks/scaling_page.py",
    ): "tests/benchmarks/test_scaling.py::test_the_page_has_what_the_simulation_says",
    **{
        ("docs/service.md", line): f"{TYPED}::test_the_recipes_for_a_shell_run_as_written"
        for line in ("api=https://localhost", 'call "$api/uploads"', 'call "$api/uploads/$upload', 'call "$api/analyses"')
    },
}
"""By the page and how the first line of a block that is none of ours begins: the test that runs it, or compares it."""

NOT_RUN = {
    ("docs/runbook.md", "git log"): "what was changed lately, of the reader's own checkout",
    ("docs/ci.md", "pulumi login s3://"): "a bucket and a key of KMS of one's own, which a state is kept in",
    ("docs/console.md", "browser ── http"): "a picture",
    ("docs/direct-identity.md", "{"): "jq over what AWS answers; what it reads and the variables are held against the stack",
    ("docs/direct-identity.md", "docker run"): "no Docker engine",
    (
        "docs/gateways.md",
        "install -m 644 nginx",
    ): "root, and the machine's own nginx; its files are run by tests/gateways/test_nginx.py",
    (
        "docs/gateways.md",
        "apt-get install",
    ): "root, and the machine's own Apache; its files are run by tests/gateways/test_apache.py",
    ("docs/gateways.md", "cd apim"): "an Azure subscription; the program is run by tests/gateways/test_azure_apim_project.py",
    ("docs/gateways.md", "az keyvault"): "an Azure key vault",
    (
        "docs/gateways.md",
        "install -m 644 -D -t /etc/kong",
    ): "root, and Kong itself; its files are run by tests/gateways/test_kong.py",
    ("docs/gateways.md", "install -m 644 -D -t /etc/traefik"): "root; its files are run by tests/gateways/test_traefik.py",
}
"""The same of what no test runs: why."""

OURS = re.compile(
    r"(\$ )?(\.venv/bin/)?heartmapctl |aws |make [a-z./-]+$|export HEARTMAP_ENVIRONMENT=|export PATH=|export KEY=|#"
)
PAGES = [each for each in pages() if str(each.path).startswith("docs/") and each.blocks]


def _others(block: str) -> Iterator[str]:
    """The lines of a block that are none of ours."""
    for line in block.replace("\\\n", " ").splitlines():
        if line.strip() and not OURS.match(line):
            yield line.strip()


def _named(path: str, line: str) -> list[tuple[str, str]]:
    return [key for key in (*RUN, *NOT_RUN) if key[0] == path and line.startswith(key[1])]


@pytest.mark.parametrize("path", [str(each.path) for each in PAGES])
def test_every_block_is_run_by_a_test_or_named_as_not_run(path: str) -> None:
    unnamed = []
    for _, block in page(path).blocks:
        first = next(_others(block), None)
        if first is not None and not _named(path, first):
            unnamed.append(first)
    assert unnamed == []


def test_no_block_is_named_that_is_not_there() -> None:
    there = {key for each in PAGES for _, block in each.blocks for line in _others(block) for key in _named(str(each.path), line)}
    assert {*RUN, *NOT_RUN} - there == set()


@pytest.mark.parametrize("test", sorted(set(RUN.values())))
def test_what_is_named_is_a_test(test: str) -> None:
    file, _, name = test.partition("::")
    assert re.search(rf"^def {name}\(", (PROJECT / file).read_text(encoding="utf-8"), re.MULTILINE), f"{file} has no {name}"


def test_every_command_of_ours_in_a_block_is_looked_at() -> None:
    """Also one that the other tests' patterns for lines would miss."""
    looked_at = {(str(path), " ".join(line.split())) for path, line in CTL} | {
        (path, " ".join(line.split())) for path, line in AWS
    }
    missed = [
        (str(each.path), line)
        for each in PAGES
        for _, block in each.blocks
        for line in block.replace("\\\n", " ").splitlines()
        if (found := re.match(r"(?:\$ )?(?:\.venv/bin/)?(heartmapctl|aws) (.*)", line))
        and (str(each.path), " ".join((found[2] if found[1] == "heartmapctl" else found[0]).split())) not in looked_at
    ]
    assert missed == []


def test_every_target_of_make_is_there() -> None:
    targets = {
        found for each in PAGES for _, block in each.blocks for found in re.findall(r"^make ([a-z./-]+)", block, re.MULTILINE)
    }
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    assert targets
    assert [name for name in targets if not re.search(rf"^{re.escape(name)}\b.*:", makefile, re.MULTILINE)] == []


def test_the_setting_of_break_glass_is_taken_as_written(tmp_path: Path) -> None:
    ((_, block),) = [each for each in page("docs/break-glass.md").blocks if each[0] == "yaml"]
    project = yaml.safe_load((PROJECT / "Pulumi.dev.yaml").read_text(encoding="utf-8"))
    project["config"] |= yaml.safe_load(block) | {"heartmap:audit_trail": True}
    (tmp_path / "Pulumi.dev.yaml").write_text(yaml.safe_dump(project))
    (tmp_path / "Pulumi.yaml").write_bytes((PROJECT / "Pulumi.yaml").read_bytes())
    assert load_stack_file(tmp_path, "dev").break_glass_users == ("arn:aws:iam::123456789012:user/emergency",)
