"""What an event of a REST API's REQUEST authorizer says, if it says it without contradiction.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-input.html

The decision is made on the route template and the method; the policy names the method's ARN. All the fields that spell the same
thing must agree, or one would be decided on and another opened.
"""

import re
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple, NoReturn

from lambda_authorizer.access_policy import RULES
from lambda_authorizer.aws import partition_of
from lambda_authorizer.encoding import is_printable
from lambda_authorizer.reasons import Reason, Refused
from lambda_authorizer.signature import HEADER, INPUT_HEADER

# Patterns that the first call does not need are compiled when a call does: that takes as long as importing a small module.
_STAGE_ARN = (
    r"arn:(?P<partition>aws[a-z-]*):execute-api:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12}):"
    r"(?P<api>[A-Za-z0-9-]+)/(?P<stage>[A-Za-z0-9_-]+)/"
)
_METHOD = r"[A-Z]+"
# RFC 3986's path without * and ? and $, which IAM reads as wildcards and variables in an ARN.
_PATH = r"/[A-Za-z0-9._~!&'()+,;=:@%/-]*"
# No route of ours holds anything else. It keeps out the percent sign and empty segments, by which one path has two spellings.
_PLAIN_PATH = r"/|(/[A-Za-z0-9._~-]+)+"
_TEMPLATE = r"/|(/([A-Za-z0-9._~-]+|\{[A-Za-z0-9._-]+\+?\}))+"
# Whose path is the route itself: there is nothing to read in it.
_WITHOUT_PARAMETERS = frozenset(call for call in RULES if "{" not in call[1])
_SETTLED = frozenset(call for call in _WITHOUT_PARAMETERS if RULES[call].sign_in_age is None)
_FIELDS = ("methodArn", "httpMethod", "resource", "path")
_REPEATED = ("stage", "apiId", "accountId", "httpMethod", "resourcePath", "path")
_fields, _repeated = itemgetter(*_FIELDS), itemgetter(*_REPEATED)
_STRINGS = frozenset({str})
_ADDRESS = re.compile(r"[0-9A-Fa-f:.]{2,45}")

# RFC 6750 lets a token travel in the query too, AWS a signature, and API Gateway's own keys have a header: beside
# Authorization, any of them is a second credential.
_OTHER_CREDENTIAL_HEADERS = frozenset({"x-api-key", "proxy-authorization"})
_OTHERS_THAT_MATTER = _OTHER_CREDENTIAL_HEADERS | {INPUT_HEADER.lower(), HEADER.lower()}
_OTHER_CREDENTIAL_PARAMETERS = frozenset(
    {"access_token", "api_key", "apikey", "authorization", "x-api-key", "x-amz-signature", "x-amz-security-token"}
)


class Origin(NamedTuple):
    """What identifies a call in the audit line, whatever else is wrong with it. None where it has not the form it must have."""

    request_id: str | None
    source_ip: str | None


_NOWHERE = Origin(None, None)
# A named tuple's own constructor takes three times as long, and this one is made for each call.
_tuple = tuple.__new__


class Request(NamedTuple):
    """What all calls are that are spelled alike, free of contradictions.

    ``call`` is the method and the route's template, ``parameters`` what the path holds in its place: None for a path or a
    template of a form that no route of ours has, such as a path that ends in a slash. ``url_path`` is the path as the caller
    wrote it: on the API's own host name with the stage in front.
    """

    call: tuple[str, str]
    parameters: dict[str, str] | None
    method_arn: str
    region: str
    url_path: str
    settled: bool
    """Who the caller is decides on the call, and nothing else that can differ from one to the next."""


Presented = tuple[str, dict[str, list[str]]]
"""What a call came with: the value of the one ``Authorization``, and all values of each header by its lower-case name; but no
header where none of the others matters to a decision."""
_NO_HEADERS: dict[str, list[str]] = {}


class _Stage(NamedTuple):
    """A stage of a REST API, as a method's ARN names it."""

    region: str
    account: str
    api: str
    name: str


def origin(event: object) -> Origin:
    """The call's request id and source address. Never raises."""
    context = event.get("requestContext") if isinstance(event, dict) else None
    if not isinstance(context, dict):
        return _NOWHERE
    request_id, identity = context.get("requestId"), context.get("identity")
    source_ip = identity.get("sourceIp") if isinstance(identity, dict) else None
    return _tuple(
        Origin,
        (
            request_id if isinstance(request_id, str) and is_printable(request_id, 128) else None,
            _address(source_ip) if isinstance(source_ip, str) else None,
        ),
    )


