"""The command line: what is typed, and nothing else. Each verb imports what it needs when it runs, so that help is quick."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from operator_cli.errors import CliError, Interrupted, WrongUse
from operator_cli.vocabulary import AnalysisType, EnvironmentName, Role, Scope

if TYPE_CHECKING:
    from operator_cli.command import Command

HELP = """Analyse single-cell data of the heart with HeartMAP, on an environment that you sign in to.

\b
Begin with:
  heartmapctl login
  heartmapctl analyze cells.h5ad --type comprehensive --wait --output results

\b
Exit codes:
  0    done
  1    refused or failed
  2    wrong use
  3    not signed in, the session has ended or began too long ago, or the API key is not accepted
  130  interrupted; what was started on the server goes on

\b
Environment variables:
  HEARTMAP_ENVIRONMENT  local, dev or prod, where --environment does not say it
  HEARTMAP_LOCAL_STATE  the state directory of the local environment (default: .local in the checkout)
  NO_COLOR              no colour, whatever its value

\b
A program calls with an API key in place of a session (docs/api-keys.md):
  HEARTMAP_API_KEY            the key, as `heartmapctl keys create` printed it
  HEARTMAP_API_KEY_FILE       or the file that holds it
  HEARTMAP_SIGNING_KEY_FILE   the private key that its calls are signed with, where they have to be
"""

EnvironmentOption = Annotated[
    EnvironmentName | None,
    typer.Option("--environment", help="Which environment to talk to (default: local).", show_default=False),
]
GlobalEnvironmentOption = Annotated[
    EnvironmentName | None,
    typer.Option(
        "--environment", envvar="HEARTMAP_ENVIRONMENT", help="Which environment to talk to (default: local).", show_default=False
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", help="Directory for the results; files of the same names are replaced.", file_okay=False),
]
SignWithOption = Annotated[
    Path | None,
    typer.Option(
        "--sign-with",
        metavar="FILE",
        help="Take only calls that are signed with the Ed25519 key in this PEM file, which is made where there is none.",
        show_default=False,
        dir_okay=False,
    ),
]
KeyArgument = Annotated[
    str, typer.Argument(metavar="KEY_ID", help="The id of a key, as `heartmapctl keys list` shows it.", show_default=False)
]
VisibilityOption = Annotated[
    str | None,
    typer.Option(
        "--visibility", metavar="WHO", help="private (the default), shared, or the principals to name, separated by commas."
    ),
]
LimitOption = Annotated[int, typer.Option("--limit", help="How many to show.", min=1, max=10_000)]
AnalysisArgument = Annotated[str, typer.Argument(metavar="ANALYSIS", help="The id of an analysis.", show_default=False)]


class _Root(TyperGroup):
    """Turns every failure into its message, its document and its exit code."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> NoReturn:
        words = list(sys.argv[1:] if args is None else args)
        extra["standalone_mode"] = False
        try:
            code = super().main(words, *rest, **extra)
            if code == Interrupted.exit_code:
                raise Interrupted("Interrupted.")
        except (CliError, typer.TyperException, OSError) as error:
            code = _tell(error, json_only="--json" in words)
        sys.exit(code if isinstance(code, int) else 0)


def _tell(error: CliError | typer.TyperException | OSError, *, json_only: bool) -> int:
    from operator_cli.output import report

    if isinstance(error, OSError):
        # Of this machine: a full disk, a directory that may not be read. It is the user's own, so it is named.
        error = CliError(": ".join(str(part) for part in (error.filename, error.strerror or "input or output failed") if part))
    elif not isinstance(error, CliError):
        context = getattr(error, "ctx", None)
        help_line = f"See: {context.command_path} --help" if context is not None else None
        error = WrongUse(_in_one_line(error), next_step=help_line)
    report(error, json_only=json_only)
    return error.exit_code


def _in_one_line(error: typer.TyperException) -> str:
    text = " ".join(error.format_message().split())
    # Where typer names the choices, pydantic begins the sentence.
    return text.replace(": Value error, ", ": ") or "A command is missing."


