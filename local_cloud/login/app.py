"""The login's HTTP endpoints."""

import base64
import hashlib
import re
from collections.abc import Callable, Coroutine, Mapping
from typing import Any
from urllib.parse import parse_qsl

import httpx
import structlog
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from local_cloud.edge import waf
from local_cloud.login import programs
from local_cloud.login.authorize import NotForThisClient, RequestRefused
from local_cloud.login.forms import read_form, same
from local_cloud.login.grants import CODE_SECONDS, Code, RefreshTokens, Store
from local_cloud.login.pages import COOKIE, TEMPLATES, Pages, error_page
from local_cloud.login.pool import AppClient, Pool, PoolUnusable, WrongPassword

# RFC 7636, 4.1
VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")

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
        self._codes: Store[Code] = Store(CODE_SECONDS)
        self._refresh_tokens = RefreshTokens()
        self._pages = Pages(pool, self._hosts, self._codes)
        self._style = (TEMPLATES / "style.css").read_text()

    def application(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._guarded(self._configuration), methods=["GET"]),
                Route("/.well-known/jwks.json", self._guarded(self._key_set), methods=["GET"]),
                *(Route(path, self._guarded(endpoint), methods=[method]) for method, path, endpoint in self._pages.routes()),
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
                return self._secured(error_page(error.detail, error.status_code))
            except NotForThisClient as error:
                return self._secured(error_page(str(error), 400))
            except RequestRefused as error:
                return self._secured(RedirectResponse(error.location, 302))
            except TokenError as error:
                return self._secured(JSONResponse({"error": error.error}, 400))
            except ClientDisconnect:
                raise
            except Exception:  # noqa: BLE001 - what went wrong belongs in the log, not on the page
                _log.exception("request failed", path=request.url.path)
                return self._secured(error_page("The login failed. Its log says why.", 500))

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
        return self._secured(error_page("There is no such page.", status))

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

    async def _client(self) -> AppClient:
        return await run_in_threadpool(self._pool.app_client)

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
        form = await read_form(request)
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
        proven = VERIFIER.fullmatch(verifier) and same(_challenge(verifier), code.request.challenge)
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
        form, client = await read_form(request), await self._client()
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


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
