"""The recipes of docs/access.md, run as they are written: OpenSSH on the loopback, with the bastion's own configuration, and a
program in the place of the AWS command line that checks its parameters and passes bytes."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from infra.bastion import TUNNEL_DOCUMENTS
from operator_cli.tunnel import free_port
from tests.operator_cli.test_tunnel import SshServer, call, is_free, port_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "access.md").read_text(encoding="utf-8")
INSTANCE = "i-0123456789abcdef0"
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def blocks(section: str, kind: str = "sh") -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", SECTIONS[section], re.MULTILINE | re.DOTALL)


class Machine(NamedTuple):
    """An operator's machine: a directory to work in, the port that recipes open here, and what AWS was asked."""

    directory: Path
    port: int
    environment: dict[str, str]
    start: Callable[..., "subprocess.Popen[str]"]

    def asked(self) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for line in (self.directory / "asked").read_text().splitlines():
            merged |= json.loads(line)
        return merged

    def text(self, recipe: str) -> str:
        """The recipe, with the port of this test in the place of 9443."""
        assert "9443" in recipe
        return recipe.replace("9443", str(self.port))

    def answer(self, recipe: "subprocess.Popen[str]", bundle: Path) -> bytes:
        until = time.monotonic() + 60
        while is_free(self.port):
            assert recipe.poll() is None, recipe.communicate()
            assert time.monotonic() < until
            time.sleep(0.05)
        return call(self.port, bundle)


@pytest.fixture
def balancer(server: Any, reply: Any) -> Any:
    server.routes["GET", "/healthz"] = reply(200, {"status": "ok"})
    return server


@pytest.fixture
def machine(tmp_path: Path, balancer: Any) -> Iterator[Machine]:
    program = tmp_path / "bin" / "aws"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT}/tests/operator_cli/fake_aws.py" "$@"\n')
    program.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "FAKE_RECORD": str(tmp_path / "asked"),
        "FAKE_TARGET": f"127.0.0.1:{port_of(balancer)}",
        "FAKE_AUTHORIZED_KEYS": str(tmp_path / "keys"),
        "bastion_group": "heartmap-dev-bastion",
        "session_document": "heartmap-dev-session",
        "internal_host": "localhost",
        "instance": INSTANCE,
    }
    started: list[subprocess.Popen[str]] = []

    def start(recipe: str, **more: str) -> "subprocess.Popen[str]":
        # As the last command of a shell that became it: what ends the shell ends it.
        *before, last = [line for line in recipe.replace("\\\n", " ").splitlines() if line.strip()]
        script = "\n".join(["set -eu", *before, f"exec {last}" if not re.match(r"\w+=", last) else last])
        words = {"cwd": tmp_path, "env": environment | more, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(["bash", "-c", script], stdin=subprocess.DEVNULL, text=True, **words))
        return started[-1]

    yield Machine(tmp_path, free_port(0), environment, start)
    for each in started:
        each.terminate()
        each.communicate(timeout=30)


@pytest.fixture
def ssh_server(machine: Machine, balancer: Any) -> Iterator[SshServer]:
    if not Path("/usr/sbin/sshd").exists() or shutil.which("ssh") is None:
        if os.environ.get("CI"):
            pytest.fail("openssh-server and openssh-client are not installed")
        pytest.skip("openssh-server or openssh-client is not installed")
    with tempfile.TemporaryDirectory(prefix="sshd-") as name:
        # Whoever signs in reads the keys as themselves: not in pytest's own directory, into which only its owner may.
        Path(name).chmod(0o711)
        server = SshServer(Path(name), port_of(balancer))
        yield server
        server.close()


def test_the_port_by_session_manager(machine: Machine, balancer: Any, certificates: Any) -> None:
    finding, forwarding = blocks("By Session Manager")
    found = machine.start(f'{finding}\necho "$instance"', instance="").communicate(timeout=60)[0]
    assert found.strip() == INSTANCE
    assert machine.asked()["DescribeAutoScalingGroups"] == {"AutoScalingGroupNames": ["heartmap-dev-bastion"]}
    recipe = machine.start(machine.text(forwarding))
    assert b'"status": "ok"' in machine.answer(recipe, certificates[0])
    asked = machine.asked()["StartSession"]
    assert asked["DocumentName"] in TUNNEL_DOCUMENTS
    assert asked["Parameters"] == {"host": ["localhost"], "portNumber": ["443"], "localPortNumber": [str(machine.port)]}


def test_the_port_by_ssh(machine: Machine, ssh_server: SshServer, balancer: Any, certificates: Any) -> None:
    (config,), (recipe,) = blocks("By SSH", "sshconfig"), blocks("By SSH")[:1]
    # The server's one user here, and its keys.
    (machine.directory / "bastion.conf").write_text(config.replace("User tunnel", f"User {ssh_server.user}"))
    port, target = f"localhost:{port_of(balancer)}", f"127.0.0.1:{ssh_server.port}"
    text = machine.text(recipe).replace('$internal_host:443"', f'{port}"')
    assert port in text
    keys = {"FAKE_AUTHORIZED_KEYS": str(ssh_server.authorized_keys), "FAKE_TARGET": target}
    running = machine.start(text, **keys)
    assert b'"status": "ok"' in machine.answer(running, certificates[0])
    asked = machine.asked()
    assert (asked["SendSSHPublicKey"]["InstanceId"], asked["SendSSHPublicKey"]["InstanceOSUser"]) == (INSTANCE, "tunnel")
    assert asked["StartSession"] == {
        "Target": INSTANCE,
        "DocumentName": "AWS-StartSSHSession",
        "Parameters": {"portNumber": ["22"]},
    }
    assert asked["StartSession"]["DocumentName"] in TUNNEL_DOCUMENTS
    assert (machine.directory / "bastion.known_hosts").read_text().startswith(INSTANCE)


def test_the_port_over_a_machine_of_ones_own(machine: Machine, ssh_server: SshServer, balancer: Any, certificates: Any) -> None:
    recipe = blocks("By SSH")[1]
    key = machine.directory / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    ssh_server.authorized_keys.write_text(Path(f"{key}.pub").read_text())
    # What a user has in their own configuration: where the machine is, and how they sign in there.
    own = {"HostName": "127.0.0.1", "Port": ssh_server.port, "User": ssh_server.user, "IdentityFile": key}
    own |= {"StrictHostKeyChecking": "accept-new", "UserKnownHostsFile": machine.directory / "known"}
    lines = ["Host jump.example.org", *(f"  {name} {value}" for name, value in own.items())]
    (machine.directory / "own.conf").write_text("\n".join(lines) + "\n")
    text = machine.text(recipe).replace("ssh -N", "ssh -F own.conf -N")
    text = text.replace("heartmap.example.org:443", f"localhost:{port_of(balancer)}")
    assert b'"status": "ok"' in machine.answer(machine.start(text), certificates[0])


def test_a_shell_is_asked_for_with_the_document_that_records(machine: Machine) -> None:
    (recipe,) = blocks("A shell")
    assert machine.start(recipe).wait(60) == 0
    assert machine.asked()["StartSession"] == {"Target": INSTANCE, "DocumentName": "heartmap-dev-session"}


def test_every_command_of_the_page_is_run_somewhere() -> None:
    """A recipe that is added is tested, or this says so."""
    assert {section: len(blocks(section)) for section in SECTIONS if blocks(section)} == {
        "By Session Manager": 2,
        "By SSH": 2,
        "A shell": 1,
    }
