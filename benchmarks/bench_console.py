"""How long the console's page takes to draw and to colour 50,000 cells once the data are there, and how that compares with 1,000.

    make bench

The built page in headless Chromium, whose WebGL is software: a machine with a graphics card is quicker. The page measures itself,
from the arrival of the bytes, or the choice of a gene, to the frame that shows it (`performance.measure`). Answers come from this
program, so no environment is needed. The goal is 1 s for 50,000.
"""

import mimetypes
import statistics
import sys
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Route, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # for what the browser tests use, too

from tests.e2e.browser import launched, measured, routed  # noqa: E402

PAGE = ROOT / "operator_cli" / "console" / "static"
ORIGIN = "http://127.0.0.1:9"
RUNS = 7
GOAL_MS = 1_000
ID = "01J8ZQ4Y7M3W5X9K2B6C1D0EFG"
SESSION = {
    "environment": "local", "api": "https://localhost:8443", "signed_in": True, "username": "analyst", "email": None,
    "groups": ["analyst"], "subject": "me", "expires_at": 4e9, "signed_in_at": 1e9, "step_up_until": None, "sign_in": "none",
    "version": "0",
}  # fmt: skip
ANALYSIS = {
    "analysis_id": ID, "state": "succeeded", "stage": "done", "progress": 1.0, "error": None, "analysis_type": "basic",
    "owner": "me", "visibility": "private", "created_at": "2026-11-30T09:00:00Z", "finished_at": "2026-11-30T09:01:00Z",
    "upload_id": ID, "options": {}, "config_version": 0, "started_at": "2026-11-30T09:00:10Z", "attempt": 1, "estimate": None,
}  # fmt: skip
RESULTS = {
    "analysis_id": ID,
    "files": [{"name": name, "bytes": 1, "sha256": "0" * 64} for name in ("annotated.h5ad", "cells.csv")],
    "summary": {"analysis_type": "basic", "cells": 50_000, "genes": 3_000, "clusters": []},
}
ANSWERS = {
    "/console/session": SESSION,
    f"/api/analyses/{ID}": ANALYSIS,
    f"/api/analyses/{ID}/results": RESULTS,
    "/api/models": {"models": []},
}


def answer(route: Route) -> None:
    path = urlsplit(route.request.url).path
    if path in ANSWERS:
        route.fulfill(json=ANSWERS[path])
    elif path.startswith(("/api/", "/console/")):
        route.fulfill(status=404, json={"status": 404, "code": "none", "detail": "None."})
    else:
        file = PAGE / path[1:]
        file = file if file.is_file() else PAGE / "index.html"
        route.fulfill(body=file.read_bytes(), content_type=mimetypes.guess_type(file.name)[0] or "text/plain")


def run(browser: Browser, cells: int) -> tuple[float, float]:
    """Milliseconds to draw, and to colour by a gene."""
    with browser.new_context() as context, context.new_page() as page:
        page.route(f"{ORIGIN}/**", answer)
        routed(page, cells)
        page.goto(f"{ORIGIN}/analyses/{ID}")
        drawn = measured(page, "embedding:draw")
        page.get_by_role("combobox", name="Colour by gene").fill("GENE77")
        page.get_by_role("option", name="GENE77", exact=True).click()
        return drawn, measured(page, "embedding:colour")


def main() -> int:
    with sync_playwright() as playwright:
        browser = launched(playwright)
        run(browser, 1_000)
        taken = {cells: [run(browser, cells) for _ in range(RUNS)] for cells in (1_000, 50_000)}
        browser.close()
    medians = {cells: [statistics.median(each) for each in zip(*runs, strict=True)] for cells, runs in taken.items()}
    for place, what in enumerate(("drawn", "coloured by a gene")):
        few, many = medians[1_000][place], medians[50_000][place]
        best = min(each[place] for each in taken[50_000])
        print(f"50,000 cells {what:20} {many:6.0f} ms (best {best:.0f}; goal {GOAL_MS})  {many / few:5.2f} x that of 1,000")
    return int(max(medians[50_000]) > GOAL_MS)


if __name__ == "__main__":
    sys.exit(main())
