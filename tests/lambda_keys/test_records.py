import json

import pytest

from lambda_authorizer import api_keys, peppers
from lambda_authorizer.access_policy import SCOPES
from lambda_keys import records, ulids
from lambda_keys.bodies import NewKey
from lambda_token.credential import PREFIX

PEPPER = bytes(range(32))
NOW = 1_790_000_000.5
WANTED = NewKey("nightly", frozenset({"models:read", "config:read"}), 86400, frozenset({"192.0.2.0/24"}), "k" * 43)


def make(wanted: NewKey = WANTED) -> records.Made:
    return records.make(wanted, environment="prod", pepper=PEPPER, by="an-admin", now=NOW)


def test_a_new_key_has_a_ulid_256_random_bits_and_an_end() -> None:
    made = make()
    key_id = api_keys.public_id(made.key, environment="prod")
    assert ulids.PATTERN.fullmatch(key_id)
    assert len(made.key) == len(f"hm_prod_{key_id}_") + 43
    assert made.item == {
        "public_id": {"S": key_id},
        "digest": {"S": api_keys.digest(made.key, PEPPER)},
        "peppers": {"S": peppers.name(PEPPER)},
        "principal": {"S": "program:nightly"},
        "scopes": {"SS": ["config:read", "models:read"]},
        "source_ranges": {"SS": ["192.0.2.0/24"]},
        "signing_key": {"S": "k" * 43},
        "expires_at": {"N": "1790086400"},
        "name": {"S": "nightly"},
        "created_at": {"N": "1790000000"},
        "created_by": {"S": "an-admin"},
    }
    assert make().key != made.key


def test_what_a_key_is_not_bound_to_is_not_in_its_item() -> None:
    item = make(WANTED._replace(source_ranges=None, signing_key=None)).item
    assert not item.keys() & {"source_ranges", "signing_key"}


def test_the_item_does_not_hold_the_key() -> None:
    made = make()
    assert made.key.rpartition("_")[2] not in json.dumps(made.item)


def test_nothing_is_written_that_would_open_what_a_group_opens() -> None:
    assert "groups" not in records.WRITTEN
    assert make().item.keys() <= records.WRITTEN


def test_the_digest_is_shown_to_nobody() -> None:
    assert "digest" not in records.READ
    made = make()
    said = json.dumps(records.shown(made.item, last_used_at=None))
    assert made.item["digest"]["S"] not in said
    assert made.key.rpartition("_")[2] not in said


def test_the_credentials_of_roles_begin_as_the_function_that_makes_them_says() -> None:
    assert records.ROLES == PREFIX
    assert not ulids.PATTERN.match(PREFIX)


def test_a_key_as_it_is_shown() -> None:
    item = make().item | {"revoked_at": {"N": "1790000001"}, "replaced_by": {"S": "01M"}, "revoked_by": {"S": "another"}}
    assert records.shown(item, last_used_at=1_789_999_999) == {
        "key_id": item["public_id"]["S"],
        "name": "nightly",
        "principal": "program:nightly",
        "scopes": ["config:read", "models:read"],
        "source_ranges": ["192.0.2.0/24"],
        "signed": True,
        "created_at": 1_790_000_000,
        "created_by": "an-admin",
        "expires_at": 1_790_086_400,
        "revoked_at": 1_790_000_001,
        "replaced_by": "01M",
        "last_used_at": 1_789_999_999,
    }


def test_of_a_key_that_was_not_made_here_what_is_not_there_is_null() -> None:
    item = {"public_id": {"S": "abcdefgh"}, "principal": {"S": "ci"}, "expires_at": {"N": "1e9"}}
    shown = records.shown(item, last_used_at=None)
    assert (shown["key_id"], shown["principal"], shown["scopes"], shown["source_ranges"], shown["signed"]) == (
        *("abcdefgh", "ci", [], [], False),
    )
    assert {name for name, value in shown.items() if value is None} == {
        *("name", "created_at", "created_by", "expires_at", "revoked_at", "replaced_by", "last_used_at"),
    }


@pytest.mark.parametrize("wanted", [WANTED, NewKey("a", SCOPES, 365 * 86400, None, None)])
def test_the_next_key_is_like_the_one_before(wanted: NewKey) -> None:
    assert records.like(make(wanted).item) == wanted


def test_a_scope_that_is_no_more_is_not_passed_on() -> None:
    item = make().item | {"scopes": {"SS": ["config:read", "everything:write"]}}
    following = records.like(item)
    assert following is not None
    assert following.scopes == {"config:read"}


def test_no_key_lasts_longer_than_a_year() -> None:
    following = records.like(make().item | {"created_at": {"N": "1"}})
    assert following is not None
    assert following.lifetime == 365 * 86400


@pytest.mark.parametrize("missing", ["digest", "principal", "scopes", "expires_at", "name", "created_at", "created_by"])
def test_a_key_that_was_not_made_here_is_no_model_for_another(missing: str) -> None:
    item = make().item
    del item[missing]
    assert records.like(item) is None


@pytest.mark.parametrize(
    "change",
    [
        {"groups": {"SS": ["admin"]}},
        {"principal": {"S": "arn:aws:iam::123456789012:role/ci"}},
        {"principal": {"S": "program:other"}},
        {"scopes": {"SS": ["everything:write"]}},
        {"created_at": {"N": "1790086400"}},
        {"created_at": {"S": "1790000000"}},
        {"expires_at": {"S": "1790086400"}},
    ],
)
def test_a_key_of_another_kind_is_no_model_for_another(change: records.Item) -> None:
    assert records.like(make().item | change) is None
