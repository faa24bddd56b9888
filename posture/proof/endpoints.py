"""Leaving by IAM: through the endpoints nobody else's credentials work, and nothing of anybody else is reached."""

from collections.abc import Iterator
from dataclasses import dataclass

import z3

from posture.proof import specification as spec
from posture.proof.exported import Resource, Stack
from posture.proof.findings import Counterexample
from posture.proof.logic import all_of, implies, none_of
from posture.proof.outsiders import RESOURCE_ACCOUNT
from posture.proof.policies import Statement, parse
from posture.proof.requests import ACCOUNT, ACTION, RESOURCE, Kind, Request, allowed
from posture.proof.solving import Solver

_KINDS: tuple[Kind, ...] = ("aws", "anonymous")
# What the settings name for import (heartmap:import_buckets): objects of exactly named buckets, read alone.
_READS = ("s3:getobject", "s3:listbucket")
# An endpoint without a policy has this one of AWS's.
_DEFAULT = {"Statement": [{"Sid": "AWS default", "Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}


def imported(statements: list[Statement]) -> set[str]:
    """The resources of foreign buckets that an endpoint's policy names exactly, to be read."""
    return {
        resource
        for statement in statements
        if statement.allow and set(statement.actions) <= set(_READS)
        for resource in statement.resources
        if "*" not in resource.split("/")[0] and "?" not in resource.split("/")[0]
    }


def named_beside(stack: Stack) -> list[str]:
    """What the settings let tasks read beside this account, for the report."""
    return sorted(
        resource
        for endpoint in stack.of("ec2/vpcEndpoint:VpcEndpoint")
        for resource in imported(parse(endpoint.title, endpoint.get("policy") or _DEFAULT))
    )


def check(stack: Stack, solver: Solver) -> Iterator[Counterexample]:
    """Every endpoint is of a service that is meant, and bound to this account on both sides."""
    for endpoint in stack.of("ec2/vpcEndpoint:VpcEndpoint"):
        service = endpoint.text("serviceName")
        _, _, region, *name = service.split(".", 3)
        if not service.startswith("com.amazonaws.") or "".join(name) not in spec.ENDPOINT_SERVICES:
            yield Counterexample(
                "leaving", endpoint.title, f"it leads to {service}, which is not meant", (endpoint.title, service)
            )
        yield from _bound(stack, endpoint, region, solver)


@dataclass(frozen=True)
class _Beyond:
    """The situation of who is not of this account, or calls what is not, but for the image's layers and what is named."""

    account: str
    layers: str
    imported: tuple[str, ...]

    def __call__(self, request: Request) -> Iterator[z3.BoolRef]:
        ours = request.is_value(ACCOUNT, self.account) if request.kind == "aws" else z3.BoolVal(False)
        read = [all_of(request.equal(ACTION, "s3:getobject"), request.like(RESOURCE, self.layers))]
        reading = all_of(ours, request.equal(ACTION, *_READS))
        read += [all_of(reading, request.like(RESOURCE, resource)) for resource in self.imported]
        within = all_of(ours, request.is_value(RESOURCE_ACCOUNT, self.account))
        yield none_of(within, *read)
        if request.kind == "anonymous":
            yield implies(request.present(ACCOUNT), request.equal(ACCOUNT, "anonymous"))


def _bound(stack: Stack, endpoint: Resource, region: str, solver: Solver) -> Iterator[Counterexample]:
    statements = parse(endpoint.title, endpoint.get("policy") or _DEFAULT)
    layers = spec.IMAGE_LAYERS.format(partition=stack.partition).replace("prod-*-", f"prod-{region}-")
    beyond = _Beyond(stack.account, layers, tuple(sorted(imported(statements))))
    for kind in _KINDS:
        for statement, example in allowed(statements, Request(kind), beyond, solver):
            what = "it lets what is not of this account be reached, or with credentials that are not"
            yield Counterexample("leaving", statement.title, what, ("a task", endpoint.title, "another account"), example)
