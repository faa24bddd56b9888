"""Prowler on an account: here an emulated AWS into which the stack was deployed."""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from posture.plan import REGION, ROOT
from posture.scanners.checkov import ScanError
from posture.scanners.results import Failure

COMMAND = ROOT / ".tools" / "scanners" / "prowler" / "bin" / "prowler"
CHECKS = "[a-z]"
SECONDS = 1800

# Those of which the stack has resources; Prowler would ask an emulated AWS for every service that there is.
SERVICES = (
    "acm", "apigateway", "autoscaling", "awslambda", "cloudtrail", "cloudwatch", "cognito", "dynamodb", "ec2", "ecr", "ecs",
    "elbv2", "guardduty", "iam", "kms", "s3", "secretsmanager", "sns", "sqs", "ssm", "vpc", "wafv2",
)  # fmt: skip


# An emulated AWS has a thousand snapshots of AWS's own images, none of them encrypted. The stack has none.
LEFT_OUT = ("ec2_ebs_snapshots_encrypted",)


def scan(endpoint: str) -> list[Failure]:
    """What Prowler fails in the AWS at ``endpoint``. Raises ScanError when it gave no report."""
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(
            [COMMAND, "aws", "--region", REGION, "--output-formats", "json-ocsf", "--output-directory", directory,
             "--output-filename", "report", "--no-banner", "--no-color", "--ignore-exit-code-3", "--excluded-check", *LEFT_OUT,
             "--service", *SERVICES],
            env={
                "PATH": os.environ["PATH"], "HOME": directory, "AWS_ENDPOINT_URL": endpoint, "AWS_DEFAULT_REGION": REGION,
                "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_EC2_METADATA_DISABLED": "true",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )  # fmt: skip
        report = Path(directory) / "report.ocsf.json"
        if not report.exists():
            raise ScanError(f"prowler gave no report: {done.stdout[-1000:]}{done.stderr[-1000:]}")
        return failures(json.loads(report.read_text(encoding="utf-8")))


def failures(report: list[dict[str, Any]]) -> list[Failure]:
    """The failures of a report in OCSF. Raises ScanError for one that is about nothing."""
    if not any(one["status_code"] == "PASS" for one in report):
        raise ScanError("prowler's report has no check that passes: it saw nothing of the stack")
    failed = [one for one in report if one["status_code"] == "FAIL"]
    return [Failure(one["metadata"]["event_code"], resource["uid"]) for one in failed for resource in one["resources"]]
