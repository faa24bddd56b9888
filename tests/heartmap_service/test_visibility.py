"""Everyone against every call on uploads and analyses, whoever may see them: what a plain model expects."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from heartmap_service.clients import Clients
from heartmap_service.job_attempts import AttemptStore, Claimed
from heartmap_service.uploads import ONE_POST
from lambda_authorizer.access_policy import RULES, SERVICE, permits
from tests.heartmap_service.conftest import Person

UNKNOWN = "01JD0000000000000000000000"
PEOPLE = {
    "owner": ("anna", ("analyst",)),
    "named": ("nora", ("analyst",)),
    "named viewer": ("nick", ("viewer",)),
    "other analyst": ("omar", ("analyst",)),
    "viewer": ("vera", ("viewer",)),
    "admin": ("ada", ("admin",)),
    "nobody": ("zoe", ()),
}
VISIBILITIES: dict[str, Any] = {"private": "private", "shared": "shared", "named": ["nora", "nick"], "nobody named": []}

OWNER_ONLY, IN_CHARGE, WHO_SEES = "owner only", "in charge", "who sees"
# Route by route: who may do it, of those who see the record, with what body, and the answer to those who may.
CALLS: dict[tuple[str, str], tuple[str, Any, int]] = {
    ("GET", "/uploads/{upload_id}"): (WHO_SEES, None, 200),
    ("PATCH", "/uploads/{upload_id}"): (OWNER_ONLY, {"visibility": "private"}, 200),
    ("POST", "/uploads/{upload_id}/parts"): (IN_CHARGE, {"numbers": [1]}, 200),
    ("POST", "/uploads/{upload_id}/complete"): (IN_CHARGE, {"parts": [{"number": 1, "etag": "x"}]}, 409),
    ("GET", "/analyses/{analysis_id}"): (WHO_SEES, None, 200),
    ("GET", "/analyses/{analysis_id}/results"): (WHO_SEES, None, 200),
    ("PATCH", "/analyses/{analysis_id}"): (OWNER_ONLY, {"visibility": "private"}, 200),
    # It has succeeded.
    ("DELETE", "/analyses/{analysis_id}"): (IN_CHARGE, None, 409),
    # The upload is named in the body; its object has not arrived.
    ("POST", "/analyses"): (WHO_SEES, {"upload_id": None}, 409),
}
# They begin something of the caller's own, or list what the caller sees.
WITHOUT_A_RECORD = {("GET", "/uploads"), ("POST", "/uploads"), ("GET", "/analyses"), ("POST", "/analyze")}

Records = dict[str, tuple[str, str]]


def test_every_call_on_uploads_and_analyses_is_in_the_matrix() -> None:
    rows = {call for call, rule in RULES.items() if rule.answered_by == SERVICE and rule.route.startswith(("/upl", "/anal"))}
    assert rows == CALLS.keys() | WITHOUT_A_RECORD


def sees(who: str, visibility: str) -> bool:
    return who in ("owner", "admin") or visibility == "shared" or (visibility == "named" and who.startswith("named"))


def expected(who: str, visibility: str, call: tuple[str, str]) -> int:
    if not permits(RULES[call], frozenset(PEOPLE[who][1]), frozenset()):
        return 403
    if not sees(who, visibility):
        return 404
    right, _, status = CALLS[call]
    allowed = right == WHO_SEES or who == "owner" or (right == IN_CHARGE and who == "admin")
    return status if allowed else 403


@pytest.fixture
def records(http: Any, clients: Clients) -> Records:
    """Of each visibility an unfinished upload in parts and a succeeded analysis, all of them anna's."""
    owner = Person(http, *PEOPLE["owner"])
    store = AttemptStore(clients.dynamodb, "jobs")
    made = {}
    for name, visibility in VISIBILITIES.items():
        upload_id = owner.call("POST", "/uploads", json={"bytes": 5, "visibility": visibility}).json()["upload_id"]
        clients.s3.put_object(Bucket="uploads", Key=f"uploads/{upload_id}", Body=b"x")
        asked = {"upload_id": upload_id, "visibility": visibility}
        analysis_id = owner.call("POST", "/analyses", json=asked).json()["analysis_id"]
        claimed = store.claim(analysis_id, now=0, lease_seconds=60)
        assert isinstance(claimed, Claimed)
        assert store.succeed(claimed.analysis, files=[{"name": "a", "bytes": 1, "sha256": "0" * 64}], summary={})
        in_parts = owner.call("POST", "/uploads", json={"bytes": ONE_POST + 1, "visibility": visibility})
        made[name] = (in_parts.json()["upload_id"], analysis_id)
    return made


