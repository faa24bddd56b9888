"""Runs a kind of gateway, as Debian has it, with its rendering: on the loopback, with all that it writes in one directory."""

import contextlib
import json
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

from gateways.model import Gateway
from gateways.render import render

START_SECONDS = 15.0
LOG_SECONDS = 5.0


@dataclass(frozen=True)
class Running:
    """``port`` is on 127.0.0.1, ``logs`` the directory of the access and the error log, ``pid`` that of what was started."""

    port: int
    logs: Path
    pid: int


Runner = Callable[[dict[str, str], Path], list[str]]
"""Puts the files of a rendering where the program wants them, in the directory, and says with which words to start it in the
foreground. Skips where the program is not installed."""


def program(name: str) -> str:
    """Where it is. A CI machine has to have it."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        _missing(name)
    return found


def _missing(name: str) -> NoReturn:
    if os.environ.get("CI"):
        raise AssertionError(f"{name} is not installed, and .ci/run should have seen to it")
    pytest.skip(f"{name} is not installed")


def nginx(files: dict[str, str], directory: Path) -> list[str]:
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")
    temporary = "".join(
        f"    {kind}_temp_path {directory / kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = f"user {pwd.getpwuid(0).pw_name};\n" if os.geteuid() == 0 else ""
    (directory / "nginx.conf").write_text(
        f"{user}daemon off;\nworker_processes 1;\npid {directory / 'nginx.pid'};\nerror_log {directory / 'nginx.log'};\n"
        f"events {{ worker_connections 512; }}\nhttp {{\n{temporary}    include {directory / 'heartmap.conf'};\n}}\n"
    )
    return [program("nginx"), "-p", str(directory), "-e", str(directory / "nginx.log"), "-c", str(directory / "nginx.conf")]


MODULES = Path("/usr/lib/apache2/modules")
APACHE_MODULES = (
    *("mpm_event", "authn_core", "authz_core", "authz_host", "authz_user", "authn_file", "auth_basic", "alias", "setenvif"),
    *("headers", "macro", "proxy", "proxy_http", "remoteip", "reqtimeout", "socache_shmcb", "ssl", "unique_id"),
)
"""Those that Debian's package has on, and those that the rendering says to turn on."""


def apache(files: dict[str, str], directory: Path, *, tokens: Path | None = None) -> list[str]:
    """``tokens``: have mod_auth_openidc check them, and trust this authority about where their keys are."""
    found = program("apache2")
    for name in ("qos", "auth_openidc"):
        if not (MODULES / f"mod_{name}.so").exists():
            _missing(f"libapache2-mod-{name.replace('_', '-')}")
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")
    as_root = os.geteuid() == 0
    lines = [
        f"Include {directory / '00-heartmap.load'}",
        *(
            f"LoadModule {name}_module {MODULES}/mod_{name}.so"
            for name in (*APACHE_MODULES, *([] if tokens is None else ["auth_openidc"]))
        ),
        f"LoadModule qos_module {MODULES}/mod_qos.so",
        *(("User www-data", "Group www-data") if as_root else ()),
        f"DefaultRuntimeDir {directory}",
        f"Define APACHE_RUN_DIR {directory}",
        f"PidFile {directory / 'apache2.pid'}",
        f"Mutex file:{directory}",
        f"ErrorLog {directory / 'apache2.log'}",
        "ServerName localhost",
        # More than one process: what they count, they count together.
        *("StartServers 2", "ServerLimit 2", "ThreadsPerChild 25", "MaxRequestWorkers 50"),
        *([] if tokens is None else ["Define HEARTMAP_TOKENS", f"OIDCCABundlePath {tokens}"]),
        f"Include {directory / 'heartmap.conf'}",
    ]
    (directory / "apache2.conf").write_text("".join(f"{line}\n" for line in lines))
    # Apache gives root up, and would then not see into a directory of root's: here it keeps the capabilities.
    kept = ["setpriv", "--securebits", "+no_setuid_fixup"] if as_root else []
    return [*kept, found, "-d", str(directory), "-f", str(directory / "apache2.conf"), "-DFOREGROUND"]


def traefik(files: dict[str, str], directory: Path) -> list[str]:
    for name, text in files.items():
        (directory / name).write_text(text.replace("/etc/traefik/", f"{directory}/"), encoding="utf-8")
    return [program("traefik"), f"--configFile={directory / 'traefik.yml'}"]


RUNNERS: dict[str, Runner] = {"nginx": nginx, "apache": apache, "traefik": traefik}


@contextlib.contextmanager
def run(kind: str, gateway: Gateway, directory: Path) -> Iterator[Running]:
    """The gateway, which listens on 127.0.0.1, until the block ends. ``directory`` is its own."""
    port = int(gateway.listen[0].rpartition(":")[2])
    command = RUNNERS[kind](render(kind, gateway), directory)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        _wait(process, port, kind)
        yield Running(port, Path(gateway.log_directory or directory), process.pid)
    finally:
        process.terminate()
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _wait(process: "subprocess.Popen[str]", port: int, kind: str) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise AssertionError(f"{kind} did not start: {process.communicate()[0]}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise AssertionError(f"{kind} does not listen")


def records(logs: Path, until: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    """What the access log has, as soon as ``until`` says that it is all, or at the end of our patience: a gateway answers first,
    and writes then."""
    end = time.monotonic() + LOG_SECONDS
    while True:
        whole = (logs / "heartmap.access.json").read_text(encoding="ascii").rpartition("\n")[0]
        found = [json.loads(line) for line in whole.splitlines()]
        if until(found) or time.monotonic() > end:
            return found
        time.sleep(0.02)


def record(logs: Path, request_id: str) -> dict[str, Any]:
    """The one record of a call."""
    found = records(logs, lambda all_of_them: any(each["request_id"] == request_id for each in all_of_them))
    (of_it,) = [each for each in found if each["request_id"] == request_id]
    return of_it


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
