"""An emulated AWS, and resources made in it by the handlers as the plugin's gRPC service would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from local_cloud.provider import checks
from local_cloud.provider.framework import REGISTRY, Aws, ResourceType, load_handlers

DEFAULT_TAGS = {"project": "heartmap"}


class Made:
    """One resource: what the engine would know about it."""

    def __init__(self, aws: Aws, token: str, given: dict[str, Any]) -> None:
        self.aws = aws
        self.handler: ResourceType = REGISTRY[token]
        self.inputs = self._checked(given)
        self.id, outputs = self.handler.create(aws, self.inputs)
        self.state = self._state(self.inputs, outputs)

    def update(self, **changes: Any) -> dict[str, Any]:
        """Change arguments in place (None takes one away); the new state. What needs a new resource is refused."""
        given = {name: value for name, value in {**self.inputs, **changes}.items() if value is not None}
        new = self._checked(given)
        assert not changes.keys() & self.handler.replaces, f"{changes.keys() & self.handler.replaces} need a new resource"
        outputs = self.handler.update(self.aws, self.id, self.state, new)
        kept = {name: value for name, value in self.state.items() if name not in self.handler.arguments}
        self.inputs, self.state = new, self._state(new, {**kept, **outputs})
        return self.state

    def read(self) -> dict[str, Any] | None:
        """What a refresh finds."""
        return self.handler.read(self.aws, self.id, self.state)

    def drift(self) -> dict[str, Any]:
        """What a refresh would change: nothing, right after a create or an update."""
        found = self.read()
        assert found is not None, f"{self.handler.token} is gone"
        return {name: (self.state.get(name), value) for name, value in found.items() if self.state.get(name) != value}

    def delete(self) -> None:
        self.handler.delete(self.aws, self.id, self.state)

    def _checked(self, given: dict[str, Any]) -> dict[str, Any]:
        inputs = checks.autonamed(self.handler, "trial", {**self.handler.defaults, **given}, {}, b"seed")
        assert checks.check_arguments(self.handler, inputs) == []
        return inputs

    def _state(self, inputs: dict[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
        tags = {"tagsAll": self.aws.tags(inputs)} if self.handler.takes_tags else {}
        return {**inputs, **outputs, **tags}


@pytest.fixture(scope="module")
def cloud(aws_endpoint: str) -> Aws:
    """The connection that a configured provider has, with default tags."""
    load_handlers()
    return Aws(aws_endpoint, "us-east-1", DEFAULT_TAGS)


@pytest.fixture(scope="module")
def make(cloud: Aws) -> Callable[..., Made]:
    """Creates a resource of a type from its arguments."""
    return lambda token, **inputs: Made(cloud, token, inputs)


@pytest.fixture(scope="module")
def refusals(cloud: Aws) -> Callable[..., list[str]]:
    """The reasons for which these arguments of a type are refused."""

    def check(token: str, **inputs: Any) -> list[str]:
        return [failure.reason for failure in checks.check_arguments(REGISTRY[token], {**REGISTRY[token].defaults, **inputs})]

    return check
