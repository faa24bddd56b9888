"""What the proof found: a counterexample names its property, what it breaks and what lets it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

PROPERTIES = {
    "entry": "Nothing outside reaches a task, the bastion, a table, a bucket or a key but through the API with its "
    "authorizer, its web ACL and TLS",
    "leaving": "No task reaches anything outside but the named endpoints",
    "rights": "No role can widen its own rights, use another purpose's key, or pass a role",
    "methods": "Every method has the authorizer or IAM",
    "understood": "Everything that was deployed is of a kind that the proof reads, or of one that opens no way",
}
"""The properties by name. The last is what makes the others be about the whole stack."""


@dataclass(frozen=True)
class Counterexample:
    """``offender`` is what lets it: a rule, a statement, a resource. ``path`` is the shortest from outside or to it."""

    property: str
    offender: str
    what: str
    path: tuple[str, ...] = ()
    example: Mapping[str, str] = field(default_factory=dict)
