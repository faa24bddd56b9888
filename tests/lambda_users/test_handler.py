import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from lambda_authorizer.access_policy import ACCESS_POLICY, USERS
from lambda_authorizer.aws import Aws, AwsError
from lambda_authorizer.building.target import Target
from lambda_authorizer.policy import TOLERANCE
from lambda_authorizer.tokens import MAX_LIFETIME
from lambda_users import config, package
from lambda_users import handler as module
from lambda_users.handler import ACTIONS, Users, handler
from lambda_users.lock_outs import KEPT
from lambda_users.pool import Pool
from tests.lambda_api.calls import REQUEST_ID, event, everyone_else
from tests.lambda_users.conftest import LOCK_OUTS, People

ROLE = "arn:aws:iam::123456789012:role/ci/administrator"
BODIES = {"GET": None, "POST": {"email": "ada@example.org", "group": "viewer"}, "PATCH": {"username": "ada", "enabled": False}}


class Api:
    """Calls the function as the administrator Grace, and keeps what it printed and what it asked of AWS."""

    def __init__(self, users: Users, people: People, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        self._users, self._capsys = users, capsys
        self.me = people.add("grace", "admin")
        self.line: dict[str, Any] = {}
        self.printed = ""
        self.asked: list[tuple[str, dict[str, Any]]] = []
        call = Aws.call

        def keep(aws: Aws, service: str, operation: str, parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
            if service == "cognito-idp":
                self.asked.append((operation.rpartition(".")[2], parameters))
            return call(aws, service, operation, parameters, **more)

        monkeypatch.setattr(Aws, "call", keep)

    def __call__(self, status: int, method: str, body: Any = None, *, by: str | None = None, **changes: Any) -> Any:
        """The document of an answer that has this status."""
        said = {"principal": by or self.me} | changes.pop("said", {})
        answer = self._users.answer(event(method, "/users", body, said=said, **changes))
        out = self._capsys.readouterr()
        # The emulated Cognito, in this process, prints the mails that it would send.
        said_here = [line for line in out.out.splitlines() if not line.startswith("Mail to ")]
        self.printed += "\n".join(said_here) + out.err
        (text,) = said_here
        self.line = json.loads(text)
        assert answer["statusCode"] == status, answer["body"]
        assert (self.line["event"], self.line["request_id"]) == ("users", REQUEST_ID)
        return json.loads(answer["body"])

    def list(self, **query: str) -> Any:
        return self(200, "GET", query=query)

    def invite(self, email: str = "ada@example.org", group: str = "analyst", status: int = 201) -> Any:
        return self(status, "POST", {"email": email, "group": group})

    def change(self, username: str, status: int = 200, **changes: Any) -> Any:
        return self(status, "PATCH", {"username": username} | changes)


@pytest.fixture
def api(users: Users, people: People, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Api:
    return Api(users, people, monkeypatch, capsys)


def test_every_row_of_the_policy_that_is_answered_here_has_an_action() -> None:
    assert {(rule.method, rule.route) for rule in ACCESS_POLICY if rule.answered_by == USERS} == ACTIONS.keys()


# ---- Who is let in ----


@pytest.mark.parametrize("method", BODIES)
@pytest.mark.parametrize(("who", "changes", "status"), everyone_else(), ids=[who for who, *_ in everyone_else()])
def test_nobody_else_is_let_in(api: Api, people: People, method: str, who: str, changes: dict[str, Any], status: int) -> None:
    people.add("ada", "analyst")
    api.asked.clear()
    api(status, method, BODIES[method], **changes)
    assert (api.line["decision"], api.line["principal"]) == ("deny", None)
    assert api.asked == []
    assert people.enabled("ada")


def test_what_the_authorizer_knows_of_an_hour_ago_is_looked_up_again_before_a_change(api: Api, people: People) -> None:
    people.add("ada", "viewer")
    people.cognito.admin_remove_user_from_group(UserPoolId=people.id, Username="grace", GroupName="admin")
    assert api(403, "PATCH", {"username": "ada", "group": "admin"})["code"] == "no_admin_any_more"
    assert api.invite("eve@example.org", "admin", status=403)["code"] == "no_admin_any_more"
    people.cognito.admin_add_user_to_group(UserPoolId=people.id, Username="grace", GroupName="admin")
    people.cognito.admin_disable_user(UserPoolId=people.id, Username="grace")
    assert api(403, "PATCH", {"username": "ada", "group": "admin"})["code"] == "no_admin_any_more"
    assert people.groups("ada") == ["viewer"]


@pytest.mark.parametrize("principal", ["program:nightly", "grace", 'x" or sub = "', "5F0D3C1E-0C4C-4B5E-9A6E-2F4AD9F3C001"])
def test_a_caller_who_is_neither_a_person_nor_a_role_changes_nothing(api: Api, people: People, principal: str) -> None:
    people.add("ada", "viewer")
    api(403, "PATCH", {"username": "ada", "enabled": False}, by=principal)
    assert people.enabled("ada")
    assert not any(principal in str(parameters) for _, parameters in api.asked)


def test_a_role_that_the_stack_makes_an_administrator_is_one(api: Api, people: People) -> None:
    people.add("ada", "viewer")
    assert api(200, "PATCH", {"username": "ada", "enabled": False}, by=ROLE)["enabled"] is False


# ---- The list ----


def test_everybody_is_listed_with_their_groups_and_second_factor(api: Api, people: People) -> None:
    ada = people.add("ada", "analyst", "viewer")
    people.add("Okta_bob", f"{people.id}_Okta", status="EXTERNAL_PROVIDER", email="bob@elsewhere.example")
    people.cognito.admin_disable_user(UserPoolId=people.id, Username="ada")
    people.raw("ada").software_token_mfa_enabled = True
    found = {user["username"]: user for user in api.list()["users"]}
    assert found.keys() == {"grace", "ada", "Okta_bob"}
    made = found["ada"].pop("created_at"), found["ada"].pop("changed_at")
    assert all(isinstance(moment, int) and moment > 1_700_000_000 for moment in made)
    assert found["ada"] == {
        "username": "ada",
        "subject": ada,
        "email": "ada@example.org",
        "groups": ["viewer", "analyst"],
        "enabled": False,
        "status": "CONFIRMED",
        "mfa": True,
    }
    # A group that Cognito makes for an identity provider's people opens nothing; their second factor is not ours.
    assert (found["Okta_bob"]["groups"], found["Okta_bob"]["mfa"]) == ([], None)
    assert found["Okta_bob"]["status"] == "EXTERNAL_PROVIDER"
    assert (api.line["decision"], api.line["reason"], api.line["action"]) == ("allow", "listed", "list")


def test_a_long_list_is_read_page_by_page(api: Api, people: People) -> None:
    for number in range(5):
        people.add(f"person{number}", "viewer")
    names, query = [], {"limit": "2"}
    while True:
        page = api.list(**query)
        assert len(page["users"]) <= 2
        names += [user["username"] for user in page["users"]]
        if "next_cursor" not in page:
            break
        query["cursor"] = page["next_cursor"]
    assert sorted(names) == ["grace", *(f"person{number}" for number in range(5))]


def test_a_group_of_more_than_a_page_is_read_to_its_end(api: Api, people: People) -> None:
    for number in range(70):
        people.add(f"person{number}", "viewer")
    found = {user["username"]: user["groups"] for user in api.list(limit="60")["users"]}
    assert len(found) == 60
    assert all(groups == (["admin"] if name == "grace" else ["viewer"]) for name, groups in found.items())


def test_whoever_is_deleted_while_the_list_is_read_is_not_in_it(
    api: Api, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.add("ada", "viewer")
    details = Pool._details

    def gone(pool: Pool, username: str) -> Any:
        return None if username == "ada" else details(pool, username)

    monkeypatch.setattr(Pool, "_details", gone)
    assert [user["username"] for user in api.list()["users"]] == ["grace"]


@pytest.mark.parametrize(
    "query",
    [
        *({"limit": limit} for limit in ("0", "61", "-1", "1.5", "x", "", "9" * 20)),
        *({"cursor": cursor} for cursor in ("", "a b", "ü", "x" * 5000)),
        *({"limit": ["1", "2"]}, {"filter": 'email = "x"'}, {"username": "ada"}),
    ],
)
def test_a_query_that_breaks_a_rule_is_refused(api: Api, query: dict[str, Any]) -> None:
    api.asked.clear()
    assert api(400, "GET", query=query)["code"] == "invalid_request"
    assert api.asked == []


def test_a_cursor_of_somewhere_else_is_refused(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, "ListUsers", "InvalidParameterException")
    assert api(400, "GET", query={"cursor": "made-up"})["code"] == "invalid_request"


# ---- Invitations ----


def test_somebody_is_invited_by_e_mail_and_put_into_the_group(api: Api, people: People) -> None:
    made = api.invite("Ada.Lovelace@Example.org", "analyst")
    assert (made["username"], made["email"], made["groups"]) == ("ada.lovelace@example.org",) * 2 + (["analyst"],)
    assert (made["enabled"], made["status"], made["mfa"]) == (True, "FORCE_CHANGE_PASSWORD", False)
    assert people.groups("ada.lovelace@example.org") == ["analyst"]
    ((_, asked),) = [call for call in api.asked if call[0] == "AdminCreateUser"]
    assert asked["DesiredDeliveryMediums"] == ["EMAIL"]
    assert {"Name": "email_verified", "Value": "true"} in asked["UserAttributes"]
    # The password is Cognito's to make and to send.
    assert asked.keys() == {"UserPoolId", "Username", "UserAttributes", "DesiredDeliveryMediums"}


def test_the_audit_says_who_made_whom_what_without_an_address(api: Api) -> None:
    made = api.invite()
    told = {name: api.line[name] for name in ("decision", "reason", "action", "principal", "subject", "group")}
    assert told == {
        "decision": "allow",
        "reason": "invited",
        "action": "invite",
        "principal": api.me,
        "subject": made["subject"],
        "group": "analyst",
    }
    api.change("ada@example.org", group="viewer")
    api.change("nobody@example.org", 404, group="viewer")
    assert "@" not in api.printed


def test_nobody_is_invited_twice(api: Api, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    api.invite()
    assert api.invite("ADA@example.org", status=409)["code"] == "user_exists"
    people.add("Okta_bob", status="EXTERNAL_PROVIDER", email="bob@example.org")
    assert api.invite("bob@example.org", status=409)["code"] == "user_exists"
    # Two at one moment: Cognito refuses the second.
    monkeypatch.setattr(Pool, "with_email", lambda *_: False)
    assert api.invite(status=409)["code"] == "user_exists"


# ---- Changes ----


@pytest.mark.parametrize("before", [(), ("viewer",), ("viewer", "analyst"), ("viewer", "analyst", "admin")])
@pytest.mark.parametrize("group", ["viewer", "analyst", "admin", None])
def test_a_group_takes_the_place_of_all_others(api: Api, people: People, before: tuple[str, ...], group: str | None) -> None:
    people.add("ada", *before, f"{people.id}_Okta")
    assert api.change("ada", group=group)["groups"] == ([group] if group else [])
    assert people.groups("ada") == sorted([f"{people.id}_Okta", *([group] if group else [])])
    assert api.line["group"] == (group or "none")


def test_whoever_is_disabled_cannot_go_on_with_an_old_session(api: Api, people: People) -> None:
    people.add("ada", "viewer")
    cognito = people.cognito
    client = cognito.create_user_pool_client(
        UserPoolId=people.id, ClientName="c", ExplicitAuthFlows=["ALLOW_ADMIN_USER_PASSWORD_AUTH"]
    )
    client_id = client["UserPoolClient"]["ClientId"]
    cognito.admin_set_user_password(UserPoolId=people.id, Username="ada", Password="P4ssword!-long-enough", Permanent=True)
    session = cognito.admin_initiate_auth(
        UserPoolId=people.id,
        ClientId=client_id,
        AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": "ada", "PASSWORD": "P4ssword!-long-enough"},
    )["AuthenticationResult"]
    assert api.change("ada", enabled=False)["enabled"] is False
    assert [name for name, asked in api.asked if asked.get("Username") == "ada"][-4:-2] == [
        "AdminDisableUser",
        "AdminUserGlobalSignOut",
    ]
    assert api.change("ada", enabled=True)["enabled"] is True
    with pytest.raises(cognito.exceptions.NotAuthorizedException):
        cognito.admin_initiate_auth(
            UserPoolId=people.id,
            ClientId=client_id,
            AuthFlow="REFRESH_TOKEN_AUTH",
            AuthParameters={"REFRESH_TOKEN": session["RefreshToken"]},
        )


def test_whoever_is_disabled_is_locked_out_with_the_tokens_they_hold(
    api: Api, people: People, lock_outs: Callable[[], dict[str, int]]
) -> None:
    ada, bob = people.add("ada", "viewer"), people.add("bob", "viewer")
    began = time.time()
    api.change("ada", enabled=False)
    assert began < lock_outs().get(ada, 0) <= time.time() + 2
    # Whoever is let in again signs in again: what was issued before stays locked out.
    api.change("ada", enabled=True)
    assert ada in lock_outs()
    assert bob not in lock_outs()
    # Asked for once more, it is done once more: a call that failed half way is repeated.
    api.change("bob", enabled=False)
    first = lock_outs()[bob]
    api.change("bob", enabled=False)
    assert lock_outs()[bob] >= first


@pytest.mark.parametrize(
    ("before", "after", "locked"),
    [
        ("admin", "analyst", True),
        ("analyst", "viewer", True),
        ("viewer", None, True),
        ("viewer", "analyst", False),
        ("analyst", "analyst", False),
        ("admin", "admin", False),
    ],
)
def test_whoever_loses_rights_is_locked_out_with_the_tokens_that_say_otherwise(
    api: Api, people: People, lock_outs: Callable[[], dict[str, int]], before: str, after: str | None, locked: bool
) -> None:
    ada = people.add("ada", before)
    api.change("ada", group=after)
    assert (ada in lock_outs()) is locked
    api.change("ada", enabled=True)
    assert (ada in lock_outs()) is locked


def test_an_administrator_who_stays_is_not_locked_out(
    api: Api, people: People, lock_outs: Callable[[], dict[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    lin = people.add("lin", "admin")
    # Lin demoted Grace after Grace was let through.
    monkeypatch.setattr(module, "_is_admin", Mock(side_effect=[True, False]))
    assert api.change("lin", 409, enabled=False)["code"] == "last_admin"
    assert lin not in lock_outs()


def test_what_is_past_is_forgotten(api: Api, people: People, lock_outs: Callable[[], dict[str, int]], aws: Any) -> None:
    now = int(time.time())
    item = {"public_id": {"S": "locked"}, "old": {"N": str(now - KEPT - 60)}, "young": {"N": str(now - KEPT + 60)}}
    aws("dynamodb").put_item(TableName=LOCK_OUTS, Item=item)
    ada = people.add("ada", "viewer")
    api.change("ada", enabled=False)
    assert lock_outs().keys() == {"young", ada}
    assert KEPT > MAX_LIFETIME + TOLERANCE


def test_a_lock_out_that_cannot_be_written_is_no_success(api: Api, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    people.add("ada", "viewer")
    failing(monkeypatch, "UpdateItem")
    assert api.change("ada", 503, enabled=False)["code"] == "unavailable"


def test_what_is_past_and_cannot_be_forgotten_is_no_failure(
    api: Api, people: People, lock_outs: Callable[[], dict[str, int]], aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws("dynamodb").put_item(TableName=LOCK_OUTS, Item={"public_id": {"S": "locked"}, "old": {"N": "1"}})
    ada, call = people.add("ada", "viewer"), Aws.call

    def fail(aws: Aws, service: str, operation: str, parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
        if parameters.get("UpdateExpression", "").startswith("REMOVE"):
            raise AwsError("no")
        return call(aws, service, operation, parameters, **more)

    monkeypatch.setattr(Aws, "call", fail)
    api.change("ada", enabled=False)
    assert lock_outs().keys() == {"old", ada}


def test_a_second_factor_is_forgotten_and_not_only_switched_off(api: Api, people: People) -> None:
    people.add("ada", "viewer")
    ada = people.raw("ada")
    ada.software_token_mfa_enabled = ada.token_verified = True
    ada.totp_secret = "JBSWY3DPEHPK3PXP"
    assert api.change("ada", reset_mfa=True)["mfa"] is False
    assert (ada.token_verified, ada.totp_secret) == (False, None)
    assert "AdminSetUserMFAPreference" not in [name for name, _ in api.asked]
    assert api.line["reset_mfa"] is True


def test_the_second_factor_of_another_provider_is_not_ours_to_forget(api: Api, people: People) -> None:
    people.add("Okta_bob", "viewer", status="EXTERNAL_PROVIDER")
    assert api.change("Okta_bob", 409, reset_mfa=True, group="admin")["code"] == "external_user"
    assert people.groups("Okta_bob") == ["viewer"]
    # All else is as with anybody.
    assert api.change("Okta_bob", group="analyst", enabled=False)["groups"] == ["analyst"]
    assert not people.enabled("Okta_bob")


def test_several_changes_are_one_call(api: Api, people: People) -> None:
    people.add("ada", "viewer")
    user = api.change("ada", group="analyst", enabled=False, reset_mfa=True)
    assert (user["groups"], user["enabled"]) == (["analyst"], False)
    assert (api.line["group"], api.line["enabled"], api.line["reset_mfa"]) == ("analyst", False, True)


def test_nobody_is_nobody(api: Api) -> None:
    assert api.change("nobody", 404, enabled=False)["code"] == "no_such_user"
    assert (api.line["decision"], api.line["subject"]) == ("deny", None)


# ---- The last administrator ----


@pytest.mark.parametrize(
    "changes", [{"enabled": False}, {"group": "viewer"}, {"group": None}, {"group": "analyst", "enabled": True}]
)
@pytest.mark.parametrize("name", ["grace", "GRACE"])
def test_nobody_disables_or_demotes_themselves(api: Api, people: People, changes: dict[str, Any], name: str) -> None:
    people.add("ada", "admin")
    assert api.change(name, 409, **changes)["code"] == "own_account"
    assert (people.groups("grace"), people.enabled("grace")) == (["admin"], True)


@pytest.mark.parametrize("changes", [{"enabled": True}, {"group": "admin"}, {"reset_mfa": True}])
def test_what_takes_no_right_from_them_people_do_to_themselves(api: Api, people: People, changes: dict[str, Any]) -> None:
    api.change("grace", **changes)
    assert (people.groups("grace"), people.enabled("grace")) == (["admin"], True)


def test_an_administrator_who_was_demoted_cannot_demote_the_one_who_did_it(api: Api, people: People) -> None:
    ada = people.add("ada", "admin")
    api.change("ada", group="viewer")
    # Her token still says admin.
    assert api(403, "PATCH", {"username": "grace", "group": "viewer"}, by=ada)["code"] == "no_admin_any_more"
    assert people.groups("grace") == ["admin"]


@pytest.mark.parametrize("changes", [{"enabled": False}, {"group": "viewer"}, {"group": None, "enabled": False}])
def test_of_two_administrators_who_demote_each_other_at_one_moment_one_stays(
    api: Api, people: People, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    people.add("ada", "admin")
    apply = module._apply

    def meanwhile(*arguments: Any) -> None:
        people.cognito.admin_remove_user_from_group(UserPoolId=people.id, Username="grace", GroupName="admin")
        apply(*arguments)

    monkeypatch.setattr(module, "_apply", meanwhile)
    assert api.change("ada", 409, **changes)["code"] == "last_admin"
    assert (people.groups("ada"), people.enabled("ada")) == (["admin"], True)


# ---- One pool ----


def test_no_call_is_about_another_pool(api: Api, people: People) -> None:
    other = people.pool()
    people.add("ada", "viewer", pool=other)
    people.add("ada", "viewer")
    api.list()
    api.invite("bob@example.org")
    api.change("ada", group="analyst", enabled=False, reset_mfa=True)
    api(400, "PATCH", {"username": "ada", "enabled": False, "user_pool_id": other})
    api(400, "PATCH", {"username": "ada", "enabled": False, "UserPoolId": other})
    assert {asked["UserPoolId"] for _, asked in api.asked} == {people.id}
    assert (people.groups("ada", other), people.enabled("ada", other)) == (["viewer"], True)


# ---- Failures ----


def failing(monkeypatch: pytest.MonkeyPatch, operation: str, code: str = "InternalErrorException") -> None:
    call = Aws.call

    def fail(aws: Aws, service: str, target: str, *arguments: Any, **more: Any) -> Any:
        if target.endswith(f".{operation}"):
            raise AwsError("no", code)
        return call(aws, service, target, *arguments, **more)

    monkeypatch.setattr(Aws, "call", fail)


@pytest.mark.parametrize(
    ("operation", "method"),
    [
        *(("ListUsers", "GET"), ("ListUsersInGroup", "GET"), ("AdminGetUser", "GET"), ("AdminCreateUser", "POST")),
        *(("AdminAddUserToGroup", "POST"), ("AdminGetUser", "PATCH"), ("AdminDisableUser", "PATCH")),
        *(("AdminUserGlobalSignOut", "PATCH"), ("AdminListGroupsForUser", "PATCH"), ("ListUsers", "PATCH")),
    ],
)
def test_what_fails_behind_it_is_no_ones_success(
    api: Api, people: People, monkeypatch: pytest.MonkeyPatch, operation: str, method: str
) -> None:
    people.add("ada", "viewer", email="somebody@example.org")
    failing(monkeypatch, operation)
    assert api(503, method, BODIES[method])["code"] == "unavailable"
    assert (api.line["decision"], api.line["reason"]) == ("error", "unavailable")


def test_what_cannot_be_recorded_is_not_given(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, _text: str) -> None:
            raise OSError("no space left")

    monkeypatch.setattr("sys.stdout", Full())
    with pytest.raises(OSError, match="no space"):
        api.list()


def test_an_error_of_ours_tells_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "ada@example.org"

    def broken(*_: Any) -> Any:
        raise RuntimeError(said)

    monkeypatch.setattr(Pool, "get", broken)
    assert api(500, "PATCH", BODIES["PATCH"])["code"] == "internal"
    assert said not in api.printed


# ---- The package ----


def test_the_handler_starts_from_the_package_alone_and_needs_no_library_and_all_that_is_in_it(
    tmp_path: Path, environ: dict[str, str], people: People
) -> None:
    me = people.add("grace", "admin")
    path = package.build(tmp_path, target=Target.host())
    zipfile.ZipFile(path).extractall(tmp_path / "task")
    script = (
        "import json, sys; sys.path.insert(0, sys.argv[1])\n"
        "from lambda_users.handler import handler\n"
        "print(json.dumps([handler(json.loads(event), None)['statusCode'] for event in sys.argv[2:]]))\n"
        "print(json.dumps(sorted(name for name in sys.modules if name.startswith('lambda_'))))\n"
    )
    calls = [event(method, "/users", body, said={"principal": me}) for method, body in BODIES.items()]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, str(tmp_path / "task"), *map(json.dumps, calls)],
        env=environ | {"AWS_LAMBDA_FUNCTION_NAME": "users", "HEARTMAP_USER_POOL": people.id},
        capture_output=True,
        text=True,
        check=True,
    )
    statuses, loaded = done.stdout.splitlines()[-2:]
    assert (json.loads(statuses), done.stderr) == ([200, 201, 404], "")
    packaged = {f"{folder}.{name}" for folder, names in package.MODULES.items() for name in names}
    assert set(json.loads(loaded)) == {name.removesuffix(".__init__") for name in packaged}


@pytest.mark.parametrize("pool", ["", "pool", "us-east-1", "us-east-1_abc def", "us-east-1_a/b"])
def test_without_a_pool_it_does_not_start(environ: dict[str, str], pool: str) -> None:
    with pytest.raises(Exception, match="HEARTMAP_USER_POOL"):
        config.load(environ | {"HEARTMAP_USER_POOL": pool})


def test_a_process_without_a_configuration_answers_nobody() -> None:
    with pytest.raises(Exception, match="HEARTMAP_ENVIRONMENT is not set"):
        handler(event("GET", "/users"), None)
