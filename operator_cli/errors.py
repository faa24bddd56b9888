"""What can go wrong, and the exit code of each kind.

CliError                1    the service, the network or this machine refused or failed
├── WrongUse            2    the command line cannot be carried out as typed
├── NotSignedIn         3    there is no session, it has ended, or its sign-in is too long ago; the service does not know the key
└── Interrupted       130    Ctrl-C; what was started on the server goes on (128 + SIGINT, as shells count)
"""

from collections.abc import Mapping
from typing import Any


class CliError(Exception):
    """A failure told to the user: what was wrong, and what to do next.

    ``code`` and ``request_id`` are those of the service's problem document (RFC 9457), ``document`` is what ``--json`` prints
    beside the error: the state of the thing that failed.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        next_step: str | None = None,
        code: str | None = None,
        request_id: str | None = None,
        document: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.code = code
        self.request_id = request_id
        self.document = document or {}

    def as_document(self) -> dict[str, Any]:
        """The one JSON document of a failed command."""
        error = {"message": self.message, "code": self.code, "request_id": self.request_id, "next_step": self.next_step}
        return {**self.document, "error": {key: value for key, value in error.items() if value is not None}}


class WrongUse(CliError):
    """The command line cannot be carried out as typed."""

    exit_code = 2


class NotSignedIn(CliError):
    """There is no session, or the service does not accept it or the API key, or wants a sign-in that is not as long ago."""

    exit_code = 3


class Interrupted(CliError):
    """Ctrl-C while something goes on at the server."""

    exit_code = 130
