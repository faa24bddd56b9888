"""Calls of the service: the credential, the tries, and refusals in words.

https://docs.aws.amazon.com/general/latest/gr/api-retries.html
"""

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import httpx
import tenacity
from pydantic import BaseModel, ValidationError

from lambda_authorizer.access_policy import STEP_UP_AGE
from operator_cli.answers import Problem
from operator_cli.credentials import Credential
from operator_cli.environments import Environment
from operator_cli.errors import CliError, Interrupted, NotSignedIn, WrongUse
from operator_cli.transport import is_distrust, unreachable

ATTEMPTS = 4
LONGEST_PAUSE = LONGEST_ASKED = 20
"""Seconds between two tries, and how many of them the service may ask for."""
NONE: Mapping[str, str] = MappingProxyType({})
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
TRANSIENT = frozenset({502, 503, 504})
# The authorizer's reason, in a problem document of 403.
SIGN_IN_TOO_OLD = "sign_in_too_old"
# API Gateway's own names, for answers that never reached the service.
REQUEST_ID_HEADERS = ("x-request-id", "x-amzn-requestid", "x-amz-apigw-id")

Model = TypeVar("Model", bound=BaseModel)


class _Request(NamedTuple):
    method: str
    url: str
    body: Any
    repeatable: bool
    headers: Mapping[str, str]


class Api:
    """The service of one environment, as the signed-in user or as a program."""

    def __init__(
        self, environment: Environment, credential: Credential, http: httpx.Client, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.environment = environment
        self._credential = credential
        self._http = http
        self._sleep = sleep

    def call(
        self,
        method: str,
        path: str,
        answer: type[Model],
        body: Any = None,
        *,
        repeatable: bool = False,
        key: str | None = None,
        headers: Mapping[str, str] = NONE,
    ) -> Model:
        """The answer to a request, checked. `repeatable`: a POST that the service may get twice without harm.

        With a `key` the service carries the request out once, however often it comes.
        https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
        Raises CliError when the service refuses or fails, NotSignedIn without a session."""
        if key is not None:
            repeatable, headers = True, {**headers, "Idempotency-Key": key}
        return self.understood(self.require(method, path, body, repeatable=repeatable, headers=headers), answer)

    def understood(self, response: httpx.Response, answer: type[Model]) -> Model:
        """The body of an answer, checked. Raises CliError when it is not what was to be expected."""
        try:
            return answer.model_validate_json(response.content)
        except ValidationError:
            asked = response.request
            raise CliError(
                f"The service's answer to {asked.method} {asked.url.path} is not what this version of heartmapctl knows.",
                request_id=_request_id(response),
                next_step="Update heartmapctl to the version of the environment.",
            ) from None

    def require(
        self, method: str, path: str, body: Any = None, *, repeatable: bool = False, headers: Mapping[str, str] = NONE
    ) -> httpx.Response:
        """The answer to a request, when it is a success. Raises as `call` does."""
        response = self.send(method, path, body, repeatable=repeatable, headers=headers)
        if not response.is_success:
            raise refusal(response, self.environment)
        return response

    def send(
        self, method: str, path: str, body: Any = None, *, repeatable: bool = False, headers: Mapping[str, str] = NONE
    ) -> httpx.Response:
        """Send one request with a valid credential, whatever the status of the answer.

        Raises WrongUse for a path that is not one of the service, NotSignedIn when the service does not accept the credential,
        CliError when nothing answers.
        """
        if not path.startswith("/") or path.startswith("//") or "\\" in path or not path.isascii() or not path.isprintable():
            raise WrongUse("The path must begin with one slash and be plain ASCII, as in /analyses.")
        request = _Request(method, self.environment.api + path, body, repeatable or method in IDEMPOTENT, headers)
        authorization = self._credential.authorization()
        response = self._try(request, authorization)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            authorization = self._credential.renewed(authorization)
            if authorization is not None:
                response = self._try(request, authorization)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            problem = refusal(response, self.environment)
            raise NotSignedIn(
                self._credential.refused,
                code=problem.code,
                request_id=problem.request_id,
                next_step=self._credential.repair(),
            )
        return response

    def _try(self, request: _Request, authorization: httpx.Auth) -> httpx.Response:
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=_pause,
            retry=lambda state: _worth_another(state, repeatable=request.repeatable),
            retry_error_callback=_last,
            sleep=self._sleep,
        )
        try:
            return retrying(self._once, request, authorization)
        except httpx.HTTPError as error:
            raise unreachable(self.environment, request.url, error) from None
        except KeyboardInterrupt:
            if request.method in SAFE:
                raise
            raise _interrupted(self.environment, request) from None

    def _once(self, request: _Request, authorization: httpx.Auth) -> httpx.Response:
        headers = {"Accept": "application/json, application/problem+json", **request.headers}
        return self._http.request(request.method, request.url, json=request.body, headers=headers, auth=authorization)


