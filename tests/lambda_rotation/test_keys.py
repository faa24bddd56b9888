import json

import pytest

from infra.data import new_authorizer_secret
from lambda_rotation.keys import rotated, service_document


def test_the_next_key_signs_and_another_is_next() -> None:
    before = json.loads(new_authorizer_secret())
    after = json.loads(rotated(json.dumps(before)))
    (following,) = set(before["assertion_keys"]) - {before["current_assertion_key"]}
    assert after["current_assertion_key"] == following
    assert after["assertion_keys"][following] == before["assertion_keys"][following]
    (fresh,) = set(after["assertion_keys"]) - {following}
    assert fresh not in before["assertion_keys"]


def test_the_service_is_given_no_pepper() -> None:
    before = new_authorizer_secret()
    document = json.loads(service_document(before, rotated(before)))
    assert set(document) == {"assertion_keys"}
    assert json.loads(before)["api_key_pepper"] not in document["assertion_keys"].values()


@pytest.mark.parametrize("secret", ["", "[]", "{}", '{"api_key_pepper": "eA=="}'])
def test_a_malformed_secret_is_refused_without_its_content(secret: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011  # that it says nothing is what is tested
        rotated(secret)
    assert "eA==" not in str(refused.value)


def test_a_secret_with_a_third_key_is_refused() -> None:
    content = json.loads(new_authorizer_secret())
    content["assertion_keys"]["third"] = next(iter(content["assertion_keys"].values()))
    with pytest.raises(ValueError, match="more keys than"):
        rotated(json.dumps(content))
