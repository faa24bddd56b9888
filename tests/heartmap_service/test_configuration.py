import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from heartmap_service.clients import Clients
from heartmap_service.configuration import ConfigChange, ConfigStore
from heartmap_service.problems import Problem


def test_the_first_configuration_is_heartmaps_own(viewer: Any) -> None:
    assert viewer.call("GET", "/config").json() == {
        "version": 0,
        "config": {
            "min_genes": 200,
            "min_cells": 3,
            "max_cells_subset": None,
            "max_genes_subset": None,
            "target_sum": 10000.0,
            "random_seed": 42,
            "resolution": 0.5,
        },
        "changed_by": None,
        "changed_at": None,
    }


def test_a_change_makes_a_version_and_leaves_the_other_fields(admin: Any, viewer: Any) -> None:
    first = admin.call("POST", "/config", json={"min_genes": 100, "max_cells_subset": 5000})
    assert first.status_code == 200
    second = admin.call("POST", "/config", json={"resolution": 1, "max_cells_subset": None}).json()
    assert second["version"] == 2
    assert second["config"]["min_genes"] == 100
    assert second["config"]["resolution"] == 1
    assert second["config"]["max_cells_subset"] is None
    assert viewer.call("GET", "/config").json() == second
    assert second["changed_by"] == "ada"


@pytest.mark.parametrize(
    "change",
    [
        {"min_genes": "banana"},
        {"min_genes": "1"},
        {"min_genes": 1.5},
        {"min_genes": True},
        {"min_genes": -1},
        {"min_genes": None},
        {"max_cells_subset": 0},
        {"target_sum": 0},
        {"target_sum": 1e300},
        {"random_seed": 2**32},
        {"resolution": 1000},
        {"processed_data_dir": "/etc"},
        {"paths": {"processed_data_dir": "/etc"}},
        {"n_neighbors": 10},
        {},
    ],
    ids=str,
)
def test_a_field_of_another_name_type_or_range_is_refused_and_nothing_changes(admin: Any, change: dict[str, Any]) -> None:
    answer = admin.call("POST", "/config", json=change)
    assert answer.status_code == 422
    assert admin.call("GET", "/config").json()["version"] == 0


def test_not_a_number_is_refused(admin: Any) -> None:
    answer = admin.call("POST", "/config", content=b'{"resolution": NaN}', headers={"Content-Type": "application/json"})
    assert answer.status_code == 422


def test_of_two_changes_at_once_one_is_refused(aws: dict[str, Any], clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ConfigStore(clients.dynamodb, "config")
    before = store.current()
    store.change(ConfigChange(min_genes=1), principal="ada", request_id="1")
    monkeypatch.setattr(store, "current", lambda: before)
    with pytest.raises(Problem) as refused:
        store.change(ConfigChange(min_genes=2), principal="eve", request_id="2")
    assert refused.value.code == "config_conflict"
    monkeypatch.undo()
    assert store.current().config.min_genes == 1


@pytest.mark.parametrize("if_match", [{}, {"If-Match": '"1"'}], ids=["unconditional", "conditional"])
def test_of_changes_at_the_same_moment_exactly_one_wins(
    admin: Any, monkeypatch: pytest.MonkeyPatch, if_match: dict[str, str]
) -> None:
    admin.call("POST", "/config", json={"min_genes": 1})
    lock, together = threading.Lock(), threading.Barrier(4, timeout=20)
    read, add = ConfigStore.current, ConfigStore._add

    def current(self: ConfigStore) -> Any:
        found = read(self)
        together.wait()
        return found

    def atomically(self: ConfigStore, item: dict[str, Any]) -> None:
        # As DynamoDB writes a row; the emulated one compares and writes in two steps.
        with lock:
            add(self, item)

    monkeypatch.setattr(ConfigStore, "current", current)
    monkeypatch.setattr(ConfigStore, "_add", atomically)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda n: admin.call("POST", "/config", json={"min_genes": n}, headers=if_match), range(10, 14)))
    monkeypatch.undo()
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    [won] = [answer.json() for answer in answers if answer.status_code == 200]
    assert admin.call("GET", "/config").json() == won
    assert won["version"] == 2


