"""What every verb stands on: the environment, the session, the service and the two output streams."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from operator_cli.environments import Environment, load
from operator_cli.output import Output, as_json, human_bytes, printable
from operator_cli.session import Session
from operator_cli.vocabulary import EnvironmentName

if TYPE_CHECKING:
    import httpx

    from operator_cli.answers import Analysis
    from operator_cli.api import Api
    from operator_cli.storage import Storage


class Command:
    """One run of the program."""

    def __init__(self, environment: EnvironmentName, *, json_only: bool) -> None:
        self._name = environment
        self._json_only = json_only
        self.output = Output(json_only=json_only)

    @cached_property
    def environment(self) -> Environment:
        return load(self._name)

    @cached_property
    def session(self) -> Session:
        return Session(self.environment)

    @contextmanager
    def service(self) -> Iterator[tuple["Api", "Storage"]]:
        """The API, and the storage behind its presigned addresses."""
        from operator_cli.api import Api
        from operator_cli.storage import Storage
        from operator_cli.transport import client, storage_client

        with client(self.environment) as http, storage_client(self.environment) as storage_http:
            yield Api(self.environment, self.session, http), Storage(self.environment, storage_http)

    def show_session(self) -> None:
        """Who is signed in. Raises NotSignedIn when nobody is."""
        tokens = self.session.tokens()
        claims = tokens.claims
        groups = claims.get("cognito:groups", [])
        document = {
            "environment": self.environment.name,
            "username": claims.get("username"),
            "groups": groups,
            "subject": claims.get("sub"),
            "expires_at": tokens.expires_at,
            "stored_in": self.session.place(),
        }
        rows = [
            ("environment", self.environment.name),
            ("user", claims.get("username")),
            ("groups", ", ".join(map(str, groups)) or "none: ask an administrator to put you into one"),
            ("token until", datetime.fromtimestamp(tokens.expires_at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")),
            ("session in", document["stored_in"]),
        ]
        self.output.result(document, lambda: self.output.fields(rows))

    def show_analysis(self, analysis: "Analysis") -> None:
        rows = [
            ("analysis", analysis.analysis_id),
            ("state", analysis.state),
            ("stage", analysis.stage),
            ("progress", None if analysis.progress is None else f"{analysis.progress:.0%}"),
            ("error", (analysis.error.detail or analysis.error.code) if analysis.error else None),
        ]
        self.output.result(analysis.document(), lambda: self.output.fields([row for row in rows if row[1] is not None]))

    def show_analyses(self, found: Sequence["Analysis"]) -> None:
        extra = [(each, each.model_extra or {}) for each in found]
        rows = [
            (each.analysis_id, each.state, more.get("analysis_type"), each.stage, more.get("created_at")) for each, more in extra
        ]

        def show() -> None:
            if rows:
                self.output.table(("ANALYSIS", "STATE", "TYPE", "STAGE", "CREATED"), rows)
            else:
                self.output.note("No analyses.")

        self.output.result({"analyses": [each.document() for each in found]}, show)

    def fetch_results(
        self, api: "Api", storage: "Storage", analysis_id: str, directory: Path, document: Mapping[str, Any]
    ) -> None:
        """Fetch the results into the directory and tell what came."""
        from operator_cli import analyses

        results = analyses.fetch_results(api, storage, self.output, analysis_id, directory)
        files = [{"name": file.name, "bytes": file.bytes, "path": str(directory / file.name)} for file in results.files]

        def show() -> None:
            self.output.table(("FILE", "SIZE"), [(file["path"], human_bytes(file["bytes"])) for file in files])

        self.output.result({**document, "files": files, "summary": results.summary}, show)

    def show_response(self, response: "httpx.Response") -> None:
        """The body of an answer. Raises CliError when its status is an error."""
        try:
            body = response.json() if response.content else None
            text = as_json(body)
        except ValueError:
            body = response.text
            text = "\n".join(map(printable, response.text.splitlines()))
        if response.is_error:
            from operator_cli.api import refusal

            error = refusal(response, self.environment)
            if self._json_only:
                error.document = {"status": response.status_code, "body": body}
            else:
                self.output.text(text)
            raise error
        self.output.result(body, lambda: self.output.text(text) if response.content else None)
