"""Which arguments a resource type takes, and what changed between two sets of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from local_cloud.provider.framework import MAP, UNKNOWN, Failure, FreeMap, Function, Inputs, ResourceType

_ADVICE: Final = "leave it out of the program or add it to the type's handler in local_cloud/provider"


def check_arguments(handler: ResourceType, inputs: Inputs) -> list[Failure]:
    """Every reason why these inputs cannot be carried out; empty when they can."""
    failures = [*_unknown_arguments(handler, inputs)]
    failures += [
        Failure(name, f'{handler.token}: the argument "{name}" is missing: give it a value')
        for name in sorted(handler.required)
        if inputs.get(name) is None
    ]
    return failures or handler.check(inputs)


def _unknown_arguments(handler: ResourceType | Function, inputs: Inputs) -> Iterator[Failure]:
    for name, value in inputs.items():
        if name not in handler.arguments:
            yield Failure(name, f'{handler.token}: the local cloud does not know the argument "{name}": {_ADVICE}')
        else:
            shape = handler.nested.get(name, MAP if name == "tags" else None)
            for path, reason in _misfits(value, shape, name):
                yield Failure(name, f'{handler.token}: "{path}" {reason}: {_ADVICE}')


def check_function_arguments(function: Function, args: Inputs) -> list[Failure]:
    """The same for an invoke."""
    return list(_unknown_arguments(function, args))


def _misfits(value: Any, shape: Mapping[str, Any] | FreeMap | None, path: str) -> Iterator[tuple[str, str]]:
    """The places in a value that its Shape does not have."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _misfits(item, shape, f"{path}[{index}]")
    elif isinstance(value, Mapping):
        if shape is None:
            yield path, "is an object, and the local cloud knows only a plain value there"
        elif not isinstance(shape, FreeMap):
            for name, item in value.items():
                if name not in shape:
                    yield f"{path}.{name}", "is an argument that the local cloud does not know"
                else:
                    yield from _misfits(item, shape[name], f"{path}.{name}")
    elif shape is not None and value is not UNKNOWN:
        yield path, "has to be an object"


def autonamed(handler: ResourceType, name: str, inputs: Inputs, old: Inputs, seed: bytes) -> Inputs:
    """The inputs with the physical name filled in when the program gave none: the one it has, else the name and seven digits."""
    argument = handler.autoname
    if argument is None or inputs.get(argument) is not None:
        return inputs
    suffix = hashlib.sha256(seed + name.encode()).hexdigest()[:7]
    return {**inputs, argument: old.get(argument) or f"{name}-{suffix}"}


def is_autoname(value: Any, name: str) -> bool:
    """Whether a physical name looks like one that `autonamed` made."""
    return bool(re.fullmatch(re.escape(name) + "-[0-9a-f]{7}", str(value)))


def names_collide(handler: ResourceType, name: str, old: Mapping[str, Any], new: Inputs) -> bool:
    """Whether a replacement would meet its predecessor's name in AWS, so that the predecessor has to go first."""
    if handler.delete_before_replace:
        return True
    if handler.unique is None:
        return False
    value = new.get(handler.unique)
    return value is not None and value == old.get(handler.unique) and not is_autoname(value, name)
