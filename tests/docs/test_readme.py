"""The README's blocks: each line is run, by a test here or by one that is named here, and its figures are those of the plan.

- ``.venv/bin/heartmapctl`` in the local environment: tests/e2e/test_documented_commands.py runs each line as written.
- The same with ``--environment``: every line is parsed to its end by tests/operator_cli/test_documented.py.
- ``aws``: tests/docs/test_aws_commands.py holds them to the CLI's options, and makes the administrator with them.
- ``pulumi up``: tests/engine deploys each stack by the engine; the other commands run here.
- ``make``: what each target would run is looked at here, and it is what the tests are run by.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from local_cloud import engine
from operator_cli import environments
from operator_cli.environments import EnvironmentName
from posture.costs import LIMITS, job_hour
from posture.plan import plan_of
from tests.docs.markdown import PROJECT, page

BLOCKS = page("README.md").blocks
LINES = [
    line.split("  #")[0].strip()
    for _, block in BLOCKS
    for line in block.replace("\\\n", " ").splitlines()
    if line.strip() and not line.startswith("#")
]
LOOKED_AT = re.compile(
    r"make [a-z./-]+|\.venv/bin/heartmapctl .+|aws .+|POOL=\$\(pulumi stack output user_pool_id\)|mkdir -p \S+"
    r"|pulumi (login|up|stack init dev|stack output --json --stack dev > \S+)"
)
TARGETS = {
    "local": "-m local_cloud up",
    "local-down": "-m local_cloud down",
    "test": "-m pytest",
    "lint": "ruff check",
    "posture": "-m posture check",
    "prove": "-m posture.proof",
    "help": "grep",
    ".venv/.installed": "--require-hashes",
}


def test_every_block_is_a_shells_and_every_line_is_looked_at_by_some_test() -> None:
    assert {language for language, _ in BLOCKS} == {"sh"}
    assert [line for line in LINES if not LOOKED_AT.fullmatch(line)] == []


def test_the_readme_names_just_the_targets_that_are_tried() -> None:
    assert {line.removeprefix("make ") for line in LINES if line.startswith("make ")} == set(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_would_run_what_the_readme_says(target: str) -> None:
    # As in a fresh clone, where nothing is made yet; with --dry-run nothing is made either.
    told = _run(PROJECT, "make", "--dry-run", "--always-make", target)
    assert TARGETS[target] in told


def test_help_tells_of_each_target() -> None:
    told = _run(PROJECT, "make", "help")
    assert all(re.search(rf"^{re.escape(name)} ", told, re.MULTILINE) for name in TARGETS if not name.startswith("."))


def test_the_commands_of_pulumi_run_as_written(tmp_path: Path) -> None:
    """The state lies in a directory. Nothing is deployed."""
    for name in ("Pulumi.yaml", "Pulumi.dev.yaml", "__main__.py"):
        shutil.copy(PROJECT / name, tmp_path)
    state = tmp_path / "state"
    state.mkdir()
    cli = engine.locate().parent
    variables = {
        "PATH": f"{cli}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PULUMI_HOME": str(tmp_path / ".pulumi"),
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE": "nothing to keep",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    shell = [line for line in LINES if line.startswith(("pulumi login", "pulumi stack", "mkdir"))]
    assert len(shell) == 4
    for line in shell:
        _run(tmp_path, "bash", "-euc", line, **variables)
    assert (tmp_path / ".config/heartmapctl/environments/dev.json").read_text().strip() == "{}"
    assert "--yes" in _run(tmp_path, "pulumi", "up", "--help", **variables)


def test_the_outputs_are_put_where_heartmapctl_looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    wanted = next(line.rpartition("> ")[2] for line in LINES if line.startswith("pulumi stack output --json"))
    assert environments.description_file(EnvironmentName.DEV) == tmp_path / wanted.removeprefix("~/")


def test_the_figures_are_those_of_the_limits_and_the_plan() -> None:
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    for stack, limit in LIMITS.items():
        assert f"`{stack}` at most ${limit:.0f} a month" in text or f"`{stack}` at most ${limit:.0f};" in text
    assert f"an hour of a worker in `prod` is ${job_hour(plan_of('prod')):.2f}." in text


def _run(directory: Path, *words: str, **variables: str) -> str:
    done = subprocess.run(
        words, cwd=directory, env=os.environ | variables, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout
