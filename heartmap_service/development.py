"""The service for whoever develops HeartMAP itself: API and worker on this machine's loopback, in plain HTTP, on an emulated AWS.

    HEARTMAP_ENVIRONMENT=local python -m heartmap_service.development

Who calls is checked as everywhere (identity direct), by an API key that is made at each start and told once. With the process its
AWS ends, and what was in it. It starts in no deployed environment, on no other address than the loopback's, and not from the
image, which has no emulated AWS. With HEARTMAP_TLS_CERTIFICATE and HEARTMAP_TLS_KEY it speaks TLS.
"""

import argparse
import base64
import contextlib
import ipaddress
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

HOST, PORT = "localhost", 8000
BIND_ADDRESS = "127.0.0.1"
NAME = "developer"
DEPLOYED = ("AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_NAME", "ECS_CONTAINER_METADATA_URI", "ECS_CONTAINER_METADATA_URI_V4")
"""What AWS sets in what it runs."""
CREDENTIALS = "local"
"""Of the emulated AWS. Whatever this machine has of AWS is out of reach."""
KEY_SECONDS = 24 * 3600
END_SECONDS = 20
KEPT = ("HEARTMAP_ENVIRONMENT", "HEARTMAP_LOG_LEVEL", "HEARTMAP_NUMBA_CACHE_SEED", "HEARTMAP_TLS_CERTIFICATE", "HEARTMAP_TLS_KEY")
"""What is taken from the environment."""

_WORKER = """
import os
from heartmap_service import kernel, worker
kernel.die_with_parent(int(os.environ["HEARTMAP_PARENT"]))
worker.main()
"""


class NotHere(Exception):
    """Why this may not run; for a person to read."""


def check(environ: Mapping[str, str], address: str) -> None:
    """Raises NotHere anywhere but in local, and for an address that others can reach."""
    if environ.get("HEARTMAP_ENVIRONMENT") != "local":
        raise NotHere("Development mode is for one person's machine: it starts with HEARTMAP_ENVIRONMENT=local alone.")
    deployed = [name for name in DEPLOYED if environ.get(name)]
    if deployed:
        raise NotHere(f"Development mode does not start where AWS runs it: {', '.join(deployed)} is set.")
    try:
        is_loopback = ipaddress.ip_address(address).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise NotHere(
            "Development mode listens on the loopback alone: --bind 127.0.0.1 or ::1. For others: docs/direct-identity.md"
        )


def own_surroundings(environ: MutableMapping[str, str]) -> None:
    """Forget what there is of AWS and of other environments, so that nothing of theirs takes part."""
    for name in [name for name in environ if name.startswith(("AWS_", "HEARTMAP_")) and name not in KEPT]:
        del environ[name]
    environ.update({"AWS_ACCESS_KEY_ID": CREDENTIALS, "AWS_SECRET_ACCESS_KEY": CREDENTIALS, "AWS_EC2_METADATA_DISABLED": "true"})


def _variables(endpoint: str, directory: Path, address: str, port: int) -> dict[str, str]:
    """The environment of the API and the worker, but for what they work on."""
    pepper, key = (base64.b64encode(secrets.token_bytes(32)).decode("ascii") for _ in range(2))
    files = {
        "secrets.json": {"api_key_pepper": pepper, "assertion_keys": {"k1": key}, "current_assertion_key": "k1"},
        # Nobody signs in here: the other half of this one is in no memory any more, and no token is valid.
        "jwks.json": {"keys": [_public_key()]},
    }
    for name, content in files.items():
        (directory / name).touch(mode=0o600)
        (directory / name).write_text(json.dumps(content), encoding="ascii")
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "HEARTMAP_IDENTITY": "direct",
        "HEARTMAP_INTERNAL_HOST": HOST,
        "HEARTMAP_BIND_ADDRESS": address,
        "HEARTMAP_PORT": str(port),
        "HEARTMAP_ISSUERS": f"https://{HOST}/nobody",
        "HEARTMAP_CLIENT_IDS": "nobody",
        "HEARTMAP_JWKS_FILE": str(directory / "jwks.json"),
        "HEARTMAP_SECRETS_FILE": str(directory / "secrets.json"),
        "HEARTMAP_SCRATCH_DIR": str(directory / "scratch"),
        "HEARTMAP_PARENT": str(os.getpid()),
    }


def _public_key() -> dict[str, str]:
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

    from lambda_authorizer.encoding import b64url

    modulus = generate_private_key(65537, 2048).public_key().public_numbers().n
    return {"kty": "RSA", "alg": "RS256", "kid": "nobody", "n": b64url(modulus.to_bytes(256, "big")), "e": b64url(b"\1\0\1")}


