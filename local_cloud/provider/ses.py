"""SES: a domain that may send e-mail, the wait for its proof, and who else may send from it."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

from typing import Any, ClassVar

from local_cloud.provider.framework import Aws, Inputs, Refused, ResourceType, ignoring_gone, register, same_json


def _verification(aws: Aws, domain: str) -> dict[str, Any] | None:
    """SES leaves out of its answer what it does not know."""
    answer = aws.client("ses").get_identity_verification_attributes(Identities=[domain])
    return answer["VerificationAttributes"].get(domain)


@register
class DomainIdentity(ResourceType):
    token = "aws:ses/domainIdentity:DomainIdentity"
    arguments = frozenset({"domain"})
    required = arguments
    replaces = arguments
    computed = frozenset({"arn", "verificationToken"})
    unique = "domain"

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        domain = inputs["domain"]
        aws.client("ses").verify_domain_identity(Domain=domain)
        return domain, self._outputs(aws, domain, _verification(aws, domain) or {})

    def read(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> dict[str, Any] | None:
        found = _verification(aws, resource_id)
        return None if found is None else {"domain": resource_id} | self._outputs(aws, resource_id, found)

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        aws.client("ses").delete_identity(Identity=resource_id)

    def _outputs(self, aws: Aws, domain: str, found: dict[str, Any]) -> dict[str, Any]:
        return {"arn": aws.arn("ses", f"identity/{domain}"), "verificationToken": found["VerificationToken"]}


@register
class DomainIdentityVerification(ResourceType):
    """Not a thing in AWS: waits until the domain is proved, which the emulated one takes for granted."""

    token = "aws:ses/domainIdentityVerification:DomainIdentityVerification"
    arguments = frozenset({"domain"})
    required = arguments
    replaces = arguments
    computed = frozenset({"arn"})

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        found = self.read(aws, inputs["domain"], inputs)
        if found is None:
            raise Refused(f"the domain {inputs['domain']} is no proved identity: make the identity and its record first")
        return inputs["domain"], found

    def read(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> dict[str, Any] | None:
        found = _verification(aws, resource_id) or {}
        return {"arn": aws.arn("ses", f"identity/{resource_id}")} if found.get("VerificationStatus") == "Success" else None

    def delete(self, _aws: Aws, _resource_id: str, _state: dict[str, Any], /) -> None:
        """There is nothing to delete."""


@register
class IdentityPolicy(ResourceType):
    token = "aws:ses/identityPolicy:IdentityPolicy"
    arguments = frozenset({"identity", "name", "policy"})
    required = frozenset({"identity", "policy"})
    replaces = frozenset({"identity", "name"})
    autoname: ClassVar = "name"
    unique = "name"

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        self._put(aws, inputs)
        return f"{inputs['identity']}|{inputs['name']}", {}

    def read(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        found = aws.client("ses").get_identity_policies(Identity=state["identity"], PolicyNames=[state["name"]])["Policies"]
        return {"policy": same_json(found[state["name"]], state["policy"])} if state["name"] in found else None

    def update(self, aws: Aws, _resource_id: str, _old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        self._put(aws, new)
        return {}

    def delete(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("ses").delete_identity_policy(Identity=state["identity"], PolicyName=state["name"])

    def _put(self, aws: Aws, inputs: Inputs) -> None:
        aws.client("ses").put_identity_policy(Identity=inputs["identity"], PolicyName=inputs["name"], Policy=inputs["policy"])
