"""What a rendering is made from: the access policy, a stack's outputs and what a lab says about its own host.

Everything is checked here, once: what a ``Gateway`` holds can stand in a configuration file as it is.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Any
from urllib.parse import urlsplit

from lambda_authorizer.access_policy import ACCESS_POLICY, SERVICE, Rule
from lambda_authorizer.assertion import HEADER as ASSERTION_HEADER
from lambda_authorizer.policy import ULID

Network = IPv4Network | IPv6Network

TIMEOUT_SECONDS = 30
"""Of each wait: the service ends every answer's beginning within 25 s (docs/direct-identity.md)."""
HEAD_SECONDS = 20
"""As heartmap_service.server.HEAD_SECONDS, in front of it."""
BODY_SECONDS = 60
"""As heartmap_service.time_limits bounds a body."""
HEAD_BYTES = 16 * 1024
"""Of one line of a request's head. The service takes 32 KiB of a head, API Gateway 10,240 bytes of headers."""
DEFAULT_CLIENT_RATE, DEFAULT_SENSITIVE_RATE = 600, 120
"""Requests a minute from one address: the defaults of ``heartmap:requests_per_minute`` and ``sensitive_requests_per_minute``."""

SENSITIVE_PATHS = ("/token", "/keys", "/rotate", "/users", "/config", "/analyze")
"""Endings of the routes to which posts have a rate of their own, as in infra/waf_rules.py."""

CREDENTIAL_HEADER = "X-HeartMAP-Authorization"
"""Carries the service's credential where ``Authorization`` carries basic auth's, which the gateway takes for itself. The gateway
moves it into ``Authorization``; docs/adr/0013 says why."""

REQUEST_ID_HEADER = "X-Request-Id"
FORWARDED_FOR_HEADER = "X-Forwarded-For"

STRIPPED_HEADERS = (
    ASSERTION_HEADER,
    "CF-Connecting-IP",
    "Forwarded",
    "Proxy",
    "True-Client-IP",
    "Via",
    "X-Amzn-Trace-Id",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "X-Forwarded",
    "X-Forwarded-Host",
    "X-Forwarded-Method",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Proto",
    "X-Forwarded-Server",
    "X-Forwarded-Uri",
    "X-HTTP-Method",
    "X-HTTP-Method-Override",
    "X-Method-Override",
    "X-Original-Host",
    "X-Original-URI",
    "X-Original-URL",
    "X-Real-IP",
    "X-Rewrite-URL",
)
"""Headers that say who calls, from where or what, to whom they are believed by: never passed on from outside. Besides them,
``X-Forwarded-For`` and ``X-Request-Id`` are made anew."""

_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
# No character that any of the languages could read as anything but itself.
_FILE = re.compile(r"(/[A-Za-z0-9._@+-]+)+")
_LISTEN = re.compile(r"(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]+\]):(\d{1,5})")
_CLIENT_ID = re.compile(r"[A-Za-z0-9._+-]{1,128}")
_ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?(/[A-Za-z0-9._~/-]*)?")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")


class GatewayError(ValueError):
    """A rendering cannot be made. The text names the option or the output, and what to write instead."""


@dataclass(frozen=True, kw_only=True)
class Tls:
    """Paths of PEM files, as the gateway's host has them. ``certificate`` has its chain in it."""

    certificate: str
    key: str


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """A public key of the user pool's, for a gateway that fetches none itself. ``pem`` is a SubjectPublicKeyInfo."""

    kid: str
    pem: str


@dataclass(frozen=True, kw_only=True)
class Program:
    """Who has a key of the gateway's own. ``scopes`` say which rows it opens there; ``digest`` is SHA-256 of the key in
    hexadecimal, which is all that is kept of it."""

    name: str
    scopes: tuple[str, ...]
    digest: str


