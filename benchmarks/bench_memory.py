"""Whether the authorizer's memory stays as it is: decisions on tokens that are all different, of people who are all different.

    make bench
    python benchmarks/bench_memory.py --decisions 1000000

Another process signs the tokens, which takes ten times as long as to decide on them. The figure is the resident memory at the end
by that after the warm-up, in which what is kept reaches its bounds. The exit code is 1 when it has grown by more than 5 %.
"""

import argparse
import contextlib
import multiprocessing
import os
import sys
import tempfile
from multiprocessing.queues import Queue
from pathlib import Path

import psutil
from authorizer_calls import bearer, environment, token
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

DECISIONS, WARM_UP, EVERY = 100_000, 20_000, 10_000
CHUNK, WAITING = 500, 4
GROWTH = 1.05
MIB = 1024 * 1024


def sign(der: bytes, count: int, chunks: "Queue[list[str]]") -> None:
    """Fill ``chunks`` with tokens, in a process of its own."""
    key = load_der_private_key(der, None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("The key is not RSA's.")
    for start in range(0, count, CHUNK):
        chunks.put([token(key, number) for number in range(start, min(start + CHUNK, count))])


def decide(count: int, chunks: "Queue[list[str]]") -> list[int]:
    """Bytes of resident memory after the warm-up and after each ten thousand decisions."""
    from lambda_authorizer.handler import handler

    memory, process, done = [], psutil.Process(), 0
    while done < count:
        for credential in chunks.get(timeout=60):
            if handler(bearer(credential), None)["policyDocument"]["Statement"][0]["Effect"] != "Allow":
                raise RuntimeError("A good token was denied.")
            done += 1
            if done >= WARM_UP and done % EVERY == 0:
                memory.append(process.memory_info().rss)
    return memory


def main() -> int:
    parser = argparse.ArgumentParser(description="Whether the authorizer's memory stays as it is.")
    parser.add_argument("--decisions", type=int, default=DECISIONS, help=f"default: {DECISIONS:,}")
    count = parser.parse_args().decisions
    if count < WARM_UP + EVERY:
        parser.error(f"at least {WARM_UP + EVERY:,} decisions are needed: a warm-up and something after it")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    fresh = multiprocessing.get_context("spawn")
    chunks = fresh.Queue(WAITING)
    with tempfile.TemporaryDirectory() as directory:
        os.environ.update(environment(Path(directory), key, os.urandom(32)))
        signer = fresh.Process(target=sign, args=(der, count, chunks), daemon=True)
        signer.start()
        # The audit lines are part of the work, but not of this program's output.
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
            memory = decide(count, chunks)
        signer.join()
    ratio = memory[-1] / memory[0]
    print(f"Authorizer, memory after {count:,} decisions by that after {WARM_UP:,}")
    print(f"  {'resident memory':40} {ratio:6.2f}   at most {GROWTH:.2f}   ({memory[0] / MIB:.1f} to {memory[-1] / MIB:.1f} MiB)")
    return int(ratio > GROWTH)


if __name__ == "__main__":
    sys.exit(main())
