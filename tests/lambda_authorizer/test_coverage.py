"""Every branch of what decides is taken by the tests of its modules; attacks and generated cases do not count."""

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]

MODULES = (
    *("access_policy", "api_keys", "assertion", "audit", "audit_chain", "aws", "bounded", "bounded_http", "config", "encoding"),
    *("environment", "events", "handler", "key_use", "keys", "lock_outs", "peppers", "policy", "reasons", "secret_store"),
    *("signature", "tokens"),
)
"""Whatever the package holds that is imported where a decision is made."""


def test_every_branch_of_a_decision_is_taken(tmp_path: Path) -> None:
    tests = [path for path in (HERE / f"test_{module}.py" for module in MODULES) if path.exists()]
    measured = {**os.environ, "COVERAGE_FILE": str(tmp_path / "coverage")}
    measured.pop("PYTEST_XDIST_WORKER", None)
    include = ",".join(str(PROJECT / "lambda_authorizer" / f"{module}.py") for module in MODULES)
    for command in (
        ["run", "--branch", f"--include={include}", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *map(str, tests)],
        ["json", "-q", "-o", str(tmp_path / "coverage.json")],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "coverage", *command], cwd=PROJECT, env=measured, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    files = json.loads((tmp_path / "coverage.json").read_text())["files"]
    assert {Path(name).stem for name in files} == set(MODULES)
    gaps = {
        Path(name).stem: {"lines": file["missing_lines"], "branches": file["missing_branches"]}
        for name, file in files.items()
        if file["missing_lines"] or file["missing_branches"]
    }
    assert gaps == {}


def test_no_module_that_decides_is_left_out() -> None:
    program = (
        "import sys, lambda_authorizer.handler; print(*(name for name in sys.modules if name.startswith('lambda_authorizer.')))"
    )
    imported = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert {name.rpartition(".")[2] for name in imported.split()} == set(MODULES)
