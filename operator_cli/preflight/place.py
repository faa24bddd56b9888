"""Where a stack is about to be deployed: its settings, its plan and the account, which is asked by reading alone."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import boto3

    from infra.settings import Settings
    from posture.plan import Plan

READING = re.compile(r"(Describe|Get|Head|List|Simulate)[A-Z]\w*")
"""The operations of AWS's APIs that change nothing."""

State = Literal["pass", "warn", "fail"]


class NotReadOnly(Exception):
    """A call that could change something was about to be made. This is a fault of a check."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One thing looked at. `next_step` is there unless it is well; `items` are all that `detail` may only count."""

    name: str
    state: State
    detail: str
    next_step: str | None = None
    items: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Place:
    """What every check is given.

    `caller` is the ARN of the credentials in use. `deployed` are the names of what the stack's own state holds already, None
    where no state could be read. `resolver` asks DNS: a `dns.resolver.Resolver`.
    """

    settings: "Settings"
    plan: "Plan"
    session: "boto3.Session"
    account: str
    caller: str
    deployed: frozenset[str] | None
    resolver: Any
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict, compare=False)

    def client(self, service: str, region: str | None = None) -> Any:
        """A boto3 client of the stack's region, or another one, made once."""
        key = (service, region or self.settings.region)
        if key not in self._clients:
            make: Any = self.session.client
            self._clients[key] = make(service, region_name=key[1])
        return self._clients[key]

    def pages(self, service: str, operation: str, result: str, **arguments: Any) -> Iterator[Any]:
        """What all pages of a list hold."""
        for page in self.client(service).get_paginator(operation).paginate(**arguments):
            yield from page.get(result, [])

    def names(self, type_: str, argument: str) -> list[str]:
        """The names that resources of a type will have, those left out that AWS decides."""
        from posture.plan import ACCOUNT

        given = [resource.inputs.get(argument) for resource in self.plan.of(type_)]
        return [name.replace(ACCOUNT, self.account) for name in given if isinstance(name, str) and name]

    @property
    def prefix(self) -> str:
        """What the names of the stack begin with."""
        return f"heartmap-{self.settings.environment}"

    @property
    def partition(self) -> str:
        return self.session.get_partition_for_region(self.settings.region)

    def is_own(self, tags: Iterable[Mapping[str, str]]) -> bool:
        """Whether the tags say that something belongs to this stack."""
        values = {tag["Key"]: tag["Value"] for tag in tags}
        return (values.get("Project"), values.get("Environment")) == ("heartmap", str(self.settings.environment))


def reading_only(session: "boto3.Session") -> "boto3.Session":
    """The same session, which refuses what could change anything. Raises NotReadOnly at such a call."""

    def refuse(model: Any, **_: Any) -> None:
        if not READING.fullmatch(model.name):
            raise NotReadOnly(f"{model.service_model.service_name}:{model.name}")

    session.events.register("before-call", refuse)  # pyright: ignore[reportArgumentType]  # the stubs know no such callback
    return session


def code_of(error: Any) -> str:
    """What AWS calls the refusal, out of a botocore ClientError."""
    return error.response.get("Error", {}).get("Code", "")
