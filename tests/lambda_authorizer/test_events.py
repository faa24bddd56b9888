import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_authorizer import events, signature
from lambda_authorizer.access_policy import RULES
from lambda_authorizer.events import Origin, Request, origin, presented, query
from lambda_authorizer.reasons import Reason, Refused

ID = "01JDDY0Z4Q8R6N5V3T7W2X9YAB"


@pytest.fixture
def event(make_event) -> dict[str, Any]:
    return make_event("GET", "/analyses/{analysis_id}", "Bearer x")


def refused(call: Callable[[], object]) -> Reason:
    with pytest.raises(Refused) as caught:
        call()
    return caught.value.reason


def read(event: Any, *, region: str | None) -> Request:
    return events.read(event, events.origin(event), region=region)


def read_plainly(found: events.Presented) -> bool:
    return found[1] is events._NO_HEADERS


def authorization(event: dict[str, Any]) -> str:
    return presented(event)[0]


def test_a_request_is_read(event: dict[str, Any]) -> None:
    request = read(event, region="us-east-1")
    assert (request.call, request.parameters) == (("GET", "/analyses/{analysis_id}"), {"analysis_id": ID})
    assert request.method_arn == f"arn:aws:execute-api:us-east-1:123456789012:a1b2c3d4e5/live/GET/analyses/{ID}"
    assert (request.region, request.settled) == ("us-east-1", False)
    assert origin(event).request_id == "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
    assert authorization(event) == "Bearer x"


def test_the_root_is_read(make_event) -> None:
    assert read(make_event("GET", "/", None), region=None).call == ("GET", "/")


@pytest.mark.parametrize("path", ["/", "/live", "/live/"])
def test_the_roots_path_may_lack_its_slash_after_the_stage(make_event, path: str) -> None:
    event = make_event("GET", "/", None)
    event["requestContext"]["path"] = path
    assert read(event, region=None)


def test_a_custom_domains_path_has_no_stage(event: dict[str, Any]) -> None:
    event["requestContext"]["path"] = event["path"]
    assert read(event, region=None)


def test_what_api_gateway_may_leave_out_it_may_leave_out(event: dict[str, Any]) -> None:
    for name in ("type", "pathParameters", "queryStringParameters", "multiValueHeaders", "stageVariables"):
        event.pop(name, None)
    event["requestContext"] = {"requestId": "r-1"}
    assert read(event, region="us-east-1").call == ("GET", "/analyses/{analysis_id}")
    assert authorization(event) == "Bearer x"


@pytest.mark.parametrize("value", [None, ..., "", 7, [], {}])
@pytest.mark.parametrize("name", ["methodArn", "path", "resource", "httpMethod", "requestContext"])
def test_a_field_that_is_missing_or_of_another_type_is_refused(event: dict[str, Any], name: str, value: Any) -> None:
    event[name] = value
    if value is ...:
        del event[name]
    assert refused(lambda: read(event, region=None)) in {Reason.EVENT_MALFORMED, Reason.EVENT_MISMATCH}


@pytest.mark.parametrize("request_id", [None, "", 7, "a b", "a\nb", "é", "x" * 129, ["r"]])
def test_a_request_needs_an_id(event: dict[str, Any], request_id: Any) -> None:
    event["requestContext"]["requestId"] = request_id
    assert refused(lambda: read(event, region=None)) is Reason.EVENT_MALFORMED


@pytest.mark.parametrize("event", [None, [], "event", 7, {}])
def test_what_is_no_event_is_refused(event: object) -> None:
    assert refused(lambda: read(event, region=None)) is Reason.EVENT_MALFORMED


