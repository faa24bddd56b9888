import json
from collections.abc import Callable
from typing import Any

import pytest

from heartmap_service import queue, storage
from infra import data, scanning

SCANNED = {"heartmap:malware_scan": "true"}


@pytest.fixture(scope="module")
def scanned() -> Any:
    """A stack that scans uploads, with nothing else of production's."""
    from posture.plan import run_program

    return run_program("dev", SCANNED)


def denials(plan: Any) -> dict[str, Any]:
    statements = json.loads(plan.one("s3/bucketPolicy:BucketPolicy", "uploads").inputs["policy"])["Statement"]
    return {statement["Sid"]: statement for statement in statements if statement["Effect"] == "Deny"}


def test_nothing_is_scanned_and_no_upload_is_withheld_where_the_setting_is_off(run: Callable[..., Any]) -> None:
    plan = run("dev", {"heartmap:malware_scan": "false"})
    assert not plan.of("guardduty/malwareProtectionPlan:MalwareProtectionPlan")
    assert [rule.name for rule in plan.of("cloudwatch/eventRule:EventRule")] == ["sealing"]
    assert set(denials(plan)) == {"TlsOnly", "OwnAccountOnly"}


def test_nobody_reads_an_upload_that_was_not_found_clean_but_the_scanner(scanned: Any) -> None:
    first = denials(scanned)["ScannedFirst"]
    assert first["Principal"] == {"AWS": ["*"]}
    assert first["Action"] == ["s3:GetObject", "s3:GetObjectVersion"]
    scanner = "arn:aws:iam::123456789012:role/heartmap-dev-malware-scan"
    assert first["Condition"] == {
        "StringNotEquals": {"s3:ExistingObjectTag/GuardDutyMalwareScanStatus": "NO_THREATS_FOUND"},
        "ArnNotEquals": {"aws:PrincipalArn": scanner},
    }
    bucket = scanned.one("s3/bucket:Bucket", "uploads").inputs["bucket"]
    assert first["Resource"] == [f"arn:aws:s3:::{bucket}/*"]
    assert scanned.one("iam/role:Role", "malware-scan").inputs["name"] == "heartmap-dev-malware-scan"


def test_nobody_but_the_scanner_says_that_an_upload_is_clean(scanned: Any) -> None:
    tags = denials(scanned)["OnlyTheScannerTags"]
    assert {"s3:PutObjectTagging", "s3:PutObjectVersionTagging"} <= set(tags["Action"])
    assert tags["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": "arn:aws:iam::123456789012:role/heartmap-dev-malware-scan"}}


def test_results_of_the_uploads_bucket_alone_reach_the_queue(scanned: Any) -> None:
    rule = scanned.one("cloudwatch/eventRule:EventRule", "malware-scan")
    bucket = scanned.one("s3/bucket:Bucket", "uploads").inputs["bucket"]
    assert json.loads(rule.inputs["eventPattern"]) == {
        "source": ["aws.guardduty"],
        "detail-type": ["GuardDuty Malware Protection Object Scan Result"],
        "detail": {"s3ObjectDetails": {"bucketName": [bucket], "objectKey": [{"prefix": "uploads/"}]}},
    }
    target = scanned.one("cloudwatch/eventTarget:EventTarget", "malware-scan").inputs
    assert (target["rule"], target["arn"]) == (rule.inputs["name"], "arn:aws:Queue/work")


def test_uploads_are_scanned_and_tagged_once_results_have_somewhere_to_go(scanned: Any) -> None:
    plan = scanned.one("guardduty/malwareProtectionPlan:MalwareProtectionPlan")
    bucket = scanned.one("s3/bucket:Bucket", "uploads").inputs["bucket"]
    assert plan.inputs["protectedResource"] == {"s3Bucket": {"bucketName": bucket, "objectPrefixes": ["uploads/"]}}
    assert plan.inputs["actions"] == [{"taggings": [{"status": "ENABLED"}]}]
    assert scanned.one("cloudwatch/eventTarget:EventTarget", "malware-scan").urn in plan.dependencies


def test_the_scanner_writes_nothing_but_tags_and_its_trial_object(scanned: Any) -> None:
    policy = json.loads(scanned.one("iam/policy:Policy", "malware-scan").inputs["policy"])["Statement"]
    statements = {statement["Sid"]: statement for statement in policy}
    writing = {sid for sid, one in statements.items() if "s3:PutObject" in one["Action"]}
    assert writing == {"Validation"}
    assert statements["Validation"]["Resource"] == ["arn:aws:Bucket/uploads/malware-protection-resource-validation-object"]
    assert not any(action.startswith("s3:Delete") for one in policy for action in one["Action"])
    assert statements["DataKey"]["Condition"] == {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}


def test_the_worker_and_the_bucket_mean_the_same_tag_and_the_same_result() -> None:
    assert (storage.SCAN_TAG, storage.SCAN_CLEAN) == (data.SCAN_TAG, data.SCAN_CLEAN)
    assert queue.SCAN_RESULT == scanning.RESULT
