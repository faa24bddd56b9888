"""GuardDuty: malware protection of a bucket."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

from typing import Any, ClassVar

from local_cloud.provider.framework import (
    Aws,
    Inputs,
    Refused,
    ResourceType,
    ignoring_gone,
    none_if_gone,
    register,
    tag_changes,
)


@register
class MalwareProtectionPlan(ResourceType):
    """The emulated GuardDuty keeps the plan and scans nothing."""

    token = "aws:guardduty/malwareProtectionPlan:MalwareProtectionPlan"
    arguments = frozenset({"role", "protectedResource", "actions", "tags"})
    required = frozenset({"role", "protectedResource", "actions"})
    nested: ClassVar = {
        "protectedResource": {"s3Bucket": {"bucketName": None, "objectPrefixes": None}},
        "actions": {"taggings": {"status": None}},
    }
    computed = frozenset({"arn", "status", "createdAt"})

    @staticmethod
    def _settings(inputs: Inputs) -> dict[str, Any]:
        (action,) = inputs["actions"]
        (tagging,) = action["taggings"]
        return {
            "Role": inputs["role"],
            "Actions": {"Tagging": {"Status": tagging["status"]}},
            "ProtectedResource": {
                "S3Bucket": {
                    "BucketName": inputs["protectedResource"]["s3Bucket"]["bucketName"],
                    "ObjectPrefixes": inputs["protectedResource"]["s3Bucket"].get("objectPrefixes", []),
                }
            },
        }

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        guardduty = aws.client("guardduty")
        made = guardduty.create_malware_protection_plan(**self._settings(inputs), Tags=aws.tags(inputs))
        plan = guardduty.get_malware_protection_plan(MalwareProtectionPlanId=made["MalwareProtectionPlanId"])
        created = plan["CreatedAt"].isoformat()
        return made["MalwareProtectionPlanId"], {"arn": plan["Arn"], "status": plan["Status"], "createdAt": created}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        plan = none_if_gone(aws.client("guardduty").get_malware_protection_plan, MalwareProtectionPlanId=resource_id)
        if plan is None:
            return None
        live = {"arn": plan["Arn"], "status": plan["Status"], "tagsAll": plan.get("Tags", {})}
        if {name: plan[name] for name in ("Role", "Actions", "ProtectedResource")} != self._settings(state):
            bucket = plan["ProtectedResource"]["S3Bucket"]
            live |= {
                "role": plan["Role"],
                "actions": [{"taggings": [{"status": plan["Actions"]["Tagging"]["Status"]}]}],
                "protectedResource": {
                    "s3Bucket": {"bucketName": bucket["BucketName"], "objectPrefixes": bucket.get("ObjectPrefixes", [])}
                },
            }
        return live

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        guardduty, settings = aws.client("guardduty"), self._settings(new)
        # UpdateMalwareProtectionPlan does not take the name of the bucket.
        if new["protectedResource"]["s3Bucket"]["bucketName"] != old["protectedResource"]["s3Bucket"]["bucketName"]:
            raise Refused("a malware protection plan cannot be moved to another bucket: remove it, deploy, and add it again")
        prefixes = {"ObjectPrefixes": settings["ProtectedResource"]["S3Bucket"]["ObjectPrefixes"]}
        guardduty.update_malware_protection_plan(
            MalwareProtectionPlanId=resource_id, **settings | {"ProtectedResource": {"S3Bucket": prefixes}}
        )
        to_set, to_remove = tag_changes(aws, old, new)
        if to_remove:
            guardduty.untag_resource(ResourceArn=old["arn"], TagKeys=to_remove)
        if to_set:
            guardduty.tag_resource(ResourceArn=old["arn"], Tags=to_set)
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("guardduty").delete_malware_protection_plan(MalwareProtectionPlanId=resource_id)
