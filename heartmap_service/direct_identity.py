"""Who is calling, decided in this process: behind a gateway that is not API Gateway, or behind none.

The decision is the Lambda authorizer's own. Each call is put into the form in which API Gateway would ask the authorizer about
it, and the answer is read as API Gateway would read it; the assertion in it is verified as that of every other call. There is
no second policy, and no second reader of credentials. The keys of these assertions are made at the start and leave nowhere.

The authorizer is made for one call at a time: each of a few threads has one of its own, and the event loop waits for none.
"""

import asyncio
import ipaddress
import os
import re
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.types import Scope
from ulid import ULID

from heartmap_service.direct_aws import DirectAws
from heartmap_service.identity import given_request_id
from heartmap_service.problems import Problem
from lambda_authorizer import config
from lambda_authorizer.access_policy import RULES, SERVICE, STEP_UP_AGE
from lambda_authorizer.assertion import KEY_BYTES, Assertion, AssertionRefused, Keys, verify
from lambda_authorizer.aws import partition_of
from lambda_authorizer.reasons import ConfigurationError, Fault, Reason
from lambda_authorizer.secret_store import ManagedSecrets, Secrets

THREADS = 8
START_BUDGET = 10.0
"""Seconds that the secret may take at the start."""
MOST_PARAMETERS = 32
"""Of a query; no route takes as many."""
CREDENTIALS = 'Bearer realm="heartmap", ApiKey realm="heartmap"'

_KEY_ID = "process"
# What an event names that API Gateway would know and nothing here is decided on.
_ACCOUNT, _API, _STAGE = "000000000000", "direct", "direct"
# A greedy template, which takes every path and is no row's.
_ELSEWHERE = "/{elsewhere+}"

_DENIED = {
    Reason.NO_SUCH_ROUTE: ("no_such_route", "There is no such route or method in this API."),
    Reason.PATH_MALFORMED: ("no_such_route", "There is no such route or method in this API."),
    Reason.ID_MALFORMED: ("no_such_route", "The id in the path has not the form of one."),
    Reason.KEY_SOURCE: ("forbidden", "This key may not be used from this address."),
    Reason.SIGN_IN_TOO_OLD: (
        "forbidden",
        f"This asks for a sign-in of the last {STEP_UP_AGE // 60} minutes: sign in again with heartmapctl login.",
    ),
}
_NOT_PERMITTED = ("forbidden", "Your role does not allow this. Ask an administrator for the group that does.")


class Core:
    """The authorizer's core, asked as API Gateway would ask it.

    Args:
        configuration: the authorizer's; see ``configured``.
        region: of this process, as AWS names it.
        trusted_proxies: from these peers, ``X-Forwarded-For`` is believed.
    """

    def __init__(
        self,
        configuration: config.Configuration,
        *,
        region: str,
        trusted_proxies: Sequence[IPv4Network | IPv6Network],
    ) -> None:
        self._configuration = configuration._replace(region=region)
        self._arn = f"arn:{partition_of(region)}:execute-api:{region}:{_ACCOUNT}:{_API}/{_STAGE}/"
        self._aws = _aws(configuration)
        self._proxies = trusted_proxies
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="identity")
        self._local = threading.local()
        self._routes = [(rule.method, rule.route, _shape(rule.route)) for rule in RULES.values() if rule.answered_by == SERVICE]

    def is_from_trusted(self, scope: Scope) -> bool:
        """Whether a trusted proxy made the call."""
        return self._is_trusted(_peer(scope))

    async def assertion(self, scope: Scope, headers: Headers, request_id: str) -> str:
        """An assertion for this one call, signed with the current key of the configuration's. Raises Problem 401 for a caller who
        is not known, 403 for what the access policy does not open to them, 503 when the authorizer could not find out."""
        event = self._event(scope, headers, request_id)
        answer = await asyncio.get_running_loop().run_in_executor(self._threads, self._decide, event)
        context = answer["context"]
        if answer["policyDocument"]["Statement"][0]["Effect"] != "Allow":
            code, detail = _DENIED.get(context["reason"], _NOT_PERMITTED)
            raise Problem(403, code, detail)
        return context["assertion"]

    def _decide(self, event: dict[str, Any]) -> dict[str, Any]:
        # Not before the environment was found good: the import configures a Lambda function's authorizer out of it.
        from lambda_authorizer.handler import Authorizer, Unauthorized

        authorizer = getattr(self._local, "authorizer", None)
        if authorizer is None:
            authorizer = self._local.authorizer = Authorizer(self._configuration, self._aws)
        try:
            return authorizer.decide(event)
        except Unauthorized:
            _unauthenticated()
        except Fault as fault:
            if fault.reason is Reason.INTERNAL:
                raise Problem(500, "internal", "The service failed. Tell an administrator the request_id.") from None
            detail = "It could not be found out who calls. Try again."
            raise Problem(503, "unavailable", detail, headers={"Retry-After": "5"}) from None

    def _event(self, scope: Scope, headers: Headers, request_id: str) -> dict[str, Any]:
        """The call as API Gateway would describe it. The path is as it was sent: what only unescaping makes a route is none."""
        method, path = scope["method"], scope["raw_path"].decode("latin-1")
        route, parameters = self._route(method, path)
        several: dict[str, list[str]] = {}
        for name, value in headers.items():
            several.setdefault(name, []).append(value)
        query = _query(scope["query_string"])
        address = self._source(scope, headers)
        return {
            "type": "REQUEST",
            "methodArn": f"{self._arn}{method}{path}",
            "resource": route,
            "path": path,
            "httpMethod": method,
            "headers": {name: values[-1] for name, values in several.items()},
            "multiValueHeaders": several,
            "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
            "multiValueQueryStringParameters": query or None,
            "pathParameters": parameters,
            "requestContext": {
                "requestId": request_id,
                "stage": _STAGE,
                "apiId": _API,
                "accountId": _ACCOUNT,
                "httpMethod": method,
                "resourcePath": route,
                "path": path,
                "identity": {"sourceIp": None if address is None else str(address)},
            },
        }

    def _route(self, method: str, path: str) -> tuple[str, dict[str, str] | None]:
        """The route template that API Gateway would find; for no route the path, where no row of the access policy that something
        else answers has it."""
        for of_method, route, shape in self._routes:
            if of_method == method and (found := shape.fullmatch(path)):
                return route, found.groupdict() or None
        return (_ELSEWHERE if (method, path) in RULES else path), None

    def _source(self, scope: Scope, headers: Headers) -> IPv4Address | IPv6Address | None:
        """Where the call came from: the peer or, where that is a trusted proxy, the nearest address that it and the trusted ones
        before it say they were called from. None for what is no address: a key that is bound to addresses then opens nothing."""
        address = _peer(scope)
        hops = [hop for line in headers.getlist("x-forwarded-for") for hop in line.split(",")]
        while hops and self._is_trusted(address):
            address = _address(hops.pop().strip())
        return address

    def _is_trusted(self, address: IPv4Address | IPv6Address | None) -> bool:
        return address is not None and any(address in network for network in self._proxies)


