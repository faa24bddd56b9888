"""One command locks out a person, a key, a program or a role."""

import time
from typing import Any

import pytest

from lambda_authorizer.lock_outs import MAX_AGE
from operator_cli.errors import CliError
from operator_cli.operations.lock_out import lock_out
from tests.operator_cli.operations.conftest import Deployed

ULID = "01K2B3C4D5E6F7G8H9JKMNPQRS"
ROLE = "arn:aws:iam::123456789012:role/ci/publisher"


def records(stack: Deployed) -> dict[str, Any]:
    return {item["public_id"]["S"]: item for item in stack.items("api-keys")}


@pytest.mark.parametrize("by", ["ada@example.org", "subject"])
def test_a_person_cannot_sign_in_and_holds_no_token_that_opens(stack: Deployed, by: str) -> None:
    ada = stack.person("ada@example.org", "admin")
    told = lock_out(stack, ada if by == "subject" else by)
    assert (told["subject"], told["within_seconds"]) == (ada, MAX_AGE)
    found = stack.client("cognito-idp").admin_get_user(UserPoolId=stack.output("user_pool_id"), Username="ada@example.org")
    assert found["Enabled"] is False
    assert int(records(stack)["locked"][ada]["N"]) >= time.time()


def test_a_key_is_revoked_and_no_other(stack: Deployed) -> None:
    stack.key(ULID)
    stack.key("GOODKEY1")
    assert lock_out(stack, ULID)["keys"] == [ULID]
    assert records(stack)[ULID]["revoked_by"] == {"S": "operator"}
    assert "revoked_at" not in records(stack)["GOODKEY1"]
    first = records(stack)[ULID]["revoked_at"]
    lock_out(stack, ULID)
    assert records(stack)[ULID]["revoked_at"] == first


@pytest.mark.parametrize(("who", "ids"), [("program:ci", {ULID, "GOODKEY1"}), (ROLE, {f"role{'0' * 28}"})])
def test_all_keys_of_a_program_or_a_role_are_revoked(stack: Deployed, who: str, ids: set[str]) -> None:
    stack.key(ULID)
    stack.key("GOODKEY1")
    stack.put("api-keys", public_id={"S": f"role{'0' * 28}"}, principal={"S": ROLE})
    assert set(lock_out(stack, who)["keys"]) == ids
    assert {key_id for key_id, item in records(stack).items() if "revoked_at" in item} == ids


@pytest.mark.parametrize("who", ["nobody@example.org", ULID, "program:none", ROLE])
def test_whom_there_is_not_cannot_be_locked_out(stack: Deployed, who: str) -> None:
    with pytest.raises(CliError, match="There is no"):
        lock_out(stack, who)
