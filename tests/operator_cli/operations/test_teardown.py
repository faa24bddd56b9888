"""What `heartmapctl operate teardown` refuses, destroys and keeps. With the engine: tests/engine/test_stacks.py."""

import json
from copy import deepcopy
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from pulumi.automation.errors import CommandError
from typer.testing import CliRunner

from operator_cli.errors import CliError
from operator_cli.main import app
from operator_cli.operations import teardown

ACCOUNT = "123456789012"
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def resource(type_: str, name_: str, *, of: str = "", needs: tuple[str, ...] = (), **inputs: Any) -> dict[str, Any]:
    kind = f"heartmap:data:{type_}" if not type_.startswith(("aws:", "pulumi:")) else type_
    return {
        # The engine puts a parent's type before its children's.
        "urn": f"urn:pulumi:dev::heartmap::{'heartmap:data:Keys$' if 'kms/key' in kind else ''}{kind}::{name_}",
        "custom": kind.startswith(("aws:", "pulumi:providers")),
        "type": kind,
        "id": name_,
        "inputs": inputs,
        "outputs": {"arn": f"arn:aws:test:us-east-1:{ACCOUNT}:{name_}"},
        "parent": of,
        "provider": "urn:pulumi:dev::heartmap::pulumi:providers:aws::aws::id",
        "dependencies": list(needs),
    }


STACK = "urn:pulumi:dev::heartmap::pulumi:pulumi:Stack::heartmap-dev"
LOGS_KEY = "urn:pulumi:dev::heartmap::heartmap:data:Keys$aws:kms/key:Key::logs"
BUCKETS = "urn:pulumi:dev::heartmap::heartmap:data:Buckets::buckets"

STATE: dict[str, Any] = {
    "resources": [
        {"urn": STACK, "type": "pulumi:pulumi:Stack", "custom": False},
        resource("pulumi:providers:aws", "aws"),
        resource("Buckets", "buckets", of=STACK),
        resource("aws:kms/key:Key", "logs", of=STACK, description="logs", deletionWindowInDays=30),
        resource("aws:kms/alias:Alias", "logs-alias", of=STACK, needs=(LOGS_KEY,), name="alias/heartmap-dev-logs"),
        resource("aws:kms/key:Key", "data", of=STACK, description="data", deletionWindowInDays=30),
        resource("aws:s3/bucket:Bucket", "uploads", of=BUCKETS, bucket="uploads"),
        resource("aws:s3/bucket:Bucket", "audit", of=BUCKETS, bucket="audit"),
        resource("aws:s3/bucketPolicy:BucketPolicy", "audit-policy", of=BUCKETS, bucket="audit"),
        resource("aws:s3/bucketLogging:BucketLogging", "audit-logging", of=BUCKETS, bucket="audit"),
        resource(teardown.LOCK, "audit-lock", of=BUCKETS, bucket="audit"),
        resource(teardown.LOGS, "api", of=STACK, needs=(LOGS_KEY,), name="/heartmap/dev/api"),
        resource(
            teardown.LOGS,
            "of-api",
            of=STACK,
            needs=(LOGS_KEY, "urn:pulumi:dev::heartmap::aws:dynamodb/table:Table::jobs"),
            name="of",
        ),
        resource("aws:dynamodb/table:Table", "jobs", of=STACK, name="jobs"),
    ]
}


def caller(account: str = ACCOUNT) -> Any:
    forgotten: list[str] = []
    made = [{"clientCertificateId": name, "description": f"heartmap-dev{name}"} for name in ("", ", rotated")]
    client = SimpleNamespace(
        get_caller_identity=lambda: {"Account": account},
        get_paginator=lambda _: SimpleNamespace(paginate=lambda: [{"items": made}]),
        delete_client_certificate=lambda **asked: forgotten.append(asked["clientCertificateId"]),
    )
    return SimpleNamespace(client=lambda *_, **__: client, forgotten=forgotten)


