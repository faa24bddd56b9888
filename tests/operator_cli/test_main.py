"""The command line as it is typed: exit codes, the two streams, and the main job."""

import json
import os
import re
import ssl
import subprocess
import sys
import time
import webbrowser
from collections import deque
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from operator_cli.__main__ import HELP
from operator_cli.credentials import KEY_FILE_VARIABLE, KEY_VARIABLE, SIGNING_KEY_FILE_VARIABLE
from operator_cli.environments import LOCAL_STATE_VARIABLE
from operator_cli.main import app
from operator_cli.session import Session
from operator_cli.verbs.topics import TOPICS

PROJECT = Path(__file__).parents[2]


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), catch_exceptions=False)


def document(result: Result) -> Any:
    """Standard output, which must be one JSON document and nothing else."""
    return json.loads(result.stdout)


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    file = tmp_path / "cells.h5ad"
    file.write_bytes(b"\x89HDF\r\n\x1a\n" + b"cells" * 50_000)
    return file


# The main job


def test_a_file_is_uploaded_checked_analysed_and_its_results_fetched(
    service: Any, data_set: Path, tmp_path: Path, form_of: Any
) -> None:
    out = tmp_path / "made" / "out"
    result = run(
        "analyze", str(data_set), "--type", "basic", "--option", "resolution=0.8", "--wait", "--output", str(out), "--json"
    )
    assert result.exit_code == 0, result.output
    assert {file.name: file.read_bytes() for file in out.iterdir()} == service.contents
    told = document(result)
    assert told["state"] == "succeeded"
    assert told["summary"] == {"cells": 559}
    (sent,) = service.bucket.requests("POST", "/uploads")
    assert form_of(sent)["file"] == data_set.read_bytes()
    (announced,) = service.server.requests("POST", "/uploads")
    assert announced.json == {"name": "cells.h5ad", "bytes": data_set.stat().st_size}
    (started,) = service.server.requests("POST", "/analyses")
    assert started.json["analysis_type"] == "basic"
    assert started.json["options"] == {"resolution": 0.8}


def test_an_upload_that_is_there_is_not_sent_again(service: Any, upload_id: str) -> None:
    assert run("analyze", upload_id, "--type", "basic").exit_code == 0
    assert not service.server.requests("POST", "/uploads")
    assert not service.bucket.seen


def test_no_credential_goes_to_the_storage(service: Any, data_set: Path, tmp_path: Path) -> None:
    run("analyze", str(data_set), "--type", "basic", "--wait", "--output", str(tmp_path / "out"))
    assert service.bucket.seen
    assert all("authorization" not in request.headers for request in service.bucket.seen)


def test_a_failed_analysis_is_exit_1_with_its_code_and_state(service: Any, upload_id: str, analysis_id: str, reply: Any) -> None:
    failed = {**service.analysis, "state": "failed", "error": {"code": "out_of_memory", "detail": "It needed more than 4 GB."}}
    service.server.routes["GET", f"/analyses/{analysis_id}"] = reply(200, failed)
    result = run("analyze", upload_id, "--type", "basic", "--wait", "--json")
    assert result.exit_code == 1
    assert document(result)["state"] == "failed"
    assert document(result)["error"]["code"] == "out_of_memory"
    assert "It needed more than 4 GB." in result.stderr


def test_a_rejected_data_set_is_exit_1_and_starts_nothing(service: Any, data_set: Path, upload_id: str, reply: Any) -> None:
    rejected = {"upload_id": upload_id, "state": "rejected", "code": "not_hdf5", "detail": "This is not HDF5."}
    service.server.routes["GET", f"/uploads/{upload_id}"] = reply(200, rejected)
    result = run("analyze", str(data_set), "--type", "basic")
    assert result.exit_code == 1
    assert "not_hdf5" in result.stderr
    assert not service.server.requests("POST", "/analyses")


