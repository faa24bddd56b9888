"""Ctrl-C, with a real signal to a real process: exit code 130, and it is said what goes on at the server and where to find it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parents[2]


class Running:
    """heartmapctl in a process of its own, as a shell starts it."""

    def __init__(self, *words: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "operator_cli", *words],
            cwd=PROJECT,
            env=dict(os.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def interrupt(self, when: Callable[[], bool]) -> tuple[int, str, str]:
        """The exit code and the two streams after a SIGINT at that moment."""
        end = time.monotonic() + 60
        while not when():
            assert time.monotonic() < end, "the moment did not come"
            assert self._process.poll() is None, self._process.communicate()
            time.sleep(0.02)
        self._process.send_signal(signal.SIGINT)
        out, err = self._process.communicate(timeout=60)
        return self._process.returncode, out, err


def test_an_analysis_that_is_watched_goes_on(service: Any, upload_id: str, analysis_id: str, reply: Any) -> None:
    running = {**service.analysis, "state": "running", "stage": "clustering", "progress": 0.4}
    service.server.routes["GET", f"/analyses/{analysis_id}"] = reply(200, running)
    process = Running("analyze", upload_id, "--type", "basic", "--wait", "--json")
    code, out, err = process.interrupt(lambda: bool(service.server.requests("GET", f"/analyses/{analysis_id}")))
    assert code == 130
    told = json.loads(out)
    assert told["analysis_id"] == analysis_id
    assert f"heartmapctl jobs watch {analysis_id}" in told["error"]["next_step"]
    assert f"heartmapctl jobs cancel {analysis_id}" in err
    assert "Traceback" not in err
    assert not service.server.requests("DELETE", f"/analyses/{analysis_id}")
    # And what it says is so.
    service.server.routes["GET", f"/analyses/{analysis_id}"] = reply(200, service.ended)
    watched = subprocess.run(
        [sys.executable, "-m", "operator_cli", "jobs", "watch", analysis_id, "--json"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(watched.stdout)["state"] == "succeeded"


def test_a_data_set_that_is_checked_goes_on_being_checked(service: Any, upload_id: str, reply: Any) -> None:
    service.server.routes["GET", f"/uploads/{upload_id}"] = reply(200, {"upload_id": upload_id, "state": "checking"})
    process = Running("analyze", upload_id, "--type", "basic", "--wait", "--json")
    code, out, _ = process.interrupt(lambda: bool(service.server.requests("GET", f"/uploads/{upload_id}")))
    assert (code, json.loads(out)["upload_id"]) == (130, upload_id)
    assert not service.server.requests("POST", "/analyses")


@pytest.mark.parametrize(
    ("words", "route", "where"),
    [
        (["analyze", "UPLOAD", "--type", "basic"], ("POST", "/analyses"), "heartmapctl jobs list"),
        (["config", "restore", "1"], ("POST", "/config"), "heartmapctl config history"),
        (["config", "set", "resolution=0.8"], ("POST", "/config"), "heartmapctl config history"),
        (["keys", "create", "nightly", "--scope", "analyses:read"], ("POST", "/keys"), "heartmapctl keys list"),
        (["uploads", "share", "UPLOAD", "shared"], ("PATCH", "/uploads/UPLOAD"), "heartmapctl uploads list"),
        (["jobs", "cancel", "UPLOAD"], ("DELETE", "/analyses/UPLOAD"), "heartmapctl jobs list"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_change_that_was_on_its_way_says_where_to_look(
    service: Any, upload_id: str, reply: Any, words: list[str], route: tuple[str, str], where: str
) -> None:
    release = threading.Event()

    def hang(_: Any) -> Any:
        release.wait(60)
        return reply(204)

    method, path = route[0], route[1].replace("UPLOAD", upload_id)
    service.server.routes["GET", "/config"] = reply(200, {"version": 2, "config": {"resolution": 0.5}}, {"ETag": '"2"'})
    service.server.routes["GET", f"/uploads/{upload_id}"] = reply(200, {"upload_id": upload_id, "state": "accepted"})
    service.server.routes[method, path] = hang
    process = Running(*(word.replace("UPLOAD", upload_id) for word in words), "--json")
    try:
        code, out, err = process.interrupt(lambda: bool(service.server.requests(method, path)))
    finally:
        release.set()
    assert code == 130
    assert "may have carried it out" in json.loads(out)["error"]["message"]
    assert where in json.loads(out)["error"]["next_step"]
    assert where in err
    assert "Traceback" not in err


def test_what_only_reads_leaves_nothing_behind(service: Any, reply: Any) -> None:
    release = threading.Event()
    service.server.routes["GET", "/analyses"] = lambda _: (release.wait(60), reply(200, {"analyses": []}))[1]
    process = Running("jobs", "list", "--json")
    try:
        code, out, _ = process.interrupt(lambda: bool(service.server.requests("GET", "/analyses")))
    finally:
        release.set()
    assert (code, json.loads(out)["error"]["message"]) == (130, "Interrupted.")


def test_an_upload_that_is_sent_goes_on_when_the_command_is_run_again(
    service: Any, tmp_path: Path, upload_id: str, reply: Any
) -> None:
    file = tmp_path / "cells.h5ad"
    file.write_bytes(b"\x89HDF\r\n\x1a\n" + b"cells" * 1000)
    release = threading.Event()
    service.bucket.routes["POST", "/uploads"] = lambda _: (release.wait(60), reply(204))[1]
    process = Running("analyze", str(file), "--type", "basic", "--wait", "--json")
    try:
        code, out, _ = process.interrupt(lambda: bool(service.bucket.requests("POST", "/uploads")))
    finally:
        release.set()
    assert code == 130
    assert "same command" in json.loads(out)["error"]["next_step"]
    assert not service.server.requests("POST", "/analyses")