def _deployed_on(directory: Path, endpoint: str, address: str, port: int) -> Any:
    """What the service works on, made in the emulated AWS, and the environment to match; its clients."""
    import boto3

    from heartmap_service.clients import Clients
    from local_cloud import service_resources

    os.environ |= _variables(endpoint, directory, address, port)
    os.environ["AWS_REGION"] = os.environ["AWS_DEFAULT_REGION"] = service_resources.REGION
    clients = Clients(*(boto3.client(name, endpoint_url=endpoint) for name in ("dynamodb", "s3", "sqs")))
    made = service_resources.create(clients)
    os.environ |= {f"HEARTMAP_{name.upper()}": str(made[name]) for name in made if name != "region"}
    os.environ |= service_resources.create_key_tables(clients.dynamodb)
    return clients


def _new_key(dynamodb: Any, secrets_file: Path) -> str:
    """A key that opens what a program may do without signing, from this machine."""
    from lambda_authorizer.access_policy import SCOPES
    from lambda_authorizer.secret_store import parse
    from lambda_keys import records
    from lambda_keys.bodies import SIGNED_SCOPES, NewKey

    wanted = NewKey(NAME, SCOPES - SIGNED_SCOPES, KEY_SECONDS, frozenset({"127.0.0.0/8", "::1/128"}), None)
    pepper = parse(secrets_file.read_bytes()).api_key_pepper
    made = records.make(wanted, environment="local", pepper=pepper, by=NAME, now=time.time())
    dynamodb.put_item(TableName=os.environ["HEARTMAP_API_KEYS_TABLE"], Item=made.item)
    return made.key


@contextlib.contextmanager
def _worker(wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    from local_cloud.prepared import CACHES, prepared

    # Compiled code, which takes a minute to make, once for a checkout.
    seed = os.environ.get("HEARTMAP_NUMBA_CACHE_SEED") or str(prepared() / CACHES)
    # As the local environment does, on a machine that is somebody's own.
    own = {"HEARTMAP_NUMBA_CACHE_SEED": seed, "HEARTMAP_PRELOAD_LARGE": "false"}
    process = subprocess.Popen([sys.executable, "-c", _WORKER], env=os.environ | own)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _tell(key: str, port: int, *, tls: bool) -> None:
    """On standard error: standard output is the log, and in that no key belongs."""
    url = f"{'https' if tls else 'http'}://{HOST}:{port}"
    sys.stderr.write(
        f"HeartMAP for its developers: {url}\nThe key of this run, told once; nothing is kept after it:\n\n"
        f'  export KEY={key}\n  curl -H "Authorization: ApiKey $KEY" {url}/models\n\nCtrl-C ends it.\n'
    )
    sys.stderr.flush()


def _serve(address: str, port: int, *, worker: bool) -> None:
    import uvicorn

    from heartmap_service import server
    from heartmap_service.api import create_app
    from heartmap_service.clients import connect
    from heartmap_service.log import configure
    from heartmap_service.settings import ApiSettings, load
    from local_cloud.moto_server import running_moto

    with tempfile.TemporaryDirectory(prefix="heartmap-development-") as text, running_moto() as endpoint:
        directory = Path(text)
        (directory / "scratch").mkdir(mode=0o700)
        clients = _deployed_on(directory, endpoint, address, port)
        settings = load(ApiSettings)
        configure("api", settings.log_level)
        app = create_app(settings, connect(settings))
        tls = settings.tls_certificate is not None
        config = server.listening(app, settings) if tls else server.without_tls(app, host=address, port=port)
        with _worker(worker):
            _tell(_new_key(clients.dynamodb, directory / "secrets.json"), port, tls=tls)
            uvicorn.Server(config).run()


def main() -> None:
    """Serves until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(prog="heartmap_service.development", description="The service, for its developers.")
    parser.add_argument("--port", type=int, default=PORT, help=f"TCP port (default: {PORT})")
    parser.add_argument("--bind", default=BIND_ADDRESS, help=f"address of the loopback (default: {BIND_ADDRESS})")
    parser.add_argument("--no-worker", action="store_true", help="the API alone: uploads are not checked, nothing is analysed")
    arguments = parser.parse_args()
    try:
        check(os.environ, arguments.bind)
    except NotHere as refusal:
        sys.exit(str(refusal))
    own_surroundings(os.environ)
    # In order: the worker and the emulated AWS end with this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.suppress(KeyboardInterrupt):
        _serve(arguments.bind, arguments.port, worker=not arguments.no_worker)


if __name__ == "__main__":
    main()
