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


def test_a_group_of_threat_protection_settings_needs_the_plan_that_has_them(refusals: Callable[..., list[str]]) -> None:
    add_ons = {"advancedSecurityMode": "ENFORCED", "advancedSecurityAdditionalFlows": {"customAuthMode": "ENFORCED"}}
    (reason,) = refusals(POOL, name="x", userPoolTier="ESSENTIALS", userPoolAddOns=add_ons)
    assert "PLUS" in reason
    assert refusals(POOL, name="x", userPoolTier="PLUS", userPoolAddOns=add_ons) == []


def test_threat_protection_its_actions_and_its_log_can_be_set_changed_and_taken_away(
    make: Callable[..., Any], refusals: Callable[..., list[str]], cloud: Any
) -> None:
    add_ons = {"advancedSecurityMode": "AUDIT", "advancedSecurityAdditionalFlows": {"customAuthMode": "AUDIT"}}
    pool = make(POOL, name="guarded", userPoolTier="PLUS", userPoolAddOns=add_ons)
    cognito = cloud.client("cognito-idp")
    found = cognito.describe_user_pool(UserPoolId=pool.id)["UserPool"]["UserPoolAddOns"]
    assert found == {"AdvancedSecurityMode": "AUDIT", "AdvancedSecurityAdditionalFlows": {"CustomAuthMode": "AUDIT"}}

    block = {"eventAction": "BLOCK", "notify": True}
    notices = {"from": "no-reply@example.org", "sourceArn": "arn:aws:ses:us-east-1:123456789012:identity/example.org"}
    takeover = {"actions": {"highAction": block}, "notifyConfiguration": notices}
    token = "aws:cognito/riskConfiguration:RiskConfiguration"
    (reason,) = refusals(token, userPoolId=pool.id, accountTakeoverRiskConfiguration={"actions": {"highAction": block}})
    assert reason == "highAction notify, which needs a notifyConfiguration"
    made = make(
        token,
        userPoolId=pool.id,
        accountTakeoverRiskConfiguration=takeover,
        compromisedCredentialsRiskConfiguration={"eventFilters": ["SIGN_IN"], "actions": {"eventAction": "BLOCK"}},
    )
    assert made.drift() == {}
    made.update(accountTakeoverRiskConfiguration=takeover | {"actions": {"highAction": block, "mediumAction": block}})
    found = cognito.describe_risk_configuration(UserPoolId=pool.id)["RiskConfiguration"]
    assert found["AccountTakeoverRiskConfiguration"]["Actions"]["MediumAction"] == {"EventAction": "BLOCK", "Notify": True}
    assert found["AccountTakeoverRiskConfiguration"]["NotifyConfiguration"]["From"] == "no-reply@example.org"
    assert found["CompromisedCredentialsRiskConfiguration"] == {"EventFilter": ["SIGN_IN"], "Actions": {"EventAction": "BLOCK"}}
    assert made.drift() == {}
    made.delete()
    assert made.read() is None
    made.delete()

    group = {"cloudWatchLogsConfiguration": {"logGroupArn": "arn:aws:logs:us-east-1:123456789012:log-group:/aws/vendedlogs/x"}}
    made = make(
        "aws:cognito/logDeliveryConfiguration:LogDeliveryConfiguration",
        userPoolId=pool.id,
        logConfigurations=[{"eventSource": "userAuthEvents", "logLevel": "INFO", **group}],
    )
    assert made.drift() == {}
    made.update(logConfigurations=[{"eventSource": "userNotification", "logLevel": "ERROR", **group}])
    (found,) = cognito.get_log_delivery_configuration(UserPoolId=pool.id)["LogDeliveryConfiguration"]["LogConfigurations"]
    assert (found["EventSource"], found["LogLevel"]) == ("userNotification", "ERROR")
    made.delete()
    assert made.read() is None
    made.delete()
    pool.delete()
    made.delete()
    assert made.read() is None


def test_a_custom_domain_has_a_certificate_of_the_one_region(
    make: Callable[..., Any], refusals: Callable[..., list[str]], pool: Any, cloud: Any
) -> None:
    token = "aws:cognito/userPoolDomain:UserPoolDomain"
    certificate = "arn:aws:acm:us-east-1:123456789012:certificate/"
    (reason,) = refusals(
        token, domain="auth.example.org", userPoolId="x", certificateArn=f"{certificate}a".replace("east", "west")
    )
    assert "us-east-1" in reason
    made = make(token, domain="auth.example.org", userPoolId=pool.id, certificateArn=f"{certificate}a", managedLoginVersion=1)
    assert made.drift() == {}
    assert made.state["cloudfrontDistribution"].endswith("cloudfront.net")
    made.update(certificateArn=f"{certificate}b")
    found = cloud.client("cognito-idp").describe_user_pool_domain(Domain="auth.example.org")["DomainDescription"]
    assert found["CustomDomainConfig"] == {"CertificateArn": f"{certificate}b"}
    assert made.drift() == {}
    made.delete()
    assert made.read() is None


