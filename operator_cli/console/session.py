"""Who is signed in, and signing in and out from the page."""

import asyncio
import contextlib
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lambda_authorizer.access_policy import STEP_UP_AGE
from operator_cli import sign_in
from operator_cli.console.problems import of_failure
from operator_cli.console.upstream import Upstream
from operator_cli.errors import CliError

SIGN_IN_SECONDS = 10 * 60


class SignInState:
    """At most one sign-in at a time: a new one takes the place of one that was not finished."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._begun: sign_in.Begun | None = None
        self._waiting: asyncio.Task[None] | None = None
        self.error: str | None = None

    @property
    def state(self) -> str:
        if self._waiting is not None and not self._waiting.done():
            return "waiting"
        return "failed" if self.error else "none"

    async def begin(self) -> str:
        """The address that the person signs in at. Raises Problem when this machine cannot take the answer."""
        await self.close()
        try:
            begun = await asyncio.to_thread(sign_in.begin, self._upstream.environment, goes_on="in the console")
        except CliError as error:
            raise of_failure(error) from None
        self._begun, self._waiting = begun, asyncio.create_task(self._finish(begun))
        return begun.address

    async def close(self) -> None:
        """Give up a sign-in that was not finished."""
        if self._begun is not None:
            self._begun.close()
        if self._waiting is not None:
            await self._waiting
        self._begun = self._waiting = self.error = None

    async def _finish(self, begun: sign_in.Begun) -> None:
        try:
            await self._upstream.keep(await asyncio.to_thread(begun.wait, SIGN_IN_SECONDS))
        except CliError as error:
            self.error = error.message
        finally:
            begun.close()


class SessionCalls:
    """``forget`` drops what the console holds of a session."""

    def __init__(self, upstream: Upstream, sign_in_state: SignInState, forget: Callable[[], None]) -> None:
        self._upstream = upstream
        self._sign_in = sign_in_state
        self._forget = forget

    async def show(self, _: Request) -> Response:
        """The session as it is: asking renews nothing, so a page left open does not keep it alive."""
        environment = self._upstream.environment
        document = {
            "environment": environment.name,
            "api": environment.api,
            "signed_in": False,
            "version": _version(),
            "sign_in": self._sign_in.state,
            "sign_in_error": self._sign_in.error,
        }
        tokens = await self._upstream.kept()
        if tokens is not None and (tokens.fresh or tokens.refresh_token is not None):
            claims = tokens.claims
            signed_in_at = claims.get("auth_time")
            document |= {
                "signed_in": True,
                "username": claims.get("username"),
                "email": tokens.email,
                "groups": claims.get("cognito:groups", []),
                "subject": claims.get("sub"),
                "expires_at": tokens.expires_at,
                "signed_in_at": signed_in_at,
                "step_up_until": signed_in_at + STEP_UP_AGE if isinstance(signed_in_at, int | float) else None,
            }
        return JSONResponse(document)

    async def sign_in(self, _: Request) -> Response:
        return JSONResponse({"address": await self._sign_in.begin()})

    async def sign_out(self, _: Request) -> Response:
        await self._sign_in.close()
        self._forget()
        await self._upstream.forget()
        return JSONResponse({})


def _version() -> str | None:
    with contextlib.suppress(PackageNotFoundError):
        return version("heartmap-on-aws")
    return None
