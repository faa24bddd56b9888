"""A backup is all there was at one moment, is encrypted, and makes the same data again of a stack that lost them."""

import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, Mock

import pytest

from operator_cli.errors import CliError, WrongUse
from operator_cli.operations import restore as restoring
from operator_cli.operations import tables
from operator_cli.operations.archive import Archive, Bucket, Directory, age, identities
from operator_cli.operations.backup import Backup
from operator_cli.operations.restore import Content, Restore, check_empty, check_parts, differences, verified
from tests.operator_cli.operations.conftest import Deployed

IDENTITY = age().x25519.Identity.generate()
RECIPIENT = str(IDENTITY.to_public())
RESULT = os.urandom(300_000)


def quiet(_: str) -> None: ...


def opened(place: Path) -> Archive:
    return Archive(Directory.made(place), recipients=(RECIPIENT,), identities=(str(IDENTITY),))


def back_up(stack: Deployed, place: Path, *, at: datetime | None = None, **more: Any) -> Content:
    archive = opened(place)
    Backup(stack, archive, at=at, tell=more.pop("tell", quiet), poll=0.01).run()
    return Content.of(archive)


def restore(stack: Deployed, content: Content, *only: str) -> dict[str, Any]:
    return Restore(stack, content, parts=check_parts(only), tell=quiet).run()


@pytest.fixture
def used(stack: Deployed) -> Deployed:
    """A stack that people worked with."""
    ada = stack.person("ada@example.org", "analyst")
    stack.person("grace@example.org", "admin", "viewer")
    lin = stack.person("lin@example.org", "viewer")
    stack.client("cognito-idp").admin_disable_user(UserPoolId=stack.output("user_pool_id"), Username="lin@example.org")
    stack.put(
        "jobs",
        pk={"S": "analysis#01"},
        owner={"S": ada},
        listing_key={"S": f"owner#{ada}"},
        shared={"SS": [lin, ada]},
        options={"M": {"seed": {"N": "7"}, "parts": {"L": [{"B": b"\x00\xff"}, {"BOOL": True}, {"NULL": True}]}}},
    )
    uploads = ({"pk": {"S": f"upload#{number:02}"}, "owner": {"S": ada}} for number in range(60))
    tables.write(stack.client("dynamodb"), stack.output("jobs_table"), uploads)
    for version in (1, 2):
        stack.put("config", name={"S": "heartmap"}, version={"N": str(version)}, changed_by={"S": ada})
    stack.key("GOODKEY1", created_by={"S": ada})
    stack.put("key-use", id={"S": "use#GOODKEY1"}, last_used_at={"N": "1796000000"})
    stack.put_object("uploads", "uploads/01", b"cells", ContentType="application/x-hdf5", Metadata={"name": "cells.h5ad"})
    stack.put_object("results", "results/01/summary.json", b"{}")
    stack.put_object("results", "results/01/annotated.h5ad", RESULT)
    stack.put_object("results", "results/02/empty", b"")
    return stack


def test_a_stack_that_lost_its_data_has_them_again(used: Deployed, tmp_path: Path) -> None:
    content = back_up(used, tmp_path / "backup")
    assert differences(used, content) == []
    used.empty()
    assert {found.partition(":")[0] for found in differences(used, content)} >= {"table jobs", "table config", "table api-keys"}
    assert used.items("jobs") == []
    told = restore(used, content)
    assert told["restored"] == {"jobs": 61, "config": 2, "api-keys": 1, "key-use": 1, "uploads": 1, "results": 3}
    assert differences(used, content) == []
    head = used.client("s3").head_object(Bucket=used.output("uploads_bucket"), Key="uploads/01")
    assert (head["ContentType"], head["Metadata"]) == ("application/x-hdf5", {"name": "cells.h5ad"})


def test_what_differs_is_named(used: Deployed, tmp_path: Path) -> None:
    content = back_up(used, tmp_path / "backup")
    used.put("config", name={"S": "heartmap"}, version={"N": "2"}, changed_by={"S": "somebody"})
    used.put_object("results", "results/01/summary.json", b"[]")
    used.put_object("results", "results/03/more", b"x")
    used.client("s3").delete_object(Bucket=used.output("results_bucket"), Key="results/02/empty")
    assert differences(used, content) == [
        "table config: 1 items are not as in the backup, 1 are not in it",
        "results/results/02/empty is missing",
        "results/results/03/more is not in the backup",
        "results/results/01/summary.json has another content",
    ]


