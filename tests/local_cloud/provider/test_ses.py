from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from local_cloud.provider.framework import Refused

DOMAIN = "aws:ses/domainIdentity:DomainIdentity"
PROOF = "aws:ses/domainIdentityVerification:DomainIdentityVerification"


def test_a_domain_is_proved_before_it_is_used(make: Callable[..., Any]) -> None:
    with pytest.raises(Refused, match="no proved identity"):
        make(PROOF, domain="mail.example.org")
    made = make(DOMAIN, domain="mail.example.org")
    assert made.state["arn"] == "arn:aws:ses:us-east-1:123456789012:identity/mail.example.org"
    assert made.state["verificationToken"]
    assert made.drift() == {}
    proved = make(PROOF, domain="mail.example.org")
    assert proved.state["arn"] == made.state["arn"]
    assert proved.drift() == {}
    made.delete()
    assert made.read() is None
    assert proved.read() is None
    made.delete()
    proved.delete()


def test_a_sending_policy_can_be_made_changed_and_deleted(make: Callable[..., Any], cloud: Any) -> None:
    make(DOMAIN, domain="policy.example.org")
    first, second = (json.dumps({"Version": "2012-10-17", "Statement": [{"Sid": sid}]}) for sid in ("First", "Second"))
    made = make("aws:ses/identityPolicy:IdentityPolicy", identity="policy.example.org", name="cognito", policy=first)
    assert made.drift() == {}
    made.update(policy=second)
    found = cloud.client("ses").get_identity_policies(Identity="policy.example.org", PolicyNames=["cognito"])["Policies"]
    assert json.loads(found["cognito"])["Statement"] == [{"Sid": "Second"}]
    assert made.drift() == {}
    made.delete()
    assert made.read() is None
    made.delete()
