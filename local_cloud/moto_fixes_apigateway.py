"""What moto does otherwise than API Gateway with certificates, models, usage plans and addresses. Applied with the other fixes,
see `moto_fixes`, where what it does otherwise with APIs and their methods stands."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from moto.apigateway import models, urls
from moto.apigateway.exceptions import BadRequestException, ConflictException, NotFoundException
from moto.apigateway.responses import APIGatewayResponse

from local_cloud.moto_patching import add, replace

CERTIFICATE_DAYS = 365


class _CertificateNotFound(NotFoundException):
    def __init__(self) -> None:
        super().__init__("Invalid client certificate identifier specified")


class ClientCertificate:
    """A certificate that API Gateway shows to its backends. It keeps the key to itself, and so does nobody here."""

    def __init__(self, description: str | None, tags: dict[str, str] | None) -> None:
        self.id = uuid4().hex[:6]
        self.description, self.tags = description, tags or {}
        self.created = datetime.now(UTC)
        self.expires = self.created + timedelta(days=CERTIFICATE_DAYS)
        self.pem = self._certificate()

    def _certificate(self) -> str:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ApiGateway")])
        builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), self.created, self.expires)
        return builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()

    def to_json(self) -> dict[str, Any]:
        return {
            "clientCertificateId": self.id,
            "description": self.description,
            "pemEncodedCertificate": self.pem,
            "createdDate": int(self.created.timestamp()),
            "expirationDate": int(self.expires.timestamp()),
            "tags": self.tags,
        }


def certificates(backend: Any) -> dict[str, ClientCertificate]:
    """The certificates of an account and region, by their id."""
    # Of the backend itself, so that a reset forgets them with everything else.
    return vars(backend).setdefault("client_certificates", {})


def _find(response: Any) -> ClientCertificate:
    found = certificates(response.backend).get(response.path.split("/")[2])
    if found is None:
        raise _CertificateNotFound
    return found


def _generate_client_certificate(self: Any) -> tuple[int, dict[str, Any], str]:
    made = ClientCertificate(self._get_param("description"), self._get_param("tags"))
    certificates(self.backend)[made.id] = made
    return 201, {"status": 201}, json.dumps(made.to_json())


def _get_client_certificate(self: Any) -> str:
    return json.dumps(_find(self).to_json())


def _get_client_certificates(self: Any) -> str:
    return json.dumps({"item": [certificate.to_json() for certificate in certificates(self.backend).values()]})


def _update_client_certificate(self: Any) -> str:
    found = _find(self)
    for operation in self._get_param("patchOperations"):
        if (operation["op"], operation["path"]) != ("replace", "/description"):
            raise BadRequestException("Invalid patch path")
        found.description = operation.get("value")
    return json.dumps(found.to_json())


def _delete_client_certificate(self: Any) -> tuple[int, dict[str, Any], str]:
    del certificates(self.backend)[_find(self).id]
    return 202, {"status": 202}, "{}"


def make_client_certificates() -> None:
    """API Gateway: client certificates can be generated, read, described and deleted. moto knows none.

    https://docs.aws.amazon.com/apigateway/latest/api/API_GenerateClientCertificate.html
    """
    for call in (
        _generate_client_certificate,
        _get_client_certificate,
        _get_client_certificates,
        _update_client_certificate,
        _delete_client_certificate,
    ):
        add(APIGatewayResponse, call.__name__.removeprefix("_"), call)
    for path in ("{0}/clientcertificates$", "{0}/clientcertificates/(?P<certificate_id>[^/]+)/?$"):
        urls.url_paths[path] = APIGatewayResponse.dispatch


CERTIFICATE_PATH = "/clientCertificateId"


def refuse_unknown_client_certificates() -> None:
    """API Gateway: a stage is given no client certificate but one that exists. moto knows none."""

    def make(original: Any) -> Any:
        def update_stage(self: Any, api: str, stage: str, operations: list[dict[str, Any]]) -> Any:
            named = {operation.get("value") for operation in operations if operation["path"] == CERTIFICATE_PATH} - {None, ""}
            if not named <= certificates(self).keys():
                raise BadRequestException("Invalid client certificate identifier specified")
            return original(self, api, stage, operations)

        return update_stage

    replace(models.APIGatewayBackend, "update_stage", make)


def keep_client_certificates_of_stages() -> None:
    """API Gateway: a stage keeps its client certificate. moto forgets it."""

    def keep(original: Any) -> Any:
        def apply_operations(self: Any, operations: list[dict[str, Any]]) -> Any:
            for operation in operations:
                if operation["path"] == CERTIFICATE_PATH:
                    self.client_certificate_id = operation.get("value") if operation["op"] == "replace" else None
            return original(self, [operation for operation in operations if operation["path"] != CERTIFICATE_PATH])

        return apply_operations

    def echo(original: Any) -> Any:
        def to_json(self: Any) -> dict[str, Any]:
            named = getattr(self, "client_certificate_id", None)
            return original(self) | ({"clientCertificateId": named} if named else {})

        return to_json

    replace(models.Stage, "apply_operations", keep)
    replace(models.Stage, "to_json", echo)


def _schema(text: str | None) -> str | None:
    try:
        if text and isinstance(json.loads(text), dict):
            return text
    except ValueError:
        pass
    raise BadRequestException("Invalid model specified: Validation Result: warnings : [], errors : [Invalid model schema]")


def check_models() -> None:
    """API Gateway: a model's name is letters and digits and is there once, its schema is a JSON object. moto takes anything."""

    def make(original: Any) -> Any:
        def create_model(self: Any, rest_api_id: str, name: str, content_type: str, description: str, schema: str) -> Any:
            if not re.fullmatch(r"[A-Za-z0-9]+", name or ""):
                raise BadRequestException(f"Model name must be alphanumeric: {name}")
            if name in self.get_rest_api(rest_api_id).models:
                raise ConflictException("Model name already exists for this REST API")
            return original(self, rest_api_id, name, content_type, description, _schema(schema))

        return create_model

    replace(models.APIGatewayBackend, "create_model", make)