ARN = f"arn:aws:execute-api:us-east-1:123456789012:a1b2c3d4e5/live/GET/analyses/{ID}"


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "TOKEN"},
        {"type": None},
        {"httpMethod": "POST"},
        {"httpMethod": "get"},
        {"httpMethod": "*"},
        {"path": "/analyses"},
        {"path": f"/analyses/{ID}/"},
        {"path": f"/analyses/{ID}/results"},
        {"path": f"//analyses/{ID}"},
        {"path": f"/live/analyses/{ID}"},
        {"path": f"analyses/{ID}"},
        {"path": f"/ANALYSES/{ID}"},
        {"resource": "/analyses"},
        {"resource": "/uploads/{upload_id}"},
        {"resource": "/analyses/{analysis_id}/results"},
        {"resource": "/{proxy+}"},
        {"resource": f"/analyses/{ID}\n"},
        {"pathParameters": {"analysis_id": "01JDDY0Z4Q8R6N5V3T7W2X9YAC"}},
        {"pathParameters": {"upload_id": ID}},
        {"pathParameters": {"analysis_id": ID, "more": "x"}},
        {"pathParameters": "text"},
        {"pathParameters": ""},
        {"pathParameters": []},
        {"pathParameters": False},
        {"methodArn": ARN.replace("/GET/", "/DELETE/")},
        {"methodArn": ARN.replace("/GET/", "/*/")},
        {"methodArn": ARN.replace("/live/", "/*/")},
        {"methodArn": ARN.replace("analyses", "uploads")},
        {"methodArn": ARN + "/results"},
        {"methodArn": ARN + "\n"},
        {"methodArn": ARN.replace(":aws:", ":aws-cn:")},
        {"methodArn": ARN.replace("us-east-1", "eu-west-1")},
        {"methodArn": ARN.replace("us-east-1", "*")},
        {"methodArn": ARN.replace("us-east-1", "")},
        {"methodArn": ARN.replace("execute-api", "lambda")},
        {"methodArn": ARN.replace("123456789012", "*")},
        {"methodArn": "arn:aws:execute-api:us-east-1:123456789012:a1b2c3d4e5/live"},
        {"methodArn": "*"},
    ],
)
def test_fields_that_contradict_each_other_are_refused(event: dict[str, Any], changes: dict[str, Any]) -> None:
    assert refused(lambda: read(event | changes, region="us-east-1")) in {Reason.EVENT_MALFORMED, Reason.EVENT_MISMATCH}


@pytest.mark.parametrize(
    "changes",
    [
        {"methodArn": ARN.replace("YAB", "YAC")},
        {"methodArn": ARN.replace("/GET/", "/DELETE/")},
        {"path": f"/uploads/{ID}"},
        {"resource": "/uploads/{upload_id}"},
        {"httpMethod": "DELETE"},
    ],
)
def test_each_field_alone_is_checked_where_the_event_says_nothing_twice(event: dict[str, Any], changes: dict[str, Any]) -> None:
    event |= {"pathParameters": None, "requestContext": {"requestId": "r-1"}}
    assert read(event, region=None)
    assert refused(lambda: read(event | changes, region=None)) is Reason.EVENT_MISMATCH


@pytest.mark.parametrize(
    "changes",
    [
        {"stage": "prod"},
        {"apiId": "other"},
        {"accountId": "210987654321"},
        {"httpMethod": "DELETE"},
        {"resourcePath": "/analyses"},
        {"path": "/live/analyses"},
        {"path": f"/prod/analyses/{ID}"},
        {"stage": ["live"]},
        {"httpMethod": {}},
    ],
)
def test_a_context_that_contradicts_the_rest_is_refused(event: dict[str, Any], changes: dict[str, Any]) -> None:
    event["requestContext"] |= changes
    assert refused(lambda: read(event, region="us-east-1")) is Reason.EVENT_MISMATCH


def with_path(event: dict[str, Any], path: str, **parameters: str) -> dict[str, Any]:
    event["methodArn"] = event["methodArn"].replace(event["path"], path)
    event["requestContext"]["path"] = f"/live{path}"
    return event | {"path": path, "pathParameters": parameters}


@pytest.mark.parametrize("part", ["*", "?", "$", "a*", "x?y", "${stageVariables.x}", "a b", "a\nb", "é", "a\\b", '"', "a#b"])
def test_a_path_with_a_wildcard_or_what_no_path_holds_is_refused(event: dict[str, Any], part: str) -> None:
    event = with_path(event, f"/analyses/{part}", analysis_id=part)
    assert refused(lambda: read(event, region=None)) is Reason.EVENT_MALFORMED


