"""A person at the console: a real browser, real keys and clicks, and the rules of WCAG checked by axe-core."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Route

from tests.e2e.conftest import BIN, PROJECT, clean_environment

if TYPE_CHECKING:
    from tests.e2e.conftest import Local

AXE = PROJECT / "console" / "node_modules" / "axe-core" / "axe.min.js"
# https://www.deque.com/axe/core-documentation/api-documentation/#axecore-tags
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# Debian's Chromium: as root it has no sandbox of its own, and it may not look for anything outside of this machine.
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 780}


def launched(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)


@dataclass(frozen=True)
class Console:
    """A running `heartmapctl console`: its address with the one-time start token, and its process."""

    url: str
    process: subprocess.Popen[str]

    @property
    def origin(self) -> str:
        found = re.match(r"http://[^/]+", self.url)
        assert found, self.url
        return found[0]


@contextmanager
def console(local: Local) -> Iterator[Console]:
    """Starts one and ends it as Ctrl-C does."""
    process = subprocess.Popen(
        [str(BIN / "heartmapctl"), "console", "--no-browser", "--json"],
        env=clean_environment() | {"HEARTMAP_LOCAL_STATE": str(local.state)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert line, process.communicate(timeout=10)[1]
        yield Console(json.loads(line)["url"], process)
        assert process.poll() is None, "the console ended by itself"
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


@contextmanager
def visiting(browser: Browser, local: Local, theme: str = "light", size: dict[str, int] = DESKTOP) -> Iterator[Page]:
    """A new browser profile with one page, which fails the test for errors in the browser's log."""
    # The sign-in page's certificate is of the environment's own authority, which the browser does not know.
    context: BrowserContext = browser.new_context(
        color_scheme="dark" if theme == "dark" else "light",
        viewport=size,  # pyright: ignore[reportArgumentType]  # playwright's own dictionary type
        ignore_https_errors=True,
        reduced_motion="reduce",
    )
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    failures: list[str] = []
    context.on("weberror", lambda error: failures.append(str(error.error)))
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.on("console", lambda message: failures.append(message.text) if _is_fault(message.text, message.type) else None)
    try:
        yield page
        assert not failures, failures
    finally:
        context.close()


def _is_fault(text: str, kind: str) -> bool:
    """What the browser logs as an error, but for the refusals that a page shows to people itself."""
    return kind == "error" and "Failed to load resource: the server responded with a status of" not in text


def violations(page: Page, *, colours_alone: bool = False) -> list[str]:
    """What axe-core objects to, one line a rule; of the rules about colours alone, where nothing else is different."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    found: dict[str, Any] = page.evaluate(
        """([tags, coloursAlone]) => axe.run(document, {
            resultTypes: ["violations"],
            runOnly: coloursAlone
                ? axe.getRules(tags).filter(rule => rule.tags.includes("cat.color")).map(rule => rule.ruleId)
                : tags,
        })""",
        [WCAG, colours_alone],
    )
    return [
        f"{one['id']}: {one['help']} at {[node['target'] for node in one['nodes']][:3]}: {one['nodes'][0].get('failureSummary')}"
        for one in found["violations"]
    ]


def picture(local: Local, page: Page, name: str) -> None:
    """A screenshot of the whole page for the documents, where `make pictures` says where to. No path of this machine is on it."""
    wanted = os.environ.get("PICTURES")
    if not wanted:
        return
    page.evaluate(
        """path => {
            const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
            while (texts.nextNode()) texts.currentNode.data = texts.currentNode.data.replaceAll(path, ".local");
        }""",
        str(local.state),
    )
    shot = Image.open(io.BytesIO(page.screenshot(full_page=True)))
    shot.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(Path(wanted) / f"{name}.png", optimize=True)


def routed(page: Page, cells: int) -> None:
    """From now on each analysis has so many made-up cells, of 20 clusters and 3,000 genes, as the console's server sends them."""
    columns, gene = _cells(cells), np.random.default_rng(2).gamma(1, 1, cells).astype("<f4").tobytes()

    def answer(route: Route) -> None:
        body = columns if "/cells" in route.request.url else gene
        route.fulfill(body=body, headers={"Content-Type": "application/octet-stream"})

    page.route(re.compile(r"/console/analyses/[^/]+/(cells|expression)"), answer)


def _cells(count: int) -> bytes:
    random = np.random.default_rng(1)
    codes = random.integers(0, 20, count).astype("<u2")
    points = (random.normal(0, 10, (20, 2))[codes] + random.normal(0, 1, (count, 2))).astype("<f4")
    columns = [
        {"name": "umap_1", "type": "float32", "offset": 0},
        {"name": "umap_2", "type": "float32", "offset": count * 4},
        {
            "name": "cluster",
            "type": "category",
            "codes": "uint16",
            "offset": count * 8,
            "categories": [str(n) for n in range(20)],
        },
    ]
    header = json.dumps({"cells": count, "columns": columns, "genes": [f"GENE{number}" for number in range(3_000)]}).encode()
    header += b" " * (-(4 + len(header)) % 8)
    return len(header).to_bytes(4, "little") + header + points[:, 0].tobytes() + points[:, 1].tobytes() + codes.tobytes()


def measured(page: Page, name: str) -> float:
    """Milliseconds of the newest measure of that name, once there is one."""
    page.wait_for_function("name => performance.getEntriesByName(name).length > 0", arg=name)
    return page.evaluate("name => performance.getEntriesByName(name).at(-1).duration", name)
