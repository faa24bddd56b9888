import json
from collections.abc import Callable
from typing import Any

import pytest
from pulumi.runtime import rpc

from infra.settings import Mfa, ThreatProtection
from lambda_authorizer.access_policy import GROUPS, RESOURCE_SERVER, SCOPES

OIDC = {
    "heartmap:federation": "oidc",
    "heartmap:federation_name": "University",
    "heartmap:federation_issuer": "https://idp.example.org",
    "heartmap:federation_client_id": "heartmap",
    "heartmap:federation_client_secret_arn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:idp-AbCdEf",
}
SAML = {
    "heartmap:federation": "saml",
    "heartmap:federation_name": "University",
    "heartmap:federation_metadata_url": "https://idp.example.org/metadata.xml",
}
PROGRAMS = {"heartmap:program_scopes": '["models:read", "analyses:write"]'}


def people(plan: Any) -> dict[str, Any]:
    return plan.one("cognito/userPoolClient:UserPoolClient", "identity").inputs


def test_the_groups_are_those_of_the_access_policy(plan: Any) -> None:
    assert {group.inputs["name"] for group in plan.of("cognito/userGroup:UserGroup")} == GROUPS


def test_nobody_signs_up_and_passwords_are_strong(plan: Any) -> None:
    pool = plan.one("cognito/userPool:UserPool").inputs
    assert pool["adminCreateUserConfig"] == {"allowAdminCreateUserOnly": True}
    policy = pool["passwordPolicy"]
    assert policy["minimumLength"] >= 14
    assert policy["temporaryPasswordValidityDays"] <= 7
    assert all(policy[f"require{kind}"] for kind in ("Lowercase", "Uppercase", "Numbers", "Symbols"))
    assert pool["accountRecoverySetting"] == {"recoveryMechanisms": [{"name": "verified_email", "priority": 1}]}


def test_a_protected_pool_is_protected_from_aws_and_from_the_engine(plan: Any) -> None:
    pool = plan.one("cognito/userPool:UserPool")
    assert pool.inputs["deletionProtection"] == ("ACTIVE" if plan.settings.deletion_protection else "INACTIVE")
    assert pool.protect is plan.settings.deletion_protection


def test_a_second_factor_is_an_authenticator_app_wherever_it_is_on(plan: Any) -> None:
    pool = plan.one("cognito/userPool:UserPool").inputs
    assert pool["mfaConfiguration"] == {Mfa.REQUIRED: "ON", Mfa.OPTIONAL: "OPTIONAL", Mfa.OFF: "OFF"}[plan.settings.mfa]
    assert pool.get("softwareTokenMfaConfiguration") == (None if plan.settings.mfa is Mfa.OFF else {"enabled": True})
    assert "smsConfiguration" not in pool


def test_prod_requires_a_second_factor(planned: Any) -> None:
    assert planned("prod").one("cognito/userPool:UserPool").inputs["mfaConfiguration"] == "ON"


def test_the_client_is_public_and_only_for_the_code_flow_on_loopback_ports(plan: Any) -> None:
    client = people(plan)
    assert client["generateSecret"] is False
    assert client["allowedOauthFlows"] == ["code"]
    assert client["callbackUrls"] == [f"http://localhost:{port}/callback" for port in (8400, 8401, 8402)]
    assert client["preventUserExistenceErrors"] == "ENABLED"
    assert plan.outputs["callback_urls"] == client["callbackUrls"]


def test_access_tokens_live_an_hour(plan: Any) -> None:
    client = people(plan)
    assert (client["accessTokenValidity"], client["tokenValidityUnits"]["accessToken"]) == (60, "minutes")


def test_refresh_tokens_rotate_and_are_revoked_so_that_no_api_flow_refreshes_or_takes_a_password(plan: Any) -> None:
    client = people(plan)
    assert client["enableTokenRevocation"] is True
    assert client["refreshTokenRotation"] == {"feature": "ENABLED", "retryGracePeriodSeconds": 60}
    # Named, because none at all means several; and of no use without a Lambda trigger.
    assert client["explicitAuthFlows"] == ["ALLOW_CUSTOM_AUTH"]
    assert "lambdaConfig" not in plan.one("cognito/userPool:UserPool").inputs