@pytest.mark.parametrize("path", [f"/analyses/{ID}/", f"//analyses/{ID}", "/analyses/%2e%2e", "/analyses/a%20b", "/analyses/a:b"])
def test_a_path_in_another_spelling_has_no_parameters(event: dict[str, Any], path: str) -> None:
    assert read(with_path(event, path, analysis_id="a b"), region=None).parameters is None


@pytest.mark.parametrize("route", ["/openapi.json", "/Admin/Panel", "/v1.0/~x", "/{thingId}"])
def test_a_route_need_not_be_one_of_ours_to_be_read(make_event, route: str) -> None:
    event = with_path(make_event("GET", route, None), route.replace("{thingId}", "x"))
    assert read(event, region=None).call == ("GET", route)


def test_the_region_is_the_lambdas_own_where_that_is_known(event: dict[str, Any]) -> None:
    assert read(event, region=None)
    assert refused(lambda: read(event, region="eu-central-1")) is Reason.EVENT_MISMATCH


@pytest.mark.parametrize(("region", "partition"), [("us-gov-west-1", "aws-us-gov"), ("cn-north-1", "aws-cn")])
def test_other_partitions_are_read_with_their_regions(event: dict[str, Any], region: str, partition: str) -> None:
    event["methodArn"] = ARN.replace("us-east-1", region).replace(":aws:", f":{partition}:")
    assert read(event, region=region).region == region
    event["methodArn"] = ARN.replace("us-east-1", region)
    assert refused(lambda: read(event, region=region)) is Reason.EVENT_MISMATCH


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION", "aUTHORIZATION"])
def test_header_names_match_in_any_case(event: dict[str, Any], name: str) -> None:
    assert authorization(event | {"headers": {name: "Bearer x"}, "multiValueHeaders": {name: ["Bearer x"]}}) == "Bearer x"


ONE, TWO = "Bearer one", "Bearer two"


@pytest.mark.parametrize(
    ("headers", "multiple", "reason"),
    [
        (None, None, Reason.NO_CREDENTIAL),
        ({}, {}, Reason.NO_CREDENTIAL),
        ({"Host": "x"}, {"Host": ["x"]}, Reason.NO_CREDENTIAL),
        ({"Authorization": ONE, "authorization": TWO}, None, Reason.SEVERAL_CREDENTIALS),
        ({"Authorization": ONE, "authorization": ONE}, None, Reason.SEVERAL_CREDENTIALS),
        ({"Authorization": TWO}, {"Authorization": [ONE, TWO]}, Reason.SEVERAL_CREDENTIALS),
        ({"Authorization": ONE}, {"Authorization": [ONE, ONE]}, Reason.SEVERAL_CREDENTIALS),
        ({"Authorization": ONE}, {"Authorization": [ONE], "authorization": [TWO]}, Reason.SEVERAL_CREDENTIALS),
        ({"Authorization": ONE, "x-api-key": "k"}, None, Reason.SEVERAL_CREDENTIALS),
        ({"Authorization": ONE, "X-API-Key": "k"}, {"Authorization": [ONE], "X-API-Key": ["k"]}, Reason.SEVERAL_CREDENTIALS),
        ({"Authorization": ONE, "Proxy-Authorization": TWO}, None, Reason.SEVERAL_CREDENTIALS),
        ({"Authorization": ONE}, {"Authorization": [TWO]}, Reason.HEADERS_MISMATCH),
        ({"Authorization": ONE}, {}, Reason.HEADERS_MISMATCH),
        ({}, {"Authorization": [ONE]}, Reason.HEADERS_MISMATCH),
        (None, {"Authorization": [ONE]}, Reason.HEADERS_MISMATCH),
        ({"Authorization": ONE, "Host": "x"}, {"Authorization": [ONE]}, Reason.HEADERS_MISMATCH),
        ({"Authorization": ONE, "Host": "x"}, {"Authorization": [ONE], "Host": ["y"]}, Reason.HEADERS_MISMATCH),
        ({"Authorization": ONE, "authorization": ONE}, {"Authorization": [ONE]}, Reason.HEADERS_MISMATCH),
        ({"Authorization": None}, None, Reason.EVENT_MALFORMED),
        ({"Authorization": [ONE]}, None, Reason.EVENT_MALFORMED),
        ({"Authorization": ONE}, {"Authorization": ONE}, Reason.EVENT_MALFORMED),
        ({"Authorization": ONE}, {"Authorization": []}, Reason.EVENT_MALFORMED),
        ({"Authorization": ONE}, {"Authorization": [None]}, Reason.EVENT_MALFORMED),
        ([], None, Reason.EVENT_MALFORMED),
        ("Authorization: Bearer", None, Reason.EVENT_MALFORMED),
        ({7: ONE}, None, Reason.EVENT_MALFORMED),
    ],
)
def test_there_must_be_exactly_one_credential(event: dict[str, Any], headers: Any, multiple: Any, reason: Reason) -> None:
    assert refused(lambda: authorization(event | {"headers": headers, "multiValueHeaders": multiple})) is reason


