"""What nginx and Apache add to a call, as ratios to the service alone.

    make bench

The service runs in direct mode, with an emulated AWS in a process of its own; in front of it stand the renderings of
`heartmapctl gateway render`, with rates that nobody reaches. One client calls each of the three in turn, fifty times over
a connection: whatever else the machine does strikes all of them alike. Beside a figure stands what it is to be at most. A call is
GET /models with an access token, which is verified each time. A gateway that is not installed is left out.

More lines tell what a password in front costs: one that `heartmapctl gateway password` made itself, and one that a person chose.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import authorizer_calls
from bench_service import Client, Row, free_port, make_aws, running, tell, wait_for
from cryptography.hazmat.primitives.asymmetric import rsa

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # for what the tests use, too

from _pytest.outcomes import Skipped  # noqa: E402

from gateways.model import Gateway, Options, from_stack  # noqa: E402
from gateways.passwords import GENERATED_COST, TYPED_COST, change  # noqa: E402
from local_cloud import tls  # noqa: E402
from tests.gateways import runners  # noqa: E402

CALLS, BATCH, WARM = 2000, 50, 200
PASSWORD_CALLS = 100
# Two TLS connections in the place of one, and a second program that reads each request.
MOST_AT_P50, MOST_AT_P99 = 2.0, 3.0
PASSWORD = "correct horse battery staple"  # noqa: S105  # of this file alone
OUTPUTS = {
    "region": "us-east-1",
    "issuer": authorizer_calls.ISSUER,
    "client_id": authorizer_calls.CLIENT,
    "authorize_url": "https://auth.heartmap.example.org/oauth2/authorize",
    "token_url": "https://auth.heartmap.example.org/oauth2/token",
    # As many as Apache's mod_qos counts.
    "requests_per_minute": 30_000,
    "sensitive_requests_per_minute": 30_000,
}


class Caller(Client):
    """One connection, with a credential."""

    def __init__(self, port: int, *headers: str) -> None:
        super().__init__(port, host=tls.DNS_NAME, headers=headers)


async def in_turn(callers: Mapping[str, Caller], calls: int, batch: int) -> dict[str, list[float]]:
    """Milliseconds of each call, by whom it was made through."""
    taken: dict[str, list[float]] = {name: [] for name in callers}
    for number in range(0, WARM + calls, batch):
        for name, caller in callers.items():
            # A connection of a gateway ends after a number of calls. The first one on it is for all that is made on demand.
            async with caller:
                milliseconds = [await _call(name, caller) for _ in range(batch + 1)]
            if number >= WARM:
                taken[name] += milliseconds[1:]
    return taken


async def _call(name: str, caller: Caller) -> float:
    milliseconds, status, body = await caller.get("/models")
    if status != 200:
        raise SystemExit(f"{name} answered {status}: {body[:200]!r}")
    return milliseconds


def gateway(directory: Path, upstream: int, files: tls.TlsFiles, *, password_cost: int | None = None) -> Gateway:
    """In front of the service, on a free port, with rates that nobody reaches."""
    passwords = directory / "passwords"
    if password_cost is not None:
        change(passwords, "lab", PASSWORD, cost=password_cost)
    options = Options(
        server_name=tls.DNS_NAME,
        upstream=f"https://127.0.0.1:{upstream}",
        upstream_ca=str(files.ca),
        upstream_host=tls.DNS_NAME,
        certificate=str(files.certificate),
        key=str(files.key),
        environment="local",
        listen=(f"127.0.0.1:{free_port()}",),
        basic_auth=password_cost is not None,
        password_file=str(passwords),
        log_directory=str(directory),
    )
    made = from_stack(OUTPUTS, options)
    return replace(made, routes=tuple(replace(route, rate=10_000.0, burst=100_000) for route in made.routes))


@contextlib.contextmanager
def service(directory: Path, files: tls.TlsFiles, key: rsa.RSAPrivateKey) -> Iterator[int]:
    """Its port."""
    aws_port, port = free_port(), free_port()
    arguments = ("-H", "127.0.0.1", "-p", str(aws_port))
    scratch = directory / "api"
    scratch.mkdir()
    with running("moto.server", *arguments, environment={}, log=directory / "aws.log") as aws:
        wait_for(aws_port, aws, directory / "aws.log")
        environment = make_aws(f"http://127.0.0.1:{aws_port}") | authorizer_calls.environment(directory, key, b"p" * 32)
        environment |= {
            "HEARTMAP_IDENTITY": "direct",
            "HEARTMAP_INTERNAL_HOST": tls.DNS_NAME,
            "HEARTMAP_TRUSTED_PROXIES": "127.0.0.1/32",
            "HEARTMAP_TLS_CERTIFICATE": str(files.certificate),
            "HEARTMAP_TLS_KEY": str(files.key),
            "HEARTMAP_PORT": str(port),
            "HEARTMAP_SCRATCH_DIR": str(scratch),
        }
        with running("heartmap_service.api", environment=environment, log=directory / "api.log") as api:
            wait_for(port, api, directory / "api.log")
            yield port


def measure(directory: Path, files: tls.TlsFiles, port: int, token: str) -> Iterator[Row]:
    bearer = f"Authorization: Bearer {token}"
    basic = "Authorization: Basic " + authorizer_calls.base64.b64encode(f"lab:{PASSWORD}".encode()).decode()
    callers = {"the service alone": Caller(port, bearer)}
    guarded: dict[str, Caller] = {}
    with contextlib.ExitStack() as stack:

        def start(name: str, kind: str, **more: Any) -> int | None:
            place = directory / name
            place.mkdir()
            try:
                return stack.enter_context(runners.run(kind, gateway(place, port, files, **more), place)).port
            except Skipped as missing:
                print(missing)
                return None

        for kind in ("nginx", "apache"):
            if found := start(kind, kind):
                callers[kind] = Caller(found, bearer)
                for name, cost in (("a made password", GENERATED_COST), ("a chosen password", TYPED_COST)):
                    if behind := start(f"{kind}-{cost}", kind, password_cost=cost):
                        guarded[f"{kind}, {name}"] = Caller(behind, basic, f"X-HeartMAP-Authorization: Bearer {token}")
        yield from ratios(asyncio.run(in_turn(callers, CALLS, BATCH)))
        alone = {"the service alone": Caller(port, bearer)}
        taken = asyncio.run(in_turn(alone | guarded, PASSWORD_CALLS, 10))
        yield from (row._replace(target=None) for row in ratios(taken) if "p50" in row.name and row.unit != "ms")


def ratios(taken: dict[str, list[float]]) -> Iterator[Row]:
    """The service's own figures, and how many times as long a call takes through each gateway."""
    own = {"p50": percentile(taken["the service alone"], 50), "p99": percentile(taken["the service alone"], 99)}
    for name, milliseconds in taken.items():
        for what, of_service, most in (("p50", own["p50"], MOST_AT_P50), ("p99", own["p99"], MOST_AT_P99)):
            value = percentile(milliseconds, int(what[1:]))
            if name == "the service alone":
                yield Row(f"GET /models, {name}, {what}", value, "ms", None)
            else:
                yield Row(f"GET /models, through {name}, {what}", value / of_service, "x alone", most)


def percentile(milliseconds: list[float], which: int) -> float:
    return statistics.quantiles(milliseconds, n=100)[which - 1]


def main() -> None:
    # Ended from outside it ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="heartmap-bench-") as name:
        directory = Path(name)
        # Apache's and nginx's processes give root up, and have to reach what is theirs.
        directory.chmod(0o755)
        files = tls.ensure(directory / "tls")
        key = rsa.generate_private_key(65537, 2048)
        with service(directory, files, key) as port:
            print(f"{'':58}{'':>9} {'':9}{'at most':>8}")
            for row in measure(directory, files, port, authorizer_calls.token(key, 1)):
                tell(row)


if __name__ == "__main__":
    main()
