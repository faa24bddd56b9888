"""A large data set on its way: killed in the middle and gone on with, what it takes of memory, and how quick it is.

    make bench

`heartmapctl upload` runs as a process of its own against a stand-in for the API and the bucket (upload_stand_in.py), on this
machine. The file is sparse, and each of its parts is another. Memory is the most that the process was seen to have resident,
looked at every 20 ms. Two GB are killed with SIGKILL in the middle and gone on with. A smaller file is sent by one and by more
connections, over a way of 40 ms there and back that carries 40 MB/s a connection, as one to a distant region may, and over one
without a bound, where this machine is what is slow.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil

HERE = Path(__file__).parent
PART_BYTES = 16 * 1024 * 1024
SIZE = 2_000_000_000
SMALLER = 400_000_000
MOST_RESIDENT = 200 * 1024 * 1024
LATENCY, RATE = 0.04, 40e6
# Of an API key it has the form, which is all that the stand-in wants.
KEY = f"hm_local_{'01J8ZQ4Y7M3W5X9K2B6C1D0EFG'}_{'s' * 43}"
CLIENT = "import sys; from operator_cli import main, parts; parts.AT_ONCE = int(sys.argv.pop(1)); main.main()"


class Run(NamedTuple):
    """One command: its exit code (negative: the signal that ended it), its seconds, and the most memory it was seen to have."""

    code: int
    seconds: float
    resident: int


class Resumed(NamedTuple):
    """An upload that was killed once. ``first`` and ``second`` are the bytes that the bucket got from each command."""

    size: int
    first: int
    second: int
    killed: Run
    resumed: Run
    seen: dict[str, Any]

    @property
    def twice(self) -> int:
        """Bytes that were sent in vain: what was under way when the process was killed."""
        return self.first + self.second - self.size


def make_file(path: Path, size: int) -> Path:
    """A file of that size, which takes little of the disk; each of its parts is another one."""
    with path.open("wb") as file:
        file.truncate(size)
        for offset in range(0, size, PART_BYTES):
            file.seek(offset)
            file.write(f"part at {offset}"[: size - offset].encode())
    return path


@contextlib.contextmanager
def stand_in(directory: Path, file: Path, *, latency: float = 0, rate: float | None = None) -> Iterator[Path]:
    """The environment as a state directory."""
    state = Path(tempfile.mkdtemp(dir=directory))
    command = [sys.executable, str(HERE / "upload_stand_in.py"), "--state", str(state), "--file", str(file)]
    command += ["--latency", str(latency), *(["--rate", str(rate)] if rate is not None else [])]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(HERE.parent)})
    try:
        for _ in range(600):
            if (state / "bucket").exists():
                break
            time.sleep(0.1)
        yield state
    finally:
        process.kill()
        process.wait()


def seen(state: Path) -> dict[str, Any]:
    with urllib.request.urlopen((state / "bucket").read_text() + "/seen", timeout=60) as answer:  # noqa: S310  (of this machine)
        return json.load(answer)


def upload(state: Path, file: Path, *, at_once: int = 4, kill_at: int | None = None) -> Run:
    """Run the command; with `kill_at`, only until the bucket has got so many bytes."""
    surroundings = {**os.environ, "HEARTMAP_LOCAL_STATE": str(state), "HEARTMAP_API_KEY": KEY}
    command = [sys.executable, "-c", CLIENT, str(at_once), "upload", str(file), "--json"]
    begun, resident = time.monotonic(), 0
    process = psutil.Popen(command, env=surroundings, cwd=HERE.parent, stdout=subprocess.DEVNULL)
    looked = 0
    while process.poll() is None:
        with contextlib.suppress(psutil.Error):
            resident = max(resident, process.memory_info().rss)
        looked += 1
        if kill_at is not None and looked % 5 == 0 and seen(state)["bytes"] >= kill_at:
            process.kill()
            process.wait()
        time.sleep(0.02)
    return Run(process.returncode, time.monotonic() - begun, resident)


def killed_and_resumed(size: int, *, rate: float | None = None) -> Resumed:
    """Send a file of that size with a SIGKILL in the middle, and the same command again."""
    with tempfile.TemporaryDirectory() as directory:
        file = make_file(Path(directory) / "cells.h5ad", size)
        with stand_in(Path(directory), file, rate=rate) as state:
            killed = upload(state, file, kill_at=size // 2)
            first = seen(state)["bytes"]
            resumed = upload(state, file)
            after = seen(state)
            return Resumed(size, first, after["bytes"] - first, killed, resumed, after)


def seconds(size: int, at_once: int, *, latency: float, rate: float | None) -> float:
    """How long a whole upload takes by so many connections, the start of the program included."""
    with tempfile.TemporaryDirectory() as directory:
        file = make_file(Path(directory) / "cells.h5ad", size)
        with stand_in(Path(directory), file, latency=latency, rate=rate) as state:
            run = upload(state, file, at_once=at_once)
            if run.code or not seen(state)["complete"]:
                raise RuntimeError("an upload failed")
            return run.seconds


def main() -> None:
    """Print what was measured."""
    outcome = killed_and_resumed(SIZE)
    mb = 1e6
    print(f"upload of {outcome.size / mb:.0f} MB, killed after {outcome.first / mb:.0f} MB")
    print(f"  the same command again: sent {outcome.second / mb:.0f} MB ({outcome.twice / mb:.0f} MB for a second time)")
    for name, run in (("killed", outcome.killed), ("resumed", outcome.resumed)):
        print(
            f"  {name}: {run.seconds:.1f} s, at most {run.resident / 2**20:.0f} MiB resident (target {MOST_RESIDENT / 2**20:.0f})"
        )
    print(f"upload of {SMALLER / mb:.0f} MB, {LATENCY * 1000:.0f} ms there and back, {RATE / mb:.0f} MB/s a connection")
    for at_once in (1, 2, 4, 8):
        print(f"  {at_once} at once: {seconds(SMALLER, at_once, latency=LATENCY, rate=RATE):.1f} s")
    print(f"upload of {SMALLER / mb:.0f} MB, {LATENCY * 1000:.0f} ms there and back, no bound")
    for at_once in (1, 4):
        print(f"  {at_once} at once: {seconds(SMALLER, at_once, latency=LATENCY, rate=None):.1f} s")


if __name__ == "__main__":
    main()