@pytest.mark.parametrize("field", ["queryStringParameters", "multiValueQueryStringParameters"])
def test_a_token_in_the_query_is_a_second_credential(event: dict[str, Any], field: str) -> None:
    value = "x" if field == "queryStringParameters" else ["x"]
    event["multiValueQueryStringParameters"] = None
    for name in ("Access_Token", "api_key", "Authorization", "X-Api-Key", "X-Amz-Signature"):
        both = {"queryStringParameters": {name: "x"}, field: {name: value}}
        assert refused(lambda both=both: authorization(event | both)) is Reason.SEVERAL_CREDENTIALS
    assert authorization(event | {"queryStringParameters": {"limit": "x"}, field: {"limit": value}}) == "Bearer x"


def test_a_token_authorizers_credential_is_a_second_one(event: dict[str, Any]) -> None:
    assert refused(lambda: authorization(event | {"authorizationToken": "Bearer x"})) is Reason.SEVERAL_CREDENTIALS


@pytest.mark.parametrize(
    ("single", "multiple", "reason"),
    [
        ({"a": "1"}, {"a": ["2"]}, Reason.EVENT_MISMATCH),
        ({"a": "1"}, {"b": ["1"]}, Reason.EVENT_MISMATCH),
        ({"a": "1", "b": "2"}, {"a": ["1"]}, Reason.EVENT_MISMATCH),
        ({"a": "1"}, {}, Reason.EVENT_MISMATCH),
        (None, {"a": ["1"]}, Reason.EVENT_MISMATCH),
        ({"a": 1}, None, Reason.EVENT_MALFORMED),
        ({"a": "1"}, {"a": "1"}, Reason.EVENT_MALFORMED),
        ("a=1", None, Reason.EVENT_MALFORMED),
    ],
)
def test_query_maps_that_disagree_are_refused(event: dict[str, Any], single: Any, multiple: Any, reason: Reason) -> None:
    maps = {"queryStringParameters": single, "multiValueQueryStringParameters": multiple}
    assert refused(lambda: authorization(event | maps)) is reason


def test_of_several_values_in_the_query_the_last_stands_alone(event: dict[str, Any]) -> None:
    maps = {"queryStringParameters": {"a": "2", "A": "3"}, "multiValueQueryStringParameters": {"a": ["1", "2"], "A": ["3"]}}
    assert authorization(event | maps) == "Bearer x"


def test_the_origin_is_what_has_the_right_form() -> None:
    assert origin({"requestContext": {"requestId": "r", "identity": {"sourceIp": "2001:db8::1"}}}) == Origin("r", "2001:db8::1")
    for nothing in (
        None,
        7,
        {},
        {"requestContext": []},
        {"requestContext": {"requestId": "a\nb", "identity": {"sourceIp": "x\n"}}},
    ):
        assert origin(nothing) == Origin(None, None)


@pytest.mark.parametrize("route", sorted({route for _, route in RULES if "{" in route}))
def test_a_template_is_no_path(make_event, route: str) -> None:
    method = next(method for method, known in RULES if known == route)
    event = make_event(method, route, None)
    assert refused(lambda: read(with_path(event, route), region=None)) is Reason.EVENT_MALFORMED


@pytest.mark.parametrize("method", ["get", "", "GET/analyses", "G3T"])
def test_a_method_is_upper_case_letters(event: dict[str, Any], method: str) -> None:
    event["methodArn"] = event["methodArn"].replace("/GET/", f"/{method}/")
    event["requestContext"]["httpMethod"] = method
    reason = refused(lambda: read(event | {"httpMethod": method}, region=None))
    assert reason in {Reason.EVENT_MALFORMED, Reason.EVENT_MISMATCH}


