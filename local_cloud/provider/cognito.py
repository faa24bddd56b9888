"""Cognito: user pool, its domain, app clients, groups, scopes, identity providers, threat protection and its log."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

from typing import Any, ClassVar

from local_cloud.provider.framework import (
    MAP,
    UNKNOWN,
    Aws,
    Failure,
    Inputs,
    ResourceType,
    Shape,
    changed,
    ignoring_gone,
    none_if_gone,
    register,
    undoing,
)
from local_cloud.provider.names import from_aws, given, live, one, pascal, same_set, to_aws

CLOUDFRONT_ZONE = "Z2FDTNDATAQYW2"
"""The hosted zone of every CloudFront distribution (AWS General Reference, Amazon CloudFront endpoints)."""


@register
class UserPool(ResourceType):
    token = "aws:cognito/userPool:UserPool"
    arguments = frozenset(
        {
            "name",
            "userPoolTier",
            "usernameConfiguration",
            "adminCreateUserConfig",
            "passwordPolicy",
            "autoVerifiedAttributes",
            "accountRecoverySetting",
            "mfaConfiguration",
            "softwareTokenMfaConfiguration",
            "userPoolAddOns",
            "deletionProtection",
            "tags",
        }
    )
    replaces = frozenset({"usernameConfiguration"})
    defaults: ClassVar = {"mfaConfiguration": "OFF"}
    nested: ClassVar = {
        "usernameConfiguration": {"caseSensitive": None},
        "adminCreateUserConfig": {"allowAdminCreateUserOnly": None},
        "passwordPolicy": {
            "minimumLength": None,
            "requireLowercase": None,
            "requireUppercase": None,
            "requireNumbers": None,
            "requireSymbols": None,
            "temporaryPasswordValidityDays": None,
            "passwordHistorySize": None,
        },
        "accountRecoverySetting": {"recoveryMechanisms": {"name": None, "priority": None}},
        "softwareTokenMfaConfiguration": {"enabled": None},
        "userPoolAddOns": {"advancedSecurityMode": None, "advancedSecurityAdditionalFlows": {"customAuthMode": None}},
    }
    computed = frozenset({"arn", "endpoint", "creationDate", "lastModifiedDate", "domain", "estimatedNumberOfUsers"})
    volatile = frozenset({"lastModifiedDate"})
    autoname = "name"

    def check(self, inputs: Inputs, /) -> list[Failure]:
        failures: list[Failure] = []
        mfa = inputs.get("mfaConfiguration")
        if mfa in {"ON", "OPTIONAL"} and not inputs.get("softwareTokenMfaConfiguration"):
            reason = f"mfaConfiguration {mfa} needs a factor: give softwareTokenMfaConfiguration"
            failures.append(Failure("mfaConfiguration", reason))
        # https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-sign-in-feature-plans.html
        mode = (one(inputs.get("userPoolAddOns")) or {}).get("advancedSecurityMode")
        if mode in {"AUDIT", "ENFORCED"} and inputs.get("userPoolTier") != "PLUS":
            failures.append(Failure("userPoolAddOns", f"advancedSecurityMode {mode} needs the userPoolTier PLUS"))
        return failures

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        client = aws.client("cognito-idp")
        usernames = one(inputs.get("usernameConfiguration"))
        pool_id = client.create_user_pool(
            **self._settings(aws, inputs), **given(UsernameConfiguration=to_aws(usernames) if usernames else None)
        )["UserPool"]["Id"]
        with undoing(lambda: client.delete_user_pool(UserPoolId=pool_id)):
            self._set_mfa(aws, pool_id, inputs)
            return pool_id, self._outputs(aws, client.describe_user_pool(UserPoolId=pool_id)["UserPool"])

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        client = aws.client("cognito-idp")
        answer = none_if_gone(client.describe_user_pool, UserPoolId=resource_id)
        if answer is None:
            return None
        pool = answer["UserPool"]
        found = live(
            state,
            name=pool["Name"],
            mfaConfiguration=pool.get("MfaConfiguration"),
            userPoolTier=pool.get("UserPoolTier"),
            deletionProtection=pool.get("DeletionProtection"),
            autoVerifiedAttributes=same_set(state, "autoVerifiedAttributes", pool.get("AutoVerifiedAttributes")),
        )
        return found | self._outputs(aws, pool) | {"tagsAll": pool.get("UserPoolTags") or {}}

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        client = aws.client("cognito-idp")
        # Cognito sets what an update leaves out back to its default, so that every update says everything.
        client.update_user_pool(UserPoolId=resource_id, **self._settings(aws, new))
        if changed(old, new, {"mfaConfiguration", "softwareTokenMfaConfiguration"}):
            self._set_mfa(aws, resource_id, new)
        return self._outputs(aws, client.describe_user_pool(UserPoolId=resource_id)["UserPool"])

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("cognito-idp").delete_user_pool(UserPoolId=resource_id)

    def _settings(self, aws: Aws, inputs: Inputs) -> dict[str, Any]:
        """What both creating and updating a pool take."""
        password = one(inputs.get("passwordPolicy"))
        return given(
            PoolName=inputs["name"],
            UserPoolTier=inputs.get("userPoolTier"),
            DeletionProtection=inputs.get("deletionProtection"),
            AutoVerifiedAttributes=inputs.get("autoVerifiedAttributes"),
            Policies={"PasswordPolicy": to_aws(password)} if password else None,
            AdminCreateUserConfig=to_aws(one(inputs.get("adminCreateUserConfig"))),
            AccountRecoverySetting=to_aws(one(inputs.get("accountRecoverySetting"))),
            UserPoolAddOns=to_aws(one(inputs.get("userPoolAddOns"))),
            UserPoolTags=aws.tags(inputs),
        )

    def _set_mfa(self, aws: Aws, pool_id: str, inputs: Inputs) -> None:
        token = one(inputs.get("softwareTokenMfaConfiguration"))
        aws.client("cognito-idp").set_user_pool_mfa_config(
            UserPoolId=pool_id,
            MfaConfiguration=inputs["mfaConfiguration"],
            **given(SoftwareTokenMfaConfiguration=to_aws(token) if token else None),
        )

    def _outputs(self, aws: Aws, pool: dict[str, Any]) -> dict[str, Any]:
        return {
            "arn": pool["Arn"],
            "endpoint": f"cognito-idp.{aws.region}.amazonaws.com/{pool['Id']}",
            "creationDate": pool["CreationDate"].isoformat(),
            "lastModifiedDate": pool["LastModifiedDate"].isoformat(),
            "domain": pool.get("Domain", ""),
            "estimatedNumberOfUsers": pool["EstimatedNumberOfUsers"],
        }


@register
class UserPoolDomain(ResourceType):
    token = "aws:cognito/userPoolDomain:UserPoolDomain"
    arguments = frozenset({"domain", "userPoolId", "certificateArn", "managedLoginVersion"})
    required = frozenset({"domain", "userPoolId"})
    replaces = required
    computed = frozenset({"cloudfrontDistribution", "cloudfrontDistributionArn", "cloudfrontDistributionZoneId"})
    volatile = computed
    unique = "domain"

    def check(self, inputs: Inputs, /) -> list[Failure]:
        # https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-add-custom-domain.html
        certificate = inputs.get("certificateArn")
        if isinstance(certificate, str) and certificate.split(":")[3:4] != ["us-east-1"]:
            return [Failure("certificateArn", "the certificate of a custom domain has to be in us-east-1")]
        return []

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        client, domain = aws.client("cognito-idp"), inputs["domain"]
        client.create_user_pool_domain(Domain=domain, UserPoolId=inputs["userPoolId"], **self._settings(inputs))
        with undoing(lambda: client.delete_user_pool_domain(Domain=domain, UserPoolId=inputs["userPoolId"])):
            return domain, self._outputs(client.describe_user_pool_domain(Domain=domain)["DomainDescription"])

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        # Cognito describes a domain that does not exist by an empty description.
        found = aws.client("cognito-idp").describe_user_pool_domain(Domain=resource_id)["DomainDescription"]
        if not found.get("UserPoolId"):
            return None
        arguments = live(
            state,
            certificateArn=(found.get("CustomDomainConfig") or {}).get("CertificateArn"),
            managedLoginVersion=found.get("ManagedLoginVersion"),
        )
        return self._outputs(found) | arguments | {"userPoolId": found["UserPoolId"]}

    def update(self, aws: Aws, resource_id: str, _old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        client = aws.client("cognito-idp")
        client.update_user_pool_domain(Domain=resource_id, UserPoolId=new["userPoolId"], **self._settings(new))
        return self._outputs(client.describe_user_pool_domain(Domain=resource_id)["DomainDescription"])

    def delete(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("cognito-idp").delete_user_pool_domain(Domain=resource_id, UserPoolId=state["userPoolId"])

    def _settings(self, inputs: Inputs) -> dict[str, Any]:
        certificate = inputs.get("certificateArn")
        return given(
            CustomDomainConfig={"CertificateArn": certificate} if certificate else None,
            ManagedLoginVersion=inputs.get("managedLoginVersion"),
        )

    def _outputs(self, found: dict[str, Any]) -> dict[str, Any]:
        distribution = found["CloudFrontDistribution"]
        return {
            "cloudfrontDistribution": distribution,
            "cloudfrontDistributionArn": distribution,
            "cloudfrontDistributionZoneId": CLOUDFRONT_ZONE,
        }


# Pulumi's name of an argument -> the API's.
CLIENT_ARGUMENTS = {
    "name": "ClientName",
    "allowedOauthFlowsUserPoolClient": "AllowedOAuthFlowsUserPoolClient",
    "allowedOauthFlows": "AllowedOAuthFlows",
    "allowedOauthScopes": "AllowedOAuthScopes",
    "supportedIdentityProviders": "SupportedIdentityProviders",
    "callbackUrls": "CallbackURLs",
    "logoutUrls": "LogoutURLs",
    "explicitAuthFlows": "ExplicitAuthFlows",
    "preventUserExistenceErrors": "PreventUserExistenceErrors",
    "enableTokenRevocation": "EnableTokenRevocation",
    "accessTokenValidity": "AccessTokenValidity",
    "idTokenValidity": "IdTokenValidity",
    "refreshTokenValidity": "RefreshTokenValidity",
    "tokenValidityUnits": "TokenValidityUnits",
    "refreshTokenRotation": "RefreshTokenRotation",
}


@register
class UserPoolClient(ResourceType):
    token = "aws:cognito/userPoolClient:UserPoolClient"
    arguments = frozenset({"userPoolId", "generateSecret", *CLIENT_ARGUMENTS})
    required = frozenset({"userPoolId"})
    replaces = frozenset({"userPoolId", "generateSecret"})
    nested: ClassVar = {
        "tokenValidityUnits": {"accessToken": None, "idToken": None, "refreshToken": None},
        "refreshTokenRotation": {"feature": None, "retryGracePeriodSeconds": None},
    }
    computed = frozenset({"clientSecret"})
    secret_outputs = frozenset({"clientSecret"})
    autoname = "name"

    def check(self, inputs: Inputs, /) -> list[Failure]:
        # https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-refresh-token.html
        failures: list[Failure] = []
        if (one(inputs.get("refreshTokenRotation")) or {}).get("feature") == "ENABLED":
            # Cognito allows the refresh flow to a client that names no flow at all.
            if "ALLOW_REFRESH_TOKEN_AUTH" in (inputs.get("explicitAuthFlows") or ["ALLOW_REFRESH_TOKEN_AUTH"]):
                reason = "refresh tokens that rotate exclude ALLOW_REFRESH_TOKEN_AUTH: name other explicitAuthFlows"
                failures.append(Failure("explicitAuthFlows", reason))
            if not inputs.get("enableTokenRevocation"):
                failures.append(Failure("enableTokenRevocation", "refresh tokens that rotate need enableTokenRevocation"))
        # https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_CreateUserPoolClient.html
        flows = set(inputs.get("allowedOauthFlows") or [])
        if "client_credentials" in flows and (flows != {"client_credentials"} or not inputs.get("generateSecret")):
            reason = "client_credentials is for a client with a secret, and with no other flow"
            failures.append(Failure("allowedOauthFlows", reason))
        return failures

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        client = aws.client("cognito-idp").create_user_pool_client(
            UserPoolId=inputs["userPoolId"],
            GenerateSecret=bool(inputs.get("generateSecret")),
            **self._settings(inputs),
        )["UserPoolClient"]
        return client["ClientId"], {"clientSecret": client.get("ClientSecret", "")}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(
            aws.client("cognito-idp").describe_user_pool_client, UserPoolId=state["userPoolId"], ClientId=resource_id
        )
        if answer is None:
            return None
        client = answer["UserPoolClient"]
        plain = {name: client.get(api) for name, api in CLIENT_ARGUMENTS.items() if name not in self.nested}
        lists = {name: same_set(state, name, value) for name, value in plain.items() if isinstance(value, list)}
        return live(state, **(plain | lists)) | {"clientSecret": client.get("ClientSecret", "")}

    def update(self, aws: Aws, resource_id: str, _old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        aws.client("cognito-idp").update_user_pool_client(
            UserPoolId=new["userPoolId"], ClientId=resource_id, **self._settings(new)
        )
        return {}

    def delete(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("cognito-idp").delete_user_pool_client(UserPoolId=state["userPoolId"], ClientId=resource_id)

    def _settings(self, inputs: Inputs) -> dict[str, Any]:
        objects = {name: to_aws(one(inputs.get(name))) for name in self.nested}
        return given(**{api: (inputs | objects).get(name) for name, api in CLIENT_ARGUMENTS.items()})


@register
class UserGroup(ResourceType):
    token = "aws:cognito/userGroup:UserGroup"
    arguments = frozenset({"name", "userPoolId", "description", "precedence", "roleArn"})
    required = frozenset({"userPoolId"})
    replaces = frozenset({"name", "userPoolId"})
    unique = "name"
    autoname = "name"

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        aws.client("cognito-idp").create_group(**self._place(inputs), **self._settings(inputs))
        return f"{inputs['userPoolId']}/{inputs['name']}", {}

    def read(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("cognito-idp").get_group, **self._place(state))
        if answer is None:
            return None
        group = answer["Group"]
        return live(state, description=group.get("Description"), precedence=group.get("Precedence"), roleArn=group.get("RoleArn"))

    def update(self, aws: Aws, _resource_id: str, _old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        aws.client("cognito-idp").update_group(**self._place(new), **self._settings(new))
        return {}

    def delete(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("cognito-idp").delete_group(**self._place(state))

    def _place(self, inputs: Inputs) -> dict[str, Any]:
        return {"UserPoolId": inputs["userPoolId"], "GroupName": inputs["name"]}

    def _settings(self, inputs: Inputs) -> dict[str, Any]:
        return given(Description=inputs.get("description"), Precedence=inputs.get("precedence"), RoleArn=inputs.get("roleArn"))


@register
class ResourceServer(ResourceType):
    token = "aws:cognito/resourceServer:ResourceServer"
    arguments = frozenset({"identifier", "name", "userPoolId", "scopes"})
    required = frozenset({"identifier", "userPoolId"})
    replaces = frozenset({"identifier", "userPoolId"})
    nested: ClassVar = {"scopes": {"scopeName": None, "scopeDescription": None}}
    computed = frozenset({"scopeIdentifiers"})
    volatile = computed
    unique = "identifier"
    autoname = "name"

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        aws.client("cognito-idp").create_resource_server(**self._settings(inputs))
        return f"{inputs['userPoolId']}|{inputs['identifier']}", self._outputs(inputs)

    def read(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(
            aws.client("cognito-idp").describe_resource_server, UserPoolId=state["userPoolId"], Identifier=state["identifier"]
        )
        if answer is None:
            return None
        found = answer["ResourceServer"]
        scopes = from_aws(found.get("Scopes") or [])
        mine = state.get("scopes") or []
        same = sorted(mine, key=lambda scope: scope["scopeName"]) == sorted(scopes, key=lambda scope: scope["scopeName"])
        return self._outputs({**state, "scopes": mine if same else scopes}) | {
            "name": found["Name"],
            "scopes": mine if same else scopes,
        }

    def update(self, aws: Aws, _resource_id: str, _old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        aws.client("cognito-idp").update_resource_server(**self._settings(new))
        return self._outputs(new)

    def delete(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("cognito-idp").delete_resource_server(UserPoolId=state["userPoolId"], Identifier=state["identifier"])

    def _settings(self, inputs: Inputs) -> dict[str, Any]:
        return {
            "UserPoolId": inputs["userPoolId"],
            "Identifier": inputs["identifier"],
            "Name": inputs["name"],
            "Scopes": to_aws(inputs.get("scopes") or []),
        }

    def _outputs(self, inputs: Inputs) -> dict[str, Any]:
        return {"scopeIdentifiers": [f"{inputs['identifier']}/{scope['scopeName']}" for scope in inputs.get("scopes") or []]}


@register
class IdentityProvider(ResourceType):
    token = "aws:cognito/identityProvider:IdentityProvider"
    arguments = frozenset({"userPoolId", "providerName", "providerType", "providerDetails", "attributeMapping"})
    required = frozenset({"userPoolId", "providerName", "providerType", "providerDetails"})
    replaces = frozenset({"userPoolId", "providerName", "providerType"})
    nested: ClassVar = {"providerDetails": MAP, "attributeMapping": MAP}
    unique = "providerName"

    def check(self, inputs: Inputs, /) -> list[Failure]:
        # https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_CreateIdentityProvider.html
        required = {
            "OIDC": {"client_id", "client_secret", "oidc_issuer", "authorize_scopes", "attributes_request_method"},
            "SAML": {"MetadataURL"},
        }
        kind, details = inputs["providerType"], inputs["providerDetails"]
        if kind is UNKNOWN or details is UNKNOWN:
            return []
        if kind not in required:
            return [Failure("providerType", "the local cloud knows the types OIDC and SAML")]
        missing = sorted(name for name in required[kind] if not details.get(name))
        return [Failure("providerDetails", f"the type {kind} needs {', '.join(missing)}")] if missing else []

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        aws.client("cognito-idp").create_identity_provider(
            **self._place(inputs), ProviderType=inputs["providerType"], **self._settings(inputs)
        )
        return f"{inputs['userPoolId']}:{inputs['providerName']}", {}

    def read(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("cognito-idp").describe_identity_provider, **self._place(state))
        if answer is None:
            return None
        found = answer["IdentityProvider"]
        return live(state, providerDetails=found.get("ProviderDetails"), attributeMapping=found.get("AttributeMapping"))

    def update(self, aws: Aws, _resource_id: str, _old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        aws.client("cognito-idp").update_identity_provider(**self._place(new), **self._settings(new))
        return {}

    def delete(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("cognito-idp").delete_identity_provider(**self._place(state))

    def _place(self, inputs: Inputs) -> dict[str, Any]:
        return {"UserPoolId": inputs["userPoolId"], "ProviderName": inputs["providerName"]}

    def _settings(self, inputs: Inputs) -> dict[str, Any]:
        return given(ProviderDetails=inputs["providerDetails"], AttributeMapping=inputs.get("attributeMapping"))


ACTION: Shape = {"eventAction": None, "notify": None}


@register
class RiskConfiguration(ResourceType):
    token = "aws:cognito/riskConfiguration:RiskConfiguration"
    arguments = frozenset({"userPoolId", "accountTakeoverRiskConfiguration", "compromisedCredentialsRiskConfiguration"})
    required = frozenset({"userPoolId"})
    replaces = frozenset({"userPoolId"})
    nested: ClassVar = {
        "accountTakeoverRiskConfiguration": {
            "actions": {"lowAction": ACTION, "mediumAction": ACTION, "highAction": ACTION},
            "notifyConfiguration": {"from": None, "sourceArn": None},
        },
        "compromisedCredentialsRiskConfiguration": {"eventFilters": None, "actions": {"eventAction": None}},
    }
    unique = "userPoolId"

    def check(self, inputs: Inputs, /) -> list[Failure]:
        # https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AccountTakeoverActionType.html
        takeover = one(inputs.get("accountTakeoverRiskConfiguration"))
        actions = one((takeover if isinstance(takeover, dict) else {}).get("actions")) or {}
        notifying = [name for name, action in actions.items() if isinstance(one(action), dict) and one(action).get("notify")]
        if notifying and not takeover.get("notifyConfiguration"):
            reason = f"{', '.join(sorted(notifying))} notify, which needs a notifyConfiguration"
            return [Failure("accountTakeoverRiskConfiguration", reason)]
        return []

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        self._put(aws, inputs)
        return inputs["userPoolId"], {}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("cognito-idp").describe_risk_configuration, UserPoolId=resource_id)
        found = (answer or {}).get("RiskConfiguration") or {}
        plain = {name: from_aws(found.get(pascal(name)), self.RENAMES) for name in self.nested}
        return live(state, **plain) if any(plain.values()) else None

    def update(self, aws: Aws, _resource_id: str, _old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        self._put(aws, new)
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        # There is no call that deletes it: one that says nothing takes it away.
        with ignoring_gone():
            aws.client("cognito-idp").set_risk_configuration(UserPoolId=resource_id)

    RENAMES: ClassVar = {"eventFilters": "EventFilter"}

    def _put(self, aws: Aws, inputs: Inputs) -> None:
        parts = {pascal(name): to_aws(one(inputs.get(name)), self.RENAMES) for name in self.nested}
        aws.client("cognito-idp").set_risk_configuration(UserPoolId=inputs["userPoolId"], **given(**parts))


@register
class LogDeliveryConfiguration(ResourceType):
    token = "aws:cognito/logDeliveryConfiguration:LogDeliveryConfiguration"
    arguments = frozenset({"userPoolId", "logConfigurations"})
    required = arguments
    replaces = frozenset({"userPoolId"})
    nested: ClassVar = {
        "logConfigurations": {"eventSource": None, "logLevel": None, "cloudWatchLogsConfiguration": {"logGroupArn": None}}
    }
    unique = "userPoolId"

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        self._put(aws, inputs["userPoolId"], inputs["logConfigurations"])
        return inputs["userPoolId"], {}

    def read(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("cognito-idp").get_log_delivery_configuration, UserPoolId=resource_id)
        found = (answer or {}).get("LogDeliveryConfiguration", {}).get("LogConfigurations")
        return {"logConfigurations": from_aws(found)} if found else None

    def update(self, aws: Aws, resource_id: str, _old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        self._put(aws, resource_id, new["logConfigurations"])
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            self._put(aws, resource_id, [])

    def _put(self, aws: Aws, pool_id: str, configurations: list[dict[str, Any]]) -> None:
        aws.client("cognito-idp").set_log_delivery_configuration(UserPoolId=pool_id, LogConfigurations=to_aws(configurations))
