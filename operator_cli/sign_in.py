"""Sign-in with a browser: authorization code with PKCE on a loopback redirect.

RFC 8252 (native apps), RFC 7636 (PKCE), OpenID Connect Core 1.0 (nonce). Cognito compares callback addresses as strings, so the
ports are a fixed short list (docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-app-idp-settings.html).
"""

import base64
import hashlib
import hmac
import queue
import secrets
import threading
import time
import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

from operator_cli import token_endpoint
from operator_cli.environments import Environment
from operator_cli.errors import CliError
from operator_cli.output import Output
from operator_cli.tokens import Tokens

CALLBACK_PORTS = (8400, 8401, 8402)
CALLBACK_PATH = "/callback"
CONNECTION_SECONDS = 10


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One sign-in: the secrets that tie the browser's answer and the tokens to the request."""

    redirect_uri: str
    state: str
    nonce: str
    verifier: str

    @classmethod
    def start(cls, port: int) -> "Attempt":
        return cls(
            redirect_uri=f"http://localhost:{port}{CALLBACK_PATH}",
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(64),
        )

    def address(self, environment: Environment) -> str:
        """What to open in the browser."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": environment.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": "openid",
            "state": self.state,
            "nonce": self.nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        return f"{environment.authorize_url}?{urlencode(query)}"

    def finish(self, environment: Environment, answer: "Answer") -> Tokens:
        """The tokens for what came back to the callback. Raises CliError when the user or the pool refused."""
        if answer.code is None:
            raise CliError(
                f"The sign-in was refused: {answer.description or answer.error}.",
                code=answer.error,
                next_step=f"Try again: {environment.command('login')}",
            )
        return token_endpoint.exchange(
            environment, code=answer.code, verifier=self.verifier, redirect_uri=self.redirect_uri, nonce=self.nonce
        )


class Answer(NamedTuple):
    """What the authorization endpoint sent to the callback: a code or an error."""

    code: str | None
    error: str | None
    description: str | None


def read_callback(target: str, state: str) -> Answer | None:
    """The answer in a callback's address, or None when it is not an answer to this sign-in.

    Whoever else can reach the port (another page in the browser, another user of the machine) does not know the state, and
    must neither end nor replace the sign-in.
    """
    parts = urlsplit(target)
    if parts.path != CALLBACK_PATH:
        return None
    try:
        values = parse_qs(parts.query, strict_parsing=True, max_num_fields=16)
    except ValueError:
        return None
    if any(len(given) != 1 for given in values.values()):
        return None
    single: Mapping[str, str] = {name: given[0] for name, given in values.items()}
    if not hmac.compare_digest(single.get("state", "").encode(), state.encode()):
        return None
    code, error = single.get("code"), single.get("error")
    if (code is None) == (error is None):
        return None
    return Answer(code, error, single.get("error_description"))


class CallbackServer:
    """Listens on the loopback address for the one redirect that ends a sign-in."""

    def __init__(self) -> None:
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._state = ""
        self._server = self._bind()

    def _bind(self) -> ThreadingHTTPServer:
        for port in CALLBACK_PORTS:
            try:
                # The loopback address only: nothing else on the network may answer a sign-in.
                return ThreadingHTTPServer(("127.0.0.1", port), self._handler())
            except OSError:
                continue
        ports = ", ".join(map(str, CALLBACK_PORTS))
        raise CliError(
            f"The sign-in needs one of the ports {ports} on this machine, and none is free.",
            next_step="End the program that listens there (another sign-in, perhaps), then try again.",
        )

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    def wait(self, state: str, seconds: float) -> Answer:
        """Serve until the answer with this state comes. Raises CliError after the time limit."""
        self._state = state
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            return self._answers.get(timeout=seconds)
        except queue.Empty:
            raise CliError(f"Nobody signed in within {seconds:.0f} seconds.", next_step="Run the command again.") from None
        finally:
            self._server.shutdown()

    def close(self) -> None:
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            timeout = CONNECTION_SECONDS
            server_version = "heartmapctl"
            sys_version = ""

            def do_GET(self) -> None:
                answer = read_callback(self.path, owner._state) if owner._state else None
                if answer is None:
                    self._page(400, "This is not the answer to a sign-in that heartmapctl waits for.")
                    return
                done = "You are signed in. You can close this page." if answer.code else "The sign-in was refused."
                self._page(200, f"{done} heartmapctl goes on in the terminal.")
                owner._answers.put(answer)

            def _page(self, status: int, text: str) -> None:
                body = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>heartmapctl</title><p>{text}</p></html>'
                self.send_response(status)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body.encode())))
                self.send_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
                self.send_header("Cache-Control", "no-store")
                self.send_header("Referrer-Policy", "no-referrer")
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (http.server's own name)
                """Addresses carry the code: they are not printed."""

        return Handler


def with_browser(environment: Environment, output: Output, *, open_browser: bool, seconds: float) -> Tokens:
    """Let the user sign in on the environment's own page. Raises CliError when they do not, or are refused."""
    server = CallbackServer()
    try:
        attempt = Attempt.start(server.port)
        address = attempt.address(environment)
        output.instruction("Sign in on this page, in a browser on this machine:")
        output.instruction(address)
        if open_browser:
            # A text browser would not return before it is closed.
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        else:
            output.instruction(
                f"From another machine, forward the port first: ssh -L {server.port}:localhost:{server.port} THIS-MACHINE"
            )
        output.note(f"Waiting until {time.strftime('%H:%M', time.localtime(time.time() + seconds))}; Ctrl-C to give up.")
        answer = server.wait(attempt.state, seconds)
    finally:
        server.close()
    return attempt.finish(environment, answer)
