import json
from typing import Annotated, Any, Literal, get_args, get_type_hints

import jsonschema
import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from heartmap_service import api
from infra.request_models import BODIES, UntranslatableError, schema
from lambda_authorizer.access_policy import ACCESS_POLICY

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


def test_each_route_has_the_model_that_the_service_itself_reads_its_body_by() -> None:
    assert body_types() == BODIES


def test_every_row_that_takes_a_body_has_a_model_but_the_one_that_takes_a_file() -> None:
    with_body = {(rule.method, rule.route) for rule in ACCESS_POLICY if rule.body}
    assert with_body - set(BODIES) == {("POST", "/analyze")}
    assert set(BODIES) <= with_body


# One good body and several bad ones of each route.
GOOD = {
    ("POST", "/config"): [{}, {"min_genes": 0}, {"max_cells_subset": None}, {"target_sum": 1e4}],
    ("POST", "/uploads"): [{}, {"name": "heart.h5ad", "bytes": 5}, {"name": None}],
    ("POST", "/uploads/{upload_id}/parts"): [{"numbers": [1, 10_000]}],
    ("POST", "/uploads/{upload_id}/complete"): [{"parts": [{"number": 1, "etag": '"abc"'}]}],
    ("POST", "/analyses"): [{"upload_id": ULID}, {"upload_id": ULID, "options": {"a": [1]}, "visibility": ["someone"]}],
    ("PATCH", "/analyses/{analysis_id}"): [{"visibility": "shared"}, {"visibility": []}],
}
BAD = {
    ("POST", "/config"): [[], None, "x", {"min_genes": -1}, {"min_genes": "5"}, {"min_genes": None}, {"other": 1}],
    ("POST", "/uploads"): [{"bytes": 0}, {"name": ""}, {"name": "a" * 256}, {"name": "a\nb"}, {"path": "/etc"}],
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
}


@pytest.mark.parametrize("key", BODIES)
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
        ratio: Annotated[float, Field(gt=0)]

    with pytest.raises(UntranslatableError, match="exclusiveMinimum"):
        schema(Odd)


def test_a_constant_is_the_only_one_of_its_choices() -> None:
    class One(BaseModel):
        model_config = ConfigDict(extra="forbid")
        kind: Literal["only"]

    assert json.loads(schema(One))["properties"]["kind"]["enum"] == ["only"]
