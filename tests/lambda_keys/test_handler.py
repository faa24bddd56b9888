import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infra.gateway_responses import SECURITY_HEADERS
from lambda_authorizer import api_keys
from lambda_authorizer.audit_fields import CHAINED
from lambda_authorizer.aws import Aws, AwsError
from lambda_authorizer.building.target import Target
from lambda_authorizer.encoding import b64url
from lambda_authorizer.lock_outs import ITEM as LOCKED
from lambda_authorizer.reasons import Reason, Refused
from lambda_authorizer.secret_store import FixedSecrets, parse
from lambda_keys import config, package, records, store, ulids
from lambda_keys.handler import Keys, handler
from tests.lambda_api.calls import SECRET

ADMIN, REQUEST_ID = "5f0d3c1e-0c4c-4b5e-9a6e-2f4ad9f3c001", "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
PEPPER = bytes(range(32))
NOW = 1_790_000_000.5
DAY, HOUR = 24 * 3600, 3600
ULID = "01K2B3C4D5E6F7G8H9JKMNPQRS"
RECORD = {
    *("key_id", "name", "principal", "scopes", "source_ranges", "signed", "created_at", "created_by", "expires_at", "revoked_at"),
    *("replaced_by", "last_used_at"),
}
ROTATE, REVOKE = "/keys/{key_id}/rotate", "/keys/{key_id}"


