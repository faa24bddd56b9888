"""The plan of a stack: its program, run against a monitor that records what it registers. No engine, no provider, no AWS."""

import asyncio
import atexit
import contextlib
import functools
import gc
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from pulumi.runtime import configure, mocks, reset_options, rpc, run_in_stack, set_all_config
from pulumi.runtime.proto import source_pb2

from infra import program, settings
from lambda_authorizer import package

ROOT = Path(__file__).resolve().parents[1]
STACKS = ("local", "dev", "prod")
IN_AWS = ("dev", "prod")
"""The stacks that cost money and hold what belongs to others; ``local`` is an emulated AWS on one machine."""

ACCOUNT = "123456789012"
REGION = "us-east-1"
ZONE_IDS = ["use1-az3", "use1-az1", "use1-az2"]

RUN_SECONDS = 120

INVOKES: dict[str, dict[str, Any]] = {
    "aws:index/getPartition:getPartition": {"partition": "aws", "dnsSuffix": "amazonaws.com", "id": "aws"},
    "aws:index/getCallerIdentity:getCallerIdentity": {"accountId": ACCOUNT, "arn": "arn", "userId": "user", "id": ACCOUNT},
    "aws:secretsmanager/getSecretVersion:getSecretVersion": {"secretString": "the identity provider's secret", "id": "secret"},
    "aws:kms/getPublicKey:getPublicKey": {"publicKeyPem": "the public key", "id": "key"},
    "aws:index/getAvailabilityZones:getAvailabilityZones": {"zoneIds": ZONE_IDS, "names": ["a", "b", "c"], "id": REGION},
}

# What AWS computes beyond an ARN, as far as the program reads it.
COMPUTED: dict[str, list[str]] = {
    "aws:kms/key:Key": ["keyId"],
    "aws:ec2/vpc:Vpc": ["defaultNetworkAclId"],
    "aws:ec2/vpcEndpoint:VpcEndpoint": ["prefixListId"],
    "aws:sqs/queue:Queue": ["url"],
    "aws:ecr/repository:Repository": ["repositoryUrl"],
    "aws:lb/loadBalancer:LoadBalancer": ["arnSuffix", "dnsName", "zoneId"],
    "aws:route53/zone:Zone": ["zoneId"],
    "aws:lb/targetGroup:TargetGroup": ["arnSuffix"],
    "awsx:ecr:Image": ["imageUri"],
    "aws:lambda/function:Function": ["invokeArn"],
    "aws:apigateway/restApi:RestApi": ["executionArn", "rootResourceId"],
    "aws:apigateway/stage:Stage": ["invokeUrl"],
    "aws:apigateway/domainName:DomainName": ["regionalDomainName", "regionalZoneId"],
    "aws:route53/record:Record": ["fqdn"],
    "aws:ses/domainIdentity:DomainIdentity": ["verificationToken"],
    "aws:cognito/userPoolDomain:UserPoolDomain": ["cloudfrontDistribution", "cloudfrontDistributionZoneId"],
}


@dataclass
class Registration:
    """One resource as the engine would have been asked for it. Inputs are camelCase; a secret keeps its envelope in ``raw``."""

    urn: str
    type: str
    name: str
    parent: str
    custom: bool
    protect: bool
    retain: bool
    provider: str
    """URN and id of the provider that it was asked from."""
    dependencies: list[str]
    ignored: list[str]
    raw: dict[str, Any]
    inputs: dict[str, Any]

    @property
    def id(self) -> str:
        return f"{self.type.split(':')[-1]}/{self.name}"


@dataclass
class Plan:
    """Everything that a stack's program registered."""

    stack: str
    settings: settings.Settings
    resources: list[Registration] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)

    def of(self, type_: str) -> list[Registration]:
        """All resources of a type, named as in ``ec2/vpc:Vpc``."""
        return [resource for resource in self.resources if resource.type == f"aws:{type_}"]

    def one(self, type_: str, name: str | None = None) -> Registration:
        """The only resource of a type, or the one of that name. Raises AssertionError when there is none or are several."""
        found = [resource for resource in self.of(type_) if name in (None, resource.name)]
        assert len(found) == 1, f"{len(found)} resources {type_} {name or ''}"  # noqa: S101 - as documented
        return found[0]

    @property
    def components(self) -> list[Registration]:
        return [resource for resource in self.resources if not resource.custom and resource.type.startswith("heartmap:")]


class Recorder(mocks.MockMonitor):
    """A monitor that answers as AWS would, and in a preview leaves open what only AWS knows."""

    def __init__(self, plan: Plan, *, preview: bool) -> None:
        super().__init__(_Answers(preview=preview))
        self.plan = plan

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the monitor's own name
        response = super().RegisterResource(request)
        if request.type != "pulumi:pulumi:Stack":
            raw = rpc.deserialize_properties(request.object)
            self.plan.resources.append(
                Registration(
                    urn=response.urn,
                    type=request.type,
                    name=request.name,
                    parent=request.parent,
                    custom=request.custom,
                    protect=request.protect,
                    retain=request.retainOnDelete,
                    provider=request.provider,
                    dependencies=list(request.dependencies),
                    ignored=list(request.ignoreChanges),
                    raw=raw,
                    inputs=unwrapped(raw),
                )
            )
        return response

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - the monitor's own name
        if "::pulumi:pulumi:Stack::" in request.urn:
            self.plan.outputs = rpc.deserialize_properties(request.outputs)
        return super().RegisterResourceOutputs(request)


