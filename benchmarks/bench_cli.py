"""How long heartmapctl takes to start, by the time of an empty Python program: `--help` of the whole, and of a verb.

    make bench

Each figure is a ratio of medians of runs that take turns. The exit code is 1 when `heartmapctl --help` takes more than 3 times as
long as `python -c pass`; that of a verb, which has to load typer, is told only.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

MOST = 3.0
PROGRAM = str(Path(sys.executable).parent / "heartmapctl")
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "heartmapctl --help": [PROGRAM, "--help"],
    "heartmapctl jobs list --help": [PROGRAM, "jobs", "list", "--help"],
}


def seconds(command: list[str]) -> float:
    before = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - before


def main() -> int:
    parser = argparse.ArgumentParser(description="How long heartmapctl takes to start.")
    parser.add_argument("--runs", type=int, default=20, help="of each (default: 20)")
    count = parser.parse_args().runs
    for command in COMMANDS.values():
        seconds(command)
    taken = [{name: seconds(command) for name, command in COMMANDS.items()} for _ in range(count)]
    medians = {name: statistics.median(each[name] for each in taken) for name in COMMANDS}
    empty = medians["python -c pass"]
    for name, median in medians.items():
        print(f"{name:30} {median * 1000:6.0f} ms  {median / empty:5.2f} x")
    return int(medians["heartmapctl --help"] / empty > MOST)


if __name__ == "__main__":
    sys.exit(main())
