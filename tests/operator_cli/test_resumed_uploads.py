"""`heartmapctl upload` as a process that is ended in the middle. Two GB, and how quick it is: benchmarks/bench_upload.py."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.bench_upload import KEY, MOST_RESIDENT, PART_BYTES, killed_and_resumed, make_file, seen, stand_in
from operator_cli.parts import AT_ONCE

SIZE = 12 * PART_BYTES + 12_345


def test_an_upload_that_was_killed_goes_on_where_it_was_with_memory_flat() -> None:
    outcome = killed_and_resumed(SIZE, rate=30e6)
    assert (outcome.killed.code, outcome.resumed.code) == (-signal.SIGKILL, 0)
    assert outcome.seen["complete"]
    assert outcome.seen["wrong"] == []
    assert len(outcome.seen["keys"]) == 1
    assert outcome.first >= SIZE // 2
    # Again comes what was under way, and what may have arrived in the last moment without its answer having been noted.
    assert 0 <= outcome.twice <= 2 * AT_ONCE * PART_BYTES
    assert outcome.second < SIZE * 3 // 4 + AT_ONCE * PART_BYTES
    assert outcome.seen["at_once"] <= 2 * AT_ONCE
    assert max(outcome.killed.resident, outcome.resumed.resident) <= MOST_RESIDENT


def test_ctrl_c_says_what_is_there_and_that_the_same_command_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = make_file(tmp_path / "cells.h5ad", SIZE)
    command = [sys.executable, "-m", "operator_cli.main", "upload", str(file)]
    with stand_in(tmp_path, file, rate=10e6) as state:
        surroundings = {**os.environ, "HEARTMAP_LOCAL_STATE": str(state), "HEARTMAP_API_KEY": KEY}
        process = subprocess.Popen([*command, "--json"], env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while not seen(state)["parts"]:
            time.sleep(0.05)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        interrupted = time.monotonic()
        out, error = process.communicate(timeout=60)
        # The parts under way are let go: at this rate they would take seconds.
        assert time.monotonic() - interrupted < 10
        assert process.returncode == 130
        told = json.loads(out)
        assert told["upload_id"]
        assert told["error"]["next_step"] == "The same command goes on there."
        assert b"MB of 201.3 MB are there" in error
        again = subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=300)
        assert again.returncode == 0
        assert "Going on with cells.h5ad: " in again.stderr
        assert seen(state)["complete"]
