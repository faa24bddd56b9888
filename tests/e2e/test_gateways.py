"""The acceptance table against the AWS edge, nginx and Apache, each of them in front of the service of the local environment."""

from __future__ import annotations

import contextlib
import json
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from gateways.model import Gateway, Options, from_stack
from gateways.passwords import GENERATED_COST, change
from lambda_authorizer.access_policy import ADMIN
from local_cloud import deploy, tls
from tests.e2e.conftest import PROJECT, Local, clean_environment, free_port
from tests.gateways import callers as made_callers
from tests.gateways import runners
from tests.gateways.acceptance import AWS, BEHIND_A_PASSWORD, CASES, GATEWAYS, HERE, NARROW, NARROW_RATE, PASSWORD, Case
from tests.gateways.callers import Callers
from tests.gateways.direct_service import running_service, variables
from tests.gateways.judge import Place, ask, faults, form, others_are_answered

pytestmark = pytest.mark.e2e

GROUPS = tuple(dict.fromkeys(case.group for case in CASES if case.times == 1))
SIDE_BY_SIDE = 6


@pytest.fixture(scope="module")
def callers(local: Local, token_of: Callable[[str], str]) -> Callers:
    with local.client(token_of(ADMIN)) as administrator:
        return made_callers.make(token_of, administrator)


