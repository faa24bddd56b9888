"""The web ACL of a stage or of a user pool: rules in the order of their priority, until one allows or blocks.

Understood: IP set references; strings at the path, the method or one header; the size of the body; rate-based rules by source
address; NOT, AND and OR of these; the actions Allow, Block (with a custom response) and Count.
https://docs.aws.amazon.com/waf/latest/APIReference/API_WebACL.html. Anything else is refused: managed rule groups, of which AWS
publishes neither the patterns nor the addresses, and the labels that they leave.
"""

import ipaddress
import operator
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from local_cloud.edge.interpret import Uninterpretable, known_only, require

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a web ACL sees. ``path`` is as it was sent, without the query; ``body_bytes`` is the size of the whole body."""

    source_ip: str
    method: str
    path: str
    headers: Sequence[tuple[str, str]]
    body_bytes: int

    @property
    def address(self) -> Address:
        """Where the connection came from."""
        return ipaddress.ip_address(self.source_ip)


Statement = Callable[[Request], bool]

API_GATEWAY, COGNITO = "API_GATEWAY", "COGNITO_USER_POOL"
"""Kinds of protected resources, as the association settings name them."""

# How much of a body is inspected. https://docs.aws.amazon.com/waf/latest/APIReference/API_RequestBodyAssociatedResourceTypeConfig.html
BODY_LIMITS = {f"KB_{size}": size * 1024 for size in (16, 32, 48, 64)}
DEFAULT_BODY_LIMIT = "KB_16"

COMPARISONS = {
    "EQ": operator.eq,
    "NE": operator.ne,
    "LE": operator.le,
    "LT": operator.lt,
    "GE": operator.ge,
    "GT": operator.gt,
}
POSITIONS: dict[str, Callable[[str, str], bool]] = {
    "EXACTLY": operator.eq,
    "STARTS_WITH": str.startswith,
    "ENDS_WITH": str.endswith,
    "CONTAINS": operator.contains,
}
TRANSFORMATIONS: dict[str, Callable[[str], str]] = {"NONE": str, "URL_DECODE": unquote, "LOWERCASE": str.lower}

# A rate-based rule limits at most 10,000 addresses at a time.
# https://docs.aws.amazon.com/waf/latest/developerguide/waf-rule-statement-type-rate-based-caveats.html
TRACKED_ADDRESSES = 10_000
DEFAULT_WINDOW = 300  # seconds

CONTENT_TYPES = {"TEXT_PLAIN": "text/plain", "TEXT_HTML": "text/html", "APPLICATION_JSON": "application/json"}


@dataclass(frozen=True)
class CustomResponse:
    """What a Block action answers instead of the REST API."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True)
class Verdict:
    """``response`` is None where a block is answered by the REST API's WAF_FILTERED response."""

    allowed: bool
    response: CustomResponse | None = None


@dataclass(frozen=True)
class _Rule:
    priority: int
    matches: Statement
    verdict: Verdict | None
    """None counts only: the evaluation goes on."""


class WebAcl:
    """Decides on requests to one resource.

    Args:
        acl: as wafv2 GetWebACL returns it.
        ip_set: gives the addresses (CIDR) of the IP set with this ARN.
        clock: seconds, for the rates.
        protects: the kind of the resource, by which bodies are inspected to different sizes.

    Raises Uninterpretable.
    """

    def __init__(
        self,
        acl: Mapping[str, Any],
        ip_set: Callable[[str], list[str]],
        clock: Callable[[], float] = time.monotonic,
        protects: str = API_GATEWAY,
    ) -> None:
        self.arn: str = acl["ARN"]
        what = f"The web ACL {acl['Name']}"
        known_only(what, acl, {*_IDENTITY, "Rules", "DefaultAction", "CustomResponseBodies", "AssociationConfig"})
        self._reader = _Reader(acl.get("CustomResponseBodies") or {}, ip_set, clock, _body_limit(what, acl, protects))
        default = self._reader.action(what, acl["DefaultAction"])
        require(default is not None, f"{what} has a default action other than Allow or Block.")
        self._default = default or Verdict(allowed=False)
        self._rules = sorted((self._reader.rule(rule) for rule in acl.get("Rules") or ()), key=lambda rule: rule.priority)

    def evaluate(self, request: Request) -> Verdict:
        """Counts the request and decides on it."""
        for rule in self._rules:
            if rule.matches(request) and rule.verdict is not None:
                return rule.verdict
        return self._default


_IDENTITY = (
    *("Name", "Id", "ARN", "Description", "VisibilityConfig", "Capacity", "LockToken", "LabelNamespace"),
    "ManagedByFirewallManager",
)


