"""Checkov on the plan, which it is shown as HCL."""

import json
import os
import subprocess
import tempfile
from pathlib import Path

from posture import hcl
from posture.plan import ROOT, Plan
from posture.scanners.results import Failure

COMMAND = ROOT / ".tools" / "scanners" / "checkov" / "bin" / "checkov"
CHECKS = "CKV"
SECONDS = 600


class ScanError(Exception):
    """The scanner did not do its work, so that nothing can be said. The text holds what it said."""


def scan(plan: Plan) -> list[Failure]:
    """What Checkov fails in a plan. Raises ScanError when it did not look at the plan's resources."""
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "stack.tf").write_text(hcl.render(plan), encoding="utf-8")
        done = subprocess.run(
            # Without the first, it asks its maker for texts about the checks.
            [COMMAND, "--skip-download", "--directory", directory, "--framework", "terraform", "--output", "json", "--quiet"],
            env={"PATH": os.environ["PATH"], "HOME": directory, "LOG_LEVEL": "ERROR"},
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
    return failures(done.stdout, sum(resource.type.startswith("aws:") for resource in plan.resources))


def failures(report: str, resources: int) -> list[Failure]:
    """The failures of a report in JSON. Raises ScanError for one that is none, or is not about that many resources."""
    try:
        told = json.loads(report)
        seen, unread = told["summary"]["resource_count"], told["summary"]["parsing_errors"]
        failed = told["results"]["failed_checks"]
    except (ValueError, KeyError, TypeError):
        raise ScanError(f"checkov gave no report: {report[-1000:]}") from None
    if unread or seen < resources:
        raise ScanError(f"checkov saw {seen} resources of {resources}, and could not read {unread} files")
    return [Failure(one["check_id"], one["resource"]) for one in failed]