@pytest.fixture(scope="module")
def service(local: Local, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a service that decides itself who calls."""
    directory, port = tmp_path_factory.mktemp("service"), free_port()
    files = tls.ensure(local.state / "tls")
    certificate = {"HEARTMAP_TLS_CERTIFICATE": str(files.certificate), "HEARTMAP_TLS_KEY": str(files.key)}
    with running_service(variables(local.state, directory, port) | certificate, directory / "service.log"):
        yield port


class Lab:
    """Runs gateways in front of the service, each kind with each setting once."""

    def __init__(self, local: Local, service: int, directory: Path, stack: contextlib.ExitStack) -> None:
        self._local, self._service, self._directory, self._stack = local, service, directory, stack
        self._running: dict[tuple[str, str], Place] = {}

    def place(self, kind: str, setting: str) -> Place:
        """``setting`` is open, narrow or password."""
        if (kind, setting) not in self._running:
            self._running[kind, setting] = self._start(kind, setting)
        return self._running[kind, setting]

    def _start(self, kind: str, setting: str) -> Place:
        trusted = ssl.create_default_context(cafile=self._local.environment["ca_bundle"])
        directory = self._directory / f"{kind}-{setting}"
        directory.mkdir(exist_ok=True)
        if kind != AWS:
            running = self._stack.enter_context(runners.run(kind, self._gateway(setting, directory), directory))
            return Place(kind, running.port, trusted)
        if setting == "open":
            return Place(kind, int(self._local.environment["api"].rpartition(":")[2]), trusted)
        return Place(kind, self._stack.enter_context(_narrow_edge(self._local, directory)), trusted)

    def _gateway(self, setting: str, directory: Path) -> Gateway:
        files = tls.ensure(self._local.state / "tls")
        outputs = json.loads((self._local.state / "outputs.json").read_text())
        passwords = directory / "passwords"
        change(passwords, "lab", PASSWORD.decode(), cost=GENERATED_COST)
        options = Options(
            server_name=tls.DNS_NAME,
            upstream=f"https://127.0.0.1:{self._service}",
            upstream_ca=str(files.ca),
            upstream_host=tls.DNS_NAME,
            certificate=str(files.certificate),
            key=str(files.key),
            environment="local",
            listen=(f"127.0.0.1:{free_port()}",),
            allow=(f"{HERE}/32",) if setting == "narrow" else (),
            client_rate=NARROW_RATE if setting == "narrow" else None,
            basic_auth=setting == "password",
            password_file=str(passwords),
            log_directory=str(directory),
        )
        # As Pulumi.local.yaml has it: one machine, one address.
        return from_stack(outputs | {"requests_per_minute": 6000, "sensitive_requests_per_minute": 6000}, options)


@contextlib.contextmanager
def _narrow_edge(local: Local, directory: Path) -> Iterator[int]:
    """The port of one more edge, which read the deployed stack while its web ACL was narrow."""
    endpoint, port = local.environment["aws_endpoint"], free_port()
    shutil.copytree(local.state / "tls", directory / "tls")
    shutil.copyfile(local.state / "outputs.json", directory / "outputs.json")
    (directory / "log").mkdir()
    command = [sys.executable, "-m", "local_cloud.edge", "--state", str(directory), "--port", str(port)]
    environment = clean_environment() | deploy.emulated_aws(endpoint)
    with _narrow_web_acl(endpoint), (directory / "edge.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait(port, directory / "tls" / "ca.pem", process)
        except BaseException:
            process.kill()
            raise
    try:
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _wait(port: int, ca: Path, process: subprocess.Popen[bytes]) -> None:
    """Until the edge answers: it listens from the first, and has read the stack by then."""
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            httpx.get(f"https://localhost:{port}/", verify=ssl.create_default_context(cafile=ca), timeout=60)
            return
        time.sleep(0.1)
    raise AssertionError("The second edge does not answer.")


@contextlib.contextmanager
def _narrow_web_acl(endpoint: str) -> Iterator[None]:
    """The stack's web ACL with ranges and a low rate, in the form in which infra.waf_rules makes them, and then as it was."""
    waf: Any = boto3.client("wafv2", endpoint_url=endpoint, **_CREDENTIALS)
    (summary,) = (acl for acl in waf.list_web_acls(Scope="REGIONAL")["WebACLs"] if acl["Name"] == "heartmap-local")
    found = {"Name": summary["Name"], "Scope": "REGIONAL", "Id": summary["Id"]}
    admitted = waf.create_ip_set(Name="admitted", Scope="REGIONAL", IPAddressVersion="IPV4", Addresses=[f"{HERE}/32"])["Summary"]
    acl = waf.get_web_acl(**found)["WebACL"]
    kept = {
        name: acl[name] for name in ("DefaultAction", "Rules", "VisibilityConfig", "CustomResponseBodies", "AssociationConfig")
    }
    ranges = {
        "Name": "block-unless-allowed",
        "Priority": 100,
        "Action": {"Block": {}},
        "Statement": {"NotStatement": {"Statement": {"IPSetReferenceStatement": {"ARN": admitted["ARN"]}}}},
        "VisibilityConfig": acl["VisibilityConfig"],
    }
    rules = json.loads(json.dumps(acl["Rules"], default=lambda value: value.decode("latin-1")))
    for rule in rules:
        rule["Priority"] += 101
        if rule["Name"] == "rate":
            rule["Statement"]["RateBasedStatement"]["Limit"] = NARROW_RATE
    try:
        waf.update_web_acl(**found, **kept | {"Rules": [ranges, *rules]}, LockToken=waf.get_web_acl(**found)["LockToken"])
        yield
    finally:
        waf.update_web_acl(**found, **kept, LockToken=waf.get_web_acl(**found)["LockToken"])
        waf.delete_ip_set(Name="admitted", Scope="REGIONAL", Id=admitted["Id"], LockToken=admitted["LockToken"])


_CREDENTIALS: dict[str, Any] = {
    "region_name": deploy.REGION,
    "aws_access_key_id": "local",
    "aws_secret_access_key": "local",
}


@pytest.fixture(scope="module")
def lab(local: Local, service: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with contextlib.ExitStack() as stack:
        yield Lab(local, service, tmp_path_factory.mktemp("gateways"), stack)


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("kind", GATEWAYS)
def test_what_is_answered_to_what(lab: Lab, callers: Callers, kind: str, group: str) -> None:
    place = lab.place(kind, "open")
    cases = [case for case in CASES if case.group == group and case.times == 1]
    judge = _and_others if group == "smuggling" else faults
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        found = [fault for of_case in pool.map(lambda case: judge(case, place, callers), cases) for fault in of_case]
    assert not found, "\n".join(found)


def _and_others(case: Case, place: Place, callers: Callers) -> list[str]:
    """Whatever a case leaves behind on the way to the service meets others, who call meanwhile and afterwards."""
    found = faults(case, place, callers)
    return found + [f"{case.name}: {fault}" for fault in others_are_answered(place, callers)]


@pytest.mark.parametrize("kind", GATEWAYS)
def test_more_than_a_rows_rate_is_refused(lab: Lab, callers: Callers, kind: str) -> None:
    place = lab.place(kind, "open")
    found = [fault for case in CASES if case.group == "rate" for fault in _at_once(case, place, callers)]
    assert not found, "\n".join(found)


def _at_once(case: Case, place: Place, callers: Callers) -> list[str]:
    if case.times == 1:
        return faults(case, place, callers)
    sent = callers.fill_in(case.request, place.host, signed=False)
    with ThreadPoolExecutor(16) as pool:
        every = [
            answer for answers in pool.map(lambda _: ask(place, sent, is_throttled=True), range(case.times)) for answer in answers
        ]
    statuses, expected = {answer.status for answer in every}, case.expects(place.name).statuses
    found = [fault for answer in every for fault in form(answer, place.name)]
    if not {expected[-1]} <= statuses <= set(expected):
        found.append(f"it answers {sorted(statuses)}, not {expected}")
    return [f"{case.group}: {case.name}: {fault}" for fault in found]


@pytest.mark.parametrize("kind", GATEWAYS)
def test_an_address_is_admitted_or_not_and_not_too_often(lab: Lab, callers: Callers, kind: str) -> None:
    place = lab.place(kind, "narrow")
    found = [fault for case in NARROW for fault in _at_once(case, place, callers)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("kind", [kind for kind in GATEWAYS if kind != AWS])
def test_a_password_in_front_and_the_credential_behind(lab: Lab, callers: Callers, kind: str) -> None:
    place = lab.place(kind, "password")
    found = [fault for case in BEHIND_A_PASSWORD for fault in faults(case, place, callers)]
    assert not found, "\n".join(found)
