"""The page's files, the page that starts it, and the few pages that say why there is none."""

import html
import json
import secrets
from pathlib import Path
from typing import NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.staticfiles import StaticFiles

STATIC = Path(__file__).parent / "static"
KEY_IN_STORAGE = "heartmap-console-key"
A_YEAR = 365 * 24 * 3600


class Page(NamedTuple):
    """What a page of our own says."""

    title: str
    text: str


def _document(page: Page, script: str = "", nonce: str = "") -> str:
    element = f'<script nonce="{nonce}">{script}</script>' if script else ""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(page.title)}</title><h1>{html.escape(page.title)}</h1><p>{html.escape(page.text)}</p>{element}</html>"
    )


def refusal_page(status: int, text: str) -> HTMLResponse:
    return HTMLResponse(_document(Page("HeartMAP console", text)), status)


def start_page(page_key: str) -> HTMLResponse:
    """Puts the page key where only pages of this origin read it, and goes on to the console."""
    nonce = secrets.token_urlsafe(16)
    script = f"localStorage.setItem({json.dumps(KEY_IN_STORAGE)}, {json.dumps(page_key)}); location.replace('/');"
    policy = f"default-src 'none'; script-src 'nonce-{nonce}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    page = Page("HeartMAP console", "Opening the console. It needs JavaScript.")
    return HTMLResponse(_document(page, script, nonce), headers={"Content-Security-Policy": policy})


class Files:
    """The page as it was built. Paths that name no file are the page's own, which it reads itself."""

    def __init__(self) -> None:
        self._directory = STATIC
        self._files = StaticFiles(directory=STATIC, check_dir=False)

    async def __call__(self, request: Request) -> Response:
        if not (self._directory / "index.html").is_file():
            return refusal_page(503, "The console's page has not been built: make local, or npm run build in console/.")
        path = self._files.get_path(request.scope)
        if path == "." or "." not in path.rpartition("/")[2]:
            path = "index.html"
        try:
            response = await self._files.get_response(path, request.scope)
        except HTTPException as refused:
            return PlainTextResponse("There is no such page.\n", refused.status_code)
        # Vite puts a hash of the content into the names of what stands under assets/.
        forever = path.startswith("assets/") and response.status_code < 400
        response.headers["Cache-Control"] = f"private, max-age={A_YEAR}, immutable" if forever else "no-cache"
        return response