def test_in_a_fresh_stack_people_are_invited_anew_and_what_was_theirs_is(
    used: Deployed, make_stack: Callable[[], Deployed], tmp_path: Path
) -> None:
    content, fresh = back_up(used, tmp_path / "backup"), make_stack()
    told = restore(fresh, content)
    # Digests under another stack's pepper prove nothing there.
    assert (told["people"], told["not_restored"]) == (3, ["api-keys: made under another stack's pepper"])
    assert fresh.items("api-keys") == []
    cognito, pool = fresh.client("cognito-idp"), fresh.output("user_pool_id")

    def person(email: str) -> tuple[str, str, bool, list[str]]:
        found = cognito.admin_get_user(UserPoolId=pool, Username=email)
        groups = cognito.admin_list_groups_for_user(UserPoolId=pool, Username=email)["Groups"]
        attributes = {each["Name"]: each["Value"] for each in found["UserAttributes"]}
        assert attributes["email_verified"] == "true"
        return attributes["sub"], found["UserStatus"], found["Enabled"], sorted(each["GroupName"] for each in groups)

    ada, status, enabled, groups = person("ada@example.org")
    assert (status, enabled, groups) == ("FORCE_CHANGE_PASSWORD", True, ["analyst"])
    assert person("grace@example.org")[3] == ["admin", "viewer"]
    assert person("lin@example.org")[2] is False
    analysis = next(item for item in fresh.items("jobs") if item["pk"]["S"] == "analysis#01")
    assert (analysis["owner"]["S"], analysis["listing_key"]["S"]) == (ada, f"owner#{ada}")
    assert set(analysis["shared"]["SS"]) == {ada, person("lin@example.org")[0]}
    # Once more changes nothing, and nobody is invited twice.
    before = sorted(map(str, fresh.items("jobs")))
    restore(fresh, content)
    assert sorted(map(str, fresh.items("jobs"))) == before
    assert person("ada@example.org")[0] == ada


def test_tables_and_objects_are_of_one_moment(used: Deployed, tmp_path: Path) -> None:
    # S3 tells of seconds.
    time.sleep(1.1)
    at = datetime.now(UTC)
    time.sleep(1.1)
    used.put_object("results", "results/01/summary.json", b"later")
    used.put_object("results", "results/09/later", b"later")
    used.client("s3").delete_object(Bucket=used.output("results_bucket"), Key="results/02/empty")
    content = back_up(used, tmp_path / "backup", at=at)
    asked = content.manifest["at"]
    assert datetime.fromisoformat(asked) == at
    used.empty()
    restore(used, content)
    s3, bucket = used.client("s3"), used.output("results_bucket")
    kept = {
        each["Key"]: s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()
        for each in s3.list_objects_v2(Bucket=bucket)["Contents"]
    }
    assert kept == {"results/01/summary.json": b"{}", "results/01/annotated.h5ad": RESULT, "results/02/empty": b""}


def test_dynamodb_is_asked_for_that_moment_and_what_it_put_down_is_removed(used: Deployed, tmp_path: Path) -> None:
    at = datetime(2026, 11, 30, 8, tzinfo=UTC)
    dynamodb = used.client("dynamodb")
    asked = Mock(wraps=dynamodb)
    lines = list(
        tables.export(asked, used.client("s3"), table=used.output("config_table"), at=at, workplace=used.workplace, poll=0.01)
    )
    assert asked.export_table_to_point_in_time.call_args.kwargs["ExportTime"] == at
    assert len(lines) == 2
    assert used.client("s3").list_objects_v2(Bucket=used.workplace).get("Contents", []) == []


def test_an_export_that_fails_is_no_backup() -> None:
    failed = {"ExportStatus": "FAILED", "ExportArn": "a", "FailureMessage": "the bucket is gone"}
    dynamodb = MagicMock(**{"export_table_to_point_in_time.return_value": {"ExportDescription": failed}})
    with pytest.raises(CliError, match="the bucket is gone"):
        list(tables.export(dynamodb, Mock(), table="jobs", at=datetime.now(UTC), workplace="w"))


def test_an_interrupted_backup_goes_on_with_its_own_moment(used: Deployed, tmp_path: Path) -> None:
    place, seen = tmp_path / "backup", []

    def interrupt(what: str) -> None:
        seen.append(what)
        if what.startswith("results/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        back_up(used, place, tell=interrupt)
    with pytest.raises(CliError, match="no whole backup"):
        Content.of(opened(place))
    first = opened(place).begun()
    again: list[str] = []
    content = back_up(used, place, tell=again.append)
    assert first is not None
    assert content.manifest["at"] == first["at"]
    # What was done is not done again, and what was not is.
    assert not {"tables/jobs.jsonl", "uploads/uploads/01"} & set(again)
    assert {"results/results/01/annotated.h5ad", "people.jsonl"} <= set(again)
    assert (verified(content), differences(used, content)) == ([], [])


def test_another_environments_backup_is_not_gone_on_with(
    used: Deployed, make_stack: Callable[[], Deployed], tmp_path: Path
) -> None:
    back_up(used, tmp_path / "backup")
    with pytest.raises(CliError, match="There is a backup of"):
        back_up(make_stack(), tmp_path / "backup")


# ---- What lies there ----


def every_file(place: Path) -> list[Path]:
    return sorted(file for file in place.rglob("*") if file.is_file())


def test_nothing_of_the_data_can_be_read_without_the_identity(used: Deployed, tmp_path: Path) -> None:
    place = tmp_path / "backup"
    back_up(used, place)
    stored = b"".join(file.read_bytes() for file in every_file(place))
    assert RESULT[:64] not in stored
    for word in (b"ada@example.org", b"GOODKEY1", b"summary.json", b"listing_key"):
        assert word not in stored, word
    assert {oct(path.stat().st_mode & 0o077) for path in (place, *place.rglob("*"))} == {"0o0"}
    stranger = Archive(Directory.made(place), identities=(str(age().x25519.Identity.generate()),))
    with pytest.raises(CliError, match="cannot be read with this identity"):
        restore(used, Content.of(stranger))


def test_a_directory_that_others_can_look_into_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "open"
    place.mkdir(mode=0o755)
    place.chmod(0o755)
    with pytest.raises(CliError, match="Others may read"):
        Directory.made(place)


def test_an_identity_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"# public key: {RECIPIENT}\n{IDENTITY}\n")
    file.chmod(0o644)
    with pytest.raises(CliError, match="Others may read"):
        identities(file)
    file.chmod(0o600)
    assert identities(file) == (str(IDENTITY),)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"age1recipient\n"], ids=["empty", "binary", "recipient"])
