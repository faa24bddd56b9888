"""Analyses: run, listed, cancelled, and their results."""

from pathlib import Path
from typing import Annotated

import typer

from operator_cli.errors import WrongUse
from operator_cli.verbs import options
from operator_cli.verbs.options import (
    AnalysisArgument,
    EnvironmentOption,
    JsonOption,
    LimitOption,
    OutputOption,
    SharedWithArgument,
    VisibilityOption,
)
from operator_cli.vocabulary import AnalysisState, AnalysisType

app = typer.Typer()
jobs = typer.Typer(help="Analyses on the server.")
app.add_typer(jobs, name="jobs")


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

    Ctrl-C while it waits leaves the analysis running (exit code 130); `heartmapctl jobs watch` goes on watching.

    \b
    heartmapctl analyze cells.h5ad --type comprehensive --wait --output results
    heartmapctl analyze 01J8ZQ4Y7M3W5X9K2B6C1D0EFG --type basic --option resolution=0.8
    """
    from operator_cli import analyses, uploads

    command = options.command(context, environment, as_json)
    if output is not None and not wait:
        raise WrongUse("--output needs --wait: the results are there when the analysis has ended.")
    chosen = analyses.parse_options(option or [])
    seen_by = uploads.parse_visibility(visibility)
    file = _file_or_upload(data)
    directory = analyses.prepare(output) if output is not None else None
    with command.service() as (api, storage):
        upload_id = uploads.send(api, storage, command.output, file) if file is not None else data
        checked = uploads.wait_until_checked(api, command.output, upload_id)
        analysis = analyses.start(api, upload_id, kind, chosen, seen_by)
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
    if file.exists() or not options.is_id(data):
        uploads.size_of(file)
        return file
    return None


@jobs.command("list")
def jobs_list(
    context: typer.Context,
    state: Annotated[
        list[AnalysisState] | None,
        typer.Option(
            "--state", metavar="STATE", help=f"Those that are {', '.join(AnalysisState)}; may be repeated.", show_default=False
        ),
    ] = None,
    kind: Annotated[AnalysisType | None, typer.Option("--type", help="Those of this pipeline.", show_default=False)] = None,
    mine: Annotated[bool, typer.Option("--mine", help="Those that you started.")] = False,
    limit: LimitOption = 100,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the analyses that you may see, the newest first.

    \b
    heartmapctl jobs list
    heartmapctl jobs list --mine --state queued --state running
    heartmapctl jobs list --type comprehensive --limit 10 --fields analysis_id,state
    """
    from operator_cli import analyses

    command = options.command(context, environment, as_json)
    owner = command.subject() if mine else None
    wanted = analyses.filter_by(states=state or [], kind=kind, owner=owner)
    with command.service() as (api, _):
        found = analyses.every(api, limit, wanted)
    command.show_analyses(found)


@jobs.command("show")
def jobs_show(
    context: typer.Context, analysis: AnalysisArgument, environment: EnvironmentOption = None, as_json: JsonOption = False
) -> None:
    """Show an analysis: its state, and why it waits where it does.

    \b
    heartmapctl jobs show 01J8ZQ4Y7M3W5X9K2B6C1D0EFG
    """
    from operator_cli import analyses

    analysis_id = options.analysis_id(analysis)
    command = options.command(context, environment, as_json)
    with command.service() as (api, _):
        found = analyses.show(api, analysis_id)
    command.show_analysis(found)


@jobs.command("watch")
def jobs_watch(
    context: typer.Context, analysis: AnalysisArgument, environment: EnvironmentOption = None, as_json: JsonOption = False
) -> None:
    """Watch an analysis until it ends; exit code 1 when it failed or was cancelled.

    Ctrl-C ends the watching only: the analysis goes on.

    \b
    heartmapctl jobs watch 01J8ZQ4Y7M3W5X9K2B6C1D0EFG
    """
    from operator_cli import analyses

    analysis_id = options.analysis_id(analysis)
    command = options.command(context, environment, as_json)
    with command.service() as (api, _):
        found = analyses.follow(api, command.output, analysis_id)
    command.show_analysis(found)


@jobs.command("share")
def jobs_share(
    context: typer.Context,
    analysis: AnalysisArgument,
    visibility: SharedWithArgument,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say who may see an analysis and its results. A person's principal is the subject of their `heartmapctl whoami --json`.

    \b
    heartmapctl jobs share 01J8ZQ4Y7M3W5X9K2B6C1D0EFG shared
    """
    from operator_cli import analyses, uploads

    analysis_id = options.analysis_id(analysis)
    seen_by = uploads.parse_visibility(visibility)
    command = options.command(context, environment, as_json)
    with command.service() as (api, _):
        found = analyses.share(api, analysis_id, seen_by or "private")
    command.show_analysis(found)


@jobs.command("cancel")
def jobs_cancel(
    context: typer.Context, analysis: AnalysisArgument, environment: EnvironmentOption = None, as_json: JsonOption = False
) -> None:
    """Cancel an analysis, queued or running.

    \b
    heartmapctl jobs cancel 01J8ZQ4Y7M3W5X9K2B6C1D0EFG
    """
    from operator_cli import analyses

    analysis_id = options.analysis_id(analysis)
    command = options.command(context, environment, as_json)
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

    analysis_id = options.analysis_id(analysis)
    command = options.command(context, environment, as_json)
    directory = analyses.prepare(output)
    with command.service() as (api, storage):
        command.fetch_results(api, storage, analysis_id, directory, {"analysis_id": analysis_id})
