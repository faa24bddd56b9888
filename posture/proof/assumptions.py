"""What whoever asks for the proof vouches for: a network that was there before the stack, whose owner made what is in it.

``vpc-…=172.20.0.0/16`` is a network and its range, ``sg-…=endpoints`` a security group of its interface endpoints, ``pl-…=s3``
the addresses of a service behind a gateway endpoint. Nothing is assumed that nobody said.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from posture.proof.exported import NotUnderstood, Stack
from posture.proof.findings import Counterexample

ENDPOINTS = "endpoints"
SERVICES = ("s3", "dynamodb")
_FORM = "write vpc-…=RANGE, sg-…=endpoints, pl-…=s3 or pl-…=dynamodb"


@dataclass(frozen=True)
class Assumed:
    """Networks with their ranges, security groups of endpoints, and lists of addresses with the service that has them."""

    networks: Mapping[str, IPv4Network] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()
    lists: Mapping[str, str] = field(default_factory=dict)

    @property
    def ids(self) -> list[str]:
        """All that something is assumed of."""
        return sorted({*self.networks, *self.groups, *self.lists})


NOTHING = Assumed()


def _network(text: str) -> IPv4Network:
    try:
        return ipaddress.IPv4Network(text)
    except ValueError:
        raise NotUnderstood(f"{text} is no range of addresses: {_FORM}") from None


def parse(texts: Iterable[str]) -> Assumed:
    """The assumptions as they are typed. Raises NotUnderstood."""
    networks, groups, lists = {}, set(), {}
    for text in texts:
        one, _, what = text.partition("=")
        if one.startswith("vpc-"):
            networks[one] = _network(what)
        elif one.startswith("sg-") and what == ENDPOINTS:
            groups.add(one)
        elif one.startswith("pl-") and what in SERVICES:
            lists[one] = what
        else:
            raise NotUnderstood(f"{text} is nothing that can be assumed: {_FORM}")
    return Assumed(networks, frozenset(groups), lists)


def check(stack: Stack, assumed: Assumed) -> Iterator[Counterexample]:
    """Nothing is assumed of what is in the export, which is proved, or of what the export does not speak of."""
    own = {resource.id for resource in stack.resources}
    named = {value for resource in stack.resources for value in resource.values.values() if isinstance(value, str)}
    for one in assumed.ids:
        if one in own or one not in named:
            what = "it is of the stack itself, and is not to be assumed" if one in own else "nothing in the export names it"
            yield Counterexample("understood", one, what)


def told(assumed: Assumed) -> Iterator[str]:
    """What the proof rests on, for the report."""
    for vpc, network in assumed.networks.items():
        yield (
            f"{vpc} is {network}; its routes lead nowhere but to its endpoints, their policies, its network ACLs and what joins "
            "it to others are its owner's"
        )
    for group in sorted(assumed.groups):
        yield f"{group} is the security group of interface endpoints of AWS's services, and of nothing else"
    for prefix_list, service in sorted(assumed.lists.items()):
        yield f"{prefix_list} has the addresses of {service}"
