"""The API as the console calls it: with the credential of whoever is signed in, which goes nowhere else."""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import httpx
import tenacity
from pydantic import BaseModel, ValidationError

from operator_cli.answers import Problem as ProblemDocument
from operator_cli.api import ATTEMPTS, LONGEST_PAUSE, TRANSIENT
from operator_cli.console.problems import Problem, SignedOut, of_failure
from operator_cli.environments import Environment
from operator_cli.errors import CliError
from operator_cli.session import Session
from operator_cli.tokens import Tokens, TokenStore
from operator_cli.transport import unreachable

LARGEST_ANSWER = 32 * 1024 * 1024
NONE: Mapping[str, str] = MappingProxyType({})

Model = TypeVar("Model", bound=BaseModel)


class Upstream:
    """The service of one environment."""

    def __init__(self, environment: Environment, http: httpx.AsyncClient) -> None:
        self.environment = environment
        self._session = Session(environment)
        self._store = TokenStore(environment)
        self._http = http

    async def kept(self) -> Tokens | None:
        """The session as it is, without a renewal."""
        found = await asyncio.to_thread(self._store.load)
        return found[0] if found else None

    async def subject(self) -> str:
        """Whose session it is. Raises SignedOut without one."""
        kept = await self.kept()
        if kept is None:
            raise SignedOut("Nobody is signed in.")
        return str(kept.claims.get("sub"))

    async def keep(self, tokens: Tokens) -> None:
        await asyncio.to_thread(self._session.start, tokens)

    async def forget(self) -> None:
        """End the session, here and at the user pool. Raises Problem when the pool did not end it."""
        try:
            await asyncio.to_thread(self._session.end)
        except CliError as error:
            raise of_failure(error) from None

    async def send(
        self,
        method: str,
        target: str,
        *,
        body: Any = None,
        headers: Mapping[str, str] = NONE,
        renew: bool = True,
    ) -> httpx.Response:
        """One request, whatever the status of its answer; it is never sent elsewhere.

        Without ``renew`` the session is used as it is: nobody is there whose work needs another hour of it.
        Raises Problem: signed out, or nothing answers.
        """
        tokens = await self.authorization(renew=renew)
        response = await self._once(method, target, body, headers, tokens)
        if response.status_code == httpx.codes.UNAUTHORIZED and renew:
            # It ended earlier than this machine's clock says, or was revoked.
            tokens = await self.authorization(renew=True, rejected=tokens.access_token)
            response = await self._once(method, target, body, headers, tokens)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            raise SignedOut("The service does not accept this session. Sign in again.")
        if response.is_redirect:
            raise Problem(502, "bad_gateway", "The service's answer leads elsewhere; it was not followed.")
        return response

    async def require(self, method: str, target: str, body: Any = None, headers: Mapping[str, str] = NONE) -> httpx.Response:
        """The answer to a request that may be repeated without harm, when it is a success. Raises Problem."""
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=LONGEST_PAUSE),
            retry=tenacity.retry_if_exception(lambda error: isinstance(error, Problem) and error.status in TRANSIENT),
            reraise=True,
        )
        return await retrying(self._require, method, target, body, headers)

    async def _require(self, method: str, target: str, body: Any, headers: Mapping[str, str]) -> httpx.Response:
        response = await self.send(method, target, body=body, headers=headers)
        if not response.is_success:
            raise refusal(response)
        return response

    async def call(
        self, method: str, target: str, answer: type[Model], body: Any = None, headers: Mapping[str, str] = NONE
    ) -> Model:
        """The answer as `require` gives it, checked."""
        response = await self.require(method, target, body, headers)
        try:
            return answer.model_validate_json(response.content)
        except ValidationError:
            raise Problem(502, "bad_gateway", "The service's answer is not what this version of heartmapctl knows.") from None

    async def authorization(self, *, renew: bool, rejected: str | None = None) -> Tokens:
        """A session that can be used. Raises Problem when there is none, or none without a renewal that is not allowed."""
        if not renew:
            kept = await self.kept()
            if kept is None or not kept.fresh:
                raise SignedOut("The session has ended while nobody was at the page.")
            return kept
        try:
            return await asyncio.to_thread(self._session.tokens, rejected=rejected)
        except CliError as error:
            raise of_failure(error) from None

    async def _once(self, method: str, target: str, body: Any, headers: Mapping[str, str], tokens: Tokens) -> httpx.Response:
        url = self.environment.api + target
        sent = {
            "Accept": "application/json, application/problem+json",
            **headers,
            "Authorization": f"Bearer {tokens.access_token}",
        }
        try:
            async with self._http.stream(method, url, json=body, headers=sent) as response:
                content = bytearray()
                async for block in response.aiter_bytes():
                    content += block
                    if len(content) > LARGEST_ANSWER:
                        raise Problem(502, "bad_gateway", "The service's answer is larger than the console takes.")
        except httpx.HTTPError as error:
            raise of_failure(unreachable(self.environment, url, error)) from None
        kept = [(name, value) for name, value in response.headers.items() if name not in ("content-encoding", "content-length")]
        return httpx.Response(response.status_code, headers=kept, content=bytes(content))


def refusal(response: httpx.Response) -> Problem:
    """A refused call of the console's own, with the service's words."""
    try:
        document = ProblemDocument.model_validate_json(response.content)
    except ValidationError:
        document = ProblemDocument()
    status = response.status_code
    detail = document.detail or document.title or f"The service answered {status}."
    return Problem(
        502 if status == httpx.codes.INTERNAL_SERVER_ERROR else status,
        document.code or f"http_{status}",
        detail,
        request_id=document.request_id or response.headers.get("x-request-id"),
    )
