"""What is known about vulnerabilities, what is not, and for how long an answer is kept."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from posture import check
from posture.controls.page import Page
from posture.plan import ROOT
from posture.scanners.results import Failure
from posture.supply import audits
from posture.supply.audits import Audit, read_npm_audit, read_pip_audit
from posture.verdict import Result
from tests.posture.test_verdict import TODAY, line

LOCK = "a==1 \\\n    --hash=sha256:00\nb==2 \\\n    --hash=sha256:00\n"
NPM_LOCK = json.dumps({"packages": {"": {}, "node_modules/a": {}, "node_modules/b": {}}})
SKIPPED = {"name": "a", "skip_reason": "Dependency not found on PyPI and could not be audited: a (1)"}
VULNERABLE = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["3"], "aliases": []}]}
NPM_REPORT = {
    "auditReportVersion": 2,
    "vulnerabilities": {
        "a": {"name": "a", "via": [{"url": "https://github.com/advisories/GHSA-aaaa", "title": "It"}]},
        "b": {"name": "b", "via": ["a"]},
    },
}


def pip(*dependencies: Mapping[str, object]) -> Audit:
    return read_pip_audit("requirements.txt", LOCK, json.dumps({"dependencies": dependencies, "fixes": []}))


def test_what_pip_audit_skipped_was_not_looked_up_although_it_calls_that_success() -> None:
    audit = pip(SKIPPED, SKIPPED | {"name": "b"})
    assert (audit.packages, audit.looked_up, audit.problem) == (2, 0, "its data could not be had")


def test_a_vulnerability_names_its_advisory_and_the_package() -> None:
    audit = pip(SKIPPED, VULNERABLE)
    assert (audit.looked_up, audit.failures) == (1, (Failure("PYSEC-2026-1", "requirements.txt:b==2"),))


@pytest.mark.parametrize("report", ["", "Traceback", "[]", '{"fixes": []}'])
def test_a_report_that_is_none_has_no_data(report: str) -> None:
    assert read_pip_audit("requirements.txt", LOCK, report).looked_up == 0


def test_npm_audit_without_its_registry_has_no_data() -> None:
    refused = {"message": "405 Method Not Allowed", "statusCode": 405, "error": {"summary": ""}}
    for report in (json.dumps(refused), "", "{}"):
        assert read_npm_audit("lock", NPM_LOCK, report) == Audit("lock", 2, 0, problem="its data could not be had")


def test_npm_audit_names_each_advisory_where_it_is() -> None:
    audit = read_npm_audit("lock", NPM_LOCK, json.dumps(NPM_REPORT))
    assert (audit.looked_up, audit.failures) == (2, (Failure("GHSA-aaaa", "lock:a"),))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """pip-audit answers with a vulnerability; the files that it was asked about."""
    about: list[str] = []

    def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        about.append(arguments[-1])
        return subprocess.CompletedProcess([name], 1, json.dumps({"dependencies": [VULNERABLE]}), "")

    monkeypatch.setattr(audits, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(audits, "ROOT", tmp_path)
    monkeypatch.setattr(audits.programs, "run", run)
    return about


def test_an_answer_is_kept_for_a_day_and_for_this_very_file(asked: list[str], tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(LOCK)
    first = audits.python(file)
    assert audits.python(file) == first
    assert len(asked) == 1
    (kept,) = audits.KEPT.iterdir()
    os.utime(kept, (0, 0))
    audits.python(file)
    file.write_text(LOCK.replace("a==1", "a==2"))
    audits.python(file)
    assert len(asked) == 3


def test_that_there_were_no_data_is_not_kept(asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VULNERABLE, "skip_reason", "out of reach")
    file = tmp_path / "requirements.txt"
    file.write_text(LOCK)
    audits.python(file)
    audits.python(file)
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("audit", "expected"),
    [
        (Audit("r.txt", 2, 0, problem="out of reach"), [Result.NO_DATA]),
        (Audit("r.txt", 2, 1), [Result.NO_DATA]),
        (Audit("r.txt", 2, 2), [Result.PASS]),
        (Audit("r.txt", 2, 1, (Failure("PYSEC-1", "r.txt:a==1"),)), [Result.NO_DATA, Result.FAIL]),
        (Audit("r.txt", 2, 2, (Failure("PYSEC-2", "r.txt:b==2"),)), [Result.PASS, Result.EXCEPTION]),
    ],
)
def test_only_what_is_known_fails(audit: Audit, expected: list[Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audits, "requirements_files", lambda: [ROOT / "r.txt"])
    monkeypatch.setattr(audits, "python", lambda _: audit)
    monkeypatch.setattr(audits, "console", lambda: Audit("lock", 1, 1))
    explained = [line("PYSEC-2", r"r\.txt:b==2")] if audit.failures and audit.failures[0].check == "PYSEC-2" else []
    rows = check.dependencies(Page({}, {}, [], explained), TODAY)
    assert [row.result for row in rows if row.tool != "npm audit"] == expected


def test_every_requirements_file_is_audited() -> None:
    assert {file.relative_to(ROOT).as_posix() for file in audits.requirements_files()} >= {
        "requirements.txt",
        "lambda_authorizer/requirements.txt",
        "heartmap_service/requirements.txt",
        "posture/scanners/supply.txt",
    }
