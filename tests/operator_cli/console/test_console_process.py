"""`heartmapctl console` as a process: how it begins, how it ends, and what it leaves."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from operator_cli.tokens import Tokens

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(state: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts `heartmapctl console`; every call one more."""
    processes: list[subprocess.Popen[bytes]] = []

    def run(*words: str, **surroundings: str) -> "subprocess.Popen[bytes]":
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "operator_cli", "console", *words],
                stdout=subprocess.PIPE,
                stderr=(tmp_path / f"stderr-{len(processes)}").open("wb"),
                env=os.environ | surroundings,
                cwd=Path(__file__).parents[3],
            )
        )
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _url(process: "subprocess.Popen[bytes]") -> str:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())["url"]


@contextmanager
def _page(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url.partition("/start")[0], timeout=20) as page:
        found = re.search(r'"heartmap-console-key", "([A-Za-z0-9_-]+)"', page.get(url).text)
        assert found is not None
        page.headers["X-HeartMAP-Console"] = found[1]
        yield page


def _ended(process: "subprocess.Popen[bytes]", seconds: float = 15) -> tuple[int, bytes]:
    out, _ = process.communicate(timeout=seconds)
    return process.returncode, out


def _left(state: Path) -> list[str]:
    return [path.name for path in (state / "heartmapctl").glob("console*")]


def test_one_line_and_then_it_serves_until_it_is_interrupted(start: Start, state: Path, tmp_path: Path) -> None:
    process = start("--no-browser", "--json")
    url = _url(process)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/start\?token=[\w-]{43}", url)
    with _page(url) as page:
        # Nobody is signed in, and it offers to.
        session = page.get("/console/session").json()
        assert (session["signed_in"], session["sign_in"]) == (False, "none")
        process.send_signal(signal.SIGINT)
        assert _ended(process) == (0, b"")
    assert (tmp_path / "stderr-0").read_bytes() == b""
    assert not _left(state)


def test_an_interruption_at_once_is_an_end_too(start: Start, state: Path) -> None:
    process = start("--no-browser", "--json")
    _url(process)
    process.send_signal(signal.SIGINT)
    assert _ended(process) == (0, b"")
    assert not _left(state)


def test_without_json_people_are_told(start: Start, tmp_path: Path) -> None:
    process = start("--no-browser")
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"http://127.0.0.1:")
    process.send_signal(signal.SIGINT)
    assert _ended(process)[0] == 0
    assert b"Ctrl-C ends it" in (tmp_path / "stderr-0").read_bytes()


def test_two_consoles_stand_side_by_side(start: Start, state: Path) -> None:
    one, other = start("--no-browser", "--json"), start("--no-browser", "--json")
    with _page(_url(one)) as page, _page(_url(other)) as other_page:
        assert page.base_url != other_page.base_url
        one.send_signal(signal.SIGINT)
        assert _ended(one)[0] == 0
        assert other_page.get("/console/session").status_code == 200
        other.send_signal(signal.SIGINT)
        assert _ended(other)[0] == 0
    assert not _left(state)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_that_is_taken_is_told(start: Start, host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as taken:
        port = taken.getsockname()[1]
        code, out = _ended(start("--no-browser", "--json", "--port", str(port)))
    assert code == 1
    assert str(port) in json.loads(out)["error"]["message"]


def test_an_end_cuts_an_upload_off_and_leaves_no_process(
    start: Start, state: Path, signed_in: Tokens, server: Any, bucket: Any, reply: Any, upload_id: str
) -> None:
    server.routes["POST", "/uploads"] = reply(201, {"upload_id": upload_id, "part_bytes": 50_000_000, "parts": 2})
    server.routes["POST", f"/uploads/{upload_id}/parts"] = reply(200, {"parts": [{"number": 1, "url": f"{bucket.url}/part"}]})
    process = start("--no-browser", "--json")
    url = _url(process)
    with _page(url) as page:
        assert page.post("/console/uploads", json={"name": "a.h5ad", "bytes": 60_000_000}).status_code == 200
        cookie = "; ".join(f"{name}={value}" for name, value in page.cookies.items())
        head = (
            f"PUT /console/uploads/{upload_id}/parts/1 HTTP/1.1\r\nHost: {page.base_url.netloc.decode()}\r\nCookie: {cookie}\r\n"
            f"X-HeartMAP-Console: {page.headers['X-HeartMAP-Console']}\r\nContent-Length: 50000000\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", page.base_url.port or 0)) as connection:
            connection.sendall(head.encode() + b"x" * 1_000_000)
            time.sleep(0.3)
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert _ended(process)[0] == 0
            assert time.monotonic() - began < 8
    assert not _left(state)


def test_what_a_killed_console_left_goes_with_the_next_one(
    start: Start, state: Path, signed_in: Tokens, results: Any, analysis_id: str
) -> None:
    results({"a.csv": b"x\n1\n"})
    killed, beside = start("--no-browser", "--json"), start("--no-browser", "--json")
    url = _url(beside)
    for process_url in (_url(killed), url):
        with _page(process_url) as page:
            assert page.get(f"/console/analyses/{analysis_id}/tables/a.csv").status_code == 200
    killed.kill()
    killed.wait()
    assert len(list((state / "heartmapctl").glob("console-cache-*/*/content"))) == 2
    after = start("--no-browser", "--json")
    _url(after)
    # That of the one that still runs stays.
    assert len(list((state / "heartmapctl").glob("console-cache-*/*/content"))) == 1
    for process in (beside, after):
        process.send_signal(signal.SIGINT)
        assert _ended(process)[0] == 0
    assert not _left(state)


