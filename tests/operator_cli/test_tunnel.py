"""`heartmapctl tunnel` as a process of its own: with the emulated AWS, a plugin that passes bytes, and a real SSH server."""

import getpass
import json
import os
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest

from infra.bastion import user_data
from local_cloud.moto_server import running_moto
from operator_cli import bastion, plugin, tunnel
from operator_cli.errors import WrongUse
from operator_cli.main import app

GROUP = "heartmap-dev-bastion"
TOKEN = "the-token-of-the-session"
REGION = "us-east-1"
RUN = "import sys; from operator_cli import main, tunnel; tunnel.HTTPS_PORT = int(sys.argv.pop(1)); main.main()"
SSH_RUN = RUN.replace("; main.main()", "; tunnel.TUNNEL_USER = sys.argv.pop(1); main.main()")


@pytest.fixture(scope="module")
def autoscaling() -> Iterator[Any]:
    """The bastion's group, with its one instance, in the emulated AWS."""
    session = boto3.Session("x", "x", region_name=REGION)
    with running_moto() as url:
        ec2 = session.client("ec2", endpoint_url=url)
        image = ec2.describe_images()["Images"][0]["ImageId"]
        ec2.create_launch_template(LaunchTemplateName="bastion", LaunchTemplateData={"ImageId": image})
        client: Any = session.client("autoscaling", endpoint_url=url)  # pyright: ignore[reportCallIssue, reportArgumentType]
        client.create_auto_scaling_group(
            AutoScalingGroupName=GROUP,
            LaunchTemplate={"LaunchTemplateName": "bastion", "Version": "$Latest"},
            MinSize=0,
            MaxSize=1,
            DesiredCapacity=1,
            AvailabilityZones=["us-east-1a"],
        )
        yield client


class Aws:
    """Session Manager and EC2 Instance Connect, which moto does not have. It keeps what it was asked, by its operation."""

    def __init__(self, server: Any, reply: Any, instance: str) -> None:
        self.asked: dict[str, list[Any]] = {"StartSession": [], "TerminateSession": [], "SendSSHPublicKey": []}
        self.refuse_with: dict[str, str] = {}
        self.authorized_keys: Path | None = None
        self.not_connected = 0
        self._reply, self.instance = reply, instance
        server.routes["POST", "/"] = self._answer

    def _answer(self, request: Any) -> Any:
        operation = request.headers["x-amz-target"].partition(".")[2]
        if operation in self.refuse_with:
            return self._refusal(self.refuse_with[operation])
        if operation == "StartSession" and self.not_connected:
            self.not_connected -= 1
            return self._refusal("TargetNotConnected")
        self.asked[operation].append(request.json)
        if operation == "SendSSHPublicKey" and self.authorized_keys is not None:
            self.authorized_keys.write_text(request.json["SSHPublicKey"] + "\n")
        answers = {
            "StartSession": {"SessionId": "jane-0123", "TokenValue": TOKEN, "StreamUrl": "wss://ssmmessages.example/"},
            "TerminateSession": {"SessionId": "jane-0123"},
            "SendSSHPublicKey": {"RequestId": "r", "Success": True},
        }
        return self._reply(200, answers[operation], {"Content-Type": "application/x-amz-json-1.1", "x-amzn-RequestId": "aws-1"})

    def _refusal(self, code: str) -> Any:
        return self._reply(400, {"__type": code, "message": "/secret/path"}, {"x-amzn-RequestId": "aws-1"})