def test_whatever_is_plain_reads_the_same_when_looked_at_closely(make_event) -> None:
    event = make_event("GET", "/models", "Bearer x")
    plain = presented(event)
    assert read_plainly(plain)
    assert plain[0] == events._closely_read(event)[0] == "Bearer x"


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": None},
        {"headers": {}},
        {"headers": {"Authorization": "Bearer x", "authorization": "Bearer x"}},
        {"headers": {"Authorization": 7}},
        {"headers": {7: "x", "Authorization": "Bearer x"}},
        {"headers": {"Authorization": "Bearer x", "X-Api-Key": "k"}},
        {"headers": {"Authorization": "Bearer x", "signature": "sig1=:AA==:"}},
        {"headers": {"Authorization": "Bearer x", "SIGNATURE-INPUT": "sig1=()"}},
        {"headers": {"Authorization": "Bearer x"}, "multiValueHeaders": {"Authorization": ["Bearer y"]}},
        {"headers": {"Authorization": "Bearer x"}, "multiValueHeaders": {"Authorization": ["Bearer x", "Bearer x"]}},
        {"headers": {"Authorization": "Bearer x"}, "multiValueHeaders": {}},
        {"headers": {"Authorization": "Bearer x"}, "multiValueHeaders": []},
        {"queryStringParameters": {}},
        {"multiValueQueryStringParameters": {"a": ["b"]}},
        {"authorizationToken": "Bearer x"},
    ],
)
def test_what_is_not_plain_is_looked_at_closely(make_event, changes: dict[str, Any]) -> None:
    event = make_event("GET", "/models", "Bearer x") | changes
    if "multiValueHeaders" not in changes and "headers" in changes:
        event["multiValueHeaders"] = None
    with contextlib.suppress(Refused):
        assert not read_plainly(presented(event))


_HEADERS = st.dictionaries(
    st.sampled_from(["Authorization", "authorization", "Host", "X-Api-Key", "Signature", 7]) | st.text(max_size=3),
    st.sampled_from(["Bearer x", "ApiKey y", "", 7, None, []]),
    max_size=4,
)


@given(headers=_HEADERS | st.none(), other=_HEADERS | st.none(), same=st.booleans(), query=_HEADERS | st.none())
def test_the_fast_reading_and_the_close_one_never_differ(headers: Any, other: Any, same: bool, query: Any) -> None:
    multiple = headers if same else other
    event = {
        "headers": headers,
        "multiValueHeaders": None if multiple is None else {name: [value] for name, value in multiple.items()},
        "queryStringParameters": query,
    }
    try:
        either = presented(event)
    except Refused:
        return
    if read_plainly(either):
        authorization, headers = events._closely_read(event)
        assert either[0] == authorization
        assert not signature.is_signed(headers)


def test_the_query_keeps_its_spelling_and_all_its_values(make_event) -> None:
    event = make_event("GET", "/analyses", "Bearer x")
    assert query(event) == {}
    event["queryStringParameters"] = {"Limit": "2"}
    assert query(event) == {"Limit": ["2"]}
    event["multiValueQueryStringParameters"] = {"Limit": ["1", "2"]}
    assert query(event) == {"Limit": ["1", "2"]}


@pytest.mark.parametrize(("path", "url"), [("/live/models", "/live/models"), ("/models", "/models"), (None, "/models")])
def test_the_url_has_the_path_as_the_caller_wrote_it(make_event, path: str | None, url: str) -> None:
    event = make_event("GET", "/models", None)
    event["requestContext"]["path"] = path
    assert read(event, region=None).url_path == url


@pytest.mark.parametrize("name", ["stage", "apiId", "accountId", "httpMethod", "resourcePath", "path"])
@pytest.mark.parametrize("value", [[], {}, ["live"], 7, True])
def test_a_repetition_of_another_type_is_a_contradiction(make_event, name: str, value: Any) -> None:
    event = make_event("GET", "/models", None)
    event["requestContext"][name] = value
    assert refused(lambda: read(event, region=None)) is Reason.EVENT_MISMATCH
