from typing import Any

import pytest

from operator_cli.environments import Environment
from operator_cli.errors import CliError, WrongUse
from operator_cli.local_sign_in import as_role
from operator_cli.vocabulary import EnvironmentName, Role


def test_the_page_is_filled_in_and_the_code_exchanged(environment: Environment, pool: Any) -> None:
    tokens = as_role(environment, Role.ANALYST)
    assert tokens.claims["username"] == "analyst-1"
    assert tokens.refresh_token in pool.refresh_tokens


def test_outside_local_it_is_wrong_use_and_nothing_is_called(environment: Environment, server: Any) -> None:
    with pytest.raises(WrongUse):
        as_role(environment.model_copy(update={"name": EnvironmentName.DEV}), Role.ADMIN)
    assert not server.seen


def test_a_refused_password_is_told(environment: Environment, pool: Any) -> None:
    pool.username = "someone-else"
    with pytest.raises(CliError, match="refused the local user's password"):
        as_role(environment, Role.ANALYST)


def test_the_password_goes_to_no_other_origin(environment: Environment, pool: Any, bucket: Any, reply: Any) -> None:
    form = f'<form action="{bucket.url}/login"><input name="username"><input type="password" name="password"></form>'
    pool.server.routes["GET", "/login"] = reply(200, form.encode())
    with pytest.raises(CliError, match="leads elsewhere"):
        as_role(environment, Role.ANALYST)
    assert not bucket.seen


def test_a_redirect_to_another_origin_is_not_followed(environment: Environment, pool: Any, bucket: Any, reply: Any) -> None:
    pool.server.routes["GET", "/oauth2/authorize"] = reply(302, headers={"Location": f"{bucket.url}/login"})
    with pytest.raises(CliError, match="leads elsewhere"):
        as_role(environment, Role.ANALYST)
    assert not bucket.seen


@pytest.mark.parametrize("page", [b"", b"<p>Maintenance</p>", b'<form><input name="q"></form>'])
def test_a_page_without_a_form_is_told(environment: Environment, pool: Any, reply: Any, page: bytes) -> None:
    pool.server.routes["GET", "/login"] = reply(200, page)
    with pytest.raises(CliError, match="without a form"):
        as_role(environment, Role.ANALYST)


def test_a_second_factor_is_told_and_what_to_do(environment: Environment, pool: Any, reply: Any) -> None:
    page = b'<form action="/login/code"><input name="code" autocomplete="one-time-code"></form>'
    pool.server.routes["POST", "/login"] = reply(302, headers={"Location": "/code"})
    pool.server.routes["GET", "/code"] = reply(200, page)
    with pytest.raises(CliError, match="code of an authenticator app") as refused:
        as_role(environment, Role.ANALYST)
    assert refused.value.next_step is not None
    assert "heartmapctl login" in refused.value.next_step


def test_a_circle_of_redirects_ends(environment: Environment, pool: Any, reply: Any) -> None:
    pool.server.routes["GET", "/login"] = reply(302, headers={"Location": "/login"})
    with pytest.raises(CliError, match="did not come to an end"):
        as_role(environment, Role.ANALYST)


def test_a_redirect_with_another_state_is_not_taken(environment: Environment, pool: Any, reply: Any) -> None:
    location = "http://localhost:8400/callback?code=c&state=other"
    pool.server.routes["GET", "/oauth2/authorize"] = reply(302, headers={"Location": location})
    with pytest.raises(CliError, match="another sign-in"):
        as_role(environment, Role.ANALYST)
