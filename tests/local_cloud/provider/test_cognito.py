from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

POOL = "aws:cognito/userPool:UserPool"
CLIENT = "aws:cognito/userPoolClient:UserPoolClient"


@pytest.fixture(scope="module")
def pool(make: Callable[..., Any]) -> Any:
    return make(
        POOL,
        name="people",
        userPoolTier="ESSENTIALS",
        usernameConfiguration={"caseSensitive": False},
        adminCreateUserConfig={"allowAdminCreateUserOnly": True},
        passwordPolicy={"minimumLength": 14, "requireSymbols": True, "temporaryPasswordValidityDays": 7},
        autoVerifiedAttributes=["email"],
        accountRecoverySetting={"recoveryMechanisms": [{"name": "verified_email", "priority": 1}]},
        deletionProtection="ACTIVE",
    )


def test_a_pool_has_the_settings_and_outputs_of_the_real_one(pool: Any, cloud: Any) -> None:
    found = cloud.client("cognito-idp").describe_user_pool(UserPoolId=pool.id)["UserPool"]
    assert found["Policies"]["PasswordPolicy"]["MinimumLength"] == 14
    assert found["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is True
    assert found["AccountRecoverySetting"]["RecoveryMechanisms"] == [{"Name": "verified_email", "Priority": 1}]
    assert found["UserPoolTags"] == {"project": "heartmap"}
    assert pool.state["arn"] == f"arn:aws:cognito-idp:us-east-1:123456789012:userpool/{pool.id}"
    assert pool.state["endpoint"] == f"cognito-idp.us-east-1.amazonaws.com/{pool.id}"
    assert pool.drift() == {}


def test_an_update_changes_what_it_says_and_keeps_the_rest(make: Callable[..., Any], cloud: Any) -> None:
    made = make(POOL, name="changing", passwordPolicy={"minimumLength": 14}, tags={"old": "1"})
    made.update(mfaConfiguration="ON", softwareTokenMfaConfiguration={"enabled": True}, userPoolTier="LITE", tags={"new": "1"})
    cognito = cloud.client("cognito-idp")
    found = cognito.describe_user_pool(UserPoolId=made.id)["UserPool"]
    assert found["MfaConfiguration"] == "ON"
    assert cognito.get_user_pool_mfa_config(UserPoolId=made.id)["SoftwareTokenMfaConfiguration"] == {"Enabled": True}
    assert found["Policies"]["PasswordPolicy"]["MinimumLength"] == 14
    assert found["UserPoolTags"] == {"project": "heartmap", "new": "1"}
    assert made.drift() == {}
    made.delete()
    assert made.read() is None
    made.delete()


def test_a_second_factor_without_a_kind_is_refused(refusals: Callable[..., list[str]]) -> None:
    (reason,) = refusals(POOL, name="x", mfaConfiguration="ON")
    assert "give softwareTokenMfaConfiguration" in reason


def test_an_unknown_password_rule_is_refused(refusals: Callable[..., list[str]]) -> None:
    (reason,) = refusals(POOL, name="x", passwordPolicy={"minimumLenght": 14})
    assert "passwordPolicy.minimumLenght" in reason


def test_a_domain_belongs_to_its_pool(make: Callable[..., Any], pool: Any, cloud: Any) -> None:
    made = make("aws:cognito/userPoolDomain:UserPoolDomain", domain="heartmap-test", userPoolId=pool.id)
    assert made.id == "heartmap-test"
    assert made.drift() == {}
    assert cloud.client("cognito-idp").describe_user_pool(UserPoolId=pool.id)["UserPool"]["Domain"] == "heartmap-test"
    made.delete()
    assert made.read() is None
    made.delete()


def test_a_client_keeps_its_flows_and_lifetimes(make: Callable[..., Any], pool: Any, cloud: Any) -> None:
    made = make(
        CLIENT,
        name="cli",
        userPoolId=pool.id,
        generateSecret=False,
        allowedOauthFlowsUserPoolClient=True,
        allowedOauthFlows=["code"],
        allowedOauthScopes=["email", "openid"],
        callbackUrls=["http://localhost:8400/callback"],
        explicitAuthFlows=["ALLOW_REFRESH_TOKEN_AUTH"],
        accessTokenValidity=60,
        tokenValidityUnits={"accessToken": "minutes"},
    )
    assert made.state["clientSecret"] == ""
    assert made.drift() == {}
    made.update(accessTokenValidity=30, callbackUrls=["http://localhost:8400/callback", "http://localhost:8401/callback"])
    place = {"UserPoolId": pool.id, "ClientId": made.id}
    found = cloud.client("cognito-idp").describe_user_pool_client(**place)["UserPoolClient"]
    assert found["AccessTokenValidity"] == 30
    assert found["TokenValidityUnits"] == {"AccessToken": "minutes"}
    assert found["AllowedOAuthFlows"] == ["code"]
    assert len(found["CallbackURLs"]) == 2
    assert made.drift() == {}
    made.delete()
    assert made.read() is None
    made.delete()


def test_a_clients_secret_is_a_secret_output(make: Callable[..., Any], pool: Any) -> None:
    made = make(CLIENT, name="confidential", userPoolId=pool.id, generateSecret=True)
    assert made.state["clientSecret"]
    assert "clientSecret" in made.handler.secret_outputs


def test_a_group_can_be_made_changed_and_deleted(make: Callable[..., Any], pool: Any) -> None:
    made = make("aws:cognito/userGroup:UserGroup", name="analyst", userPoolId=pool.id, precedence=2, description="Runs analyses")
    assert made.id == f"{pool.id}/analyst"
    assert made.drift() == {}
    made.update(precedence=3, description="Runs and reads analyses")
    assert made.read() == {"precedence": 3, "description": "Runs and reads analyses"}
    made.delete()
    assert made.read() is None
    made.delete()
