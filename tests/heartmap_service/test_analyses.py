import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from heartmap_service.clients import Clients
from heartmap_service.estimate import Estimator
from heartmap_service.job_attempts import AttemptStore, Claimed, Ended
from heartmap_service.job_store import JobStore, TokenVoid
from heartmap_service.upload_store import UploadStore


@pytest.fixture
def submit(analyst: Any, upload: Callable[..., str]) -> Callable[..., str]:
    def send(person: Any = analyst, **fields: Any) -> str:
        answer = person.call("POST", "/analyses", json={"upload_id": upload(b"anything", person=person), **fields})
        assert answer.status_code == 202, answer.text
        assert answer.json()["state"] == "queued"
        return answer.json()["analysis_id"]

    return send


def listed(person: Any) -> list[str]:
    return [analysis["analysis_id"] for analysis in person.call("GET", "/analyses").json()["analyses"]]


def messages(clients: Clients, aws: dict[str, Any]) -> list[dict[str, Any]]:
    answer = clients.sqs.receive_message(QueueUrl=aws["queue_url"], MaxNumberOfMessages=10)
    return [json.loads(message.get("Body", "")) for message in answer.get("Messages", [])]


def test_a_submitted_analysis_is_on_the_queue_with_the_request_id(submit: Any, clients: Clients, aws: dict[str, Any]) -> None:
    analysis_id = submit()
    assert {"analysis_id": analysis_id, "request_id": "request-1"} in messages(clients, aws)


def test_a_new_analysis_shows_its_state(analyst: Any, submit: Any) -> None:
    analysis = analyst.call("GET", f"/analyses/{submit(analysis_type='basic')}").json()
    assert {name: analysis[name] for name in ("state", "stage", "progress", "error", "analysis_type", "visibility", "owner")} == {
        "state": "queued",
        "stage": "queued",
        "progress": 0.0,
        "error": None,
        "analysis_type": "basic",
        "visibility": "private",
        "owner": "anna",
    }


@pytest.mark.parametrize("name", ["advanced", "Comprehensive", "", "../basic", "all"])
def test_an_unknown_analysis_type_names_the_known_ones(analyst: Any, upload: Any, name: str) -> None:
    answer = analyst.call("POST", "/analyses", json={"upload_id": upload(b"x"), "analysis_type": name})
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_analysis_type")
    assert "advanced_communication" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("analysis_type", "options", "code"),
    [
        ("basic", {"n_neighbors": 5}, "unknown_option"),
        ("basic", {"processed_data_dir": "/tmp"}, "unknown_option"),
        ("multi_chamber", {"resolution": 1.0}, "unknown_option"),
        ("basic", {"resolution": "high"}, "invalid_option"),
        ("basic", {"resolution": 11}, "invalid_option"),
        ("comprehensive", {"max_cells_subset": 5}, "invalid_option"),
        ("comprehensive", {"random_seed": -1}, "invalid_option"),
    ],
)
def test_an_option_that_does_not_act_or_is_out_of_range_is_refused(
    analyst: Any, upload: Any, analysis_type: str, options: dict[str, Any], code: str
) -> None:
    body = {"upload_id": upload(b"x"), "analysis_type": analysis_type, "options": options}
    answer = analyst.call("POST", "/analyses", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert answer.json()["errors"][0]["field"] == f"options.{next(iter(options))}"


@pytest.mark.parametrize("visibility", ["public", "", [""], ["a b"], ["x" * 129], ["p"] * 26, 1, None, {"a": 1}])
def test_a_visibility_of_another_shape_is_refused(analyst: Any, upload: Any, visibility: Any) -> None:
    answer = analyst.call("POST", "/analyses", json={"upload_id": upload(b"x"), "visibility": visibility})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"field": "visibility", "rule": "must be private, shared or a list of at most 25 principals"}
    ]


def test_a_missing_object_and_a_foreign_upload_are_refused(analyst: Any, other_analyst: Any, upload: Any) -> None:
    upload_id = analyst.call("POST", "/uploads", json={}).json()["upload_id"]
    answer = analyst.call("POST", "/analyses", json={"upload_id": upload_id})
    assert (answer.status_code, answer.json()["code"]) == (409, "upload_incomplete")
    answer = other_analyst.call("POST", "/analyses", json={"upload_id": upload(b"x")})
    assert (answer.status_code, answer.json()["code"]) == (404, "no_such_upload")


def test_a_rejected_upload_is_refused_with_the_scans_code(analyst: Any, upload: Any, clients: Clients) -> None:
    upload_id = upload(b"x")
    UploadStore(clients.dynamodb, "jobs").reject(upload_id, "not_hdf5", "The file is not HDF5.")
    answer = analyst.call("POST", "/analyses", json={"upload_id": upload_id})
    assert (answer.status_code, answer.json()["code"]) == (409, "not_hdf5")


def test_a_queue_that_does_not_take_the_analysis_leaves_nothing(
    analyst: Any, upload: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object) -> None:
        raise EndpointConnectionError(endpoint_url="http://queue")

    monkeypatch.setattr("heartmap_service.queue.Queue.send", unreachable)
    answer = analyst.call("POST", "/analyses", json={"upload_id": upload(b"x")})
    assert (answer.status_code, answer.json()["code"]) == (503, "queue_unavailable")
    assert listed(analyst) == []


