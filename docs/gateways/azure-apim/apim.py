"""The API, its operations, policies, product, backend and named values, in an API Management instance that is there already.

The policies say why they are as they are. Here is only what they need around them.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
from pulumi import Output, ResourceOptions
from pulumi_azure_native import apimanagement as apim

HERE = Path(__file__).parent
NAME = "heartmap"
FRAGMENTS = ("heartmap-problem", "heartmap-decide", "heartmap-assert")
HEADER, PARAMETER = "Ocp-Apim-Subscription-Key", "subscription-key"

# Protocols that nobody should speak any more, on either side of the gateway.
# https://learn.microsoft.com/rest/api/apimanagement/api-management-service/create-or-update
_SECURITY = "Microsoft.WindowsAzure.ApiManagement.Gateway.Security"
OLD_PROTOCOLS = tuple(f"{_SECURITY}.{side}Protocols.{name}" for side in ("", "Backend.") for name in ("Ssl30", "Tls10", "Tls11"))
TIERS = ("Developer", "Basic", "Standard", "Premium")
SECRET = re.compile(r"https://[a-z0-9-]+\.vault\.[a-z.]+/secrets/[A-Za-z0-9-]{1,127}")
LOCKED_OUT = re.compile(r"[A-Za-z0-9-]{1,64}(,[A-Za-z0-9-]{1,64})*")
API_PATH = re.compile(r"([A-Za-z0-9-]+(/[A-Za-z0-9-]+)*)?")


def main() -> None:
    """Declare everything. Raises pulumi.RunError, with what to set, for a configuration that is wrong."""
    config = pulumi.Config()
    group, service = config.require("resourceGroup"), config.require("service")
    secret = _matching(
        SECRET, config.require("assertionKeySecret"), "assertionKeySecret", "https://VAULT.vault.azure.net/secrets/NAME"
    )
    locked_out = _matching(LOCKED_OUT, config.get("lockedOut") or "none", "lockedOut", "SUBJECT,SUBJECT")
    api_path = _matching(API_PATH, config.get("apiPath") or "", "apiPath", "heartmap")
    gateway = json.loads((HERE / "gateway.json").read_text("utf-8"))
    instance = apim.get_api_management_service(resource_group_name=group, service_name=service)
    if wrong := unsafe(instance.sku.name, instance.custom_properties or {}, identified=instance.identity is not None):
        raise pulumi.RunError(f"{service}: {wrong}")
    _Api(group, service, instance.id, gateway).make(secret=secret, locked_out=locked_out, api_path=api_path)
    pulumi.export("api", f"{instance.gateway_url}/{api_path}".rstrip("/"))


def unsafe(tier: str, properties: Mapping[str, str], *, identified: bool) -> str | None:
    """Why this instance must not carry the API, and what to do; None if it may."""
    if tier not in TIERS:
        return f"the tier {tier} lacks rate-limit-by-key or quota-by-key: use one of {', '.join(TIERS)}"
    if old := [name for name in OLD_PROTOCOLS if properties.get(name, "False").lower() != "false"]:
        return f"it speaks outdated TLS: set the custom properties {', '.join(old)} to False"
    if not identified:
        return "it has no managed identity, by which it would read the secret: az apim update --enable-managed-identity true"
    return None


class _Api:
    def __init__(self, group: str, service: str, service_id: str, gateway: Mapping[str, Any]) -> None:
        self._at: dict[str, Any] = {"resource_group_name": group, "service_name": service}
        self._service_id = service_id
        self._gateway = gateway

    def make(self, *, secret: str, locked_out: str, api_path: str) -> None:
        key = apim.NamedValue(
            "assertion-key",
            named_value_id="heartmap-assertion-key",
            display_name="heartmap-assertion-key",
            secret=True,
            key_vault=apim.KeyVaultContractCreatePropertiesArgs(secret_identifier=secret),
            **self._at,
        )
        locked = apim.NamedValue(
            "locked-out",
            named_value_id="heartmap-locked-out",
            display_name="heartmap-locked-out",
            secret=False,
            value=locked_out,
            **self._at,
        )
        backend = apim.Backend(
            "service",
            backend_id="heartmap-service",
            url=self._gateway["service_url"],
            protocol=apim.BackendProtocol.HTTP,
            tls=apim.BackendTlsPropertiesArgs(validate_certificate_chain=True, validate_certificate_name=True),
            **self._at,
        )
        fragments = [self._fragment(name, ResourceOptions(depends_on=[key, locked])) for name in FRAGMENTS]
        api = self._api(api_path)
        # A policy is refused that names what is not there.
        there = ResourceOptions(depends_on=[backend, locked, *fragments])
        policy = apim.ApiPolicy("api", value=_policy("api"), api_id=api.name, **_POLICY, **self._at, opts=there)
        # No operation before the policy that asks who calls.
        for each in self._gateway["operations"]:
            self._operation(each, api.name, ResourceOptions(depends_on=[policy, *fragments]))
        self._product(api.name, ResourceOptions(depends_on=[policy]))
        self._log(api.name)

    def _fragment(self, name: str, opts: ResourceOptions) -> apim.PolicyFragment:
        value = _policy(f"fragments/{name}")
        return apim.PolicyFragment(name, id=name, value=value, format=apim.PolicyFragmentContentFormat.XML, **self._at, opts=opts)

    def _api(self, path: str) -> apim.Api:
        return apim.Api(
            NAME,
            api_id=NAME,
            display_name="HeartMAP",
            path=path,
            protocols=[apim.Protocol.HTTPS],
            service_url=self._gateway["service_url"],
            # A key of API Management's own beside the token, where the lab wants a second lock: never instead of it.
            subscription_required=self._gateway["subscription_required"],
            subscription_key_parameter_names=apim.SubscriptionKeyParameterNamesContractArgs(header=HEADER, query=PARAMETER),
            **self._at,
        )

    def _operation(self, each: Mapping[str, Any], api: Output[str], opts: ResourceOptions) -> None:
        name = each["name"]
        operation = apim.ApiOperation(
            name,
            api_id=api,
            operation_id=name,
            display_name=f"{each['method']} {each['template']}",
            method=each["method"],
            url_template=each["template"],
            template_parameters=[
                apim.ParameterContractArgs(name=parameter, type="string", required=True) for parameter in each["parameters"]
            ],
            **self._at,
            opts=opts,
        )
        apim.ApiOperationPolicy(
            name, api_id=api, operation_id=operation.name, value=_policy(f"operations/{name}"), **_POLICY, **self._at, opts=opts
        )

    def _product(self, api: Output[str], opts: ResourceOptions) -> None:
        required = self._gateway["subscription_required"]
        product = apim.Product(
            NAME,
            product_id=NAME,
            display_name="HeartMAP",
            description="Analyses of single-cell data of the heart. Every call needs a sign-in.",
            state=apim.ProductState.NOT_PUBLISHED,
            subscription_required=required,
            approval_required=True if required else None,
            **self._at,
        )
        apim.ProductApi(NAME, api_id=api, product_id=product.name, **self._at, opts=opts)

    def _log(self, api: Output[str]) -> None:
        """Every call, as JSON in the log GatewayLogs. No header but the call's id, no body: they hold tokens and data."""
        nothing = apim.HttpMessageDiagnosticArgs(headers=["X-Request-Id"], body=apim.BodyDiagnosticSettingsArgs(bytes=0))
        both = apim.PipelineDiagnosticSettingsArgs(request=nothing, response=nothing)
        apim.ApiDiagnostic(
            "log",
            api_id=api,
            diagnostic_id="azuremonitor",
            logger_id=f"{self._service_id}/loggers/azuremonitor",
            always_log=apim.AlwaysLog.ALL_ERRORS,
            sampling=apim.SamplingSettingsArgs(sampling_type=apim.SamplingType.FIXED, percentage=100),
            log_client_ip=True,
            verbosity=apim.Verbosity.INFORMATION,
            frontend=both,
            backend=both,
            **self._at,
        )


_POLICY: dict[str, Any] = {"policy_id": "policy", "format": apim.PolicyContentFormat.XML}


def _policy(name: str) -> str:
    return (HERE / "policies" / f"{name}.xml").read_text("utf-8")


def _matching(pattern: re.Pattern[str], text: str, key: str, example: str) -> str:
    if not pattern.fullmatch(text):
        raise pulumi.RunError(f"{key} has not the form that it must have: pulumi config set {key} {example}")
    return text
