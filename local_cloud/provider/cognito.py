"""Cognito: user pool, its domain, app client and groups."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

from typing import Any, ClassVar

from local_cloud.provider.framework import (
    Aws,
    Failure,
    Inputs,
    ResourceType,
    changed,
    ignoring_gone,
    none_if_gone,
    register,
    undoing,
)
from local_cloud.provider.names import given, live, one, same_set, to_aws

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
    }
    computed = frozenset({"arn", "endpoint", "creationDate", "lastModifiedDate", "domain", "estimatedNumberOfUsers"})
    volatile = frozenset({"lastModifiedDate"})
    autoname = "name"

    def check(self, inputs: Inputs, /) -> list[Failure]:
        mfa = inputs.get("mfaConfiguration")
        if mfa in {"ON", "OPTIONAL"} and not inputs.get("softwareTokenMfaConfiguration"):
            reason = f"mfaConfiguration {mfa} needs a factor: give softwareTokenMfaConfiguration"
            return [Failure("mfaConfiguration", reason)]
        return []

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
    arguments = frozenset({"domain", "userPoolId"})
    required = arguments
    replaces = arguments
    computed = frozenset({"cloudfrontDistribution", "cloudfrontDistributionArn", "cloudfrontDistributionZoneId"})
    unique = "domain"

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        client, domain = aws.client("cognito-idp"), inputs["domain"]
        client.create_user_pool_domain(Domain=domain, UserPoolId=inputs["userPoolId"])
        with undoing(lambda: client.delete_user_pool_domain(Domain=domain, UserPoolId=inputs["userPoolId"])):
            return domain, self._outputs(client.describe_user_pool_domain(Domain=domain)["DomainDescription"])

    def read(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> dict[str, Any] | None:
        # Cognito describes a domain that does not exist by an empty description.
        found = aws.client("cognito-idp").describe_user_pool_domain(Domain=resource_id)["DomainDescription"]
        return self._outputs(found) | {"userPoolId": found["UserPoolId"]} if found.get("UserPoolId") else None

    def delete(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("cognito-idp").delete_user_pool_domain(Domain=resource_id, UserPoolId=state["userPoolId"])

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
