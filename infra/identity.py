"""Who calls: a Cognito user pool with its hosted sign-in, a client for people, one for programs, and a group a role."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi import Input, Output, ResourceOptions

from infra.iam import Statement, document
from infra.mail import Sender
from infra.naming import Names
from infra.settings import Federation, Mfa, Settings, ThreatProtection
from lambda_authorizer.access_policy import ADMIN, ANALYST, RESOURCE_SERVER, SCOPES, VIEWER

TYPE_IDENTITY = "heartmap:identity:Identity"

# Cognito compares callback URLs as strings, so that a client can choose among these ports and no others (RFC 8252 wants any).
CALLBACK_PORTS = (8400, 8401, 8402)
CALLBACK_URLS = [f"http://localhost:{port}/callback" for port in CALLBACK_PORTS]

# The hosted pages whose requests the web ACL sees; the other version, 2, also needs a branding to show any page.
# https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-waf.html
CLASSIC_PAGES = 1

ACCESS_TOKEN_MINUTES = 60
REFRESH_TOKEN_HOURS = 12
# A client that lost the answer to a refresh may ask once more; after that, whoever presents the old token ends the session.
REFRESH_GRACE_SECONDS = 60
PASSWORD_LENGTH = 14
TEMPORARY_PASSWORD_DAYS = 7

# A person in several groups is shown with the lowest number.
GROUPS = {
    ADMIN: (1, "Changes the configuration, and administers users and keys"),
    ANALYST: (2, "Uploads data sets, runs analyses and reads their own and what is shared"),
    VIEWER: (3, "Reads models, the configuration and what is shared"),
}

_MFA = {Mfa.REQUIRED: "ON", Mfa.OPTIONAL: "OPTIONAL", Mfa.OFF: "OFF"}
_THREATS = {ThreatProtection.AUDIT: "AUDIT", ThreatProtection.ENFORCED: "ENFORCED"}

# A client has to name a flow of the API, else Cognito allows it several. This one needs a Lambda trigger that our pool does not
# have, so that nobody signs in but on the hosted pages: neither by password, nor by the refresh flow, which rotation excludes.
# https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-authentication-flow-methods.html
NO_FLOW = ["ALLOW_CUSTOM_AUTH"]

# Log groups of deliveries begin like this, so that the resource policy that AWS keeps for them does not outgrow its limit.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-vended-logs-permissions.html
DELIVERED_LOGS = "/aws/vendedlogs"


@dataclass(frozen=True, kw_only=True)
class IdentityArgs:
    """``sender`` is what tells people of risky sign-ins; without one nobody is told, and they are blocked all the same."""

    names: Names
    settings: Settings
    logs_key_arn: Input[str]
    sender: Sender | None


class Identity(pulumi.ComponentResource):
    """The user pool. Nobody signs up: an administrator creates each person.

    People of another identity provider (``federation``) appear in the pool when they first sign in, and belong to no group until
    an administrator puts them in one. Their second factor is that provider's business.
    """

    user_pool_id: Output[str]
    user_pool_arn: Output[str]
    client_id: Output[str]
    program_client_id: Output[str]
    """Empty when there is no client for programs."""
    client_ids: list[Output[str]]
    """The clients whose tokens the API takes."""
    issuer: Output[str]
    authorize_url: str
    token_url: str

    def __init__(self, name: str, args: IdentityArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_IDENTITY, name, None, opts)
        self._args, self._child = args, ResourceOptions(parent=self)
        self._pool = self._user_pool(name)
        self.user_pool_id, self.user_pool_arn = self._pool.id, self._pool.arn
        if args.settings.threat_protection is not ThreatProtection.OFF:
            self._threat_protection(name)
        for group, (precedence, description) in GROUPS.items():
            aws.cognito.UserGroup(
                group,
                name=group,
                user_pool_id=self.user_pool_id,
                precedence=precedence,
                description=description,
                opts=self._child,
            )
        self.client_id = self._people(name).id
        self.client_ids = [self.client_id]
        self.program_client_id = Output.from_input("")
        scopes = self._resource_server(name)
        if args.settings.program_scopes:
            self.program_client_id = self._programs(f"{name}-programs", scopes).id
            self.client_ids.append(self.program_client_id)
        self.issuer = Output.concat("https://cognito-idp.", args.names.region, ".amazonaws.com/", self.user_pool_id)
        hosted = f"https://{self._hosted(name)}/oauth2"
        self.authorize_url, self.token_url = f"{hosted}/authorize", f"{hosted}/token"
        self.register_outputs({"user_pool_id": self.user_pool_id, "client_id": self.client_id, "issuer": self.issuer})

    def _user_pool(self, name: str) -> aws.cognito.UserPool:
        settings = self._args.settings
        threats = _THREATS.get(settings.threat_protection)
        return aws.cognito.UserPool(
            name,
            name=self._args.names.prefix,
            user_pool_tier="PLUS" if threats else "ESSENTIALS",
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
            mfa_configuration=_MFA[settings.mfa],
            software_token_mfa_configuration=(
                None if settings.mfa is Mfa.OFF else aws.cognito.UserPoolSoftwareTokenMfaConfigurationArgs(enabled=True)
            ),
            user_pool_add_ons=(
                aws.cognito.UserPoolUserPoolAddOnsArgs(
                    advanced_security_mode=threats,
                    advanced_security_additional_flows=aws.cognito.UserPoolUserPoolAddOnsAdvancedSecurityAdditionalFlowsArgs(
                        custom_auth_mode=threats
                    ),
                )
                if threats
                else None
            ),
            deletion_protection="ACTIVE" if settings.deletion_protection else "INACTIVE",
            opts=ResourceOptions(parent=self, protect=settings.deletion_protection),
        )

    def _threat_protection(self, name: str) -> None:
        """What Cognito does about a sign-in by its risk (in the mode ``audit`` it only says what it would do), and its log."""
        sender = self._args.sender
        notify = sender is not None
        aws.cognito.RiskConfiguration(
            name,
            user_pool_id=self.user_pool_id,
            account_takeover_risk_configuration=aws.cognito.RiskConfigurationAccountTakeoverRiskConfigurationArgs(
                actions=aws.cognito.RiskConfigurationAccountTakeoverRiskConfigurationActionsArgs(
                    # A new browser is a low risk: to block it would lock out who travels. The second factor decides.
                    low_action=aws.cognito.RiskConfigurationAccountTakeoverRiskConfigurationActionsLowActionArgs(
                        event_action="MFA_REQUIRED", notify=False
                    ),
                    medium_action=aws.cognito.RiskConfigurationAccountTakeoverRiskConfigurationActionsMediumActionArgs(
                        event_action="BLOCK", notify=notify
                    ),
                    high_action=aws.cognito.RiskConfigurationAccountTakeoverRiskConfigurationActionsHighActionArgs(
                        event_action="BLOCK", notify=notify
                    ),
                ),
                notify_configuration=(
                    aws.cognito.RiskConfigurationAccountTakeoverRiskConfigurationNotifyConfigurationArgs(
                        from_=sender.address, source_arn=sender.arn
                    )
                    if sender
                    else None
                ),
            ),
            compromised_credentials_risk_configuration=aws.cognito.RiskConfigurationCompromisedCredentialsRiskConfigurationArgs(
                event_filters=["PASSWORD_CHANGE", "SIGN_IN", "SIGN_UP"],
                actions=aws.cognito.RiskConfigurationCompromisedCredentialsRiskConfigurationActionsArgs(event_action="BLOCK"),
            ),
            opts=ResourceOptions(parent=self, depends_on=[self._may_write(name, sender)] if sender else []),
        )
        logs = aws.cloudwatch.LogGroup(
            name,
            name=DELIVERED_LOGS + self._args.names.log_group("sign-ins"),
            retention_in_days=self._args.settings.log_retention_days,
            kms_key_id=self._args.logs_key_arn,
            opts=ResourceOptions(parent=self, protect=self._args.settings.deletion_protection),
        )
        aws.cognito.LogDeliveryConfiguration(
            name,
            user_pool_id=self.user_pool_id,
            log_configurations=[
                aws.cognito.LogDeliveryConfigurationLogConfigurationArgs(
                    event_source="userAuthEvents",
                    log_level="INFO",
                    cloud_watch_logs_configuration=(
                        aws.cognito.LogDeliveryConfigurationLogConfigurationCloudWatchLogsConfigurationArgs(
                            log_group_arn=logs.arn
                        )
                    ),
                )
            ],
            opts=self._child,
        )

    def _may_write(self, name: str, sender: Sender) -> aws.ses.IdentityPolicy:
        """Lets Cognito write to the people of this pool. https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-email.html"""
        statement = Statement(
            sid="Cognito",
            principals={"Service": ("email.cognito-idp.amazonaws.com",)},
            actions=("ses:SendEmail", "ses:SendRawEmail"),
            resources=(sender.arn,),
            conditions={
                "StringEquals": {"aws:SourceAccount": self._args.names.account},
                "ArnLike": {"aws:SourceArn": self.user_pool_arn},
            },
        )
        return aws.ses.IdentityPolicy(
            name, identity=sender.domain, name=self._args.names.of("sign-ins"), policy=document(statement), opts=self._child
        )

    def _people(self, name: str) -> aws.cognito.UserPoolClient:
        provider = self._federation(name)
        return aws.cognito.UserPoolClient(
            name,
            name=self._args.names.of("cli"),
            user_pool_id=self.user_pool_id,
            # A program on the user's own machine cannot keep a secret: PKCE (RFC 7636) stands in for it.
            generate_secret=False,
            allowed_oauth_flows_user_pool_client=True,
            allowed_oauth_flows=["code"],
            # None of the resource server's: a scope opens a route as a group does, and anybody may ask for all of the client's.
            allowed_oauth_scopes=["email", "openid"],
            supported_identity_providers=["COGNITO", *([provider.provider_name] if provider else [])],
            callback_urls=CALLBACK_URLS,
            logout_urls=CALLBACK_URLS,
            explicit_auth_flows=NO_FLOW,
            prevent_user_existence_errors="ENABLED",
            enable_token_revocation=True,
            refresh_token_rotation=aws.cognito.UserPoolClientRefreshTokenRotationArgs(
                feature="ENABLED", retry_grace_period_seconds=REFRESH_GRACE_SECONDS
            ),
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

    def _resource_server(self, name: str) -> aws.cognito.ResourceServer:
        """The scopes of the API, as the access policy has them: ``heartmap/models:read``."""
        return aws.cognito.ResourceServer(
            name,
            identifier=RESOURCE_SERVER,
            name="HeartMAP",
            user_pool_id=self.user_pool_id,
            scopes=[
                aws.cognito.ResourceServerScopeArgs(scope_name=scope, scope_description=scope.replace(":", ", "))
                for scope in sorted(SCOPES)
            ],
            opts=self._child,
        )

    def _programs(self, name: str, server: aws.cognito.ResourceServer) -> aws.cognito.UserPoolClient:
        """The client for programs: a secret, which an administrator reads from Cognito, for tokens with the setting's scopes."""
        return aws.cognito.UserPoolClient(
            name,
            name=self._args.names.of("programs"),
            user_pool_id=self.user_pool_id,
            generate_secret=True,
            allowed_oauth_flows_user_pool_client=True,
            allowed_oauth_flows=["client_credentials"],
            allowed_oauth_scopes=[Output.concat(server.identifier, "/", scope) for scope in self._args.settings.program_scopes],
            explicit_auth_flows=NO_FLOW,
            prevent_user_existence_errors="ENABLED",
            enable_token_revocation=True,
            access_token_validity=ACCESS_TOKEN_MINUTES,
            token_validity_units=aws.cognito.UserPoolClientTokenValidityUnitsArgs(
                access_token="minutes",  # noqa: S106 - a unit
            ),
            opts=self._child,
        )

    def _federation(self, name: str) -> aws.cognito.IdentityProvider | None:
        """The identity provider of the settings, if any."""
        settings = self._args.settings
        if settings.federation is Federation.NONE:
            return None
        if settings.federation is Federation.OIDC:
            secret = aws.secretsmanager.get_secret_version_output(
                secret_id=settings.federation_client_secret_arn, opts=pulumi.InvokeOutputOptions(parent=self)
            )
            details: dict[str, Input[str]] = {
                "client_id": settings.federation_client_id,
                "client_secret": Output.secret(secret.secret_string),
                "oidc_issuer": settings.federation_issuer,
                "authorize_scopes": "openid email",
                "attributes_request_method": "GET",
            }
            mapping = {"username": "sub", "email": "email"}
        else:
            details = {"MetadataURL": settings.federation_metadata_url, "RequestSigningAlgorithm": "rsa-sha256"}
            mapping = {"email": "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress"}
        return aws.cognito.IdentityProvider(
            name,
            user_pool_id=self.user_pool_id,
            provider_name=settings.federation_name,
            provider_type=settings.federation.upper(),
            provider_details=details,
            attribute_mapping=mapping,
            opts=self._child,
        )

    def _hosted(self, name: str) -> str:
        """The host of the sign-in pages: a name of ours (made with the edge, whose records it needs), else one of Cognito's."""
        if self._args.settings.domain:
            return sign_in_host(self._args.settings)
        prefix = f"{self._args.names.prefix}-{self._args.names.account}"
        aws.cognito.UserPoolDomain(
            name, domain=prefix, user_pool_id=self.user_pool_id, managed_login_version=CLASSIC_PAGES, opts=self._child
        )
        return f"{prefix}.auth.{self._args.names.region}.amazoncognito.com"


def sign_in_host(settings: Settings) -> str:
    """The host of the sign-in pages in a stack that has a domain."""
    return f"auth.{settings.domain}"