def update_models() -> None:
    """API Gateway: UpdateModel changes a model's schema and description. moto has no such call.

    https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html#UpdateModel-Patch
    """

    def update_model(self: Any) -> str:
        _, _, api, _, name, *_ = self.path.split("/")
        model = self.backend.get_model(api, name)
        for operation in self._get_param("patchOperations"):
            match operation["op"], operation["path"]:
                case "replace", "/schema":
                    model.schema = _schema(operation.get("value"))
                case "replace", "/description":
                    model.description = operation.get("value")
                case _:
                    raise BadRequestException("Invalid patch path")
        return json.dumps(model.to_json())

    add(APIGatewayResponse, "update_model", update_model)


def patch_usage_plans() -> None:
    """API Gateway: rates are fractions, stages of a usage plan have throttles for each method, and a plan with stages is not
    deleted. moto rounds the first, knows no patch of the second, and deletes any.

    https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html#UpdateUsagePlan-Patch
    """

    def delete(original: Any) -> Any:
        def delete_usage_plan(self: Any, usage_plan_id: str) -> None:
            if self.get_usage_plan(usage_plan_id).api_stages:
                raise BadRequestException(f"Cannot delete Usage Plan {usage_plan_id} because it has associated stages")
            original(self, usage_plan_id)

        return delete_usage_plan

    replace(models.UsagePlan, "apply_patch_operations", lambda _: _patch_usage_plan)
    replace(models.APIGatewayBackend, "delete_usage_plan", delete)


LIMITS: dict[str, Callable[[str], float]] = {"rateLimit": float, "burstLimit": int}


def _patch_usage_plan(plan: Any, operations: list[dict[str, Any]]) -> None:
    for operation in operations:
        # RFC 6901
        parts = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        match operation["op"], parts:
            case "replace", [("name" | "description") as name]:
                setattr(plan, name, operation.get("value"))
            case (("add" | "replace"), ["throttle", name]) if name in LIMITS:
                plan.throttle[name] = LIMITS[name](operation["value"])
            case "remove", ["throttle"]:
                plan.throttle.clear()
            case "add", ["apiStages"]:
                api, stage = operation["value"].split(":")
                plan.api_stages.append({"apiId": api, "stage": stage})
            case "remove", ["apiStages"]:
                plan.api_stages.remove(_plan_stage(plan, operation["value"]))
            case (("add" | "replace"), ["apiStages", named, "throttle", path, name]) if name in LIMITS:
                throttle = _plan_stage(plan, named).setdefault("throttle", {})
                throttle.setdefault(path, {})[name] = LIMITS[name](operation["value"])
            case _:
                raise BadRequestException("Invalid patch path")


def _plan_stage(plan: Any, named: str) -> dict[str, Any]:
    for stage in plan.api_stages:
        if f"{stage['apiId']}:{stage['stage']}" == named:
            return stage
    raise BadRequestException(f"API Stage not found: {named}")


IP_ADDRESS_TYPE = "/endpointConfiguration/ipAddressType"


def keep_address_types() -> None:
    """API Gateway: which addresses an API is reached at, IPv4 or dualstack, can be updated. moto takes that for an update of the
    type of its endpoint."""

    def make(original: Any) -> Any:
        def apply_patch_operations(self: Any, operations: list[dict[str, Any]]) -> None:
            for operation in operations:
                if operation["path"] == IP_ADDRESS_TYPE:
                    self.endpoint_configuration["ipAddressType"] = operation["value"]
                else:
                    original(self, [operation])

        return apply_patch_operations

    replace(models.RestAPI, "apply_patch_operations", make)


FIXES: tuple[Callable[[], None], ...] = (
    make_client_certificates,
    refuse_unknown_client_certificates,
    keep_client_certificates_of_stages,
    check_models,
    update_models,
    patch_usage_plans,
    keep_address_types,
)
