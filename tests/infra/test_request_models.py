import json
from typing import Annotated, Any, Literal, get_args, get_type_hints

import jsonschema
import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from heartmap_service import api
from infra.request_models import BODIES, UntranslatableError, schema
from lambda_authorizer.access_policy import ACCESS_POLICY, RULES, SERVICE
from lambda_authorizer.problems import Refused
from lambda_keys import bodies
from lambda_users import bodies as user_bodies

ULID = "01JDDY0Z4Q8R6N5V3T7W2X9YAB"


def validator(key: tuple[str, str]) -> jsonschema.Draft4Validator:
    document = json.loads(schema(BODIES[key]))
    jsonschema.Draft4Validator.check_schema(document)
    return jsonschema.Draft4Validator(document)


def body_types() -> dict[tuple[str, str], type[BaseModel]]:
    """What the service's own routes take as their JSON body."""
    routes: list[tuple[str, str, Any]] = []

    class App:
        """Takes down what `_add_routes` registers."""

        def __getattr__(self, method: str) -> Any:
            return lambda route, **_: lambda function: routes.append((method.upper(), route, function))

    api._add_routes(App())  # pyright: ignore[reportArgumentType]
    found: dict[tuple[str, str], type[BaseModel]] = {}
    for method, route, function in routes:
        for hint in get_type_hints(function).values():
            for kind in (hint, *get_args(hint)):
                if isinstance(kind, type) and issubclass(kind, BaseModel):
                    assert (method, route) not in found
                    found[method, route] = kind
    return found


def test_each_route_of_the_service_has_the_model_that_it_reads_the_body_by() -> None:
    assert body_types() == {call: body for call, body in BODIES.items() if RULES[call].answered_by == SERVICE}


def test_every_row_that_takes_a_body_has_a_model_but_the_one_that_takes_a_file() -> None:
    with_body = {(rule.method, rule.route) for rule in ACCESS_POLICY if rule.body}
    assert with_body - set(BODIES) == {("POST", "/analyze")}
    assert set(BODIES) <= with_body


# The public key of RFC 8032, section 7.1, test 1.
SIGNING_KEY = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
KEY = {"name": "robot", "scopes": ["models:read"]}

