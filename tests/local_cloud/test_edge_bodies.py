import json

import pytest

from infra.request_models import BODIES, schema
from local_cloud.edge.bodies import Bodies

UPLOAD = schema(BODIES["POST", "/uploads"])
JSON = "application/json"


@pytest.mark.parametrize("content_type", [None, JSON, "application/json; charset=utf-8", "text/plain", "application/xml"])
def test_the_default_model_holds_for_bodies_of_every_type(content_type: str | None) -> None:
    bodies = Bodies("The method", {"$default": UPLOAD})
    assert bodies.accept(content_type, b'{"name": "heart.h5ad", "bytes": 5}')
    assert not bodies.accept(content_type, b'{"bytes": 0}')
    assert not bodies.accept(content_type, b'{"other": 1}')


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b"x", b"\xff", b'{"bytes": NaN}', b"[" * 100_000])
def test_what_is_no_json_of_the_model_is_refused(body: bytes) -> None:
    assert not Bodies("The method", {"$default": UPLOAD}).accept(JSON, body)


def test_no_body_counts_as_an_empty_object() -> None:
    assert Bodies("The method", {"$default": UPLOAD}).accept(JSON, b"")
    required = json.dumps({"type": "object", "required": ["a"]})
    assert not Bodies("The method", {"$default": required}).accept(JSON, b"")


def test_a_model_for_one_type_says_nothing_about_others() -> None:
    bodies = Bodies("The method", {JSON: UPLOAD})
    assert not bodies.accept(None, b"x")
    assert bodies.accept("text/plain", b"x")
