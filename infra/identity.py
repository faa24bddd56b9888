"""Who people are: a Cognito user pool with its hosted sign-in, one app client for heartmapctl, and a group a role."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi import Output, ResourceOptions

from infra.naming import Names
from infra.settings import Mfa
from lambda_authorizer.access_policy import ADMIN, ANALYST, VIEWER

TYPE_IDENTITY = "heartmap:identity:Identity"

# Cognito compares callback URLs as strings, so that a client can choose among these ports and no others (RFC 8252 wants any).
CALLBACK_PORTS = (8400, 8401, 8402)
CALLBACK_URLS = [f"http://localhost:{port}/callback" for port in CALLBACK_PORTS]

ACCESS_TOKEN_MINUTES = 60
REFRESH_TOKEN_HOURS = 12
PASSWORD_LENGTH = 14
TEMPORARY_PASSWORD_DAYS = 7

# A person in several groups is shown with the lowest number.
GROUPS = {
    ADMIN: (1, "Changes the configuration, and administers users and keys"),
    ANALYST: (2, "Uploads data sets, runs analyses and reads their own and what is shared"),
    VIEWER: (3, "Reads models, the configuration and what is shared"),
}

_MFA = {Mfa.REQUIRED: "ON", Mfa.OPTIONAL: "OPTIONAL", Mfa.OFF: "OFF"}


@dataclass(frozen=True, kw_only=True)
class IdentityArgs:
    names: Names
    mfa: Mfa
    deletion_protection: bool


class Identity(pulumi.ComponentResource):
    """The user pool. Nobody signs up: an administrator creates each person."""

    user_pool_id: Output[str]
    client_id: Output[str]
    issuer: Output[str]
    authorize_url: str
    token_url: str

    def __init__(self, name: str, args: IdentityArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_IDENTITY, name, None, opts)
        self._args, self._child = args, ResourceOptions(parent=self)
        pool = self._user_pool(name)
        domain = f"{args.names.prefix}-{args.names.account}"
        aws.cognito.UserPoolDomain(name, domain=domain, user_pool_id=pool.id, opts=self._child)
        for group, (precedence, description) in GROUPS.items():
            aws.cognito.UserGroup(
                group, name=group, user_pool_id=pool.id, precedence=precedence, description=description, opts=self._child
            )
        self.user_pool_id = pool.id
        self.client_id = self._client(name, pool).id
        self.issuer = Output.concat("https://cognito-idp.", args.names.region, ".amazonaws.com/", pool.id)
        hosted = f"https://{domain}.auth.{args.names.region}.amazoncognito.com/oauth2"
        self.authorize_url, self.token_url = f"{hosted}/authorize", f"{hosted}/token"
        self.register_outputs({"user_pool_id": self.user_pool_id, "client_id": self.client_id, "issuer": self.issuer})

    def _user_pool(self, name: str) -> aws.cognito.UserPool:
        mfa = self._args.mfa
        return aws.cognito.UserPool(
            name,
            name=self._args.names.prefix,
            username_configuration=aws.cognito.UserPoolUsernameConfigurationArgs(case_sensitive=False),
            admin_create_user_config=aws.cognito.UserPoolAdminCreateUserConfigArgs(allow_admin_create_user_only=True),
            password_policy=aws.cognito.UserPoolPasswordPolicyArgs(
                minimum_length=PASSWORD_LENGTH,
                require_lowercase=True,
                require_uppercase=True,
                require_numbers=True,
                require_symbols=True,
                temporary_password_validity_days=TEMPORARY_PASSWORD_DAYS,
            ),
            auto_verified_attributes=["email"],
            account_recovery_setting=aws.cognito.UserPoolAccountRecoverySettingArgs(
                recovery_mechanisms=[
                    aws.cognito.UserPoolAccountRecoverySettingRecoveryMechanismArgs(name="verified_email", priority=1)
                ]
            ),
            mfa_configuration=_MFA[mfa],
            software_token_mfa_configuration=(
                None if mfa is Mfa.OFF else aws.cognito.UserPoolSoftwareTokenMfaConfigurationArgs(enabled=True)
            ),
            deletion_protection="ACTIVE" if self._args.deletion_protection else "INACTIVE",
            opts=self._child,
        )

    def _client(self, name: str, pool: aws.cognito.UserPool) -> aws.cognito.UserPoolClient:
        return aws.cognito.UserPoolClient(
            name,
            name=self._args.names.of("cli"),
            user_pool_id=pool.id,
            # A program on the user's own machine cannot keep a secret: PKCE (RFC 7636) stands in for it.
            generate_secret=False,
            allowed_oauth_flows_user_pool_client=True,
            allowed_oauth_flows=["code"],
            allowed_oauth_scopes=["email", "openid"],
            supported_identity_providers=["COGNITO"],
            callback_urls=CALLBACK_URLS,
            logout_urls=CALLBACK_URLS,
            # Signing in is for the hosted pages alone; a client that sends passwords gets nothing.
            explicit_auth_flows=["ALLOW_REFRESH_TOKEN_AUTH"],
            prevent_user_existence_errors="ENABLED",
            enable_token_revocation=True,
            access_token_validity=ACCESS_TOKEN_MINUTES,
            id_token_validity=ACCESS_TOKEN_MINUTES,
            refresh_token_validity=REFRESH_TOKEN_HOURS,
            token_validity_units=aws.cognito.UserPoolClientTokenValidityUnitsArgs(
                access_token="minutes",  # noqa: S106 - a unit
                id_token="minutes",  # noqa: S106 - a unit
                refresh_token="hours",  # noqa: S106 - a unit
            ),
            opts=self._child,
        )
