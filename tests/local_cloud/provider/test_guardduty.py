from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from local_cloud.provider.framework import Refused

PLAN = "aws:guardduty/malwareProtectionPlan:MalwareProtectionPlan"
ROLE = "arn:aws:iam::123456789012:role/scan"


def arguments(bucket: str = "uploads", status: str = "ENABLED") -> dict[str, Any]:
    return {
        "role": ROLE,
        "protectedResource": {"s3Bucket": {"bucketName": bucket, "objectPrefixes": ["uploads/"]}},
        "actions": [{"taggings": [{"status": status}]}],
    }


def test_a_plan_is_kept_and_follows_the_program(make: Callable[..., Any], cloud: Any) -> None:
    made = make(PLAN, **arguments(), tags={"a": "1"})
    assert made.drift() == {}
    assert made.state["arn"].endswith(f":malware-protection-plan/{made.id}")
    made.update(role=f"{ROLE}-2", tags={"b": "2"})
    assert made.drift() == {}
    off = {"Tagging": {"Status": "DISABLED"}}
    cloud.client("guardduty").update_malware_protection_plan(MalwareProtectionPlanId=made.id, Actions=off)
    assert made.drift()["actions"][1] == [{"taggings": [{"status": "DISABLED"}]}]
    made.delete()
    assert made.read() is None
    made.delete()


def test_a_plan_is_not_moved_to_another_bucket(make: Callable[..., Any]) -> None:
    made = make(PLAN, **arguments())
    with pytest.raises(Refused, match="cannot be moved to another bucket"):
        made.update(**arguments(bucket="other"))
