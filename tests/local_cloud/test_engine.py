"""How the Pulumi CLI is found, built or installed."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from local_cloud import engine


def executable(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty PATH: no Pulumi, no Go, no curl."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    return directory


def test_a_cli_on_path_that_is_new_enough_is_used(path: Path, tmp_path: Path) -> None:
    found = executable(path / "pulumi", "echo v3.259.0")
    assert engine.locate(tmp_path / "tools") == found


@pytest.mark.parametrize("answer", ["echo v3.100.0", "echo v2.259.0", "echo nonsense", "exit 1"])
def test_a_cli_on_path_that_is_too_old_or_broken_is_not_used(path: Path, tmp_path: Path, answer: str) -> None:
    executable(path / "pulumi", answer)
    kept = executable(tmp_path / "tools" / "pulumi" / "bin" / "pulumi", "echo v3.259.0")
    assert engine.locate(tmp_path / "tools") == kept


def test_without_a_cli_a_new_enough_go_builds_the_pinned_one(path: Path, tmp_path: Path) -> None:
    executable(
        path / "go",
        'if [ "$1" = env ]; then echo go1.26.8; exit 0; fi\n'
        'while [ "$1" != -o ]; do shift; done\n'
        'printf "#!/bin/sh\\necho v3.259.0\\n" > "$2"; /bin/chmod +x "$2"',
    )
    assert engine.locate(tmp_path / "tools") == tmp_path / "tools" / "pulumi" / "bin" / "pulumi"


def test_a_failed_build_leaves_nothing_and_says_what_go_said(path: Path, tmp_path: Path) -> None:
    executable(path / "go", 'if [ "$1" = env ]; then echo go1.26.8; exit 0; fi\necho "no space left on device" >&2; exit 1')
    with pytest.raises(engine.EngineMissing, match="no space left on device"):
        engine.locate(tmp_path / "tools")
    assert list((tmp_path / "tools" / "pulumi" / "bin").iterdir()) == []


@pytest.mark.parametrize("go", [None, "echo go1.20", "exit 1"])
def test_without_a_cli_a_go_and_an_installer_the_message_says_what_to_install(path: Path, tmp_path: Path, go: str | None) -> None:
    if go is not None:
        executable(path / "go", go)
    with pytest.raises(engine.EngineMissing) as refused:
        engine.locate(tmp_path / "tools")
    assert "https://www.pulumi.com/docs/install/" in str(refused.value)
    assert "https://go.dev/doc/install" in str(refused.value)


def test_an_installer_that_cannot_be_fetched_ends_in_the_same_message(path: Path, tmp_path: Path) -> None:
    executable(path / "curl", "exit 6")
    with pytest.raises(engine.EngineMissing, match="install"):
        engine.locate(tmp_path / "tools")


def test_go_sum_vouches_for_the_pinned_version() -> None:
    lines = (engine.MODULE / "go.sum").read_text()
    assert re.search(rf"^github\.com/pulumi/pulumi/pkg/v3 v{re.escape(engine.pinned_version())} h1:", lines, re.MULTILINE)