def test_a_file_without_an_identity_opens_nothing_and_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "identity"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(CliError, match="holds no age identity"):
        identities(file)


@pytest.mark.parametrize("recipient", ["", "age1", "ssh-ed25519 AAAA", RECIPIENT[:-1]], ids=["none", "begun", "ssh", "cut"])
def test_what_is_no_recipient_is_refused(tmp_path: Path, recipient: str) -> None:
    with pytest.raises(WrongUse, match="age recipient"):
        Archive(Directory.made(tmp_path / "b"), recipients=(recipient,))


@pytest.mark.parametrize("with_identity", [True, False])
def test_each_change_of_the_backup_is_named(used: Deployed, tmp_path: Path, with_identity: bool) -> None:
    place = tmp_path / "backup"
    content = back_up(used, place)
    if not with_identity:
        content = Content.of(Archive(Directory.made(place)))
    assert verified(content) == []
    table, people = place / "tables/jobs.jsonl", place / "people.jsonl"
    data = bytearray(table.read_bytes())
    data[len(data) // 2] ^= 1
    table.write_bytes(data)
    people.unlink()
    (place / "tables/more.jsonl").write_bytes(b"{}")
    assert verified(content) == [
        "people.jsonl is missing",
        "tables/jobs.jsonl was changed",
        "tables/more.jsonl is no part of the backup",
    ]


def test_a_changed_file_is_not_restored(used: Deployed, tmp_path: Path) -> None:
    place = tmp_path / "backup"
    content = back_up(used, place)
    file = place / "tables/jobs.jsonl"
    file.write_bytes(file.read_bytes()[:-1])
    used.empty()
    with pytest.raises(CliError, match="not whole"):
        restore(used, content, "jobs")
    assert used.items("jobs") == []


def test_a_bucket_is_a_place_too_when_it_is_not_public(used: Deployed) -> None:
    s3 = used.client("s3")
    bucket = f"{used.prefix}-backups"
    s3.create_bucket(Bucket=bucket)
    s3.delete_public_access_block(Bucket=bucket)
    with pytest.raises(CliError, match="does not block public access"):
        Bucket.checked(s3, f"s3://{bucket}/monday")
    closed = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=closed)
    archive = Archive(Bucket.checked(s3, f"s3://{bucket}/monday/"), recipients=(RECIPIENT,), identities=(str(IDENTITY),))
    Backup(used, archive, at=None, tell=quiet, poll=0.01).run()
    content = Content.of(archive)
    assert (verified(content), differences(used, content)) == ([], [])
    assert {each["Key"].partition("/")[0] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]} == {"monday"}


# ---- Never over what is there ----


def test_what_is_there_is_replaced_only_when_somebody_says_so(used: Deployed, tmp_path: Path) -> None:
    content = back_up(used, tmp_path / "backup")
    into = Restore(used, content, parts=check_parts(()), tell=quiet)
    with pytest.raises(CliError, match="api-keys, config, jobs, key-use, results, uploads"):
        check_empty(into, yes=False)
    check_empty(into, yes=True)
    check_empty(Restore(used, content, parts=("people",), tell=quiet), yes=False)
    used.empty()
    check_empty(into, yes=False)


def test_one_part_is_restored_by_itself(used: Deployed, tmp_path: Path) -> None:
    content = back_up(used, tmp_path / "backup")
    used.empty()
    assert restore(used, content, "api-keys")["restored"] == {"api-keys": 1}
    assert (len(used.items("api-keys")), used.items("jobs")) == (1, [])
    with pytest.raises(WrongUse, match="no secrets to restore"):
        check_parts(("secrets",))


def test_a_manifest_of_another_time_is_refused(used: Deployed, tmp_path: Path) -> None:
    place = tmp_path / "backup"
    back_up(used, place)
    manifest = json.loads((place / "manifest.json").read_text())
    (place / "manifest.json").write_text(json.dumps(manifest | {"format": 99}))
    with pytest.raises(CliError, match="format 99"):
        restoring.Content.of(opened(place))
