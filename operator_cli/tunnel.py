"""A port of this machine that leads to the internal load balancer, through a session on the bastion.

Two ways: Session Manager forwards the port itself, or SSH does, with a session as its proxy (docs/access.md).
"""

import contextlib
import errno
import os
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import NoReturn

import psutil
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from operator_cli import plugin
from operator_cli.bastion import FORWARD_DOCUMENT, SSH_DOCUMENT, TUNNEL_USER, Bastion, Place, Session
from operator_cli.errors import CliError, WrongUse
from operator_cli.output import printable

LOOPBACK = "127.0.0.1"
HTTPS_PORT, SSH_PORT = 443, 22
OPEN_SECONDS = 45
"""For the session, the connection to the load balancer and TLS with it."""
PROBE_SECONDS = 10
PAUSE_SECONDS = 0.2
END_SECONDS = 3
"""How long the plugin or ssh may take to say goodbye."""
# EC2 Instance Connect takes no more, and no key that is in use is longer.
LARGEST_KEY = 16 * 1024


class Reached(StrEnum):
    """What answered on the other side of the tunnel, as far as its certificate tells."""

    TRUSTED = "trusted"
    UNTRUSTED = "untrusted"


@dataclass(frozen=True, kw_only=True)
class Tunnel:
    """A tunnel that forwards. ``wait`` returns when it has ended by itself."""

    host: str
    port: int
    instance: str
    session_id: str
    reached: Reached
    wait: Callable[[], object]

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def curl(self) -> str:
        """A request through it, by the name in the load balancer's certificate."""
        unvouched = ["--insecure"] if self.reached is Reached.UNTRUSTED else []
        address = f"{self.host}:{HTTPS_PORT}:localhost:{self.port}"
        return shlex.join(["curl", *unvouched, "--connect-to", address, f"https://{self.host}/healthz"])


@dataclass(frozen=True, kw_only=True)
class Key:
    """The files of a key pair for SSH, the public one as text. ``made`` says that it is for this tunnel alone."""

    private: Path
    public: str
    made: bool


@contextmanager
def forwarded(bastion: Bastion, where: Place, port: int) -> Iterator[Tunnel]:
    """A tunnel by Session Manager alone. Raises CliError when it cannot be opened."""
    plugin.check()
    port = free_port(port)
    instance = bastion.instance()
    parameters = {"host": where.internal_host, "portNumber": str(HTTPS_PORT), "localPortNumber": str(port)}
    with bastion.session(instance, FORWARD_DOCUMENT, parameters) as session:
        command = plugin.arguments(session)
        with _running(command, plugin.surroundings(session), where, port, instance, session) as tunnel:
            yield tunnel


@contextmanager
def by_ssh(bastion: Bastion, where: Place, port: int, identity: Path | None, known_hosts: Path) -> Iterator[Tunnel]:
    """A tunnel by ``ssh -L``, with a session as its proxy. Raises CliError when it cannot be opened."""
    plugin.check()
    if shutil.which("ssh") is None:
        raise CliError("OpenSSH is not installed on this machine.", code="ssh_missing", next_step="Install its client: ssh.")
    port = free_port(port)
    known_hosts.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _key(identity) as key:
        instance = bastion.instance()
        with bastion.session(instance, SSH_DOCUMENT, {"portNumber": str(SSH_PORT)}) as session:
            bastion.admit(instance, key.public)
            command = _ssh(where, port, instance, key, known_hosts, plugin.arguments(session))
            with _running(command, plugin.surroundings(session), where, port, instance, session) as tunnel:
                yield tunnel


def free_port(port: int) -> int:
    """The port of this machine's loopback, which nothing uses; 0 stands for any. Raises WrongUse when it is taken.

    The plugin would wait for ever for a port that is taken (aws/session-manager-plugin issue 141).
    """
    with socket.socket() as probe:
        # As the plugin and ssh bind it: connections that have just ended do not keep it.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            raise WrongUse(
                f"Port {port} of this machine {'is in use' if taken else 'may not be used'}.",
                code="port_busy" if taken else "port_not_allowed",
                next_step="Choose another one with --local-port, or 0 for any that is free.",
            ) from None
        return probe.getsockname()[1]


@contextmanager
def _key(identity: Path | None) -> Iterator[Key]:
    """The key pair of a file, or one that is made for this tunnel and removed after it."""
    if identity is not None:
        yield Key(private=identity, public=_public_part(identity), made=False)
        return
    with tempfile.TemporaryDirectory(prefix="heartmapctl-") as directory:
        key, file = Ed25519PrivateKey.generate(), Path(directory) / "id_ed25519"
        file.touch(mode=0o600)
        file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        yield Key(private=file, public=public, made=True)


