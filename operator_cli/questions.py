"""Questions that are asked again and again of the audit trail, each by its name."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from operator_cli import audit
from operator_cli.api import Api
from operator_cli.audit import Record

CHANGES = frozenset(
    {
        *("config_changed", "upload_begun", "upload_completed", "upload_shared"),
        *("analysis_started", "analysis_shared", "analysis_cancelled"),
        *("create", "rotate", "revoke", "invite", "change"),
    }
)
"""The actions after which something is not as it was."""


class Question(NamedTuple):
    """``filter`` is the field that what is asked about has to be in, ``filters`` what else the service narrows by, and ``keep``
    what of the records is an answer."""

    about: str
    text: str
    filter: str
    filters: Mapping[str, str]
    keep: Callable[[Record], bool] = lambda _: True
    first: bool = False
    """The newest record alone is the answer."""


QUESTIONS: Mapping[str, Question] = {
    "who-read": Question(
        "ANALYSIS_ID",
        "Who was given the results of this analysis, and how much?",
        "resource",
        {"decision": "allow"},
        lambda record: record.get("stream") == "service" and record.get("files") is not None,
    ),
    "last-use": Question(
        "KEY_ID",
        "When was this key last used, for what and from where?",
        "key_id",
        {"decision": "allow"},
        lambda record: record.get("stream") == "authorizer",
        first=True,
    ),
    "changes-by": Question(
        "PRINCIPAL",
        "What did this person or program change?",
        "principal",
        {"decision": "allow"},
        lambda record: record.get("action") in CHANGES,
    ),
    "refusals-of": Question("PRINCIPAL", "What was this person or program refused?", "principal", {"decision": "deny"}),
    "history-of": Question(
        "ID",
        "What happened to this upload, analysis, key or person?",
        "resource",
        {},
        lambda record: record.get("stream") != "audit",
    ),
    "story-of": Question("REQUEST_ID", "What came of this call, from the gateway to the worker?", "request_id", {}),
}


def answers(api: Api, question: Question, about: str, filters: Mapping[str, str]) -> Iterator[Record]:
    """The records that answer it, the newest first. ``filters`` may narrow the time."""
    for record in audit.each(api, {**filters, **question.filters, question.filter: about}):
        if question.keep(record):
            yield record
            if question.first:
                return
