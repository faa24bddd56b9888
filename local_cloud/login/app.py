"""The login's HTTP endpoints."""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import jinja2
import structlog
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from local_cloud.edge import waf
from local_cloud.login import authorize as authorization
from local_cloud.login import programs
from local_cloud.login.authorize import NotForThisClient, RequestRefused
from local_cloud.login.grants import CODE_SECONDS, SIGN_IN_SECONDS, Code, Lockout, RefreshTokens, Session, SignIn, Store
from local_cloud.login.pool import (
    AppClient,
    NewPasswordDue,
    PasswordRefused,
    Pool,
    PoolUnusable,
    SecondFactorNeeded,
    Tokens,
    WrongPassword,
    with_nonce,
)

TEMPLATES = Path(__file__).parent / "templates"
COOKIE = "__Host-heartmap-login"
LARGEST_BODY = 16 * 1024
# RFC 7636, 4.1
VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")

WRONG_PASSWORD = "The username or the password is wrong."  # noqa: S105 - a message
LOCKED = "There were too many attempts for this username. Wait a moment and try again."
SECOND_FACTOR = "This account has a second factor, which the local login cannot check."
POLICY = "The new password does not meet the rules of the user pool. Use upper and lower case, digits and symbols."
MISMATCH = "The two passwords differ."

_log = structlog.get_logger()