def _body_limit(what: str, acl: Mapping[str, Any], protects: str) -> int:
    settings = acl.get("AssociationConfig") or {}
    known_only(f"The association of {what[0].lower()}{what[1:]}", settings, {"RequestBody"})
    limit = ((settings.get("RequestBody") or {}).get(protects) or {}).get("DefaultSizeInspectionLimit", DEFAULT_BODY_LIMIT)
    require(limit in BODY_LIMITS, f"{what} has bodies inspected up to {limit}, which the local edge does not know.")
    return BODY_LIMITS[limit]


def read(resource_arn: str, client: Any, protects: str = API_GATEWAY) -> WebAcl | None:
    """The web ACL that is associated with the resource, if any. Raises Uninterpretable."""

    def ip_set(arn: str) -> list[str]:
        # arn:aws:wafv2:<region>:<account>:regional/ipset/<name>/<id>
        _, _, name, identifier = arn.rsplit("/", 3)
        return client.get_ip_set(Name=name, Scope="REGIONAL", Id=identifier)["IPSet"]["Addresses"]

    acl = client.get_web_acl_for_resource(ResourceArn=resource_arn).get("WebACL")
    return WebAcl(acl, ip_set, protects=protects) if acl else None


class _Reader:
    """Turns the parts of an ACL into what can be evaluated."""

    def __init__(
        self, bodies: Mapping[str, Any], ip_set: Callable[[str], list[str]], clock: Callable[[], float], body_limit: int
    ) -> None:
        self._bodies, self._ip_set, self._clock, self._body_limit = bodies, ip_set, clock, body_limit

    def rule(self, rule: Mapping[str, Any]) -> _Rule:
        what = f"The WAF rule {rule['Name']}"
        known_only(what, rule, {"Name", "Priority", "Statement", "Action", "VisibilityConfig"})
        require(rule.get("Action"), f"{what} has no action.")
        return _Rule(rule["Priority"], self.statement(what, rule["Statement"]), self.action(what, rule["Action"]))

    def action(self, what: str, action: Mapping[str, Any]) -> Verdict | None:
        names = [name for name, setting in action.items() if setting is not None]
        require(
            len(names) == 1 and names[0] in ("Allow", "Block", "Count"), f"{what} has an action other than Allow, Block or Count."
        )
        kind, settings = names[0], action[names[0]]
        known_only(f"The action of {what[0].lower()}{what[1:]}", settings, {"CustomResponse"} if kind == "Block" else ())
        if kind == "Count":
            return None
        custom = settings.get("CustomResponse")
        return Verdict(allowed=kind == "Allow", response=self._response(what, custom) if custom else None)

    def _response(self, what: str, custom: Mapping[str, Any]) -> CustomResponse:
        known_only(
            f"The custom response of {what[0].lower()}{what[1:]}",
            custom,
            {"ResponseCode", "CustomResponseBodyKey", "ResponseHeaders"},
        )
        headers = [(header["Name"].lower(), header["Value"]) for header in custom.get("ResponseHeaders") or ()]
        content = b""
        if key := custom.get("CustomResponseBodyKey"):
            require(key in self._bodies, f"{what} names the response body {key}, which the web ACL does not have.")
            body = self._bodies[key]
            content = body["Content"].encode()
            if "content-type" not in dict(headers):
                headers.append(("content-type", CONTENT_TYPES[body["ContentType"]]))
        return CustomResponse(int(custom["ResponseCode"]), tuple(headers), content)

    def statement(self, what: str, statement: Mapping[str, Any]) -> Statement:
        kinds = [kind for kind, setting in statement.items() if setting is not None]
        readers = {
            "IPSetReferenceStatement": self._reference,
            "ByteMatchStatement": self._text,
            "SizeConstraintStatement": self._size,
            "RateBasedStatement": self._rate,
            "NotStatement": self._not,
            "AndStatement": self._and,
            "OrStatement": self._or,
        }
        if len(kinds) != 1 or kinds[0] not in readers:
            raise Uninterpretable(
                f"{what} has the statement {', '.join(kinds) or 'nothing'}, which the local edge cannot enforce."
            )
        return readers[kinds[0]](what, statement[kinds[0]])

    def _reference(self, what: str, statement: Mapping[str, Any]) -> Statement:
        known_only(what, statement, {"ARN"})
        networks = [ipaddress.ip_network(text) for text in self._ip_set(statement["ARN"])]
        return lambda request: any(request.address in network for network in networks)

    def _text(self, what: str, statement: Mapping[str, Any]) -> Statement:
        known_only(what, statement, {"SearchString", "FieldToMatch", "PositionalConstraint", "TextTransformations"})
        position, wanted = statement["PositionalConstraint"], bytes(statement["SearchString"]).decode("latin-1")
        require(position in POSITIONS, f"{what} looks for a string at {position}, which the local edge does not know.")
        holds, values = POSITIONS[position], self._field(what, statement["FieldToMatch"])
        transform = _transformation(what, statement)
        return lambda request: any(holds(transform(value), wanted) for value in values(request))

    def _field(self, what: str, field: Mapping[str, Any]) -> Callable[[Request], list[str]]:
        kinds = [kind for kind, setting in field.items() if setting is not None]
        match kinds:
            case ["UriPath"]:
                return lambda request: [request.path]
            case ["Method"]:
                return lambda request: [request.method]
            case ["SingleHeader"]:
                name = field["SingleHeader"]["Name"].lower()
                return lambda request: [value for header, value in request.headers if header.lower() == name]
        raise Uninterpretable(f"{what} inspects {', '.join(kinds) or 'nothing'}, which the local edge does not know.")

    def _size(self, what: str, statement: Mapping[str, Any]) -> Statement:
        known_only(what, statement, {"FieldToMatch", "ComparisonOperator", "Size", "TextTransformations"})
        field, transformation = statement["FieldToMatch"], [item["Type"] for item in statement["TextTransformations"]]
        require([*field] == ["Body"] and transformation == ["NONE"], f"{what} measures something else than the body as it is.")
        oversize = (field["Body"] or {}).get("OversizeHandling", "CONTINUE")
        compare, size, limit = COMPARISONS[statement["ComparisonOperator"]], int(statement["Size"]), self._body_limit

        def matches(request: Request) -> bool:
            if request.body_bytes > limit and oversize != "CONTINUE":
                return oversize == "MATCH"
            return compare(min(request.body_bytes, limit), size)

        return matches

    def _rate(self, what: str, statement: Mapping[str, Any]) -> Statement:
        known_only(what, statement, {"Limit", "EvaluationWindowSec", "AggregateKeyType", "ScopeDownStatement"})
        require(statement.get("AggregateKeyType") == "IP", f"{what} counts by something else than the source address.")
        scope = self.statement(what, statement["ScopeDownStatement"]) if statement.get("ScopeDownStatement") else None
        counter = RateCounter(int(statement["Limit"]), int(statement.get("EvaluationWindowSec") or DEFAULT_WINDOW), self._clock)
        return lambda request: (scope is None or scope(request)) and counter.exceeded(request.address)

    def _not(self, what: str, statement: Mapping[str, Any]) -> Statement:
        inner = self.statement(what, statement["Statement"])
        return lambda request: not inner(request)

    def _and(self, what: str, statement: Mapping[str, Any]) -> Statement:
        parts = [self.statement(what, part) for part in statement["Statements"]]
        return lambda request: all(part(request) for part in parts)

    def _or(self, what: str, statement: Mapping[str, Any]) -> Statement:
        parts = [self.statement(what, part) for part in statement["Statements"]]
        return lambda request: any(part(request) for part in parts)


