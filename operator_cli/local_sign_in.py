"""Sign-in to `local` without typing: the login page is filled in over HTTP with a password that `make local` chose.

The same authorization code flow as in a browser, so that a command signed in this way holds the same kind of session.
"""

from html.parser import HTMLParser

import httpx

from operator_cli import callback
from operator_cli.callback import Answer
from operator_cli.environments import Environment, LocalUser
from operator_cli.errors import CliError, WrongUse
from operator_cli.sign_in import CALLBACK_PORTS, Attempt
from operator_cli.tokens import Tokens
from operator_cli.transport import client, unreachable
from operator_cli.vocabulary import Role

REDIRECTS = 5


class _Form(HTMLParser):
    """The form that holds a password field: where it goes and what it carries along. Or else: whether a code is asked for."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.password_field: str | None = None
        self.wants_code = False
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form" and self.password_field is None:
            self._inside, self.action, self.fields = True, values.get("action", ""), {}
        elif tag == "input" and self._inside and values.get("name"):
            self.fields[values["name"]] = values.get("value", "")
            if values.get("type") == "password":
                self.password_field = values["name"]
            self.wants_code = self.wants_code or values.get("autocomplete") == "one-time-code"

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False


def as_role(environment: Environment, role: Role) -> Tokens:
    """Sign in as the local environment's user of that role.

    Raises WrongUse outside `local`, CliError when the page does not let the user in.
    """
    if not environment.is_local:
        raise WrongUse(
            "--as works in the local environment only: no other environment's passwords are known.",
            next_step=f"Sign in with a browser: {environment.command('login')}",
        )
    user = environment.users.get(role)
    if user is None:
        raise CliError(f"The local environment has no user of the role {role}.", next_step="Start it again: make local")
    attempt = Attempt.start(CALLBACK_PORTS[0])
    with client(environment) as http:
        try:
            answer = _walk(http, attempt, environment, user)
        except httpx.HTTPError as error:
            raise unreachable(environment, environment.authorize_url, error) from None
    return attempt.finish(environment, answer)


def _walk(http: httpx.Client, attempt: Attempt, environment: Environment, user: LocalUser) -> Answer:
    """From the authorization endpoint over the login page to the redirect to the callback."""
    response = http.get(attempt.address(environment))
    submitted = False
    for _ in range(REDIRECTS):
        if response.is_redirect:
            target = response.url.join(response.headers["location"])
            if str(target).startswith(attempt.redirect_uri + "?"):
                answer = callback.read(target.raw_path.decode(), attempt.state)
                if answer is None:
                    raise CliError("The login page answered to another sign-in.")
                return answer
            response = http.get(_same_origin(target, environment))
            continue
        form = _Form(response.text)
        if submitted and form.wants_code:
            raise CliError(
                f"The pool asks {user.username} for a code of an authenticator app, which heartmapctl does not have.",
                next_step=f"Sign in with a browser (the password is in environment.json): {environment.command('login')}",
            )
        if submitted and (form.password_field is not None or response.is_error):
            raise CliError("The login page refused the local user's password.", next_step="Start again: make local")
        if response.is_error or form.password_field is None:
            raise CliError(f"The login page answered {response.status_code} without a form to sign in with.")
        fields = {**form.fields, "username": user.username, form.password_field: user.password}
        response = http.post(_same_origin(response.url.join(form.action), environment), data=fields)
        submitted = True
    raise CliError("The login page did not come to an end.")


def _same_origin(target: httpx.URL, environment: Environment) -> httpx.URL:
    """The password goes to the login page's own origin only."""
    home = httpx.URL(environment.authorize_url)
    if (target.scheme, target.netloc) != (home.scheme, home.netloc):
        raise CliError("The login page leads elsewhere: nothing was sent there.")
    return target