# One good body and several bad ones of each route.
GOOD = {
    ("POST", "/config"): [{}, {"min_genes": 0}, {"max_cells_subset": None}, {"target_sum": 1e4}, {"restore_version": 7}],
    ("POST", "/uploads"): [
        {},
        {"name": "heart.h5ad", "bytes": 5},
        {"name": None},
        {"source": "s3://atlas/heart.h5ad", "visibility": ["someone"]},
    ],
    ("PATCH", "/uploads/{upload_id}"): [{"visibility": "private"}, {"visibility": ["someone"]}],
    ("POST", "/uploads/{upload_id}/parts"): [{"numbers": [1, 10_000]}],
    ("POST", "/uploads/{upload_id}/complete"): [{"parts": [{"number": 1, "etag": '"abc"'}]}],
    ("POST", "/analyses"): [{"upload_id": ULID}, {"upload_id": ULID, "options": {"a": [1]}, "visibility": ["someone"]}],
    ("PATCH", "/analyses/{analysis_id}"): [{"visibility": "shared"}, {"visibility": []}],
    ("POST", "/keys"): [
        KEY,
        KEY | {"expires_in_days": 1},
        KEY | {"expires_in_days": 365, "source_ranges": ["192.0.2.0/24", "2001:db8::/32"], "signing_key": SIGNING_KEY},
        {"name": "a" * 64, "scopes": ["config:read", "config:write"], "signing_key": SIGNING_KEY},
    ],
    ("POST", "/keys/{key_id}/rotate"): [{}, {"overlap_hours": 0}, {"overlap_hours": 168, "signing_key": SIGNING_KEY}],
    ("POST", "/users"): [
        {"email": "ada@example.org", "group": "viewer"},
        {"email": "A.Lovelace+heart@mail.example.org", "group": "admin"},
        {"email": "a" * 116 + "@example.org", "group": "analyst"},
    ],
    ("PATCH", "/users"): [
        *({"username": "ada", "group": group} for group in ("viewer", "analyst", "admin", None)),
        {"username": "idp_ada@example.org", "enabled": False},
        {"username": "a" * 128, "group": "viewer", "enabled": True, "reset_mfa": True},
    ],
}
BAD = {
    ("POST", "/config"): [
        [],
        None,
        "x",
        {"min_genes": -1},
        {"min_genes": "5"},
        {"min_genes": None},
        {"other": 1},
        {"restore_version": -1},
    ],
    ("POST", "/uploads"): [
        *({"bytes": 0}, {"name": ""}, {"name": "a" * 256}, {"name": "a\nb"}, {"path": "/etc"}),
        *({"source": ""}, {"source": "s3://" + "a" * 1200}, {"source": ["s3://a"]}, {"visibility": "all"}, {"visibility": None}),
    ],
    ("PATCH", "/uploads/{upload_id}"): [{}, {"visibility": "all"}, {"visibility": "shared", "name": "mine"}],
    ("POST", "/uploads/{upload_id}/parts"): [
        {},
        {"numbers": []},
        {"numbers": [0]},
        {"numbers": [10_001]},
        {"numbers": [1] * 101},
    ],
    ("POST", "/uploads/{upload_id}/complete"): [
        {"parts": []},
        {"parts": [{"number": 1}]},
        {"parts": [{"number": 1, "etag": "a b"}]},
    ],
    ("POST", "/analyses"): [{}, {"upload_id": "1"}, {"upload_id": ULID, "options": []}, {"upload_id": ULID, "visibility": "all"}],
    ("PATCH", "/analyses/{analysis_id}"): [{}, {"visibility": None}, {"visibility": ["a b"]}, {"visibility": ["a"] * 26}],
    ("POST", "/keys"): [
        {},
        [],
        {"name": "robot"},
        {"scopes": ["models:read"]},
        *(KEY | {"name": name} for name in ("", "Robot", "-robot", "a" * 65, "a b", 1, None)),
        *(KEY | {"scopes": scopes} for scopes in ([], ["models:write"], ["models:read"] * 2, "models:read", [None], None)),
        *(KEY | {"expires_in_days": days} for days in (0, 366, -1, "90", 1.5, True, None)),
        *(KEY | {"source_ranges": ranges} for ranges in ([], ["192.0.2.0/24"] * 2, [1], "192.0.2.0/24", None)),
        KEY | {"source_ranges": [f"192.0.{number}.0/24" for number in range(17)]},
        *(KEY | {"signing_key": key} for key in ("", SIGNING_KEY + "=", SIGNING_KEY[:-1], SIGNING_KEY[:-1] + "+", 1, None)),
        KEY | {"groups": ["admin"]},
        KEY | {"principal": "someone"},
    ],
    ("POST", "/keys/{key_id}/rotate"): [
        [],
        *({"overlap_hours": hours} for hours in (-1, 169, "24", 0.5, True, None)),
        *({"signing_key": key} for key in ("", SIGNING_KEY + "=", 1, None)),
        {"name": "another"},
        {"scopes": ["config:write"]},
    ],
    ("POST", "/users"): [
        [],
        {},
        {"email": "ada@example.org"},
        {"group": "viewer"},
        *({"email": "ada@example.org", "group": group} for group in ("", "Admin", "owner", ["viewer"], None)),
        *({"email": email, "group": "viewer"} for email in ("", "ada", "ada@", "@example.org", "ada@local", 'a"@example.org', 1)),
        *({"email": email, "group": "viewer"} for email in ("a da@example.org", "a" * 117 + "@example.org", None)),
        {"email": "ada@example.org", "group": "viewer", "username": "root"},
    ],
    ("PATCH", "/users"): [
        [],
        {},
        {"username": "ada"},
        {"group": "viewer"},
        *({"username": name, "enabled": True} for name in ("", "a" * 129, 1, None)),
        *({"username": "ada", "group": group} for group in ("", "owner", ["viewer"], 1)),
        *({"username": "ada", "enabled": enabled} for enabled in (None, 1, "true")),
        *({"username": "ada", "reset_mfa": reset} for reset in (None, False, 1, "true")),
        {"username": "ada", "enabled": True, "email": "eve@example.org"},
        {"username": "ada", "enabled": True, "user_pool_id": "us-east-1_other"},
    ],
}
# How the functions read bodies, which they do by hand.
READERS = {
    ("POST", "/keys"): bodies.new_key,
    ("POST", "/keys/{key_id}/rotate"): bodies.rotation,
    ("POST", "/users"): user_bodies.new_user,
    ("PATCH", "/users"): user_bodies.change,
}


@pytest.mark.parametrize("key", READERS)
def test_the_model_and_the_function_agree_on_what_is_a_body(key: tuple[str, str]) -> None:
    read = READERS[key]
    for body in GOOD[key]:
        read(json.dumps(body).encode())
        assert validator(key).is_valid(body), body
    for body in BAD[key]:
        with pytest.raises(Refused):
            read(json.dumps(body).encode())
        assert not validator(key).is_valid(body), body


def test_the_functions_read_each_body_that_has_a_model_and_is_not_the_services() -> None:
    assert set(READERS) == {call for call in BODIES if RULES[call].answered_by != SERVICE}


@pytest.mark.parametrize("key", BODIES.keys() - READERS.keys())
def test_the_model_and_the_service_agree_on_what_is_a_body(key: tuple[str, str]) -> None:
    for body in GOOD[key]:
        BODIES[key].model_validate(body)
        assert validator(key).is_valid(body), body
    for body in BAD[key]:
        with pytest.raises(ValidationError):
            BODIES[key].model_validate(body)
        assert not validator(key).is_valid(body), body


def test_a_rule_that_draft_4_cannot_say_is_not_dropped_in_silence() -> None:
    class Odd(BaseModel):
        ratio: Annotated[float, Field(gt=0, ge=1)]

    with pytest.raises(UntranslatableError, match="exclusiveMinimum"):
        schema(Odd)


def test_an_exclusive_bound_is_one_in_draft_4_too() -> None:
    class Open(BaseModel):
        ratio: Annotated[float, Field(gt=0, lt=1)]

    model = jsonschema.Draft4Validator(json.loads(schema(Open)))
    assert [model.is_valid({"ratio": ratio}) for ratio in (0, 0.5, 1)] == [False, True, False]


def test_a_constant_is_the_only_one_of_its_choices() -> None:
    class One(BaseModel):
        model_config = ConfigDict(extra="forbid")
        kind: Literal["only"]

    assert json.loads(schema(One))["properties"]["kind"]["enum"] == ["only"]
