"""The configuration and the jobs, as they are typed; and a service that is newer than this program."""

import json
from collections import deque
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from operator_cli.json_fields import DOCUMENTS
from operator_cli.main import app


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), catch_exceptions=False)


def document(result: Result) -> Any:
    return json.loads(result.stdout)


CONFIG = {"min_genes": 200, "max_cells_subset": 5000, "resolution": 0.5}


@pytest.fixture
def configured(service: Any, reply: Any) -> Any:
    current = {"version": 2, "config": CONFIG, "changed_by": "admin-1", "changed_at": "2026-11-24T10:00:00Z"}
    service.server.routes["GET", "/config"] = reply(200, current, {"ETag": '"2"'})
    after = {**current, "version": 3, "config": CONFIG | {"resolution": 0.8, "max_cells_subset": None}}
    service.server.routes["POST", "/config"] = reply(200, after)
    return service


# The configuration


def test_the_configuration_is_shown(configured: Any) -> None:
    lines = run("config", "show").stdout.splitlines()
    assert lines[0].split() == ["version", "2"]
    assert [line.split() for line in lines[-3:]] == [["min_genes", "200"], ["max_cells_subset", "5000"], ["resolution", "0.5"]]
    assert document(run("config", "show", "--json"))["config"] == CONFIG


def test_several_settings_change_at_once_and_what_was_and_is_is_shown(configured: Any) -> None:
    words = ("config", "set", "resolution=0.8", "max_cells_subset=null", "min_genes=200")
    result = run(*words)
    assert result.exit_code == 0
    assert result.stdout == "max_cells_subset\t5000\tnull\nresolution\t0.5\t0.8\n"
    assert "version 3" in result.stderr
    (sent,) = configured.server.requests("POST", "/config")
    # What has its value already is not sent; what was seen goes along.
    assert (sent.json, sent.headers["if-match"]) == ({"max_cells_subset": None, "resolution": 0.8}, '"2"')
    changes = document(run(*words, "--json"))["changes"]
    assert changes[1] == {"field": "resolution", "from": 0.5, "to": 0.8}


def test_a_change_that_somebody_else_made_meanwhile_is_not_overwritten(configured: Any, refuse: Any) -> None:
    configured.server.routes["POST", "/config"] = refuse(412, "config_changed", "The configuration is not what If-Match says.")
    result = run("config", "set", "resolution=0.8", "--json")
    assert (result.exit_code, document(result)["error"]["code"]) == (1, "config_changed")
    assert "heartmapctl config show" in document(result)["error"]["next_step"]


def test_a_change_that_rests_on_another_version_is_not_sent(configured: Any) -> None:
    result = run("config", "set", "resolution=0.8", "--if-version", "1", "--json")
    assert (result.exit_code, document(result)["error"]["code"]) == (1, "config_changed")
    assert not configured.server.requests("POST", "/config")
    assert run("config", "set", "resolution=0.8", "--if-version", "2").exit_code == 0


def test_what_is_so_already_is_not_sent(configured: Any) -> None:
    result = run("config", "set", "resolution=0.5")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "Nothing to change" in result.stderr
    assert document(run("config", "set", "resolution=0.5", "--json"))["changes"] == []
    assert not configured.server.requests("POST", "/config")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["resolutoin=0.8"], "It has: min_genes, max_cells_subset, resolution"),
        (["resolution"], "write it as NAME=VALUE, as in resolution=0.8"),
        (["resolution=1", "resolution=2"], "given twice"),
    ],
)
def test_a_setting_that_cannot_be_is_wrong_use(configured: Any, words: list[str], told: str) -> None:
    result = run("config", "set", *words)
    assert result.exit_code == 2
    assert told in result.stderr
    assert not configured.server.requests("POST", "/config")


def test_the_service_says_what_is_wrong_with_a_value(configured: Any, refuse: Any) -> None:
    refused = refuse(422, "invalid_request", "resolution must be at most 10.", "req-422")
    configured.server.routes["POST", "/config"] = refused
    result = run("config", "set", "resolution=banana")
    assert result.exit_code == 1
    assert "at most 10" in result.stderr
    assert "req-422" in result.stderr
    assert configured.server.requests("POST", "/config")[0].json == {"resolution": "banana"}


# Jobs


def analysis(service: Any, **values: Any) -> dict[str, Any]:
    return {**service.ended, "analysis_type": "basic", "owner": "subject", "created_at": "2026-11-24", **values}


def test_a_list_holds_what_was_asked_for_only(service: Any, reply: Any) -> None:
    pages = [
        {"analyses": [analysis(service), analysis(service, state="queued", owner="another")], "next_cursor": "more"},
        {"analyses": [analysis(service, state="queued"), analysis(service, state="running", analysis_type="multi_chamber")]},
    ]

    def listed(*words: str) -> list[tuple[str, str]]:
        service.server.routes["GET", "/analyses"] = deque(reply(200, page) for page in pages)
        found = document(run("jobs", "list", *words, "--json"))["analyses"]
        return [(each["state"], each["owner"]) for each in found]

    assert len(listed()) == 4
    assert listed("--state", "queued") == [("queued", "another"), ("queued", "subject")]
    assert listed("--state", "queued", "--state", "running", "--mine") == [("queued", "subject"), ("running", "subject")]
    assert listed("--type", "multi_chamber") == [("running", "subject")]
    assert listed("--state", "queued", "--limit", "1") == [("queued", "another")]
    assert run("jobs", "list", "--state", "lost").exit_code == 2


