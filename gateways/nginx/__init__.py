"""nginx 1.22 (Debian 12) or newer: one file for ``conf.d``, which stands inside ``http``.

What the language cannot say is refused here: two methods of one path with bodies of different limits, which nginx keeps by the
path alone.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from gateways import model, problems, tls
from gateways.model import Gateway, GatewayError, Route
from gateways.templates import double_quoted, environment

FILE = "heartmap.conf"
LOG_DIRECTORY = "/var/log/nginx"
SYSTEM_CA = "/etc/ssl/certs/ca-certificates.crt"
"""Debian's and Alpine's."""
CONNECTIONS = 100
"""Of one address at once. The service takes 1,000 of all."""

# What nginx answers with a status for which there is no problem of ours: a path or a header that is too long, plain HTTP, an
# unknown transfer coding, an unknown version, TRACE and CONNECT.
_AS = {405: 404, 414: 431, 494: 431, 497: 400, 501: 400, 505: 400}


class Zone(NamedTuple):
    """A rate that several rows have, each for itself. ``rate`` as nginx writes it, ``extra`` what it takes at once beyond one."""

    name: str
    rate: str
    extra: int
    routes: tuple[Route, ...]


class Location(NamedTuple):
    """A path with its rows, and the largest body of any of them in bytes."""

    match: str
    routes: tuple[Route, ...]
    body: int


def files(gateway: Gateway) -> dict[str, str]:
    """``heartmap.conf``. Raises GatewayError for a policy that nginx cannot express."""
    templates = environment("nginx", quoted=double_quoted, pattern=_pattern, literal=_literal, opened_to=_opened_to)
    text = templates.get_template(f"{FILE}.j2").render(
        gateway=gateway,
        model=model,
        tls=tls,
        problems=problems,
        zones=_zones(gateway.routes),
        locations=_locations(gateway.routes),
        answers={status: [status, *(own for own, shown in _AS.items() if shown == status)] for status in problems.PROBLEMS},
        logs=gateway.log_directory or LOG_DIRECTORY,
        system_ca=SYSTEM_CA,
        connections=CONNECTIONS,
    )
    return {FILE: text}


def _zones(routes: Sequence[Route]) -> list[Zone]:
    limits: dict[tuple[float, int], list[Route]] = {}
    for route in routes:
        limits.setdefault((route.rate, route.burst), []).append(route)
    return [
        Zone(f"heartmap_{_rate(rate).replace('/', '_')}_{burst}", _rate(rate), burst - 1, tuple(of))
        for (rate, burst), of in limits.items()
    ]


def _rate(rate: float) -> str:
    """nginx takes whole numbers, of a second or of a minute."""
    if float(rate).is_integer():
        return f"{int(rate)}r/s"
    if not float(rate * 60).is_integer():
        raise GatewayError(f"nginx has whole numbers of requests a second or a minute, and {rate} a second is neither.")
    return f"{int(rate * 60)}r/m"


def _locations(routes: Sequence[Route]) -> list[Location]:
    paths: dict[str, list[Route]] = {}
    for route in routes:
        paths.setdefault(route.template, []).append(route)
    return [_location(template, of) for template, of in paths.items()]


def _location(template: str, routes: Sequence[Route]) -> Location:
    bodies = {route.body for route in routes if route.body}
    if len(bodies) > 1:
        raise GatewayError(f"nginx has one limit of bodies for a path, and the methods of {template} have several.")
    match = f"~ {_pattern(routes[0].pattern)}" if "{" in template else f"= {template}"
    # 0 would mean no limit: what takes no body is refused by `$heartmap_verdict`, and this is for what it would overlook.
    return Location(match, tuple(routes), max(bodies, default=1))


def _opened_to(route: Route) -> str:
    keys = f"; keys with {', '.join(route.scopes)}" if route.scopes else ""
    by = "whoever is authenticated" if route.any_principal else f"{', '.join(route.groups)}{keys}"
    return by if route.sign_in_age is None else f"{by}; a sign-in of the last {route.sign_in_age} s"


def _pattern(text: str) -> str:
    """A regular expression in double quotes. Raises GatewayError for one with a character that the quotes would not keep."""
    if not re.fullmatch(r"""[^"'$;\\\t\n\r]*(\\[.\-][^"'$;\\\t\n\r]*)*\$?""", text):
        raise GatewayError(f"This pattern cannot be written into nginx's configuration: {text[:200]!r}.")
    return f'"{text}"'


def _literal(text: str) -> str:
    """A text in single quotes, with no variable but the request's id."""
    if not text.isascii() or re.search(r"['\\\n]|\$(?!request_id\b)", text):
        raise GatewayError(f"This cannot be written into nginx's configuration: {text[:200]!r}.")
    return f"'{text}'"
