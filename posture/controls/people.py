"""Cognito: who people are and how they prove it."""

from collections.abc import Iterable

from posture.controls.registry import at, control, covers, each
from posture.plan import Plan

POOL, CLIENT = "cognito/userPool:UserPool", "cognito/userPoolClient:UserPoolClient"

PASSWORD_LENGTH, TEMPORARY_DAYS = 14, 7
CLASSES = ("requireLowercase", "requireUppercase", "requireNumbers", "requireSymbols")


@control("23-26")
def threats_are_blocked(plan: Plan) -> Iterable[str]:
    yield from each(
        plan,
        POOL,
        lambda pool: pool.get("userPoolTier") == "PLUS" and at(pool, "userPoolAddOns.advancedSecurityMode") == "ENFORCED",
        "threat protection is not enforced",
    )
    risk = "cognito/riskConfiguration:RiskConfiguration"
    compromised = "compromisedCredentialsRiskConfiguration.actions.eventAction"
    yield from each(plan, risk, lambda one: at(one, compromised) == "BLOCK", "a leaked password is let in")
    takeover = "accountTakeoverRiskConfiguration.actions"
    yield from each(
        plan,
        risk,
        lambda one: at(one, f"{takeover}.highAction.eventAction") in ("BLOCK", "MFA_REQUIRED"),
        "a risky sign-in is let in",
    )


@control("27")
def mfa_is_on(plan: Plan) -> Iterable[str]:
    return each(
        plan,
        POOL,
        lambda pool: pool.get("mfaConfiguration") == "ON" and at(pool, "softwareTokenMfaConfiguration.enabled") is True,
        "a password is enough",
    )


@control("28")
def passwords_are_strong(plan: Plan) -> Iterable[str]:
    def holds(pool: dict) -> bool:
        policy = pool.get("passwordPolicy") or {}
        return (
            policy.get("minimumLength", 0) >= PASSWORD_LENGTH
            and all(policy.get(required) is True for required in CLASSES)
            and 0 < policy.get("temporaryPasswordValidityDays", 0) <= TEMPORARY_DAYS
        )

    return each(plan, POOL, holds, "weak passwords are taken")


@control("29")
def the_pool_is_protected(plan: Plan) -> Iterable[str]:
    return each(plan, POOL, lambda pool: pool.get("deletionProtection") == "ACTIVE", "can be deleted by mistake")


@control("30")
def nobody_signs_up(plan: Plan) -> Iterable[str]:
    only = "adminCreateUserConfig.allowAdminCreateUserOnly"
    return each(plan, POOL, lambda pool: at(pool, only) is True, "anybody can sign up")


@control("31")
def nobody_learns_who_has_an_account(plan: Plan) -> Iterable[str]:
    return each(plan, CLIENT, lambda one: one.get("preventUserExistenceErrors") == "ENABLED", "tells who has an account")


@control("32")
def tokens_can_be_revoked_and_rotate(plan: Plan) -> Iterable[str]:
    yield from each(plan, CLIENT, lambda one: one.get("enableTokenRevocation") is True, "its tokens cannot be revoked")
    people = [client for client in plan.of(CLIENT) if "code" in client.inputs.get("allowedOauthFlows", [])]
    for client in people:
        if at(client.inputs, "refreshTokenRotation.feature") != "ENABLED":
            yield f"{client.id}: a stolen refresh token stays good"
        if "ALLOW_REFRESH_TOKEN_AUTH" in client.inputs.get("explicitAuthFlows", []):
            yield f"{client.id}: a flow goes past the rotation"


@control("33")
def recovery_by_verified_mail(plan: Plan) -> Iterable[str]:
    def holds(pool: dict) -> bool:
        mechanisms = at(pool, "accountRecoverySetting.recoveryMechanisms") or []
        return [one["name"] for one in mechanisms] == ["verified_email"]

    return each(plan, POOL, holds, "an account can be had back otherwise than by its verified e-mail address")


@control("34")
def the_pool_has_the_web_acl(plan: Plan) -> Iterable[str]:
    yield from each(plan, POOL, lambda _: True, "")
    pools = {f"arn:aws:{pool.id}" for pool in plan.of(POOL)}
    yield from covers(plan, "wafv2/webAclAssociation:WebAclAssociation", "resourceArn", pools, "has no web ACL")


@control("35")
def there_are_no_guests(plan: Plan) -> Iterable[str]:
    return [f"{pool.id}: gives AWS credentials to people" for pool in plan.of("cognito/identityPool:IdentityPool")]