def test_a_change_that_names_its_version_fails_when_another_came_before_it(admin: Any, viewer: Any) -> None:
    read = viewer.call("GET", "/config")
    assert read.headers["etag"] == '"0"'
    admin.call("POST", "/config", json={"min_genes": 5})
    stale = admin.call("POST", "/config", json={"min_genes": 6}, headers={"If-Match": read.headers["etag"]})
    assert (stale.status_code, stale.json()["code"]) == (412, "config_changed")
    assert viewer.call("GET", "/config").json()["config"]["min_genes"] == 5
    current = viewer.call("GET", "/config").headers["etag"]
    changed = admin.call("POST", "/config", json={"min_genes": 6}, headers={"If-Match": f'"0", {current}'})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')


@pytest.mark.parametrize("text", ['W/"0"', "0", '""', "garbage", '"00"', '"1"'])
def test_what_is_not_the_tag_of_the_current_version_matches_nothing(admin: Any, text: str) -> None:
    answer = admin.call("POST", "/config", json={"min_genes": 6}, headers={"If-Match": text})
    assert (answer.status_code, answer.json()["code"]) == (412, "config_changed")
    assert admin.call("POST", "/config", json={"min_genes": 6}, headers={"If-Match": "*"}).status_code == 200


def test_a_version_and_the_record_of_who_changed_what_are_one_row(admin: Any, clients: Clients) -> None:
    admin.call("POST", "/config", json={"min_genes": 7, "max_cells_subset": 50})
    item: Any = clients.dynamodb.scan(TableName="config")["Items"][0]
    assert item["changed_by"] == {"S": "ada"}
    assert item["request_id"] == {"S": "request-1"}
    assert json.loads(item["changes"]["S"]) == [
        {"field": "max_cells_subset", "from": None, "to": 50},
        {"field": "min_genes", "from": 200, "to": 7},
    ]


def test_the_versions_tell_who_when_from_what_to_what_and_in_which_call(admin: Any, viewer: Any) -> None:
    assert viewer.call("GET", "/config/versions").json() == {"versions": []}
    first = admin.call("POST", "/config", json={"min_genes": 7}).json()
    admin.call("POST", "/config", json={"min_genes": 8, "resolution": 2})
    [newest, oldest] = viewer.call("GET", "/config/versions").json()["versions"]
    assert oldest == {
        "version": 1,
        "changed_by": "ada",
        "changed_at": first["changed_at"],
        "request_id": "request-1",
        "changes": [{"field": "min_genes", "from": 200, "to": 7}],
        "restored_from": None,
    }
    assert newest["version"] == 2
    assert newest["changes"] == [{"field": "min_genes", "from": 7, "to": 8}, {"field": "resolution", "from": 0.5, "to": 2}]


def test_the_versions_come_in_pages(admin: Any, viewer: Any) -> None:
    for number in range(1, 6):
        admin.call("POST", "/config", json={"min_genes": number})
    seen: list[int] = []
    cursor, page = "", {}
    for _ in range(3):
        page = viewer.call("GET", f"/config/versions?limit=2{cursor}").json()
        seen += [version["version"] for version in page["versions"]]
        cursor = f"&cursor={page.get('next_cursor')}"
    assert seen == [5, 4, 3, 2, 1]
    assert "next_cursor" not in page
    assert [
        change["from"]
        for version in viewer.call("GET", "/config/versions?limit=2").json()["versions"]
        for change in version["changes"]
    ] == [4, 3]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "cursor=x", "cursor=WyJhbmFseXNlcyIsIjEiXQ"])
def test_a_page_that_there_cannot_be_is_refused(viewer: Any, query: str) -> None:
    assert viewer.call("GET", f"/config/versions?{query}").status_code == 422


def test_rows_from_before_changes_were_recorded_are_read_and_compared(
    admin: Any, viewer: Any, aws: dict[str, Any], clients: Clients
) -> None:
    values = viewer.call("GET", "/config").json()["config"]
    for version, min_genes in ((1, 10), (2, 20)):
        config = json.dumps({**values, "min_genes": min_genes})
        texts = {"config": config, "changed_by": "olga", "changed_at": "2026-01-01T00:00:00.000+00:00", "request_id": "old"}
        clients.dynamodb.put_item(
            TableName="config",
            Item={
                "name": {"S": "pipelines"},
                "version": {"N": str(version)},
                **{name: {"S": text} for name, text in texts.items()},
            },
        )
    assert viewer.call("GET", "/config").json()["config"]["min_genes"] == 20
    admin.call("POST", "/config", json={"min_genes": 30})
    listed = viewer.call("GET", "/config/versions").json()["versions"]
    assert [version["changes"] for version in listed] == [
        [{"field": "min_genes", "from": 20, "to": 30}],
        [{"field": "min_genes", "from": 10, "to": 20}],
        [{"field": "min_genes", "from": 200, "to": 10}],
    ]
    # The last of a page is compared with the row that the page does not show.
    assert viewer.call("GET", "/config/versions?limit=2").json()["versions"][1]["changes"][0]["from"] == 10
    assert admin.call("POST", "/config", json={"restore_version": 1}).json()["config"]["min_genes"] == 10


