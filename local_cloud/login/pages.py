"""The pages of a sign-in: the password, then whatever the pool wants besides, and back to the application with a code.

A step that succeeds gives the sign-in another name, which only the browser that took the step is told. Whoever knew the former
name (because they sent the person there) can neither see the next page nor take the next step.
"""

import dataclasses
import re
import secrets
from collections.abc import Callable, Coroutine, Mapping, Set
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jinja2
import segno
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from local_cloud import totp
from local_cloud.login import authorize as authorization
from local_cloud.login.forms import read_form, same
from local_cloud.login.grants import SIGN_IN_SECONDS, Code, Lockout, Session, SignIn, Store
from local_cloud.login.pool import (
    CodeUsed,
    Due,
    PasswordRefused,
    Pool,
    SignInOver,
    Step,
    Tokens,
    WrongCode,
    WrongPassword,
    with_nonce,
)

Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]

TEMPLATES = Path(__file__).parent / "templates"
COOKIE = "__Host-heartmap-login"
ISSUER = "HeartMAP (local)"
"""How an authenticator app names the entry."""

WRONG_PASSWORD = "The username or the password is wrong."  # noqa: S105 - a message
LOCKED = "There were too many attempts for this username. Wait a moment and try again."
POLICY = "The new password does not meet the rules of the user pool. Use upper and lower case, digits and symbols."
MISMATCH = "The two passwords differ."
SIX_DIGITS = "Enter the 6 digits that your app shows."
WRONG_CODE = "The code is wrong or has ended. Enter the one that your app shows now; is the clock of its device right?"
USED_CODE = "This code was used already. Wait until your app shows the next one."
WRONG_MAILED_CODE = "The code is wrong or has ended. An administrator can send you another one."
RESET_DONE = "Your new password is set. Sign in with it."

_PAGES: Mapping[Step | None, str] = {
    None: "login.html",
    Step.NEW_PASSWORD: "new_password.html",
    Step.CODE: "code.html",
    Step.ENROLMENT: "enrolment.html",
    Step.RESET: "reset.html",
}

_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
)