def _interrupted(environment: Environment, request: _Request) -> Interrupted:
    """Nobody knows whether a change that was on its way arrived: where to look."""
    path = request.url.removeprefix(environment.api)
    where = {
        "/analyses": ("jobs", "list"),
        "/uploads": ("uploads", "list"),
        "/config": ("config", "history"),
        "/keys": ("keys", "list"),
        "/users": ("users", "list"),
    }.get("/" + path.split("/")[1].partition("?")[0])
    return Interrupted(
        f"Interrupted while {request.method} {path} was on its way: the server may have carried it out.",
        next_step=f"Look whether it did: {environment.command(*where)}" if where else None,
    )


def _last(state: tenacity.RetryCallState) -> httpx.Response:
    assert state.outcome is not None  # noqa: S101  (tenacity sets it before it asks)
    return state.outcome.result()


def _worth_another(state: tenacity.RetryCallState, *, repeatable: bool) -> bool:
    """Whether trying again is safe and may help.

    429 is refused before anything is done, and a connection that was never made carried nothing: any method, but nobody waits
    here for a quota of tomorrow. Otherwise the request may have been carried out, so only what can be repeated.
    """
    assert state.outcome is not None  # noqa: S101  (tenacity sets it before it asks)
    error = state.outcome.exception()
    if error is not None:
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            # A certificate that is refused now is refused in a second, too.
            return not is_distrust(error)
        return isinstance(error, httpx.TransportError) and repeatable
    response = state.outcome.result()
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        return (_asked_pause(response) or 0) <= LONGEST_ASKED
    return response.status_code in TRANSIENT and repeatable


def _pause(state: tenacity.RetryCallState) -> float:
    """Seconds: what Retry-After asks for, else exponential with jitter."""
    outcome = state.outcome
    asked = None if outcome is None or outcome.failed else _asked_pause(outcome.result())
    if asked is not None:
        return min(asked, LONGEST_PAUSE)
    return tenacity.wait_random_exponential(multiplier=0.5, max=LONGEST_PAUSE)(state)


def _asked_pause(response: httpx.Response) -> float | None:
    """Seconds that the service asks to wait, where it says them in so many."""
    asked = response.headers.get("retry-after", "")
    return float(asked) if asked.isascii() and asked.isdigit() and len(asked) < 10 else None


def _request_id(response: httpx.Response) -> str | None:
    return next((response.headers[name] for name in REQUEST_ID_HEADERS if name in response.headers), None)


def refusal(response: httpx.Response, environment: Environment) -> CliError:
    """A refused request in words: the service's own detail, its code and request id, and what to do next."""
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        problem = Problem()
    status = response.status_code
    if problem.reason == SIGN_IN_TOO_OLD:
        return NotSignedIn(
            f"This takes a sign-in of the last {STEP_UP_AGE // 60} minutes.",
            code=problem.code,
            request_id=problem.request_id or _request_id(response),
            next_step=f"Sign in again, then repeat it: {environment.command('login')}",
        )
    message = problem.detail or problem.title or f"The service answered {status}."
    # The service's detail names the first field that is wrong, if any.
    others = [f"{fault.field} {fault.rule}" for fault in problem.errors if fault.field not in message]
    return CliError(
        f"{message} ({'; '.join(others)})" if others else message,
        code=problem.code or f"http_{status}",
        request_id=problem.request_id or _request_id(response),
        next_step=_next_step(response, problem, environment),
    )


def _next_step(response: httpx.Response, problem: Problem, environment: Environment) -> str | None:
    status, asked = response.status_code, _asked_pause(response)
    by_reason = {"key_source": "The API key may not be used from this machine's address: see its ranges, `--from`."}
    by_code = {
        "blocked": "The firewall refused it: are you on a network that this environment allows?",
        "forbidden": f"Your groups, or your key's scopes, do not allow it: see {environment.command('whoami')}. "
        "An administrator can change them.",
        "no_such_route": "Check the method and the path.",
        "key_not_found": f"{environment.command('keys', 'list')} shows the keys there are.",
        "no_such_user": f"{environment.command('users', 'list')} shows the people there are.",
        "user_exists": f"Change what they may do: {environment.command('users', 'set-group', 'USERNAME', 'GROUP')}",
        "no_admin_any_more": f"Sign in again: {environment.command('login')}",
        "signing_key_required": "Give --sign-with FILE: a key with such a scope signs its calls.",
        "config_changed": f"See what it is now, then repeat it: {environment.command('config', 'show')}",
        "config_conflict": f"See what it is now, then repeat it: {environment.command('config', 'show')}",
        "quota_queued_jobs": f"Wait for one, or cancel one: {environment.command('jobs', 'list', '--mine', '--state', 'queued')}",
        "no_such_analysis": f"{environment.command('jobs', 'list')} shows what there is for you to see.",
    }
    by_status = {
        413: f"Send data sets with: {environment.command('upload', 'FILE')}",
        429: f"Try again {_later(asked)}." if asked and asked > LONGEST_ASKED else "Wait a minute, then try again.",
    }
    step = by_reason.get(problem.reason or "") or by_code.get(problem.code or "") or by_status.get(status)
    if step is None and status >= 500:
        return "Try again; if it stays, give the request id to an administrator."
    return step


def _later(seconds: float) -> str:
    """A time from now on, for people."""
    count, unit = (-(-seconds // 60), "minute") if seconds < 2 * 3600 else (-(-seconds // 3600), "hour")
    return f"in {count:.0f} {unit}{'' if count == 1 else 's'}"