def test_an_analysis_that_came_too_late_for_its_token_is_asked_for_again(
    analyst: Any, upload: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def void(*_: object, **__: object) -> None:
        raise TokenVoid

    monkeypatch.setattr("heartmap_service.job_store.JobStore.add_analysis", void)
    answer = analyst.call("POST", "/analyses", json={"upload_id": upload(b"x")})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


FACTS = {"cells": 3000, "genes": 2000, "matrix": "X", "var": "var", "counts": True, "legacy": False, "values": 600_000}
FACTS |= {"sparse": True, "declared_bytes": 7_000_000}


def test_what_an_analysis_will_need_is_told_at_once(analyst: Any, upload: Any, clients: Clients, api_settings: Any) -> None:
    upload_id = upload(b"x")
    UploadStore(clients.dynamodb, "jobs").accept(upload_id, FACTS)
    answer = analyst.call("POST", "/analyses", json={"upload_id": upload_id, "analysis_type": "basic"})
    config = analyst.call("GET", "/config").json()["config"]
    estimator = Estimator(api_settings.worker_cpu, api_settings.worker_memory)
    expected = estimator.of("basic", config, FACTS)._asdict()
    assert (answer.status_code, answer.json()["estimate"]) == (202, expected)
    assert analyst.call("GET", f"/analyses/{answer.json()['analysis_id']}").json()["estimate"] == expected


def test_what_cannot_fit_is_refused_before_anything_is_queued(
    analyst: Any, upload: Any, clients: Clients, aws: dict[str, Any]
) -> None:
    upload_id = upload(b"x")
    messages(clients, aws)
    UploadStore(clients.dynamodb, "jobs").accept(upload_id, FACTS | {"cells": 3_000_000, "values": 6_000_000_000})
    answer = analyst.call("POST", "/analyses", json={"upload_id": upload_id, "analysis_type": "basic"})
    assert (answer.status_code, answer.json()["code"]) == (422, "will_not_fit")
    assert "4.0 GiB" in answer.json()["detail"]
    assert listed(analyst) == []
    assert messages(clients, aws) == []
    row = clients.dynamodb.get_item(TableName="jobs", Key={"pk": {"S": "quota#anna"}})
    assert "Item" not in row


def test_a_private_analysis_is_its_owners_and_the_administrators(
    analyst: Any, other_analyst: Any, viewer: Any, admin: Any, program: Any, submit: Any
) -> None:
    analysis_id = submit()
    for person in (analyst, admin):
        assert listed(person) == [analysis_id]
        assert person.call("GET", f"/analyses/{analysis_id}").status_code == 200
    for stranger in (other_analyst, viewer, program("analyses:read")):
        assert listed(stranger) == []
        for path in (f"/analyses/{analysis_id}", f"/analyses/{analysis_id}/results"):
            answer = stranger.call("GET", path)
            assert (answer.status_code, answer.json()["code"]) == (404, "no_such_analysis")
    answer = other_analyst.call("DELETE", f"/analyses/{analysis_id}")
    assert answer.status_code == 404
    assert other_analyst.call("PATCH", f"/analyses/{analysis_id}", json={"visibility": "shared"}).status_code == 404


def test_a_shared_analysis_is_everyones_to_read_and_nobody_elses_to_change(
    analyst: Any, other_analyst: Any, viewer: Any, submit: Any
) -> None:
    analysis_id = submit(visibility="shared")
    for person in (analyst, other_analyst, viewer):
        assert listed(person) == [analysis_id]
        assert person.call("GET", f"/analyses/{analysis_id}").json()["owner"] == "anna"
    for method, arguments in (("PATCH", {"json": {"visibility": "private"}}), ("DELETE", {})):
        answer = other_analyst.call(method, f"/analyses/{analysis_id}", **arguments)
        assert (answer.status_code, answer.json()["code"]) == (403, "not_the_owner")


def test_named_people_see_an_analysis_and_others_do_not(analyst: Any, other_analyst: Any, viewer: Any, submit: Any) -> None:
    analysis_id = submit(visibility=["vera", "vera", "somebody"])
    assert listed(viewer) == [analysis_id]
    assert listed(other_analyst) == []
    assert viewer.call("GET", f"/analyses/{analysis_id}").json()["visibility"] == ["somebody", "vera"]


def test_the_owner_changes_who_sees_an_analysis(analyst: Any, other_analyst: Any, viewer: Any, submit: Any) -> None:
    analysis_id = submit()
    path = f"/analyses/{analysis_id}"
    steps = [
        ("shared", True, True),
        (["omar"], False, True),
        ("private", False, False),
        (["vera", "omar"], True, True),
        ([], False, False),
    ]
    for visibility, viewer_sees, other_sees in steps:
        answer = analyst.call("PATCH", path, json={"visibility": visibility})
        assert answer.status_code == 200, answer.text
        assert answer.json()["visibility"] == (sorted(visibility) if isinstance(visibility, list) else visibility)
        assert (listed(viewer) == [analysis_id], listed(other_analyst) == [analysis_id]) == (viewer_sees, other_sees)
        assert (viewer.call("GET", path).status_code == 200) is viewer_sees


def test_a_change_of_visibility_that_came_too_late_is_refused(analyst: Any, submit: Any, clients: Clients) -> None:
    store = JobStore(clients.dynamodb, "jobs")
    stale = store.analysis(submit())
    assert stale is not None
    assert analyst.call("PATCH", f"/analyses/{stale.analysis_id}", json={"visibility": ["omar"]}).status_code == 200
    assert store.set_visibility(stale, "shared") is False
    assert analyst.call("GET", f"/analyses/{stale.analysis_id}").json()["visibility"] == ["omar"]


def test_analyses_are_listed_newest_first(analyst: Any, submit: Any) -> None:
    submitted = [submit() for _ in range(3)]
    assert listed(analyst) == submitted[::-1]


def test_a_queued_analysis_is_cancelled_once_and_stays_so(analyst: Any, submit: Any, clients: Clients) -> None:
    analysis_id = submit()
    for _ in range(2):
        assert analyst.call("DELETE", f"/analyses/{analysis_id}").json() == {"analysis_id": analysis_id, "state": "cancelled"}
    assert isinstance(AttemptStore(clients.dynamodb, "jobs").claim(analysis_id, now=0, lease_seconds=60), Ended)
    answer = analyst.call("GET", f"/analyses/{analysis_id}/results")
    assert (answer.status_code, answer.json()["code"]) == (409, "no_results")


def test_an_administrator_cancels_but_does_not_share_what_is_anothers(admin: Any, submit: Any) -> None:
    analysis_id = submit()
    assert admin.call("PATCH", f"/analyses/{analysis_id}", json={"visibility": "shared"}).json()["code"] == "not_the_owner"
    assert admin.call("DELETE", f"/analyses/{analysis_id}").json()["state"] == "cancelled"


def test_what_has_ended_cannot_be_cancelled(analyst: Any, submit: Any, clients: Clients) -> None:
    analysis_id = submit()
    store = AttemptStore(clients.dynamodb, "jobs")
    claimed = store.claim(analysis_id, now=0, lease_seconds=60)
    assert isinstance(claimed, Claimed)
    assert store.fail(claimed.analysis, code="out_of_memory", detail="Too large.")
    answer = analyst.call("DELETE", f"/analyses/{analysis_id}")
    assert (answer.status_code, answer.json()["code"]) == (409, "already_ended")
    answer = analyst.call("GET", f"/analyses/{analysis_id}/results")
    assert (answer.status_code, answer.json()["code"]) == (409, "analysis_failed")


def test_a_queued_analysis_shows_how_many_are_started_before_it(
    analyst: Any, other_analyst: Any, upload: Any, submit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = (submit() for _ in range(3))
    [other] = [submit(other_analyst)]

    def position(person: Any, analysis_id: str) -> Any:
        return person.call("GET", f"/analyses/{analysis_id}").json().get("position")

    assert [position(analyst, analysis_id) for analysis_id in (first, second, third)] == [0, 2, 3]
    assert position(other_analyst, other) == 1
    analyst.call("DELETE", f"/analyses/{first}")
    assert position(analyst, first) is None
    assert position(other_analyst, other) == 0
    monkeypatch.setattr("heartmap_service.analyses.COUNTED", 1)
    assert position(analyst, third) is None


def test_who_may_see_an_upload_may_analyse_it_and_owns_the_analysis(analyst: Any, other_analyst: Any, upload: Any) -> None:
    upload_id = upload(b"x")
    assert other_analyst.call("POST", "/analyses", json={"upload_id": upload_id}).status_code == 404
    analyst.call("PATCH", f"/uploads/{upload_id}", json={"visibility": ["omar"]})
    answer = other_analyst.call("POST", "/analyses", json={"upload_id": upload_id})
    assert answer.status_code == 202
    path = f"/analyses/{answer.json()['analysis_id']}"
    assert other_analyst.call("GET", path).json()["owner"] == "omar"
    assert analyst.call("GET", path).status_code == 404


def test_a_change_is_made_to_what_the_caller_has_seen(analyst: Any, submit: Any) -> None:
    path = f"/analyses/{submit()}"
    seen = analyst.call("GET", path).headers["etag"]
    for tag in ('"other"', f"W/{seen}"):
        answer = analyst.call("PATCH", path, json={"visibility": "shared"}, headers={"If-Match": tag})
        assert (answer.status_code, answer.json()["code"]) == (412, "analysis_changed")
    answer = analyst.call("PATCH", path, json={"visibility": "shared"}, headers={"If-Match": seen})
    assert answer.status_code == 200
    assert answer.headers["etag"] == analyst.call("GET", path).headers["etag"]
    assert analyst.call("PATCH", path, json={"visibility": "private"}, headers={"If-Match": seen}).status_code == 412
    assert analyst.call("PATCH", path, json={"visibility": "private"}, headers={"If-Match": "*"}).status_code == 200
