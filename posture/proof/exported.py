"""The engine's export of a stack: resources as they were deployed. What is not understood is an error, never skipped."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# How the engine marks a value in its state: https://www.pulumi.com/docs/iac/concepts/secrets/
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_PLACE_OF_ACCOUNT = 4


class NotUnderstood(Exception):
    """The export says something that the model does not know, so that nothing can be proved. The message says what to do."""


class Secret:
    """Stands for a value that the engine keeps encrypted. Whoever needs to read it cannot."""

    def __repr__(self) -> str:
        return "(secret)"


@dataclass(frozen=True)
class Resource:
    """One resource. ``values`` are its inputs under its outputs: what AWS answered comes before what was asked."""

    urn: str
    type: str
    id: str
    values: Mapping[str, Any]
    inputs: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name in the program, which is the same in every environment."""
        return self.urn.rsplit("::", 1)[-1]

    @property
    def title(self) -> str:
        """Kind and name, for people: ``BucketPolicy/audit``."""
        return f"{self.type.rsplit(':', 1)[-1]}/{self.name}"

    def get(self, key: str) -> Any:
        """A value, None where there is none. Raises NotUnderstood for an encrypted one."""
        value = self.values.get(key)
        if isinstance(value, Secret):
            raise NotUnderstood(f"{self.title}: {key} is encrypted in the export, and the proof has to read it")
        return value

    def text(self, key: str) -> str:
        """A value that has to be there. Raises NotUnderstood."""
        value = self.get(key)
        if not isinstance(value, str) or not value:
            raise NotUnderstood(f"{self.title}: {key} is missing in the export; run pulumi refresh and export again")
        return value

    def list(self, key: str) -> list[Any]:
        """A list, empty where there is none."""
        value = self.get(key) or []
        if not isinstance(value, list):
            raise NotUnderstood(f"{self.title}: {key} is no list")
        return value

    @property
    def arn(self) -> str:
        """Its ARN. Raises NotUnderstood."""
        return self.text("arn")


@dataclass(frozen=True)
class Stack:
    """A deployed stack: its resources, and the account and partition that its roles are in."""

    name: str
    resources: tuple[Resource, ...]
    account: str
    partition: str
    by_type: Mapping[str, list[Resource]] = field(repr=False)

    def of(self, type_: str) -> list[Resource]:
        """The resources of a type of pulumi_aws: ``ec2/vpc:Vpc``."""
        return self.by_type.get(f"aws:{type_}", [])

    def one(self, type_: str, where: str, value: str) -> Resource | None:
        """The resource of a type of which a value is this one; ``id`` and ``name`` are those of the engine."""
        found = (one for one in self.of(type_) if value == (one.id if where == "id" else one.get(where)))
        return next(found, None)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        if _SIGNATURE in value:
            return Secret()
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def resource(one: Mapping[str, Any]) -> Resource:
    """A resource as the export has it. Raises KeyError, TypeError or AttributeError for what is none."""
    inputs, outputs = _plain(one.get("inputs") or {}), _plain(one.get("outputs") or {})
    return Resource(one["urn"], one["type"], str(one.get("id", "")), {**inputs, **outputs}, inputs)


_ADVICE = "make it with `pulumi stack export > file`"


def parse(text: str) -> Stack:
    """The stack in the text that ``pulumi stack export`` writes. Raises NotUnderstood."""
    try:
        deployment = json.loads(text)["deployment"]
        resources = tuple(map(resource, deployment.get("resources") or []))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise NotUnderstood(f"this is no export of a stack: {_ADVICE}") from None
    if deployment.get("pending_operations"):
        raise NotUnderstood("the last update was interrupted: run `pulumi refresh`, then export again")
    return stack_of(resources)


def stack_of(resources: tuple[Resource, ...]) -> Stack:
    """The stack that resources make. Raises NotUnderstood."""
    by_type: dict[str, list[Resource]] = {}
    for one in resources:
        by_type.setdefault(one.type, []).append(one)
    roles = by_type.get("aws:iam/role:Role", [])
    if not roles:
        raise NotUnderstood(f"the export has no role, so that its account is not known; {_ADVICE} after `pulumi up`")
    parts = roles[0].arn.split(":")
    name = roles[0].urn.split("::")[0].removeprefix("urn:pulumi:")
    return Stack(name, resources, parts[_PLACE_OF_ACCOUNT], parts[1], by_type)