class DirectIdentity:
    """The identity source for a process without the gateway.

    Args:
        configuration: the authorizer's, with its secrets read; see ``configured``.
        region: of this process, as AWS names it.
        trusted_proxies: from these peers, ``X-Forwarded-For`` and ``X-Request-Id`` are believed.
    """

    def __init__(
        self,
        configuration: config.Configuration,
        *,
        region: str,
        trusted_proxies: Sequence[IPv4Network | IPv6Network],
    ) -> None:
        if not isinstance(configuration.secrets, Secrets):
            raise TypeError("the secrets have to be read before")
        self._keys = {_KEY_ID: secrets.token_bytes(KEY_BYTES)}
        own = configuration.secrets._replace(assertion_keys=Keys(_KEY_ID, self._keys))
        self._core = Core(configuration._replace(secrets=own), region=region, trusted_proxies=trusted_proxies)

    def request_id(self, scope: Scope, headers: Headers) -> str:
        """A new one, unless a trusted proxy named the call."""
        given = given_request_id(headers) if self._core.is_from_trusted(scope) else None
        return given or str(ULID())

    async def identify(self, scope: Scope, headers: Headers, request_id: str) -> Assertion:
        """Raises Problem; see ``Core.assertion``."""
        text = await self._core.assertion(scope, headers, request_id)
        try:
            assertion = verify(text, self._keys, now=time.time())
        except AssertionRefused:
            _unauthenticated()
        if assertion.request_id != request_id:
            _unauthenticated()
        return assertion


def configured(environ: Mapping[str, str] = os.environ, *, rotating: bool = False) -> config.Configuration:
    """The authorizer's configuration, with its secrets or, where it is for one who signs with keys that rotate, with the ARN by
    which they are read again. Raises SystemExit when it is not usable, or the secrets cannot be read: nothing is served then."""
    try:
        configuration = config.load(environ)
        if isinstance(configuration.secrets, str):
            aws = _aws(configuration)
            read = ManagedSecrets(configuration.secrets, aws).get(now=time.time(), deadline=time.monotonic() + START_BUDGET)
            if not rotating:
                # Once: the assertion's keys are not used then, and the pepper stays.
                configuration = configuration._replace(secrets=read)
    except ConfigurationError as error:
        raise SystemExit(f"The environment of this process is not usable:\n  {error}") from None
    except Fault:
        detail = "HEARTMAP_SECRETS: the secret could not be read, or has not the content that it must have"
        raise SystemExit(f"The environment of this process is not usable:\n  {detail}") from None
    return configuration


def _aws(configuration: config.Configuration) -> DirectAws:
    return DirectAws(endpoint=configuration.endpoint, own_addresses=configuration.environment != config.LOCAL)


def _unauthenticated() -> NoReturn:
    detail = (
        "Send Authorization: Bearer with an access token, or Authorization: ApiKey with a key, and nothing else that identifies."
    )
    raise Problem(401, "unauthenticated", detail, headers={"WWW-Authenticate": CREDENTIALS}) from None


def _shape(route: str) -> re.Pattern[str]:
    """The paths that API Gateway would take for the route's: any one segment stands for a parameter."""
    parts = re.split(r"\{(\w+)\}", route)
    return re.compile(
        "".join(f"(?P<{part}>[^/]+)" if index % 2 else re.escape(part) for index, part in enumerate(parts)), re.ASCII
    )


def _query(text: bytes) -> dict[str, list[str]]:
    query: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(text.decode("latin-1"), keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS)
    except ValueError:
        detail = f"The query has more than {MOST_PARAMETERS} parameters, or is not UTF-8."
        raise Problem(400, "bad_request", detail) from None
    for name, value in pairs:
        query.setdefault(name, []).append(value)
    return query


def _peer(scope: Scope) -> IPv4Address | IPv6Address | None:
    client = scope.get("client")
    return _address(client[0]) if client else None


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # A socket of both families shows an IPv4 caller so.
    return getattr(address, "ipv4_mapped", None) or address