# Plain help: the rich one costs more than everything else that `--help` does. No rich tracebacks: they print local variables,
# and those are tokens.
app = typer.Typer(name="heartmapctl", cls=_Root, help=HELP, rich_markup_mode=None, pretty_exceptions_enable=False)
jobs = typer.Typer(help="Analyses on the server.")
app.add_typer(jobs, name="jobs")
uploads_app = typer.Typer(help="Data sets on the server.")
app.add_typer(uploads_app, name="uploads")
config_app = typer.Typer(help="The configuration of the pipelines.")
app.add_typer(config_app, name="config")
keys = typer.Typer(help="API keys, with which programs call. For administrators.")
app.add_typer(keys, name="keys")


@app.callback()
def _globals(context: typer.Context, environment: GlobalEnvironmentOption = None, as_json: JsonOption = False) -> None:
    context.obj = (environment, as_json)


def _command(context: typer.Context, environment: EnvironmentName | None, as_json: bool) -> "Command":
    """The options may stand before or after the verb; after it they win."""
    from operator_cli.command import Command

    globally, json_globally = context.obj
    return Command(environment or globally or EnvironmentName.LOCAL, json_only=as_json or json_globally)


@app.command()
def login(
    context: typer.Context,
    as_role: Annotated[
        Role | None, typer.Option("--as", help="Local only: sign in as that role's user, without typing.", show_default=False)
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the sign-in page in a browser.")] = True,
    timeout: Annotated[int, typer.Option(help="Seconds to wait for the sign-in.", min=1, max=600)] = 600,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign in, in a browser, with a password and a second factor.

    \b
    heartmapctl login --environment dev
    heartmapctl login --as analyst
    """
    command = _command(context, environment, as_json)
    if as_role is not None:
        from operator_cli.local_sign_in import as_role as sign_in_as

        tokens = sign_in_as(command.environment, as_role)
    else:
        from operator_cli.sign_in import with_browser

        tokens = with_browser(command.environment, command.output, open_browser=browser, seconds=timeout)
    command.session.start(tokens)
    command.show_session()
    if command.api_key is not None:
        command.output.note("An API key is set in this shell: other commands call with it, and not with this session.")


@app.command()
def logout(context: typer.Context, environment: EnvironmentOption = None, as_json: JsonOption = False) -> None:
    """Sign out: end the session at the user pool and forget it here."""
    command = _command(context, environment, as_json)
    was_signed_in = command.session.end()
    name = command.environment.name
    told = f"Signed out of the {name} environment." if was_signed_in else f"Was not signed in to the {name} environment."
    command.output.result({"environment": name, "signed_out": was_signed_in}, lambda: command.output.text(told))


@app.command()
def whoami(context: typer.Context, environment: EnvironmentOption = None, as_json: JsonOption = False) -> None:
    """Show who is signed in, with which groups, and until when; or which API key the environment variables name."""
    _command(context, environment, as_json).show_caller()


@app.command()
def token(context: typer.Context, environment: EnvironmentOption = None, as_json: JsonOption = False) -> None:
    """Print a valid access token of the session, renewed where needed. Keep it secret.

    \b
    curl --cacert .local/tls/ca.pem -H "Authorization: Bearer $(heartmapctl token)" https://localhost:8443/models
    """
    command = _command(context, environment, as_json)
    tokens = command.session.tokens()
    document = {"access_token": tokens.access_token, "expires_at": tokens.expires_at}
    command.output.result(document, lambda: command.output.text(tokens.access_token))


@app.command()
def upload(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="A data set, .h5ad.", show_default=False)] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--source", metavar="s3://BUCKET/KEY", help="Have it copied from a bucket that the environment allows, without FILE."
        ),
    ] = None,
    visibility: VisibilityOption = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the service accepted or rejected it.")] = False,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a data set straight to the environment's storage. What broke off goes on when the same command is run again.

    \b
    heartmapctl upload cells.h5ad --wait
    heartmapctl upload --source s3://atlas/heart/cells.h5ad --visibility shared
    """
    from operator_cli import uploads

    command = _command(context, environment, as_json)
    if (file is None) == (source is None):
        raise WrongUse("Give either FILE or --source.")
    seen_by = uploads.parse_visibility(visibility)
    if file is not None:
        uploads.size_of(file)
    with command.service() as (api, storage):
        if file is not None:
            upload_id = uploads.send(api, storage, command.output, file, seen_by)
        else:
            upload_id = uploads.copy(api, source or "", seen_by)
        state = "pending"
        if wait:
            state = uploads.wait_until_checked(api, command.output, upload_id).state
    command.output.result(
        {"upload_id": upload_id, "state": state}, lambda: command.output.fields([("upload", upload_id), ("state", state)])
    )


@app.command()
def analyze(
    context: typer.Context,
    data: Annotated[str, typer.Argument(metavar="FILE|UPLOAD", help="A data set, or the id of an upload.", show_default=False)],
    kind: Annotated[AnalysisType, typer.Option("--type", help="HeartMAP's pipeline to run.", show_default=False)],
    option: Annotated[
        list[str] | None, typer.Option("--option", metavar="NAME=VALUE", help="An option of the pipeline; may be repeated.")
    ] = None,
    visibility: VisibilityOption = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end of the analysis.")] = False,
    output: OutputOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run an analysis; with --wait and --output, fetch its results.

    Ctrl-C while it waits leaves the analysis running (exit code 130); `heartmapctl jobs show` finds it again.

    \b
    heartmapctl analyze cells.h5ad --type comprehensive --wait --output results
    heartmapctl analyze 01J8ZQ4Y7M3W5X9K2B6C1D0EFG --type basic --option resolution=0.8
    """
    from operator_cli import analyses, uploads

    command = _command(context, environment, as_json)
    if output is not None and not wait:
        raise WrongUse("--output needs --wait: the results are there when the analysis has ended.")
    options = analyses.parse_options(option or [])
    seen_by = uploads.parse_visibility(visibility)
    file = _file_or_upload(data)
    directory = analyses.prepare(output) if output is not None else None
    with command.service() as (api, storage):
        upload_id = uploads.send(api, storage, command.output, file) if file is not None else data
        checked = uploads.wait_until_checked(api, command.output, upload_id)
        analysis = analyses.start(api, upload_id, kind, options, seen_by)
        # The options may have changed it: the answer knows better than the data set alone.
        command.note_estimate(analysis.estimate or checked.estimates.get(kind))
        if wait:
            analysis = analyses.follow(api, command.output, analysis.analysis_id)
        if directory is not None:
            command.fetch_results(api, storage, analysis.analysis_id, directory, analysis.document())
            return
    command.show_analysis(analysis)


def _file_or_upload(data: str) -> Path | None:
    """The file to send, or None when the text is the id of an upload. Raises WrongUse when it is neither."""
    from operator_cli import uploads

    file = Path(data)
    if file.exists() or not _is_id(data):
        uploads.size_of(file)
        return file
    return None


def _is_id(text: str) -> bool:
    from operator_cli.answers import ULID_PATTERN

    return re.fullmatch(ULID_PATTERN, text) is not None


def _analysis_id(text: str) -> str:
    if not _is_id(text):
        raise WrongUse("ANALYSIS is an id of 26 letters and digits, as `heartmapctl jobs list` shows it.")
    return text


@uploads_app.command("list")
def uploads_list(
    context: typer.Context, limit: LimitOption = 100, environment: EnvironmentOption = None, as_json: JsonOption = False
) -> None:
    """List the uploads that you may see, the newest first."""
    from operator_cli import uploads

    command = _command(context, environment, as_json)
    with command.service() as (api, _):
        found = uploads.every(api, limit)
    command.show_uploads(found)


@uploads_app.command("share")
def uploads_share(
    context: typer.Context,
    upload_id: Annotated[str, typer.Argument(metavar="UPLOAD", help="The id of an upload.", show_default=False)],
    visibility: Annotated[
        str,
        typer.Argument(
            metavar="WITH", help="private, shared, or the principals to name, separated by commas.", show_default=False
        ),
    ],
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say who may see an upload and analyse it.

    \b
    heartmapctl uploads share 01J8ZQ4Y7M3W5X9K2B6C1D0EFG shared
    """
    from operator_cli import uploads

    if not _is_id(upload_id):
        raise WrongUse("UPLOAD is an id of 26 letters and digits, as `heartmapctl uploads list` shows it.")
    seen_by = uploads.parse_visibility(visibility)
    command = _command(context, environment, as_json)
    with command.service() as (api, _):
        shared = uploads.share(api, upload_id, seen_by or "private")
    command.show_upload(shared)


@config_app.command("history")
def config_history(
    context: typer.Context, limit: LimitOption = 20, environment: EnvironmentOption = None, as_json: JsonOption = False
) -> None:
    """Show who changed what in the configuration, the newest first."""
    from operator_cli import configuration

    command = _command(context, environment, as_json)
    with command.service() as (api, _):
        found = configuration.history(api, limit)
    command.show_versions(found)


@config_app.command("restore")
def config_restore(
    context: typer.Context,
    version: Annotated[int, typer.Argument(metavar="VERSION", help="Its number in the history; 0: HeartMAP's own.", min=0)],
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring the values of an earlier version back, as the next version.

    \b
    heartmapctl config restore 3
    """
    from operator_cli import configuration

    command = _command(context, environment, as_json)
    with command.service() as (api, _):
        current = configuration.restore(api, version)
    told = f"Version {current.version} has the values of version {version}."
    command.output.result(current.model_dump(mode="json"), lambda: command.output.text(told))


@jobs.command("list")
def jobs_list(
    context: typer.Context, limit: LimitOption = 100, environment: EnvironmentOption = None, as_json: JsonOption = False
) -> None:
    """List the analyses that you may see, the newest first."""
    from operator_cli import analyses

    command = _command(context, environment, as_json)
    with command.service() as (api, _):
        found = analyses.every(api, limit)
    command.show_analyses(found)


@jobs.command("show")
def jobs_show(
    context: typer.Context, analysis: AnalysisArgument, environment: EnvironmentOption = None, as_json: JsonOption = False
) -> None:
    """Show the state of an analysis."""
    from operator_cli import analyses

    analysis_id = _analysis_id(analysis)
    command = _command(context, environment, as_json)
    with command.service() as (api, _):
        found = analyses.show(api, analysis_id)
    command.show_analysis(found)


@jobs.command("cancel")
def jobs_cancel(
    context: typer.Context, analysis: AnalysisArgument, environment: EnvironmentOption = None, as_json: JsonOption = False
) -> None:
    """Cancel an analysis."""
    from operator_cli import analyses

    analysis_id = _analysis_id(analysis)
    command = _command(context, environment, as_json)
    with command.service() as (api, _):
        found = analyses.cancel(api, analysis_id)
    command.show_analysis(found)


@app.command()
def results(
    context: typer.Context,
    analysis: AnalysisArgument,
    output: Annotated[
        Path, typer.Option("--output", help="Directory for the results; files of the same names are replaced.", file_okay=False)
    ],
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch the results of an analysis, each checked against its SHA-256.

    \b
    heartmapctl results 01J8ZQ4Y7M3W5X9K2B6C1D0EFG --output results
    """
    from operator_cli import analyses

    analysis_id = _analysis_id(analysis)
    command = _command(context, environment, as_json)
    directory = analyses.prepare(output)
    with command.service() as (api, storage):
        command.fetch_results(api, storage, analysis_id, directory, {"analysis_id": analysis_id})


@app.command("api")
def api_call(
    context: typer.Context,
    method: Annotated[str, typer.Argument(metavar="METHOD", help="GET, POST, PATCH, DELETE, ...", show_default=False)],
    path: Annotated[str, typer.Argument(metavar="PATH", help="A path of the service, as in /models.", show_default=False)],
    data: Annotated[
        str | None, typer.Option("--data", metavar="JSON|@FILE", help="The body: JSON, or the file that holds it.")
    ] = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Call the service and print its answer; exit code 1 when it is an error (400 or above).

    \b
    heartmapctl api GET /config
    heartmapctl api POST /config --data @config.json
    """
    command = _command(context, environment, as_json)
    if not re.fullmatch(r"[A-Za-z]{1,16}", method):
        raise WrongUse(f"{method} is not an HTTP method.")
    body = _json_body(data)
    with command.service() as (api, _):
        response = api.send(method.upper(), path, body)
    command.show_response(response)


@keys.command("create")
def keys_create(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The program's name: lower-case letters, digits, hyphens.", show_default=False)
    ],
    scope: Annotated[list[Scope], typer.Option("--scope", help="What the key opens; may be repeated.", show_default=False)],
    expires_in_days: Annotated[
        int | None,
        typer.Option("--expires-in-days", help="Days until it ends (default: 90).", min=1, max=365, show_default=False),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option("--from", metavar="CIDR", help="Addresses that it may be used from (default: any); may be repeated."),
    ] = None,
    sign_with: SignWithOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an API key for a program. It is printed once.

    \b
    heartmapctl keys create nightly --scope analyses:read --scope uploads:write
    heartmapctl keys create settings --scope config:write --sign-with settings.pem --from 192.0.2.0/24
    """
    from operator_cli import keys as api_keys

    api_keys.check_name(name)
    ranges = api_keys.parse_ranges(source or [])
    command = _command(context, environment, as_json)
    with command.service() as (api, _):
        registered = api_keys.signing_key(command.output, sign_with)
        made = api_keys.create(api, name, scope, days=expires_in_days, ranges=ranges, registered=registered)
    command.show_new_key(made, sign_with)


@keys.command("list")
def keys_list(context: typer.Context, environment: EnvironmentOption = None, as_json: JsonOption = False) -> None:
    """List the API keys, and those that ended within the last 30 days.

    The states: active; ending (another has taken its place, and it goes on until its end); revoked; ended.
    """
    from operator_cli import keys as api_keys

    command = _command(context, environment, as_json)
    with command.service() as (api, _):
        found = api_keys.every(api)
    command.show_keys(found)


@keys.command("rotate")
def keys_rotate(
    context: typer.Context,
    key: KeyArgument,
    overlap_hours: Annotated[
        int | None,
        typer.Option(
            "--overlap-hours", help="Hours for which the old key goes on (default: 24).", min=0, max=168, show_default=False
        ),
    ] = None,
    sign_with: SignWithOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key that takes another's place, with its name, scopes, addresses and lifetime. It is printed once.

    \b
    heartmapctl keys rotate 01J8ZQ4Y7M3W5X9K2B6C1D0EFG --overlap-hours 2
    """
    from operator_cli import keys as api_keys

    key_id = _key_id(key)
    command = _command(context, environment, as_json)
    with command.service() as (api, _):
        registered = api_keys.signing_key(command.output, sign_with)
        made = api_keys.rotate(api, key_id, hours=overlap_hours, registered=registered)
    command.show_new_key(made, sign_with)


@keys.command("revoke")
def keys_revoke(
    context: typer.Context,
    key: KeyArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """End an API key at once, for ever.

    \b
    heartmapctl keys revoke 01J8ZQ4Y7M3W5X9K2B6C1D0EFG
    """
    from operator_cli import keys as api_keys

    key_id = _key_id(key)
    command = _command(context, environment, as_json)
    if not yes:
        _confirm(f"Revoke the key {key_id} of the {command.environment.name} environment for ever?")
    with command.service() as (api, _):
        revoked = api_keys.revoke(api, key_id)
    command.show_revoked_key(revoked)


def _key_id(text: str) -> str:
    if not _is_id(text):
        raise WrongUse("KEY_ID is an id of 26 letters and digits, as `heartmapctl keys list` shows it.")
    return text


def _confirm(question: str) -> None:
    """Goes on after a yes only. Raises WrongUse where there is nobody to ask, CliError after any other answer."""
    if not sys.stdin.isatty():
        raise WrongUse("There is no terminal to ask on.", next_step="Say --yes to do it without being asked.")
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        agreed = False
    if not agreed:
        raise CliError("Nothing was done.")


def _json_body(data: str | None) -> Any:
    import json

    if data is None:
        return None
    try:
        return json.loads(Path(data[1:]).read_text() if data.startswith("@") else data)
    except OSError as error:
        raise WrongUse(f"--data {data} cannot be read: {error.strerror}.") from None
    except ValueError:
        raise WrongUse("--data is not JSON.") from None


def main() -> None:
    """The entry point. Exits with the codes of the help text."""
    app()


if __name__ == "__main__":
    main()
