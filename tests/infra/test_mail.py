from typing import Any

import pytest


def test_the_domain_is_proved_by_a_record_before_it_is_used(planned: Any) -> None:
    plan = planned("prod")
    assert plan.one("ses/domainIdentity:DomainIdentity").inputs == {"domain": plan.settings.domain}
    record = next(r for r in plan.of("route53/record:Record") if r.inputs["type"] == "TXT")
    assert record.inputs["name"] == f"_amazonses.{plan.settings.domain}"
    assert record.inputs["records"] == ["DomainIdentity/sign-ins/verificationToken"]
    assert record.urn in plan.one("ses/domainIdentityVerification:DomainIdentityVerification").dependencies


@pytest.mark.parametrize("stack", ["local", "dev"])
def test_a_stack_that_writes_to_nobody_has_no_sender(planned: Any, stack: str) -> None:
    assert not planned(stack).of("ses/domainIdentity:DomainIdentity")
