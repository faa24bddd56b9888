"""The Pulumi project of the rendering for Azure API Management, deployed by the real engine into a stand-in for Azure."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pulumi import RunError

from gateways import azure_apim
from gateways.azure_apim.project import apim
from gateways.example import example
from local_cloud import engine
from tests.gateways.apim import azure_provider

SCRIPT = Path(__file__).with_name("apim") / "deploy.py"
FILES = azure_apim.files(example())
CONFIG = {
    "resourceGroup": "lab",
    "service": "lab-apim",
    "assertionKeySecret": "https://lab.vault.azure.net/secrets/heartmap-assertion-key",
    "apiPath": "heartmap",
}
INSTANCE: dict[str, Any] = {
    "id": "/subscriptions/0/resourceGroups/lab/providers/Microsoft.ApiManagement/service/lab-apim",
    "name": "lab-apim",
    "gatewayUrl": "https://lab-apim.azure-api.net",
    "sku": {"name": "Standard", "capacity": 1},
    "identity": {"type": "SystemAssigned", "principalId": "p", "tenantId": "t"},
    "customProperties": dict.fromkeys(apim.OLD_PROTOCOLS, "False"),
}
API = "azure-native:apimanagement:"


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Of a good instance, and of one of a tier without quotas."""
    directory = tmp_path_factory.mktemp("apim")
    project = directory / "project"
    for name, text in FILES.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text, encoding="utf-8")
    instances = [INSTANCE, INSTANCE | {"sku": {"name": "StandardV2", "capacity": 1}}]
    cases = [{"config": CONFIG, "instance": instance} for instance in instances]
    environment = {**os.environ, "PYTHONPATH": str(engine.PROJECT)}
    command = [sys.executable, str(SCRIPT), str(project), str(directory / "state"), json.dumps(cases)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def stack(deployed: list[dict[str, Any]]) -> dict[str, Any]:
    made = deployed[0]
    assert "failed" not in made, made["failed"][-3000:]
    return made


def of(stack: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """Inputs by the name in the program."""
    return {each["urn"].rpartition("::")[2]: each["inputs"] for each in stack["resources"] if each["type"] == f"{API}{kind}"}


def test_the_project_is_one_api_with_an_operation_and_a_policy_a_row(stack: dict[str, Any]) -> None:
    routes = {route.name: route for route in example().routes}
    operations, policies = of(stack, "ApiOperation"), of(stack, "ApiOperationPolicy")
    assert operations.keys() == policies.keys() == routes.keys()
    for name, route in routes.items():
        assert (operations[name]["method"], operations[name]["urlTemplate"]) == (route.method, route.template)
        parameters = [each["name"] for each in operations[name]["templateParameters"]]
        assert parameters == re.findall(r"\{(\w+)\}", route.template)
        assert policies[name]["value"] == FILES[f"policies/operations/{name}.xml"]
    assert of(stack, "ApiPolicy")["api"]["value"] == FILES["policies/api.xml"]
    assert {name: made["value"] for name, made in of(stack, "PolicyFragment").items()} == {
        Path(name).stem: text for name, text in FILES.items() if "/fragments/" in name
    }
    formats = {
        made["format"] for kind in ("ApiPolicy", "ApiOperationPolicy", "PolicyFragment") for made in of(stack, kind).values()
    }
    assert formats == {"xml"}
    assert stack["outputs"] == {"api": "https://lab-apim.azure-api.net/heartmap"}


def test_the_api_is_served_by_https_with_a_key_beside_the_token_where_the_lab_wants_one(stack: dict[str, Any]) -> None:
    api, product = of(stack, "Api")["heartmap"], of(stack, "Product")["heartmap"]
    assert api["protocols"] == ["https"]
    assert api["path"] == "heartmap"
    assert api["subscriptionRequired"] is product["subscriptionRequired"] is example().basic_auth is True
    assert product["approvalRequired"] is True
    assert api["subscriptionKeyParameterNames"] == {
        "header": azure_apim.SUBSCRIPTION_HEADER,
        "query": azure_apim.SUBSCRIPTION_PARAMETER,
    }
    assert of(stack, "ProductApi").keys() == {"heartmap"}


def test_the_service_is_called_by_https_and_its_certificate_verified(stack: dict[str, Any]) -> None:
    backend = of(stack, "Backend")["service"]
    assert backend["url"] == "https://heartmap.example.org:8443"
    assert backend["tls"] == {"validateCertificateChain": True, "validateCertificateName": True}


def test_the_key_is_read_from_the_key_vault_and_stands_nowhere(stack: dict[str, Any]) -> None:
    key = of(stack, "NamedValue")["assertion-key"]
    assert key["keyVault"] == {"secretIdentifier": CONFIG["assertionKeySecret"]}
    assert key["secret"] is True
    assert "value" not in key
    assert of(stack, "NamedValue")["locked-out"]["value"] == "none"


def test_the_log_has_no_header_but_the_id_and_no_body(stack: dict[str, Any]) -> None:
    log = of(stack, "ApiDiagnostic")["log"]
    half = {"headers": ["X-Request-Id"], "body": {"bytes": 0}}
    assert log["frontend"] == log["backend"] == {"request": half, "response": half}
    assert log["loggerId"] == INSTANCE["id"] + "/loggers/azuremonitor"
    assert log["sampling"] == {"percentage": 100, "samplingType": "fixed"}


def test_nothing_is_open_before_the_policy_that_asks_who_calls(stack: dict[str, Any]) -> None:
    made = {each["urn"]: each for each in stack["resources"]}

    def needed(urn: str) -> set[str]:
        direct = set(made[urn].get("dependencies", []))
        return direct.union(*map(needed, direct))

    for urn, each in made.items():
        kinds = {name.split("::")[2].removeprefix(API) for name in needed(urn)}
        if each["type"] in (f"{API}ApiOperation", f"{API}ProductApi"):
            assert {"Api", "ApiPolicy", "PolicyFragment", "NamedValue", "Backend"} <= kinds, urn
        if each["type"] == f"{API}PolicyFragment":
            assert "NamedValue" in kinds


def test_an_unsafe_instance_is_refused_before_anything_is_made(deployed: list[dict[str, Any]]) -> None:
    failed = deployed[1]["failed"]
    assert "lab-apim: the tier StandardV2 lacks rate-limit-by-key or quota-by-key" in failed
    assert "Traceback" not in failed
    assert API not in failed


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (apim.SECRET, CONFIG["assertionKeySecret"], CONFIG["assertionKeySecret"] + "/0123456789abcdef"),
        (apim.SECRET, CONFIG["assertionKeySecret"], "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        (apim.LOCKED_OUT, "a-1,b-2", 'a").Length > 0 || ("'),
        (apim.API_PATH, "lab/heartmap", "/heartmap"),
    ],
)
def test_a_setting_of_another_form_is_refused_with_what_to_type(pattern: re.Pattern[str], good: str, bad: str) -> None:
    assert apim._matching(pattern, good, "key", "EXAMPLE") == good
    with pytest.raises(RunError, match=r"pulumi config set key EXAMPLE") as refused:
        apim._matching(pattern, bad, "key", "EXAMPLE")
    assert bad not in str(refused.value)


def test_an_instance_that_may_carry_the_api() -> None:
    assert apim.unsafe("Developer", {}, identified=True) is None
    assert "managed identity" in (apim.unsafe("Developer", {}, identified=False) or "")
    for name in apim.OLD_PROTOCOLS:
        assert name in (apim.unsafe("Premium", {name: "true"}, identified=True) or "")


def test_the_pins_are_those_that_were_tested() -> None:
    locked = (engine.PROJECT / "requirements.txt").read_text()
    assert all(f"\n{line} \\" in locked for line in FILES["requirements.txt"].split())
    assert f"=={azure_provider.VERSION}" in FILES["requirements.txt"]