def read(event: object, origin: Origin, *, region: str | None) -> Request:
    """The request in the event. ``region`` is the Lambda's own, where it is known. Raises Refused."""
    if not isinstance(event, dict) or event.get("type", "REQUEST") != "REQUEST" or origin.request_id is None:
        _malformed()
    context = event["requestContext"]
    try:
        fields = (*_fields(event), *_repeated(context))
    except KeyError:
        # What the request context repeats may be left out.
        fields = (*map(event.get, _FIELDS), *map(context.get, _REPEATED))
    try:
        request = _agreed(*fields)
    except TypeError:
        # A list or an object, where there should be a text, is no key of what is known already.
        if not _STRINGS.issuperset(map(type, fields[: len(_FIELDS)])):
            _malformed()
        _mismatch()
    if region is not None and request.region != region:
        _mismatch()
    in_path = event.get("pathParameters")
    if in_path is not None:
        _check_parameters(in_path, request.parameters)
    return request


def presented(event: dict[str, Any]) -> Presented:
    """What came with the call, in an event that ``read`` took. Raises Refused when there is not exactly one credential."""
    headers = event.get("headers")
    if (
        isinstance(headers, dict)
        and event.get("queryStringParameters") is None
        and event.get("multiValueQueryStringParameters") is None
        and event.get("authorizationToken") is None
    ):
        # Nearly all calls: no query, and one of each header.
        name = _authorization_among(tuple(headers))
        if name is not None and _single(headers, event.get("multiValueHeaders")):
            return headers[name], _NO_HEADERS
    return _closely_read(event)


def _single(headers: dict[str, Any], multiple: object) -> bool:
    """Whether each header has one value, a text, and both maps say the same."""
    return (multiple is None or multiple == {name: [value] for name, value in headers.items()}) and _STRINGS.issuperset(
        map(type, headers.values())
    )


# A client sends the same headers each time.
@lru_cache(maxsize=256)
def _authorization_among(names: tuple[Any, ...]) -> str | None:
    """How Authorization is spelled, if it is there once and no other of the headers matters."""
    if not _STRINGS.issuperset(map(type, names)):
        return None
    spelled = {name.lower(): name for name in names}
    if len(spelled) < len(names) or not _OTHERS_THAT_MATTER.isdisjoint(spelled):
        return None
    return spelled.get("authorization")


def _closely_read(event: dict[str, Any]) -> Presented:
    headers = _values(event, "headers", "multiValueHeaders", Reason.HEADERS_MISMATCH)
    query = _values(event, "queryStringParameters", "multiValueQueryStringParameters", Reason.EVENT_MISMATCH)
    values = headers.get("authorization", [])
    if not values:
        raise Refused(Reason.NO_CREDENTIAL)
    if (
        len(values) > 1
        or not _OTHER_CREDENTIAL_HEADERS.isdisjoint(headers)
        or not _OTHER_CREDENTIAL_PARAMETERS.isdisjoint(query)
        # Only an event of another kind has this field: a TOKEN authorizer's, or an HTTP API's.
        or event.get("authorizationToken") is not None
    ):
        raise Refused(Reason.SEVERAL_CREDENTIALS)
    return values[0], headers


def query(event: dict[str, Any]) -> dict[str, list[str]]:
    """All values of each query parameter, decoded, in an event that ``presented`` took."""
    single, multiple = event.get("queryStringParameters"), event.get("multiValueQueryStringParameters")
    return multiple or {name: [value] for name, value in (single or {}).items()}


def _malformed() -> NoReturn:
    raise Refused(Reason.EVENT_MALFORMED)


def _mismatch() -> NoReturn:
    raise Refused(Reason.EVENT_MISMATCH)


# A caller calls more than once.
@lru_cache(maxsize=256)
def _address(text: str) -> str | None:
    return text if _ADDRESS.fullmatch(text) else None


def _stage(method_arn: str, method: str, path: str) -> _Stage:
    """The stage in a method's ARN, which must be that of this method and path."""
    end = f"{method}{path}"
    if method_arn.endswith(end) and re.fullmatch(_METHOD, method):
        stage = _parsed(method_arn[: -len(end)])
        if stage is not None:
            return stage
    if re.fullmatch(f"{_STAGE_ARN}{_METHOD}/.*", method_arn):
        _mismatch()
    _malformed()