class TokenError(Exception):
    """An error answer of the token endpoint (RFC 6749, 5.2)."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


class Login:
    """Builds the application.

    Args:
        pool: the deployed user pool.
        issuer: its issuer, as tokens name it.
        port: where this is served, on the loopback.
        web_acl: that of the pool, if it has one.
    """

    def __init__(self, pool: Pool, issuer: str, port: int, web_acl: waf.WebAcl | None = None) -> None:
        self._pool, self._issuer, self._web_acl = pool, issuer, web_acl
        self._origin = f"https://localhost:{port}"
        self._hosts = {f"localhost:{port}", f"127.0.0.1:{port}"}
        self._sign_ins: Store[SignIn] = Store(SIGN_IN_SECONDS)
        self._codes: Store[Code] = Store(CODE_SECONDS)
        self._refresh_tokens = RefreshTokens()
        self._lockout = Lockout()
        loader = jinja2.FileSystemLoader(TEMPLATES)
        self._templates = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
        self._style = (TEMPLATES / "style.css").read_text()

    def application(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._guarded(self._configuration), methods=["GET"]),
                Route("/.well-known/jwks.json", self._guarded(self._key_set), methods=["GET"]),
                Route("/oauth2/authorize", self._guarded(self._authorize), methods=["GET"]),
                Route("/login", self._guarded(self._page), methods=["GET"]),
                Route("/login", self._guarded(self._sign_in), methods=["POST"]),
                Route("/login/new-password", self._guarded(self._new_password), methods=["POST"]),
                Route("/oauth2/token", self._guarded(self._token), methods=["POST"]),
                Route("/oauth2/revoke", self._guarded(self._revoke), methods=["POST"]),
                Route("/logout", self._guarded(self._logout), methods=["GET"]),
                Route("/style.css", self._guarded(self._stylesheet), methods=["GET"]),
            ],
            exception_handlers={HTTPException: self._http_error},
        )

    # Around every endpoint

    def _guarded(self, endpoint: Callable[[Request], Coroutine[Any, Any, Response]]) -> Callable[[Request], Any]:
        """Refuses foreign hosts, turns failures into pages without details, and adds the security headers."""

        async def guarded(request: Request) -> Response:
            if request.headers.getlist("host") not in [[host] for host in self._hosts]:
                return self._secured(PlainTextResponse("This host is not served here.\n", 403))
            if blocked := self._blocked(request):
                return self._secured(blocked)
            try:
                return self._secured(await endpoint(request))
            except HTTPException as error:
                return self._secured(self._error(error.detail, error.status_code))
            except NotForThisClient as error:
                return self._secured(self._error(str(error), 400))
            except RequestRefused as error:
                return self._secured(RedirectResponse(error.location, 302))
            except TokenError as error:
                return self._secured(JSONResponse({"error": error.error}, 400))
            except ClientDisconnect:
                raise
            except Exception:  # noqa: BLE001 - what went wrong belongs in the log, not on the page
                _log.exception("request failed", path=request.url.path)
                return self._secured(self._error("The login failed. Its log says why.", 500))

        return guarded

    def _blocked(self, request: Request) -> Response | None:
        """What the web ACL answers in the login's place, if it does. A form is small, or else refused later."""
        if self._web_acl is None:
            return None
        length = request.headers.get("content-length", "")
        verdict = self._web_acl.evaluate(
            waf.Request(
                source_ip=request.client.host if request.client else "",
                method=request.method,
                path=request.scope["raw_path"].decode("ascii"),
                headers=request.headers.items(),
                body_bytes=int(length) if length.isdecimal() else 0,
            )
        )
        if verdict.allowed:
            return None
        if verdict.response is None:
            return PlainTextResponse("Forbidden\n", 403)
        return Response(verdict.response.body, verdict.response.status, dict(verdict.response.headers))

    async def _http_error(self, _request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        return self._secured(self._error("There is no such page.", status))

    @staticmethod
    def _secured(response: Response) -> Response:
        headers = {
            "Cache-Control": "no-store",
            "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
            "Cross-Origin-Opener-Policy": "same-origin",
            # Not no-referrer: browsers then send `Origin: null` with the form, which is refused as foreign (Fetch, 3.2).
            "Referrer-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
        }
        # No Strict-Transport-Security: browsers would apply it to http://localhost:8400/callback too.
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        return response

    async def _form(self, request: Request) -> dict[str, str]:
        """A form's fields. Raises HTTPException for what is no small form with one value a field."""
        if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/x-www-form-urlencoded":
            raise HTTPException(415, "A form is expected here.")
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_BODY:
                raise HTTPException(413, "The form is too large.")
        try:
            pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=32)
        except ValueError:
            raise HTTPException(400, "The form is malformed.") from None
        if len(dict(pairs)) != len(pairs):
            raise HTTPException(400, "A field of the form is there twice.")
        return dict(pairs)

    async def _client(self) -> AppClient:
        return await run_in_threadpool(self._pool.app_client)

    # Pages

    async def _authorize(self, request: Request) -> Response:
        client = await self._client()
        asked = authorization.check(parse_qsl(request.url.query, keep_blank_values=True), client)
        browser = request.cookies.get(COOKIE) or secrets.token_urlsafe(32)
        name = self._sign_ins.add(SignIn(request=asked, browser=browser))
        response = RedirectResponse(f"/login?sign_in={name}", 302)
        response.set_cookie(COOKIE, browser, secure=True, httponly=True, samesite="lax", path="/")
        return response

    async def _page(self, request: Request) -> Response:
        name = request.query_params.get("sign_in", "")
        return await self._render("login.html", name, self._find(request, name))

    async def _sign_in(self, request: Request) -> Response:
        form = await self._form(request)
        name, sign_in = self._submitted(request, form)
        username, password = form.get("username", "").strip(), form.get("password", "")
        if self._lockout.locked(username):
            return await self._render("login.html", name, sign_in, status=429, message=LOCKED, username=username)
        try:
            outcome = await run_in_threadpool(self._pool.sign_in, username, password)
        except WrongPassword:
            self._lockout.failed(username)
            return await self._render("login.html", name, sign_in, status=401, message=WRONG_PASSWORD, username=username)
        except SecondFactorNeeded:
            return await self._render("login.html", name, sign_in, status=403, message=SECOND_FACTOR, username=username)
        self._lockout.succeeded(username)
        sign_in.username = username
        if isinstance(outcome, NewPasswordDue):
            sign_in.session = outcome.session
            return await self._render("new_password.html", name, sign_in)
        return self._signed_in(name, sign_in, outcome)

    async def _new_password(self, request: Request) -> Response:
        form = await self._form(request)
        name, sign_in = self._submitted(request, form)
        if sign_in.username is None or sign_in.session is None:
            raise HTTPException(400, "Sign in first.")
        if form.get("password") != form.get("password_again"):
            return await self._render("new_password.html", name, sign_in, status=400, message=MISMATCH)
        try:
            tokens = await run_in_threadpool(
                self._pool.set_password, sign_in.username, form.get("password", ""), sign_in.session
            )  # fmt: skip
        except PasswordRefused:
            return await self._render("new_password.html", name, sign_in, status=400, message=POLICY)
        except (WrongPassword, SecondFactorNeeded):
            self._sign_ins.drop(name)
            raise HTTPException(403, "The sign-in could not be finished. Start again.") from None
        return self._signed_in(name, sign_in, tokens)

    def _signed_in(self, name: str, sign_in: SignIn, tokens: Tokens) -> Response:
        """Ends the sign-in and sends the browser back with a code."""
        self._sign_ins.drop(name)
        asked = sign_in.request
        session = Session(username=sign_in.username or "", pool_token=tokens.refresh, scopes=asked.scopes)
        made = {"access_token": tokens.access, "expires_in": str(tokens.expires_in)}
        if "openid" in asked.scopes:
            made["id_token"] = with_nonce(tokens.id, asked.nonce)
        code = self._codes.add(Code(request=asked, session=session, tokens=made))
        return RedirectResponse(authorization.redirect(asked.redirect_uri, {"code": code}, asked.state), 303)

    def _find(self, request: Request, name: str) -> SignIn:
        sign_in = self._sign_ins.get(name)
        if sign_in is None or not _same(sign_in.browser, request.cookies.get(COOKIE, "")):
            raise HTTPException(400, "This sign-in is over, or began in another browser. Start again.")
        return sign_in

    def _submitted(self, request: Request, form: Mapping[str, str]) -> tuple[str, SignIn]:
        """The sign-in of a form that this server made for this browser."""
        name = form.get("sign_in", "")
        sign_in = self._find(request, name)
        origin = request.headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc not in self._hosts
        if foreign or not _same(sign_in.csrf, form.get("csrf", "")):
            raise HTTPException(403, "The form did not come from the login page. Start again.")
        return name, sign_in

    async def _render(self, template: str, name: str, sign_in: SignIn, *, status: int = 200, **values: str) -> Response:
        values = {"message": "", "username": "", "sign_in": name, "csrf": sign_in.csrf} | values
        page = HTMLResponse(self._templates.get_template(template).render(values), status)
        # Browsers hold form-action against the redirect that follows the form, too.
        callback = urlsplit(sign_in.request.redirect_uri)
        targets = f"'self' {callback.scheme}://{callback.netloc}"
        policy = f"default-src 'none'; style-src 'self'; form-action {targets}; frame-ancestors 'none'; base-uri 'none'"
        page.headers["Content-Security-Policy"] = policy
        return page

    def _error(self, message: str, status: int) -> Response:
        page = HTMLResponse(self._templates.get_template("error.html").render(message=message), status)
        page.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'"
        return page

    async def _stylesheet(self, _request: Request) -> Response:
        return Response(self._style, media_type="text/css")

    async def _logout(self, request: Request) -> Response:
        client = await self._client()
        asked = parse_qsl(request.url.query, keep_blank_values=True)
        values = dict(asked)
        if len(values) != len(asked) or values.get("client_id") != client.id:
            raise NotForThisClient("The application that sent you here is not known.")
        if values.get("logout_uri") not in client.logout_urls:
            raise NotForThisClient("The application that sent you here wants you back at an address that it did not register.")
        response = RedirectResponse(values["logout_uri"], 302)
        response.delete_cookie(COOKIE, secure=True, httponly=True, samesite="lax", path="/")
        return response

    # For programs

    async def _token(self, request: Request) -> Response:
        form = await self._form(request)
        program = await run_in_threadpool(self._pool.program_client)
        try:
            client_id, secret = programs.credential(form, request.headers.get("authorization"))
            if program is not None and client_id == program.id:
                return JSONResponse(programs.grant(form, secret, program, self._issuer))
        except programs.Refused as refused:
            raise TokenError(refused.error) from None
        client = await self._client()
        if client_id != client.id or "authorization" in request.headers or "client_secret" in form:
            raise TokenError("invalid_client")
        match form.get("grant_type"):
            case "authorization_code":
                return JSONResponse(self._redeem(form, client))
            case "refresh_token":
                return JSONResponse(await self._refresh(form, client))
        raise TokenError("unsupported_grant_type")

    def _redeem(self, form: Mapping[str, str], client: AppClient) -> dict[str, Any]:
        """RFC 6749, 4.1.3 and RFC 7636, 4.6. Whatever is wrong, the code is spent."""
        code = self._codes.get(form.get("code", ""))
        if code is None:
            raise TokenError("invalid_grant")
        if code.used:
            code.session.revoked = True
            raise TokenError("invalid_grant")
        code.used = True
        verifier = form.get("code_verifier", "")
        proven = VERIFIER.fullmatch(verifier) and _same(_challenge(verifier), code.request.challenge)
        if not proven or form.get("redirect_uri") != code.request.redirect_uri:
            raise TokenError("invalid_grant")
        return self._answer(code.tokens, self._refresh_tokens.issue(code.session, client.refresh_seconds))

    async def _refresh(self, form: Mapping[str, str], client: AppClient) -> dict[str, Any]:
        session = self._refresh_tokens.use(form.get("refresh_token", ""), rotates=client.rotates, grace=client.grace)
        if session is None:
            raise TokenError("invalid_grant")
        try:
            tokens = await run_in_threadpool(self._pool.refresh, session.username, session.pool_token)
        except WrongPassword:
            session.revoked = True
            raise TokenError("invalid_grant") from None
        made = {"access_token": tokens.access, "expires_in": str(tokens.expires_in)}
        if "openid" in session.scopes:
            made["id_token"] = tokens.id
        return self._answer(made, self._refresh_tokens.issue(session, client.refresh_seconds) if client.rotates else None)

    @staticmethod
    def _answer(made: Mapping[str, str], refresh_token: str | None) -> dict[str, Any]:
        answer: dict[str, Any] = {**made, "expires_in": int(made["expires_in"]), "token_type": "Bearer"}
        return answer | ({"refresh_token": refresh_token} if refresh_token else {})

    async def _revoke(self, request: Request) -> Response:
        form, client = await self._form(request), await self._client()
        if form.get("client_id") != client.id or "authorization" in request.headers:
            raise TokenError("invalid_client")
        if not client.revocable:
            raise TokenError("unauthorized_client")
        self._refresh_tokens.revoke(form.get("token", ""))
        return Response(status_code=200)

    async def _key_set(self, _request: Request) -> Response:
        try:
            return JSONResponse(await run_in_threadpool(self._pool.key_set))
        except httpx.HTTPError:
            raise HTTPException(502, "The user pool does not answer.") from None

    async def _configuration(self, _request: Request) -> Response:
        program = self._pool.program_client_id
        try:
            client = await self._client()
        except PoolUnusable:
            raise HTTPException(502, "The user pool does not answer as deployed.") from None
        return JSONResponse(
            {
                "issuer": self._issuer,
                "authorization_endpoint": f"{self._origin}/oauth2/authorize",
                "token_endpoint": f"{self._origin}/oauth2/token",
                "revocation_endpoint": f"{self._origin}/oauth2/revoke",
                "end_session_endpoint": f"{self._origin}/logout",
                "jwks_uri": f"{self._origin}/.well-known/jwks.json",
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code", "refresh_token", *(["client_credentials"] if program else [])],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": [
                    "none",
                    *(["client_secret_basic", "client_secret_post"] if program else []),
                ],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": list(client.scopes),
            }
        )


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode())


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