def test_the_resource_server_has_the_scopes_of_the_access_policy(plan: Any) -> None:
    server = plan.one("cognito/resourceServer:ResourceServer").inputs
    assert server["identifier"] == RESOURCE_SERVER
    assert {scope["scopeName"] for scope in server["scopes"]} == SCOPES
    assert all(scope["scopeDescription"] for scope in server["scopes"])


@pytest.mark.parametrize("changes", [{}, PROGRAMS, OIDC])
def test_no_person_can_ask_for_a_scope_that_opens_a_route(run: Callable[..., Any], changes: dict[str, str]) -> None:
    assert people(run("dev", changes))["allowedOauthScopes"] == ["email", "openid"]


def test_there_is_no_client_for_programs_until_a_scope_is_set(plan: Any) -> None:
    assert plan.settings.program_scopes == ()
    plan.one("cognito/userPoolClient:UserPoolClient")
    assert plan.outputs["program_client_id"] == ""


def test_programs_hold_a_secret_and_get_the_scopes_of_the_setting_alone(run: Callable[..., Any]) -> None:
    plan = run("dev", PROGRAMS)
    client = plan.one("cognito/userPoolClient:UserPoolClient", "identity-programs").inputs
    assert client["generateSecret"] is True
    assert client["allowedOauthFlows"] == ["client_credentials"]
    assert sorted(client["allowedOauthScopes"]) == ["heartmap/analyses:write", "heartmap/models:read"]
    assert client["explicitAuthFlows"] == ["ALLOW_CUSTOM_AUTH"]
    assert "callbackUrls" not in client
    assert plan.outputs["program_client_id"] == "UserPoolClient/identity-programs"
    variables = plan.one("lambda/function:Function", "authorizer").inputs["environment"]["variables"]
    assert variables["HEARTMAP_CLIENT_IDS"] == "UserPoolClient/identity,UserPoolClient/identity-programs"


def test_without_threat_protection_the_cheaper_plan_does(planned: Any) -> None:
    for stack in ("local", "dev"):
        plan = planned(stack)
        pool = plan.one("cognito/userPool:UserPool").inputs
        assert pool["userPoolTier"] == "ESSENTIALS"
        assert "userPoolAddOns" not in pool
        assert not plan.of("cognito/riskConfiguration:RiskConfiguration")


@pytest.mark.parametrize("mode", ["audit", "enforced"])
def test_threat_protection_is_that_of_the_setting_for_every_way_to_sign_in(run: Callable[..., Any], mode: str) -> None:
    pool = run("dev", {"heartmap:threat_protection": mode}).one("cognito/userPool:UserPool").inputs
    assert pool["userPoolTier"] == "PLUS"
    assert pool["userPoolAddOns"] == {
        "advancedSecurityMode": mode.upper(),
        "advancedSecurityAdditionalFlows": {"customAuthMode": mode.upper()},
    }


def test_prod_blocks_leaked_passwords_and_risky_sign_ins_and_keeps_a_log_of_sign_ins(planned: Any) -> None:
    plan = planned("prod")
    assert plan.settings.threat_protection is ThreatProtection.ENFORCED
    risk = plan.one("cognito/riskConfiguration:RiskConfiguration").inputs
    leaked = risk["compromisedCredentialsRiskConfiguration"]
    assert set(leaked["eventFilters"]) == {"SIGN_IN", "PASSWORD_CHANGE", "SIGN_UP"}
    assert leaked["actions"] == {"eventAction": "BLOCK"}
    actions = risk["accountTakeoverRiskConfiguration"]["actions"]
    assert {name: action["eventAction"] for name, action in actions.items()} == {
        "lowAction": "MFA_REQUIRED",
        "mediumAction": "BLOCK",
        "highAction": "BLOCK",
    }
    assert {name: action["notify"] for name, action in actions.items()} == {
        "lowAction": False,
        "mediumAction": True,
        "highAction": True,
    }
    (delivery,) = plan.one("cognito/logDeliveryConfiguration:LogDeliveryConfiguration").inputs["logConfigurations"]
    assert (delivery["eventSource"], delivery["logLevel"]) == ("userAuthEvents", "INFO")
    logs = plan.one("cloudwatch/logGroup:LogGroup", "identity")
    assert delivery["cloudWatchLogsConfiguration"] == {"logGroupArn": f"arn:aws:LogGroup/{logs.name}"}
    assert logs.inputs["name"].startswith("/aws/vendedlogs/")
    assert logs.inputs["retentionInDays"] == plan.settings.log_retention_days
    assert logs.inputs["kmsKeyId"]
    assert logs.protect is True


