"""What moto lacks of Cognito, or does otherwise than Cognito does. Applied with the other fixes, see `moto_fixes`."""

from collections.abc import Callable
from typing import Any

from moto.cognitoidp import models
from moto.cognitoidp.exceptions import ResourceNotFoundError
from moto.cognitoidp.responses import CognitoIdpResponse
from moto.core.responses import ActionResult, EmptyResult

from local_cloud import moto_fixes_factors, moto_mails
from local_cloud.moto_patching import add, replace


def keep_risk_configurations() -> None:
    """Cognito: SetRiskConfiguration and DescribeRiskConfiguration, for the whole pool. moto lacks both.

    https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_SetRiskConfiguration.html
    """
    parts = ("AccountTakeoverRiskConfiguration", "CompromisedCredentialsRiskConfiguration", "RiskExceptionConfiguration")

    def answer(self: Any) -> ActionResult:
        pool_id = self._get_param("UserPoolId")
        kept = getattr(self.backend.describe_user_pool(pool_id), "risk_configuration", {})
        return ActionResult({"RiskConfiguration": {"UserPoolId": pool_id, **kept}})

    def set_risk_configuration(self: Any) -> ActionResult:
        pool = self.backend.describe_user_pool(self._get_param("UserPoolId"))
        pool.risk_configuration = {part: self._get_param(part) for part in parts if self._get_param(part)}
        return answer(self)

    add(CognitoIdpResponse, "set_risk_configuration", set_risk_configuration)
    add(CognitoIdpResponse, "describe_risk_configuration", answer)


def keep_log_deliveries() -> None:
    """Cognito: SetLogDeliveryConfiguration and GetLogDeliveryConfiguration. moto lacks both, and delivers nothing."""

    def answer(self: Any) -> ActionResult:
        pool_id = self._get_param("UserPoolId")
        kept = getattr(self.backend.describe_user_pool(pool_id), "log_configurations", [])
        return ActionResult({"LogDeliveryConfiguration": {"UserPoolId": pool_id, "LogConfigurations": kept}})

    def set_log_delivery_configuration(self: Any) -> ActionResult:
        pool = self.backend.describe_user_pool(self._get_param("UserPoolId"))
        pool.log_configurations = self._get_param("LogConfigurations")
        return answer(self)

    add(CognitoIdpResponse, "set_log_delivery_configuration", set_log_delivery_configuration)
    add(CognitoIdpResponse, "get_log_delivery_configuration", answer)


def change_resource_servers() -> None:
    """Cognito: UpdateResourceServer replaces name and scopes, DeleteResourceServer deletes. moto lacks both."""

    def update_resource_server(self: Any) -> ActionResult:
        server = self.backend.describe_resource_server(self._get_param("UserPoolId"), self._get_param("Identifier"))
        server.name, server.scopes = self._get_param("Name"), self._get_param("Scopes") or []
        return ActionResult({"ResourceServer": server.to_json()})

    def delete_resource_server(self: Any) -> EmptyResult:
        servers = self.backend.describe_user_pool(self._get_param("UserPoolId")).resource_servers
        if servers.pop(self._get_param("Identifier"), None) is None:
            raise ResourceNotFoundError(f"Resource server {self._get_param('Identifier')} does not exist.")
        return EmptyResult()

    add(CognitoIdpResponse, "update_resource_server", update_resource_server)
    add(CognitoIdpResponse, "delete_resource_server", delete_resource_server)


def describe_domains() -> None:
    """Cognito: DescribeUserPoolDomain tells the certificate and the version of the pages, and that there is none. moto forgets.

    https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_DomainDescriptionType.html
    """

    def keep(original: Any) -> Any:
        def keeping(self: Any) -> Any:
            result = original(self)
            domain = self.backend.describe_user_pool_domain(self._get_param("Domain"))
            domain.managed_login_version = self._get_param("ManagedLoginVersion") or 1
            return result

        return keeping

    def echo(original: Any) -> Any:
        def to_json(self: Any, extended: bool = True) -> dict[str, Any]:
            found = original(self, extended)
            if extended:
                found["ManagedLoginVersion"] = getattr(self, "managed_login_version", 1)
                found |= {"CustomDomainConfig": self.custom_domain_config} if self.custom_domain_config else {}
            return found

        return to_json

    replace(CognitoIdpResponse, "create_user_pool_domain", keep)
    replace(CognitoIdpResponse, "update_user_pool_domain", keep)
    replace(models.CognitoIdpUserPoolDomain, "to_json", echo)


def update_whole_clients() -> None:
    """Cognito: UpdateUserPoolClient sets what it does not name back to its default. moto keeps it.

    https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UpdateUserPoolClient.html
    """

    def make(original: Any) -> Any:
        def update_user_pool_client(self: Any, user_pool_id: str, client_id: str, extended_config: dict[str, Any]) -> Any:
            client = original(self, user_pool_id, client_id, extended_config)
            fresh: Any = models.CognitoIdpUserPoolClient(user_pool_id, client.generate_secret, extended_config)
            kept = {name: client.extended_config[name] for name in ("ClientName",) if name in client.extended_config}
            client.extended_config = kept | fresh.extended_config
            return client

        return update_user_pool_client

    replace(models.CognitoIdpBackend, "update_user_pool_client", make)


def forget_second_factors() -> None:
    """Cognito: AdminDeleteSoftwareToken has somebody register a new second factor. moto lacks it.

    https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminDeleteSoftwareToken.html
    """

    def admin_delete_software_token(self: Any) -> str:
        user = self.backend.admin_get_user(self._get_param("UserPoolId"), self._get_param("Username"))
        user.software_token_mfa_enabled = user.token_verified = False
        user.preferred_mfa_setting = user.totp_secret = None
        return "{}"

    add(CognitoIdpResponse, "admin_delete_software_token", admin_delete_software_token)


def know_people_in_any_case() -> None:
    """Cognito: where a pool says so, a username is the same in any case. moto's always differ.

    https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-case-sensitivity.html
    """

    def make(original: Any) -> Any:
        def _get_user(self: Any, username: str) -> Any:  # the name is moto's
            found = original(self, username)
            if found is None and self.extended_config.get("UsernameConfiguration", {}).get("CaseSensitive") is False:
                return next((user for name, user in self.users.items() if name.lower() == username.lower()), None)
            return found

        return _get_user

    replace(models.CognitoIdpUserPool, "_get_user", make)


FIXES: tuple[Callable[[], None], ...] = (
    keep_risk_configurations,
    keep_log_deliveries,
    change_resource_servers,
    describe_domains,
    update_whole_clients,
    forget_second_factors,
    know_people_in_any_case,
    *moto_fixes_factors.FIXES,
    *moto_mails.FIXES,
)
