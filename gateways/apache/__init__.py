"""Apache, as Debian 12 has it (2.4) or newer: a site of its own.

``heartmap.conf`` is for ``sites-available``, ``00-heartmap.load`` for ``mods-available``: Debian 12's mod_qos needs it to
load. ``heartmap-tokens.conf``, made where basic authentication does not take ``Authorization`` for itself, has mod_auth_openidc
check tokens as well.
"""

import math
import re

from gateways import model, problems, tls
from gateways.model import Gateway, GatewayError, Network, Route
from gateways.problems import PROBLEMS, GatewayProblem
from gateways.templates import double_quoted, environment
from lambda_authorizer.access_policy import RESOURCE_SERVER

LOG_DIRECTORY = "${APACHE_LOG_DIR}"
"""Debian's own variable, /var/log/apache2."""
FLOOD = 1000
"""Refusals a minute, after which an address finds no open door."""
MOST_REQUESTS = 32_766
"""A minute, from one address: mod_qos counts with 16 bits."""
SYSTEM_CA = "/etc/ssl/certs/ca-certificates.crt"

_SITE, _FIRST, _TOKENS = "heartmap.conf", "00-heartmap.load", "heartmap-tokens.conf"

# Statuses that Apache answers with where there is another in the problems, or none.
_OWN = (
    PROBLEMS[404]._replace(status=405, title="Method Not Allowed"),
    PROBLEMS[431]._replace(status=414, title="URI Too Long"),
    PROBLEMS[400]._replace(status=417, title="Expectation Failed"),
    PROBLEMS[400]._replace(status=501, title="Not Implemented", detail="This method or transfer coding is not known here."),
)
_TOKEN_ANSWERS = (
    PROBLEMS[401]._replace(detail="No valid credential came with the request: sign in again, or send an API key."),
    PROBLEMS[403]._replace(code="forbidden", detail="You are signed in, but may not do this."),
)
_ANSWERS = sorted([*PROBLEMS.values(), *_OWN])


def files(gateway: Gateway) -> dict[str, str]:
    """The files by their names. Raises GatewayError where the service's certificate is for another name than callers use, or a
    rate is above what mod_qos counts."""
    if gateway.upstream_host != gateway.server_name:
        raise GatewayError(
            "Apache passes the callers' Host on, and verifies the service's certificate for that name: have it made for "
            f"{gateway.server_name} (HEARTMAP_TLS_CERTIFICATE), and say --upstream-host {gateway.server_name}."
        )
    if max(gateway.client_rate, gateway.sensitive_rate) > MOST_REQUESTS:
        raise GatewayError(f"mod_qos counts up to {MOST_REQUESTS} requests a minute from one address: say a lower --client-rate.")
    templates = environment(
        "apache", quoted=double_quoted, regex=_regex, variable=_variable, window=_window, admitted=_admitted, document=_document
    )
    return {
        name: templates.get_template(f"{name}.j2").render(
            gateway=gateway,
            model=model,
            problems=problems,
            tls=tls,
            answers=_ANSWERS,
            ports=sorted({listen.rpartition(":")[2] for listen in gateway.listen}),
            logs=gateway.log_directory or LOG_DIRECTORY,
            system_ca=SYSTEM_CA,
            flood=FLOOD,
            resource_server=RESOURCE_SERVER,
            token_answers=_TOKEN_ANSWERS,
        )
        for name in ((_SITE, _FIRST) if gateway.basic_auth else (_SITE, _FIRST, _TOKENS))
    }


def _regex(route: Route) -> str:
    """Of the whole request line. Raises GatewayError for a path that Apache's quotes and slashes would not keep."""
    path = route.pattern.removeprefix("^").removesuffix("$")
    if not re.fullmatch(r"[A-Za-z0-9/_\[\]{}-]+", path):
        raise GatewayError(f"This pattern cannot be written into Apache's configuration: {path[:200]!r}.")
    return f"^{route.method} {path}([?][^ ]*)? HTTP/1[.][01]$"


def _variable(route: Route) -> str:
    return f"HEARTMAP_{route.name.upper().replace('-', '_')}"


def _window(route: Route) -> str:
    """How many requests in how many whole seconds: the burst in the time in which it comes back at the row's rate."""
    return f"{route.burst} {math.ceil(route.burst / route.rate)}"


def _admitted(ranges: tuple[Network, ...]) -> str:
    """The condition that a request comes from one of the ranges."""
    return " || ".join(f"-R '{network}'" for network in ranges) or "true"


def _document(problem: GatewayProblem) -> str:
    """The problem document in single quotes, with the request's id in it. Raises GatewayError for a text that they would not
    keep."""
    text = problem.body("%{reqenv:HEARTMAP_REQUEST_ID}")
    if "'" in text or "\\" in text or text.count("%") != 1:
        raise GatewayError(f"This cannot be written into Apache's configuration: {text[:200]!r}.")
    return f"'{text}'"
