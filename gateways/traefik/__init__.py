"""Traefik 3.7 or newer: ``traefik.yml``, its static configuration, and ``heartmap.yml``, what it routes and whom it asks.

Traefik asks a process of the service about each call (``heartmap_service.forward_auth``), which answers with the assertion that
the service behind accepts. One router stands in front of those of the rows, because Traefik makes a middleware anew for each
router that has it: what counts an address's calls has to be in one place.
"""

import json
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from gateways import model, problems, tls
from gateways.model import Gateway, GatewayError, Route
from gateways.templates import environment

STATIC, DYNAMIC = "traefik.yml", "heartmap.yml"
DIRECTORY = "/etc/traefik"
OPEN_SECONDS = 2
"""Traefik forgets whom it counted, and how often, after two seconds without a call of theirs. A rate holds when no more may come
at once than in these."""
GRACE_SECONDS = 20
"""As heartmap_service.server.DRAIN_SECONDS."""
IDLE_SECONDS = 60
"""Less than heartmap_service.server.KEEP_ALIVE: the service does not close a connection that Traefik is about to use."""

_CURVES = {"X25519": "X25519", "prime256v1": "CurveP256", "secp384r1": "CurveP384"}
# Of the credential: whoever is let through, the service behind knows by the assertion.
_SPENT = ("Authorization", "Cookie", "Proxy-Authorization", "Signature", "Signature-Input", "X-Api-Key")
_WILD = re.compile(r"(0\.0\.0\.0|\[::\])(:\d+)")


class Rate(NamedTuple):
    """``average`` requests in ``seconds``, and ``burst`` at once."""

    average: int
    seconds: int
    burst: int


def files(gateway: Gateway) -> dict[str, str]:
    """``traefik.yml`` and ``heartmap.yml``. Raises GatewayError where nobody is named who decides."""
    if gateway.decision is None:
        raise GatewayError(
            "Traefik asks a process of the service about each call: start python -m heartmap_service.forward_auth and name it by "
            "--decision https://HOST:PORT."
        )
    jinja = environment("traefik", quoted=_quoted, rule=_rule)
    shared = {
        "gateway": gateway,
        "model": model,
        "row_rate": _rate,
        "address_rate": _address_rate,
        "entry_points": _entry_points(gateway.listen),
        "path": f"{DIRECTORY}/{DYNAMIC}",
        "grace": GRACE_SECONDS,
        "idle": IDLE_SECONDS,
        # Whose address counts: that which connects, or the last one that no proxy of the lab's has.
        "strategy": json.dumps(
            {"excludedIPs": [str(network) for network in gateway.trusted_proxies]} if gateway.trusted_proxies else {"depth": 0}
        ),
        "headers": problems.SECURITY_HEADERS,
        "stripped": sorted({*model.STRIPPED_HEADERS, model.REQUEST_ID_HEADER, model.CREDENTIAL_HEADER}),
        "spent": _SPENT,
        "bodies": sorted({route.body for route in gateway.routes}),
        "ciphers": [_cipher(name) for name in tls.CIPHERS],
        "curves": [_CURVES[name] for name in tls.CURVES],
    }
    return {name: jinja.get_template(f"{name}.j2").render(shared) for name in (STATIC, DYNAMIC)}


def _entry_points(listen: Sequence[str]) -> dict[str, str]:
    """By name. Go listens on all addresses of both families where it is told all of one."""
    addresses = dict.fromkeys(_WILD.sub(r"\2", address) for address in listen)
    return {f"https{number or ''}": address for number, address in enumerate(addresses)}


def _quoted(text: object) -> str:
    """A scalar in double quotes, as YAML has it from JSON. Raises GatewayError for what is not plain ASCII, and for the braces of
    Go's templates, which Traefik looks for in its files."""
    value = str(text)
    if not value.isascii() or not value.isprintable() or "{{" in value or "}}" in value:
        raise GatewayError(f"This cannot be written into Traefik's configuration: {value[:200]!r}.")
    return json.dumps(value)


def _rule(route: Route) -> str:
    """The rule of a row's router: the method, and the path as it is after Traefik unescaped what needs no escape. What only that
    makes a route, the process that decides refuses."""
    if "`" in route.pattern or "`" in route.template:
        raise GatewayError(f"This pattern cannot be written into Traefik's configuration: {route.pattern[:200]!r}.")
    path = f"PathRegexp(`{route.pattern}`)" if "{" in route.template else f"Path(`{route.template}`)"
    return _quoted(f"Method(`{route.method}`) && {path}")


def _rate(route: Route) -> Rate:
    """Of all callers of a row together."""
    each = Fraction(route.rate).limit_denominator(3600)
    return Rate(each.numerator, each.denominator, route.burst)


def _address_rate(a_minute: int) -> Rate:
    """Of one address."""
    return Rate(a_minute, 60, -(-a_minute * OPEN_SECONDS // 60))


def _cipher(name: str) -> str:
    """OpenSSL's name of a cipher of TLS 1.2 in Go's."""
    exchange, signature, rest = name.split("-", 2)
    symmetric = rest.replace("AES128-GCM", "AES_128_GCM").replace("AES256-GCM", "AES_256_GCM").replace("-", "_")
    return f"TLS_{exchange}_{signature}_WITH_{symmetric if 'GCM' in rest else 'CHACHA20_POLY1305_SHA256'}"
