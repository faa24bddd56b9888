from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

POLICY, ROLE = "aws:iam/policy:Policy", "aws:iam/role:Role"


def document(action: str, spaces: int | None = None) -> str:
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=spaces)


def test_a_policy_can_change_more_often_than_iam_keeps_versions(make: Callable[..., Any], cloud: Any) -> None:
    made = make(POLICY, name="changing", policy=document("s3:Get0"))
    for number in range(1, 8):
        made.update(policy=document(f"s3:Get{number}"))
        assert made.drift() == {}
    assert len(cloud.client("iam").list_policy_versions(PolicyArn=made.id)["Versions"]) == 5
    made.delete()
    assert made.read() is None


def test_the_layout_of_a_document_is_no_difference(make: Callable[..., Any]) -> None:
    assert make(POLICY, name="spacious", policy=document("s3:Get*", spaces=4)).drift() == {}


def test_a_document_that_somebody_changed_is_a_difference(make: Callable[..., Any], cloud: Any) -> None:
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    made = make(ROLE, name="trusting", assumeRolePolicy=trust)
    statement = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    opened = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    cloud.client("iam").update_assume_role_policy(RoleName="trusting", PolicyDocument=opened)
    assert set(made.drift()) == {"assumeRolePolicy"}


def test_an_instance_profile_gives_one_role(make: Callable[..., Any], cloud: Any) -> None:
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    first, second = (make("aws:iam/role:Role", name=f"profiled-{number}", assumeRolePolicy=trust) for number in (1, 2))
    made = make("aws:iam/instanceProfile:InstanceProfile", name="profile", role=first.id, tags={"a": "b"})
    assert made.drift() == {}
    made.update(role=second.id, tags={"a": "c"})
    profile = cloud.client("iam").get_instance_profile(InstanceProfileName="profile")["InstanceProfile"]
    assert [role["RoleName"] for role in profile["Roles"]] == [second.id]
    assert made.drift() == {}
    made.delete()
    made.delete()
    assert made.read() is None
    second.delete()
