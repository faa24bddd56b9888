"""The console's routes, and what they stand on."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from operator_cli.console.bucket import Bucket
from operator_cli.console.cache import Cache
from operator_cli.console.downloads import DownloadCalls
from operator_cli.console.pages import Files, refusal_page, start_page
from operator_cli.console.problems import Problem, new_request_id, of_failure
from operator_cli.console.protection import START_PATH, Protection, cookie_name
from operator_cli.console.proxy import IDLE_HEADER, PREFIX, Proxy
from operator_cli.console.results import Listings, ResultCalls
from operator_cli.console.secrets import Secrets
from operator_cli.console.session import SessionCalls, SignInState
from operator_cli.console.uploads import UploadCalls
from operator_cli.console.upstream import Upstream
from operator_cli.environments import Environment
from operator_cli.errors import CliError
from operator_cli.transport import async_client, async_storage_client

COOKIE_SECONDS = 24 * 3600
"""So long a browser that is started again still has the cookie; it is worth nothing once the console has ended."""
ANALYSIS = "/console/analyses/{analysis_id}"
ALL_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True, kw_only=True)
class Console:
    """One console: for whom, where, and with which secrets."""

    environment: Environment
    port: int
    secrets: Secrets

    @property
    def start_address(self) -> str:
        return f"http://127.0.0.1:{self.port}{START_PATH}?token={self.secrets.start_token}"


def application(console: Console, ready: Callable[[], None]) -> ASGIApp:
    """``ready`` is called once Ctrl-C would end it well."""
    environment = console.environment
    api_http, storage_http = async_client(environment), async_storage_client(environment)
    upstream, bucket = Upstream(environment, api_http), Bucket(environment, storage_http)
    cache = Cache(environment.state_directory, bucket)
    listings = Listings(upstream)
    results, downloads = ResultCalls(listings, cache), DownloadCalls(upstream, listings, bucket)
    uploads = UploadCalls(upstream, bucket)
    sign_in = SignInState(upstream)

    def forget() -> None:
        results.clear()
        downloads.clear()

    session = SessionCalls(upstream, sign_in, forget)

    async def start(request: Request) -> Response:
        if not console.secrets.start(request.query_params.get("token", "")):
            told = (
                "This address was used already, or is too old. If it was not you who used it, end the console. Start a new one."
            )
            return refusal_page(403, told)
        response = start_page(console.secrets.page_key)
        response.set_cookie(
            cookie_name(console.port), console.secrets.cookie, max_age=COOKIE_SECONDS, httponly=True, samesite="strict"
        )
        return response

    async def status(request: Request) -> Response:
        from operator_cli import checks

        if IDLE_HEADER in request.headers:
            # The checks use the session, and would renew it.
            await upstream.authorization(renew=False)
        found = await asyncio.to_thread(checks.run, environment.name)
        return JSONResponse({"checks": [asdict(check) for check in found]})

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            cache.open()
            ready()
            yield
        finally:
            await sign_in.close()
            await results.close()
            cache.close()
            await api_http.aclose()
            await storage_http.aclose()

    routes = [
        Route(START_PATH, start, methods=["GET"]),
        Route("/console/session", session.show, methods=["GET"]),
        Route("/console/sign-in", session.sign_in, methods=["POST"]),
        Route("/console/sign-out", session.sign_out, methods=["POST"]),
        Route("/console/status", status, methods=["GET"]),
        Route("/console/uploads", uploads.begin, methods=["POST"]),
        Route("/console/uploads/{upload_id}/parts/{number:int}", uploads.put_part, methods=["PUT"]),
        Route("/console/uploads/{upload_id}/complete", uploads.complete, methods=["POST"]),
        Route(f"{ANALYSIS}/cells", results.cells, methods=["GET"]),
        Route(f"{ANALYSIS}/expression", results.expression, methods=["GET"]),
        Route(f"{ANALYSIS}/tables/{{name}}.csv", results.table, methods=["GET"]),
        Route(f"{ANALYSIS}/files/{{name}}", results.file, methods=["GET"]),
        Route("/console/downloads", downloads.create, methods=["POST"]),
        Route("/console/downloads/{ticket}", downloads.open, methods=["GET"]),
        Route("/console/{path:path}", _no_such_call, methods=ALL_METHODS),
        Route(PREFIX + "/{path:path}", Proxy(upstream).__call__, methods=ALL_METHODS),
        Route("/{path:path}", Files().__call__, methods=["GET"]),
    ]
    handlers = {Problem: _told, CliError: _failed, HTTPException: _unrouted, ClientDisconnect: _gone, Exception: _broken}
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
    # Outside of everything, so that no answer is without its headers.
    return Protection(app, secrets=console.secrets, port=console.port)


async def _no_such_call(_: Request) -> Response:
    raise Problem(404, "no_such_route", "There is no such route or method.")


async def _told(_: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)  # noqa: S101  (registered for these)
    return problem.response()


async def _failed(_: Request, error: Exception) -> Response:
    assert isinstance(error, CliError)  # noqa: S101  (registered for these)
    return of_failure(error).response()


async def _unrouted(_: Request, refused: Exception) -> Response:
    assert isinstance(refused, HTTPException)  # noqa: S101  (registered for these)
    return Problem(refused.status_code, "no_such_route", "There is no such route or method.").response()


async def _gone(_: Request, __: Exception) -> Response:
    """Nobody reads it."""
    return Response(status_code=400)


async def _broken(_: Request, error: Exception) -> Response:
    problem = Problem(500, "internal", "The console failed at this. Its terminal names the fault.", request_id=new_request_id())
    sys.stderr.write(f"The console failed at a request ({problem.request_id}): {type(error).__name__}\n")
    return problem.response()