def _transformation(what: str, statement: Mapping[str, Any]) -> Callable[[str], str]:
    names = [item["Type"] for item in sorted(statement["TextTransformations"], key=lambda item: item["Priority"])]
    unknown = [name for name in names if name not in TRANSFORMATIONS]
    require(not unknown, f"{what} transforms by {', '.join(unknown)}, which the local edge does not know.")

    def transform(text: str) -> str:
        for name in names:
            text = TRANSFORMATIONS[name](text)
        return text

    return transform


class RateCounter:
    """Requests of each address in the last ``window`` seconds. AWS looks about every 10 seconds, this one at each request."""

    def __init__(self, limit: int, window: int, clock: Callable[[], float]) -> None:
        self._limit, self._window, self._clock = limit, window, clock
        self._requests: OrderedDict[Address, deque[list[int]]] = OrderedDict()

    def exceeded(self, address: Address) -> bool:
        """Counts the request; whether the address now has more than the limit."""
        second = int(self._clock())
        counts = self._requests.setdefault(address, deque())
        self._requests.move_to_end(address)
        if len(self._requests) > TRACKED_ADDRESSES:
            self._requests.popitem(last=False)
        while counts and counts[0][0] <= second - self._window:
            counts.popleft()
        if counts and counts[-1][0] == second:
            counts[-1][1] += 1
        else:
            counts.append([second, 1])
        return sum(count for _, count in counts) > self._limit