def do(person: Person, call: tuple[str, str], upload_id: str, analysis_id: str) -> Any:
    method, route = call
    body = CALLS[call][1]
    if body is not None and "upload_id" in body:
        body = {"upload_id": upload_id}
    path = route.format(upload_id=upload_id, analysis_id=analysis_id)
    return person.call(method, path, **({} if body is None else {"json": body}))


def problem(answer: Any) -> tuple[Any, ...]:
    """All that an answer says, but for what names the call itself."""
    headers = {name: value for name, value in answer.headers.items() if name != "date"}
    return answer.status_code, answer.text, headers


@pytest.mark.parametrize("who", PEOPLE)
def test_nobody_does_more_than_the_model_lets_them_or_learns_what_there_is(who: str, http: Any, records: Records) -> None:
    person = Person(http, *PEOPLE[who])
    for visibility, call in itertools.product(VISIBILITIES, CALLS):
        answer = do(person, call, *records[visibility])
        assert answer.status_code == expected(who, visibility, call), (visibility, call, answer.text)
        if answer.status_code == 404:
            # What is hidden and what does not exist are answered alike, byte by byte.
            assert problem(answer) == problem(do(person, call, UNKNOWN, UNKNOWN)), (visibility, call)
        if who == "owner" and call[0] == "PATCH":
            path = call[1].format(upload_id=records[visibility][0], analysis_id=records[visibility][1])
            assert person.call("PATCH", path, json={"visibility": VISIBILITIES[visibility]}).status_code == 200


@pytest.mark.parametrize("who", PEOPLE)
def test_lists_show_exactly_what_one_may_see(who: str, http: Any, records: Records) -> None:
    person = Person(http, *PEOPLE[who])
    for index, (route, name) in enumerate([("/uploads", "upload_id"), ("/analyses", "analysis_id")]):
        answer = person.call("GET", route)
        if not permits(RULES["GET", route], frozenset(PEOPLE[who][1]), frozenset()):
            assert answer.status_code == 403
            continue
        listed = {record[name] for record in answer.json()[route[1:]]}
        known = {ids[index] for ids in records.values()}
        assert listed & known == {ids[index] for visibility, ids in records.items() if sees(who, visibility)}


def test_an_index_that_lags_shows_nobody_what_is_no_longer_theirs(
    analyst: Person, other_analyst: Person, upload: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = upload(b"x")
    analysis_id = analyst.call("POST", "/analyses", json={"upload_id": upload_id, "visibility": "shared"}).json()["analysis_id"]
    analyst.call("PATCH", f"/uploads/{upload_id}", json={"visibility": "shared"})
    assert other_analyst.call("GET", "/uploads").json()["uploads"]
    for path in (f"/uploads/{upload_id}", f"/analyses/{analysis_id}"):
        with monkeypatch.context() as lagging:
            lagging.setattr("heartmap_service.listing.visibility_lists", lambda _: ["shared"])
            lagging.setattr("heartmap_service.job_store.visibility_lists", lambda _: ["shared"])
            assert analyst.call("PATCH", path, json={"visibility": "private"}).status_code == 200
    assert other_analyst.call("GET", "/uploads").json() == {"uploads": []}
    assert other_analyst.call("GET", "/analyses").json() == {"analyses": []}