@lru_cache(maxsize=8)
def _parsed(stage_arn: str) -> _Stage | None:
    """What a method's ARN begins with. An authorizer sees one or two stages in its life."""
    found = re.fullmatch(_STAGE_ARN, stage_arn)
    if found is None or found["partition"] != partition_of(found["region"]):
        return None
    return _Stage(found["region"], found["account"], found["api"], found["stage"])


def _parameters(route: str, path: str) -> dict[str, str] | None:
    """What the path holds for each name in the route template; None for forms that no route of ours has."""
    if not re.fullmatch(_PATH, path) or not re.fullmatch(_TEMPLATE, route):
        _malformed()
    # A greedy {name+} takes any number of segments: no route of ours does.
    if not re.fullmatch(_PLAIN_PATH, path) or "+" in route:
        return None
    names, values = route.split("/"), path.split("/")
    if len(names) != len(values):
        _mismatch()
    parameters: dict[str, str] = {}
    for name, value in zip(names, values, strict=True):
        if name.startswith("{"):
            parameters[name[1:-1]] = value
        elif name != value:
            _mismatch()
    return parameters


def _check_parameters(given: object, parameters: dict[str, str] | None) -> None:
    if not isinstance(given, dict):
        _malformed()
    if given and parameters is not None and given != parameters:
        _mismatch()


# An API has few routes, and most calls come to those without parameters: for them all of this was found out before.
@lru_cache(maxsize=256)
def _agreed(
    method_arn: object,
    method: object,
    route: object,
    path: object,
    context_stage: str | None,
    context_api: str | None,
    context_account: str | None,
    context_method: str | None,
    context_route: str | None,
    context_path: str | None,
) -> Request:
    """What the event's fields say together, where whatever the request context repeats is what the others say."""
    if not (isinstance(method_arn, str) and isinstance(path, str) and isinstance(route, str) and isinstance(method, str)):
        _malformed()
    call, parameters = (method, route), {}
    if path != route or call not in _WITHOUT_PARAMETERS:
        parameters = _parameters(route, path)
    stage = _stage(method_arn, method, path)
    if (
        context_stage not in (None, stage.name)
        or context_api not in (None, stage.api)
        or context_account not in (None, stage.account)
        or context_method not in (None, method)
        or context_route not in (None, route)
    ):
        _mismatch()
    # With the stage on the API's own host name, where the root may lack its slash; without it on a custom domain. No base path
    # mapping adds another.
    with_stage = f"/{stage.name}{path}"
    if context_path not in (None, path, with_stage) and not (route == "/" and context_path == f"/{stage.name}"):
        _mismatch()
    return Request(call, parameters, method_arn, stage.region, context_path or path, parameters == {} and call in _SETTLED)


def _values(event: dict[str, Any], single_field: str, multiple_field: str, mismatch: Reason) -> dict[str, list[str]]:
    """All values of each header or query parameter by its lower-case name."""
    given, multiple = _optional_map(event, single_field) or {}, _optional_map(event, multiple_field)
    lists = {name: [value] for name, value in given.items()}
    # Nearly always no name has several values, and both maps say the same.
    as_one = multiple is None or multiple == lists
    if as_one and _STRINGS.issuperset(map(type, given)) and _STRINGS.issuperset(map(type, given.values())):
        single = dict(zip(map(str.lower, given), lists.values(), strict=True))
        if len(single) == len(given):
            return single
    single = _grouped(lists)
    if multiple is None or as_one:
        return single
    merged = _grouped(multiple)
    # API Gateway keeps the last of several values in the field of single ones.
    if single.keys() != merged.keys() or any(not set(values) <= set(merged[name]) for name, values in single.items()):
        raise Refused(mismatch)
    if any(len(values) > len(merged[name]) for name, values in single.items()):
        raise Refused(mismatch)
    return merged


def _grouped(given: dict[Any, Any]) -> dict[str, list[str]]:
    """The values of all spellings of a name, under the name in lower case."""
    groups: dict[str, list[str]] = {}
    for name, values in given.items():
        if not isinstance(name, str) or not isinstance(values, list) or not values:
            _malformed()
        for value in values:
            if not isinstance(value, str):
                _malformed()
        key = name.lower()
        groups[key] = groups[key] + values if key in groups else values
    return groups


def _optional_map(event: dict[str, Any], name: str) -> dict[Any, Any] | None:
    value = event.get(name)
    if value is not None and not isinstance(value, dict):
        _malformed()
    return value
