"""Analyses: started, followed, cancelled, and their results fetched."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from operator_cli import pairs
from operator_cli.answers import Analyses, Analysis, Results
from operator_cli.api import Api
from operator_cli.errors import CliError, Interrupted, WrongUse
from operator_cli.output import Output
from operator_cli.pages import pages
from operator_cli.polling import poll
from operator_cli.resumption import new_key
from operator_cli.storage import Storage, safe_name
from operator_cli.vocabulary import AnalysisState, AnalysisType


def parse_options(texts: list[str]) -> dict[str, Any]:
    """The options of a pipeline. Raises WrongUse."""
    return pairs.parse(texts, "--option", "--option resolution=0.8")


def start(
    api: Api, upload_id: str, kind: AnalysisType, options: dict[str, Any], visibility: str | list[str] | None = None
) -> Analysis:
    """Queue an analysis of a checked upload: once, however often the call has to be sent."""
    body = {"upload_id": upload_id, "analysis_type": kind, "options": options}
    given = body | ({"visibility": visibility} if visibility is not None else {})
    return api.call("POST", "/analyses", Analysis, given, key=new_key())


def show(api: Api, analysis_id: str) -> Analysis:
    return api.call("GET", f"/analyses/{analysis_id}", Analysis)


def share(api: Api, analysis_id: str, visibility: str | list[str]) -> Analysis:
    """Say who may see an analysis and its results."""
    return api.call("PATCH", f"/analyses/{analysis_id}", Analysis, {"visibility": visibility}, repeatable=True)


def every(api: Api, limit: int, wanted: Callable[[Analysis], bool] | None = None) -> list[Analysis]:
    """The newest analyses that this user may see, or those of them that are wanted."""
    return pages(api, "/analyses", Analyses, lambda page: page.analyses, limit, wanted)


def filter_by(
    *, states: Sequence[AnalysisState], kind: AnalysisType | None, owner: str | None
) -> Callable[[Analysis], bool] | None:
    """What leaves an analysis in a list, None where everything stays."""
    if not states and kind is None and owner is None:
        return None

    def wanted(analysis: Analysis) -> bool:
        of_the_state = not states or analysis.state in states
        return of_the_state and kind in (None, analysis.analysis_type) and owner in (None, analysis.owner)

    return wanted


def why_queued(analysis: Analysis) -> str | None:
    """Why a queued analysis does not run yet, in words; None of any other."""
    if analysis.state != "queued":
        return None
    if analysis.position is None:
        return "many are to be started before it, or the service does not tell how many"
    if analysis.position == 0:
        return "it is the next; a worker takes it when one is free, or has started, which takes some minutes where none runs"
    return f"{analysis.position} to be started before it; people take turns, each with one analysis at a time"


def cancel(api: Api, analysis_id: str) -> Analysis:
    """Ask for the end of an analysis; its state afterwards."""
    api.require("DELETE", f"/analyses/{analysis_id}")
    return show(api, analysis_id)


def follow(api: Api, output: Output, analysis_id: str) -> Analysis:
    """Watch an analysis until it succeeded.

    Raises CliError when it failed or was cancelled, Interrupted on Ctrl-C, after which it goes on at the server.
    """
    document = {"analysis_id": analysis_id}
    command = api.environment.command
    next_step = (
        f"Watch it: {command('jobs', 'watch', analysis_id)}; its results: {command('results', analysis_id, '--output', 'DIR')}; "
        f"stop it: {command('jobs', 'cancel', analysis_id)}"
    )
    try:
        with output.stages(f"Analysis {analysis_id}") as update:

            def ask() -> Analysis:
                analysis = show(api, analysis_id)
                update(": ".join(filter(None, (analysis.state, why_queued(analysis) or analysis.stage))), analysis.progress)
                return analysis

            analysis = poll(ask, lambda answer: answer.ended)
    except KeyboardInterrupt:
        raise Interrupted("Interrupted; the analysis goes on at the server.", document=document, next_step=next_step) from None
    except CliError as error:
        # What failed is the watching.
        error.document = {**document, **error.document}
        error.next_step = error.next_step or next_step
        raise
    if analysis.state != "succeeded":
        raise _ended_badly(api, analysis)
    return analysis


def _ended_badly(api: Api, analysis: Analysis) -> CliError:
    if analysis.state == "cancelled":
        return CliError("The analysis was cancelled.", code="cancelled", document=analysis.document())
    if analysis.state != "failed":
        return CliError(
            f"The analysis ended as {analysis.state}, a state that this version of heartmapctl does not know.",
            next_step="Update heartmapctl to the version of the environment.",
            document=analysis.document(),
        )
    fault = analysis.error
    return CliError(
        f"The analysis failed: {(fault and fault.detail) or 'no reason was given'}",
        code=fault.code if fault else None,
        next_step=f"See it: {api.environment.command('jobs', 'show', analysis.analysis_id)}",
        document=analysis.document(),
    )


def prepare(directory: Path) -> Path:
    """The output directory, made where it is missing: before a long run, not after it. Raises WrongUse when it cannot be."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / ".heartmapctl.part"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise WrongUse(f"--output {directory} cannot be written to: {error.strerror}.") from None
    return directory.resolve()


def fetch_results(api: Api, storage: Storage, output: Output, analysis_id: str, directory: Path) -> Results:
    """Fetch every result of an analysis into the directory, each checked against its SHA-256.

    Raises CliError when there are none yet, when a name is not a plain file name, or when a file is not what was announced.
    """
    results = api.call("GET", f"/analyses/{analysis_id}/results", Results)
    names = [safe_name(file.name).casefold() for file in results.files]
    if len(set(names)) != len(names):
        raise CliError("The service named two results alike: nothing was written.")
    for file in results.files:
        with output.transfer(file.name, file.bytes) as done:
            storage.fetch(file, directory, done)
    return results
