"""ACM certificates: requested with DNS validation, or imported."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

from typing import Any

from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from local_cloud.provider.framework import (
    Aws,
    Failure,
    Inputs,
    Refused,
    ResourceType,
    changed,
    from_tag_list,
    ignoring_gone,
    none_if_gone,
    register,
    tag_changes,
)

ISSUE_TIMEOUT_SECONDS = 300
IMPORTED = frozenset({"certificateBody", "privateKey", "certificateChain"})
REQUESTED = frozenset({"domainName", "subjectAlternativeNames", "validationMethod"})


@register
class Certificate(ResourceType):
    token = "aws:acm/certificate:Certificate"
    arguments = IMPORTED | REQUESTED | {"tags"}
    replaces = REQUESTED
    computed = frozenset({"arn", "domainName", "domainValidationOptions", "status", "notAfter", "notBefore", "type"})
    volatile = frozenset({"notAfter", "notBefore"})
    secret_outputs = frozenset({"privateKey"})

    def check(self, inputs: Inputs, /) -> list[Failure]:
        if ("domainName" in inputs) == ("certificateBody" in inputs):
            return [Failure("domainName", f"{self.token}: give either domainName or certificateBody with privateKey")]
        if "certificateBody" in inputs and "privateKey" not in inputs:
            return [Failure("privateKey", f"{self.token}: an imported certificate needs its privateKey")]
        if "domainName" in inputs and inputs.get("validationMethod") != "DNS":
            return [Failure("validationMethod", f"{self.token}: the local cloud knows only validation by DNS")]
        return []

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        acm = aws.client("acm")
        tags = {"Tags": aws.tag_list(inputs)} if aws.tags(inputs) else {}
        if "certificateBody" in inputs:
            arn = acm.import_certificate(**self._material(inputs), **tags)["CertificateArn"]
        else:
            more = inputs.get("subjectAlternativeNames")
            names = {"SubjectAlternativeNames": more} if more else {}
            arn = acm.request_certificate(DomainName=inputs["domainName"], ValidationMethod="DNS", **names, **tags)[
                "CertificateArn"
            ]
        return arn, self._outputs(aws, arn)

    @staticmethod
    def _material(inputs: Inputs) -> dict[str, bytes]:
        material = {"Certificate": inputs["certificateBody"].encode(), "PrivateKey": inputs["privateKey"].encode()}
        if "certificateChain" in inputs:
            material["CertificateChain"] = inputs["certificateChain"].encode()
        return material

    @staticmethod
    def _outputs(aws: Aws, arn: str) -> dict[str, Any]:
        certificate = aws.client("acm").describe_certificate(CertificateArn=arn)["Certificate"]
        options = []
        for option in certificate.get("DomainValidationOptions", []):
            record = option.get("ResourceRecord")
            if record:
                one = {"domainName": option["DomainName"], "resourceRecordName": record["Name"]}
                options.append({**one, "resourceRecordType": record["Type"], "resourceRecordValue": record["Value"]})
        outputs = {
            "arn": arn,
            "domainName": certificate["DomainName"],
            "domainValidationOptions": options,
            "status": certificate["Status"],
            "type": certificate["Type"],
        }
        times = {"notBefore": certificate.get("NotBefore"), "notAfter": certificate.get("NotAfter")}
        return outputs | {name: time.isoformat() for name, time in times.items() if time}

    def read(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> dict[str, Any] | None:
        acm = aws.client("acm")
        if none_if_gone(acm.describe_certificate, CertificateArn=resource_id) is None:
            return None
        tags = acm.list_tags_for_certificate(CertificateArn=resource_id)["Tags"]
        return {**self._outputs(aws, resource_id), "tagsAll": from_tag_list(tags)}

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        acm = aws.client("acm")
        to_set, to_remove = tag_changes(aws, old, new)
        if changed(old, new, IMPORTED):
            acm.import_certificate(CertificateArn=resource_id, **self._material(new))
        if to_remove:
            acm.remove_tags_from_certificate(CertificateArn=resource_id, Tags=[{"Key": key} for key in to_remove])
        if to_set:
            tags = [{"Key": key, "Value": value} for key, value in to_set.items()]
            acm.add_tags_to_certificate(CertificateArn=resource_id, Tags=tags)
        return self._outputs(aws, resource_id)

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("acm").delete_certificate(CertificateArn=resource_id)


@register
class CertificateValidation(ResourceType):
    """Waits until the certificate is issued; there is nothing to delete."""

    token = "aws:acm/certificateValidation:CertificateValidation"
    arguments = frozenset({"certificateArn", "validationRecordFqdns"})
    required = frozenset({"certificateArn"})
    replaces = arguments

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        arn = inputs["certificateArn"]

        @retry(
            retry=retry_if_result(lambda status: status == "PENDING_VALIDATION"),
            wait=wait_fixed(0.5),
            stop=stop_after_delay(ISSUE_TIMEOUT_SECONDS),
            retry_error_callback=lambda _: "PENDING_VALIDATION",
        )
        def settled() -> str:
            return aws.client("acm").describe_certificate(CertificateArn=arn)["Certificate"]["Status"]

        status = settled()
        if status != "ISSUED":
            raise Refused(f"the certificate was not issued within {ISSUE_TIMEOUT_SECONDS} s (status {status})")
        return arn, {}

    def read(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("acm").describe_certificate, CertificateArn=resource_id)
        return {} if answer and answer["Certificate"]["Status"] == "ISSUED" else None

    def delete(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> None:
        pass
