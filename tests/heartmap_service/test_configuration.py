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


def test_a_version_says_who_changed_it_in_which_call(admin: Any, clients: Clients) -> None:
    admin.call("POST", "/config", json={"min_genes": 7})
    [item] = clients.dynamodb.scan(TableName="config")["Items"]
    assert item["changed_by"] == {"S": "ada"}
    assert item["request_id"] == {"S": "request-1"}


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
