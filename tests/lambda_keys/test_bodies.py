import json
from collections.abc import Callable
from typing import Any

import pytest

from lambda_authorizer.access_policy import SCOPES
from lambda_authorizer.encoding import b64url
from lambda_authorizer.problems import Problem, Refused
from lambda_keys import bodies

KEY = b64url(bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"))
LEAST = {"name": "nightly", "scopes": ["analyses:read"]}


def refusal(read: Callable[[bytes], Any], body: Any) -> Problem:
    with pytest.raises(Refused) as caught:
        read(body if isinstance(body, bytes) else json.dumps(body).encode())
    return caught.value.problem


def test_the_least_that_a_key_needs_lasts_90_days() -> None:
    assert bodies.new_key(json.dumps(LEAST).encode()) == bodies.NewKey(
        "nightly", frozenset({"analyses:read"}), 90 * 24 * 3600, None, None
    )


def test_everything_that_a_key_can_have() -> None:
    ranges = ["192.0.2.7", "198.51.100.0/24", "2001:DB8:0::/48"]
    given = LEAST | {"scopes": sorted(SCOPES), "expires_in_days": 365, "source_ranges": ranges, "signing_key": KEY}
    assert bodies.new_key(json.dumps(given).encode()) == bodies.NewKey(
        "nightly", SCOPES, 365 * 24 * 3600, frozenset({"192.0.2.7/32", "198.51.100.0/24", "2001:db8::/48"}), KEY
    )


@pytest.mark.parametrize(
    ("member", "value"),
    [
        *(("name", value) for value in ("", "-x", "X", "a_b", "a" * 65, "a\n", "é", 5, None, ["a"])),
        *(
            ("scopes", value)
            for value in ([], None, "analyses:read", {}, ["analyses:read"] * 2, ["admin"], ["*"], [["models:read"]])
        ),
        *(("scopes", value) for value in ([None], ["analyses:read", "analyses:admin"], ["heartmap/analyses:read"])),
        *(("expires_in_days", value) for value in (0, 366, -1, 1.0, 90.5, "90", True, None, 10**30)),
        *(("source_ranges", value) for value in ([], None, "192.0.2.0/24", ["192.0.2.0/24"] * 2, [5], [None], ["x"], [""])),
        ("source_ranges", ["192.0.2.1/24"]),
        ("source_ranges", ["2001:db8::1/48"]),
        ("source_ranges", ["192.0.2.0/33"]),
        ("source_ranges", ["192.0.2.0/24", "192.0.2.0/255.255.255.0"]),
        ("source_ranges", ["192.0.2.0/255.255.255.0"]),
        ("source_ranges", ["192.0.2.7", "192.0.2.7/32"]),
        ("source_ranges", ["fe80::1%eth0"]),
        ("source_ranges", ["192.0.2.0/24\n"]),
        ("source_ranges", ["192.000.2.0/24"]),
        ("source_ranges", [f"192.0.2.{n}" for n in range(17)]),
        *(
            ("signing_key", value)
            for value in ("", None, 5, KEY + "=", KEY[:-1], KEY[:-1] + "b", "A" * 43, b64url(b"\1" + bytes(31)))
        ),
    ],
)
def test_a_member_that_breaks_its_rule_is_named_and_not_repeated(member: str, value: Any) -> None:
    problem = refusal(bodies.new_key, LEAST | {member: value})
    assert (problem.status, problem.code) == (400, "invalid_request")
    assert [name for name, _ in problem.errors] == [member]
    assert problem.detail == f"The request is not valid: {member} {problem.errors[0][1]}."
    # Whatever was sent, the words are the same.
    assert problem == refusal(bodies.new_key, LEAST | {member: {"another": "value"}})


@pytest.mark.parametrize("member", ["name", "scopes"])
def test_what_is_required_is_asked_for(member: str) -> None:
    problem = refusal(bodies.new_key, {name: value for name, value in LEAST.items() if name != member})
    assert problem.errors == ((member, "is required"),)


def test_a_member_that_does_not_exist_is_refused_and_not_repeated() -> None:
    problem = refusal(bodies.new_key, LEAST | {"groups": ["admin"]})
    assert problem.errors == (
        ("body", "must have no other members than name, scopes, expires_in_days, source_ranges, signing_key"),
    )
    assert refusal(bodies.rotation, {"scopes": ["config:write"]}).code == "invalid_request"


def test_all_that_is_wrong_is_said_at_once() -> None:
    problem = refusal(bodies.new_key, {"name": "A", "expires_in_days": 0, "more": 1})
    assert [name for name, _ in problem.errors] == ["scopes", "name", "expires_in_days", "body"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"name": "a", "name": "b", "scopes": ["models:read"]}',
        b'{"name": "a", "scopes": ["models:read"], "expires_in_days": NaN}',
        b'{"name": "a", "scopes": ["models:read"], "expires_in_days": ' + b"9" * 5000 + b"}",
        b"[" * 30000,
        json.dumps(LEAST).encode("utf-16"),
        b"\xff",
    ],
)
def test_what_is_not_one_json_object_is_refused(body: bytes) -> None:
    assert refusal(bodies.new_key, body).errors == (
        ("body", "must be one JSON object in UTF-8, in which no member occurs twice"),
    )


def test_a_key_that_opens_what_a_person_signs_in_afresh_for_has_to_sign() -> None:
    assert {"config:write"} == bodies.SIGNED_SCOPES
    given = LEAST | {"scopes": ["config:read", "config:write"]}
    assert refusal(bodies.new_key, given).code == "signing_key_required"
    assert refusal(bodies.new_key, given).status == 400
    assert bodies.new_key(json.dumps(given | {"signing_key": KEY}).encode()).signing_key == KEY


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", bodies.Rotation(24 * 3600, None)),
        (b"{}", bodies.Rotation(24 * 3600, None)),
        (b'{"overlap_hours": 0}', bodies.Rotation(0, None)),
        (b'{"overlap_hours": 168}', bodies.Rotation(168 * 3600, None)),
        (json.dumps({"signing_key": KEY}).encode(), bodies.Rotation(24 * 3600, KEY)),
    ],
)
def test_a_rotation_has_a_day_of_overlap_unless_it_says_otherwise(body: bytes, expected: bodies.Rotation) -> None:
    assert bodies.rotation(body) == expected


@pytest.mark.parametrize("hours", [-1, 169, 1.5, True, "24", None])
def test_an_overlap_of_another_form_is_refused(hours: Any) -> None:
    assert refusal(bodies.rotation, {"overlap_hours": hours}).errors == (
        ("overlap_hours", "must be a whole number from 0 to 168"),
    )