def planned(state: dict[str, Any] = STATE, **differing: Any) -> teardown.Plan:
    return teardown.plan(state, **{"stack": "dev", "account": ACCOUNT, "session": caller(), **differing})


def names(resources: Any) -> set[str]:
    return {one["id"] for one in resources}


def test_a_locked_audit_bucket_stays_with_the_logs_and_the_key_that_both_are_read_with() -> None:
    decided = planned()
    assert names(decided.kept) == {"audit", "audit-policy", "audit-lock", "api", "logs", "logs-alias"}
    assert names(decided.destroyed) == {"uploads", "audit-logging", "data", "jobs", "of-api"}
    assert decided.document()["data_destroyed"] == ["Bucket uploads", "Table jobs"]
    assert decided.document()["kept"] == ["Key logs", "Bucket audit", "LogGroup /heartmap/dev/api"]


def test_without_a_lock_everything_goes_and_that_is_said() -> None:
    unlocked = {"resources": [one for one in STATE["resources"] if one["type"] != teardown.LOCK]}
    decided = planned(unlocked)
    assert decided.kept == ()
    assert "With what they hold are destroyed: LogGroup /heartmap/dev/api" in decided.told[0]


def test_what_aws_keeps_for_a_while_is_said() -> None:
    told = " ".join(planned().told)
    assert "Keys wait 30 days" in told
    assert "last backup for 35 days" in told


def protected(state: dict[str, Any]) -> None:
    state["resources"][6]["protect"] = True


def interrupted(state: dict[str, Any]) -> None:
    state["pending_operations"] = [{"type": "creating"}]


def of_another_stack(state: dict[str, Any]) -> None:
    state["resources"][6]["urn"] = "urn:pulumi:prod::heartmap::aws:s3/bucket:Bucket::uploads"


def of_another_project(state: dict[str, Any]) -> None:
    state["resources"][6]["urn"] = "urn:pulumi:dev::other::aws:s3/bucket:Bucket::uploads"


def in_two_accounts(state: dict[str, Any]) -> None:
    state["resources"][6]["outputs"]["arn"] = "arn:aws:test:us-east-1:999999999999:uploads"


def empty(state: dict[str, Any]) -> None:
    state["resources"] = state["resources"][:3]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (protected, "The stack is protected: 1 resources, such as Bucket uploads"),
        (interrupted, "The last run was interrupted"),
        (of_another_stack, "not that of heartmap's stack dev"),
        (of_another_project, "not that of heartmap's stack dev"),
        (in_two_accounts, "is in the account 123456789012, 999999999999"),
        (empty, "There is nothing in the stack"),
    ],
)
def test_a_state_that_is_not_as_it_has_to_be_is_refused(change: Any, told: str) -> None:
    state = deepcopy(STATE)
    change(state)
    with pytest.raises(CliError, match=told):
        planned(state)


def test_another_account_than_named_is_refused() -> None:
    with pytest.raises(CliError, match="is in the account 123456789012, not in 999999999999"):
        planned(account="999999999999")
    with pytest.raises(CliError, match="credentials are of the account 999999999999"):
        planned(session=caller("999999999999"))


def test_a_backup_has_to_be_of_this_stack_and_of_today() -> None:
    manifest = {"environment": "dev", "at": "2026-11-30T08:00:00+00:00"}
    teardown.check_backup(manifest, "dev", NOW)
    with pytest.raises(CliError, match="The backup is of prod, not of dev"):
        teardown.check_backup(manifest | {"environment": "prod"}, "dev", NOW)
    with pytest.raises(CliError, match="what came since would be lost"):
        teardown.check_backup(manifest | {"at": "2026-11-29T08:00:00+00:00"}, "dev", NOW)


# The engine


class Stack:
    """Stands for the engine's stack."""

    def __init__(self, state: dict[str, Any] = STATE) -> None:
        self.state, self.asked, self.fails = state, None, False
        self.session: Any = caller()

    def export_stack(self) -> Any:
        return SimpleNamespace(deployment=self.state)

    def destroy(self, **asked: Any) -> None:
        self.asked = asked
        if self.fails:
            raise CommandError(SimpleNamespace(code=1, stdout="", stderr=""))  # pyright: ignore[reportArgumentType]


