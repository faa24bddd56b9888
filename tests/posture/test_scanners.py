"""What public scanners say of the stacks: nothing that docs/controls.md does not explain."""

import json
from pathlib import Path

import pytest

from posture import hcl
from posture.controls.page import PAGE, read
from posture.plan import IN_AWS, plan_of
from posture.scanners import checkov, prowler
from posture.scanners.checkov import ScanError
from posture.scanners.results import Failure, stale, unexplained

EXPLAINED = read(PAGE.read_text(encoding="utf-8")).scanners


@pytest.mark.parametrize("stack", IN_AWS)
def test_checkov_finds_nothing_that_is_not_explained(stack: str) -> None:
    failures = checkov.scan(plan_of(stack))
    assert unexplained(failures, EXPLAINED, stack) == []
    assert stale(failures, EXPLAINED, checkov.CHECKS, stack) == []


def test_every_resource_and_reference_reaches_checkov() -> None:
    plan = plan_of("prod")
    text = hcl.render(plan)
    assert text.count("\nresource ") + 1 == sum(one.type.startswith("aws:") for one in plan.resources)
    assert "  bucket = aws_s3_bucket.uploads.bucket\n" in text
    assert "  stage_name = aws_api_gateway_stage.api.stage_name\n" in text
    assert '  stage_name = "live"\n' in text
    assert "${aws_cloudwatch_log_group.audit-trail.arn}:*" in text


def test_no_secret_is_written_down() -> None:
    plan = plan_of("dev")
    for version in plan.of("secretsmanager/secretVersion:SecretVersion"):
        for secret in json.loads(version.inputs["secretString"])["assertion_keys"].values():
            assert secret not in hcl.render(plan)


def test_a_failure_without_a_line_is_unexplained_and_a_line_without_a_failure_stale() -> None:
    failures = [Failure("CKV_AWS_145", "aws_s3_bucket.logs"), Failure("CKV_AWS_145", "aws_s3_bucket.uploads")]
    assert unexplained(failures, EXPLAINED, "prod") == [Failure("CKV_AWS_145", "aws_s3_bucket.uploads")]
    assert "CKV_AWS_120" in stale(failures, EXPLAINED, checkov.CHECKS, "prod")
    assert "CKV_AWS_145" not in stale(failures, EXPLAINED, checkov.CHECKS, "prod")


@pytest.mark.parametrize(
    "report",
    [
        "",
        "Traceback",
        "[]",
        json.dumps({"passed": 0, "failed": 0, "resource_count": 0}),
        json.dumps({"summary": {"resource_count": 0, "parsing_errors": 0}, "results": {"failed_checks": []}}),
        json.dumps({"summary": {"resource_count": 9, "parsing_errors": 1}, "results": {"failed_checks": []}}),
    ],
)
def test_a_scan_that_saw_nothing_is_none(report: str) -> None:
    with pytest.raises(ScanError):
        checkov.failures(report, 3)


def test_a_report_of_prowler_in_which_nothing_passes_is_none() -> None:
    with pytest.raises(ScanError):
        prowler.failures([])


def test_the_scanners_are_locked_with_hashes() -> None:
    for name in ("checkov", "prowler"):
        locked = (Path(prowler.__file__).parent / f"{name}.txt").read_text()
        assert locked.count("--hash=sha256:") > 50
        assert f"\n{name}==" in locked