class Pages:
    """The endpoints that a browser sees.

    Args:
        pool: the deployed user pool.
        hosts: what this login is reached as.
        codes: where the codes for the application go.
    """

    def __init__(self, pool: Pool, hosts: Set[str], codes: Store[Code]) -> None:
        self._pool, self._hosts, self._codes = pool, hosts, codes
        self._sign_ins: Store[SignIn] = Store(SIGN_IN_SECONDS)
        # Apart: the right password must not start the count of wrong codes anew.
        self._passwords, self._factors = Lockout(), Lockout()

    def routes(self) -> list[tuple[str, str, Endpoint]]:
        """Method, path and endpoint."""
        return [
            ("GET", "/oauth2/authorize", self._authorize),
            ("GET", "/login", self._page),
            ("POST", "/login", self._password),
            ("POST", "/login/new-password", self._new_password),
            ("POST", "/login/code", self._code),
            ("POST", "/login/enrolment", self._enrolment),
            ("POST", "/login/reset", self._reset),
        ]

    async def _authorize(self, request: Request) -> Response:
        client = await run_in_threadpool(self._pool.app_client)
        asked = authorization.check(parse_qsl(request.url.query, keep_blank_values=True), client)
        browser = request.cookies.get(COOKIE) or secrets.token_urlsafe(32)
        response = self._lead_to(SignIn(request=asked, browser=browser), 302)
        response.set_cookie(COOKIE, browser, secure=True, httponly=True, samesite="lax", path="/")
        return response

    async def _page(self, request: Request) -> Response:
        name = request.query_params.get("sign_in", "")
        return self._render(name, self._find(request, name))

    # Steps

    async def _password(self, request: Request) -> Response:
        form = await read_form(request)
        name, sign_in = self._submitted(request, form)
        if sign_in.due is not None:
            raise HTTPException(400, "This step is over. Start again.")
        username, password = form.get("username", "").strip(), form.get("password", "")
        if not self._passwords.attempt(username):
            return self._render(name, sign_in, status=429, message=LOCKED, username=username)
        try:
            outcome = await run_in_threadpool(self._pool.sign_in, username, password)
        except WrongPassword:
            return self._render(name, sign_in, status=401, message=WRONG_PASSWORD, username=username)
        self._passwords.succeeded(username)
        return self._go_on(name, dataclasses.replace(sign_in, username=username), outcome)

    async def _new_password(self, request: Request) -> Response:
        form, name, sign_in, due = await self._answer(request, Step.NEW_PASSWORD)
        if form.get("password") != form.get("password_again"):
            return self._render(name, sign_in, status=400, message=MISMATCH)
        try:
            outcome = await run_in_threadpool(
                self._pool.set_password, sign_in.username, form.get("password", ""), due.session
            )  # fmt: skip
        except PasswordRefused:
            return self._render(name, sign_in, status=400, message=POLICY)
        except SignInOver:
            raise self._over(name) from None
        return self._go_on(name, sign_in, outcome)

    async def _code(self, request: Request) -> Response:
        return await self._six_digits(request, Step.CODE, self._pool.check_code)

    async def _enrolment(self, request: Request) -> Response:
        return await self._six_digits(request, Step.ENROLMENT, self._pool.enrol)

    async def _six_digits(self, request: Request, step: Step, check: Callable[[str, str, str], Tokens | Due]) -> Response:
        form, name, sign_in, due = await self._answer(request, step)
        # Apps show the digits in groups, and people copy them like that.
        code = "".join(form.get("code", "").split())
        if not re.fullmatch(rf"[0-9]{{{totp.DIGITS}}}", code):
            return self._render(name, sign_in, status=400, message=SIX_DIGITS)
        if not self._factors.attempt(sign_in.username):
            return self._render(name, sign_in, status=429, message=LOCKED)
        try:
            outcome = await run_in_threadpool(check, sign_in.username, code, due.session)
        except WrongCode:
            return self._render(name, sign_in, status=401, message=WRONG_CODE)
        except CodeUsed:
            return self._render(name, sign_in, status=401, message=USED_CODE)
        except SignInOver:
            raise self._over(name) from None
        self._factors.succeeded(sign_in.username)
        return self._go_on(name, sign_in, outcome)

    async def _reset(self, request: Request) -> Response:
        form, name, sign_in, _ = await self._answer(request, Step.RESET)
        if form.get("password") != form.get("password_again"):
            return self._render(name, sign_in, status=400, message=MISMATCH)
        if not self._factors.attempt(sign_in.username):
            return self._render(name, sign_in, status=429, message=LOCKED)
        code = "".join(form.get("code", "").split())
        try:
            await run_in_threadpool(self._pool.reset_password, sign_in.username, code, form.get("password", ""))
        except WrongCode:
            return self._render(name, sign_in, status=401, message=WRONG_MAILED_CODE)
        except PasswordRefused:
            self._factors.succeeded(sign_in.username)
            return self._render(name, sign_in, status=400, message=POLICY)
        self._factors.succeeded(sign_in.username)
        self._sign_ins.drop(name)
        return self._lead_to(dataclasses.replace(sign_in, due=None, notice=RESET_DONE))

    # Between the steps

    def _go_on(self, name: str, sign_in: SignIn, outcome: Tokens | Due) -> Response:
        """To the next step, or back to the application with a code."""
        self._sign_ins.drop(name)
        if isinstance(outcome, Due):
            return self._lead_to(dataclasses.replace(sign_in, due=outcome, notice=""))
        asked = sign_in.request
        session = Session(username=sign_in.username, pool_token=outcome.refresh, scopes=asked.scopes)
        made = {"access_token": outcome.access, "expires_in": str(outcome.expires_in)}
        if "openid" in asked.scopes:
            made["id_token"] = with_nonce(outcome.id, asked.nonce)
        code = self._codes.add(Code(request=asked, session=session, tokens=made))
        return RedirectResponse(authorization.redirect(asked.redirect_uri, {"code": code}, asked.state), 303)

    def _lead_to(self, sign_in: SignIn, status: int = 303) -> Response:
        """To the page of a sign-in, under a name that it did not have before."""
        name = self._sign_ins.add(dataclasses.replace(sign_in, csrf=secrets.token_urlsafe(32)))
        return RedirectResponse(f"/login?sign_in={name}", status)

    def _over(self, name: str) -> HTTPException:
        self._sign_ins.drop(name)
        return HTTPException(403, "The sign-in could not be finished. Start again.")

    def _find(self, request: Request, name: str) -> SignIn:
        sign_in = self._sign_ins.get(name)
        if sign_in is None or not same(sign_in.browser, request.cookies.get(COOKIE, "")):
            raise HTTPException(400, "This sign-in is over, or began in another browser. Start again.")
        return sign_in

    def _submitted(self, request: Request, form: Mapping[str, str]) -> tuple[str, SignIn]:
        """The sign-in of a form that this server made for this browser."""
        name = form.get("sign_in", "")
        sign_in = self._find(request, name)
        origin = request.headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc not in self._hosts
        if foreign or not same(sign_in.csrf, form.get("csrf", "")):
            raise HTTPException(403, "The form did not come from the login page. Start again.")
        return name, sign_in

    async def _answer(self, request: Request, step: Step) -> tuple[dict[str, str], str, SignIn, Due]:
        """The form of a step, which is the one that is due."""
        form = await read_form(request)
        name, sign_in = self._submitted(request, form)
        if sign_in.due is None or sign_in.due.step is not step:
            raise HTTPException(400, "This is not the step that is due. Start again.")
        return form, name, sign_in, sign_in.due

    def _render(self, name: str, sign_in: SignIn, *, status: int = 200, message: str = "", username: str = "") -> Response:
        """The page of the step that is due."""
        values: dict[str, Any] = {
            "message": message,
            "notice": "" if message else sign_in.notice,
            "username": username or sign_in.username,
            "sign_in": name,
            "csrf": sign_in.csrf,
            "shortest": sign_in.due.shortest if sign_in.due else 0,
        }
        if sign_in.due is not None and sign_in.due.secret:
            values |= _enrolment_values(sign_in.due.secret, sign_in.username)
        page = HTMLResponse(_templates.get_template(_PAGES[sign_in.due and sign_in.due.step]).render(values), status)
        # Browsers hold form-action against the redirect that follows the form, too.
        callback = urlsplit(sign_in.request.redirect_uri)
        targets = f"'self' {callback.scheme}://{callback.netloc}"
        policy = f"default-src 'none'; style-src 'self'; form-action {targets}; frame-ancestors 'none'; base-uri 'none'"
        page.headers["Content-Security-Policy"] = policy
        return page


def _enrolment_values(secret: str, username: str) -> dict[str, str]:
    address = totp.address(secret, issuer=ISSUER, account=username)
    # Presentation attributes only, no style: the page's policy allows no inline style. Black on white in either theme, with the
    # margin of four modules that readers need (ISO/IEC 18004).
    drawing = segno.make(address, error="m", micro=False).svg_inline(border=4, dark="#000", light="#fff", omitsize=True)
    groups = [secret[at : at + 4] for at in range(0, len(secret), 4)]
    return {"address": address, "drawing": drawing, "secret": " ".join(groups)}


def error_page(message: str, status: int) -> Response:
    """A page that says what went wrong."""
    page = HTMLResponse(_templates.get_template("error.html").render(message=message), status)
    page.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'"
    return page
