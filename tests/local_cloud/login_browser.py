"""A login on top of an emulated user pool, and a browser that signs in there."""

import base64
import contextlib
import hashlib
import json
import os
import secrets
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

CALLBACKS = ["http://localhost:8400/callback", "http://localhost:8401/callback"]
PASSWORD = "Correct-horse-9-battery"


def make_pool(cognito: Any, *, mfa: str = "OFF", **client: Any) -> dict[str, str]:
    """A pool with the client that infra/ deploys, people in it, and the outputs of the stack."""
    policy = {
        "MinimumLength": 14,
        "RequireUppercase": True,
        "RequireLowercase": True,
        "RequireNumbers": True,
        "RequireSymbols": True,
    }
    pool = cognito.create_user_pool(
        PoolName="pool",
        UsernameConfiguration={"CaseSensitive": False},
        Policies={"PasswordPolicy": policy},
        MfaConfiguration="OFF",
    )["UserPool"]["Id"]
    arguments = {
        "GenerateSecret": False,
        "AllowedOAuthFlowsUserPoolClient": True,
        "AllowedOAuthFlows": ["code"],
        "AllowedOAuthScopes": ["email", "openid"],
        "SupportedIdentityProviders": ["COGNITO"],
        "CallbackURLs": CALLBACKS,
        "LogoutURLs": CALLBACKS,
        "ExplicitAuthFlows": ["ALLOW_REFRESH_TOKEN_AUTH"],
        "EnableTokenRevocation": True,
        "RefreshTokenValidity": 12,
        "TokenValidityUnits": {"RefreshToken": "hours"},
    } | client
    made = cognito.create_user_pool_client(UserPoolId=pool, ClientName="cli", **arguments)["UserPoolClient"]["ClientId"]
    if mfa != "OFF":
        require(cognito, pool, mfa)
    cognito.create_group(UserPoolId=pool, GroupName="analyst")
    for name in ("analyst", "leaver", "locked"):
        cognito.admin_create_user(UserPoolId=pool, Username=name)
        cognito.admin_set_user_password(UserPoolId=pool, Username=name, Password=PASSWORD, Permanent=True)
    cognito.admin_add_user_to_group(UserPoolId=pool, Username="analyst", GroupName="analyst")
    return {"user_pool_id": pool, "client_id": made, "issuer": f"https://cognito-idp.us-east-1.amazonaws.com/{pool}"}


def require(cognito: Any, pool: str, mfa: str) -> None:
    """Switches second factors of a pool to ON, OPTIONAL or OFF."""
    factor = {} if mfa == "OFF" else {"SoftwareTokenMfaConfiguration": {"Enabled": True}}
    cognito.set_user_pool_mfa_config(UserPoolId=pool, MfaConfiguration=mfa, **factor)


def command(state: Path, endpoint: str, port: int) -> dict[str, Any]:
    variables = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }
    arguments = [sys.executable, "-m", "local_cloud.login", "--state", str(state), "--port", str(port)]
    return {"args": arguments, "env": os.environ | variables, "text": True}


@contextlib.contextmanager
def running(state: Path, endpoint: str, outputs: dict[str, str]) -> Iterator[SimpleNamespace]:
    (state / "outputs.json").write_text(json.dumps(outputs))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen(**command(state, endpoint, port), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        try:
            while "login ready" not in (line := process.stdout.readline()):
                assert line, process.stderr.read()
            yield SimpleNamespace(
                origin=f"https://localhost:{port}", port=port, ca=state / "tls" / "ca.pem", process=process, **outputs
            )
        finally:
            process.terminate()
            process.wait(15)


class Form(HTMLParser):
    """The one form of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action, self.fields, self.labels = "", {}, set()
        self.inputs: list[dict[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "form":
            self.action = values["action"] or ""
        if tag == "label":
            self.labels.add(values["for"])
        if tag == "input":
            self.inputs.append(values)
            if values.get("name"):
                self.fields[values["name"] or ""] = values.get("value") or ""


class Browser:
    """A browser that follows nothing by itself, and an application with PKCE."""

    def __init__(self, login: SimpleNamespace) -> None:
        self.login = login
        context = ssl.create_default_context(cafile=str(login.ca))
        self.http = httpx.Client(base_url=login.origin, verify=context, trust_env=False, timeout=20)
        self.verifier = secrets.token_urlsafe(48)
        self.state = secrets.token_urlsafe(16)
        self.nonce = secrets.token_urlsafe(16)

    def parameters(self, **changes: str | None) -> dict[str, str]:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()
        values: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.login.client_id,
            "redirect_uri": CALLBACKS[0],
            "scope": "openid",
            "state": self.state,
            "nonce": self.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return {name: value for name, value in (values | changes).items() if value is not None}

    def authorize(self, **changes: str | None) -> httpx.Response:
        return self.http.get("/oauth2/authorize", params=self.parameters(**changes))

    def page(self, **changes: str | None) -> Form:
        answer = self.authorize(**changes)
        assert answer.status_code == 302, answer.text
        return Form(self.http.get(answer.headers["location"]).text)

    def submit(self, form: Form, **values: str) -> httpx.Response:
        return self.http.post(form.action, data=form.fields | values)

    def step(self, form: Form, **values: str) -> Form:
        """The page that the next step is taken on."""
        answer = self.submit(form, **values)
        assert answer.status_code == 303, answer.text
        return Form(self.http.get(answer.headers["location"]).text)

    def code(self, username: str = "analyst", **changes: str | None) -> str:
        return self.code_in(self.submit(self.page(**changes), username=username, password=PASSWORD))

    def code_in(self, answer: httpx.Response) -> str:
        """The code with which a sign-in ends."""
        assert answer.status_code == 303, answer.text
        target = urlsplit(answer.headers["location"])
        assert f"{target.scheme}://{target.netloc}{target.path}" == CALLBACKS[0]
        values = {name: value for name, (value,) in parse_qs(target.query).items()}
        assert values.pop("state") == self.state
        return values.pop("code")

    def token(self, **form: str | None) -> httpx.Response:
        values = {"client_id": self.login.client_id} | form
        return self.http.post("/oauth2/token", data={name: value for name, value in values.items() if value is not None})

    def redeem(self, code: str, **changes: str | None) -> httpx.Response:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACKS[0], "code_verifier": self.verifier}
        return self.token(**(form | changes))

    def refresh(self, token: str) -> httpx.Response:
        return self.token(grant_type="refresh_token", refresh_token=token)


def refused(answer: httpx.Response, error: str = "invalid_grant") -> None:
    assert (answer.status_code, answer.json()) == (400, {"error": error})
