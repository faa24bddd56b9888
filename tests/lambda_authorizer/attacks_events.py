"""Attacks with events: what says too little, too much, or two things, and what another kind of API sends."""

import itertools
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

from tests.lambda_authorizer.attacks import (
    DENY,
    KEY_ID,
    UNAUTHORIZED,
    Attack,
    Build,
    World,
    event_base,
    header_of,
    query_of,
    shown,
    token_base,
)

ARN = f"arn:aws:execute-api:us-east-1:123456789012:a1b2c3d4e5/live/DELETE/analyses/{KEY_ID}"
_WRONG = "event_(malformed|mismatch)"


def attacks() -> Iterator[Attack]:
    for family in (
        _fields,
        _contradictions,
        _arns,
        _contexts,
        _paths,
        _credentials,
        _other_credentials,
        _no_credentials,
        _header_maps,
        _authorizations,
        _queries,
        _other_events,
    ):
        yield from family()


def _of(name: str, change: Callable[[dict[str, Any]], Any], reason: str = _WRONG, outcome: str = UNAUTHORIZED) -> Attack:
    return Attack("event", name, lambda world: change(event_base(world)), outcome, reason)


_VALUES: dict[str, Any] = {
    "null": None,
    "no text": "",
    "a text": "x",
    "a number": 7,
    "true": True,
    "false": False,
    "a list": [],
    "an object": {},
}
# Where such a value says nothing, and whatever it should say stands elsewhere too.
_POSSIBLE = {
    "headers": {"null", "an object"},
    "multiValueHeaders": {"null"},
    "pathParameters": {"null", "an object"},
    "queryStringParameters": {"null", "an object"},
    "multiValueQueryStringParameters": {"null", "an object"},
}


def _fields() -> Iterator[Attack]:
    for field in ("methodArn", "path", "resource", "httpMethod", "requestContext"):
        yield _of(f"no {field}", lambda event, field=field: {name: value for name, value in event.items() if name != field})
    fields = ("type", "methodArn", "path", "resource", "httpMethod", "requestContext", *_POSSIBLE)
    for field, (kind, value) in itertools.product(fields, _VALUES.items()):
        if kind not in _POSSIBLE.get(field, ()):
            yield _of(
                f"{field} of {kind}", lambda event, field=field, value=value: event | {field: value}, f"{_WRONG}|headers_mismatch"
            )
    for kind, value in (
        *_VALUES.items(),
        ("a space", "a b"),
        ("a newline", "a\nb"),
        ("129 characters", "x" * 129),
        ("a letter beyond ASCII", "\u00e9"),
    ):
        if kind != "a text":
            yield _of(f"a request id of {kind}", lambda event, value=value: _in_context(event, requestId=value))
    for name, event in {
        "null": None,
        "a list": [],
        "a text": "event",
        "a number": 7,
        "an object": {},
        "true": True,
        "a list of one": [{}],
    }.items():
        yield _of(f"an event that is {name}", lambda _, event=event: event)