@pytest.fixture
def aws(autoscaling: Any, bucket: Any, reply: Any, monkeypatch: pytest.MonkeyPatch) -> Aws:
    autoscaling.update_auto_scaling_group(AutoScalingGroupName=GROUP, DesiredCapacity=1)
    (group,) = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])["AutoScalingGroups"]
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL_AUTO_SCALING", autoscaling.meta.endpoint_url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", bucket.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_EC2_INSTANCE_CONNECT", bucket.url)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setattr(bastion, "START_SECONDS", 2)
    monkeypatch.setattr(bastion, "PAUSE_SECONDS", 0.5)
    return Aws(bucket, reply, group["Instances"][0]["InstanceId"])


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of the plugin, first in PATH; what the plugin saw is in `record` beside it."""
    directory = tmp_path / "bin"
    directory.mkdir()
    program = directory / plugin.PROGRAM
    program.write_text(f"#!{sys.executable}\n" + (Path(__file__).parent / "fake_plugin.py").read_text())
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(directory), prepend=os.pathsep)
    monkeypatch.setenv("FAKE_RECORD", str(tmp_path / "record"))
    return directory


@pytest.fixture
def described(tmp_path: Path) -> Path:
    """The dev environment with a bastion, as its stack's outputs describe it."""
    file = tmp_path / "config" / "heartmapctl" / "environments" / "dev.json"
    file.parent.mkdir(parents=True)
    outputs = {
        "api_url": "https://api.example",
        "issuer": "https://issuer.example",
        "client_id": "c",
        "authorize_url": "https://login.example/a",
        "token_url": "https://login.example/t",
        "region": REGION,
        "bastion_group": GROUP,
        "session_document": "heartmap-dev-session",
        "internal_host": "localhost",
    }
    file.write_text(json.dumps(outputs))
    return file