def test_people_hear_of_risky_sign_ins_from_the_domain_which_this_pool_alone_may_use(planned: Any) -> None:
    plan = planned("prod")
    risk = plan.one("cognito/riskConfiguration:RiskConfiguration")
    sender = "arn:aws:DomainIdentityVerification/sign-ins"
    notices = risk.inputs["accountTakeoverRiskConfiguration"]["notifyConfiguration"]
    assert notices == {"from": f"no-reply@{plan.settings.domain}", "sourceArn": sender}
    policy = plan.one("ses/identityPolicy:IdentityPolicy")
    assert policy.inputs["identity"] == plan.settings.domain
    assert policy.urn in risk.dependencies
    (statement,) = json.loads(policy.inputs["policy"])["Statement"]
    assert statement["Principal"] == {"Service": ["email.cognito-idp.amazonaws.com"]}
    assert set(statement["Action"]) == {"ses:SendEmail", "ses:SendRawEmail"}
    assert statement["Resource"] == [sender]
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnLike": {"aws:SourceArn": "arn:aws:UserPool/identity"},
    }


def test_without_a_domain_nobody_is_written_to_and_risky_sign_ins_are_blocked_all_the_same(run: Callable[..., Any]) -> None:
    plan = run("dev", {"heartmap:threat_protection": "enforced"})
    takeover = plan.one("cognito/riskConfiguration:RiskConfiguration").inputs["accountTakeoverRiskConfiguration"]
    assert "notifyConfiguration" not in takeover
    assert takeover["actions"]["highAction"] == {"eventAction": "BLOCK", "notify": False}
    assert not plan.of("ses/domainIdentity:DomainIdentity")


def test_without_federation_the_pool_is_the_only_identity_provider(plan: Any) -> None:
    assert people(plan)["supportedIdentityProviders"] == ["COGNITO"]
    assert not plan.of("cognito/identityProvider:IdentityProvider")


def test_an_openid_provider_is_one_more_way_to_sign_in_and_its_secret_stays_one(run: Callable[..., Any]) -> None:
    plan = run("dev", OIDC)
    provider = plan.one("cognito/identityProvider:IdentityProvider")
    assert (provider.inputs["providerName"], provider.inputs["providerType"]) == ("University", "OIDC")
    assert provider.inputs["providerDetails"]["oidc_issuer"] == "https://idp.example.org"
    assert provider.inputs["providerDetails"]["client_secret"] == "the identity provider's secret"
    assert rpc.is_rpc_secret(provider.raw["providerDetails"]) or rpc.is_rpc_secret(
        provider.raw["providerDetails"]["client_secret"]
    )
    assert provider.inputs["attributeMapping"] == {"username": "sub", "email": "email"}
    assert people(plan)["supportedIdentityProviders"] == ["COGNITO", "University"]


def test_a_saml_provider_is_asked_by_signed_requests(run: Callable[..., Any]) -> None:
    plan = run("dev", SAML)
    provider = plan.one("cognito/identityProvider:IdentityProvider").inputs
    assert (provider["providerName"], provider["providerType"]) == ("University", "SAML")
    assert provider["providerDetails"] == {
        "MetadataURL": "https://idp.example.org/metadata.xml",
        "RequestSigningAlgorithm": "rsa-sha256",
    }
    assert people(plan)["supportedIdentityProviders"] == ["COGNITO", "University"]


def test_without_a_domain_the_sign_in_is_at_a_name_of_cognitos(planned: Any) -> None:
    plan = planned("dev")
    domain = plan.one("cognito/userPoolDomain:UserPoolDomain").inputs
    assert domain == {"domain": "heartmap-dev-123456789012", "userPoolId": "UserPool/identity", "managedLoginVersion": 1}
    assert plan.outputs["token_url"] == "https://heartmap-dev-123456789012.auth.us-east-1.amazoncognito.com/oauth2/token"
