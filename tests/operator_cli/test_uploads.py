from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from operator_cli import uploads
from operator_cli.command import Command
from operator_cli.errors import CliError, Interrupted, WrongUse
from operator_cli.output import Output
from operator_cli.vocabulary import EnvironmentName

QUIET = Output(json_only=True)


@pytest.fixture
def both(service: Any) -> Iterator[Any]:
    """The API and the storage."""
    with Command(EnvironmentName.LOCAL, json_only=True).service() as pair:
        yield pair


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "cells.h5ad"
    path.write_bytes(bytes(range(256)) * 100)
    return path


def in_parts(service: Any, upload_id: str, reply: Any, *, part_bytes: int, parts: int) -> dict[str, bytes]:
    """Make the service ask for parts; what arrives, by path."""
    arrived: dict[str, bytes] = {}

    def addresses(request: Any) -> Any:
        numbers = request.json["numbers"]
        return reply(200, {"parts": [{"number": n, "url": f"{service.bucket.url}/part/{n}?sig"} for n in numbers]})

    def take(request: Any) -> Any:
        arrived[request.path.partition("?")[0]] = request.body
        return reply(200, headers={"ETag": f'"etag-{len(request.body)}"'})

    service.server.routes["POST", "/uploads"] = reply(201, {"upload_id": upload_id, "part_bytes": part_bytes, "parts": parts})
    service.server.routes["POST", f"/uploads/{upload_id}/parts"] = addresses
    service.server.routes["POST", f"/uploads/{upload_id}/complete"] = reply(200, {})
    for number in range(1, parts + 1):
        service.bucket.routes["PUT", f"/part/{number}"] = take
    return arrived


def test_a_large_file_goes_in_parts_that_make_it_whole(service: Any, both: Any, file: Path, upload_id: str, reply: Any) -> None:
    arrived = in_parts(service, upload_id, reply, part_bytes=2000, parts=13)
    assert uploads.send(both[0], both[1], QUIET, file) == upload_id
    assert b"".join(arrived[f"/part/{n}"] for n in range(1, 14)) == file.read_bytes()
    (complete,) = service.server.requests("POST", f"/uploads/{upload_id}/complete")
    assert [part["number"] for part in complete.json["parts"]] == list(range(1, 14))
    assert complete.json["parts"][0]["etag"] == '"etag-2000"'
    asked = [request.json["numbers"] for request in service.server.requests("POST", f"/uploads/{upload_id}/parts")]
    assert asked == [list(range(1, 14))]


@pytest.mark.parametrize("ticket", [{"part_bytes": 2000, "parts": 12}, {"part_bytes": 2000}, {"url": "https://x.example/"}, {}])
def test_a_ticket_that_does_not_fit_the_file_is_refused(
    service: Any, both: Any, file: Path, upload_id: str, reply: Any, ticket: dict[str, Any]
) -> None:
    service.server.routes["POST", "/uploads"] = reply(201, {"upload_id": upload_id, **ticket})
    with pytest.raises(CliError, match="did not say how"):
        uploads.send(both[0], both[1], QUIET, file)


def test_a_part_without_an_address_ends_the_upload(service: Any, both: Any, file: Path, upload_id: str, reply: Any) -> None:
    in_parts(service, upload_id, reply, part_bytes=2000, parts=13)
    service.server.routes["POST", f"/uploads/{upload_id}/parts"] = reply(200, {"parts": []})
    with pytest.raises(CliError, match="every part"):
        uploads.send(both[0], both[1], QUIET, file)
    assert not service.server.requests("POST", f"/uploads/{upload_id}/complete")


def test_a_file_above_the_limit_is_not_sent(service: Any, both: Any, file: Path, upload_id: str, reply: Any) -> None:
    ticket = {"upload_id": upload_id, "url": f"{service.bucket.url}/uploads", "fields": {}, "max_bytes": 1000}
    service.server.routes["POST", "/uploads"] = reply(201, ticket)
    with pytest.raises(CliError, match=r"25.6 kB; this environment takes 1.0 kB"):
        uploads.send(both[0], both[1], QUIET, file)
    assert not service.bucket.seen


def test_what_is_not_a_file_with_content_is_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "empty.h5ad").touch()
    for path in (tmp_path, tmp_path / "missing", tmp_path / "empty.h5ad"):
        with pytest.raises(WrongUse):
            uploads.size_of(path)


def test_an_upload_that_is_never_checked_is_told(
    service: Any, both: Any, upload_id: str, reply: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "CHECK_SECONDS", 0.05)
    service.server.routes["GET", f"/uploads/{upload_id}"] = reply(200, {"upload_id": upload_id, "state": "checking"})
    with pytest.raises(CliError, match="has not been checked") as failed:
        uploads.wait_until_checked(both[0], QUIET, upload_id)
    assert failed.value.document["state"] == "checking"
    assert upload_id in str(failed.value.next_step)