class _Answers(mocks.Mocks):
    def __init__(self, *, preview: bool) -> None:
        self._preview = preview

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        inputs = unwrapped(args.inputs)
        if self._preview:
            return "", inputs
        stem = f"{args.typ.split(':')[-1]}/{args.name}"
        state = {"arn": f"arn:aws:{stem}", "name": args.name, **inputs}
        state |= {key: f"{stem}/{key}" for key in COMPUTED.get(args.typ, [])}
        if args.typ == "aws:acm/certificate:Certificate":
            record = {"resourceRecordName": "_proof", "resourceRecordType": "CNAME", "resourceRecordValue": "value"}
            state["domainValidationOptions"] = [{"domainName": inputs.get("domainName"), **record}]
        return stem, state

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        return INVOKES[args.token], []


def unwrapped(value: Any) -> Any:
    """The value without the envelopes of secrets. The engine's wire knows no whole numbers, which they are again here."""
    if rpc.is_rpc_secret(value):
        value = rpc.unwrap_rpc_secret(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: unwrapped(item) for key, item in value.items()}
    return [unwrapped(item) for item in value] if isinstance(value, list) else value


def configuration(stack: str) -> dict[str, str]:
    """What the engine hands to the program, out of the files as they are."""
    # libyaml's loader: the one in Python took a tenth of the time of a run.
    project, own = (
        yaml.load((ROOT / name).read_text(), Loader=yaml.CSafeLoader)["config"]
        for name in ("Pulumi.yaml", f"Pulumi.{stack}.yaml")
    )
    values = {f"heartmap:{key}": declared["default"] for key, declared in project.items() if "default" in declared} | own
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def run_program(stack: str, changes: Mapping[str, str] | None = None, *, preview: bool = False) -> Plan:
    """Run the program of a stack with some settings changed, and return what it registered.

    Raises SettingsError, and whatever the program raises.
    """
    config = configuration(stack) | dict(changes or {})
    plan = Plan(stack, settings.load(config, stack))

    async def run() -> None:
        # One worker: the order of registration is the order of the program, and nothing hangs now and then.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(max_workers=1))
        reset_options(project="heartmap", stack=stack, preview=preview, organization="organization")
        set_all_config(config)
        configure(mocks.MockSettings(monitor=Recorder(plan, preview=preview), engine=mocks.MockEngine(None)))
        await asyncio.wait_for(run_in_stack(program.main), RUN_SECONDS)

    with _apart_from_this_machine(), _without_collecting():
        asyncio.run(run())
    set_all_config({})
    return plan


@functools.cache
def plan_of(stack: str) -> Plan:
    """The plan of a stack as its file stands, made once in a process: not to be changed."""
    return run_program(stack)


@contextlib.contextmanager
def _apart_from_this_machine() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        # An f-string of an Output then raises instead of becoming an explanation inside an input.
        stack.enter_context(mock.patch.dict(os.environ, {"PULUMI_ERROR_OUTPUT_STRING": "true"}))
        for name in ("PULUMI_CONFIG", "AWS_ENDPOINT_URL"):
            os.environ.pop(name, None)
        stack.enter_context(mock.patch.object(package, "build", _small_package))
        stack.enter_context(mock.patch("infra.authorizer.BUILD_DIRECTORY", _packages()))
        # Where in the source a resource is declared: for the engine's messages alone, and a fifth of the time of a run.
        stack.enter_context(mock.patch("pulumi.runtime.resource._get_stack_trace", source_pb2.StackTrace))
        # And what the engine would show with --debug alone.
        stack.enter_context(mock.patch("pulumi.log.debug", _nothing))
        yield


def _nothing(*_: Any, **__: Any) -> None: ...


@contextlib.contextmanager
def _without_collecting() -> Iterator[None]:
    """The garbage collector would look through the SDK's objects again and again, which is half the time of a run."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@functools.cache
def _packages() -> Path:
    """Where the packages of this process's plans lie, which name their files."""
    directory = Path(tempfile.mkdtemp(prefix="heartmap-plan-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


def _small_package(destination_dir: Path, *, key_set: bytes, target: package.Target) -> Path:
    """Instead of the real build, which installs the dependencies: the same inputs in a zip."""
    destination_dir.mkdir(parents=True, exist_ok=True)
    path = destination_dir / f"{target.platform or 'host'}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo("lambda_authorizer/jwks.json"), key_set)
        archive.writestr(zipfile.ZipInfo("target"), repr(tuple(target)))
    return path
