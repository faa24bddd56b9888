"""`make local` and `make local-down`: the whole system on one machine.

python -m local_cloud up
python -m local_cloud down
python -m local_cloud alarms
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import secrets
import shutil
import socket
import string
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import boto3
import httpx
import typer
from filelock import FileLock, Timeout
from rich.console import Console
from rich.table import Column, Table

from infra.settings import PROJECT, SettingsError, load_stack_file
from lambda_authorizer.access_policy import ADMIN, ANALYST, VIEWER
from local_cloud import alarms as cloudwatch
from local_cloud import deploy, deployed, engine, metrics
from local_cloud.prepared import CACHES, DATA_SET, NotPrepared, prepared
from local_cloud.supervisor import Ports, Supervisor, SupervisorFailed, processes, write_private

STACK = "local"
DISK_BYTES = 2 * 1024**3
# What a running process was started from: when one of these changes, `make local` starts the process anew.
DEPLOYED = ("infra", "lambda_authorizer", "local_cloud", "Pulumi.yaml", f"Pulumi.{STACK}.yaml", "requirements.txt")
SOURCES = {
    "login": DEPLOYED,
    "api": (*DEPLOYED, "heartmap_service"),
    "worker": (*DEPLOYED, "heartmap_service"),
    "edge": DEPLOYED,
    "scheduler": (*DEPLOYED, "lambda_sealing"),
}

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="The whole system on one machine.", pretty_exceptions_enable=False
)
console = Console(stderr=True, highlight=False, soft_wrap=True)

StateOption = Annotated[Path, typer.Option("--state", help="Where everything of this environment is kept.")]


class UpFailed(Exception):
    """The environment could not be brought up. The message says why and what to do."""


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Says what is being done, and how long it took."""
    started = time.monotonic()
    console.print(f"  {what} …", end="")
    try:
        yield
    except BaseException:
        console.print(" failed")
        raise
    console.print(f" {time.monotonic() - started:.0f} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def refuse_busy(port: int, what: str) -> None:
    """Raises UpFailed when the port is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise UpFailed(
                f"Port {port} is needed for {what} and is in use by another program. End that program "
                f"(`ss -ltnp 'sport = :{port}'` names it), or choose another port: "
                f".venv/bin/python -m local_cloud up --{what}-port N."
            ) from None


def fingerprint(sources: tuple[str, ...], outputs: dict[str, Any]) -> str:
    """A digest of files, of everything below directories, and of the stack's outputs."""
    digest = hashlib.sha256(json.dumps(outputs, sort_keys=True).encode())
    for source in sources:
        path = engine.PROJECT / source
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file() and file.suffix != ".pyc":
                digest.update(file.read_bytes())
    return digest.hexdigest()


def client(endpoint: str, service: str) -> Any:
    return boto3.client(  # pyright: ignore[reportCallIssue]
        service,  # pyright: ignore[reportArgumentType]
        endpoint_url=endpoint,
        region_name=deploy.REGION,
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106 - the emulated AWS takes any
    )


def wait_for(url: str, what: str, log: Path, *, verify: bool | str, seconds: float = 60, status: int | None = None) -> None:
    """Waits until the URL answers (with the status, if one is given); raises UpFailed when it does not in time."""
    import ssl

    context: Any = ssl.create_default_context(cafile=verify) if isinstance(verify, str) else verify
    deadline = time.monotonic() + seconds
    with httpx.Client(verify=context, timeout=5) as http:
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                answer = http.get(url)
                if status is None or answer.status_code == status:
                    return
            time.sleep(0.2)
    raise UpFailed(f"{what} does not answer after {seconds:.0f} s. Read {log}.")


def passwords(state: Path) -> dict[str, dict[str, str]]:
    """One user a role, with passwords that are random for each environment."""
    file = state / "users.json"
    if not file.exists():
        alphabet = string.ascii_letters + string.digits
        users = {
            role: {
                "username": f"{role}@heartmap.local",
                "password": "".join(secrets.choice(alphabet) for _ in range(24)) + "-a1Z",
            }
            for role in (VIEWER, ANALYST, ADMIN)
        }
        write_private(file, users)
    return json.loads(file.read_text())


def make_users(cognito: Any, pool: str, users: dict[str, dict[str, str]]) -> None:
    for role, user in users.items():
        name = user["username"]
        with contextlib.suppress(cognito.exceptions.UsernameExistsException):
            cognito.admin_create_user(
                UserPoolId=pool,
                Username=name,
                MessageAction="SUPPRESS",
                UserAttributes=[{"Name": "email", "Value": name}, {"Name": "email_verified", "Value": "true"}],
            )
        cognito.admin_set_user_password(UserPoolId=pool, Username=name, Password=user["password"], Permanent=True)
        cognito.admin_add_user_to_group(UserPoolId=pool, Username=name, GroupName=role)


def build_data(state: Path) -> None:
    """The bundled data set and the caches of HeartMAP's compiled code, copied into this environment.

    Raises:
        UpFailed: one of them could not be made.
    """
    try:
        with step("Preparing the bundled data set and HeartMAP's compiled code"):
            built = prepared()
            shutil.copyfile(built / DATA_SET, state / DATA_SET)
            shutil.copytree(built / CACHES, state / "caches", dirs_exist_ok=True)
    except NotPrepared as failure:
        log = state / "log" / "build.log"
        log.write_text(str(failure))
        raise UpFailed(f"The data set or the compiled code could not be made. Read {log}.") from None


def deploy_stack(state: Path, endpoint: str) -> dict[str, Any]:
    log = state / "log" / "pulumi.log"
    with step("Deploying the stack with Pulumi"), log.open("w") as stream:

        def note(line: str) -> None:
            stream.write(line.rstrip("\n") + "\n")

        try:
            result = deploy.Deployment(stack=STACK, state=state / "pulumi", endpoint=endpoint).up(note)
        except deploy.DeployFailed as error:
            stream.write(str(error))
            reasons = [line.strip() for line in str(error).splitlines() if "error:" in line.lower()]
            raise UpFailed("Pulumi could not deploy the stack:\n" + "\n".join(reasons[:5]) + f"\nRead {log}.") from None
    outputs = deploy.outputs(result)
    write_private(state / "outputs.json", outputs)
    return outputs


def start_processes(supervisor: Supervisor, outputs: dict[str, Any], ports: Ports) -> None:
    """Starts what does not run, and starts anew what was started from something older."""
    state = supervisor.state
    file = state / "fingerprints.json"
    before = json.loads(file.read_text()) if file.exists() else {}
    now = {name: fingerprint(sources, outputs) for name, sources in SOURCES.items()}
    running = supervisor.pids()
    with step("Starting login, API, worker, edge and scheduler"):
        for name in SOURCES:
            if name not in running or before.get(name) != now[name]:
                supervisor.start_program(name)
        wait_for(f"https://127.0.0.1:{ports.api}/healthz", "The API", supervisor.log("api"), verify=False, status=200)
        ca = str(state / "tls" / "ca.pem")
        wait_for(
            f"https://localhost:{ports.login}/.well-known/openid-configuration", "The login", supervisor.log("login"), verify=ca
        )
        # Without a credential the edge itself answers 401: nothing behind it is asked.
        wait_for(f"https://localhost:{ports.edge}/health", "The edge", supervisor.log("edge"), verify=ca, status=401)
    write_private(file, now)


def environment(
    supervisor: Supervisor, outputs: dict[str, Any], ports: Ports, endpoint: str, users: dict[str, Any]
) -> dict[str, Any]:
    """What environment.json says."""
    login = f"https://localhost:{ports.login}"
    resources = (
        "uploads_bucket results_bucket jobs_table config_table api_keys_table queue_url dead_letter_queue_url audit_log_group "
        "user_pool_id rest_api_id"
    )
    return {
        "api": f"https://localhost:{ports.edge}",
        "ca_bundle": str(supervisor.state / "tls" / "ca.pem"),
        "aws_endpoint": endpoint,
        "region": outputs["region"],
        "issuer": outputs["issuer"],
        "client_id": outputs["client_id"],
        "authorize_url": f"{login}/oauth2/authorize",
        "token_url": f"{login}/oauth2/token",
        "users": users,
        "processes": processes(supervisor.pids()),
        "resources": {name: outputs[name] for name in resources.split()},
    }


def check(state: Path) -> None:
    """The main job, end to end, as a person would do it: sign in, upload, analyse, fetch the results.

    Raises:
        UpFailed: one of the steps did.
    """
    results = state / "check"
    shutil.rmtree(results, ignore_errors=True)
    ctl = str(Path(sys.executable).parent / "heartmapctl")
    with step("Checking it: sign in, upload, analyse, fetch the results"):
        for arguments in (
            ["login", "--as", ANALYST],
            ["analyze", str(state / DATA_SET), "--type", "comprehensive", "--wait", "--output", str(results), "--json"],
        ):
            done = subprocess.run(
                [ctl, *arguments],
                capture_output=True,
                text=True,
                check=False,
                env={**_clean_environment(), "HEARTMAP_LOCAL_STATE": str(state)},
            )
            if done.returncode != 0:
                raise UpFailed(
                    f"`heartmapctl {' '.join(arguments[:2])}` failed in the check:\n{done.stderr.strip()}\nRead {state / 'log'}."
                )
        made = {file.suffix for file in results.rglob("*") if file.is_file() and file.stat().st_size}
        if not {".png", ".h5ad", ".json"} <= made:
            raise UpFailed(
                f"The analysis of the check gave no figure, summary or annotated data set. Read {state / 'log' / 'worker.log'}."
            )


def _clean_environment() -> dict[str, str]:
    import os

    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HEARTMAP_", "PULUMI_"))}


def bring_up(state: Path, ports: Ports) -> None:
    """Preflight, then up or up to date. What cannot work is refused before anything is started.

    Raises:
        UpFailed, SupervisorFailed, SettingsError, engine.EngineMissing: with the reason and what to do.
    """
    load_stack_file(engine.PROJECT, STACK)
    free = shutil.disk_usage(state).free
    if free < DISK_BYTES:
        raise UpFailed(
            f"{free / 1024**3:.1f} GiB are free where {state} is, and 2 GiB are needed. Free some space and run again."
        )
    engine.locate()
    if Supervisor(state).running() and (state / "environment.json").exists():
        update(state, Ports(**json.loads((state / "ports.json").read_text())))
        return
    take_down(state)
    for name in ("edge", "login"):
        refuse_busy(getattr(ports, name), name)
    ports = replace(ports, moto=free_port(), api=free_port())
    try:
        start_cloud(state, ports)
        update(state, ports)
    except BaseException:
        console.print("Stopping what was started.")
        take_down(state)
        raise


def start_cloud(state: Path, ports: Ports) -> None:
    """Starts the supervisor and, under it, the emulated AWS."""
    supervisor = Supervisor(state)
    endpoint = f"http://127.0.0.1:{ports.moto}"
    write_private(state / "ports.json", vars(ports))
    with step("Starting the emulated AWS"):
        supervisor.start(ports, deploy.emulated_aws(endpoint))
        supervisor.start_program("moto")
        wait_for(f"{endpoint}/moto-api/", "The emulated AWS", supervisor.log("moto"), verify=False)


def update(state: Path, ports: Ports) -> None:
    """Brings a running emulated AWS, and what runs on it, to what the program and the sources say now, and checks it."""
    supervisor = Supervisor(state)
    endpoint = f"http://127.0.0.1:{ports.moto}"
    build_data(state)
    outputs = deploy_stack(state, endpoint)
    users = passwords(state)
    make_users(client(endpoint, "cognito-idp"), outputs["user_pool_id"], users)
    start_processes(supervisor, outputs, ports)
    write_private(state / "environment.json", environment(supervisor, outputs, ports, endpoint, users))
    check(state)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def take_down(state: Path) -> None:
    """Ends every process of the environment and forgets what lived in its memory. Caches and the data set are kept."""
    (state / "environment.json").unlink(missing_ok=True)
    Supervisor(state).stop()
    for stale in (
        "pulumi",
        "outputs.json",
        "users.json",
        "ports.json",
        "fingerprints.json",
        "scratch",
        "check",
        "supervisord.conf",
    ):
        _remove(state / stale)


@contextlib.contextmanager
def alone(state: Path) -> Iterator[None]:
    """One `make local` or `make local-down` at a time; raises UpFailed when another one is at work."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with FileLock(state / "lock", timeout=0):
            yield
    except Timeout:
        raise UpFailed(
            "Another `make local` or `make local-down` is at work here. Wait until it is done, then run again."
        ) from None


USAGE = """
The local environment is running: one person's machine only, since the emulated Cognito's signing key is public.

  API        {api}
  Sign in    .venv/bin/heartmapctl login --as analyst      (or viewer, admin; without --as: in the browser)
  Analyse    .venv/bin/heartmapctl analyze {data} --type comprehensive --wait --output out
  Look       .venv/bin/heartmapctl jobs list
  Logs       {state}/log
  Results of the check just made: {state}/check
  Stop       make local-down
"""


@app.command()
def up(
    state: StateOption = engine.PROJECT / ".local",
    edge_port: Annotated[int, typer.Option(help="Port of the API.")] = 8443,
    login_port: Annotated[int, typer.Option(help="Port of the sign-in page.")] = 8444,
) -> None:
    """Brings the environment up, or up to date, and checks it end to end."""
    state = state.resolve()
    try:
        with alone(state):
            bring_up(state, Ports(edge=edge_port, login=login_port))
    except (UpFailed, SupervisorFailed, SettingsError, engine.EngineMissing) as error:
        console.print(f"\n{error}", style="red", markup=False)
        raise typer.Exit(1) from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        console.print(f"\nThe disk is full: {state} needs 2 GiB. Free some space and run again.", style="red", markup=False)
        raise typer.Exit(1) from None
    sys.stdout.write(USAGE.format(api=f"https://localhost:{edge_port}", data=_short(state / DATA_SET), state=_short(state)))


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


@app.command()
def down(state: StateOption = engine.PROJECT / ".local") -> None:
    """Stops the environment and leaves no process."""
    state = state.resolve()
    try:
        with alone(state):
            take_down(state)
    except (UpFailed, SupervisorFailed) as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from None
    console.print("The local environment is stopped.")


@app.command()
def alarms(state: StateOption = engine.PROJECT / ".local") -> None:
    """Shows in which state each alarm would be now, and when it spoke last, by what the environment recorded."""
    file, now = state.resolve() / "environment.json", time.time()
    if not file.exists():
        console.print("The local environment does not run. Run make local.", style="red", markup=False)
        raise typer.Exit(1)
    endpoint = json.loads(file.read_text())["aws_endpoint"]
    found, history = metrics.look(lambda service: client(endpoint, service), deployed.outputs(state.resolve()), now)
    table = Table(*(Column(name, no_wrap=True) for name in ("Alarm", "State", "Spoke last")), "Meaning")
    for alarm in sorted(found, key=lambda one: one.name):
        current = cloudwatch.state(alarm, history, now)
        spoke = [moment for moment, at in cloudwatch.changes(alarm, history, now - cloudwatch.DAY, now) if at == cloudwatch.ALARM]
        last = f"{datetime.fromtimestamp(spoke[-1], UTC):%H:%M} UTC" if spoke else ""
        short = alarm.name.removeprefix(f"{PROJECT}-{STACK}-")
        meaning, _, _ = alarm.description.partition(". Runbook: ")
        table.add_row(short, current, last, meaning, style="red" if current == cloudwatch.ALARM else None)
    Console(highlight=False).print(table, "What to do stands in docs/runbook.md, in the section of the alarm's name.")


@app.command("game-day")
def game_day(
    name: Annotated[str, typer.Argument(help="Which one; without it they are listed.", show_default=False)] = "",
    state: StateOption = engine.PROJECT / ".local",
    leave_broken: Annotated[bool, typer.Option("--leave-broken", help="Break it, and leave the mending to you.")] = False,
) -> None:
    """Breaks the running environment on purpose, names the page of the runbook that is meant for it, and mends it."""
    from local_cloud import game_days

    if name not in game_days.GAME_DAYS:
        for each in game_days.GAME_DAYS.values():
            sys.stdout.write(f"{each.name:22}{each.breaks}\n")
        raise typer.Exit(2 if name else 0)
    try:
        game_days.play(game_days.GAME_DAYS[name], state.resolve(), say=console.print, leave_broken=leave_broken)
    except (game_days.GameDayFailed, SupervisorFailed) as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    app()