def test_ctrl_c_while_waiting_leaves_the_analysis_running_and_says_how_to_go_on(
    service: Any, upload_id: str, analysis_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(seconds: float) -> None:
        if service.server.requests("GET", f"/analyses/{analysis_id}"):
            raise KeyboardInterrupt

    monkeypatch.setattr("operator_cli.polling.time.sleep", interrupt)
    result = run("analyze", upload_id, "--type", "basic", "--wait", "--json")
    assert result.exit_code == 130
    assert document(result)["analysis_id"] == analysis_id
    next_step = document(result)["error"]["next_step"]
    for words in (f"jobs watch {analysis_id}", f"results {analysis_id} --output DIR", f"jobs cancel {analysis_id}"):
        assert f"heartmapctl {words}" in next_step
    assert not service.server.requests("DELETE", f"/analyses/{analysis_id}")


def test_an_upload_can_be_waited_for(service: Any, data_set: Path, upload_id: str) -> None:
    assert document(run("upload", str(data_set), "--json")) == {"upload_id": upload_id, "state": "pending"}
    assert document(run("upload", str(data_set), "--wait", "--json")) == {"upload_id": upload_id, "state": "accepted"}


def test_an_object_of_a_bucket_is_taken_in_place_of_a_file(service: Any, upload_id: str, reply: Any) -> None:
    service.server.routes["POST", "/uploads"] = reply(201, {"upload_id": upload_id, "state": "pending"})
    result = run("upload", "--source", "s3://atlas/heart/cells.h5ad", "--visibility", "one,two", "--wait", "--json")
    assert document(result) == {"upload_id": upload_id, "state": "accepted"}
    (begun,) = service.server.requests("POST", "/uploads")
    assert begun.json == {"source": "s3://atlas/heart/cells.h5ad", "name": "cells.h5ad", "visibility": ["one", "two"]}
    assert not service.bucket.seen


def test_every_upload_and_analysis_is_begun_under_a_key_of_its_own(service: Any, data_set: Path, upload_id: str) -> None:
    for _ in range(2):
        assert run("analyze", str(data_set), "--type", "basic", "--visibility", "shared").exit_code == 0
    begun = service.server.requests("POST", "/uploads") + service.server.requests("POST", "/analyses")
    assert len({request.headers["idempotency-key"] for request in begun}) == len(begun) == 4
    assert begun[-1].json["visibility"] == "shared"


def test_the_estimate_is_told_before_and_after(service: Any, upload_id: str, analysis_id: str, reply: Any) -> None:
    estimate = {"memory_bytes": 3_000_000_000, "seconds": 95, "usd": 0.021}
    accepted = {"upload_id": upload_id, "state": "accepted", "estimates": {"basic": estimate}}
    service.server.routes["GET", f"/uploads/{upload_id}"] = reply(200, accepted)
    result = run("analyze", upload_id, "--type", "basic")
    assert "It will take about 3.0 GB of memory, 1 min 35 s, $0.02." in result.stderr
    # With options it may be another one, which the answer says.
    larger = estimate | {"seconds": 40}
    service.server.routes["POST", "/analyses"] = reply(202, {"analysis_id": analysis_id, "state": "queued", "estimate": larger})
    result = run("analyze", upload_id, "--type", "basic", "--option", "resolution=2")
    assert "It will take about 3.0 GB of memory, 40 s, $0.02." in result.stderr
    assert "3.0 GB of memory, 40 s, $0.02" in result.stdout


def test_uploads_are_listed_page_by_page_and_shared(service: Any, upload_id: str, analysis_id: str, reply: Any) -> None:
    one = {"upload_id": upload_id, "state": "accepted", "name": "cells.h5ad", "visibility": "private", "created_at": "2026-11-24"}
    other = one | {"upload_id": analysis_id, "visibility": ["a", "b"]}
    service.server.routes["GET", "/uploads"] = deque(
        [
            reply(200, {"uploads": [one], "next_cursor": "x=y"}),
            reply(200, {"uploads": [], "next_cursor": "z"}),
            reply(200, {"uploads": [other]}),
        ]
    )
    listed = run("uploads", "list").stdout.splitlines()
    assert listed == [
        f"{upload_id}\taccepted\tcells.h5ad\tprivate\t2026-11-24",
        f"{analysis_id}\taccepted\tcells.h5ad\ta, b\t2026-11-24",
    ]
    asked = [request.path.partition("?")[2] for request in service.server.requests("GET", "/uploads")]
    assert asked == ["limit=100", "limit=99&cursor=x%3Dy", "limit=99&cursor=z"]
    service.server.routes["PATCH", f"/uploads/{upload_id}"] = reply(200, one | {"visibility": "shared"})
    assert document(run("uploads", "share", upload_id, "shared", "--json"))["visibility"] == "shared"
    (changed,) = service.server.requests("PATCH", f"/uploads/{upload_id}")
    assert changed.json == {"visibility": "shared"}


def test_an_analysis_is_shared_with_those_who_are_named(service: Any, analysis_id: str, reply: Any) -> None:
    seen_by = ["5f0d3c1e-0c4c-4b5e-9a6e-2f4ad9f3c001", "someone"]
    shared = {"analysis_id": analysis_id, "state": "succeeded", "visibility": seen_by}
    service.server.routes["PATCH", f"/analyses/{analysis_id}"] = reply(200, shared)
    told = run("jobs", "share", analysis_id, ", ".join(seen_by))
    assert f"visible to  {', '.join(seen_by)}" in told.stdout
    (changed,) = service.server.requests("PATCH", f"/analyses/{analysis_id}")
    assert changed.json == {"visibility": seen_by}


def test_no_more_is_listed_than_was_asked_for(service: Any, upload_id: str, reply: Any) -> None:
    page = {"uploads": [{"upload_id": upload_id, "state": "accepted"}] * 3, "next_cursor": "more"}
    service.server.routes["GET", "/uploads"] = reply(200, page)
    assert len(document(run("uploads", "list", "--limit", "4", "--json"))["uploads"]) == 4
    assert len(service.server.requests("GET", "/uploads")) == 2


def test_the_configuration_has_a_history_and_comes_back(service: Any, reply: Any, refuse: Any) -> None:
    version = {
        "version": 2,
        "changed_by": "admin-1",
        "changed_at": "2026-11-24T10:00:00Z",
        "changes": [{"field": "resolution", "from": 0.5, "to": 0.8}],
        "restored_from": 0,
    }
    service.server.routes["GET", "/config/versions"] = reply(200, {"versions": [version]})
    told = "2\t2026-11-24T10:00:00Z\tadmin-1\tresolution: 0.5 -> 0.8 (version 0 again)\n"
    assert run("config", "history").stdout == told
    assert document(run("config", "history", "--json")) == {"versions": [version]}
    service.server.routes["GET", "/config"] = reply(200, {"version": 2}, {"ETag": '"2"'})
    service.server.routes["POST", "/config"] = reply(200, {"version": 3, "config": {}})
    assert run("config", "restore", "1").stdout == "Version 3 has the values of version 1.\n"
    (restored,) = service.server.requests("POST", "/config")
    assert (restored.json, restored.headers["if-match"]) == ({"restore_version": 1}, '"2"')
    service.server.routes["POST", "/config"] = refuse(412, "config_changed", "It was changed meanwhile.")
    refused = run("config", "restore", "1", "--json")
    assert (refused.exit_code, document(refused)["error"]["code"]) == (1, "config_changed")


def test_jobs_are_listed_shown_and_cancelled(service: Any, analysis_id: str) -> None:
    assert run("jobs", "list").stdout == f"{analysis_id}\tsucceeded\tbasic\tdone\t2026-11-24\n"
    assert document(run("jobs", "show", analysis_id, "--json"))["state"] == "running"
    assert document(run("jobs", "cancel", analysis_id, "--json"))["state"] == "cancelled"


def test_results_are_fetched_later(service: Any, analysis_id: str, tmp_path: Path) -> None:
    result = run("results", analysis_id, "--output", str(tmp_path / "out"))
    assert result.exit_code == 0
    assert (tmp_path / "out" / "annotated.h5ad").read_bytes() == service.contents["annotated.h5ad"]


def test_a_result_named_to_escape_the_directory_writes_nothing(
    service: Any, analysis_id: str, tmp_path: Path, reply: Any
) -> None:
    # Whole and as announced, both of them: the name alone is what is wrong.
    good, other = service.results()["files"][:2]
    evil = [good, {**other, "name": "../escaped"}]
    service.server.routes["GET", f"/analyses/{analysis_id}/results"] = reply(200, {"files": evil})
    result = run("results", analysis_id, "--output", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert list((tmp_path / "out").iterdir()) == []
    assert not (tmp_path / "escaped").exists()


# Signing in and out


def test_login_as_needs_no_typing_and_whoami_tells_who(state: Path) -> None:
    assert run("login", "--as", "analyst").exit_code == 0
    me = document(run("whoami", "--json"))
    assert (me["username"], me["groups"], me["environment"], me["stored_in"]) == ("analyst-1", ["analyst"], "local", "file")


def test_login_with_a_browser_prints_the_address_first(
    state: Path, callback_ports: tuple[int, ...], certificates: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    opened: list[str] = []

    def browse(address: str) -> bool:
        opened.append(address)
        with httpx.Client(verify=ssl.create_default_context(cafile=certificates[0]), follow_redirects=True) as browser:
            page = browser.get(address)
            mark = page.url.params["mark"]
            form = {"_csrf": mark, "username": "analyst-1", "password": "correct horse"}
            done = browser.post(page.url, data=form)
            assert done.url.port == callback_ports[0]
            assert done.status_code == 200
        return True

    monkeypatch.setenv("BROWSER", "one-of-this-test")
    monkeypatch.setattr(webbrowser, "open", browse)
    result = run("login", "--json")
    assert result.exit_code == 0, result.output
    assert document(result)["username"] == "analyst-1"
    assert opened[0] in result.stderr
    assert run("token").exit_code == 0


def test_no_browser_opens_none_and_gives_up_in_time(
    state: Path, callback_ports: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda address: pytest.fail("a browser was opened"))
    result = run("login", "--no-browser", "--timeout", "1")
    assert result.exit_code == 1
    assert "ssh -L" in result.stderr


def test_login_as_is_refused_outside_local(tmp_path: Path, state: Path) -> None:
    file = tmp_path / "config" / "heartmapctl" / "environments" / "dev.json"
    file.parent.mkdir(parents=True)
    file.write_text((state / "environment.json").read_text())
    result = run("login", "--as", "admin", "--environment", "dev")
    assert result.exit_code == 2
    assert "heartmapctl login --environment dev" in result.stderr


def test_logout_revokes_at_the_pool_and_forgets_here(signed_in: Any, pool: Any, state: Path) -> None:
    assert pool.refresh_tokens == {"refresh-1"}
    assert document(run("logout", "--json")) == {"environment": "local", "signed_out": True}
    assert pool.refresh_tokens == set()
    assert run("whoami").exit_code == 3
    assert not list((state / "heartmapctl").glob("*.json"))


def test_logout_forgets_here_even_when_the_pool_cannot_be_told(signed_in: Any, pool: Any, reply: Any) -> None:
    pool.server.routes["POST", "/oauth2/revoke"] = reply(400, {"error": "invalid_request"})
    result = run("logout")
    assert result.exit_code == 1
    assert "not revoked" in result.stderr
    assert run("token").exit_code == 3


def test_logout_without_a_session_is_no_failure(state: Path) -> None:
    assert document(run("logout", "--json"))["signed_out"] is False


def test_token_prints_the_token_and_nothing_else(signed_in: Any) -> None:
    assert run("token").stdout == signed_in.access_token + "\n"


def test_nothing_but_token_prints_a_token(service: Any, signed_in: Any, data_set: Path, tmp_path: Path, analysis_id: str) -> None:
    out = str(tmp_path / "out")
    for words in (
        ["whoami"],
        ["analyze", str(data_set), "--type", "basic", "--wait", "--output", out],
        ["jobs", "list"],
        ["logout"],
    ):
        for flag in ([], ["--json"]):
            printed = run(*words, *flag).output
            assert signed_in.access_token not in printed
            assert "refresh-1" not in printed


# Exit codes


@pytest.mark.parametrize(
    "words",
    [
        ["whoami"],
        ["token"],
        ["upload", "FILE"],
        ["analyze", "FILE", "--type", "basic"],
        ["upload", "--source", "s3://atlas/cells.h5ad"],
        ["uploads", "list"],
        ["uploads", "share", "01J8ZQ4Y7M3W5X9K2B6C1D0EFG", "shared"],
        ["config", "history"],
        ["config", "restore", "1"],
        ["jobs", "list"],
        ["jobs", "show", "01J8ZQ4Y7M3W5X9K2B6C1D0EFH"],
        ["jobs", "cancel", "01J8ZQ4Y7M3W5X9K2B6C1D0EFH"],
        ["results", "01J8ZQ4Y7M3W5X9K2B6C1D0EFH", "--output", "OUT"],
        ["api", "GET", "/models"],
        ["keys", "list"],
    ],
    ids=" ".join,
)
def test_without_a_session_every_verb_is_exit_3_and_names_the_repair(
    state: Path, server: Any, words: list[str], data_set: Path, tmp_path: Path
) -> None:
    words = [{"FILE": str(data_set), "OUT": str(tmp_path / "out")}.get(word, word) for word in words]
    result = run(*words, "--json")
    assert result.exit_code == 3
    assert document(result)["error"]["next_step"] == "Sign in: heartmapctl login"
    assert "heartmapctl login" in result.stderr
    assert not server.seen


def test_a_session_that_the_service_refuses_is_exit_3(service: Any, refuse: Any) -> None:
    service.server.routes["GET", "/analyses"] = refuse(401, "unauthenticated", "No.", "req-401")
    result = run("jobs", "list", "--json")
    assert result.exit_code == 3
    assert document(result)["error"]["request_id"] == "req-401"


def test_a_session_that_the_pool_no_longer_renews_is_exit_3(signed_in: Any, pool: Any, environment: Any) -> None:
    Session(environment).start(signed_in.model_copy(update={"expires_at": time.time() - 1}))
    pool.refuse_refresh = True
    assert run("token").exit_code == 3


def test_a_refusal_is_exit_1_with_its_code_request_id_and_the_next_step(service: Any, data_set: Path, refuse: Any) -> None:
    service.server.routes["POST", "/uploads"] = refuse(403, "forbidden", "A viewer may not upload.", "req-403")
    result = run("upload", str(data_set), "--json")
    assert result.exit_code == 1
    error = document(result)["error"]
    assert (error["code"], error["request_id"]) == ("forbidden", "req-403")
    for part in ("A viewer may not upload.", "forbidden", "req-403", "heartmapctl whoami"):
        assert part in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nonsense"],
        ["upload"],
        ["upload", "no-such-file.h5ad"],
        ["upload", "no-such-file.h5ad", "--source", "s3://atlas/cells.h5ad"],
        ["upload", "--source", "s3://atlas/cells.h5ad", "--visibility", "a,,b"],
        ["uploads", "share", "../config", "shared"],
        ["config", "restore", "-1"],
        ["analyze", "no-such-file.h5ad", "--type", "basic"],
        ["analyze", "01J8ZQ4Y7M3W5X9K2B6C1D0EFG"],
        ["analyze", "01J8ZQ4Y7M3W5X9K2B6C1D0EFG", "--type", "astrology"],
        ["analyze", "01J8ZQ4Y7M3W5X9K2B6C1D0EFG", "--type", "basic", "--option", "resolution"],
        ["analyze", "01J8ZQ4Y7M3W5X9K2B6C1D0EFG", "--type", "basic", "--option", "a=1", "--option", "a=2"],
        ["analyze", "01J8ZQ4Y7M3W5X9K2B6C1D0EFG", "--type", "basic", "--output", "out"],
        ["jobs"],
        ["jobs", "show", "../../config"],
        ["results", "01J8ZQ4Y7M3W5X9K2B6C1D0EFH"],
        ["results", "01J8ZQ4Y7M3W5X9K2B6C1D0EFH", "--output", "/proc/nowhere/out"],
        ["api", "GET", "models"],
        ["api", "GET", "//elsewhere.example/models"],
        ["api", "GET", "https://elsewhere.example/models"],
        ["api", "G3T", "/models"],
        ["api", "POST", "/config", "--data", "{"],
        ["api", "POST", "/config", "--data", "@no-such-file.json"],
        ["whoami", "--environment", "moon"],
        ["login", "--as", "root"],
        ["login", "--timeout", "0"],
    ],
    ids=lambda words: " ".join(words) or "nothing",
)
def test_wrong_use_is_exit_2_and_calls_nothing(service: Any, words: list[str]) -> None:
    seen = len(service.server.seen)
    result = run(*words, "--json")
    assert result.exit_code == 2, result.output
    assert document(result)["error"]["message"]
    assert len(service.server.seen) == seen


def test_the_environment_variable_is_checked_like_the_option(monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    monkeypatch.setenv("HEARTMAP_ENVIRONMENT", "moon")
    assert run("whoami").exit_code == 2


def test_api_prints_the_answer_and_its_exit_code_tells_an_error(service: Any, refuse: Any, reply: Any) -> None:
    assert document(run("api", "get", "/models")) == {"models": ["basic"]}
    service.server.routes["POST", "/config"] = refuse(422, "invalid_request", "min_genes must be a whole number.", "req-422")
    result = run("api", "POST", "/config", "--data", '{"min_genes": "banana"}')
    assert result.exit_code == 1
    assert document(result)["code"] == "invalid_request"
    assert "req-422" in result.stderr
    assert service.server.requests("POST", "/config")[0].json == {"min_genes": "banana"}
    result = run("api", "POST", "/config", "--data", "{}", "--json")
    assert result.exit_code == 1
    assert document(result)["body"]["code"] == "invalid_request"
    service.server.routes["GET", "/odd"] = reply(200, b"<b>\x1b[31mred")
    assert document(run("api", "GET", "/odd", "--json")) == "<b>\x1b[31mred"
    assert "\x1b" not in run("api", "GET", "/odd").stdout


def test_api_takes_its_body_from_a_file(service: Any, reply: Any, tmp_path: Path) -> None:
    service.server.routes["POST", "/config"] = reply(200, {})
    (tmp_path / "config.json").write_text('{"min_genes": 5}')
    assert run("api", "POST", "/config", "--data", f"@{tmp_path / 'config.json'}").exit_code == 0
    assert service.server.requests("POST", "/config")[0].json == {"min_genes": 5}


def test_no_environment_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTMAP_LOCAL_STATE", str(tmp_path))
    result = run("whoami")
    assert result.exit_code == 1
    assert "make local" in result.stderr
    result = run("whoami", "--environment", "prod")
    assert result.exit_code == 1
    assert "pulumi stack output --json --stack prod >" in result.stderr


def test_ctrl_c_anywhere_is_exit_130(signed_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("operator_cli.api.Api.send", interrupt)
    result = run("api", "GET", "/models", "--json")
    assert result.exit_code == 130
    assert document(result)["error"]["message"] == "Interrupted."


def test_a_fault_of_this_machine_is_told_without_a_traceback(signed_in: Any, state: Path) -> None:
    (file,) = (state / "heartmapctl").glob("*.json")
    file.unlink()
    file.mkdir()
    result = run("whoami")
    assert result.exit_code == 1
    assert "Is a directory" in result.stderr


# The two streams


@pytest.mark.parametrize(
    "words", [["--json", "jobs", "list"], ["jobs", "list", "--json"], ["jobs", "list", "--json", "--environment", "local"]]
)
def test_global_options_are_taken_before_and_after_the_verb(service: Any, words: list[str]) -> None:
    assert document(run(*words))["analyses"]


def test_an_environment_after_the_verb_wins_over_one_before_and_over_the_variable(
    signed_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEARTMAP_ENVIRONMENT", "prod")
    assert run("whoami").exit_code == 1
    assert run("--environment", "local", "whoami").exit_code == 0
    assert run("--environment", "dev", "whoami", "--environment", "local").exit_code == 0


def test_in_a_pipe_there_is_no_colour_and_no_bar(
    service: Any, data_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = run("analyze", str(data_set), "--type", "basic", "--wait", "--output", str(tmp_path / "out"))
    assert "\x1b" not in result.output
    assert "running: clustering" in result.stderr


def test_what_the_server_says_cannot_steer_the_terminal(service: Any, refuse: Any, analysis_id: str) -> None:
    service.server.routes["GET", "/analyses"] = refuse(403, "x\x1b[2J", "\x1b]0;title\x07hello\u202e", "r\x1b")
    result = run("jobs", "list")
    assert "hello" in result.stderr
    for character in "\x1b\x07\u202e":
        assert character not in result.output


@pytest.mark.parametrize("words", [["--help"], ["jobs", "list", "--help"]], ids=" ".join)
def test_help_loads_nothing_that_it_does_not_need(words: list[str]) -> None:
    """Of the verbs' modules, too, whoever adds one."""
    program = (
        f"import sys\nfrom operator_cli.main import main\nsys.argv = ['heartmapctl', *{words}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 0, end.code\n"
        "heavy = {'httpx', 'rich', 'keyring', 'tenacity', 'http.server', 'asyncio', 'boto3', 'starlette', 'cryptography'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage: heartmapctl" in done.stdout


def test_the_help_that_is_kept_is_the_one_that_is_made() -> None:
    made = subprocess.run(
        [sys.executable, "-m", "operator_cli.main", "--help"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert made.stdout == HELP.read_text(), "python -m operator_cli.main --help > operator_cli/help.txt"


@pytest.mark.parametrize("columns", ["40", "200"])
def test_the_help_that_is_kept_is_that_of_every_terminal(columns: str) -> None:
    program = [sys.executable, "-m", "operator_cli.main", "--help"]
    made = subprocess.run(
        program, cwd=PROJECT, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": columns}
    )
    assert made.stdout == HELP.read_text()


def test_the_kept_help_is_printed_before_anything_is_loaded() -> None:
    program = (
        "import sys\nfrom operator_cli.__main__ import main\nsys.argv = ['heartmapctl', '--help']\nmain()\n"
        "assert 'typer' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == HELP.read_text()


@pytest.mark.parametrize("words", ["--help", "help environment"])
def test_a_reader_that_has_seen_enough_is_no_fault_to_tell(words: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m operator_cli {words} | true"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""


def test_help_is_a_page_of_exit_codes_and_environment_variables() -> None:
    codes = document(run("help", "exit-codes", "--json"))["entries"]
    assert [each["name"] for each in codes] == ["0", "1", "2", "3", "130"]
    text = run("help", "environment").stdout
    for name in (KEY_VARIABLE, KEY_FILE_VARIABLE, SIGNING_KEY_FILE_VARIABLE, LOCAL_STATE_VARIABLE, "HEARTMAP_ENVIRONMENT"):
        assert f"\n{name} " in text
    listed = run("help").stdout
    for topic in TOPICS:
        assert f"\n{topic} " in listed
        assert run("help", topic).exit_code == 0
    assert "exit-codes" in run("help", "nonsense").stderr


def test_the_version_is_told() -> None:
    assert re.fullmatch(r"heartmapctl \d+\.\d+\.\d+\n", run("--version").stdout)


def test_the_program_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "operator_cli.main", "nonsense"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_stage_is_told_once(service: Any, upload_id: str, analysis_id: str, reply: Any) -> None:
    running = {**service.analysis, "state": "running", "stage": "clustering", "progress": 0.1}
    again = {**running, "progress": 0.2}
    service.server.routes["GET", f"/analyses/{analysis_id}"] = deque(
        [reply(200, running), reply(200, again), reply(200, service.ended)]
    )
    assert run("analyze", upload_id, "--type", "basic", "--wait").stderr.count("running: clustering") == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "Missing command."),
        (("jobs",), "Missing command."),
        (("login", "--as", "nobody"), "Invalid value for '--as': 'nobody' is not one of 'viewer', 'analyst', 'admin'."),
        (
            ("analyze", "x.h5ad"),
            "Missing option '--type'. Choose from: basic, advanced_communication, multi_chamber, comprehensive",
        ),
    ],
)
def test_a_wrong_command_line_is_told_in_one_plain_sentence(words: tuple[str, ...], told: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[0] == f"Error: {told}"
