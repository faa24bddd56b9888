"""What a decision of the authorizer costs, as ratios in one run: machines differ and are noisy, ratios hold.

    make bench

RAW is one RSA-2048 PKCS1v15-SHA256 verification with `cryptography`, the work that no RS256 verifier can do without. REF is the
start of an interpreter that imports json, logging, traceback and what `cryptography` needs for RAW. Beside a figure stands what
it is to be at most, where there is something to be said. Times are of the processor: what else runs on the machine still empties
its caches, and adds more to a decision than to RAW.

The table of API keys is in this process: no network is measured. Cold starts are of the package as it is deployed, unpacked, with
its bytecode; REF imports the same package's `cryptography`.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jwt
from authorizer_calls import ISSUER, Program, bearer, environment, key_set, token
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from lambda_authorizer import package
from lambda_authorizer.aws import Aws

WARM, ROUNDS = 300, 15
AT_ONCE = 10
"""Decisions between two readings of the clock, which takes as long as a tenth of one."""
COLD = 15

# Each is told the folders to import from, and gets an event on its standard input.
PATHS = "import sys; sys.path[:0] = sys.argv[1:]\n"
REFERENCE = f"""{PATHS}
import json, logging, traceback
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
"""
FIRST_DECISION = f"{PATHS}import json\nfrom lambda_authorizer.handler import handler\nhandler(json.load(sys.stdin), None)"
USUAL_FIRST_DECISION = f"{PATHS}import json\nfrom usual_stack import handler\nhandler(json.load(sys.stdin), None)"


class Row(NamedTuple):
    """A measured ratio, and what it is to be at most."""

    name: str
    ratio: float
    target: float | None


def seconds(work: Callable[[], object]) -> float:
    started = time.thread_time()
    work()
    return time.thread_time() - started


def after_parsing(work: Callable[[dict[str, Any]], object], events: list[dict[str, Any]]) -> float:
    """Seconds for all, each on an event that was parsed a moment before: Lambda's runtime does that, and it is not counted."""
    documents, taken = [json.dumps(event) for event in events], 0.0
    for first in range(0, len(documents), AT_ONCE):
        parsed = [json.loads(document) for document in documents[first : first + AT_ONCE]]
        taken += seconds(lambda parsed=parsed: [work(event) for event in parsed])
    return taken


def table(programs: Iterable[Program], pepper: bytes) -> Callable[..., dict[str, Any]]:
    """Instead of `Aws.call`: a table with these programs' keys, and one where every nonce is new."""
    items = {program.public_id: program.item(pepper) for program in programs}

    def call(self: Aws, service: str, operation: str, parameters: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: ARG001
        if operation.endswith(".GetItem"):
            return {"Item": items[parameters["Key"]["public_id"]["S"]]}
        return {}

    return call


def warm(key: rsa.RSAPrivateKey, pepper: bytes) -> list[Row]:
    """Medians of rounds in which each contender takes its turn: a decision's time as a multiple of RAW."""
    from usual_stack import handler as usual

    from lambda_authorizer.handler import handler

    plain = Program.make("plain0000000000000000000000", signs=False)
    signing = Program.make("signing00000000000000000000", signs=True)
    Aws.call = table((plain, signing), pepper)

    public = key.public_key()
    message = b"x" * 700
    scheme, digest = padding.PKCS1v15(), hashes.SHA256()
    proof = key.sign(message, scheme, digest)

    def decide(event: dict[str, Any]) -> object:
        return handler(event, None)

    known = bearer(token(key, -1))
    handler(known, None)
    handler(plain.call(), None)
    ratios: dict[str, list[float]] = {}
    for turn in range(ROUNDS):
        tokens = [token(key, turn * WARM + number) for number in range(WARM)]
        new, again, keyed = [bearer(each) for each in tokens], [known] * WARM, [plain.call()] * WARM
        signed = [signing.call() for _ in range(WARM)]
        raw = after_parsing(lambda _: public.verify(proof, message, scheme, digest), new)
        taken = {
            "new token": after_parsing(decide, new),
            "repeated token": after_parsing(decide, again),
            "API key, record at hand": after_parsing(decide, keyed),
            "API key, signed call": after_parsing(decide, signed),
            "usual stack, new token": after_parsing(lambda event: usual(event, None), new),
            "PyJWT with a key object, token alone": seconds(
                lambda tokens=tokens: [jwt.decode(each, public, algorithms=["RS256"], issuer=ISSUER) for each in tokens]
            ),
        }
        for name, time_taken in taken.items():
            ratios.setdefault(name, []).append(time_taken / raw)
    targets = {"new token": 2.0, "repeated token": 0.35, "API key, record at hand": 1.0}
    return [Row(name, statistics.median(values), targets.get(name)) for name, values in ratios.items()]


def cold(key: rsa.RSAPrivateKey, variables: dict[str, str], directory: Path) -> list[Row]:
    """CPU time of a fresh interpreter up to its first decision, as a multiple of REF."""
    built = package.build(directory, key_set=key_set(key), target=package.Target.host())
    task = directory / "task"
    with zipfile.ZipFile(built) as zipped:
        zipped.extractall(task)
    text = json.dumps(bearer(token(key, 0)))
    # Not this environment's: what it does at each start is not the function's.
    interpreter = Path(sys.base_prefix, "bin", f"python{sysconfig.get_python_version()}")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HEARTMAP_", "PYTHON"))}

    def cpu(program: str, *folders: Path, more: dict[str, str]) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [interpreter, "-c", program, *map(str, folders)],
            input=text,
            text=True,
            check=True,
            stdout=subprocess.DEVNULL,
            env={**clean, "PYTHONDONTWRITEBYTECODE": "1", **more},
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)

    beside = {name: value for name, value in variables.items() if name != "HEARTMAP_JWKS_FILE"}
    usual = (Path(__file__).parent, Path(sysconfig.get_path("purelib")))
    ratios: dict[str, list[float]] = {}
    # The first round, in which files are read for the first time, does not count.
    for turn in range(COLD + 1):
        reference = cpu(REFERENCE, task, more={})
        taken = {
            "start and first decision": cpu(FIRST_DECISION, task, more=beside),
            "usual stack, start and first decision": cpu(USUAL_FIRST_DECISION, *usual, more=variables),
        }
        for name, time_taken in taken.items() if turn else ():
            ratios.setdefault(name, []).append(time_taken / reference)
    targets = {"start and first decision": 1.2}
    return [Row(name, statistics.median(values), targets.get(name)) for name, values in ratios.items()]


def show(title: str, rows: list[Row]) -> None:
    print(title)
    for row in rows:
        limit = "" if row.target is None else f"   at most {row.target:.2f}"
        print(f"  {row.name:40} {row.ratio:6.2f}{limit}", flush=True)


def main() -> None:
    key, pepper = rsa.generate_private_key(public_exponent=65537, key_size=2048), os.urandom(32)
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        variables = environment(directory, key, pepper)
        os.environ.update(variables)
        # The audit lines are part of the work, but not of this program's output.
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
            decisions = warm(key, pepper)
        show("Authorizer, warm, whole handler, x RAW (one RSA-2048 verification)", decisions)
        show("Authorizer, cold, x REF (imports of an RSA verifier, CPU time)", cold(key, variables, directory))


if __name__ == "__main__":
    main()
