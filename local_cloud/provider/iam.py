"""IAM roles, managed policies and their attachments, and instance profiles."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

from typing import Any, ClassVar

from local_cloud.provider.framework import (
    Aws,
    Inputs,
    ResourceType,
    changed,
    from_tag_list,
    ignoring_gone,
    none_if_gone,
    register,
    same_json,
    tag_changes,
    undoing,
)

VERSIONS_KEPT = 5
"""IAM keeps five versions of a managed policy and refuses a sixth (IAM and STS quotas)."""


@register
class Role(ResourceType):
    token = "aws:iam/role:Role"
    arguments = frozenset(
        {
            "name",
            "path",
            "description",
            "assumeRolePolicy",
            "maxSessionDuration",
            "permissionsBoundary",
            "forceDetachPolicies",
            "tags",
        }
    )
    required = frozenset({"assumeRolePolicy"})
    replaces = frozenset({"name", "path"})
    defaults: ClassVar = {"path": "/", "maxSessionDuration": 3600}
    computed = frozenset({"arn", "uniqueId", "createDate"})
    unique = "name"
    autoname = "name"

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        optional = {"Description": inputs.get("description"), "PermissionsBoundary": inputs.get("permissionsBoundary")}
        role = aws.client("iam").create_role(
            RoleName=inputs["name"],
            Path=inputs["path"],
            AssumeRolePolicyDocument=inputs["assumeRolePolicy"],
            MaxSessionDuration=inputs["maxSessionDuration"],
            Tags=aws.tag_list(inputs),
            **{key: value for key, value in optional.items() if value is not None},
        )["Role"]
        created = role["CreateDate"].isoformat()
        return inputs["name"], {"arn": role["Arn"], "uniqueId": role["RoleId"], "createDate": created}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("iam").get_role, RoleName=resource_id)
        if answer is None:
            return None
        role = answer["Role"]
        return {
            "arn": role["Arn"],
            "path": role["Path"],
            "description": role.get("Description") or state.get("description"),
            "maxSessionDuration": role["MaxSessionDuration"],
            "permissionsBoundary": role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
            "assumeRolePolicy": same_json(role["AssumeRolePolicyDocument"], state["assumeRolePolicy"]),
            "tagsAll": from_tag_list(role.get("Tags")),
        }

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        iam, differing = aws.client("iam"), changed(old, new, self.arguments)
        if differing & {"description", "maxSessionDuration"}:
            duration = new["maxSessionDuration"]
            iam.update_role(RoleName=resource_id, Description=new.get("description", ""), MaxSessionDuration=duration)
        if "assumeRolePolicy" in differing:
            iam.update_assume_role_policy(RoleName=resource_id, PolicyDocument=new["assumeRolePolicy"])
        if "permissionsBoundary" in differing:
            if new.get("permissionsBoundary"):
                iam.put_role_permissions_boundary(RoleName=resource_id, PermissionsBoundary=new["permissionsBoundary"])
            else:
                iam.delete_role_permissions_boundary(RoleName=resource_id)
        to_set, to_remove = tag_changes(aws, old, new)
        if to_remove:
            iam.untag_role(RoleName=resource_id, TagKeys=to_remove)
        if to_set:
            iam.tag_role(RoleName=resource_id, Tags=[{"Key": key, "Value": value} for key, value in to_set.items()])
        return {}

    def delete(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> None:
        iam = aws.client("iam")
        with ignoring_gone():
            if state.get("forceDetachPolicies"):
                for policy in iam.list_attached_role_policies(RoleName=resource_id)["AttachedPolicies"]:
                    iam.detach_role_policy(RoleName=resource_id, PolicyArn=policy["PolicyArn"])
            iam.delete_role(RoleName=resource_id)


@register
class Policy(ResourceType):
    token = "aws:iam/policy:Policy"
    arguments = frozenset({"name", "path", "description", "policy", "tags"})
    required = frozenset({"policy"})
    replaces = frozenset({"name", "path", "description"})
    defaults: ClassVar = {"path": "/"}
    computed = frozenset({"arn", "policyId"})
    unique = "name"
    autoname = "name"

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        description = {"Description": inputs["description"]} if "description" in inputs else {}
        policy = aws.client("iam").create_policy(
            PolicyName=inputs["name"],
            Path=inputs["path"],
            PolicyDocument=inputs["policy"],
            Tags=aws.tag_list(inputs),
            **description,
        )["Policy"]
        return policy["Arn"], {"arn": policy["Arn"], "policyId": policy["PolicyId"]}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        iam = aws.client("iam")
        answer = none_if_gone(iam.get_policy, PolicyArn=resource_id)
        if answer is None:
            return None
        policy = answer["Policy"]
        version = iam.get_policy_version(PolicyArn=resource_id, VersionId=policy["DefaultVersionId"])["PolicyVersion"]
        return {
            "arn": policy["Arn"],
            "name": policy["PolicyName"],
            "path": policy["Path"],
            "policy": same_json(version["Document"], state["policy"]),
            "tagsAll": from_tag_list(policy.get("Tags")),
        }

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        iam = aws.client("iam")
        if changed(old, new, {"policy"}):
            versions = iam.list_policy_versions(PolicyArn=resource_id)["Versions"]
            if len(versions) >= VERSIONS_KEPT:
                oldest = min((one for one in versions if not one["IsDefaultVersion"]), key=lambda one: one["CreateDate"])
                iam.delete_policy_version(PolicyArn=resource_id, VersionId=oldest["VersionId"])
            iam.create_policy_version(PolicyArn=resource_id, PolicyDocument=new["policy"], SetAsDefault=True)
        to_set, to_remove = tag_changes(aws, old, new)
        if to_remove:
            iam.untag_policy(PolicyArn=resource_id, TagKeys=to_remove)
        if to_set:
            iam.tag_policy(PolicyArn=resource_id, Tags=[{"Key": key, "Value": value} for key, value in to_set.items()])
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        iam = aws.client("iam")
        with ignoring_gone():
            for version in iam.list_policy_versions(PolicyArn=resource_id)["Versions"]:
                if not version["IsDefaultVersion"]:
                    iam.delete_policy_version(PolicyArn=resource_id, VersionId=version["VersionId"])
            iam.delete_policy(PolicyArn=resource_id)


@register
class InstanceProfile(ResourceType):
    """What gives a role to an EC2 instance."""

    token = "aws:iam/instanceProfile:InstanceProfile"
    arguments = frozenset({"name", "path", "role", "tags"})
    required = frozenset({"role"})
    replaces = frozenset({"name", "path"})
    defaults: ClassVar = {"path": "/"}
    computed = frozenset({"arn", "uniqueId", "createDate"})
    unique = "name"
    autoname = "name"

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        iam, name = aws.client("iam"), inputs["name"]
        profile = iam.create_instance_profile(InstanceProfileName=name, Path=inputs["path"], Tags=aws.tag_list(inputs))[
            "InstanceProfile"
        ]
        with undoing(lambda: self.delete(aws, name, {})):
            iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=inputs["role"])
        created = profile["CreateDate"].isoformat()
        return name, {"arn": profile["Arn"], "uniqueId": profile["InstanceProfileId"], "createDate": created}

    @staticmethod
    def _describe(aws: Aws, name: str) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("iam").get_instance_profile, InstanceProfileName=name)
        return answer["InstanceProfile"] if answer else None

    def read(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> dict[str, Any] | None:
        profile = self._describe(aws, resource_id)
        if profile is None:
            return None
        return {
            "arn": profile["Arn"],
            "path": profile["Path"],
            "role": next((role["RoleName"] for role in profile["Roles"]), None),
            "tagsAll": from_tag_list(profile.get("Tags")),
        }

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        iam = aws.client("iam")
        if changed(old, new, {"role"}):
            # A profile has one role at most.
            if old.get("role"):
                with ignoring_gone():
                    iam.remove_role_from_instance_profile(InstanceProfileName=resource_id, RoleName=old["role"])
            iam.add_role_to_instance_profile(InstanceProfileName=resource_id, RoleName=new["role"])
        to_set, to_remove = tag_changes(aws, old, new)
        if to_remove:
            iam.untag_instance_profile(InstanceProfileName=resource_id, TagKeys=to_remove)
        if to_set:
            tags = [{"Key": key, "Value": value} for key, value in to_set.items()]
            iam.tag_instance_profile(InstanceProfileName=resource_id, Tags=tags)
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        iam, profile = aws.client("iam"), self._describe(aws, resource_id)
        for role in profile["Roles"] if profile else []:
            iam.remove_role_from_instance_profile(InstanceProfileName=resource_id, RoleName=role["RoleName"])
        with ignoring_gone():
            iam.delete_instance_profile(InstanceProfileName=resource_id)


@register
class RolePolicyAttachment(ResourceType):
    token = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
    arguments = frozenset({"role", "policyArn"})
    required = frozenset({"role", "policyArn"})
    replaces = frozenset({"role", "policyArn"})

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        aws.client("iam").attach_role_policy(RoleName=inputs["role"], PolicyArn=inputs["policyArn"])
        return f"{inputs['role']}-{inputs['policyArn']}", {}

    def read(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("iam").list_attached_role_policies, RoleName=state["role"])
        attached = {policy["PolicyArn"] for policy in answer["AttachedPolicies"]} if answer else set()
        return {} if state["policyArn"] in attached else None

    def delete(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("iam").detach_role_policy(RoleName=state["role"], PolicyArn=state["policyArn"])
