"""Azure API Management: a Pulumi project that puts the API into an instance which is there already.

The policies decide by themselves who calls, and sign it as the Lambda authorizer does: the service runs unchanged, with
``HEARTMAP_IDENTITY=assertion``. Policies and the C# in them: https://learn.microsoft.com/azure/api-management/api-management-policies
"""

import json
import math
import re
from collections.abc import Iterable
from importlib import resources
from xml.sax.saxutils import escape

from gateways.model import ASSERTION_HEADER, CREDENTIAL_HEADER, STRIPPED_HEADERS, TIMEOUT_SECONDS, Gateway, GatewayError, Route
from gateways.problems import CONTENT_TYPE, PROBLEMS, SECURITY_HEADERS, GatewayProblem
from gateways.templates import double_quoted, environment
from infra.gateway_responses import GATEWAY_RESPONSES
from lambda_authorizer.access_policy import GROUPS, RESOURCE_SERVER, SCOPES, STEP_UP_AGE
from lambda_authorizer.policy import TOLERANCE
from lambda_authorizer.tokens import MAX_LENGTH, MAX_LIFETIME

SUBSCRIPTION_HEADER, SUBSCRIPTION_PARAMETER = "Ocp-Apim-Subscription-Key", "subscription-key"
"""API Management's own names. A key in a query stands in logs: it is refused."""
OTHER_HEADERS = ("proxy-authorization", "signature", "signature-input", "x-api-key", CREDENTIAL_HEADER.lower())
"""A second credential beside a token, as lambda_authorizer/events.py has them."""
OTHER_PARAMETERS = (
    "access_token",
    "api_key",
    "apikey",
    "authorization",
    SUBSCRIPTION_PARAMETER,
    "x-amz-security-token",
    "x-amz-signature",
    "x-api-key",
)
CALLS_A_DAY = 24 * 3600
"""Of one principal."""
_PROJECT = ("Pulumi.yaml", "__main__.py", "apim.py", "requirements.txt")


def files(gateway: Gateway) -> dict[str, str]:
    """The project's own files, ``gateway.json``, and the policies. Raises GatewayError for what API Management cannot do."""
    if gateway.trusted_proxies:
        raise GatewayError(
            "--trusted-proxy: API Management takes the address of whoever connects to it. Leave it out, and let callers connect."
        )
    made = {name: resources.files("gateways.azure_apim").joinpath("project", name).read_text("utf-8") for name in _PROJECT}
    made["gateway.json"] = json.dumps(_description(gateway), indent=2)
    templates = environment(
        "azure_apim", xml=_xml, expression=_expression, csharp_list=_csharp_list, csharp_body=_csharp_body, listed=_listed
    )
    made["policies/api.xml"] = templates.get_template("api.xml.j2").render(
        gateway=gateway,
        ranges=_ranges(gateway),
        has_ipv6=any(network.version == 6 for network in gateway.allowed_ranges),
        other_headers=OTHER_HEADERS,
        other_parameters=OTHER_PARAMETERS,
        token_length=MAX_LENGTH,
        tolerance=TOLERANCE,
        lifetime=MAX_LIFETIME,
        groups=sorted(GROUPS),
        scopes=sorted(SCOPES),
        resource_server=RESOURCE_SERVER,
        quota=CALLS_A_DAY,
        stripped=("Authorization", "Cookie", SUBSCRIPTION_HEADER, *STRIPPED_HEADERS),
        timeout=TIMEOUT_SECONDS,
    )
    for name in ("assert", "decide", "problem"):
        made[f"policies/fragments/heartmap-{name}.xml"] = templates.get_template(f"{name}.xml.j2").render(
            header=ASSERTION_HEADER,
            tolerance=TOLERANCE,
            problems=_problems(),
            content_type=CONTENT_TYPE,
            security_headers=tuple(SECURITY_HEADERS.items()),
        )
    for route in gateway.routes:
        calls, seconds = window(route)
        made[f"policies/operations/{route.name}.xml"] = templates.get_template("operation.xml.j2").render(
            # .NET's $ also stands before a line feed at the end.
            gateway=gateway,
            route=route,
            path=re.sub(r"\$\Z", r"\\z", route.pattern),
            calls=calls,
            seconds=seconds,
        )
    return made


def window(route: Route) -> tuple[int, int]:
    """Calls and the seconds of the sliding window in which they may come: never more than the row's burst at once, and never more
    than its rate for long."""
    return route.burst, math.ceil(route.burst / route.rate)


def _description(gateway: Gateway) -> dict[str, object]:
    port = gateway.upstream.rpartition(":")[2]
    return {
        # By the name in its certificate, which API Management compares with this one.
        "service_url": f"https://{gateway.upstream_host}" + ("" if port == "443" else f":{port}"),
        "subscription_required": gateway.basic_auth,
        "operations": [
            {
                "name": route.name,
                "method": route.method,
                "template": route.template,
                "parameters": re.findall(r"\{(\w+)\}", route.template),
            }
            for route in gateway.routes
        ],
    }


def _ranges(gateway: Gateway) -> list[tuple[str, str]]:
    """First and last address of each. API Management's addresses are IPv4's; who cannot come needs no admission."""
    ranges = [(str(network[0]), str(network[-1])) for network in gateway.allowed_ranges if network.version == 4]
    if gateway.allowed_ranges and not ranges:
        raise GatewayError("--allow: API Management is called by IPv4. Name at least one network of IPv4, such as 192.0.2.0/24.")
    return ranges


def _problems() -> dict[str, GatewayProblem]:
    """By what a policy writes into ``heartmap-refusal``."""
    answers = {each.response_type: each for each in GATEWAY_RESPONSES}
    unauthorized, denied = answers["UNAUTHORIZED"], answers["ACCESS_DENIED"]
    return {
        "unauthenticated": GatewayProblem(
            401,
            unauthorized.title,
            unauthorized.code,
            "Send one credential: Authorization: Bearer with an access token. API keys are taken at the stack's own address.",
            unauthorized.headers,
        ),
        "forbidden": GatewayProblem(
            403, denied.title, denied.code, "Your role does not allow this. Ask an administrator for the group that does."
        ),
        "sign_in_too_old": GatewayProblem(
            403,
            denied.title,
            denied.code,
            f"This asks for a sign-in of the last {STEP_UP_AGE // 60} minutes: sign in again with heartmapctl login.",
        ),
        "blocked": PROBLEMS[403],
        "no_such_route": PROBLEMS[404],
        "length_required": GatewayProblem(411, "Length Required", "bad_request", "Say the length of the body: Content-Length."),
        "body_too_large": PROBLEMS[413],
        "throttled": PROBLEMS[429],
        "internal": PROBLEMS[500],
        "bad_gateway": PROBLEMS[502],
        "timeout": PROBLEMS[504],
    }


def _xml(text: object) -> str:
    """For the content of an element, and for an attribute's value in double quotes."""
    return escape(str(text), {'"': "&quot;"})


def _expression(text: str) -> str:
    """C#, for the content of an element and for an attribute's value in single quotes: it has more of the double ones."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("'", "&apos;")


def _listed(names: Iterable[str]) -> str:
    # An empty value is none to API Management, and no group or scope has this name.
    return ",".join(names) or "none"


def _csharp_list(names: Iterable[str]) -> str:
    return ", ".join(double_quoted(name, special='"\\{}') for name in names)


def _csharp_body(document: str) -> str:
    """A JSON text with a line feed in the place of the call's id, as C# that puts the id there. C# reads JSON's strings as they
    are."""
    before, after = (json.dumps(part) for part in document.split("\\n"))
    return f"{before} + context.RequestId.ToString() + {after}"
