"""Sign-in with a browser: authorization code with PKCE on a loopback redirect.

RFC 8252 (native apps), RFC 7636 (PKCE), OpenID Connect Core 1.0 (nonce). Cognito compares callback addresses as strings, so the
ports are a fixed short list (docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-app-idp-settings.html).
"""

import base64
import hashlib
import os
import queue
import secrets
import sys
import threading
import time
import webbrowser
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

from operator_cli import callback, token_endpoint
from operator_cli.callback import Answer
from operator_cli.environments import Environment
from operator_cli.errors import CliError
from operator_cli.output import Output
from operator_cli.terminal import quiet_lines
from operator_cli.tokens import Tokens

CALLBACK_PORTS = (8400, 8401, 8402)

# Between two looks at what was pasted.
POLL_SECONDS = 0.2


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
            redirect_uri=f"http://localhost:{port}{callback.PATH}",
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
            # Whoever signs in anew is asked anew: what needs a recent sign-in counts from there.
            "prompt": "login",
        }
        return f"{environment.authorize_url}?{urlencode(query)}"

    def finish(self, environment: Environment, answer: Answer) -> Tokens:
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


class Begun:
    """A sign-in under way, which listens for the browser's return from a thread of its own.

    Each method may be called from any thread. Raises CliError when no callback port is free.
    """

    def __init__(self, environment: Environment, goes_on: str) -> None:
        self._environment = environment
        self._answers: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._over = self._closed = False
        # Held until the attempt is there: the port has to be known first.
        with self._lock:
            self._listener = callback.Listener(CALLBACK_PORTS, goes_on, self._take, self._answers.put)
            self.port = self._listener.port
            self._attempt = Attempt.start(self.port)
        self.address = self._attempt.address(environment)
        """What the browser has to open."""

    def wait(self, seconds: float) -> Tokens:
        """The tokens, once the person has signed in. It ends the sign-in, whatever comes of it.

        Raises CliError: refused (with the pool's code), nobody came (``sign_in_timeout``), or closed (``sign_in_closed``).
        """
        try:
            answer = self._answers.get(timeout=seconds)
        except queue.Empty:
            raise CliError(
                "Nobody signed in in time.",
                code="sign_in_timeout",
                next_step=f"Try again: {self._environment.command('login')}",
            ) from None
        finally:
            self.close()
        if answer is None:
            raise CliError("The sign-in was given up.", code="sign_in_closed")
        return self._attempt.finish(self._environment, answer)

    def answered(self) -> bool:
        """Whether it is over, so that `wait` has nothing to wait for."""
        return self._over

    def paste(self, text: str) -> bool:
        """Takes the address at which a browser elsewhere ended; False for one that does not belong to this sign-in."""
        address = text.strip()
        start = self._attempt.redirect_uri
        answer = self._take(callback.PATH + address.removeprefix(start)) if address.startswith(f"{start}?") else None
        if answer is not None:
            self._answers.put(answer)
        return answer is not None

    def close(self) -> None:
        """Gives the port back. Whoever waits is told that the sign-in was given up."""
        with self._lock:
            already, self._closed, self._over = self._closed, True, True
        if not already:
            self._listener.close()
            self._answers.put(None)

    def _take(self, target: str) -> Answer | None:
        """The answer in a path and query, for whoever brings it first."""
        with self._lock:
            answer = None if self._over else callback.read(target, self._attempt.state)
            self._over = self._over or answer is not None
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def begin(environment: Environment, *, goes_on: str) -> Begun:
    """Begins a sign-in; ``goes_on`` says where the person is led back to, as in "in the terminal"."""
    return Begun(environment, goes_on)


def with_browser(environment: Environment, output: Output, *, open_browser: bool, seconds: float) -> Tokens:
    """Let the user sign in on the environment's own page. Raises CliError when they do not, or are refused."""
    with begin(environment, goes_on="in the terminal") as begun:
        opens = open_browser and browser_is_here()
        output.instruction("Sign in on this page, in a browser on this machine:")
        output.instruction(begun.address)
        if opens:
            threading.Thread(target=_open, args=(begun.address, output), daemon=True).start()
        else:
            if open_browser:
                output.instruction("No browser was found on this machine.")
            output.instruction(
                f"In a browser elsewhere, forward the port first: ssh -L {begun.port}:localhost:{begun.port} THIS-MACHINE"
            )
        ends = time.time() + seconds
        output.note(f"Waiting until {time.strftime('%H:%M', time.localtime(ends))}; Ctrl-C to give up.")
        if not opens:
            _take_pasted(begun, output, ends)
        return begun.wait(max(ends - time.time(), 0))


def browser_is_here() -> bool:
    """Whether this machine can show a page to whoever sits at it. A text browser would take the terminal: it does not count."""
    if os.environ.get("BROWSER"):
        return True
    if os.environ.get("SSH_CONNECTION") and not os.environ.get("DISPLAY"):
        return False
    if sys.platform not in ("darwin", "win32") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


def _open(address: str, output: Output) -> None:
    if not webbrowser.open(address):
        output.instruction("The browser did not open: open the address yourself.")


def _take_pasted(begun: Begun, output: Output, ends: float) -> None:
    """Takes the address of the callback from the terminal, where there is one, until the sign-in is answered."""
    with quiet_lines() as read_line:
        if read_line is None:
            return
        output.instruction(
            "Or sign in there without it. The browser then ends at an address that it cannot show, which begins with "
            f"http://localhost:{begun.port}: paste that address here (it is not shown) and press Enter."
        )
        while not begun.answered() and time.time() < ends:
            line = read_line(POLL_SECONDS)
            if line == "":
                return
            if line and line.strip() and not begun.paste(line):
                output.instruction("That is not the address at which this sign-in ended. Copy the whole of it.")