def _in_context(event: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return event | {"requestContext": event["requestContext"] | changes}


def _contradictions() -> Iterator[Attack]:
    for field, values in {
        "type": ("TOKEN", "request", "Request", "HTTP", "WEBSOCKET", "REQUEST "),
        "httpMethod": (
            "GET",
            "POST",
            "delete",
            "Delete",
            "*",
            "ANY",
            "DELETE ",
            " DELETE",
            "DELETE\0",
            "DELETE\n",
            "DELETE/x",
            "D\u0415LETE",
        ),
        "path": (
            *(
                "/analyses",
                f"/analyses/{KEY_ID}/",
                f"/analyses/{KEY_ID}/results",
                f"//analyses/{KEY_ID}",
                f"/live/analyses/{KEY_ID}",
            ),
            *(
                f"analyses/{KEY_ID}",
                f"/ANALYSES/{KEY_ID}",
                f"/analyses/{KEY_ID.lower()}",
                f"/analyses//{KEY_ID}",
                f"/analyses/./{KEY_ID}",
            ),
            *(
                f"/analyses/../analyses/{KEY_ID}",
                f"/analyses%2F{KEY_ID}",
                f"/analyses/{KEY_ID}?x=1",
                f"/analyses/{KEY_ID}#x",
                "/*",
                "*",
            ),
            *(
                f"/analyses/{KEY_ID}\0",
                f"/analyses/{KEY_ID}\n",
                f"/analyses/{KEY_ID};x",
                f"https://api.example.org/analyses/{KEY_ID}",
            ),
        ),
        "resource": (
            *(
                "/analyses",
                "/uploads/{upload_id}",
                "/analyses/{analysis_id}/results",
                "/{proxy+}",
                "/{a}",
                "/{a}/{b}/{c}",
                "{proxy+}",
            ),
            *(
                "/analyses/{analysis_id",
                "/analyses/analysis_id}",
                "/analyses/{}",
                "/analyses/{*}",
                "/analyses/*",
                "/uploads/{analysis_id}",
                "*",
            ),
            *(
                "/analyses/{analysis_id}/",
                "//analyses/{analysis_id}",
                "/analyses/{analysis_id}\n",
                "$default",
                "DELETE /analyses/{analysis_id}",
            ),
        ),
    }.items():
        for value in values:
            yield _of(f"{field} {shown(value)}", lambda event, field=field, value=value: event | {field: value})
    for parameters in (
        {"analysis_id": KEY_ID[:-1] + "C"},
        {"analysis_id": KEY_ID.lower()},
        {"analysis_id": ""},
        {"analysis_id": None},
        {"analysis_id": [KEY_ID]},
        {"upload_id": KEY_ID},
        {"analysis_id": KEY_ID, "more": "x"},
        {"Analysis_Id": KEY_ID},
        {"proxy": f"analyses/{KEY_ID}"},
        {7: KEY_ID},
    ):
        yield _of(
            f"path parameters {shown(parameters)}", lambda event, parameters=parameters: event | {"pathParameters": parameters}
        )


def _arns() -> Iterator[Attack]:
    region, account, api = "us-east-1", "123456789012", "a1b2c3d4e5"
    arns = {
        "another method": ARN.replace("/DELETE/", "/GET/"),
        "any method": ARN.replace("/DELETE/", "/*/"),
        "a method in lower case": ARN.replace("/DELETE/", "/delete/"),
        "no method": ARN.replace("/DELETE/", "//"),
        "another stage": ARN.replace("/live/", "/prod/"),
        "any stage": ARN.replace("/live/", "/*/"),
        "no stage": ARN.replace("/live/", "/"),
        "another API": ARN.replace(api, "z9y8x7w6v5"),
        "any API": ARN.replace(api, "*"),
        "another account": ARN.replace(account, "210987654321"),
        "any account": ARN.replace(account, "*"),
        "no account": ARN.replace(account, ""),
        "a short account": ARN.replace(account, account[:-1]),
        "another region": ARN.replace(region, "eu-west-1"),
        "any region": ARN.replace(region, "*"),
        "no region": ARN.replace(region, ""),
        "a region in upper case": ARN.replace(region, region.upper()),
        "the partition of China": ARN.replace(":aws:", ":aws-cn:"),
        "the partition of GovCloud": ARN.replace(":aws:", ":aws-us-gov:"),
        "an isolated partition": ARN.replace(":aws:", ":aws-iso:"),
        "any partition": ARN.replace(":aws:", ":*:"),
        "no partition": ARN.replace(":aws:", "::"),
        "China with its partition": ARN.replace(":aws:", ":aws-cn:").replace(region, "cn-north-1"),
        "GovCloud with its partition": ARN.replace(":aws:", ":aws-us-gov:").replace(region, "us-gov-west-1"),
        "another service": ARN.replace("execute-api", "lambda"),
        "the service in upper case": ARN.replace("execute-api", "EXECUTE-API"),
        "another path": ARN.replace("analyses", "uploads"),
        "a longer path": f"{ARN}/results",
        "a shorter path": ARN.rpartition("/")[0],
        "a star behind": f"{ARN}*",
        "a slash and a star": f"{ARN[: ARN.index('/live')]}/*",
        "another id": ARN[:-1] + "C",
        "a newline behind": f"{ARN}\n",
        "a space behind": f"{ARN} ",
        "a null behind": f"{ARN}\0",
        "a space before": f" {ARN}",
        "two ARNs": f"{ARN},{ARN}",
        "an ARN within": f"arn:aws:execute-api:us-east-1:123456789012:other/live/GET/{ARN}",
        "no prefix": ARN.removeprefix("arn:"),
        "a stage's alone": ARN[: ARN.index("/DELETE")],
        "an API's alone": ARN[: ARN.index("/live")],
        "a star alone": "*",
        "an IAM variable": ARN.replace(KEY_ID, "${aws:username}"),
        "a question mark": ARN[:-1] + "?",
        "an ARN of IAM": "arn:aws:iam::123456789012:role/admin",
        "an ARN with the path encoded": ARN.replace("analyses/", "analyses%2F"),
    }
    for name, arn in arns.items():
        yield _of(f"a method ARN with {name}", lambda event, arn=arn: event | {"methodArn": arn})


def _contexts() -> Iterator[Attack]:
    for field, values in {
        "stage": ("prod", "LIVE", "live ", "", "*", ["live"], {}, 7, True),
        "apiId": ("z9y8x7w6v5", "", "A1B2C3D4E5", "*", ["a1b2c3d4e5"], {}, 7),
        "accountId": ("210987654321", "", "*", 123456789012, ["123456789012"], {}),
        "httpMethod": ("GET", "delete", "", "*", ["DELETE"], {}, 7),
        "resourcePath": ("/analyses", "/{proxy+}", "", "/analyses/{id}", ["/analyses/{analysis_id}"], {}, 7),
        "path": (
            *(
                "/live/analyses",
                f"/prod/analyses/{KEY_ID}",
                f"/live/live/analyses/{KEY_ID}",
                "/live",
                "",
                "/",
                f"analyses/{KEY_ID}",
            ),
            *(
                f"/live/analyses/{KEY_ID}/",
                f"/live//analyses/{KEY_ID}",
                f"/v1/live/analyses/{KEY_ID}",
                f"/live/analyses/{KEY_ID}?x",
                [],
                {},
                7,
            ),
        ),
    }.items():
        for value in values:
            yield _of(
                f"a context with {field} {shown(value)}",
                lambda event, field=field, value=value: _in_context(event, **{field: value}),
            )
    for kind, value in _VALUES.items():
        if kind not in ("null", "an object", "a list"):
            yield _of(f"a context of {kind}", lambda event, value=value: event | {"requestContext": value})


_PARTS = (
    *(
        "*",
        "?",
        "$",
        "a*",
        "x?y",
        "${stageVariables.x}",
        "${aws:username}",
        "a b",
        "a\nb",
        "a\0b",
        "\u00e9",
        "a\\b",
        '"',
        "a#b",
        "<x>",
        "{analysis_id}",
    ),
    *("[x]", "a|b", "a^b", "`id`", "\u2028", "\u0661", "a\tb", "\x7f"),
)
_DENIED_PARTS = (
    *(
        "%2e%2e",
        "%2e",
        "%2F",
        "%5C",
        "%00",
        "%0A",
        "%20",
        "%2A",
        "%3F",
        "%24",
        "%C3%A9",
        "%",
        "%zz",
        "a%2Fb",
        "..%2F..",
        ".%2e",
        "a:b",
        "a;b",
        "a,b",
    ),
    *("a=b", "a&b", "a+b", "(x)", "'x'", "a!b", "a@b", ":x", "@x"),
)
_NO_IDS = (
    *(
        ".",
        "..",
        "...",
        "x",
        "1",
        "-1",
        "null",
        KEY_ID.lower(),
        KEY_ID[:-1],
        KEY_ID + "A",
        "8" + KEY_ID[1:],
        KEY_ID[:-1] + "I",
        KEY_ID[:-1] + "L",
    ),
    *(KEY_ID[:-1] + "O", KEY_ID[:-1] + "U", "A" * 26, "0" * 25, "~" * 26, "_" * 26, "a1b2c3d4-0000-0000-0000-000000000000"),
)


def _paths() -> Iterator[Attack]:
    """The whole event agrees on the path, and the path is none of ours."""
    for parts, outcome, reason in (
        (_PARTS, UNAUTHORIZED, "event_malformed"),
        (_DENIED_PARTS, DENY, "path_malformed|id_malformed"),
        (_NO_IDS, DENY, "id_malformed"),
    ):
        for part in parts:
            yield _of(
                f"the path's part {shown(part)}",
                lambda event, part=part: _moved(event, f"/analyses/{part}", {"analysis_id": part}),
                reason,
                outcome,
            )
    for path in (
        f"/analyses/{KEY_ID}/",
        f"//analyses/{KEY_ID}",
        f"/analyses//{KEY_ID}",
        f"/analyses/{KEY_ID}//",
        f"/%61nalyses/{KEY_ID}",
        "/analyses/",
    ):
        yield _of(
            f"the path {path}", lambda event, path=path: _moved(event, path, {"analysis_id": KEY_ID}), "path_malformed", DENY
        )
    for path in (
        f"analyses/{KEY_ID}",
        "",
        " ",
        f" /analyses/{KEY_ID}",
        f"/analyses/{KEY_ID} ",
        "\\analyses\\x",
        f"/analyses/{KEY_ID}?a=b",
    ):
        yield _of(f"the path {shown(path)}, everywhere", lambda event, path=path: _moved(event, path, None))
    for path, route in (
        (f"/Analyses/{KEY_ID}", "/Analyses/{analysis_id}"),
        (f"/analyses/{KEY_ID}/parts", "/analyses/{analysis_id}/parts"),
        (f"/x/{KEY_ID}", "/x/{analysis_id}"),
        ("/models/all", "/{proxy+}"),
        ("/config", "/{proxy+}"),
        (f"/analyses/{KEY_ID}", "/{proxy+}"),
        (f"/analyses/{KEY_ID}", "/analyses/{proxy+}"),
        (f"/analyses/{KEY_ID}", "/{a}/{b}"),
        (f"/analyses/{KEY_ID}", "/analyses/{id}"),
        (f"/analyses/{KEY_ID}", f"/analyses/{KEY_ID}"),
        ("/config", "/{anything}"),
    ):

        def build(event: dict[str, Any], path: str = path, route: str = route) -> Any:
            moved = _moved(event, path, None)
            return _in_context(moved | {"resource": route}, resourcePath=route)

        yield _of(f"the path {path} of the route {route}", build, "no_such_route", DENY)


def _moved(event: dict[str, Any], path: str, parameters: dict[str, str] | None) -> dict[str, Any]:
    arn = ARN[: ARN.index("/analyses")] + path
    return _in_context(event | {"path": path, "methodArn": arn, "pathParameters": parameters}, path=f"/live{path}")


def _credentials() -> Iterator[Attack]:
    several = "several_credentials"

    def twice(*values: str) -> Callable[[dict[str, Any]], Any]:
        return lambda event: header_of(
            event, "Authorization", *(value.format(event["headers"]["Authorization"]) for value in values)
        )

    for name, values in {
        "the same token twice": ("{}", "{}"),
        "a token and another": ("{}", "Bearer x"),
        "another token and ours": ("Bearer x", "{}"),
        "a token and nothing": ("{}", ""),
        "nothing and a token": ("", "{}"),
        "a token and a key": ("{}", f"ApiKey hm_local_{KEY_ID}_{'x' * 43}"),
        "a token a hundred times": ("{}",) * 100,
    }.items():
        yield _of(name, twice(*values), several)
    for name in ("authorization", "AUTHORIZATION", "aUTHORIZATION"):
        for value in ("same", "Bearer x"):

            def in_two_cases(event: dict[str, Any], name: str = name, value: str = value) -> Any:
                event = deepcopy(event)
                other = event["headers"]["Authorization"] if value == "same" else value
                event["headers"][name], event["multiValueHeaders"][name] = other, [other]
                return event

            yield _of(f"Authorization and {name}, {value}", in_two_cases, several)


def _other_credentials() -> Iterator[Attack]:
    several = "several_credentials"
    for name in ("X-Api-Key", "x-api-key", "X-API-KEY", "Proxy-Authorization", "proxy-authorization"):
        for value in ("x", ""):
            yield _of(
                f"a token and {name} of {value!r}", lambda event, name=name, value=value: header_of(event, name, value), several
            )
    parameters = (
        "access_token",
        "Access_Token",
        "ACCESS_TOKEN",
        "api_key",
        "apikey",
        "apiKey",
        "Authorization",
        "X-Api-Key",
        "X-Amz-Signature",
    )
    for name in (*parameters, "X-Amz-Security-Token", "x-amz-security-token"):
        yield _of(f"a token and {name} in the query", lambda event, name=name: query_of(event, **{name: ("x",)}), several)
    for value in ("Bearer x", "x", "", [], 7, {}):
        yield _of(
            f"a token and an authorizationToken {shown(value)}",
            lambda event, value=value: event | {"authorizationToken": value},
            several,
        )


def _no_credentials() -> Iterator[Attack]:
    yield _of("no credential", lambda event: header_of(event, "Authorization"), "no_credential")
    for name in (
        "X-Authorization",
        "Authorization ",
        " Authorization",
        "Authorisation",
        "Authorization\0",
        "Autho\u0280ization",
        "HTTP_AUTHORIZATION",
    ):

        def elsewhere(event: dict[str, Any], name: str = name) -> Any:
            return header_of(header_of(event, "Authorization"), name, event["headers"]["Authorization"])

        yield _of(f"a token in {shown(name)}", elsewhere, "no_credential")

    def cookie(event: dict[str, Any]) -> Any:
        return header_of(header_of(event, "Authorization"), "Cookie", f"Authorization={event['headers']['Authorization']}")

    yield _of("a token in a cookie", cookie, "no_credential")


def _header_maps() -> Iterator[Attack]:
    for name, headers, multiple in (
        ("Authorization in the one map alone", "keep", {}),
        ("Authorization in the other map alone", {}, "keep"),
        ("another Authorization in the one map", {"Authorization": "Bearer x"}, "keep"),
        ("another Authorization in the other map", "keep", {"Authorization": ["Bearer x"]}),
        ("another header in the one map", {"X": "1"}, "keep"),
        ("another header in the other map", "keep", {"X": ["1"]}),
    ):

        def apart(event: dict[str, Any], headers: Any = headers, multiple: Any = multiple) -> Any:
            both = {"headers": headers, "multiValueHeaders": multiple}
            changed = {field: (event[field] if value == "keep" else {"Host": "h"} | value) for field, value in both.items()}
            return event | changed

        yield _of(name, apart, "headers_mismatch|event_malformed|no_credential")
    for value in (None, 7, True, [], ["Bearer x"], {}, b"Bearer x"):

        def of_no_text(event: dict[str, Any], value: Any = value) -> Any:
            return event | {"headers": event["headers"] | {"Authorization": value}}

        def of_no_texts(event: dict[str, Any], value: Any = value) -> Any:
            return event | {"multiValueHeaders": event["multiValueHeaders"] | {"Authorization": [value]}}

        yield _of(f"an Authorization of {shown(value)}", of_no_text, "event_malformed|headers_mismatch")
        yield _of(f"an Authorization of a list of {shown(value)}", of_no_texts, "event_malformed")


_SCHEMES = (
    *(
        "{token}",
        "Bearer",
        "Bearer ",
        "bearer:{token}",
        "Bearer:{token}",
        "Bearer\t{token}",
        "Bearer\u00a0{token}",
        "Bearer\n{token}",
        "Bearer={token}",
    ),
    *(
        " Bearer {token}",
        "\tBearer {token}",
        "Bearer  {token}",
        "Bearer {token} ",
        "Bearer {token}\n",
        "Bearer {token}, Bearer {token}",
        "Basic {token}",
    ),
    *(
        "Bearer {token},ApiKey x",
        "Bearer {token} x",
        "Bearer {token};x",
        "Digest {token}",
        "Token {token}",
        "JWT {token}",
        "OAuth {token}",
        "DPoP {token}",
    ),
    *(
        "Negotiate {token}",
        "AWS4-HMAC-SHA256 {token}",
        "ApiKey {token}",
        "Beare {token}",
        "Bearerr {token}",
        "B\u0435arer {token}",
        "Bearer\0 {token}",
    ),
    *(
        "\u212aearer {token}",
        "Bea\u017fer {token}",
        '"Bearer" {token}',
        "Bearer Bearer {token}",
        "Authorization: Bearer {token}",
        "",
        " ",
        ",",
        "\0",
    ),
    *(
        "Bearer null",
        "Bearer undefined",
        "Bearer none",
        "Bearer true",
        "Bearer {{token}}",
        "Bearer " + "x" * 100_000,
        "x" * 100_000,
        "Bearer \u00e9",
    ),
    *(
        "Basic YWRtaW46YWRtaW4=",
        "Basic",
        "ApiKey",
        "ApiKey ",
        "apikey\t{token}",
        "Api-Key {token}",
        "Key {token}",
        "Api\u212aey {token}",
    ),
)


def _authorizations() -> Iterator[Attack]:
    for scheme in _SCHEMES:

        def build(event: dict[str, Any], scheme: str = scheme) -> Any:
            return header_of(
                event, "Authorization", scheme.replace("{token}", event["headers"]["Authorization"].removeprefix("Bearer "))
            )

        yield _of(f"Authorization: {shown(scheme)}", build, "unknown_scheme|token_.*|key_malformed")


def _queries() -> Iterator[Attack]:
    for single, multiple in (
        ({"a": "1"}, {"a": ["2"]}),
        ({"a": "1"}, {"b": ["1"]}),
        ({"a": "1", "b": "2"}, {"a": ["1"]}),
        ({"a": "1"}, {}),
        (None, {"a": ["1"]}),
        ({"a": "1", "A": "1"}, {"a": ["1"]}),
        ({"a": 1}, None),
        ({"a": None}, None),
        ({"a": ["1"]}, None),
        ({7: "1"}, None),
        ({"a": "1"}, {"a": "1"}),
        ({"a": "1"}, {"a": []}),
        ({"a": "1"}, {"a": [1]}),
        ({"a": "1"}, {"a": ["1", None]}),
        ({"a": "1"}, [["a", "1"]]),
        ("a=1", None),
        ([["a", "1"]], None),
    ):
        changes = {"queryStringParameters": single, "multiValueQueryStringParameters": multiple}
        yield _of(f"the queries {shown(single)} and {shown(multiple)}", lambda event, changes=changes: event | changes)


def _other_events() -> Iterator[Attack]:
    """Good credentials in what other services, and other kinds of API, send to a Lambda function."""

    def of(name: str, event: Callable[[str], Any]) -> Attack:
        return Attack(
            "event", f"an event of {name}", _event(event), UNAUTHORIZED, "event_malformed|event_mismatch|several_credentials"
        )

    def _event(event: Callable[[str], Any]) -> Build:
        return lambda world: event(f"Bearer {world.token()}")

    http_context = {
        "accountId": "123456789012",
        "apiId": "a1b2c3d4e5",
        "http": {"method": "DELETE", "path": f"/analyses/{KEY_ID}", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.7"},
        "requestId": "r-1",
        "routeKey": "DELETE /analyses/{analysis_id}",
        "stage": "$default",
    }
    yield of("a REST API's TOKEN authorizer", lambda token: {"type": "TOKEN", "authorizationToken": token, "methodArn": ARN})
    yield of(
        "a TOKEN authorizer with a request's fields",
        lambda token: {
            "type": "TOKEN",
            "authorizationToken": token,
            "methodArn": ARN,
            "httpMethod": "DELETE",
            "path": f"/analyses/{KEY_ID}",
        },
    )
    yield of(
        "an HTTP API, format 2.0",
        lambda token: {
            "version": "2.0",
            "type": "REQUEST",
            "routeArn": ARN,
            "identitySource": [token],
            "routeKey": "DELETE /analyses/{analysis_id}",
            "rawPath": f"/analyses/{KEY_ID}",
            "rawQueryString": "",
            "headers": {"authorization": token},
            "requestContext": http_context,
        },
    )
    yield of(
        "an HTTP API, format 1.0",
        lambda token: {
            "version": "1.0",
            "type": "REQUEST",
            "methodArn": ARN,
            "identitySource": token,
            "authorizationToken": token,
            "resource": "/analyses/{analysis_id}",
            "path": f"/analyses/{KEY_ID}",
            "httpMethod": "DELETE",
            "headers": {"authorization": token},
            "queryStringParameters": {},
            "pathParameters": {},
            "requestContext": {"requestId": "r-1", "stage": "live"},
        },
    )
    yield of(
        "a WebSocket API",
        lambda token: {
            "type": "REQUEST",
            "methodArn": ARN.replace("DELETE", "$connect"),
            "headers": {"Authorization": token},
            "requestContext": {
                "routeKey": "$connect",
                "eventType": "CONNECT",
                "requestId": "r-1",
                "stage": "live",
                "apiId": "a1b2c3d4e5",
            },
        },
    )
    yield of(
        "a load balancer",
        lambda token: {
            "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/x/1"}},
            "httpMethod": "DELETE",
            "path": f"/analyses/{KEY_ID}",
            "headers": {"authorization": token},
        },
    )
    yield of(
        "a proxy integration",
        lambda token: {
            "resource": "/analyses/{analysis_id}",
            "path": f"/analyses/{KEY_ID}",
            "httpMethod": "DELETE",
            "headers": {"Authorization": token},
            "requestContext": {"requestId": "r-1", "authorizer": {"principal": "admin", "decision": "allow"}},
            "body": None,
        },
    )
    yield of(
        "a function's URL",
        lambda token: {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": "/",
            "headers": {"authorization": token},
            "requestContext": http_context,
        },
    )
    yield of("a queue", lambda token: {"Records": [{"eventSource": "aws:sqs", "body": token}]})
    yield of("a bucket", lambda token: {"Records": [{"eventSource": "aws:s3", "s3": {"object": {"key": token}}}]})
    yield of(
        "a schedule", lambda token: {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {"Authorization": token}}
    )
    yield of("a test in the console", lambda token: {"key1": token, "key2": "value2", "key3": "value3"})
    yield of(
        "AppSync",
        lambda token: {
            "authorizationToken": token,
            "requestContext": {"apiId": "x", "requestId": "r-1", "queryString": "mutation {}"},
        },
    )
    yield of(
        "a Cognito trigger",
        lambda token: {"version": "1", "triggerSource": "TokenGeneration_Authentication", "request": {}, "response": {}},
    )

    def elsewhere(world: World) -> Any:
        world.environ |= {"AWS_REGION": "eu-central-1"}
        return token_base(world)

    yield Attack("token", "a call of an API in another region than the Lambda's", elsewhere, UNAUTHORIZED, "event_mismatch")
    for name in ("principalId", "policyDocument", "context", "Effect", "authorizer"):
        yield _of(
            f"an event that brings its {name}, and no credential",
            lambda event, name=name: header_of(event, "Authorization") | {name: {"Effect": "Allow", "principal": "admin"}},
            "no_credential",
        )