def test_any_version_can_be_brought_back_as_a_new_one(admin: Any, viewer: Any) -> None:
    for values in ({"min_genes": 1, "resolution": 2}, {"min_genes": 2}, {"max_cells_subset": 100}):
        admin.call("POST", "/config", json=values)
    restored = admin.call("POST", "/config", json={"restore_version": 1}, headers={"If-Match": '"3"'})
    assert restored.status_code == 200
    assert restored.json()["version"] == 4
    assert restored.json()["config"]["min_genes"] == 1
    assert restored.json()["config"]["max_cells_subset"] is None
    newest = viewer.call("GET", "/config/versions?limit=1").json()["versions"][0]
    assert (newest["restored_from"], newest["changed_by"]) == (1, "ada")
    assert newest["changes"] == [
        {"field": "max_cells_subset", "from": 100, "to": None},
        {"field": "min_genes", "from": 2, "to": 1},
    ]
    assert admin.call("POST", "/config", json={"restore_version": 0}).json()["config"]["resolution"] == 0.5


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"restore_version": 9}, "no_such_version"),
        ({"restore_version": 1, "min_genes": 3}, "restore_alone"),
        ({"restore_version": -1}, "invalid_request"),
        ({"restore_version": "1"}, "invalid_request"),
        ({"restore_version": None}, "invalid_request"),
        ({"restore_version": 10**30}, "invalid_request"),
    ],
    ids=str,
)
def test_what_cannot_be_brought_back_is_refused_and_nothing_changes(admin: Any, body: dict[str, Any], code: str) -> None:
    admin.call("POST", "/config", json={"min_genes": 1})
    answer = admin.call("POST", "/config", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert admin.call("GET", "/config").json()["version"] == 1


def test_a_version_whose_values_are_not_taken_any_more_is_not_brought_back(admin: Any, clients: Clients) -> None:
    admin.call("POST", "/config", json={"min_genes": 1})
    clients.dynamodb.update_item(
        TableName="config",
        Key={"name": {"S": "pipelines"}, "version": {"N": "1"}},
        UpdateExpression="SET config = :config",
        ExpressionAttributeValues={":config": {"S": '{"n_neighbors": 3}'}},
    )
    key: Any = {"name": {"S": "pipelines"}, "version": {"N": "1"}}
    answered: Any = clients.dynamodb.get_item(TableName="config", Key=key)
    row = answered["Item"]
    clients.dynamodb.put_item(
        TableName="config",
        Item={
            **row,
            "version": {"N": "2"},
            "config": {"S": "{}"},
        },
    )
    answer = admin.call("POST", "/config", json={"restore_version": 1})
    assert (answer.status_code, answer.json()["code"]) == (422, "version_not_usable")


@pytest.mark.parametrize("who", ["viewer", "analyst"])
def test_only_an_administrator_brings_a_version_back(request: pytest.FixtureRequest, who: str) -> None:
    answer = request.getfixturevalue(who).call("POST", "/config", json={"restore_version": 0})
    assert (answer.status_code, answer.json().get("code")) == (403, "forbidden")


def test_an_analysis_keeps_the_version_it_started_under(
    admin: Any, analyst: Any, upload: Any, small: Any, clients: Clients
) -> None:
    admin.call("POST", "/config", json={"min_genes": 11})
    submitted = analyst.call("POST", "/analyses", json={"upload_id": upload(small.read_bytes()), "options": {"resolution": 2.0}})
    admin.call("POST", "/config", json={"min_genes": 12})
    analysis_id = submitted.json()["analysis_id"]
    assert analyst.call("GET", f"/analyses/{analysis_id}").json()["config_version"] == 1
    answer: Any = clients.dynamodb.get_item(TableName="jobs", Key={"pk": {"S": f"analysis#{analysis_id}"}})
    item = answer["Item"]
    assert '"min_genes": 11' in item["config"]["S"]
    assert '"resolution": 2.0' in item["config"]["S"]
