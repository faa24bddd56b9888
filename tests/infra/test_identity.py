from typing import Any

from infra.settings import Mfa
from lambda_authorizer.access_policy import GROUPS


def test_the_groups_are_those_of_the_access_policy(plan: Any) -> None:
    assert {group.inputs["name"] for group in plan.of("cognito/userGroup:UserGroup")} == GROUPS


def test_nobody_signs_up_and_passwords_are_strong(plan: Any) -> None:
    pool = plan.one("cognito/userPool:UserPool").inputs
    assert pool["adminCreateUserConfig"] == {"allowAdminCreateUserOnly": True}
    policy = pool["passwordPolicy"]
    assert policy["minimumLength"] >= 14
    assert all(policy[f"require{kind}"] for kind in ("Lowercase", "Uppercase", "Numbers", "Symbols"))
    assert pool["deletionProtection"] == ("ACTIVE" if plan.settings.deletion_protection else "INACTIVE")


def test_a_second_factor_is_an_authenticator_app_wherever_it_is_on(plan: Any) -> None:
    pool = plan.one("cognito/userPool:UserPool").inputs
    assert pool["mfaConfiguration"] == {Mfa.REQUIRED: "ON", Mfa.OPTIONAL: "OPTIONAL", Mfa.OFF: "OFF"}[plan.settings.mfa]
    assert pool.get("softwareTokenMfaConfiguration") == (None if plan.settings.mfa is Mfa.OFF else {"enabled": True})
    assert "smsConfiguration" not in pool


def test_prod_requires_a_second_factor(planned: Any) -> None:
    assert planned("prod").one("cognito/userPool:UserPool").inputs["mfaConfiguration"] == "ON"


def test_the_client_is_public_and_only_for_the_code_flow_on_loopback_ports(plan: Any) -> None:
    client = plan.one("cognito/userPoolClient:UserPoolClient").inputs
    assert client["generateSecret"] is False
    assert client["allowedOauthFlows"] == ["code"]
    assert client["callbackUrls"] == [f"http://localhost:{port}/callback" for port in (8400, 8401, 8402)]
    assert client["explicitAuthFlows"] == ["ALLOW_REFRESH_TOKEN_AUTH"]
    assert client["preventUserExistenceErrors"] == "ENABLED"
    assert client["enableTokenRevocation"] is True
    assert plan.outputs["callback_urls"] == client["callbackUrls"]


def test_access_tokens_live_an_hour(plan: Any) -> None:
    client = plan.one("cognito/userPoolClient:UserPoolClient").inputs
    assert (client["accessTokenValidity"], client["tokenValidityUnits"]["accessToken"]) == (60, "minutes")