@pytest.fixture
def balancer(server: Any, reply: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The load balancer: TLS, in front of whatever."""
    server.routes["GET", "/healthz"] = reply(200, {"status": "ok"})
    monkeypatch.setenv("FAKE_TARGET", f"127.0.0.1:{port_of(server)}")
    return server


def port_of(server: Any) -> int:
    return int(server.url.rpartition(":")[2])


class Running:
    """The command as a process. Its standard output is read a document at a time."""

    def __init__(self, code: str, *words: str) -> None:
        command = [sys.executable, "-c", code, *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path.cwd())

    def document(self) -> Any:
        assert self.process.stdout is not None
        text = ""
        for line in self.process.stdout:
            text += line
            if line.startswith("}"):
                return json.loads(text)
        raise AssertionError(text + self.finish()[1])

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def finish(self, sent: signal.Signals | None = None) -> tuple[int, str]:
        if sent is not None:
            self.process.send_signal(sent)
        error = self.process.communicate(timeout=60)[1]
        return self.process.returncode, error


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def begin(code: str, *words: str) -> Running:
        started.append(Running(code, *words))
        return started[-1]

    yield begin
    for each in started:
        # In order, so that a test that fails leaves nothing behind.
        each.process.terminate()
        each.process.communicate(timeout=60)


def call(port: int, bundle: Path) -> bytes:
    """A request through the tunnel, whose answerer is checked by the name in its certificate."""
    context = ssl.create_default_context(cafile=bundle)
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        tls.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return b"".join(iter(lambda: tls.recv(4096), b""))


def records(programs: Path) -> list[Any]:
    return [json.loads(line) for line in (programs.parent / "record").read_text().splitlines()]


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_tunnel_forwards_until_it_is_ended_and_leaves_nothing_behind(
    aws: Aws, programs: Path, described: Path, balancer: Any, certificates: Any, start: Any, sent: signal.Signals
) -> None:
    running = start(RUN, "443", "tunnel", "--environment", "dev", "--local-port", "0", "--json")
    told = running.document()
    assert told["url"] == f"https://localhost:{told['port']}"
    assert told["instance"] == aws.instance
    assert b'"status": "ok"' in call(told["port"], certificates[0])
    (asked,) = aws.asked["StartSession"]
    assert asked == {
        "Target": aws.instance,
        "DocumentName": "AWS-StartPortForwardingSessionToRemoteHost",
        "Parameters": {"host": ["localhost"], "portNumber": ["443"], "localPortNumber": [str(told["port"])]},
    }
    left = running.descendants()
    assert left
    assert running.finish(sent) == (0, "")
    assert aws.asked["TerminateSession"] == [{"SessionId": "jane-0123"}]
    assert is_free(told["port"])
    assert not psutil.wait_procs(left, timeout=0)[1]


def test_the_token_of_a_session_is_in_no_process_list(
    aws: Aws, programs: Path, described: Path, balancer: Any, start: Any
) -> None:
    running = start(RUN, "443", "tunnel", "--environment", "dev", "--local-port", "0", "--json")
    running.document()
    lines = [" ".join(process.cmdline()) for process in [psutil.Process(running.process.pid), *running.descendants()]]
    assert len(lines) == 2
    assert not any(TOKEN in line for line in lines)
    running.finish(signal.SIGINT)
    (seen,) = records(programs)
    assert seen["response"]["TokenValue"] == TOKEN
    assert TOKEN not in " ".join(seen["arguments"])


def test_the_request_that_it_prints_works(
    aws: Aws, programs: Path, described: Path, balancer: Any, start: Any, certificates: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a certificate that is trusted, and with one that nobody vouches for."""
    for trusted in (True, False):
        if trusted:
            monkeypatch.setenv("SSL_CERT_FILE", str(certificates[0]))
        else:
            monkeypatch.delenv("SSL_CERT_FILE")
        running = start(RUN, "443", "tunnel", "--environment", "dev", "--local-port", "0", "--json")
        told = running.document()
        assert ("--insecure" in told["curl"]) is not trusted
        answer = subprocess.run(
            shlex.split(told["curl"]), capture_output=True, text=True, env={**os.environ, "CURL_CA_BUNDLE": str(certificates[0])}
        )
        assert json.loads(answer.stdout) == {"status": "ok"}
        running.finish(signal.SIGINT)


def test_people_are_told_where_it_is(aws: Aws, programs: Path, described: Path, balancer: Any, start: Any) -> None:
    running = start(RUN, "443", "tunnel", "--environment", "dev", "--local-port", "0")
    assert running.process.stdout is not None
    lines = [running.process.stdout.readline() for _ in range(3)]
    assert lines[0].startswith("url      https://localhost:")
    assert lines[1:] == ["host     localhost\n", f"bastion  {aws.instance}\n"]
    assert running.process.stderr is not None
    # All of it, before Ctrl-C: it comes after what is on standard output.
    told = [running.process.stderr.readline()]
    while told[-1] not in ("", "Ctrl-C closes the tunnel.\n"):
        told.append(running.process.stderr.readline())
    running.process.send_signal(signal.SIGINT)
    _, rest = running.process.communicate(timeout=60)
    error = "".join(told) + rest
    assert "curl --insecure --connect-to localhost:443:localhost:" in error
    assert "Nobody vouches" in error
    assert error.endswith("Ctrl-C closes the tunnel.\nThe tunnel is closed.\n")


def test_a_plugin_that_will_not_go_is_ended_with_its_children(
    aws: Aws, programs: Path, described: Path, balancer: Any, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_PLUGIN", "stubborn")
    running = start(RUN, "443", "tunnel", "--environment", "dev", "--local-port", "0", "--json")
    running.document()
    left = running.descendants()
    assert len(left) == 2
    assert running.finish(signal.SIGINT)[0] == 0
    assert not psutil.wait_procs(left, timeout=2)[1]
    assert len(aws.asked["TerminateSession"]) == 1


def test_an_end_from_the_other_side_is_told(
    aws: Aws, programs: Path, described: Path, balancer: Any, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_PLUGIN", "short")
    running = start(RUN, "443", "tunnel", "--environment", "dev", "--local-port", "0")
    code, error = running.finish()
    assert code == 1
    assert "closed from the other side" in error
    assert "heartmapctl tunnel --environment dev" in error


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the error of a command that fails, in this process."""
    with pytest.raises(SystemExit) as ended:
        app(["tunnel", "--json", *words])
    assert isinstance(ended.value.code, int)
    return ended.value.code, json.loads(capsys.readouterr().out)["error"]


def in_dev(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    return refused(capsys, "--environment", "dev", "--local-port", "0", *words)


def test_local_has_no_bastion(state: Path, capsys: Any) -> None:
    code, error = refused(capsys)
    assert (code, error["code"]) == (1, "no_bastion")
    assert "heartmapctl api GET /health" in error["next_step"]


def test_an_environment_without_a_bastion_is_told(described: Path, capsys: Any) -> None:
    outputs = json.loads(described.read_text())
    del outputs["bastion_group"]
    described.write_text(json.dumps(outputs))
    code, error = in_dev(capsys)
    assert (code, error["code"]) == (1, "no_bastion")
    assert "heartmap:bastion" in error["next_step"]


@pytest.mark.parametrize("ssh", [[], ["--ssh"]])
def test_without_the_plugin_nothing_is_asked_of_aws(
    aws: Aws, described: Path, capsys: Any, ssh: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    code, error = in_dev(capsys, *ssh)
    assert (code, error["code"]) == (1, "plugin_missing")
    assert "https://docs.aws.amazon.com/" in error["next_step"]
    assert not aws.asked["StartSession"]


def test_an_old_plugin_would_show_the_token_to_everybody(
    aws: Aws, programs: Path, described: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_PLUGIN", "old")
    assert in_dev(capsys)[1]["code"] == "plugin_too_old"
    (programs / plugin.PROGRAM).write_text("#!/bin/sh\nexit 1\n")
    assert in_dev(capsys)[1]["code"] == "plugin_too_old"
    assert not aws.asked["StartSession"]


@pytest.mark.parametrize("ssh", [[], ["--ssh"]])
def test_a_busy_port_is_told_before_anything_is_asked_of_aws(
    aws: Aws, programs: Path, described: Path, capsys: Any, ssh: list[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = ("--environment", "dev", "--local-port", str(taken.getsockname()[1]), *ssh)
        code, error = refused(capsys, *words)
    assert (code, error["code"]) == (2, "port_busy")
    assert "--local-port" in error["next_step"]
    assert not aws.asked["StartSession"]


def test_a_port_that_may_not_be_used_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("operator_cli.tunnel.socket.socket.bind", forbidden)
    with pytest.raises(WrongUse, match="Port 443 of this machine may not be used"):
        tunnel.free_port(443)


def test_a_stopped_bastion_is_told(aws: Aws, autoscaling: Any, programs: Path, described: Path, capsys: Any) -> None:
    autoscaling.update_auto_scaling_group(AutoScalingGroupName=GROUP, DesiredCapacity=0)
    code, error = in_dev(capsys)
    assert (code, error["code"]) == (1, "bastion_stopped")
    assert f"set-desired-capacity --auto-scaling-group-name {GROUP}" in error["next_step"]


def test_a_group_that_is_not_in_this_account_is_told(aws: Aws, programs: Path, described: Path, capsys: Any) -> None:
    described.write_text(described.read_text().replace(GROUP, "another"))
    code, error = in_dev(capsys)
    assert (code, error["code"]) == (1, "no_bastion")
    assert "aws sts get-caller-identity" in error["next_step"]


def test_an_instance_that_is_starting_is_waited_for(
    aws: Aws, programs: Path, described: Path, balancer: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.not_connected = 3
    notes: list[str] = []
    reach = bastion.Bastion(bastion.Place.model_validate_json(described.read_bytes()), notes.append)
    with reach.session(reach.instance(), bastion.SSH_DOCUMENT, {}) as session:
        assert session.session_id == "jane-0123"
    assert notes == ["The bastion is starting; this takes about a minute."]
    aws.not_connected = 10_000
    assert in_dev(capsys)[1]["code"] == "bastion_not_ready"
    assert len(aws.asked["TerminateSession"]) == 1


@pytest.mark.parametrize(
    ("aws_code", "code", "advice"),
    [
        ("ExpiredTokenException", "aws_credentials_expired", "aws sso login"),
        ("UnrecognizedClientException", "aws_credentials_refused", "AWS_PROFILE"),
        ("AccessDeniedException", "aws_access_denied", "operator_policy_arn"),
        ("InternalServerError", "aws_refused", "Try again"),
    ],
)
def test_refusals_of_aws_are_told_with_their_request_id_and_without_its_words(
    aws: Aws, programs: Path, described: Path, capsys: Any, aws_code: str, code: str, advice: str
) -> None:
    aws.refuse_with["StartSession"] = aws_code
    exit_code, error = in_dev(capsys)
    assert (exit_code, error["code"], error["request_id"]) == (1, code, "aws-1")
    assert advice in error["next_step"]
    assert "secret" not in json.dumps(error)


def test_without_credentials_it_says_so(
    aws: Aws, programs: Path, described: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert in_dev(capsys)[1]["code"] == "no_aws_credentials"
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    code, error = in_dev(capsys)
    assert (code, error["code"]) == (1, "no_aws_credentials")
    assert "aws sso login" in error["next_step"]


def test_an_aws_that_does_not_answer_is_told(
    aws: Aws, programs: Path, described: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_AUTO_SCALING", "http://127.0.0.1:1")
    assert in_dev(capsys)[1]["code"] == "aws_unreachable"


def test_a_plugin_that_gives_up_is_told_in_its_own_words(
    aws: Aws, programs: Path, described: Path, balancer: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_PLUGIN", "refused")
    code, error = in_dev(capsys)
    assert (code, error["code"]) == (1, "tunnel_not_open")
    assert "bad handshake" in error["message"]
    assert "\x1b" not in error["message"]
    assert len(aws.asked["TerminateSession"]) == 1


def test_a_port_that_somebody_else_took_meanwhile_is_no_tunnel(
    aws: Aws, programs: Path, described: Path, balancer: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the port and the plugin: what answers there is a server with TLS, and not at the end of the tunnel."""
    monkeypatch.setattr(tunnel, "free_port", lambda _: port_of(balancer))
    monkeypatch.setattr(tunnel, "OPEN_SECONDS", 3)
    code, error = in_dev(capsys)
    assert (code, error["code"]) == (1, "tunnel_not_open")


def test_a_port_that_leads_nowhere_is_no_tunnel(
    aws: Aws, programs: Path, described: Path, balancer: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plugin takes the connection and passes nothing on: what a client would call hanging."""
    monkeypatch.setenv("FAKE_PLUGIN", "deaf")
    monkeypatch.setattr(tunnel, "OPEN_SECONDS", 3)
    monkeypatch.setattr(tunnel, "PROBE_SECONDS", 1)
    code, error = in_dev(capsys)
    assert (code, error["code"]) == (1, "tunnel_not_open")
    assert "did not open in time" in error["message"]
    assert len(aws.asked["TerminateSession"]) == 1
    (seen,) = records(programs)
    assert not psutil.pid_exists(seen["pid"])


def test_a_session_that_cannot_be_ended_is_told_and_ends_by_itself(aws: Aws, described: Path) -> None:
    notes: list[str] = []
    reach = bastion.Bastion(bastion.Place.model_validate_json(described.read_bytes()), notes.append)
    aws.refuse_with["TerminateSession"] = "AccessDeniedException"
    with reach.session(aws.instance, bastion.SSH_DOCUMENT, {}):
        pass
    assert len(notes) == 1
    assert "ends it when it has been idle" in notes[0]


# By SSH.


class SshServer:
    """The bastion's own configuration (infra/bastion.py), on a port of the loopback, for somebody who is on this machine."""

    def __init__(self, directory: Path, target: int) -> None:
        # A root's server can let in anybody but root; anyone else's only themselves.
        self.user = "nobody" if os.geteuid() == 0 else getpass.getuser()
        self.authorized_keys = directory / "authorized_keys"
        self.authorized_keys.touch()
        self.log = directory / "sshd.log"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / "host_key")], check=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        (cloud,) = [
            file["content"]
            for file in json.loads(user_data("localhost").partition("\n")[2])["write_files"]
            if file["path"].startswith("/etc/ssh/sshd_config.d/")
        ]
        config = cloud.replace("AllowUsers tunnel", f"AllowUsers {self.user}").replace("localhost:443", f"localhost:{target}")
        assert config.count(str(target)) == 1
        own = (
            f"Port {self.port}",
            f"HostKey {directory}/host_key",
            f"PidFile {directory}/pid",
            f"AuthorizedKeysFile {self.authorized_keys}",
            "StrictModes no",
            "UsePAM no",
        )
        (directory / "sshd_config").write_text(config + "\n".join(own) + "\n")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        command = ["/usr/sbin/sshd", "-D", "-f", str(directory / "sshd_config"), "-E", str(self.log)]
        self.process = subprocess.Popen(command)
        for _ in range(100):
            if not is_free(self.port):
                return
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


@pytest.fixture
def ssh_server(aws: Aws, programs: Path, balancer: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    if not Path("/usr/sbin/sshd").exists() or shutil.which("ssh") is None:
        if os.environ.get("CI"):
            pytest.fail("openssh-server and openssh-client are not installed")
        pytest.skip("openssh-server or openssh-client is not installed")
    with tempfile.TemporaryDirectory(prefix="sshd-") as name:
        # Whoever signs in reads the keys as themselves: not in pytest's own directory, into which only its owner may.
        directory = Path(name)
        directory.chmod(0o711)
        server = SshServer(directory, port_of(balancer))
        aws.authorized_keys = server.authorized_keys
        monkeypatch.setenv("FAKE_TARGET", f"127.0.0.1:{server.port}")
        yield server
        server.close()


def by_ssh(start: Any, balancer: Any, server: SshServer, *words: str) -> Running:
    return start(
        SSH_RUN, str(port_of(balancer)), server.user, "tunnel", "--environment", "dev", "--ssh", "--local-port", "0", *words
    )


def test_ssh_forwards_through_the_session_with_a_key_made_for_it(
    aws: Aws, ssh_server: SshServer, programs: Path, described: Path, balancer: Any, certificates: Any, start: Any, tmp_path: Path
) -> None:
    running = by_ssh(start, balancer, ssh_server, "--json")
    told = running.document()
    assert b'"status": "ok"' in call(told["port"], certificates[0])
    (asked,) = aws.asked["StartSession"]
    assert (asked["DocumentName"], asked["Parameters"]) == ("AWS-StartSSHSession", {"portNumber": ["22"]})
    (sent,) = aws.asked["SendSSHPublicKey"]
    assert (sent["InstanceId"], sent["InstanceOSUser"]) == (aws.instance, "tunnel")
    assert sent["SSHPublicKey"].startswith("ssh-ed25519 ")
    known = tmp_path / "state" / "heartmapctl" / "known_hosts"
    assert known.read_text().startswith(aws.instance)
    left = running.descendants()
    lines = [" ".join(process.cmdline()) for process in left]
    assert not any(TOKEN in line for line in lines)
    key = lines[0].partition(' IdentityFile="')[2].partition('"')[0]
    assert Path(key).stat().st_mode & 0o777 == 0o600
    assert running.finish(signal.SIGINT) == (0, "")
    assert not psutil.wait_procs(left, timeout=2)[1]
    assert not Path(key).parent.exists()
    assert aws.asked["TerminateSession"] == [{"SessionId": "jane-0123"}]


def test_ssh_with_a_key_of_ones_own(
    aws: Aws, ssh_server: SshServer, described: Path, balancer: Any, certificates: Any, start: Any, tmp_path: Path
) -> None:
    identity = tmp_path / '100% "id" of mine'
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(identity)], check=True)
    running = by_ssh(start, balancer, ssh_server, "--json", "--identity", str(identity))
    assert b'"status": "ok"' in call(running.document()["port"], certificates[0])
    assert aws.asked["SendSSHPublicKey"][0]["SSHPublicKey"] == Path(f"{identity}.pub").read_text().strip()
    assert running.finish(signal.SIGINT)[0] == 0
    assert identity.exists()


def test_a_bastion_whose_host_key_has_changed_is_not_trusted(
    aws: Aws, ssh_server: SshServer, described: Path, balancer: Any, start: Any, tmp_path: Path
) -> None:
    known = tmp_path / "state" / "heartmapctl" / "known_hosts"
    known.parent.mkdir(parents=True)
    other = "AAAAC3NzaC1lZDI1NTE5AAAAIJ0vYUu5Tz9oq5b1mYbRyWYrj0c0d0L6cGZ3Z9m2Qe1t"
    known.write_text(f"{aws.instance} ssh-ed25519 {other}\n")
    code, error = by_ssh(start, balancer, ssh_server).finish()
    assert code == 1
    assert "Host key verification failed" in error
    assert "tunnel_not_open" in error
    assert len(aws.asked["TerminateSession"]) == 1


def test_a_key_that_the_bastion_does_not_take_is_told(
    aws: Aws, ssh_server: SshServer, described: Path, balancer: Any, start: Any
) -> None:
    aws.authorized_keys = None
    code, error = by_ssh(start, balancer, ssh_server).finish()
    assert code == 1
    assert "Permission denied (publickey)" in error


def test_the_bastion_forwards_to_the_load_balancer_alone(
    aws: Aws, ssh_server: SshServer, described: Path, bucket: Any, balancer: Any, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the server's own configuration says, seen from the tunnel: it leads nowhere else."""
    monkeypatch.setattr(tunnel, "OPEN_SECONDS", 5)
    code = SSH_RUN.replace("; tunnel.TUNNEL", "; tunnel.OPEN_SECONDS = 4; tunnel.TUNNEL")
    running = start(code, str(port_of(bucket)), ssh_server.user, "tunnel", "--environment", "dev", "--ssh", "--local-port", "0")
    exit_code, error = running.finish()
    assert exit_code == 1
    assert "administratively prohibited" in error


@pytest.mark.parametrize(
    "text", [None, "", "-----BEGIN OPENSSH PRIVATE KEY-----", "ecdsa-sha2-nistp256 AAAA", "ssh-rsa A\nssh-rsa B"]
)
def test_what_is_no_key_with_its_public_part_is_wrong_use(
    programs: Path, described: Path, aws: Aws, capsys: Any, tmp_path: Path, text: str | None
) -> None:
    identity = tmp_path / "id"
    identity.touch()
    if text is not None:
        (tmp_path / "id.pub").write_text(text)
    code, error = in_dev(capsys, "--ssh", "--identity", str(identity))
    assert (code, error["code"]) == (2, "no_identity")
    assert "ssh-keygen -y" in error["next_step"]
    assert not aws.asked["StartSession"]


def test_an_identity_is_for_ssh(described: Path, capsys: Any) -> None:
    code, error = in_dev(capsys, "--identity", "id")
    assert code == 2
    assert "--ssh" in error["next_step"]


def test_without_ssh_nothing_is_asked_of_aws(aws: Aws, programs: Path, described: Path, capsys: Any, monkeypatch: Any) -> None:
    found = shutil.which
    monkeypatch.setattr("operator_cli.tunnel.shutil.which", lambda name: None if name == "ssh" else found(name))
    assert in_dev(capsys, "--ssh")[1]["code"] == "ssh_missing"
    assert not aws.asked["StartSession"]
