"""Second factors and passwords that an administrator reset, through the pages of the login and the emulated AWS itself."""

import html
import json
import re
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from joserfc import jwt
from joserfc.jwk import KeySet

from local_cloud import moto_fixes_factors, totp
from tests.local_cloud.login_browser import PASSWORD, Browser, Form, make_pool, refused, require, running

NEW_PASSWORD = "Another-horse-8-battery"


class Clock:
    """The time of the emulated AWS, in seconds since the epoch; it stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1_900_000_000.0

    def time(self) -> float:
        return self.now

    def step(self) -> int:
        return int(self.now // totp.STEP_SECONDS)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    # The emulated AWS of these tests serves from this process.
    made = Clock()
    monkeypatch.setattr(moto_fixes_factors, "time", made)
    return made


@pytest.fixture(scope="module")
def login(aws: Callable, aws_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    with running(tmp_path_factory.mktemp("mfa"), aws_endpoint, make_pool(aws("cognito-idp"), mfa="ON")) as serving:
        yield serving


@pytest.fixture
def cognito(aws: Callable, login: SimpleNamespace) -> Iterator[Any]:
    """The pool demands a second factor, whatever the test before did."""
    client = aws("cognito-idp")
    require(client, login.user_pool_id, "ON")
    return client


@pytest.fixture
def browser(login: SimpleNamespace) -> Iterator[Browser]:
    made = Browser(login)
    with made.http:
        yield made


@pytest.fixture
def person(cognito: Any, login: SimpleNamespace) -> str:
    """Somebody with a password and nothing else."""
    name = f"person-{secrets.token_hex(4)}@example.org"
    attributes = [{"Name": "email", "Value": name}, {"Name": "email_verified", "Value": "true"}]
    cognito.admin_create_user(UserPoolId=login.user_pool_id, Username=name, UserAttributes=attributes)
    cognito.admin_set_user_password(UserPoolId=login.user_pool_id, Username=name, Password=PASSWORD, Permanent=True)
    return name


def enrolment(browser: Browser, person: str) -> tuple[Form, str]:
    """The page that shows a secret, and the secret."""
    answer = browser.submit(browser.page(), username=person, password=PASSWORD)
    assert answer.status_code == 303, answer.text
    page = browser.http.get(answer.headers["location"]).text
    return Form(page), secret_of(page)


def secret_of(page: str) -> str:
    found = re.search(r'<code class="secret"[^>]*>([A-Z2-7 ]+)</code>', page)
    assert found, page
    return found[1].replace(" ", "")


@pytest.fixture
def enrolled(browser: Browser, person: str, clock: Clock) -> str:
    """The secret of the person, who signed in with the code of the step before this one."""
    form, secret = enrolment(browser, person)
    browser.code_in(browser.submit(form, code=totp.code_of(secret, clock.step() - 1)))
    return secret


def asked(browser: Browser, person: str, password: str = PASSWORD) -> Form:
    """The page that asks for a code."""
    form = browser.step(browser.page(), username=person, password=password)
    assert form.action == "/login/code"
    return form


# Enrolment


def test_who_has_no_second_factor_sets_one_up_before_any_token_and_is_asked_for_it_from_then_on(
    browser: Browser, person: str, clock: Clock
) -> None:
    form, secret = enrolment(browser, person)
    assert form.action == "/login/enrolment"
    tokens = browser.redeem(browser.code_in(browser.submit(form, code=totp.code_of(secret, clock.step()))))
    assert tokens.status_code == 200
    code = totp.code_of(secret, clock.step() + 1)
    answer = browser.submit(asked(browser, person), code=f" {code[:3]} {code[3:]} ")
    assert browser.redeem(browser.code_in(answer)).status_code == 200


def test_the_page_shows_the_secret_as_a_qr_code_and_as_text(browser: Browser, person: str, clock: Clock) -> None:
    answer = browser.submit(browser.page(), username=person, password=PASSWORD)
    page = browser.http.get(answer.headers["location"])
    secret = secret_of(page.text)
    (address,) = re.findall(r'href="(otpauth://[^"]+)"', page.text)
    assert html.unescape(address) == totp.address(secret, issuer="HeartMAP (local)", account=person)
    assert re.search(r'<div class="qr" role="img" aria-label="[^"]+"><svg [^>]*viewBox=[^>]*>', page.text)
    # The page can be loaded again, with the same secret.
    assert secret_of(browser.http.get(answer.headers["location"]).text) == secret


def test_every_person_and_every_attempt_gets_another_secret(browser: Browser, person: str, clock: Clock) -> None:
    assert enrolment(browser, person)[1] != enrolment(browser, person)[1]


@pytest.mark.parametrize("code", ["000000", "", "12345", "abcdef", "1234567", "١٢٣٤٥٦"])
def test_a_wrong_code_enrols_nothing(browser: Browser, person: str, cognito: Any, clock: Clock, code: str) -> None:
    form, secret = enrolment(browser, person)
    clock.now += totp.STEP_SECONDS * 100 * ("000000" in {totp.code_of(secret, clock.step() + n) for n in (-1, 0, 1)})
    answer = browser.submit(form, code=code)
    assert answer.status_code in (400, 401)
    assert 'role="alert"' in answer.text
    assert secret_of(answer.text) == secret
    assert not cognito.admin_get_user(UserPoolId=browser.login.user_pool_id, Username=person).get("UserMFASettingList")
    assert enrolment(browser, person)[0].action == "/login/enrolment"


def test_a_newcomer_replaces_the_given_password_and_then_sets_up_a_second_factor(
    browser: Browser, cognito: Any, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"newcomer-{secrets.token_hex(4)}@example.org"
    attributes = [{"Name": "email", "Value": name}]
    cognito.admin_create_user(UserPoolId=browser.login.user_pool_id, Username=name, UserAttributes=attributes)
    mail = re.search(rf"Mail to {name}: Your username is {name} and your temporary password is (\S+)\n", capsys.readouterr().out)
    assert mail
    form = browser.step(browser.page(), username=name, password=mail[1])
    answer = browser.submit(form, password=NEW_PASSWORD, password_again=NEW_PASSWORD)
    page = browser.http.get(answer.headers["location"]).text
    done = browser.submit(Form(page), code=totp.code_of(secret_of(page), clock.step()))
    assert browser.redeem(browser.code_in(done)).status_code == 200


# Codes


@pytest.mark.parametrize(("apart", "taken"), [(-2, False), (-1, False), (0, True), (1, True), (2, False)])
def test_the_code_of_this_step_or_the_next_one_gets_in(
    browser: Browser, person: str, enrolled: str, clock: Clock, apart: int, taken: bool
) -> None:
    """The one before is the code of the enrolment, and is spent."""
    answer = browser.submit(asked(browser, person), code=totp.code_of(enrolled, clock.step() + apart))
    assert (answer.status_code == 303) == taken


def test_a_code_is_taken_once_and_none_before_it_afterwards(browser: Browser, person: str, enrolled: str, clock: Clock) -> None:
    code, earlier = totp.code_of(enrolled, clock.step() + 1), totp.code_of(enrolled, clock.step())
    assert browser.submit(asked(browser, person), code=code).status_code == 303
    for spent in (code, earlier):
        again = browser.submit(asked(browser, person), code=spent)
        assert again.status_code == 401
        assert "used already" in again.text
    clock.now += 2 * totp.STEP_SECONDS
    assert browser.submit(asked(browser, person), code=totp.code_of(enrolled, clock.step())).status_code == 303


def test_of_many_who_send_one_code_at_the_same_time_one_gets_in(
    login: SimpleNamespace, person: str, enrolled: str, clock: Clock
) -> None:
    browsers = [Browser(login) for _ in range(4)]
    forms = [asked(each, person) for each in browsers]
    code = totp.code_of(enrolled, clock.step())
    with ThreadPoolExecutor(len(browsers)) as threads:
        answers = list(threads.map(lambda pair: pair[0].submit(pair[1], code=code), zip(browsers, forms, strict=True)))
    assert [answer.status_code for answer in answers].count(303) == 1
    for each in browsers:
        each.http.close()


def test_guessing_codes_locks_the_second_factor_and_the_password_does_not_open_it_again(
    browser: Browser, person: str, enrolled: str, clock: Clock
) -> None:
    right = totp.code_of(enrolled, clock.step())
    wrong = next(
        code for code in ("000000", "111111", "222222", "333333") if totp.matching_step(enrolled, code, clock.now) is None
    )
    statuses: list[int] = []
    # Each guess in a sign-in of its own. After the seventh that is looked at, the wait is four seconds.
    while statuses.count(401) < 7:
        statuses.append(browser.submit(asked(browser, person), code=wrong).status_code)
    assert statuses[:5] == [401] * 5
    assert 429 in statuses[5:]
    answer = browser.submit(asked(browser, person), code=right)
    assert answer.status_code == 429
    assert "too many attempts" in answer.text


# What the pool says at that moment


def test_an_optional_second_factor_is_asked_of_those_who_have_one(
    browser: Browser, person: str, enrolled: str, cognito: Any
) -> None:
    require(cognito, browser.login.user_pool_id, "OPTIONAL")
    assert asked(browser, person)
    assert browser.code("analyst")


def test_nobody_is_asked_where_second_factors_are_off(browser: Browser, person: str, enrolled: str, cognito: Any) -> None:
    require(cognito, browser.login.user_pool_id, "OFF")
    assert browser.code(person)
    require(cognito, browser.login.user_pool_id, "ON")
    assert asked(browser, person)


def test_what_was_enrolled_under_optional_can_be_switched_off_by_the_administrator(
    browser: Browser, person: str, enrolled: str, cognito: Any
) -> None:
    pool = browser.login.user_pool_id
    cognito.admin_set_user_mfa_preference(UserPoolId=pool, Username=person, SoftwareTokenMfaSettings={"Enabled": False})
    require(cognito, pool, "OPTIONAL")
    assert browser.code(person)
    require(cognito, pool, "ON")
    assert asked(browser, person)


def test_a_person_enrols_by_the_api_with_real_codes_only(browser: Browser, person: str, cognito: Any, clock: Clock) -> None:
    pool = browser.login.user_pool_id
    require(cognito, pool, "OPTIONAL")
    token = browser.redeem(browser.code(person)).json()["access_token"]
    secret = cognito.associate_software_token(AccessToken=token)["SecretCode"]
    with pytest.raises(cognito.exceptions.EnableSoftwareTokenMFAException):
        cognito.verify_software_token(AccessToken=token, UserCode=totp.code_of(secret, clock.step() - 50))
    settings = {"SoftwareTokenMfaSettings": {"Enabled": True, "PreferredMfa": True}}
    with pytest.raises(cognito.exceptions.InvalidParameterException):
        cognito.admin_set_user_mfa_preference(UserPoolId=pool, Username=person, **settings)
    cognito.verify_software_token(AccessToken=token, UserCode=totp.code_of(secret, clock.step()))
    cognito.admin_set_user_mfa_preference(UserPoolId=pool, Username=person, **settings)
    assert browser.submit(asked(browser, person), code=totp.code_of(secret, clock.step() + 1)).status_code == 303


def test_who_lost_the_device_sets_up_another_one_after_an_administrator_deleted_the_first(
    browser: Browser, person: str, enrolled: str, login: SimpleNamespace, aws_endpoint: str, clock: Clock
) -> None:
    # Newer than what boto3 knows.
    request = AWSRequest(
        "POST",
        aws_endpoint,
        {
            "X-Amz-Target": "AWSCognitoIdentityProviderService.AdminDeleteSoftwareToken",
            "Content-Type": "application/x-amz-json-1.1",
        },
        json.dumps({"UserPoolId": login.user_pool_id, "Username": person}),
    )
    SigV4Auth(Credentials("local", "local"), "cognito-idp", "us-east-1").add_auth(request)
    httpx.post(aws_endpoint, content=request.data, headers=dict(request.headers), trust_env=False).raise_for_status()
    form, secret = enrolment(browser, person)
    assert form.action == "/login/enrolment"
    assert secret != enrolled
    assert browser.submit(form, code=totp.code_of(enrolled, clock.step() + 1)).status_code == 401
    assert browser.submit(form, code=totp.code_of(secret, clock.step())).status_code == 303
    assert browser.submit(asked(browser, person), code=totp.code_of(secret, clock.step() + 1)).status_code == 303


# Whoever may not sign in any more


def test_who_is_disabled_after_the_password_does_not_get_in_with_the_code(
    browser: Browser, person: str, enrolled: str, cognito: Any, clock: Clock
) -> None:
    form = asked(browser, person)
    cognito.admin_disable_user(UserPoolId=browser.login.user_pool_id, Username=person)
    answer = browser.submit(form, code=totp.code_of(enrolled, clock.step()))
    assert answer.status_code == 403
    assert browser.submit(form, code=totp.code_of(enrolled, clock.step() + 1)).status_code == 400


@pytest.fixture
def mailed_code(cognito: Any, login: SimpleNamespace, person: str, clock: Clock, capsys: pytest.CaptureFixture[str]) -> str:
    """What was mailed to the person, whose password an administrator has reset."""
    capsys.readouterr()
    cognito.admin_reset_user_password(UserPoolId=login.user_pool_id, Username=person)
    mail = re.search(rf"Mail to {person}: Your code to set a new password is ([0-9]{{6}})\n", capsys.readouterr().out)
    assert mail
    return mail[1]


def test_a_password_that_an_administrator_reset_is_set_anew_with_the_mailed_code(
    browser: Browser, person: str, enrolled: str, mailed_code: str, clock: Clock
) -> None:
    form = browser.step(browser.page(), username=person, password=PASSWORD)
    assert form.action == "/login/reset"
    code = mailed_code
    new = {"password": NEW_PASSWORD, "password_again": NEW_PASSWORD}
    assert browser.submit(form, code=f"{(int(code) + 1) % 10**6:06}", **new).status_code == 401
    assert browser.submit(form, code=code, password=NEW_PASSWORD, password_again="other").status_code == 400
    assert browser.submit(form, code=code, password="short", password_again="short").status_code == 400
    form = browser.step(form, code=code, **new)
    assert form.action == "/login"
    # The mailed code opens nothing: the second factor is asked for as ever.
    answer = browser.submit(asked(browser, person, NEW_PASSWORD), code=totp.code_of(enrolled, clock.step()))
    assert browser.redeem(browser.code_in(answer)).status_code == 200
    assert browser.submit(browser.page(), username=person, password=PASSWORD).status_code == 401


def test_a_mailed_code_is_used_once_and_ends_after_an_hour(
    browser: Browser, person: str, mailed_code: str, cognito: Any, clock: Clock
) -> None:
    confirm = {
        "ClientId": browser.login.client_id,
        "Username": person,
        "ConfirmationCode": mailed_code,
        "Password": NEW_PASSWORD,
    }
    clock.now += 3600
    with pytest.raises(cognito.exceptions.ExpiredCodeException):
        cognito.confirm_forgot_password(**confirm)
    clock.now -= 1
    cognito.confirm_forgot_password(**confirm)
    with pytest.raises(cognito.exceptions.CodeMismatchException):
        cognito.confirm_forgot_password(**confirm)


def test_a_sign_out_by_the_administrator_ends_the_session_however_the_name_was_typed(
    browser: Browser, person: str, cognito: Any
) -> None:
    require(cognito, browser.login.user_pool_id, "OFF")
    answer = browser.submit(browser.page(), username=person.upper(), password=PASSWORD)
    tokens = browser.redeem(browser.code_in(answer)).json()
    keys = KeySet.import_key_set(browser.http.get("/.well-known/jwks.json").json())
    assert jwt.decode(tokens["access_token"], keys, algorithms=["RS256"]).claims["username"] == person
    assert browser.refresh(tokens["refresh_token"]).status_code == 200
    cognito.admin_user_global_sign_out(UserPoolId=browser.login.user_pool_id, Username=person)
    refused(browser.refresh(tokens["refresh_token"]))


def test_a_reset_ends_running_sessions(browser: Browser, person: str, cognito: Any) -> None:
    require(cognito, browser.login.user_pool_id, "OFF")
    tokens = browser.redeem(browser.code(person)).json()
    cognito.admin_reset_user_password(UserPoolId=browser.login.user_pool_id, Username=person)
    refused(browser.refresh(tokens["refresh_token"]))


# Steps cannot be skipped, and belong to one browser


@pytest.mark.parametrize("path", ["/login", "/login/new-password", "/login/enrolment", "/login/reset"])
def test_a_step_that_is_not_due_is_refused(browser: Browser, person: str, enrolled: str, clock: Clock, path: str) -> None:
    form = asked(browser, person)
    form.action = path
    values = {"username": person, "password": PASSWORD, "password_again": PASSWORD}
    answer = browser.submit(form, code=totp.code_of(enrolled, clock.step()), **values)
    assert answer.status_code == 400
    assert "location" not in answer.headers


def test_the_code_step_does_not_replace_an_enrolment(browser: Browser, person: str, clock: Clock) -> None:
    form, secret = enrolment(browser, person)
    form.action = "/login/code"
    assert browser.submit(form, code=totp.code_of(secret, clock.step())).status_code == 400


def test_who_planted_a_sign_in_in_another_browser_sees_nothing_of_what_follows(
    login: SimpleNamespace, browser: Browser, person: str, clock: Clock
) -> None:
    """Session fixation: the attacker begins, gives the victim the address and even the cookie, and waits for the password."""
    attacker = Browser(login)
    with attacker.http:
        planted = attacker.authorize().headers["location"]
        browser.http.cookies.update(attacker.http.cookies)
        form = Form(browser.http.get(planted).text)
        answer = browser.submit(form, username=person, password=PASSWORD)
        assert answer.headers["location"] != planted
        seen = attacker.http.get(planted)
        assert seen.status_code == 400
        assert "secret" not in seen.text
        assert attacker.submit(form, code="123456").status_code == 400
        assert browser.http.get(answer.headers["location"]).status_code == 200


# The emulated AWS itself


def challenge(cognito: Any, login: SimpleNamespace, person: str) -> dict[str, Any]:
    return cognito.admin_initiate_auth(
        UserPoolId=login.user_pool_id,
        ClientId=login.client_id,
        AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": person, "PASSWORD": PASSWORD},
    )


def respond(cognito: Any, login: SimpleNamespace, name: str, session: str, **answers: str) -> dict[str, Any]:
    return cognito.admin_respond_to_auth_challenge(
        UserPoolId=login.user_pool_id, ClientId=login.client_id, ChallengeName=name, Session=session, ChallengeResponses=answers
    )


def test_a_session_answers_its_own_challenge_for_its_own_person_once(
    cognito: Any, login: SimpleNamespace, browser: Browser, person: str, enrolled: str, clock: Clock
) -> None:
    session = challenge(cognito, login, person)["Session"]
    code = totp.code_of(enrolled, clock.step())
    for name, answers in (
        ("NEW_PASSWORD_REQUIRED", {"USERNAME": person, "NEW_PASSWORD": NEW_PASSWORD}),
        ("MFA_SETUP", {"USERNAME": person}),
        ("SOFTWARE_TOKEN_MFA", {"USERNAME": "analyst", "SOFTWARE_TOKEN_MFA_CODE": code}),
        ("SOFTWARE_TOKEN_MFA", {"SOFTWARE_TOKEN_MFA_CODE": code}),
    ):
        with pytest.raises(cognito.exceptions.NotAuthorizedException):
            respond(cognito, login, name, session, **answers)
    right = {"USERNAME": person, "SOFTWARE_TOKEN_MFA_CODE": code}
    assert respond(cognito, login, "SOFTWARE_TOKEN_MFA", session, **right)["AuthenticationResult"]
    with pytest.raises(cognito.exceptions.NotAuthorizedException):
        respond(cognito, login, "SOFTWARE_TOKEN_MFA", session, **right)


def test_an_enrolment_without_a_right_code_gives_no_tokens(cognito: Any, login: SimpleNamespace, person: str) -> None:
    started = challenge(cognito, login, person)
    assert started["ChallengeName"] == "MFA_SETUP"
    cognito.associate_software_token(Session=started["Session"])
    with pytest.raises(cognito.exceptions.NotAuthorizedException):
        respond(cognito, login, "MFA_SETUP", started["Session"], USERNAME=person)


def test_no_flow_of_the_api_goes_round_the_second_factor(
    cognito: Any, login: SimpleNamespace, person: str, enrolled: str
) -> None:
    parameters = {"USERNAME": person, "PASSWORD": PASSWORD, "SRP_A": "00"}
    with pytest.raises(cognito.exceptions.InvalidParameterException):
        cognito.initiate_auth(ClientId=login.client_id, AuthFlow="USER_SRP_AUTH", AuthParameters=parameters)
    answer = cognito.initiate_auth(ClientId=login.client_id, AuthFlow="USER_PASSWORD_AUTH", AuthParameters=parameters)
    assert answer["ChallengeName"] == "SOFTWARE_TOKEN_MFA"
    assert "AuthenticationResult" not in answer


def test_a_renewal_keeps_the_time_of_the_sign_in(browser: Browser, person: str, enrolled: str, clock: Clock) -> None:
    signed_in = int(clock.now)
    answer = browser.submit(asked(browser, person), code=totp.code_of(enrolled, clock.step()))
    tokens = browser.redeem(browser.code_in(answer)).json()
    clock.now += 1000
    renewed = browser.refresh(tokens["refresh_token"]).json()
    keys = KeySet.import_key_set(browser.http.get("/.well-known/jwks.json").json())
    identity = jwt.decode(tokens["id_token"], keys, algorithms=["RS256"]).claims
    assert (identity["email"], identity["email_verified"]) == (person, True)
    for token in (tokens["access_token"], renewed["access_token"], renewed["id_token"]):
        assert jwt.decode(token, keys, algorithms=["RS256"]).claims["auth_time"] == signed_in


# Pages


def test_the_pages_of_the_second_factor_are_accessible_and_run_no_script(
    browser: Browser, person: str, enrolled: str, login: SimpleNamespace
) -> None:
    other = Browser(login)
    with other.http:
        first = browser.submit(browser.page(), username=person, password=PASSWORD)
        answers = [
            browser.http.get(first.headers["location"]),
            browser.submit(Form(browser.http.get(first.headers["location"]).text), code="12"),
            other.http.get(other.submit(other.page(), username="analyst", password=PASSWORD).headers["location"]),
        ]
        for answer in answers:
            form, page = Form(answer.text), answer.text
            (field,) = [field for field in form.inputs if field.get("type") != "hidden"]
            assert (field["autocomplete"], field["inputmode"]) == ("one-time-code", "numeric")
            assert form.labels == {field["id"]}
            assert "maxlength" not in field, "a code is pasted with the spaces that the app shows"
            described = (field["aria-describedby"] or "").split()
            assert all(f'id="{name}"' in page for name in described)
            assert "<script" not in page
            assert " style=" not in page
            assert not re.search(r"\son[a-z]+=", page)
            policy = answer.headers["content-security-policy"]
            assert "unsafe" not in policy
            assert "data:" not in policy
        assert 'role="alert"' in answers[1].text
        assert "<title>Error: " in answers[1].text