def test_ctrl_c_while_it_is_checked_names_the_upload(
    service: Any, both: Any, upload_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("operator_cli.polling.time.sleep", interrupt)
    with pytest.raises(Interrupted) as stopped:
        uploads.wait_until_checked(both[0], QUIET, upload_id)
    assert stopped.value.document == {"upload_id": upload_id}


def test_a_passing_failure_while_it_is_checked_is_bridged(service: Any, both: Any, upload_id: str, reply: Any) -> None:
    accepted = reply(200, {"upload_id": upload_id, "state": "accepted"})
    service.server.routes["GET", f"/uploads/{upload_id}"] = deque([reply(502), accepted])
    assert uploads.wait_until_checked(both[0], QUIET, upload_id).state == "accepted"


@pytest.mark.parametrize("parts", [True, False])
def test_a_file_that_is_still_being_written_is_told(
    service: Any, both: Any, file: Path, upload_id: str, reply: Any, parts: bool
) -> None:
    if parts:
        in_parts(service, upload_id, reply, part_bytes=2000, parts=13)
    announce = service.server.routes["POST", "/uploads"]

    def grow(_: Any) -> Any:
        with file.open("ab") as more:
            more.write(b"more")
        return announce

    service.server.routes["POST", "/uploads"] = grow
    with pytest.raises(CliError, match="changed while it was sent"):
        uploads.send(both[0], both[1], QUIET, file)


def test_what_broke_off_goes_on_with_the_parts_that_are_missing(
    service: Any, both: Any, file: Path, upload_id: str, reply: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived = in_parts(service, upload_id, reply, part_bytes=2000, parts=13)
    take = service.bucket.routes["PUT", "/part/6"]
    service.bucket.routes["PUT", "/part/6"] = reply(403, b"<Error><Code>AccessDenied</Code></Error>")
    with pytest.raises(CliError, match="refused the transfer"):
        uploads.send(both[0], both[1], QUIET, file)
    # The parts before it have arrived, and some that were under way beside it: not all of those are known.
    assert set(arrived) >= {"/part/1", "/part/2"}
    known = len(arrived)
    assert known < 13
    arrived.clear()
    service.bucket.routes["PUT", "/part/6"] = take
    assert uploads.send(both[0], both[1], QUIET, file) == upload_id
    assert "/part/6" in arrived
    assert len(arrived) < 13
    (complete,) = service.server.requests("POST", f"/uploads/{upload_id}/complete")
    assert [part["number"] for part in complete.json["parts"]] == list(range(1, 14))
    begun = service.server.requests("POST", "/uploads")
    assert len({request.headers["idempotency-key"] for request in begun}) == 1
    # What is complete is no longer known here: the same file again is another upload.
    uploads.send(both[0], both[1], QUIET, file)
    assert service.server.requests("POST", "/uploads")[-1].headers["idempotency-key"] != begun[0].headers["idempotency-key"]


def test_a_file_that_has_changed_or_an_upload_that_is_another_begins_anew(
    service: Any, both: Any, file: Path, upload_id: str, analysis_id: str, reply: Any
) -> None:
    arrived = in_parts(service, upload_id, reply, part_bytes=2000, parts=13)
    service.server.routes["POST", f"/uploads/{upload_id}/complete"] = reply(503)
    with pytest.raises(CliError):
        uploads.send(both[0], both[1], QUIET, file)
    arrived.clear()
    # The service has forgotten the key, and gives another upload.
    again = in_parts(service, analysis_id, reply, part_bytes=2000, parts=13)
    assert uploads.send(both[0], both[1], QUIET, file) == analysis_id
    assert len(again) == 13
    file.write_bytes(bytes(25_000))
    again.clear()
    assert uploads.send(both[0], both[1], QUIET, file) == analysis_id
    assert len(again) == 13


@pytest.mark.parametrize("code", ["upload_complete", "upload_expired", "no_such_upload"])
def test_an_upload_that_is_over_is_not_gone_on_with_for_ever(
    service: Any, both: Any, file: Path, upload_id: str, reply: Any, refuse: Any, code: str
) -> None:
    arrived = in_parts(service, upload_id, reply, part_bytes=2000, parts=13)
    take = service.bucket.routes["PUT", "/part/13"]
    service.bucket.routes["PUT", "/part/13"] = reply(403)
    with pytest.raises(CliError):
        uploads.send(both[0], both[1], QUIET, file)
    addresses = service.server.routes["POST", f"/uploads/{upload_id}/parts"]
    service.server.routes["POST", f"/uploads/{upload_id}/parts"] = refuse(409, code, "It is over.")
    with pytest.raises(CliError, match="It is over"):
        uploads.send(both[0], both[1], QUIET, file)
    service.server.routes["POST", f"/uploads/{upload_id}/parts"] = addresses
    service.bucket.routes["PUT", "/part/13"] = take
    arrived.clear()
    uploads.send(both[0], both[1], QUIET, file)
    assert len(arrived) == 13


def test_a_key_that_was_used_otherwise_is_replaced_once(
    service: Any, both: Any, file: Path, upload_id: str, reply: Any, refuse: Any
) -> None:
    ticket = reply(201, {"upload_id": upload_id, "url": f"{service.bucket.url}/uploads", "fields": {}})
    service.server.routes["POST", "/uploads"] = deque([refuse(422, "idempotency_key_reused", "Another call had it."), ticket])
    assert uploads.send(both[0], both[1], QUIET, file) == upload_id
    first, second = (request.headers["idempotency-key"] for request in service.server.requests("POST", "/uploads"))
    assert first != second


def test_where_nothing_can_be_kept_a_large_file_is_sent_all_the_same(
    service: Any, both: Any, file: Path, upload_id: str, reply: Any, state: Path
) -> None:
    in_parts(service, upload_id, reply, part_bytes=2000, parts=13)
    (state / "heartmapctl").mkdir(exist_ok=True)
    (state / "heartmapctl" / "uploads").write_text("in the way")
    assert uploads.send(both[0], both[1], QUIET, file) == upload_id


@pytest.mark.parametrize(
    ("text", "expected"), [(None, None), ("private", "private"), ("shared", "shared"), ("a-1, b@c", ["a-1", "b@c"])]
)
def test_a_visibility_is_a_word_or_a_list_of_principals(text: str | None, expected: Any) -> None:
    assert uploads.parse_visibility(text) == expected


@pytest.mark.parametrize("text", ["", "a,,b", "a b", "a\tb", "ü"])
def test_what_is_no_list_of_principals_is_wrong_use(text: str) -> None:
    with pytest.raises(WrongUse, match="separated by commas"):
        uploads.parse_visibility(text)