class Api:
    """Calls the function as API Gateway would, at the time that a test sets, and keeps what it printed."""

    def __init__(self, keys: Keys, make_event: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        self.now = NOW
        self._keys, self._make, self._capsys = keys, make_event, capsys
        self.printed = ""
        self.line: dict[str, Any] = {}
        self.headers: dict[str, str] = {}
        monkeypatch.setattr("lambda_keys.handler.time.time", lambda: self.now)

    def __call__(self, status: int, method: str, route: str, body: Any = None, *, key_id: str | None = None) -> dict[str, Any]:
        """The document of an answer that has this status."""
        answer = self._keys.answer(self._make(method, route, body, key_id=key_id, said={"now": self.now}))
        said = self._capsys.readouterr()
        self.printed += said.out + said.err
        (text,) = said.out.splitlines()
        self.line = json.loads(text)
        self.headers = answer["headers"]
        assert answer["statusCode"] == status, answer["body"]
        assert (self.line["event"], self.line["request_id"], self.line["source_ip"]) == ("keys", REQUEST_ID, "192.0.2.7")
        return json.loads(answer["body"])

    def create(self, status: int = 201, **body: Any) -> dict[str, Any]:
        return self(status, "POST", "/keys", {"name": "nightly", "scopes": ["models:read"]} | body)

    def rotate(self, key_id: str, status: int = 201, **body: Any) -> dict[str, Any]:
        return self(status, "POST", ROTATE, body, key_id=key_id)

    def revoke(self, key_id: str, status: int = 200) -> dict[str, Any]:
        return self(status, "DELETE", REVOKE, key_id=key_id)

    def list(self) -> Any:
        return self(200, "GET", "/keys")["keys"]


@pytest.fixture
def api(keys: Keys, make_event: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Api:
    return Api(keys, make_event, monkeypatch, capsys)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``failing(operation, code)``: from now on AWS answers it with an error, and does nothing."""
    call = Aws.call

    def fail(operation: str, code: str = "InternalServerError") -> None:
        def answer(self: Aws, service: str, target: str, *arguments: Any, **more: Any) -> Any:
            if target.endswith(f".{operation}"):
                raise AwsError("no", code)
            return call(self, service, target, *arguments, **more)

        monkeypatch.setattr(Aws, "call", answer)

    return fail


def public_key() -> str:
    return b64url(Ed25519PrivateKey.generate().public_key().public_bytes_raw())


def opens(key: str, tables: SimpleNamespace, now: float) -> Any:
    """What the authorizer says of a key at this time: its Key, or the reason for a refusal."""
    table: Any = SimpleNamespace(get=lambda key_id, **_: tables.get(key_id))
    secrets: Any = FixedSecrets(parse(SECRET.encode()))
    try:
        return api_keys.KeyVerifier(table, secrets, environment="local").verify(key, region="us-east-1", now=now, deadline=0)
    except Refused as refusal:
        return refusal.reason


# Making


def test_a_new_key_is_taken_by_the_authorizer_with_what_was_asked_for_until_its_end(api: Api, tables: SimpleNamespace) -> None:
    made = api.create(scopes=["uploads:write", "models:read"])
    assert made.keys() == RECORD | {"key"}
    assert ulids.PATTERN.fullmatch(made["key_id"])
    assert made["key"].startswith(f"hm_local_{made['key_id']}_")
    assert {name: made[name] for name in RECORD - {"key_id"}} == {
        "name": "nightly",
        "principal": "program:nightly",
        "scopes": ["models:read", "uploads:write"],
        "source_ranges": [],
        "signed": False,
        "created_at": int(NOW),
        "created_by": ADMIN,
        "expires_at": int(NOW) + 90 * DAY,
        "revoked_at": None,
        "replaced_by": None,
        "last_used_at": None,
    }
    found = opens(made["key"], tables, NOW + 90 * DAY - 2)
    assert (found.caller.principal, found.caller.groups, found.caller.scopes) == (
        *("program:nightly", frozenset(), frozenset({"models:read", "uploads:write"})),
    )
    assert (found.source_ranges, found.signing_key, found.expires_at) == (None, None, made["expires_at"])
    assert opens(made["key"], tables, made["expires_at"]) is Reason.KEY_EXPIRED


def test_the_authorizer_verifies_the_key_that_was_made(api: Api, tables: SimpleNamespace) -> None:
    made = api.create()
    item = tables.get(made["key_id"])
    assert api_keys.verify(made["key"], made["key_id"], item, pepper=PEPPER).caller.key_id == made["key_id"]
    with pytest.raises(Refused):
        api_keys.verify(made["key"][:-1] + "~", made["key_id"], item, pepper=PEPPER)


def test_a_key_that_is_bound_is_bound_for_the_authorizer_too(api: Api, tables: SimpleNamespace) -> None:
    signing = public_key()
    made = api.create(
        scopes=["config:write"], signing_key=signing, source_ranges=["192.0.2.0/24", "2001:DB8::/32"], expires_in_days=1
    )
    assert (made["signed"], made["source_ranges"], made["expires_at"]) == (
        *(True, ["192.0.2.0/24", "2001:db8::/32"], int(NOW) + DAY),
    )
    found = opens(made["key"], tables, NOW)
    assert b64url(found.signing_key) == signing
    assert (found.opens_from("192.0.2.9"), found.opens_from("2001:db8::1"), found.opens_from("198.51.100.1")) == (
        *(True, True, False),
    )


def test_who_made_a_key_is_recorded(api: Api) -> None:
    made = api.create()
    told = {name: value for name, value in api.line.items() if name not in ("time", *CHAINED)}
    assert told == {
        "event": "keys",
        "version": 2,
        "decision": "allow",
        "reason": "created",
        "action": "create",
        "request_id": REQUEST_ID,
        "principal": ADMIN,
        "source_ip": "192.0.2.7",
        "method": "POST",
        "route": "/keys",
        "resource": made["key_id"],
        "key_id": made["key_id"],
        "name": "nightly",
        "replaced_by": None,
        "scopes": ["models:read"],
        "expires_at": made["expires_at"],
    }


def test_keys_of_one_name_are_one_program(api: Api) -> None:
    made = [api.create() for _ in range(3)]
    assert len({key["key"] for key in made}) == len({key["key_id"] for key in made}) == 3
    assert {key["principal"] for key in made} == {"program:nightly"}


def test_a_body_that_breaks_a_rule_makes_no_key(api: Api, tables: SimpleNamespace) -> None:
    refusal = api.create(400, name="Nightly", expires_in_days=0)
    assert refusal["code"] == "invalid_request"
    assert [error["field"] for error in refusal["errors"]] == ["name", "expires_in_days"]
    assert "Nightly" not in json.dumps(refusal) + api.printed
    assert (api.line["decision"], api.line["reason"], api.line["action"], api.line["principal"]) == (
        *("deny", "invalid_request", "create", ADMIN),
    )
    assert api.create(400, scopes=["config:write"])["code"] == "signing_key_required"
    assert tables.rows() == []


def test_a_key_that_is_there_is_never_written_over(api: Api, tables: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records.ulids, "new", lambda now: ULID)
    api.create()
    before = tables.rows()
    assert api.create(503)["code"] == "unavailable"
    assert tables.rows() == before


def test_a_key_that_was_not_stored_is_not_given_and_is_named_in_the_audit(
    api: Api, tables: SimpleNamespace, failing: Callable[..., None]
) -> None:
    failing("PutItem")
    refusal = api.create(503)
    assert refusal.keys() == {"type", "title", "status", "code", "detail", "request_id"}
    assert api.headers["Retry-After"] == "5"
    assert (api.line["decision"], api.line["reason"]) == ("error", "unavailable")
    assert ulids.PATTERN.fullmatch(api.line["key_id"])
    assert tables.rows() == []


# Listing


def test_keys_are_listed_with_their_last_use_and_without_their_secrets(api: Api, tables: SimpleNamespace) -> None:
    first = api.create(name="first")
    api.now += 1
    second = api.create(name="second", source_ranges=["192.0.2.0/24"], signing_key=public_key())
    tables.used(second["key_id"], int(NOW) + 5)
    expected = [{name: made[name] for name in RECORD} for made in (first, second)]
    expected[1]["last_used_at"] = int(NOW) + 5
    assert api.list() == expected
    assert (api.line["action"], api.line["decision"], api.line["reason"], api.line["key_id"]) == ("list", "allow", "listed", None)


def test_no_credential_of_a_role_is_listed(api: Api, tables: SimpleNamespace) -> None:
    tables.put(public_id={"S": "role0123456789"}, principal={"S": "arn:aws:iam::1:role/x"}, groups={"SS": ["admin"]})
    assert api.list() == []


def test_the_list_of_who_is_locked_out_is_no_key(api: Api, tables: SimpleNamespace) -> None:
    tables.put(public_id={"S": LOCKED}, **{ADMIN: {"N": "1"}})
    assert api.list() == []


def test_a_key_is_listed_for_thirty_days_after_its_end(api: Api, tables: SimpleNamespace) -> None:
    ended, revoked, going_on = api.create(expires_in_days=1), api.create(), api.create(expires_in_days=365)
    tables.put(public_id={"S": "abcdefgh"}, principal={"S": "endless"})
    api.revoke(revoked["key_id"])
    everyone = {ended["key_id"], revoked["key_id"], going_on["key_id"], "abcdefgh"}
    api.now = NOW + 30 * DAY - 1
    assert {key["key_id"] for key in api.list()} == everyone
    api.now = NOW + 30 * DAY
    assert {key["key_id"] for key in api.list()} == everyone - {revoked["key_id"]}
    api.now = NOW + 31 * DAY
    assert {key["key_id"] for key in api.list()} == {going_on["key_id"], "abcdefgh"}


def test_a_listing_goes_on_from_page_to_page_and_says_when_it_does_not_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {api.create()["key_id"] for _ in range(5)}
    monkeypatch.setattr(store, "PAGE", 2)
    monkeypatch.setattr(store, "BATCH", 2)
    document = api(200, "GET", "/keys")
    assert {key["key_id"] for key in document["keys"]} == made
    assert "truncated" not in document
    monkeypatch.setattr(store, "MOST_LISTED", 3)
    document = api(200, "GET", "/keys")
    assert (len(document["keys"]), document["truncated"]) == (3, True)


@pytest.mark.parametrize("operation", ["Scan", "BatchGetItem"])
def test_a_listing_that_does_not_know_everything_is_none(api: Api, failing: Callable[..., None], operation: str) -> None:
    api.create()
    failing(operation)
    assert api(503, "GET", "/keys")["code"] == "unavailable"
    assert api.line["decision"] == "error"


# Rotating


def test_a_rotation_leaves_both_keys_valid_for_the_overlap_and_one_afterwards(api: Api, tables: SimpleNamespace) -> None:
    old = api.create(expires_in_days=30, scopes=["models:read", "uploads:write"], source_ranges=["192.0.2.0/24"])
    api.now += 10 * DAY
    new = api.rotate(old["key_id"], overlap_hours=2)
    assert new.keys() == RECORD | {"key"}
    same = {"name", "principal", "scopes", "source_ranges", "signed"}
    assert {name: new[name] for name in same} == {name: old[name] for name in same}
    assert (new["created_at"], new["expires_at"]) == (int(api.now), int(api.now) + 30 * DAY)
    assert new["key"] != old["key"]
    for key in (old, new):
        assert opens(key["key"], tables, api.now + 2 * HOUR - 1).caller.principal == "program:nightly"
    assert opens(old["key"], tables, api.now + 2 * HOUR) is Reason.KEY_EXPIRED
    assert opens(new["key"], tables, api.now + 2 * HOUR).caller.key_id == new["key_id"]
    before, after = api.list()
    assert (before["replaced_by"], before["expires_at"]) == (new["key_id"], int(api.now) + 2 * HOUR)
    assert after["replaced_by"] is None


def test_a_rotation_is_recorded_with_both_keys(api: Api) -> None:
    old = api.create()
    new = api.rotate(old["key_id"])
    assert (api.line["action"], api.line["decision"], api.line["reason"]) == ("rotate", "allow", "rotated")
    assert (api.line["key_id"], api.line["replaced_by"], api.line["name"]) == (old["key_id"], new["key_id"], "nightly")
    assert (api.line["scopes"], api.line["expires_at"]) == (["models:read"], new["expires_at"])


def test_without_an_overlap_the_old_key_ends_at_once(api: Api, tables: SimpleNamespace) -> None:
    old = api.create()
    new = api.rotate(old["key_id"], overlap_hours=0)
    assert opens(old["key"], tables, api.now) is Reason.KEY_EXPIRED
    assert opens(new["key"], tables, api.now).caller.key_id == new["key_id"]


def test_no_overlap_makes_a_key_last_longer(api: Api, tables: SimpleNamespace) -> None:
    old = api.create(expires_in_days=1)
    api.rotate(old["key_id"], overlap_hours=168)
    item = tables.get(old["key_id"])
    assert item["expires_at"]["N"] == str(old["expires_at"])


def test_the_overlap_is_a_day_where_nothing_else_is_asked_for(api: Api, tables: SimpleNamespace) -> None:
    old = api.create()
    assert api(201, "POST", ROTATE, key_id=old["key_id"])["name"] == "nightly"
    assert tables.get(old["key_id"])["expires_at"]["N"] == str(int(NOW) + DAY)


def test_the_signing_key_stays_or_is_exchanged_and_is_never_dropped(api: Api, tables: SimpleNamespace) -> None:
    first, second = public_key(), public_key()
    old = api.create(scopes=["config:write"], signing_key=first)
    kept = api.rotate(old["key_id"])
    assert tables.get(kept["key_id"])["signing_key"]["S"] == first
    exchanged = api.rotate(kept["key_id"], signing_key=second)
    assert tables.get(exchanged["key_id"])["signing_key"]["S"] == second
    assert exchanged["signed"] is True


def test_a_key_that_would_have_to_sign_and_does_not_is_not_made_anew(api: Api, tables: SimpleNamespace) -> None:
    old = api.create()
    tables.put(**tables.get(old["key_id"]) | {"scopes": {"SS": ["config:write"]}})
    assert api.rotate(old["key_id"], 400)["code"] == "signing_key_required"
    assert api.rotate(old["key_id"], signing_key=public_key())["scopes"] == ["config:write"]


def test_a_key_that_is_not_there_is_not_found(api: Api) -> None:
    assert api.rotate(ULID, 404)["code"] == "key_not_found"
    assert (api.line["decision"], api.line["key_id"], api.line["name"]) == ("deny", ULID, None)


def test_a_key_that_has_ended_or_was_revoked_or_replaced_is_not_rotated(api: Api, tables: SimpleNamespace) -> None:
    ended, revoked, replaced = api.create(expires_in_days=1), api.create(), api.create()
    api.revoke(revoked["key_id"])
    api.rotate(replaced["key_id"])
    api.now = float(ended["expires_at"])
    before = tables.rows()
    assert api.rotate(ended["key_id"], 409)["code"] == "key_ended"
    assert api.rotate(revoked["key_id"], 409)["code"] == "key_revoked"
    assert api.rotate(replaced["key_id"], 409)["code"] == "key_replaced"
    assert (api.line["decision"], api.line["reason"], api.line["name"]) == ("deny", "key_replaced", "nightly")
    assert tables.rows() == before


@pytest.mark.parametrize("attribute", ["created_at", "expires_at", "name"])
def test_a_key_that_was_not_made_here_is_not_rotated(api: Api, tables: SimpleNamespace, attribute: str) -> None:
    item = tables.get(api.create()["key_id"])
    del item[attribute]
    tables.put(**item)
    assert api.rotate(item["public_id"]["S"], 409)["code"] == "key_not_rotatable"
    assert tables.rows() == [item]


@pytest.mark.parametrize("code", ["InternalServerError", "", "TransactionCanceledException"])
def test_a_rotation_that_does_not_come_to_its_end_leaves_the_old_key_as_it_was(
    api: Api, tables: SimpleNamespace, failing: Callable[..., None], code: str
) -> None:
    old = api.create()
    before = tables.rows()
    failing("TransactWriteItems", code)
    refusal = api.rotate(old["key_id"], 503)
    assert (refusal["code"], "key" in refusal) == ("unavailable", False)
    assert tables.rows() == before
    assert opens(old["key"], tables, old["expires_at"] - 1).caller.principal == "program:nightly"
    assert api.line["decision"] == "error"
    assert ulids.PATTERN.fullmatch(api.line["replaced_by"])


def test_a_new_key_that_cannot_be_stored_does_not_end_the_old_one(
    api: Api, tables: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, taken = api.create(), api.create()
    before = tables.rows()
    monkeypatch.setattr(records.ulids, "new", lambda now: taken["key_id"])
    assert api.rotate(old["key_id"], 503)["code"] == "unavailable"
    assert tables.rows() == before


@pytest.mark.parametrize(
    ("meanwhile", "code"),
    [
        ({"revoked_at": {"N": "1790000000"}}, "key_revoked"),
        ({"replaced_by": {"S": ULID}}, "key_replaced"),
        ({"expires_at": {"N": "1790000000"}}, "key_ended"),
        ({"digest": {"S": "0" * 64}}, "unavailable"),
        ({"expires_at": {"N": "1790000900"}}, "unavailable"),
    ],
)
def test_of_two_who_write_at_once_the_second_one_sees_what_the_first_one_did(
    api: Api, tables: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, meanwhile: dict[str, Any], code: str
) -> None:
    old = api.create()
    changed = tables.get(old["key_id"]) | meanwhile
    replace = store.Store.replace

    def late(self: store.Store, *arguments: Any, **more: Any) -> bool:
        tables.put(**changed)
        return replace(self, *arguments, **more)

    monkeypatch.setattr(store.Store, "replace", late)
    assert api.rotate(old["key_id"], 503 if code == "unavailable" else 409)["code"] == code
    assert tables.rows() == [changed]


# Revoking


def test_a_revoked_key_opens_nothing(api: Api, tables: SimpleNamespace) -> None:
    made = api.create()
    tables.used(made["key_id"], int(NOW) + 7)
    api.now += 60
    shown = api.revoke(made["key_id"])
    expected = {name: made[name] for name in RECORD} | {"revoked_at": int(api.now), "last_used_at": int(NOW) + 7}
    assert shown == expected
    assert opens(made["key"], tables, api.now) is Reason.KEY_REVOKED
    assert tables.get(made["key_id"])["revoked_by"] == {"S": ADMIN}
    assert (api.line["action"], api.line["decision"], api.line["reason"]) == ("revoke", "allow", "revoked")
    assert (api.line["key_id"], api.line["name"]) == (made["key_id"], "nightly")


def test_the_first_revocation_counts(api: Api, tables: SimpleNamespace) -> None:
    made = api.create()
    first = api.revoke(made["key_id"])
    before = tables.rows()
    api.now += 60
    assert api.revoke(made["key_id"]) == first
    assert tables.rows() == before
    assert (api.line["decision"], api.line["reason"]) == ("allow", "already_revoked")


def test_a_key_that_is_not_there_is_not_revoked(api: Api, tables: SimpleNamespace) -> None:
    assert api.revoke(ULID, 404)["code"] == "key_not_found"
    assert api.line["decision"] == "deny"
    assert tables.rows() == []


def test_a_key_that_another_replaced_can_be_revoked_before_its_end(api: Api, tables: SimpleNamespace) -> None:
    old = api.create()
    new = api.rotate(old["key_id"])
    api.revoke(old["key_id"])
    assert opens(old["key"], tables, api.now) is Reason.KEY_REVOKED
    assert opens(new["key"], tables, api.now).caller.key_id == new["key_id"]


def test_a_revocation_stands_where_the_last_use_is_not_known(api: Api, failing: Callable[..., None]) -> None:
    made = api.create()
    failing("BatchGetItem")
    assert api.revoke(made["key_id"])["last_used_at"] is None
    assert (api.line["decision"], api.line["reason"]) == ("allow", "revoked")
    assert api.printed.endswith("The last use of a revoked API key could not be read.\n")


def test_a_revocation_that_failed_is_not_said_to_be_one(api: Api, failing: Callable[..., None], tables: SimpleNamespace) -> None:
    made = api.create()
    failing("UpdateItem")
    assert api.revoke(made["key_id"], 503)["code"] == "unavailable"
    assert api.line["decision"] == "error"
    assert "revoked_at" not in tables.get(made["key_id"])


# All


def test_a_secret_is_in_the_answer_that_makes_it_and_nowhere_else(
    api: Api, tables: SimpleNamespace, failing: Callable[..., None]
) -> None:
    old = api.create()
    new = api.rotate(old["key_id"])
    said = [api.list(), api.revoke(old["key_id"]), api.revoke(new["key_id"]), api.list(), api.rotate(new["key_id"], 409)]
    last = api.create()
    failing("TransactWriteItems")
    said.append(api.rotate(last["key_id"], 503))
    everything = json.dumps([said, tables.rows()]) + api.printed
    for made in (old, new, last):
        assert made["key"].count("_", 0, 40) >= 3
        assert made["key"][len(f"hm_local_{made['key_id']}_") :] not in everything
        # It would find the key if somebody's secret were guessed, which nobody can.
        digest = tables.get(made["key_id"])["digest"]["S"]
        assert digest not in json.dumps(said) + api.printed


def test_what_is_written_is_what_may_be_written(api: Api, tables: SimpleNamespace) -> None:
    """The function's own permissions name these attributes."""
    made = api.create(source_ranges=["192.0.2.0/24"], signing_key=public_key())
    api.rotate(made["key_id"])
    api.revoke(made["key_id"])
    written = {name for item in tables.rows() for name in item}
    assert written == records.WRITTEN
    assert all(ulids.PATTERN.fullmatch(item["public_id"]["S"]) for item in tables.rows())


@pytest.mark.parametrize("table", ["HEARTMAP_API_KEYS_TABLE", "HEARTMAP_SECRETS"])
def test_without_the_table_or_the_secret_nothing_is_given(
    environ: dict[str, str], tables: SimpleNamespace, make_event: Any, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    gone = Keys(config.load(environ | {table: environ[table].replace("heartmap-local", "heartmap-gone")}))
    answer = gone.answer(make_event("POST", "/keys", {"name": "nightly", "scopes": ["models:read"]}))
    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (503, "unavailable")


class Full:
    def write(self, text: str) -> int:
        raise OSError("no space left")


def test_what_cannot_be_recorded_in_the_audit_is_not_given(keys: Keys, make_event: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", Full())
    with pytest.raises(OSError, match="no space left"):
        keys.answer(make_event("POST", "/keys", {"name": "nightly", "scopes": ["models:read"]}))


def test_a_defect_is_recorded_by_its_place_alone(
    keys: Keys, make_event: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = "something of a caller's"

    def broken(*_: Any, **__: Any) -> None:
        raise ValueError(sent)

    monkeypatch.setattr(store.Store, "add", broken)
    answer = keys.answer(make_event("POST", "/keys", {"name": "nightly", "scopes": ["models:read"]}))
    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (500, "internal")
    said = capsys.readouterr()
    assert json.loads(said.out)["decision"] == "error"
    assert said.err.startswith("ValueError\n")
    assert sent not in said.out + said.err + answer["body"]


@pytest.mark.parametrize("status", [201, 400])
def test_every_answer_carries_the_headers_of_the_gateways_own(api: Api, status: int) -> None:
    api.create(status, **({} if status == 201 else {"name": 5}))
    assert api.headers.items() >= SECURITY_HEADERS.items()
    assert api.headers["X-Request-Id"] == REQUEST_ID
    assert api.headers["Content-Type"] == ("application/json" if status == 201 else "application/problem+json")


def test_the_handler_starts_from_the_package_alone_and_needs_no_library_and_all_that_is_in_it(
    tmp_path: Path, environ: dict[str, str], tables: SimpleNamespace, make_event: Any
) -> None:
    path = package.build(tmp_path, target=Target.host())
    assert package.build(tmp_path / "again", target=Target.host()).read_bytes() == path.read_bytes()
    zipfile.ZipFile(path).extractall(tmp_path / "task")
    script = (
        "import json, sys; sys.path.insert(0, sys.argv[1])\n"
        "from lambda_keys.handler import handler\n"
        "print(json.dumps([handler(json.loads(event), None)['statusCode'] for event in sys.argv[2:]]))\n"
        "print(json.dumps(sorted(name for name in sys.modules if name.startswith('lambda_'))))\n"
    )
    body = {"name": "nightly", "scopes": ["models:read"], "source_ranges": ["192.0.2.0/24"], "signing_key": public_key()}
    calls = [make_event("POST", "/keys", body), make_event(), make_event("DELETE", REVOKE, key_id=ULID)]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, str(tmp_path / "task"), *map(json.dumps, calls)],
        env=environ | {"AWS_LAMBDA_FUNCTION_NAME": "keys"},
        capture_output=True,
        text=True,
        check=True,
    )
    statuses, loaded = done.stdout.splitlines()[-2:]
    assert json.loads(statuses) == [201, 200, 404]
    assert done.stderr == ""
    packaged = {f"{folder}.{name}" for folder, names in package.MODULES.items() for name in names}
    assert set(json.loads(loaded)) == {name.removesuffix(".__init__") for name in packaged}


def test_a_process_without_a_configuration_answers_nobody(make_event: Any) -> None:
    with pytest.raises(Exception, match="HEARTMAP_ENVIRONMENT is not set"):
        handler(make_event(), None)


def test_a_process_answers_with_its_configuration(
    environ: dict[str, str], tables: SimpleNamespace, make_event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    before = time.time()
    answer = handler(make_event("POST", "/keys", {"name": "nightly", "scopes": ["models:read"]}), None)
    assert answer["statusCode"] == 201
    assert json.loads(answer["body"])["created_at"] >= int(before)