def test_a_resource_server_can_be_made_changed_and_deleted(make: Callable[..., Any], pool: Any, cloud: Any) -> None:
    scopes = [{"scopeName": f"models:{verb}", "scopeDescription": verb} for verb in ("write", "read")]
    made = make("aws:cognito/resourceServer:ResourceServer", identifier="api", name="API", userPoolId=pool.id, scopes=scopes)
    assert made.state["scopeIdentifiers"] == ["api/models:write", "api/models:read"]
    assert made.drift() == {}
    state = made.update(scopes=scopes[:1], name="The API")
    assert state["scopeIdentifiers"] == ["api/models:write"]
    found = cloud.client("cognito-idp").describe_resource_server(UserPoolId=pool.id, Identifier="api")["ResourceServer"]
    assert (found["Name"], [scope["ScopeName"] for scope in found["Scopes"]]) == ("The API", ["models:write"])
    assert made.drift() == {}
    made.delete()
    assert made.read() is None
    made.delete()


def test_an_identity_provider_can_be_made_changed_and_deleted(
    make: Callable[..., Any], refusals: Callable[..., list[str]], pool: Any
) -> None:
    token = "aws:cognito/identityProvider:IdentityProvider"
    details = {
        "client_id": "id",
        "client_secret": "secret",
        "oidc_issuer": "https://idp.example.org",
        "authorize_scopes": "openid",
        "attributes_request_method": "GET",
    }
    place = {"userPoolId": pool.id, "providerName": "University"}
    (reason,) = refusals(token, **place, providerType="OIDC", providerDetails={**details, "client_secret": ""})
    assert reason == "the type OIDC needs client_secret"
    (reason,) = refusals(token, **place, providerType="Facebook", providerDetails=details)
    assert "OIDC and SAML" in reason
    made = make(token, **place, providerType="OIDC", providerDetails=details, attributeMapping={"email": "email"})
    assert made.drift() == {}
    made.update(providerDetails={**details, "client_id": "other"})
    assert made.read()["providerDetails"]["client_id"] == "other"
    assert made.drift() == {}
    made.delete()
    assert made.read() is None
    made.delete()


def test_refresh_tokens_that_rotate_exclude_the_other_way_to_refresh(
    make: Callable[..., Any], refusals: Callable[..., list[str]], pool: Any, cloud: Any
) -> None:
    rotation = {"feature": "ENABLED", "retryGracePeriodSeconds": 60}
    rotating = {"refreshTokenRotation": rotation, "explicitAuthFlows": ["ALLOW_CUSTOM_AUTH"], "enableTokenRevocation": True}
    for change in ({"explicitAuthFlows": ["ALLOW_REFRESH_TOKEN_AUTH"]}, {"explicitAuthFlows": []}, {"explicitAuthFlows": None}):
        (reason,) = refusals(CLIENT, name="x", userPoolId="x", **{**rotating, **change})
        assert "ALLOW_REFRESH_TOKEN_AUTH" in reason
    (reason,) = refusals(CLIENT, name="x", userPoolId="x", **{**rotating, "enableTokenRevocation": False})
    assert "enableTokenRevocation" in reason
    made = make(CLIENT, name="rotating", userPoolId=pool.id, **rotating)
    assert made.drift() == {}
    made.update(refreshTokenRotation=None)
    client = cloud.client("cognito-idp").describe_user_pool_client(UserPoolId=pool.id, ClientId=made.id)["UserPoolClient"]
    assert not client.get("RefreshTokenRotation"), "an update sets what it leaves out back to its default"
    assert client["ClientName"] == "rotating"


@pytest.mark.parametrize("change", [{"generateSecret": False}, {"allowedOauthFlows": ["client_credentials", "code"]}])
def test_client_credentials_are_for_clients_that_hold_a_secret_and_do_nothing_else(
    refusals: Callable[..., list[str]], change: dict[str, Any]
) -> None:
    given = {"generateSecret": True, "allowedOauthFlows": ["client_credentials"]}
    assert refusals(CLIENT, name="x", userPoolId="x", **given) == []
    (reason,) = refusals(CLIENT, name="x", userPoolId="x", **{**given, **change})
    assert "client_credentials" in reason
