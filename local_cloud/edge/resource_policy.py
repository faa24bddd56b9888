"""The policy of the REST API, which refuses callers by the address that they come from.

It is understood where it only refuses. What it admitted would count beside a principal's own policies, and is not understood.
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-authorization-flow.html
"""

import ipaddress
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from local_cloud.edge.interpret import known_only, require
from local_cloud.edge.policy import ACTION, arn_matches

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

EVERYONE = ("*", {"AWS": "*"}, {"AWS": ["*"]})


class Refusal(NamedTuple):
    """Refuses calls of methods that ``resources`` name, from everywhere but ``admitted``."""

    resources: tuple[str, ...]
    admitted: tuple[Network, ...]

    def applies(self, source_ip: str, method_arn: str) -> bool:
        address = ipaddress.ip_address(source_ip)
        named = any(arn_matches(resource, method_arn) for resource in self.resources)
        return named and not any(address in network for network in self.admitted)


class ResourcePolicy:
    """``text`` is the policy as API Gateway returns it. Raises Uninterpretable."""

    def __init__(self, text: str) -> None:
        # Its quotes come escaped once more.
        document = json.loads(json.loads(f'"{text}"'))
        known_only("The policy of the REST API", document, {"Version", "Id", "Statement"})
        statements = document["Statement"]
        self._refusals = [_refusal(statement) for statement in (statements if isinstance(statements, list) else [statements])]

    def refuses(self, source_ip: str, method_arn: str) -> bool:
        """Whether the caller is refused whatever else it has."""
        return any(refusal.applies(source_ip, method_arn) for refusal in self._refusals)


def _refusal(statement: Mapping[str, Any]) -> Refusal:
    what = f"The statement {statement.get('Sid', '')} of the policy of the REST API"
    known_only(what, statement, {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"})
    require(statement.get("Effect") == "Deny", f"{what} admits callers: the local edge knows only policies that refuse.")
    require(statement.get("Principal") in EVERYONE, f"{what} is not about everyone.")
    require(_texts(statement.get("Action")) == (ACTION,), f"{what} is about something else than {ACTION}.")
    condition = statement.get("Condition") or {}
    require(
        condition.keys() == {"NotIpAddress"} and condition["NotIpAddress"].keys() == {"aws:SourceIp"},
        f"{what} has another condition than the source address.",
    )
    networks = tuple(ipaddress.ip_network(text) for text in _texts(condition["NotIpAddress"]["aws:SourceIp"]))
    return Refusal(_texts(statement.get("Resource")), networks)


def _texts(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())
