"""What every verb stands on: the environment, the session, the service and the two output streams."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from operator_cli.environments import Environment, load
from operator_cli.errors import WrongUse
from operator_cli.output import Output, as_json, human_bytes, printable
from operator_cli.session import Session
from operator_cli.vocabulary import EnvironmentName

if TYPE_CHECKING:
    import httpx

    from operator_cli.answers import Analysis, ConfigVersion, Estimate, KeyRecord, NewKey, UploadState
    from operator_cli.api import Api
    from operator_cli.credentials import ApiKey
    from operator_cli.storage import Storage


class Command:
    """One run of the program."""

    def __init__(self, environment: EnvironmentName, *, json_only: bool, select: Callable[[Any], Any] | None = None) -> None:
        self.name = environment
        self._json_only = json_only
        self.output = Output(json_only=json_only, select=select)

    @cached_property
    def environment(self) -> Environment:
        return load(self.name)

    @cached_property
    def session(self) -> Session:
        return Session(self.environment)

    @cached_property
    def api_key(self) -> "ApiKey | None":
        """The key of the program that runs this, if it is one. Raises WrongUse for what is no key."""
        from operator_cli.credentials import api_key

        return api_key(self.environment)

    @contextmanager
    def service(self) -> Iterator[tuple["Api", "Storage"]]:
        """The API, and the storage behind its presigned addresses."""
        from operator_cli.api import Api
        from operator_cli.credentials import SessionCredential
        from operator_cli.storage import Storage
        from operator_cli.transport import client, storage_client

        credential = self.api_key or SessionCredential(self.environment, self.session)
        with client(self.environment) as http, storage_client(self.environment) as storage_http:
            yield Api(self.environment, credential, http), Storage(self.environment, storage_http)

    def subject(self) -> str:
        """Who is signed in, as records name their owner. Raises WrongUse for a program, whose key does not tell."""
        if self.api_key is not None:
            raise WrongUse("An API key does not tell whose it is, so there is no --mine.", next_step="List all of them.")
        return str(self.session.tokens().claims.get("sub"))

    def show_analysis(self, analysis: "Analysis") -> None:
        from operator_cli.analyses import why_queued

        rows = [
            ("analysis", analysis.analysis_id),
            ("state", analysis.state),
            ("waits", why_queued(analysis)),
            ("stage", analysis.stage),
            ("progress", None if analysis.progress is None else f"{analysis.progress:.0%}"),
            ("estimate", _estimate(analysis.estimate)),
            ("visible to", _who(analysis.visibility)),
            ("error", (analysis.error.detail or analysis.error.code) if analysis.error else None),
        ]
        self.output.result(analysis.document(), lambda: self.output.fields([row for row in rows if row[1] is not None]))

    def show_analyses(self, found: Sequence["Analysis"]) -> None:
        rows = [(each.analysis_id, each.state, each.analysis_type, each.stage, each.created_at) for each in found]

        def show() -> None:
            if rows:
                self.output.table(("ANALYSIS", "STATE", "TYPE", "STAGE", "CREATED"), rows)
            else:
                self.output.note("No analyses.")

        # A list tells less of each than `jobs show`: what it does not tell is not null.
        self.output.result({"analyses": [each.model_dump(mode="json", exclude_unset=True) for each in found]}, show)

    def show_uploads(self, found: Sequence["UploadState"]) -> None:
        rows = [(each.upload_id, each.state, each.name, _who(each.visibility), each.created_at) for each in found]

        def show() -> None:
            if rows:
                self.output.table(("UPLOAD", "STATE", "NAME", "VISIBLE TO", "CREATED"), rows)
            else:
                self.output.note("No uploads.")

        self.output.result({"uploads": [each.document() for each in found]}, show)

    def show_upload(self, upload: "UploadState") -> None:
        rows = [("upload", upload.upload_id), ("state", upload.state), ("visible to", _who(upload.visibility))]
        self.output.result(upload.document(), lambda: self.output.fields(rows))

    def note_estimate(self, estimate: "Estimate | None") -> None:
        """Say what an analysis will take, where the service knows it."""
        if estimate is not None:
            self.output.note(f"It will take about {_estimate(estimate)}.")

    def show_versions(self, found: Sequence["ConfigVersion"]) -> None:
        rows = [
            (
                each.version,
                each.changed_at,
                each.changed_by,
                ", ".join(f"{change.field}: {as_json(change.before)} -> {as_json(change.after)}" for change in each.changes)
                + (f" (version {each.restored_from} again)" if each.restored_from is not None else ""),
            )
            for each in found
        ]

        def show() -> None:
            if rows:
                self.output.table(("VERSION", "CHANGED", "BY", "WHAT"), rows)
            else:
                self.output.note("The configuration was never changed.")

        self.output.result({"versions": [each.document() for each in found]}, show)

    def show_new_key(self, key: "NewKey", signing_file: Path | None) -> None:
        """A key that was just made, with the key itself and how to use it."""
        rows = [
            ("key", key.key),
            ("key id", key.key_id),
            ("name", key.name),
            ("scopes", ", ".join(key.scopes)),
            ("from", ", ".join(key.source_ranges) or "anywhere"),
            ("signed", "yes" if key.signed else "no"),
            ("ends", _time_or_never(key.expires_at)),
        ]

        def show() -> None:
            self.output.fields(rows)
            self.output.note("")
            self.output.note("Keep the key now, in a file that the program alone can read: it will not be shown again.")
            self.output.note("To call with it, set in the program's environment:")
            self.output.note("  HEARTMAP_API_KEY_FILE=FILE (or HEARTMAP_API_KEY, the key itself)")
            if key.signed:
                self.output.note(f"  HEARTMAP_SIGNING_KEY_FILE={signing_file or 'FILE'}, with which its calls are signed")
            self.output.note("Without heartmapctl: docs/api-keys.md")

        self.output.result(key.document(), show)

    def show_keys(self, found: Sequence["KeyRecord"]) -> None:
        from operator_cli.keys import state

        rows = [
            (
                key.name,
                key.key_id,
                " ".join(key.scopes),
                _time_or_never(key.expires_at),
                _time_or_never(key.last_used_at),
                state(key),
                "yes" if key.signed else "no",
            )
            for key in found
        ]

        def show() -> None:
            if rows:
                self.output.table(("NAME", "KEY", "SCOPES", "ENDS", "LAST USED", "STATE", "SIGNED"), rows)
            else:
                self.output.note("No keys.")

        self.output.result({"keys": [{**key.document(), "state": state(key)} for key in found]}, show)

    def show_revoked_key(self, key: "KeyRecord") -> None:
        from operator_cli.keys import state

        rows = [("key id", key.key_id), ("name", key.name), ("state", state(key))]
        self.output.result(key.document(), lambda: self.output.fields(rows))

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


def _local_time(seconds: float) -> str:
    """Seconds since the epoch as this machine's time of day."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def _estimate(estimate: "Estimate | None") -> str | None:
    if estimate is None:
        return None
    minutes, seconds = divmod(estimate.seconds, 60)
    lasting = f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
    return f"{human_bytes(estimate.memory_bytes)} of memory, {lasting}, ${estimate.usd:.2f}"


def _who(visibility: str | list[str] | None) -> str | None:
    return ", ".join(visibility) or "private" if isinstance(visibility, list) else visibility


def _time_or_never(seconds: float | None) -> str:
    return "never" if seconds is None else _local_time(seconds)
