from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from moto import settings

from local_cloud.provider import acm
from local_cloud.provider.framework import Refused

CERTIFICATE, VALIDATION = "aws:acm/certificate:Certificate", "aws:acm/certificateValidation:CertificateValidation"
RECORD = "aws:route53/record:Record"


def test_a_certificate_is_proved_by_its_record_and_then_issued(
    make: Callable[..., Any], cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "ACM_VALIDATION_WAIT", 0)
    zone = (
        cloud.client("route53")
        .create_hosted_zone(Name="example.org", CallerReference="acm")["HostedZone"]["Id"]
        .rpartition("/")[2]
    )
    certificate = make(CERTIFICATE, domainName="api.example.org", validationMethod="DNS")
    (proof,) = certificate.state["domainValidationOptions"]
    assert proof["domainName"] == "api.example.org"
    record = make(
        RECORD,
        zoneId=zone,
        name=proof["resourceRecordName"],
        type=proof["resourceRecordType"],
        ttl=300,
        records=[proof["resourceRecordValue"]],
        allowOverwrite=True,
    )
    validation = make(VALIDATION, certificateArn=certificate.id, validationRecordFqdns=[record.state["fqdn"]])
    assert validation.id == certificate.id
    assert validation.drift() == {}


def test_a_certificate_that_nobody_proves_is_reported(make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "ACM_VALIDATION_WAIT", 3600)
    monkeypatch.setattr(acm, "ISSUE_TIMEOUT_SECONDS", 0)
    certificate = make(CERTIFICATE, domainName="late.example.org", validationMethod="DNS")
    with pytest.raises(Refused, match=r"was not issued within 0 s \(status PENDING_VALIDATION\)"):
        make(VALIDATION, certificateArn=certificate.id)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "give either domainName or certificateBody"),
        ({"domainName": "a.example.org", "certificateBody": "x"}, "give either domainName or certificateBody"),
        ({"domainName": "a.example.org"}, "only validation by DNS"),
        ({"certificateBody": "x"}, "needs its privateKey"),
    ],
)
def test_a_half_described_certificate_is_refused(given: dict[str, Any], reason: str, refusals: Callable[..., list[str]]) -> None:
    (found,) = refusals(CERTIFICATE, **given)
    assert reason in found