@dataclass(frozen=True, kw_only=True)
class Route:
    """A row of the access policy.

    ``pattern`` is an anchored regular expression over the path as it was sent, not unescaped, without the query; it means the
    same to PCRE, RE2, .NET and Java. ``rate`` is in requests a second for all callers together, ``burst`` in requests, ``body``
    in bytes, ``sign_in_age`` in seconds. ``sensitive`` rows have the second, lower rate of an address as well.
    """

    method: str
    template: str
    pattern: str
    rate: float
    burst: int
    body: int
    groups: tuple[str, ...]
    scopes: tuple[str, ...]
    any_principal: bool
    sign_in_age: int | None
    sensitive: bool
    answered_by: str

    @property
    def name(self) -> str:
        """A name of letters, digits and hyphens that no other row has: ``get-uploads-upload-id``."""
        return "-".join([self.method.lower(), *re.findall(r"[a-z]+", self.template)]) if self.template != "/" else "get-root"


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """A gateway on a lab's own host, in front of the service.

    ``upstream`` is ``https://host:port``; its certificate is verified for ``upstream_host`` against ``upstream_ca`` (a PEM file
    on the gateway's host; None: those the system trusts). ``routes`` are the rows that the service answers, in the table's order;
    ``elsewhere`` those that the stack's functions answer, behind API Gateway alone. ``client_rate`` and ``sensitive_rate`` are in
    requests a minute from one address. ``allowed_ranges`` are who may call at all; none: everybody. ``trusted_proxies`` stand in
    front of the gateway itself, and are believed about the address of a caller. ``decision`` is the ``https://host:port`` of
    ``heartmap_service.forward_auth``, for a gateway that asks it; its certificate is verified against ``upstream_ca``.
    ``log_directory`` None: where the gateway's package has its logs. ``signing_keys`` and ``programs`` are for a gateway that
    verifies credentials by itself.
    """

    server_name: str
    upstream: str
    upstream_ca: str | None
    upstream_host: str
    tls: Tls
    routes: tuple[Route, ...]
    elsewhere: tuple[Route, ...]
    environment: str
    region: str
    issuer: str
    client_ids: tuple[str, ...]
    jwks_url: str
    authorize_url: str
    token_url: str
    listen: tuple[str, ...] = ("0.0.0.0:443", "[::]:443")
    allowed_ranges: tuple[Network, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()
    client_rate: int = DEFAULT_CLIENT_RATE
    sensitive_rate: int = DEFAULT_SENSITIVE_RATE
    basic_auth: bool = False
    password_file: str = "/etc/heartmap/passwords"  # noqa: S105  # a file's name
    decision: str | None = None
    log_directory: str | None = None
    signing_keys: tuple[SigningKey, ...] = ()
    programs: tuple[Program, ...] = ()

    @property
    def largest_body(self) -> int:
        """In bytes, of any route."""
        return max(route.body for route in self.routes)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a lab says about its own host, as it was typed. None, or nothing: what the stack says, or the default."""

    server_name: str
    upstream: str
    certificate: str
    key: str
    environment: str
    upstream_ca: str | None = None
    upstream_host: str | None = None
    listen: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    client_rate: int | None = None
    basic_auth: bool = False
    password_file: str | None = None
    decision: str | None = None
    log_directory: str | None = None


def from_stack(outputs: Mapping[str, Any], options: Options, rules: Sequence[Rule] = ACCESS_POLICY) -> Gateway:
    """The gateway for a stack. ``outputs`` are those that ``pulumi stack output --json`` prints, or the local environment's
    description. Raises GatewayError for what is missing or malformed."""
    routes = tuple(route(rule) for rule in rules)
    issuer = _matching(_ADDRESS, _output(outputs, "issuer"), "the output issuer", "an address").rstrip("/")
    upstream, host = _upstream(options.upstream, "--upstream")
    made: dict[str, Any] = {}
    if options.listen:
        made["listen"] = tuple(_listen(text) for text in options.listen)
    if options.password_file is not None:
        made["password_file"] = _file(options.password_file, "--password-file")
    ranges = options.allow or outputs.get("allowed_ranges") or ()
    return Gateway(
        server_name=_host_name(options.server_name, "--server-name"),
        upstream=upstream,
        upstream_ca=None if options.upstream_ca is None else _file(options.upstream_ca, "--upstream-ca"),
        upstream_host=_host_name(options.upstream_host or host, "--upstream-host"),
        tls=Tls(certificate=_file(options.certificate, "--certificate"), key=_file(options.key, "--key")),
        routes=tuple(each for each in routes if each.answered_by == SERVICE),
        elsewhere=tuple(each for each in routes if each.answered_by != SERVICE),
        environment=options.environment,
        region=_matching(_REGION, _output(outputs, "region"), "the output region", "an AWS region"),
        issuer=issuer,
        client_ids=_client_ids(outputs),
        jwks_url=f"{issuer}/.well-known/jwks.json",
        authorize_url=_matching(_ADDRESS, _output(outputs, "authorize_url"), "the output authorize_url", "an address"),
        token_url=_matching(_ADDRESS, _output(outputs, "token_url"), "the output token_url", "an address"),
        allowed_ranges=_networks(ranges, "--allow"),
        trusted_proxies=_networks(options.trusted_proxies, "--trusted-proxy"),
        client_rate=_rate(options.client_rate or outputs.get("requests_per_minute", DEFAULT_CLIENT_RATE)),
        sensitive_rate=_rate(outputs.get("sensitive_requests_per_minute", DEFAULT_SENSITIVE_RATE)),
        basic_auth=options.basic_auth,
        decision=None if options.decision is None else _upstream(options.decision, "--decision")[0],
        log_directory=None if options.log_directory is None else _file(options.log_directory, "--log-directory"),
        **made,
    )


def route(rule: Rule) -> Route:
    """A row as gateways need it."""
    parts = re.split(r"\{\w+\}", rule.route)
    return Route(
        method=rule.method,
        template=rule.route,
        pattern=f"^{ULID.pattern.join(re.escape(part) for part in parts)}$",
        rate=rule.rate,
        burst=rule.burst,
        body=rule.body,
        groups=tuple(sorted(rule.groups)),
        scopes=tuple(sorted(rule.scopes)),
        any_principal=rule.any_principal,
        sign_in_age=rule.sign_in_age,
        sensitive=rule.method == "POST" and rule.route.endswith(SENSITIVE_PATHS),
        answered_by=rule.answered_by,
    )


def _output(outputs: Mapping[str, Any], name: str) -> str:
    value = outputs.get(name)
    if not isinstance(value, str) or not value:
        raise GatewayError(f"The stack's outputs lack {name}: give those that pulumi stack output --json prints.")
    return value


def _client_ids(outputs: Mapping[str, Any]) -> tuple[str, ...]:
    ids = [_output(outputs, "client_id"), *filter(None, [outputs.get("program_client_id")])]
    return tuple(_matching(_CLIENT_ID, str(each), "a client id of the outputs", "one of Cognito's") for each in ids)


def _matching(pattern: re.Pattern[str], text: str, what: str, rule: str) -> str:
    if not pattern.fullmatch(text):
        raise GatewayError(f"{what} must be {rule}, and is {text[:200]!r}.")
    return text


def _host_name(text: str, option: str) -> str:
    return _matching(_HOST_NAME, text, option, "a host name in small letters, such as heartmap.example.org")


def _file(text: str, option: str) -> str:
    name = _matching(_FILE, text, option, "the full path of a file on the gateway's host, of letters, digits and ._@+-")
    if {".", ".."}.intersection(name.split("/")):
        raise GatewayError(f"{option} must be a path without . and .., and is {name!r}.")
    return name


def _listen(text: str) -> str:
    found = _LISTEN.fullmatch(text)
    try:
        if found is None or not 0 < int(found[1]) < 1 << 16:
            raise ValueError  # noqa: TRY301  # told below
        ipaddress.ip_address(text.rpartition(":")[0].strip("[]"))
    except ValueError:
        rule = "--listen must be an address and a port, such as 0.0.0.0:443 or [::]:443"
        raise GatewayError(f"{rule}, and is {text[:100]!r}.") from None
    return text


def _upstream(text: str, option: str) -> tuple[str, str]:
    """The address, with its port, and its host."""
    rule = f"{option} must be https://HOST:PORT, such as https://127.0.0.1:8443"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port or 443
    except ValueError:
        raise GatewayError(f"{rule}, and is {text[:200]!r}.") from None
    if parts.scheme != "https" or parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise GatewayError(f"{rule}, and is {text[:200]!r}.")
    return f"https://{_host_name(host, f'the host of {option}')}:{port}", host


def _networks(texts: Iterable[object], option: str) -> tuple[Network, ...]:
    networks = []
    for text in texts:
        try:
            networks.append(ipaddress.ip_network(str(text)))
        except ValueError:
            rule = f"{option} must be a network in CIDR notation without host bits, such as 192.0.2.0/24"
            raise GatewayError(f"{rule}, and is {str(text)[:100]!r}.") from None
    return tuple(networks)


def _rate(value: object) -> int:
    # The stack's own bounds: infra/settings.py.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 10 <= value <= 2_000_000:
        raise GatewayError(f"The requests a minute must be 10 to 2000000, and are {value!r}.")
    return value