def _public_part(identity: Path) -> str:
    public = Path(f"{identity}.pub")
    try:
        text = public.read_bytes()[:LARGEST_KEY].decode("ascii").strip()
    except (OSError, ValueError):
        text = ""
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-connect-methods.html: the kinds that are taken.
    if not identity.is_file() or not text.startswith(("ssh-ed25519 ", "ssh-rsa ")) or "\n" in text:
        raise WrongUse(
            f"{identity} is not a key for SSH (Ed25519 or RSA) with its public part beside it.",
            code="no_identity",
            next_step=f"Write the public part: ssh-keygen -y -f {shlex.quote(str(identity))} > {shlex.quote(str(public))}",
        )
    return text


def _ssh(where: Place, port: int, instance: str, key: Key, known_hosts: Path, proxy: Sequence[str]) -> list[str]:
    """The command line of ssh. Nothing of the user's own configuration takes part in it."""
    options = {
        # Signs of its own are not taken for ssh's.
        "ProxyCommand": shlex.join(proxy).replace("%", "%%"),
        "IdentityFile": _quoted(key.private),
        "BatchMode": "yes",
        "ExitOnForwardFailure": "yes",
        "IdentitiesOnly": "yes",
        # Which machine this is has been answered for by Session Manager; its key is kept all the same, and may not change.
        "HostKeyAlias": instance,
        "StrictHostKeyChecking": "accept-new",
        "UserKnownHostsFile": _quoted(known_hosts),
        "ServerAliveInterval": "30",
        # An agent may hold the key of a file that a passphrase locks; it has no part in one that was made here.
        **({"IdentityAgent": "none"} if key.made else {}),
    }
    return [
        "ssh",
        *("-F", "none", "-N", "-T"),
        *("-L", f"{LOOPBACK}:{port}:{where.internal_host}:{HTTPS_PORT}"),
        *(word for name, value in options.items() for word in ("-o", f"{name}={value}")),
        f"{TUNNEL_USER}@{instance}",
    ]


def _quoted(file: Path) -> str:
    """A file as one word of ssh's configuration, in which a percent sign would begin something."""
    text = str(file).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"'


@contextmanager
def _running(
    command: Sequence[str], environment: Mapping[str, str], where: Place, port: int, instance: str, session: Session
) -> Iterator[Tunnel]:
    """The process that forwards, once it does; whatever happens, it has ended afterwards, with all that it started."""
    with tempfile.TemporaryFile() as said:
        # A group of its own: Ctrl-C reaches this program alone, which then ends the process in order.
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
        )
        try:
            reached = _wait_until_open(process, where.internal_host, port)
            if reached is None:
                raise _not_open(process, _last_line(said.fileno()))
            yield Tunnel(
                host=where.internal_host,
                port=port,
                instance=instance,
                session_id=session.session_id,
                reached=reached,
                wait=process.wait,
            )
        finally:
            _end(process)


def _wait_until_open(process: "subprocess.Popen[bytes]", host: str, port: int) -> Reached | None:
    deadline = time.monotonic() + OPEN_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        reached = probe(host, port) if _listens(process, port) else None
        if reached is not None:
            return reached
        time.sleep(PAUSE_SECONDS)
    return None


def _listens(process: "subprocess.Popen[bytes]", port: int) -> bool:
    """Whether it is this process that listens there: another one may have taken the port since it was looked at."""
    try:
        connections = psutil.Process(process.pid).net_connections("tcp")
    except psutil.Error:
        return False
    return any(each.status == psutil.CONN_LISTEN and each.laddr == (LOOPBACK, port) for each in connections)


def probe(host: str, port: int) -> Reached | None:
    """Who answers behind the port. The plugin takes connections before it has anybody to pass them to: only TLS tells."""
    context = ssl.create_default_context()
    try:
        with (
            socket.create_connection((LOOPBACK, port), timeout=PROBE_SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=host),
        ):
            return Reached.TRUSTED
    except ssl.SSLCertVerificationError:
        # It came from the other side. Where a stack has no domain, nobody vouches for the load balancer's certificate.
        return Reached.UNTRUSTED
    except OSError:
        return None


def _not_open(process: "subprocess.Popen[bytes]", last: str) -> CliError:
    what = "did not open in time" if process.poll() is None else "ended before it was open"
    return CliError(
        f"The tunnel {what}{f': {last}' if last else '.'}",
        code="tunnel_not_open",
        next_step="Check that the network lets WebSockets through to AWS (wss://ssmmessages.*), and that the service runs; "
        "then try again.",
    )


def _last_line(descriptor: int) -> str:
    """The last that the plugin or ssh said, for people."""
    size = os.fstat(descriptor).st_size
    text = os.pread(descriptor, 4096, max(0, size - 4096)).decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return printable(lines[-1])[:300] if lines else ""


def _end(process: "subprocess.Popen[bytes]") -> None:
    """The plugin takes leave of the session at SIGINT, and so does ssh; a second Ctrl-C of the user cuts that short."""
    try:
        process.send_signal(signal.SIGINT)
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """A tunnel ends in order when its terminal is closed or the machine shuts down, as it does at Ctrl-C."""

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