@pytest.mark.parametrize(("position", "told"), [(0, "it is the next"), (7, "7 to be started before it"), (None, "many are")])
def test_a_queued_analysis_says_why_it_waits(service: Any, analysis_id: str, reply: Any, position: int | None, told: str) -> None:
    queued = service.analysis | ({} if position is None else {"position": position})
    service.server.routes["GET", f"/analyses/{analysis_id}"] = reply(200, queued)
    assert told in run("jobs", "show", analysis_id).stdout
    service.server.routes["GET", f"/analyses/{analysis_id}"] = deque([reply(200, queued), reply(200, service.ended)])
    watched = run("jobs", "watch", analysis_id)
    assert watched.exit_code == 0
    assert f"queued: {told}" in watched.stderr
    assert watched.stdout.splitlines()[1].split() == ["state", "succeeded"]


def test_a_watched_analysis_that_fails_is_exit_1(service: Any, analysis_id: str, reply: Any) -> None:
    failed = analysis(service, state="failed", error={"code": "out_of_memory", "detail": "It needed more than 4 GB."})
    service.server.routes["GET", f"/analyses/{analysis_id}"] = reply(200, failed)
    result = run("jobs", "watch", analysis_id, "--json")
    assert (result.exit_code, document(result)["error"]["code"]) == (1, "out_of_memory")


def test_too_many_queued_analyses_lead_to_those_there_are(service: Any, upload_id: str, refuse: Any) -> None:
    service.server.routes["POST", "/analyses"] = refuse(429, "quota_queued_jobs", "20 of your analyses are queued or running.")
    result = run("analyze", upload_id, "--type", "basic")
    assert result.exit_code == 1
    assert "heartmapctl jobs list --mine --state queued" in result.stderr


# JSON fields


def test_fields_are_selected_and_say_json(service: Any, analysis_id: str) -> None:
    assert document(run("jobs", "list", "--fields", "analysis_id, state")) == {
        "analyses": [{"analysis_id": analysis_id, "state": "succeeded"}]
    }
    assert document(run("jobs", "show", analysis_id, "--fields", "state,position")) == {"state": "running", "position": None}
    assert document(run("whoami", "--fields", "groups")) == {"groups": ["analyst"]}


@pytest.mark.parametrize("given", ["sate", "state,sate", "", "state,"])
def test_a_wrong_field_lists_the_right_ones_and_calls_nothing(service: Any, given: str) -> None:
    result = run("jobs", "list", "--fields", given)
    assert result.exit_code == 2
    assert document(result)["error"]["next_step"] == DOCUMENTS["jobs list"].told
    for name in DOCUMENTS["jobs list"].fields:
        assert name in result.stderr
    assert not service.server.seen


def test_a_failure_is_told_in_full_whatever_fields_were_asked_for(service: Any, refuse: Any) -> None:
    service.server.routes["GET", "/analyses"] = refuse(403, "forbidden", "No.", "req-403")
    result = run("jobs", "list", "--fields", "state")
    assert (result.exit_code, document(result)["error"]["request_id"]) == (1, "req-403")


# A newer service


def test_fields_and_states_that_only_a_newer_service_knows_do_no_harm(service: Any, analysis_id: str, reply: Any) -> None:
    paused = analysis(service, state="paused", finished_at=None, colour="red", error={"code": "x", "hint": "y"})
    service.server.routes["GET", "/analyses"] = reply(200, {"analyses": [paused], "weather": "fine"})
    listed = run("jobs", "list")
    assert (listed.exit_code, listed.stdout.split("\t")[1]) == (0, "paused")
    assert document(run("jobs", "list", "--json"))["analyses"][0]["colour"] == "red"
    service.server.routes["GET", f"/analyses/{analysis_id}"] = reply(200, paused)
    assert ["state", "paused"] in [line.split() for line in run("jobs", "show", analysis_id).stdout.splitlines()]


def test_a_state_that_is_not_known_is_waited_through(service: Any, analysis_id: str, reply: Any) -> None:
    paused = analysis(service, state="paused", stage=None, finished_at=None)
    service.server.routes["GET", f"/analyses/{analysis_id}"] = deque([reply(200, paused), reply(200, service.ended)])
    result = run("jobs", "watch", analysis_id)
    assert result.exit_code == 0
    assert "paused" in result.stderr


def test_an_end_that_is_not_known_ends_the_watching(service: Any, analysis_id: str, reply: Any) -> None:
    expired = analysis(service, state="expired", finished_at="2026-11-24T10:00:00Z")
    service.server.routes["GET", f"/analyses/{analysis_id}"] = reply(200, expired)
    result = run("jobs", "watch", analysis_id, "--json")
    assert (result.exit_code, document(result)["state"]) == (1, "expired")
    assert "Update heartmapctl" in document(result)["error"]["next_step"]


def test_an_upload_in_a_state_that_is_not_known_is_waited_for(service: Any, upload_id: str, reply: Any) -> None:
    scanning = {"upload_id": upload_id, "state": "scanning"}
    accepted = {"upload_id": upload_id, "state": "accepted"}
    service.server.routes["GET", f"/uploads/{upload_id}"] = deque([reply(200, scanning), reply(200, accepted)])
    result = run("analyze", upload_id, "--type", "basic")
    assert result.exit_code == 0
    assert "scanning" in result.stderr
