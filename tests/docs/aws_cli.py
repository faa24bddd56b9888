"""The AWS CLI's options, as the CLI itself makes them: from the models of the services in botocore."""

import functools
import shlex
from collections.abc import Iterator
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.model import Shape

# https://docs.aws.amazon.com/cli/latest/reference/ says so of these.
RENAMED = {"s3api": "s3", "configservice": "config"}
EVERYWHERE = {"profile", "region", "output", "query", "no-cli-pager", "endpoint-url"}
PAGED = {"max-items", "page-size", "starting-token"}
WRITTEN_BY_HAND = {
    ("logs", "tail"): {"since", "format", "follow", "filter-pattern", "log-stream-names"},
    ("cloudformation", "deploy"): {"stack-name", "template-file", "capabilities", "parameter-overrides", "tags"},
}
"""Commands that no model has, and their options."""


@functools.cache
def _service(name: str) -> Any:
    return botocore.session.get_session().get_service_model(RENAMED.get(name, name))


@functools.cache
def _operations(service: str) -> dict[str, str]:
    return {xform_name(name, "-"): name for name in _service(service).operation_names}


def options_of(words: list[str]) -> dict[str, list[str]]:
    """What follows each option; words before the first one stand under ``""``."""
    found: dict[str, list[str]] = {"": []}
    last = ""
    for word in words:
        if word.startswith("--"):
            last = word.removeprefix("--")
            found[last] = []
        else:
            found[last].append(word)
    return found


def problems(line: str) -> Iterator[str]:
    """What the CLI would not take of a command line."""
    words = shlex.split(line)
    if len(words) < 3 or words[1] not in {*botocore.session.get_session().get_available_services(), *RENAMED}:
        yield f"{line}: no such service"
        return
    service, command, options = words[1], words[2], options_of(words[3:])
    if (service, command) in WRITTEN_BY_HAND:
        yield from (
            f"{line}: no option --{name}" for name in set(options) - {""} - WRITTEN_BY_HAND[service, command] - EVERYWHERE
        )
        return
    if command not in _operations(service):
        yield f"{line}: no such command"
        return
    yield from (f"{line}: {found}" for found in _problems_of_options(service, _operations(service)[command], options))


def _problems_of_options(service: str, operation: str, options: dict[str, list[str]]) -> Iterator[str]:
    shape = _service(service).operation_model(operation).input_shape
    members = {xform_name(name, "-"): (name, member) for name, member in shape.members.items()} if shape else {}
    switches = {f"no-{name}" for name, (_, member) in members.items() if member.type_name == "boolean"}
    for name, values in options.items():
        if name in members:
            yield from _problems_of_values(name, members[name][1], values)
        elif name not in EVERYWHERE | PAGED | switches | {""}:
            yield f"no option --{name}"
    if options[""]:
        yield f"what is {options['']}?"
    given = {members[name][0] for name in options if name in members}
    yield from (f"{name} is required" for name in set(shape.required_members if shape else ()) - given)


def _problems_of_values(name: str, shape: Shape, values: list[str]) -> Iterator[str]:
    inner: Any = getattr(shape, "member", shape)
    if inner.type_name == "structure":
        for value in values:
            for pair in value.split(","):
                if pair.partition("=")[0] not in inner.members:
                    yield f"--{name} has no {pair}"
    elif getattr(inner, "enum", None):
        yield from (f"--{name} is none of {inner.enum}: {value}" for value in values if value not in inner.enum)


def call_of(line: str) -> tuple[str, str, dict[str, Any]]:
    """Service, boto3's method and its arguments, for options with texts and lists of structures."""
    words = shlex.split(line)
    service, command, options = words[1], words[2], options_of(words[3:])
    shape = _service(service).operation_model(_operations(service)[command]).input_shape
    arguments = {}
    for member, inner in shape.members.items():
        if (name := xform_name(member, "-")) in options:
            arguments[member] = _value(inner, options[name])
    return RENAMED.get(service, service), xform_name(_operations(service)[command]), arguments


def _value(shape: Any, values: list[str]) -> Any:
    if shape.type_name == "list" and shape.member.type_name == "structure":
        return [dict(pair.split("=", 1) for pair in value.split(",")) for value in values]
    return values if shape.type_name == "list" else values[0]