def test_the_engine_is_told_of_what_goes_and_of_nothing_else() -> None:
    stack: Any = Stack()
    teardown.destroy(stack, planned(), lambda _: None)
    # The component goes with its parts.
    assert {urn.rpartition("::")[2] for urn in stack.asked["target"]} - {"image"} == {
        "uploads",
        "audit-logging",
        "data",
        "jobs",
        "of-api",
    }


def test_a_stack_that_changed_meanwhile_is_left_alone() -> None:
    decided, stack = planned(), Stack({"resources": STATE["resources"][:-1]})
    with pytest.raises(CliError, match="changed the stack meanwhile: nothing was destroyed"):
        teardown.destroy(stack, decided, lambda _: None)  # pyright: ignore[reportArgumentType]
    assert stack.asked is None


def test_what_the_engine_could_not_destroy_is_no_success() -> None:
    stack: Any = Stack()
    stack.fails = True
    with pytest.raises(CliError, match="could not destroy everything"):
        teardown.destroy(stack, planned(), lambda _: None)


# The command


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Stack:
    made = Stack()
    monkeypatch.setattr("operator_cli.verbs.teardown._stack", lambda _: made)
    monkeypatch.setattr("boto3.Session", lambda *_: made.session)
    monkeypatch.setattr(teardown, "amounts", lambda *_: ["Bucket uploads: 3 objects"])
    return made


def run(*words: str, environment: str = "dev") -> Any:
    named = ["--environment", environment] if environment else []
    command = ["operate", "teardown", *named, "--account", ACCOUNT, *words]
    return CliRunner().invoke(app, command, catch_exceptions=False)


def test_a_preview_says_everything_and_does_nothing(stack: Stack) -> None:
    done = run("--preview")
    assert done.exit_code == 0, done.output
    for told in ("Bucket uploads: 3 objects", "LogGroup /heartmap/dev/api", "Keys wait 30 days"):
        assert told in done.stdout
    assert json.loads(run("--preview", "--json").stdout)["done"] is False
    assert stack.asked is None


def test_it_is_done_only_by_its_full_name_and_with_a_word_on_the_data(stack: Stack) -> None:
    assert run("--confirm", f"heartmap-dev {ACCOUNT}").exit_code == 2, "neither --backup nor --without-backup"
    assert run("--without-backup").exit_code == 2, "nobody to ask"
    for wrong in ("yes", "heartmap-dev", f"heartmap-prod {ACCOUNT}"):
        assert run("--without-backup", "--confirm", wrong).exit_code == 1
    assert stack.asked is None
    assert stack.session.forgotten == []
    done = run("--without-backup", "--confirm", f"heartmap-dev {ACCOUNT}")
    assert done.exit_code == 0, done.output
    assert stack.asked is not None
    assert stack.session.forgotten == [", rotated"], "what a rotation made, and the engine knows nothing of"
    assert "Bucket uploads: 3 objects" in done.stderr, "what goes is said also where nobody asks"


def test_a_backup_that_is_none_is_refused(stack: Stack, tmp_path: Any) -> None:
    done = run("--backup", str(tmp_path), "--confirm", f"heartmap-dev {ACCOUNT}")
    assert done.exit_code == 1
    assert "There is no whole backup here" in done.stderr
    assert stack.asked is None


def test_production_is_refused_until_its_file_gives_it_up(stack: Stack) -> None:
    done = run("--without-backup", "--confirm", f"heartmap-prod {ACCOUNT}", environment="prod")
    assert done.exit_code == 1
    assert "only once its file says so" in done.stderr
    assert stack.asked is None


def test_the_stack_has_to_be_named(stack: Stack) -> None:
    assert run("--preview", environment="").exit_code == 2
    assert run("--preview", environment="local").exit_code == 2
    assert CliRunner().invoke(app, ["operate", "teardown", "--environment", "dev", "--preview"]).exit_code == 2