def test_the_browser_is_led_there_without_the_token_in_a_command_line(
    start: Start, state: Path, tmp_path: Path, wait_for: Any
) -> None:
    """Every user of a machine can read its process list."""
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(
        f'#!/bin/sh\nprintf "%s" "$*" > {opened}.part && mv {opened}.part {opened}\nexec sleep 20 > /dev/null 2>&1\n'
    )
    browser.chmod(0o700)
    process = start("--json", BROWSER=f"{browser} %s")
    url = _url(process)
    token = url.partition("token=")[2]
    wait_for(opened.exists)
    address = opened.read_text()
    assert token not in address
    file = Path(address.removeprefix("file://"))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert url in file.read_text()
    if sys.platform == "linux":
        for words in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                assert token.encode() not in words.read_bytes(), words
            except OSError:
                continue
    process.send_signal(signal.SIGINT)
    assert _ended(process)[0] == 0
    assert not file.exists()


def test_nothing_secret_is_logged(start: Start, signed_in: Tokens, server: Any, reply: Any, tmp_path: Path) -> None:
    server.routes["GET", "/analyses"] = reply(500, b"not json")
    process = start("--no-browser", "--json")
    url = _url(process)
    with _page(url) as page:
        key = page.headers["X-HeartMAP-Console"]
        page.get("/api/analyses")
        page.get(url)
        page.get("/start?token=x", headers={"Host": "evil.example"})
        with socket.create_connection(("127.0.0.1", page.base_url.port or 0)) as connection:
            connection.sendall(b"nonsense\r\n\r\n")
            connection.recv(1000)
        process.send_signal(signal.SIGINT)
        code, out = _ended(process)
    told = out + (tmp_path / "stderr-0").read_bytes()
    assert code == 0
    for secret in (url.partition("token=")[2], key, signed_in.access_token, str(signed_in.refresh_token)):
        assert secret.encode() not in told
    assert (tmp_path / "stderr-0").read_bytes() == b""


def test_reading_results_ends_with_the_console(
    start: Start, signed_in: Tokens, results: Any, analysis_id: str, state: Path, wait_for: Any
) -> None:
    """What reads HDF5 is a process of its own: it must not outlive the console."""
    import io

    import h5py
    import numpy as np

    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.create_group("obs").attrs["column-order"] = np.array([], "S1")
        var = file.create_group("var")
        var.attrs["_index"] = "index"
        var["index"] = [f"G{n}" for n in range(3000)]
        file["obsm/X_umap"] = np.zeros((150_000, 2), "f4")
        file.create_dataset("X", (150_000, 3000), "f4", chunks=(1000, 1000), fillvalue=1.0)
    results({"annotated.h5ad": stream.getvalue()})
    process = start("--no-browser", "--json")
    with _page(_url(process)) as page:
        assert page.get(f"/console/analyses/{analysis_id}/cells").status_code == 200

        def readers() -> list[int]:
            found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False)
            return [int(line) for line in found.stdout.split()]

        (reader,) = wait_for(readers)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert _ended(process, 60)[0] == 0
        # It would have gone on for a minute.
        assert time.monotonic() - began < 10
    assert not Path(f"/proc/{reader}/cmdline").exists() or not Path(f"/proc/{reader}/cmdline").read_bytes()
    assert not _left(state)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
def test_a_large_upload_goes_on_after_a_kill_with_flat_memory(
    start: Start, signed_in: Tokens, server: Any, bucket: Any, reply: Any, upload_id: str
) -> None:
    part, parts, received = 32 * 1024**2, 6, []
    data = os.urandom(1024**2)

    def take(request: Any) -> Any:
        number = int(request.path.partition("?n=")[2])
        assert request.body == bytes([number]) + data * 32
        received.append(number)
        bucket.seen.clear()
        return reply(200, None, {"ETag": f'"{number}"'})

    def addresses(request: Any) -> Any:
        return reply(200, {"parts": [{"number": n, "url": f"{bucket.url}/part?n={n}"} for n in request.json["numbers"]]})

    server.routes["POST", "/uploads"] = reply(201, {"upload_id": upload_id, "part_bytes": part + 1, "parts": parts})
    server.routes["POST", f"/uploads/{upload_id}/parts"] = addresses
    server.routes["POST", f"/uploads/{upload_id}/complete"] = reply(200, {})
    bucket.routes["PUT", "/part"] = take
    file = {"name": "large.h5ad", "bytes": parts * (part + 1), "last_modified": 1}

    def peak(process: "subprocess.Popen[bytes]") -> int:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
        assert found is not None
        return int(found[1]) * 1024

    def send(page: httpx.Client, number: int) -> None:
        path = f"/console/uploads/{upload_id}/parts/{number}"
        assert page.put(path, content=bytes([number]) + data * 32).json() == {"number": number}

    killed = start("--no-browser", "--json")
    with _page(_url(killed)) as page:
        assert page.post("/console/uploads", json=file).json()["received"] == []
        before = peak(killed)
        for number in (1, 2, 3):
            send(page, number)
        assert peak(killed) - before < part // 2
        killed.kill()
        killed.wait()
    again = start("--no-browser", "--json")
    with _page(_url(again)) as page:
        missing = set(range(1, parts + 1)) - set(page.post("/console/uploads", json=file).json()["received"])
        assert missing == {4, 5, 6}
        for number in sorted(missing):
            send(page, number)
        assert page.post(f"/console/uploads/{upload_id}/complete").status_code == 200
    assert sorted(received) == [1, 2, 3, 4, 5, 6]
