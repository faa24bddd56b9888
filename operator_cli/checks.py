"""What can be wrong on the operator's side, looked at piece by piece, each with what repairs it.

For `heartmapctl doctor` and for the console's page of status. Nothing is changed but a session that has to be renewed.
"""

import os
import shlex
import socket
import ssl
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from urllib.request import getproxies

import httpx

from operator_cli import DISTRIBUTION, credentials, sign_in, transport
from operator_cli.api import Api
from operator_cli.credentials import ApiKey, SessionCredential
from operator_cli.environments import Environment, description_file, load
from operator_cli.errors import CliError, NotSignedIn
from operator_cli.session import Session
from operator_cli.tokens import Tokens
from operator_cli.vocabulary import AnalysisType, EnvironmentName

State = Literal["pass", "warn", "fail"]

# The authorizer's own tolerance is 60 s; beyond half of it trouble is near.
WORST_SKEW, NOTED_SKEW = 60, 30
CERTIFICATE_DAYS = 14
"""Days before its end from which a certificate is told of."""
DAY = 24 * 3600
OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing looked at. `next_step` is there unless it is well."""

    name: str
    state: State
    detail: str
    next_step: str | None = None


def run(name: EnvironmentName) -> list[Check]:
    """Everything that can be looked at; without a description of the environment only this machine."""
    try:
        environment = load(name)
    except CliError as error:
        return [_failed("description", error), _callback_ports()]
    network, caller = _network(environment), _caller(environment)
    return [_description(environment), *network, *caller, _callback_ports(), _tunnel(environment)]


def _description(environment: Environment) -> Check:
    file = description_file(environment.name)
    # That of `local` holds its users' passwords.
    if environment.is_local and file.stat().st_mode & OTHERS:
        return _exposed("description", file, "600")
    return Check(name="description", state="pass", detail=f"{environment.name}: {environment.api}, described in {file}")


# The network


def _network(environment: Environment) -> Iterator[Check]:
    yield _proxy(environment)
    try:
        client = transport.client(environment)
    except CliError as error:
        yield _failed("certificate authority", error)
        return
    with client:
        yield from _service(environment, client)
        yield _sign_in_page(environment, client)


def _proxy(environment: Environment) -> Check:
    proxies = {scheme: address for scheme, address in getproxies().items() if scheme in ("https", "http", "all")}
    if environment.is_local or not proxies:
        return Check(name="proxy", state="pass", detail="none is used")
    address = proxies.get("https") or proxies.get("all")
    if address is None:
        return Check(name="proxy", state="pass", detail="none for https")
    # Without a user and a password that it may hold.
    parts = urlsplit(address)
    if not parts.hostname:
        return Check(
            name="proxy",
            state="fail",
            detail="HTTPS_PROXY or ALL_PROXY is not an address",
            next_step="Write it as http://HOST:PORT, or: unset HTTPS_PROXY ALL_PROXY",
        )
    return Check(name="proxy", state="pass", detail=f"calls go through {parts.hostname} (HTTPS_PROXY or ALL_PROXY)")


def _service(environment: Environment, client: httpx.Client) -> Iterator[Check]:
    """Reached without a credential: whoever answers 401 is the gateway, and says the time."""
    url = f"{environment.api}/health"
    before = time.time()
    try:
        with client.stream("GET", url) as response:
            ends = _certificate_end(response)
            response.read()
    except httpx.HTTPError as error:
        yield _unreached("service", environment, url, error)
        return
    yield _answered(environment, response)
    yield _certificate(ends)
    yield _clock(response.headers.get("date"), (before + time.time()) / 2)


def _unreached(name: str, environment: Environment, url: str, error: httpx.HTTPError) -> Check:
    if _is_unknown_name(error):
        host = urlsplit(url).hostname
        return Check(
            name=name,
            state="fail",
            detail=f"{host} has no address: the name is wrong, or this machine's DNS does not answer",
            next_step=f"Compare with its description: {description_file(environment.name)}; is the VPN up, where one is needed?",
        )
    return _failed(name, transport.unreachable(environment, url, error))


def _is_unknown_name(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, socket.gaierror):
            return True
        error = error.__cause__ or error.__context__
    return False


def _answered(environment: Environment, response: httpx.Response) -> Check:
    host = urlsplit(environment.api).netloc
    if response.status_code == httpx.codes.UNAUTHORIZED:
        return Check(name="service", state="pass", detail=f"{host} answers")
    if response.status_code == httpx.codes.FORBIDDEN:
        return Check(
            name="service",
            state="fail",
            detail=f"{host} refuses calls from this network",
            next_step="Connect to a network that the environment allows, or ask an administrator to allow this one.",
        )
    return Check(
        name="service",
        state="fail",
        detail=f"{host} answers {response.status_code} to a call without a credential, where 401 was to be expected",
        next_step="Try again in a minute; if it stays, tell an administrator, or compare the address with the description.",
    )


def _certificate_end(response: httpx.Response) -> float | None:
    """Seconds since the epoch."""
    connection = response.extensions["network_stream"].get_extra_info("ssl_object")
    ends = connection.getpeercert().get("notAfter") if connection else None
    return ssl.cert_time_to_seconds(ends) if ends else None


def _certificate(ends: float | None) -> Check:
    if ends is None:
        return Check(name="certificate", state="pass", detail="trusted")
    days = int((ends - time.time()) // DAY)
    if days < CERTIFICATE_DAYS:
        return Check(
            name="certificate",
            state="warn",
            detail=f"trusted, but it ends in {days} days",
            next_step="Tell an administrator; in local: make local-down && make local",
        )
    return Check(name="certificate", state="pass", detail=f"trusted, for {days} more days")


def _clock(date: str | None, now: float) -> Check:
    try:
        # The header has whole seconds.
        skew = now - parsedate_to_datetime(date or "").timestamp() - 0.5
    except ValueError:
        return Check(
            name="clock", state="warn", detail="the service does not say the time", next_step="Compare it yourself: date"
        )
    told = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the service"
    if abs(skew) < NOTED_SKEW:
        return Check(name="clock", state="pass", detail="agrees with the service")
    state: State = "warn" if abs(skew) < WORST_SKEW else "fail"
    return Check(name="clock", state=state, detail=told, next_step="Set this machine's clock: sudo timedatectl set-ntp true")


def _sign_in_page(environment: Environment, client: httpx.Client) -> Check:
    url = environment.authorize_url
    host = urlsplit(url).netloc
    try:
        response = client.get(url)
    except httpx.HTTPError as error:
        return _unreached("sign-in page", environment, url, error)
    if response.is_server_error:
        detail = f"{host} answers {response.status_code}"
        return Check(name="sign-in page", state="warn", detail=detail, next_step="Try again in a minute.")
    return Check(name="sign-in page", state="pass", detail=f"{host} answers")


# Who calls


def _caller(environment: Environment) -> Iterator[Check]:
    try:
        key = credentials.api_key(environment)
    except CliError as error:
        yield _failed("API key", error)
        return
    session = Session(environment)
    if key is None:
        yield Check(name="API key", state="pass", detail="none is set: calls are made with your session")
        tokens, check = _session(environment, session)
        yield check
    else:
        tokens = None
        yield _api_key(key, session)
    yield from _kept(environment, session)
    if key is not None or tokens is not None:
        yield from _accepted(environment, key or SessionCredential(environment, session), tokens)


def _api_key(key: ApiKey, session: Session) -> Check:
    file = os.environ.get(credentials.KEY_FILE_VARIABLE)
    if file and Path(file).stat().st_mode & OTHERS:
        return _exposed("API key", Path(file), "600")
    detail = f"calls are made with the API key {key.key_id}, {'signed' if key.signs else 'not signed'}"
    if session.place() is not None:
        return Check(
            name="API key",
            state="warn",
            detail=f"{detail}, and not with your session",
            next_step=f"To call as yourself: unset {credentials.KEY_VARIABLE} {credentials.KEY_FILE_VARIABLE}",
        )
    return Check(name="API key", state="pass", detail=detail)


def _session(environment: Environment, session: Session) -> tuple[Tokens | None, Check]:
    login = f"Sign in: {environment.command('login')}"
    try:
        tokens = session.tokens()
    except NotSignedIn as error:
        return None, Check(name="session", state="fail", detail=error.message, next_step=error.next_step)
    except CliError as error:
        return None, _failed("session", error)
    groups = tokens.claims.get("cognito:groups", [])
    who = f"{tokens.claims.get('username')}, {', '.join(map(str, groups)) or 'in no group'}"
    if not groups:
        return tokens, Check(
            name="session",
            state="warn",
            detail=f"{who}: you may do nothing",
            next_step=f"Ask an administrator to put you into a group, then: {environment.command('login')}",
        )
    if tokens.refresh_token is None:
        return tokens, Check(name="session", state="warn", detail=f"{who}; it cannot be renewed", next_step=login)
    return tokens, Check(name="session", state="pass", detail=who)


def _kept(environment: Environment, session: Session) -> Iterator[Check]:
    """The files that hold what is secret."""
    place, directory = session.place(), environment.state_directory
    if place is None:
        return
    if place == "keyring":
        yield Check(name="kept in", state="pass", detail="the system's keyring")
        return
    open_files = [file for file in directory.glob("*.json") if file.stat().st_mode & OTHERS]
    if directory.stat().st_mode & OTHERS:
        yield _exposed("kept in", directory, "700")
    elif open_files:
        yield _exposed("kept in", open_files[0], "600")
    elif environment.is_local:
        yield Check(name="kept in", state="pass", detail=f"a file in {directory}, for you alone")
    else:
        yield Check(
            name="kept in",
            state="warn",
            detail=f"a file in {directory}, for you alone: this machine has no keyring",
            next_step="Where there is a desktop: install gnome-keyring (or another Secret Service), then sign in again.",
        )


def _accepted(environment: Environment, credential: ApiKey | SessionCredential, tokens: Tokens | None) -> Iterator[Check]:
    """Whether the service takes the credential, and whether this program and the service know the same."""
    try:
        with transport.client(environment) as http:
            api = Api(environment, credential, http)
            answer = api.require("GET", "/").json()
            models = api.send("GET", "/models")
            known = {model["name"] for model in models.json()["models"]} if models.is_success else None
    except (ValueError, LookupError, TypeError):
        yield Check(
            name="version", state="fail", detail="the service's answer is not HeartMAP's", next_step="Update heartmapctl."
        )
    except CliError as error:
        yield _failed("access", error)
    else:
        yield Check(name="access", state="pass", detail=f"the service accepts {'the session' if tokens else 'the API key'}")
        yield _versions(str(answer.get("version")), known)


def _versions(heartmap: str, known: set[str] | None) -> Check:
    """This program names the types of analysis, so that a typing error is told at once: a service of another age has others."""
    detail = f"heartmapctl {version(DISTRIBUTION)}, HeartMAP {heartmap}"
    here = {str(kind) for kind in AnalysisType}
    if known is None or known == here:
        return Check(name="version", state="pass", detail=detail)
    which = "older" if known - here else "newer"
    return Check(
        name="version",
        state="warn",
        detail=f"{detail}: this heartmapctl is {which} than the service ({', '.join(sorted(known ^ here))})",
        next_step="Install heartmapctl from the sources that the environment was deployed from.",
    )


# This machine


def _callback_ports() -> Check:
    wanted = sign_in.CALLBACK_PORTS
    free = [port for port in wanted if _is_free(port)]
    if not free:
        ports = ", ".join(map(str, wanted))
        return Check(
            name="callback ports",
            state="fail",
            detail=f"{ports} are all taken: nobody can sign in with a browser",
            next_step=f"See who listens, and end it: ss -ltnp 'sport >= {min(wanted)} and sport <= {max(wanted)}'",
        )
    return Check(name="callback ports", state="pass", detail=f"free for a sign-in: {', '.join(map(str, free))}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As http.server binds: what only waits for its last packets is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _tunnel(environment: Environment) -> Check:
    if environment.is_local:
        return Check(name="tunnel", state="pass", detail="local needs none")
    # boto3 takes longer to load than everything else here.
    import boto3

    from operator_cli import bastion, plugin

    try:
        bastion.place(environment)
    except CliError:
        return Check(name="tunnel", state="pass", detail="none: this environment has no bastion")
    try:
        plugin.check()
    except CliError as error:
        return Check(name="tunnel", state="warn", detail=error.message, next_step=error.next_step)
    if boto3.Session().get_credentials() is None:
        return Check(
            name="tunnel",
            state="warn",
            detail="this shell has no AWS identity, which `heartmapctl tunnel` needs",
            next_step="Sign in to AWS: aws sso login, or name a profile: export AWS_PROFILE=NAME",
        )
    return Check(name="tunnel", state="pass", detail="the plugin and an AWS identity are here")


# What is not well


def _failed(name: str, error: CliError) -> Check:
    return Check(name=name, state="fail", detail=error.message, next_step=error.next_step or "Try again.")


def _exposed(name: str, path: Path, mode: str) -> Check:
    return Check(
        name=name,
        state="fail",
        detail=f"others on this machine can reach {path}",
        next_step=f"chmod {mode} {shlex.quote(str(path))}",
    )
