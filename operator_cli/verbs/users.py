"""The people who may sign in."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from operator_cli.verbs import options
from operator_cli.verbs.options import EnvironmentOption, JsonOption, LimitOption
from operator_cli.vocabulary import Role

if TYPE_CHECKING:
    from operator_cli.command import Command
    from operator_cli.users import User

app = typer.Typer()
users = typer.Typer(help="The people who may sign in, and their groups. For administrators.")
app.add_typer(users, name="users")

UsernameArgument = Annotated[
    str, typer.Argument(metavar="USERNAME", help="A username, as `heartmapctl users list` shows it.", show_default=False)
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


class Group(StrEnum):
    """What somebody may be put into."""

    VIEWER = "viewer"
    ANALYST = "analyst"
    ADMIN = "admin"
    NONE = "none"


@users.command("add")
def users_add(
    context: typer.Context,
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="The address that is invited.", show_default=False)],
    group: Annotated[Role, typer.Option("--group", help=f"What they may do: {', '.join(Role)}.", show_default=False)],
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Invite somebody: they get a temporary password by e-mail.

    \b
    heartmapctl users add ada@example.org --group analyst
    """
    from operator_cli import users as people

    command = options.command(context, environment, as_json)
    with command.service() as (api, _):
        user = people.add(api, email, group)
    _show(command, user)
    command.output.note("The invitation is sent. The password in it is valid for 7 days.")


@users.command("list")
def users_list(
    context: typer.Context, limit: LimitOption = 1000, environment: EnvironmentOption = None, as_json: JsonOption = False
) -> None:
    """List the people, with their groups.

    The states: active; invited (has not signed in yet); external (signs in with another identity provider); disabled.

    \b
    heartmapctl users list
    """
    from operator_cli import users as people

    command = options.command(context, environment, as_json)
    with command.service() as (api, _):
        found = people.every(api, limit)
    _show_all(command, found)


@users.command("disable")
def users_disable(
    context: typer.Context,
    username: UsernameArgument,
    yes: YesOption = False,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep somebody from signing in, end their sessions, and lock out the tokens that they hold, within half a minute.

    \b
    heartmapctl users disable ada@example.org
    heartmapctl users disable ada@example.org --yes
    """
    _change(options.command(context, environment, as_json), username, "Keep {} out of the {} environment?", yes, enabled=False)


@users.command("enable")
def users_enable(
    context: typer.Context, username: UsernameArgument, environment: EnvironmentOption = None, as_json: JsonOption = False
) -> None:
    """Let somebody sign in again.

    \b
    heartmapctl users enable ada@example.org
    """
    _change(options.command(context, environment, as_json), username, "", True, enabled=True)


@users.command("set-group")
def users_set_group(
    context: typer.Context,
    username: UsernameArgument,
    group: Annotated[Group, typer.Argument(metavar="GROUP", help=f"One of {', '.join(Group)}.", show_default=False)],
    yes: YesOption = False,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put somebody into one group, in the place of the one before. Fewer rights count within half a minute: they sign in again.

    More rights count from their next token on, within an hour.

    \b
    heartmapctl users set-group ada@example.org analyst
    heartmapctl users set-group ada@example.org admin --yes
    heartmapctl users set-group ada@example.org none --yes
    """
    command = options.command(context, environment, as_json)
    question = {
        Group.ADMIN: "Make {} an administrator of the {} environment?",
        Group.NONE: "Take every right in the {1} environment from {0}?",
    }
    _change(command, username, question.get(group, ""), yes, group=None if group is Group.NONE else group)


@users.command("reset-mfa")
def users_reset_mfa(
    context: typer.Context,
    username: UsernameArgument,
    yes: YesOption = False,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget somebody's second factor: the next sign-in has them set up a new one. Make sure who asks for it.

    \b
    heartmapctl users reset-mfa ada@example.org
    heartmapctl users reset-mfa ada@example.org --yes
    """
    question = "Forget the second factor of {} in the {} environment? Until they set up a new one, their password alone lets in."
    _change(options.command(context, environment, as_json), username, question, yes, reset_mfa=True)


def _change(command: "Command", username: str, question: str, yes: bool, **changes: Any) -> None:
    from operator_cli import users as people

    if question and not yes:
        options.confirm(question.format(username, command.name))
    with command.service() as (api, _):
        user = people.change(api, username, **changes)
    _show(command, user)


def _show(command: "Command", user: "User") -> None:
    rows = [
        ("username", user.username),
        ("e-mail", user.email),
        ("group", ", ".join(user.groups) or "none"),
        ("state", user.state),
        ("second factor", _factor(user)),
        ("subject", user.subject),
    ]
    command.output.result(user.document(), lambda: command.output.fields(rows))


def _show_all(command: "Command", found: Sequence["User"]) -> None:
    rows = [(user.username, ", ".join(user.groups) or "none", user.state, _factor(user), user.email) for user in found]

    def show() -> None:
        if rows:
            command.output.table(("USERNAME", "GROUP", "STATE", "SECOND FACTOR", "E-MAIL"), rows)
        else:
            command.output.note("No users.")

    command.output.result({"users": [user.document() for user in found]}, show)


def _factor(user: "User") -> str:
    return {True: "yes", False: "no", None: "elsewhere"}[user.mfa]
