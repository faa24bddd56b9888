"""A planted secret is found, and the files of the repository have none; what developers install before each commit."""

import json
import subprocess
from pathlib import Path

import yaml

from posture import check
from posture.plan import ROOT
from posture.supply import programs, secrets
from posture.verdict import Result

HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]


def test_the_files_of_the_repository_have_no_secret() -> None:
    """And a secret that is planted beside them is found: what looks at both is one run."""
    # Put together here, so that this file has none.
    planted = {
        "AWS Access Key": "key = '" + "AKIA" + "QZ7RW2M4T6Y8P0L3'",
        "Private Key": "-----BEGIN " + "RSA PRIVATE KEY-----",
        "GitHub Token": "token: gh" + "p_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",
        "Base64 High Entropy String": 'pepper = "' + "q8Zt3Lw" + 'Xv0Rk2Yh7Nc5Jb1Md9Gs4Pf6Ta8Ue0Wi"',
    }
    files = secrets.files()
    assert len(files) > 500
    folder = ROOT / ".tools" / "posture" / "planted"
    folder.mkdir(parents=True, exist_ok=True)
    names = {}
    for number, text in enumerate(planted.values()):
        (folder / f"{number}.txt").write_text(text + "\n")
        names[f".tools/posture/planted/{number}.txt"] = list(planted)[number]
    try:
        found = secrets.findings([*files, *names])
    finally:
        for name in names:
            (ROOT / name).unlink()
    assert {(one.check, one.resource) for one in found} >= {(kind, name) for name, kind in names.items()}
    assert [one for one in found if one.resource not in names] == []


def test_a_secret_is_a_line_that_fails(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("-----BEGIN " + "EC PRIVATE KEY-----\n")
    (row,) = check.no_secrets([str(tmp_path / "x")])
    assert (row.result, "Private Key" in row.detail) == (Result.FAIL, True)


def test_nothing_is_asked_of_others_whether_a_secret_is_good() -> None:
    filters = json.loads(secrets.BASELINE.read_text())["filters_used"]
    assert not any("verif" in one["path"] for one in filters)
    (hook,) = [one for repo in HOOKS for one in repo["hooks"] if one["id"] == "secrets"]
    assert {"--no-verify", "--baseline", ".secrets.baseline"} <= set(hook["entry"].split())


def test_the_hooks_are_programs_of_the_lock_files() -> None:
    """Nothing is fetched by a name that its owner can move."""
    assert programs.run("pre-commit", "validate-config", ".pre-commit-config.yaml").returncode == 0
    assert [repo["repo"] for repo in HOOKS] == ["local"]
    for hook in HOOKS[0]["hooks"]:
        program = ROOT / hook["entry"].split()[0]
        assert program.exists(), hook["entry"]
        assert hook["language"] == "system"


def test_the_hook_stops_a_commit_with_a_secret(tmp_path: Path) -> None:
    """In a repository of its own, with this project's configuration."""
    variables = {"HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    configuration = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (hook,) = [one for one in configuration["repos"][0]["hooks"] if one["id"] == "secrets"]
    hook["entry"] = f"{ROOT}/{hook['entry']}"
    (tmp_path / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [{"repo": "local", "hooks": [hook]}]}))
    (tmp_path / ".secrets.baseline").write_text(secrets.BASELINE.read_text())
    for command in (("init", "-q"), ("config", "user.name", "a"), ("config", "user.email", "a@b"), ("add", ".")):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, env=variables | {"PATH": "/usr/bin:/bin"})
    run = [programs.DIRECTORY / "pre-commit", "run", "--all-files"]
    path = {"PATH": f"{programs.DIRECTORY}:/usr/bin:/bin"}
    assert subprocess.run(run, cwd=tmp_path, check=False, env=variables | path, capture_output=True).returncode == 0
    (tmp_path / "settings.txt").write_text("-----BEGIN " + "PRIVATE KEY-----\n")
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True, env=variables | path)
    refused = subprocess.run(run, cwd=tmp_path, check=False, env=variables | path, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "Private Key" in refused.stdout
